// Requests from outside to stop: Ctrl-C, SIGTERM, and a reader of stdout that went away (`| head`).

/** Exit codes by convention: 128 + the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGPIPE: 141 } as const;

export type StopSignal = keyof typeof EXIT_CODES;

/** Turns the first request into an abort; a second signal ends the process at once. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #listeners: readonly (readonly [name: "SIGINT" | "SIGTERM", listener: () => void])[];
  readonly #onStdoutError: (error: NodeJS.ErrnoException) => void;
  #cause: StopSignal | null = null;

  constructor() {
    this.#listeners = (["SIGINT", "SIGTERM"] as const).map((name) => [name, () => this.#stop(name)] as const);
    this.#onStdoutError = (error) => {
      if (error.code !== "EPIPE") throw error;
      this.#cause ??= "SIGPIPE";
      this.#controller.abort();
    };
    for (const [name, listener] of this.#listeners) process.on(name, listener);
    process.stdout.on("error", this.#onStdoutError);
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

  /** Gives the signals back to their defaults. A closed stdout stays tolerated. */
  dispose(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }

  #stop(name: "SIGINT" | "SIGTERM"): void {
    if (this.#cause) process.exit(EXIT_CODES[name]);
    this.#cause = name;
    this.#controller.abort();
  }
}
