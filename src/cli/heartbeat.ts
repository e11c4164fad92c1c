// The heartbeat of a lock: a thread that counts up in the lock's file. Other machines see that this process lives, even while its main thread
// computes a long step. The thread also notices if another process has taken the lock.

import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** Milliseconds between beats. */
export const BEAT_MS = 5000;
const DIGITS = 12;

/** All beats have the same length, so that they can be written in place. */
export function beatText(count: number): string {
  return `${count}`.padStart(DIGITS, "0");
}

/** Data that both threads share. */
export interface Shared {
  readonly file: string;
  readonly id: string;
  /** Byte offset of the beat in the file. */
  readonly offset: number;
  /** Monotonic and wall-clock time at which the lock was last seen to be held, in ms; then 1 if it was lost. */
  readonly seen: Float64Array;
}

export class Heartbeat {
  readonly #shared: Shared;
  readonly #worker: Worker;

  /** @param text  the lock as it was written */
  constructor(file: string, id: string, text: string) {
    const offset = Buffer.byteLength(text.slice(0, text.lastIndexOf(beatText(0))));
    this.#shared = { file, id, offset, seen: new Float64Array(new SharedArrayBuffer(24)) };
    note(this.#shared.seen);
    // Modules given to Node with --import must not run a second time in the thread.
    const resourceLimits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
    const options = { workerData: this.#shared, execArgv: [], resourceLimits };
    this.#worker = new Worker(new URL("./heartbeatThread.js", import.meta.url), options);
    // Without the thread, the lock is read before every write.
    this.#worker.on("error", () => {});
    this.#worker.unref();
  }

  /**
   * Whether this process still holds the lock. Reads the file if the thread has not done so lately (the process was stopped, its machine
   * slept).
   *
   * @param now  read the file in any case
   */
  isHeld({ now = false }: { readonly now?: boolean } = {}): boolean {
    const { file, id, seen } = this.#shared;
    if (seen[2] === 1) return false;
    if (!now && ageOf(seen) < 2 * BEAT_MS) return true;
    const held = isHeldNow(file, id);
    if (held === false) seen[2] = 1;
    if (held) note(seen);
    return held !== false;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

function note(seen: Float64Array): void {
  seen[0] = monotonic();
  seen[1] = Date.now();
}

/** Milliseconds since `note`: the longer of two clocks, as one stops while a machine sleeps and the other can be set. */
function ageOf(seen: Float64Array): number {
  return Math.max(monotonic() - seen[0]!, Math.abs(Date.now() - seen[1]!));
}

/** The same in all threads of a process. */
function monotonic(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** null: the file cannot be read right now. */
function isHeldNow(file: string, id: string): boolean | null {
  try {
    return readFileSync(file, "utf8").includes(`"${id}"`);
  } catch (error) {
    return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")
      ? false
      : null;
  }
}

/** Beats until another process takes the lock or the thread is terminated. */
export function beat({ file, id, offset, seen }: Shared): void {
  // Stays the file of this lock even if another file gets its name.
  const handle = openSync(file, "r+");
  let count = 0;
  const lost = (): void => {
    seen[2] = 1;
    clearInterval(timer);
    closeSync(handle);
  };
  const timer = setInterval(() => {
    const held = isHeldNow(file, id);
    if (held === false) {
      lost();
      return;
    }
    try {
      writeSync(handle, beatText(++count), offset);
      fdatasyncSync(handle);
      if (held) note(seen);
    } catch {
      // A network file system may come back.
    }
  }, BEAT_MS);
  if (!readFileSync(handle, "utf8").includes(`"${id}"`)) lost();
}
