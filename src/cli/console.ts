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

  constructor({ json, quiet }: Verbosity) {
    this.#json = json;
    this.#quiet = quiet;
  }

  /** Whether progress is wanted on stderr. */
  get showsProgress(): boolean {
    return !this.#quiet && !(this.#json && !process.stderr.isTTY);
  }

  /** A line about the progress of the command. */
  info(text: string): void {
    if (!this.#json && !this.#quiet) writeLine(text);
  }

  /** A line of the result, shown even with `quiet`. */
  result(text: string): void {
    if (!this.#json) writeLine(text);
  }

  /** A line about a step that takes a while, on stderr. */
  status(text: string): void {
    if (this.showsProgress) process.stderr.write(`${printable(text)}\n`);
  }

  warn(message: string): void {
    warnUser(message);
  }

  event(event: RunEvent): void {
    if (this.#json) process.stdout.write(jsonLine(event));
  }

  /** The last line of a failed command. */
  error(error: unknown): void {
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
