// Checks names of options at run time: a misspelt option must not silently become the default.

import { ArgumentError, nearestName } from "./errors.ts";

/**
 * @param known  every option there is
 * @param path   prefix of the names in error messages: "solve." for the options of `solve`
 * @throws {ArgumentError} an option that does not exist, with the nearest that does
 */
export function checkNames(where: string, given: object, known: Readonly<Record<string, true>>, path = ""): void {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(known, name)) continue;
    const near = nearestName(name, Object.keys(known));
    const expected = near ? `${path}${near}, or another option` : `one of ${Object.keys(known).join(", ")}`;
    throw new ArgumentError(where, `${path}${name}`, expected, `"${name}"`);
  }
}
