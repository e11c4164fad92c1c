// The end of a process whose communicator is still open: it ends the other ranks, which would wait for it for ever.

import { writeSync } from "node:fs";
import { inspect } from "node:util";
import { printable, shortened } from "../core/text.ts";

const REASON_LENGTH = 1000;

let isSaid = false;

/** The error that this process exits with was printed, with its rank: nothing more needs to be said. */
export function errorSaid(): void {
  isSaid = true;
}

/**
 * Calls `end` if the process exits by an error, process.exit or the end of its program, after it has said so: once the others know, a launcher
 * may end all before one of them has said it.
 *
 * @param name  of this process, for the message
 * @returns a function that undoes it
 */
export function atExit(name: () => string, end: (code: number) => void): () => void {
  let uncaught: { readonly error: unknown } | null = null;
  const keep = (error: unknown): void => {
    uncaught = { error };
  };
  const exit = (code: number): void => {
    // Node prints an uncaught error after this, which it will not come to.
    if (uncaught) print(`${inspect(uncaught.error)}\n`);
    const reason = uncaught ? `${uncaught.error}` : `exit code ${code}, before its communicator was closed`;
    if (!isSaid) print(`axograd: ${name()} ended: ${printable(shortened(reason, REASON_LENGTH))}\n`);
    end(code === 0 ? 1 : code);
  };
  process.on("uncaughtExceptionMonitor", keep).on("exit", exit);
  return () => {
    process.off("uncaughtExceptionMonitor", keep).off("exit", exit);
  };
}

function print(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // The pipe is full or closed; the other ranks must end all the same.
  }
}
