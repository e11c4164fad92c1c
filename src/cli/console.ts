// Output of the commands: text for people or JSON lines for programs; errors and warnings always go to stderr.
// Names of files, cell types and settings may hold any character, so control characters are escaped before a terminal gets them.

import { EngineError } from "../core/errors.ts";
import { jsonText, printable, shortened } from "../core/text.ts";
import { jsonLine, type RunEvent } from "../train/metrics.ts";

export interface Verbosity {
  /** JSON lines on stdout and no text there. */
  readonly json: boolean;
  /** Only the result, and no progress. */
  readonly quiet: boolean;
  /** Nothing at all, not even warnings: another process of the run talks to the user. */
  readonly silent?: boolean;
}

/** Writes a warning to stderr, without a `Console`. */
export function warnUser(message: string): void {
  process.stderr.write(`axograd: warning: ${printable(message)}\n`);
}

/** Longest stack that is shown. */
const STACK_LENGTH = 8000;

/** Writes text for people to stdout, line ends included. */
export function writeText(text: string): void {
  process.stdout.write(printable(text, { lines: true }));
}

/** Writes one line for people to stdout. */
export function writeLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** Writes a value as one line of JSON to stdout. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${jsonText(value)}\n`);
}

export class Console {
  readonly #json: boolean;
  readonly #quiet: boolean;
  readonly #silent: boolean;

  constructor({ json, quiet, silent = false }: Verbosity) {
    this.#json = json;
    this.#quiet = quiet;
    this.#silent = silent;
  }

  /** Whether progress is wanted on stderr. */
  get showsProgress(): boolean {
    return !this.#silent && !this.#quiet && !(this.#json && !process.stderr.isTTY);
  }

  /** A line about the progress of the command. */
  info(text: string): void {
    if (!this.#quiet) this.result(text);
  }

  /** A line of the result, shown even with `quiet`. */
  result(text: string): void {
    if (!this.#json && !this.#silent) writeLine(text);
  }

  /** A line about a step that takes a while, on stderr. */
  status(text: string): void {
    if (this.showsProgress) process.stderr.write(`${printable(text)}\n`);
  }

  warn(message: string): void {
    if (!this.#silent) warnUser(message);
  }

  event(event: RunEvent): void {
    if (this.#json && !this.#silent) process.stdout.write(jsonLine(event));
  }

  /** The last line of a failed command. */
  error(error: unknown): void {
    if (this.#silent) return;
    process.stderr.write(`axograd: ${messageOf(error)}\n`);
    this.event(errorEvent(error));
  }
}

export function errorEvent(error: unknown): RunEvent {
  const { code, facts } = error instanceof EngineError ? error : { code: "internal", facts: {} };
  return { event: "error", code, message: messageOf(error), facts };
}

/** Unexpected errors are shown with their stack. */
function messageOf(error: unknown): string {
  if (error instanceof EngineError) return error.message;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return printable(shortened(stack, STACK_LENGTH), { lines: true });
}
