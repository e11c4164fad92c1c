// The end of a process whose communicator is still open: it ends the other ranks, which would wait for it for ever.

import { writeSync } from "node:fs";
import { inspect } from "node:util";

let said: string | null = null;

/** What the other ranks hear from this one, should it exit before it has closed its communicator. Without one, nothing happens. */
export function lastWords(reason: string): void {
  said = reason;
}

/** Calls `end` if the process exits by an error, process.exit or the end of its program. @returns a function that undoes it */
export function atExit(end: (reason: string, code: number) => void): () => void {
  let uncaught: { readonly error: unknown } | null = null;
  const keep = (error: unknown): void => {
    uncaught = { error };
  };
  const exit = (code: number): void => {
    // Node prints an uncaught error after this, which it will not come to.
    if (uncaught) print(`${inspect(uncaught.error)}\n`);
    const reason = said ?? (uncaught ? `${uncaught.error}` : `exit code ${code}, before its communicator was closed`);
    end(reason, code === 0 ? 1 : code);
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
