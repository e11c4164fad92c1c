// The heartbeat of a lock: a thread that counts up in the lock's file. Other machines see that this process lives, even while its main thread
// computes a long step.

import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** Milliseconds between beats. */
export const BEAT_MS = 5000;
const DIGITS = 12;

/** All beats have the same length, so that they can be written in place. */
export function beatText(count: number): string {
  return `${count}`.padStart(DIGITS, "0");
}

/** The lock, for both threads. */
export interface Shared {
  readonly file: string;
  readonly id: string;
  /** Byte offset of the beat in the file. */
  readonly offset: number;
}

export class Heartbeat {
  readonly #shared: Shared;
  readonly #worker: Worker;
  #isLost = false;

  /** @param text  the lock as it was written */
  constructor(file: string, id: string, text: string) {
    const offset = Buffer.byteLength(text.slice(0, text.lastIndexOf(beatText(0))));
    this.#shared = { file, id, offset };
    // Modules given to Node with --import must not run a second time in the thread.
    const resourceLimits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
    const options = { workerData: this.#shared, execArgv: [], resourceLimits };
    this.#worker = new Worker(new URL("./heartbeatThread.js", import.meta.url), options);
    // A process whose heartbeat fails goes on: it reads its lock before every write.
    this.#worker.on("error", () => {});
    this.#worker.unref();
  }

  /** Whether this process still holds the lock, according to its file. Once lost, it stays lost. */
  isHeld(): boolean {
    this.#isLost ||= isHeldNow(this.#shared) === false;
    return !this.#isLost;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** null: the file cannot be read right now. */
function isHeldNow({ file, id }: Shared): boolean | null {
  try {
    return readFileSync(file, "utf8").includes(`"${id}"`);
  } catch (error) {
    return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")
      ? false
      : null;
  }
}

/** Beats until another process takes the lock or the thread is terminated. */
export function beat(shared: Shared): void {
  // Stays the file of this lock even if another file gets its name.
  const handle = openSync(shared.file, "r+");
  let count = 0;
  const lost = (): void => {
    clearInterval(timer);
    closeSync(handle);
  };
  const timer = setInterval(() => {
    if (isHeldNow(shared) === false) {
      lost();
      return;
    }
    try {
      // Bytes, not text: Deno appends text, wherever it should go.
      writeSync(handle, Buffer.from(beatText(++count)), 0, DIGITS, shared.offset);
      fdatasyncSync(handle);
    } catch {
      // A network file system may come back.
    }
  }, BEAT_MS);
  if (!readFileSync(handle, "utf8").includes(`"${shared.id}"`)) lost();
}
