// uvu's suites, for files that may be cut: uvu names failing tests only when all have run, these name each at once.

import { type Callback, type Test, suite as uvuSuite } from "uvu";
import { FAILURE_NOTE, note } from "./note.ts";

/** As uvu's, and a test that fails is a note, with the title of its suite: the same test may run on several devices. */
export function suite<T = Record<string, unknown>>(title: string, context?: T): Test<T> {
  const test = uvuSuite(title, context);
  const told =
    (name: string, handler: Callback<T>): Callback<T> =>
    async (context) => {
      try {
        await handler(context);
      } catch (error) {
        note(`${FAILURE_NOTE}${title}: ${name}`);
        throw error;
      }
    };
  const named = (name: string, handler: Callback<T>): void => test(name, told(name, handler));
  // What else a test has: before, after, skip, run.
  return Object.assign(named, test, {
    only: (name: string, handler: Callback<T>) => test.only(name, told(name, handler)),
  });
}
