// Requests from outside to stop: Ctrl-C, signals of schedulers, a reader of what is printed that went away (`| head`), and output that
// cannot be written (a full disk).

import type { EngineError } from "../core/errors.ts";
import { writeError } from "../io/durable.ts";
import { catchSignals, exitCodeOf, type StopSignal } from "./signals.ts";

const STREAMS = [
  ["stdout", process.stdout],
  ["stderr", process.stderr],
] as const;

const EXIT_FAILURE = 1;

/** Ends the process once nobody reads what it says (`| head`), as other commands do; from now on, while no run is at work. */
export function exitOnClosedPipe(): void {
  for (const [name, stream] of STREAMS) stream.on("error", ENDINGS[name]);
}

const ENDINGS = {
  stdout: (error: NodeJS.ErrnoException) => endProcess("stdout", error),
  stderr: (error: NodeJS.ErrnoException) => endProcess("stderr", error),
} as const;

function endProcess(name: "stdout" | "stderr", error: NodeJS.ErrnoException): void {
  const outcome = outcomeOf(name, error);
  if (outcome === "SIGPIPE") process.exit(exitCodeOf(outcome));
  if (outcome === null) return;
  process.stderr.write(`axograd: ${outcome.message}\n`);
  process.exit(EXIT_FAILURE);
}

/** What a failed write to a stream means. null: the terminal was closed, and what still runs was meant to outlive it. */
function outcomeOf(name: "stdout" | "stderr", error: NodeJS.ErrnoException): "SIGPIPE" | EngineError | null {
  if (error.code === "EIO" && process[name].isTTY) return null;
  return error.code === "EPIPE" ? "SIGPIPE" : writeError(name, error);
}

/** Turns the first request into an abort; a second signal ends the process at once. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #giveBack: () => void;
  #cause: StopSignal | null = null;
  #failure: EngineError | null = null;

  constructor() {
    this.#giveBack = catchSignals((name) => this.#stop(name));
    for (const [name, stream] of STREAMS) {
      stream.off("error", ENDINGS[name]);
      stream.on("error", (error: NodeJS.ErrnoException) => {
        const outcome = outcomeOf(name, error);
        if (outcome === null) return;
        if (outcome === "SIGPIPE") this.#cause ??= outcome;
        else this.#failure ??= outcome;
        this.#controller.abort();
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What asked to stop; null while nothing has. */
  get cause(): StopSignal | null {
    return this.#cause;
  }

  /** Why what is printed cannot be written; null while it can. */
  get failure(): EngineError | null {
    return this.#failure;
  }

  /** What the process should exit with, given what it would have without an interruption. */
  exitCode(otherwise: number): number {
    return this.#cause ? exitCodeOf(this.#cause) : otherwise;
  }

  /** Gives the signals back to their defaults. A closed stream stays tolerated. */
  dispose(): void {
    this.#giveBack();
  }

  #stop(name: StopSignal): void {
    if (this.#cause) process.exit(exitCodeOf(name));
    this.#cause = name;
    this.#controller.abort();
  }
}
