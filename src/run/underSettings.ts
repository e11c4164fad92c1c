// Errors of the library about an argument, as errors about the setting that the argument came from.

import { ArgumentError } from "../core/errors.ts";
import { type Key, optionName } from "./configOptions.ts";

/**
 * The result of `make`.
 *
 * @param keyOf  the setting behind an argument of the library, such as "groups[0].lr"; null: none
 * @throws {ArgumentError} that of `make`, with the flag of the setting in place of the argument
 */
export function underSettings<T>(keyOf: (argument: string) => Key | null, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { argument, expected, got } = error.facts;
    const key = keyOf(String(argument));
    throw key === null ? error : new ArgumentError("train", optionName(key), String(expected), String(got));
  }
}
