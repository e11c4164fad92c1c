// Errors of the library about an argument, as errors about the option of a command that the argument came from.

import { ArgumentError } from "../core/errors.ts";
import { hyphenated } from "../run/names.ts";

/**
 * The result of `make`, whose arguments have the names of options.
 *
 * @param options  names of arguments: minSynapses for --min-synapses
 * @throws {ArgumentError} that of `make`, with the command and the option in place of function and argument
 */
export async function underOptions<T>(command: string, options: readonly string[], make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { where, argument, expected, got } = error.facts;
    if (!options.includes(String(argument))) throw error;
    // An error about a file names it in place of a function.
    const place = /^\w+$/.test(String(where)) ? command : String(where);
    throw new ArgumentError(place, `--${hyphenated(String(argument))}`, String(expected), String(got));
  }
}
