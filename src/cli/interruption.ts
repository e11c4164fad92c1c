// Requests from outside to stop: Ctrl-C, SIGTERM, and a reader of what is printed that went away (`| head`).

/** Exit codes by convention: 128 + the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const;

export type StopSignal = keyof typeof EXIT_CODES;

const STREAMS = [process.stdout, process.stderr] as const;

/** Ends the process once nobody reads what it says (`| head`), as other commands do; from now on, while no run is at work. */
export function endWithReader(): void {
  for (const stream of STREAMS) stream.on("error", endProcess);
}

function endProcess(error: NodeJS.ErrnoException): void {
  if (isReaderGone(error)) process.exit(EXIT_CODES.SIGPIPE);
}

/** Not if it is a terminal that was closed: what still runs then was meant to, and its record is in its folder. */
function isReaderGone(error: NodeJS.ErrnoException): boolean {
  if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  return error.code === "EPIPE";
}

/** Turns the first request into an abort; a second signal ends the process at once. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #listeners: readonly (readonly [name: "SIGINT" | "SIGTERM", listener: () => void])[];
  #cause: StopSignal | null = null;

  constructor() {
    this.#listeners = (["SIGINT", "SIGTERM"] as const).map((name) => [name, () => this.#stop(name)] as const);
    for (const [name, listener] of this.#listeners) process.on(name, listener);
    for (const stream of STREAMS) {
      stream.off("error", endProcess);
      stream.on("error", (error: NodeJS.ErrnoException) => {
        if (!isReaderGone(error)) return;
        this.#cause ??= "SIGPIPE";
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

  /** What the process should exit with, given what it would have without an interruption. */
  exitCode(otherwise: number): number {
    return this.#cause ? EXIT_CODES[this.#cause] : otherwise;
  }

  /** Gives the signals back to their defaults. A closed stream stays tolerated. */
  dispose(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }

  #stop(name: "SIGINT" | "SIGTERM"): void {
    if (this.#cause) process.exit(EXIT_CODES[name]);
    this.#cause = name;
    this.#controller.abort();
  }
}
