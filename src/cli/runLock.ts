// One process per run folder: a lock file names the process and holds its heartbeat. A lock is taken over once its process has ended: at once
// if that can be known, otherwise after watching its heartbeat stand still. Clocks of two machines are never compared. A process that lives but
// lost its lock notices before its next write, and stops.

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { constants, copyFile, link, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { writeError } from "../io/durable.ts";
import { errnoOf } from "../io/files.ts";
import { beatText, Heartbeat } from "./heartbeat.ts";
import { describeSelf, type Fate, fateOf, type Holder, parseHolder, textIfThere } from "./lockHolder.ts";

const NAME = "run.lock";
/** Names of locks during a takeover or removal; left behind if the process is killed. */
const LEFTOVER = /^run\.lock\..+\.(tmp|stale)$/;

/** Reads of the lock, a second apart, without a change that mean the process has ended: twelve beats, longer than any file system caches. */
const LOOKS = 60;
const LOOK_MS = 1000;
/** Wait after a takeover: until then, another process that saw the same stale lock has acted on it. */
const SETTLE_MS = 200;

/** How to treat the lock of a process on another machine. */
export interface LockOptions {
  /** Take the lock without watching its heartbeat. */
  readonly takeOver?: boolean;
  /** Gets the reason for a wait. */
  readonly onWait?: (text: string) => void;
  /** Number of reads of a heartbeat, and milliseconds between them. */
  readonly looks?: number;
  readonly lookMs?: number;
}

/** Another process holds the folder. */
export class LockedError extends ArgumentError {
  /** That process is alive; false: unknown. */
  readonly isAlive: boolean;

  constructor(folder: string, got: string, isAlive: boolean) {
    super("train", "run folder", `${folder} to be free`, got);
    this.isAlive = isAlive;
  }
}

/** Whether a file of a folder is part of its lock. */
export function isLockFile(name: string): boolean {
  return name === NAME || LEFTOVER.test(name);
}

export class RunLock {
  readonly #folder: string;
  readonly #file: string;
  readonly #heartbeat: Heartbeat;
  /** Also when the process exits at once. */
  readonly #removeAtExit = (): void => {
    if (this.#heartbeat.isHeld()) rmSync(this.#file, { force: true });
  };

  private constructor(folder: string, id: string, text: string) {
    this.#folder = folder;
    this.#file = join(folder, NAME);
    this.#heartbeat = new Heartbeat(this.#file, id, text);
    process.once("exit", this.#removeAtExit);
  }

  /** Whether the folder is free, as far as that can be known without watching a heartbeat. */
  static async isFree(folder: string): Promise<boolean> {
    const text = await readLock(join(folder, NAME));
    if (text === null) return true;
    const holder = parseHolder(text);
    return holder !== null && (await fateOf(holder, await describeSelf("", ""))) === "gone";
  }

  /**
   * Checks that no other process works in the folder; changes nothing.
   *
   * @returns the lock of a process that has ended, so that `take` need not watch it again; null: there is no lock
   * @throws {LockedError} another process works in it
   */
  static async check(folder: string, options: LockOptions = {}): Promise<string | null> {
    const file = join(folder, NAME);
    const text = await readLock(file);
    if (text === null) return null;
    return (await isGone(folder, text, options)) ? text : RunLock.check(folder, options);
  }

  /**
   * Takes the lock of an existing folder.
   *
   * @param departed  what `check` returned
   * @throws {LockedError} another process holds it
   */
  static async take(folder: string, options: LockOptions = {}, departed: string | null = null): Promise<RunLock> {
    const file = join(folder, NAME);
    const id = randomUUID();
    const own = `${file}.${id}.tmp`;
    const text = `${JSON.stringify(await describeSelf(id, beatText(0)))}\n`;
    try {
      await writeFile(own, text);
      while (!(await linked(own, file))) {
        const found = await readLock(file);
        if (found === null) continue;
        if (found !== departed && !(await isGone(folder, found, options))) continue;
        await remove(file, found, `${file}.${id}.stale`);
        if (!(await linked(own, file))) continue;
        await pause(SETTLE_MS);
        break;
      }
    } catch (cause) {
      throw cause instanceof EngineError ? cause : writeError(file, cause);
    } finally {
      await rm(own, { force: true });
    }
    const lock = new RunLock(folder, id, text);
    if (lock.#heartbeat.isHeld()) {
      await removeLeftovers(folder);
      return lock;
    }
    // Two processes took over the same lock, and the other one was last.
    await lock.release();
    return RunLock.take(folder, options);
  }

  /**
   * Checks that this process still holds the folder, according to its lock. Call it before every write.
   *
   * @throws {EngineError} "lock-lost"; the process must write nothing more
   */
  async assertHeld(): Promise<void> {
    if (this.#heartbeat.isHeld()) return;
    let holder = await readHolder(this.#file);
    // While another process replaces the lock, there is none; when a folder is being deleted, its lock may go first.
    if (!holder) {
      await pause(SETTLE_MS);
      holder = await readHolder(this.#file);
    }
    const isThere = await stat(this.#folder).then(
      () => true,
      () => false,
    );
    const got = holder
      ? `taken over by ${nameOf(holder)}, which found no heartbeat of this process`
      : isThere
        ? `without its ${NAME}, which was deleted`
        : "deleted or moved";
    const facts = { folder: this.#folder, holder };
    throw new EngineError("lock-lost", `${this.#folder}: expected to hold the folder of the run, got it ${got}`, facts);
  }

  /** Unlocks the folder for other processes. Leaves the lock of another process. */
  async release(): Promise<void> {
    process.off("exit", this.#removeAtExit);
    await this.#heartbeat.stop();
    this.#removeAtExit();
  }
}

/**
 * Whether the process of a lock has ended. If that is unknown, watches its heartbeat.
 *
 * @returns false: another process took the lock meanwhile
 * @throws {LockedError} the process is alive
 */
async function isGone(folder: string, text: string, options: LockOptions): Promise<boolean> {
  const holder = parseHolder(text);
  const fate = holder ? await fateOf(holder, await describeSelf("", "")) : "unknown";
  if (fate === "gone" || (fate === "unknown" && options.takeOver)) return true;
  if (holder && (fate !== "unknown" || holder.beat === null)) throw lockedError(folder, holder, fate);
  const { looks = LOOKS, lookMs = LOOK_MS, onWait } = options;
  const seconds = Math.round((looks * lookMs) / 1000);
  onWait?.(`${folder} is in use by ${nameOf(holder)}: waiting up to ${seconds} s for its heartbeat`);
  const file = join(folder, NAME);
  const now = await watched(file, text, looks, lookMs);
  if (now === text) return true;
  const next = parseHolder(now ?? "");
  if (next && holder && next.id === holder.id) throw lockedError(folder, next, "beating");
  if (next || holder || now === null) return false;
  // A lock that was being written can be read by the next look.
  await pause(lookMs);
  const then = await readLock(file);
  if (then !== null && !parseHolder(then)) throw lockedError(folder, null, "beating");
  return false;
}

/** Waits until the text of a lock changes, and returns it either way. Counts reads, not time, as this process may be paused, too. */
async function watched(file: string, text: string, looks: number, lookMs: number): Promise<string | null> {
  for (let look = 0; look < looks; look++) {
    await pause(lookMs);
    const now = await readLock(file);
    if (now !== text) return now;
  }
  return text;
}

async function readHolder(file: string): Promise<Holder | null> {
  return parseHolder((await textIfThere(file)) ?? "");
}

/** The text of a lock; null: there is none, or it is being replaced. */
async function readLock(file: string): Promise<string | null> {
  try {
    // Following a dangling link, the lock would look missing while its name is taken.
    return await readFile(file, { encoding: "utf8", flag: constants.O_RDONLY | constants.O_NOFOLLOW });
  } catch (cause) {
    if (["ENOENT", "ENOTDIR", "ESTALE"].includes(errnoOf(cause))) return null;
    throw writeError(file, cause);
  }
}

/** Creates the lock with its content at once, by a link; by a copy on file systems without links. False: the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to).catch((error: unknown) => {
      if (errnoOf(error) === "EEXIST") throw error;
      return copyFile(from, to, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Renames before removing: of two processes with the same stale lock, one then sees that it caught the other's new lock. */
async function remove(file: string, found: string, aside: string): Promise<void> {
  if ((await textIfThere(file)) !== found) return;
  try {
    await rename(file, aside);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  const taken = await textIfThere(aside);
  if (taken !== found) await linked(aside, file);
  await rm(aside, { force: true });
}

/** Removes the leftovers of processes that have certainly ended. */
async function removeLeftovers(folder: string): Promise<void> {
  const me = await describeSelf("", "");
  for (const name of await readdir(folder)) {
    if (!LEFTOVER.test(name)) continue;
    const holder = await readHolder(join(folder, name));
    if (holder && (await fateOf(holder, me)) === "gone") await rm(join(folder, name), { force: true });
  }
}

/** `process 12 on node-17 (Slurm job 77)`. */
function nameOf(holder: Holder | null): string {
  if (!holder) return "a process whose lock cannot be read";
  const { pid, host, job } = holder;
  return `process ${pid} on ${host}${job ? ` (Slurm job ${job.task ?? job.id})` : ""}`;
}

function lockedError(folder: string, holder: Holder | null, fate: Exclude<Fate, "gone"> | "beating"): LockedError {
  const who = holder ? `${nameOf(holder)} since ${holder.since}` : nameOf(holder);
  const file = join(folder, NAME);
  const hints = {
    alive: `; end it first (kill ${holder?.pid})`,
    suspended: "; Slurm has suspended it: resume or cancel that job first",
    beating: "; it is alive: end it there first, or give --take-over, which makes it stop",
    unknown: `; if it has ended, delete ${file} or give --take-over: its version of axograd writes no heartbeat`,
  };
  return new LockedError(folder, `one that is in use by ${who}${hints[fate]}`, fate !== "unknown");
}
