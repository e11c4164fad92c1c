// How the runs of a sweep are divided among processes: each takes the next one when it is free, so short and long runs need no plan.

import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { EngineError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import { makeFolder, writeError } from "../../io/durable.ts";
import { errnoOf } from "../../io/files.ts";
import type { RunStatus } from "./sweepFolder.ts";

/** How a run ended, and its outcome in words. */
export interface RunEnd {
  readonly status: RunStatus;
  readonly outcome: string;
}

/** Gives out runs by their number in a list. */
export interface Division {
  /** Number of processes that share the runs. */
  readonly size: number;
  /** The next run of this process; null: none is left. */
  next(): Promise<number | null>;
  /** A run of this process has ended. */
  ended(run: number, end: RunEnd): Promise<void>;
}

/** One process takes all runs, in their order. */
export function undivided(count: number): Division {
  let taken = 0;
  return { size: 1, next: async () => (taken < count ? taken++ : null), ended: async () => {} };
}

/** Between two looks at the files of the other ranks. */
export const LOOK_MS = 1000;
/** Network file systems may show a new name a minute late. */
export const LOOKS = 60;

/** Folders of meetings begin with it. */
const PREFIX = "ranks-";

/** What a rank hears of the others. */
export interface Listener {
  /** A run has ended on another rank. */
  ended(run: number, end: RunEnd, rank: number): void;
  /** Another rank was asked to stop. */
  stopped(): void;
}

/**
 * Ranks that share runs meet in a folder which all of them see, inside the sweep's. A file's name is all that it says: `7`, run 7 is taken, by
 * the rank that could create the file; `7.by-2`, it has ended on rank 2; `stop`, a rank was asked to stop; `rank-2`, that rank has left.
 * Nothing is asked of MPI meanwhile: a rank that waits there acts on no signal, and keeps a core busy.
 */
export class Meeting implements Division {
  readonly size: number;
  readonly #path: string;
  readonly #count: number;
  readonly #rank: number;
  readonly #seen = new Set<string>();
  /** Names that need not be passed on (any more). */
  readonly #told = new Set<string>();
  /** Each rank begins at another run, so two seldom try the same one. */
  #at: number;

  /**
   * @param path   what `prepare` returned on rank 0
   * @param count  number of runs
   */
  constructor(path: string, count: number, { rank, size }: { readonly rank: number; readonly size: number }) {
    this.size = size;
    this.#path = path;
    this.#count = count;
    this.#rank = rank;
    this.#at = count === 0 ? 0 : rank % count;
  }

  /** Makes the folder of a new meeting. Call it while no other command works on the sweep: it removes what killed ones left behind. */
  static async prepare(sweep: string, id: string): Promise<string> {
    const left = (await readdir(sweep)).filter((name) => name.startsWith(PREFIX));
    for (const name of left) await rm(join(sweep, name), { recursive: true, force: true });
    const path = join(sweep, `${PREFIX}${id}`);
    await makeFolder(path);
    return path;
  }

  /** Whether this rank sees the folder, within a minute. */
  async isShared(looks: number = LOOKS): Promise<boolean> {
    for (let look = 0; look < looks; look++) {
      if (look > 0) await pause(LOOK_MS);
      const isThere = await readdir(this.#path).then(
        () => true,
        () => false,
      );
      if (isThere) return true;
    }
    return false;
  }

  async next(): Promise<number | null> {
    const begin = this.#at;
    for (let k = 0; k < this.#count; k++) {
      const run = (begin + k) % this.#count;
      if (this.#seen.has(`${run}`)) continue;
      this.#at = run + 1;
      if (await this.#create(`${run}`)) return run;
      // Another one was faster: see what else is taken.
      await this.#look();
    }
    return null;
  }

  async ended(run: number, end: RunEnd): Promise<void> {
    const name = `${run}.by-${this.#rank}`;
    this.#told.add(name);
    const draft = join(this.#path, `${name}.tmp`);
    await this.#file(name, async (path) => {
      const file = await open(draft, "w");
      await file.writeFile(JSON.stringify(end)).finally(() => file.close());
      await rename(draft, path);
    });
  }

  /** Asks all ranks to stop. */
  async stop(): Promise<void> {
    this.#told.add("stop");
    await this.#create("stop");
  }

  /** Passes on what the others did, once a second until `signal` aborts. */
  async attend(listener: Listener, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#hear(listener);
      await pause(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Says that this rank does nothing more, and waits until all have said so. */
  async leave(listener: Listener): Promise<void> {
    await this.#create(`rank-${this.#rank}`);
    for (;;) {
      await this.#hear(listener);
      if ([...Array(this.size).keys()].every((rank) => this.#seen.has(`rank-${rank}`))) return;
      await pause(LOOK_MS);
    }
  }

  async #hear(listener: Listener): Promise<void> {
    await this.#look();
    for (const name of this.#seen) {
      if (this.#told.has(name)) continue;
      this.#told.add(name);
      const [, run, rank] = /^(\d+)\.by-(\d+)$/.exec(name) ?? [];
      if (name === "stop") listener.stopped();
      else if (run !== undefined) {
        const text = await this.#file(name, (path) => readFile(path, "utf8"));
        listener.ended(Number(run), JSON.parse(text) as RunEnd, Number(rank));
      }
    }
  }

  async #look(): Promise<void> {
    for (const name of await this.#file("", (path) => readdir(path))) this.#seen.add(name);
  }

  /** @returns false: another rank has created it */
  async #create(name: string): Promise<boolean> {
    const isNew = await this.#file(name, async (path) => {
      try {
        await (await open(path, "wx")).close();
        return true;
      } catch (error) {
        if (errnoOf(error) === "EEXIST") return false;
        throw error;
      }
    });
    this.#seen.add(name);
    return isNew;
  }

  /** @throws {EngineError} "lock-lost": the folder is gone, so another command has taken the sweep over; "file-write" */
  async #file<T>(name: string, action: (path: string) => Promise<T>): Promise<T> {
    const path = join(this.#path, name);
    try {
      return await action(path);
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw writeError(path, cause);
      const got = "it removed by another command, which took the sweep over";
      const message = `sweep: expected the folder where the ranks meet, ${printable(this.#path)}, got ${got}`;
      throw new EngineError("lock-lost", message, { folder: this.#path }, cause);
    }
  }
}
