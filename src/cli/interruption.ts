// Requests to stop: Ctrl-C, signals of schedulers, a closed pipe (`| head`), and output that cannot be written (a full disk).

import { setImmediate as nextTurn } from "node:timers/promises";
import type { EngineError } from "../core/errors.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import { writeError } from "../io/durable.ts";
import type { Console } from "./console.ts";
import { catchSignals, exitCodeOf, type StopSignal } from "./signals.ts";

const STREAMS = [
  ["stdout", process.stdout],
  ["stderr", process.stderr],
] as const;

const EXIT_FAILURE = 1;

/** From now on, until a run starts, a closed output pipe (`| head`) ends the process, as it does for other commands. */
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

/** The reader is gone. Of a socket, with output that it had not read yet, if the second. */
const CLOSED: readonly string[] = ["EPIPE", "ECONNRESET"];

/** The meaning of a failed write to a stream; null: the terminal was closed, and the process was meant to outlive it. */
function outcomeOf(name: "stdout" | "stderr", error: NodeJS.ErrnoException): "SIGPIPE" | EngineError | null {
  if (error.code === "EIO" && process[name].isTTY) return null;
  return CLOSED.includes(error.code ?? "") ? "SIGPIPE" : writeError(name, error);
}

/** Milliseconds in which several signals are one request: a scheduler signals a process and its parent, which passes the request on. */
const ONE_REQUEST_MS = 1000;

/**
 * The first request aborts `signal`; a signal more than a second later ends the process at once. A request to one of several processes is one
 * to all of them.
 */
export class Interruption {
  readonly #communicator: Communicator;
  readonly #controller = new AbortController();
  readonly #giveBack: () => void;
  /** To this process. */
  #request: StopSignal | null = null;
  /** To any of the processes. */
  #agreed: StopSignal | null = null;
  #failure: EngineError | null = null;
  /** When the first signal came. */
  #signalled: number | null = null;

  constructor(communicator: Communicator = SOLO) {
    this.#communicator = communicator;
    this.#giveBack = catchSignals((name) => this.#stop(name));
    for (const [name, stream] of STREAMS) {
      stream.off("error", ENDINGS[name]);
      stream.on("error", (error: NodeJS.ErrnoException) => {
        const outcome = outcomeOf(name, error);
        if (outcome === null) return;
        if (outcome === "SIGPIPE") this.#request ??= outcome;
        else this.fail(outcome);
        this.#controller.abort();
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Whether any of the processes was asked to stop, or cannot write its output, by now: all get the same answer, and the same `cause`. Each
   * of them must ask. Afterwards `signal` is aborted on all.
   */
  async isAgreed(): Promise<boolean> {
    const own = { request: this.#request, isStopped: this.signal.aborted };
    const all = await this.#communicator.exchange(own);
    this.#agreed ??= all.find(({ request }) => request !== null)?.request ?? null;
    const isStopped = all.some((one) => one.isStopped);
    if (isStopped) this.#controller.abort();
    return isStopped;
  }

  /** The signal that asked to stop; null: none so far. */
  get cause(): StopSignal | null {
    return this.#agreed ?? this.#request;
  }

  /** Why output or files can no longer be written; null: they can. */
  get failure(): EngineError | null {
    return this.#failure;
  }

  /** Stops the work, as this process can no longer write what it must. */
  fail(failure: EngineError): void {
    this.#failure ??= failure;
    this.#controller.abort();
  }

  /** The exit code of the process: that of the signal, or `otherwise`. */
  exitCode(otherwise: number): number {
    return this.cause ? exitCodeOf(this.cause) : otherwise;
  }

  /** Restores the default signal handlers. Closed streams stay tolerated. */
  dispose(): void {
    this.#giveBack();
  }

  #stop(name: StopSignal): void {
    const now = performance.now();
    this.#signalled ??= now;
    if (now - this.#signalled > ONE_REQUEST_MS) process.exit(exitCodeOf(name));
    this.#request ??= name;
    this.#controller.abort();
  }
}

/**
 * Does work that writes its results at its end. If a signal stops it before, the command says that nothing was written, and has the exit code of
 * the signal.
 *
 * @throws {EngineError} output that cannot be written; what the work throws
 */
export async function untilInterrupted(
  console: Pick<Console, "status">,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interruption = new Interruption();
  try {
    await work(interruption.signal);
    // Streams report a failed write in a later turn.
    await nextTurn();
  } catch (error) {
    if (interruption.failure) throw interruption.failure;
    if (!interruption.cause) throw error;
    console.status(`stopped by ${interruption.cause}; nothing was written`);
    process.exitCode = interruption.exitCode(0);
  } finally {
    interruption.dispose();
  }
  if (interruption.failure) throw interruption.failure;
}
