// Tests that need something a machine may lack: what is skipped is said aloud, with its reason.

import type { Callback, Test } from "uvu";
import { note } from "./note.ts";

/** Registers a test, or, where `condition` does not hold, counts it as skipped and notes the reason. */
export function testOrSkip<T>(test: Test<T>, condition: boolean, reason: string, name: string, fn: Callback<T>): void {
  if (condition) {
    test(name, fn);
    return;
  }
  test.skip(name, fn);
  note(`skipped: ${name} (${reason})`);
}
