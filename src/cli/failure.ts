// How a command fails: its last line, and its exit code.

import { ArgumentError, EngineError, FileFormatError, ShapeError, SparseFormatError } from "../core/errors.ts";
import { Console, type Verbosity } from "./console.ts";
import { RanksError } from "./launchGuard.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

/** Wrong words on the command line. */
export class UsageError extends EngineError {}

/** Errors of the input, not of a run. */
const INPUT_ERRORS = [UsageError, RanksError, ArgumentError, ShapeError, SparseFormatError, FileFormatError] as const;

/** Prints the error of a command. @returns its exit code */
export function reported(error: unknown, { json, silent = false }: Pick<Verbosity, "json" | "silent">): number {
  new Console({ json, quiet: false, silent }).error(error);
  return INPUT_ERRORS.some((kind) => error instanceof kind) ? EXIT_USAGE : EXIT_FAILURE;
}
