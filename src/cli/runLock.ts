// One process per run folder: a lock file that names the process and holds its heartbeat. A lock whose process is gone is taken over:
// at once where that can be known, otherwise when its heartbeat has stood still for as long as this process has watched it. Clocks of
// two machines are never compared. A process that was taken for gone but lives notices it before its next write, and stops.

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { constants, copyFile, link, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { writeError } from "../io/durable.ts";
import { beatText, Heartbeat } from "./heartbeat.ts";
import { describeSelf, fateOf, type Holder, parseHolder, textIfThere } from "./lockHolder.ts";

const NAME = "run.lock";
/** Locks that were being taken or removed when their process was killed. */
const LEFTOVER = /^run\.lock\..+\.(tmp|stale)$/;

/** A heartbeat that stood still for so many looks, a second apart, has ended: twelve beats, and any cache of a file system. */
const LOOKS = 60;
const LOOK_MS = 1000;
/** After a takeover: a process that saw the same stale lock a moment earlier has acted on it by then. */
const SETTLE_MS = 200;

/** What to do about a lock of a process that cannot be asked. */
export interface LockOptions {
  /** Take it without watching its heartbeat. */
  readonly takeOver?: boolean;
  /** Is told why this takes a while. */
  readonly onWait?: (text: string) => void;
  /** Looks at a heartbeat, and milliseconds between them. */
  readonly looks?: number;
  readonly lookMs?: number;
}

/** A folder is another process's. */
export class LockedError extends ArgumentError {
  /** That process lives; false: nobody can tell. */
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
  /** Also where the process is told to end at once. */
  readonly #removeAtExit = (): void => {
    if (this.#heartbeat.isHeld({ now: true })) rmSync(this.#file, { force: true });
  };

  private constructor(folder: string, id: string, text: string) {
    this.#folder = folder;
    this.#file = join(folder, NAME);
    this.#heartbeat = new Heartbeat(this.#file, id, text);
    process.once("exit", this.#removeAtExit);
  }

  /** Whether no process works in the folder, as far as this can be known without watching a heartbeat. */
  static async isFree(folder: string): Promise<boolean> {
    const text = await readLock(join(folder, NAME));
    if (text === null) return true;
    const holder = parseHolder(text);
    return holder !== null && (await fateOf(holder, await describeSelf("", ""))) === "gone";
  }

  /**
   * Makes sure that no other process works in the folder; changes nothing.
   *
   * @returns the lock of a process that is gone, which `take` then need not watch again; null: there is no lock
   * @throws {LockedError} one does
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
   * @throws {LockedError} another process has it
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
    if (lock.#heartbeat.isHeld({ now: true })) {
      await removeLeftovers(folder);
      return lock;
    }
    // Of two that took over the same lock, the other was the last.
    await lock.release();
    return RunLock.take(folder, options);
  }

  /**
   * Makes sure that the folder is still this process's. To be called before every write.
   *
   * @param now  look at the lock, however lately it was seen
   * @throws {EngineError} "lock-lost"; nothing may be written any more
   */
  async assertHeld({ now = false }: { readonly now?: boolean } = {}): Promise<void> {
    if (this.#heartbeat.isHeld({ now })) return;
    const holder = parseHolder((await textIfThere(this.#file)) ?? "");
    // Of a folder that is being deleted, the lock may be gone first.
    if (!holder) await pause(SETTLE_MS);
    const isThere = await stat(this.#folder).then(
      () => true,
      () => false,
    );
    const got = holder
      ? `taken over by ${nameOf(holder)}, which took this process for gone`
      : isThere
        ? `without its ${NAME}, which somebody has deleted`
        : "deleted or moved";
    const facts = { folder: this.#folder, holder };
    throw new EngineError("lock-lost", `${this.#folder}: expected to have the folder of the run, got it ${got}`, facts);
  }

  /** Lets other processes work in the folder. A lock that is another's stays. */
  async release(): Promise<void> {
    process.off("exit", this.#removeAtExit);
    await this.#heartbeat.stop();
    this.#removeAtExit();
  }
}

/**
 * Whether the process of a lock is gone. If nobody can tell, its heartbeat is watched.
 *
 * @returns false: the lock has changed hands meanwhile
 * @throws {LockedError} it is not
 */
async function isGone(folder: string, text: string, options: LockOptions): Promise<boolean> {
  const holder = parseHolder(text);
  const fate = holder ? await fateOf(holder, await describeSelf("", "")) : "unknown";
  if (fate === "gone" || (fate === "unknown" && options.takeOver)) return true;
  if (holder && (fate === "alive" || holder.beat === null)) throw lockedError(folder, holder, fate);
  const { looks = LOOKS, lookMs = LOOK_MS, onWait } = options;
  const seconds = Math.round((looks * lookMs) / 1000);
  onWait?.(`${folder} is in use by ${nameOf(holder)}: watching for up to ${seconds} s whether that lives`);
  const now = await watched(join(folder, NAME), text, looks, lookMs);
  if (now === text) return true;
  const next = now === null ? null : parseHolder(now);
  if (next && holder && next.id === holder.id) throw lockedError(folder, next, "beating");
  return false;
}

/** The text of a lock when it changes, or the same if it does not. Counts looks, not time: this process, too, may be stopped in between. */
async function watched(file: string, text: string, looks: number, lookMs: number): Promise<string | null> {
  for (let look = 0; look < looks; look++) {
    await pause(lookMs);
    const now = await readLock(file);
    if (now !== text) return now;
  }
  return text;
}

/** The text of a lock; null: there is none, or it was replaced just now. */
async function readLock(file: string): Promise<string | null> {
  try {
    // A link that leads nowhere would be missing for ever, and its name taken.
    return await readFile(file, { encoding: "utf8", flag: constants.O_RDONLY | constants.O_NOFOLLOW });
  } catch (cause) {
    if (["ENOENT", "ENOTDIR", "ESTALE"].includes(errnoOf(cause))) return null;
    throw writeError(file, cause);
  }
}

/** A link appears with its whole content or not at all; a copy stands in where there are no links. False: the name is taken. */
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

/** Renames before it removes, so that of two processes that find the same stale lock one sees that it took the other's new one. */
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

/** Removes what processes that are certainly gone have left. */
async function removeLeftovers(folder: string): Promise<void> {
  const me = await describeSelf("", "");
  for (const name of await readdir(folder)) {
    if (!LEFTOVER.test(name)) continue;
    const holder = parseHolder((await textIfThere(join(folder, name))) ?? "");
    if (holder && (await fateOf(holder, me)) === "gone") await rm(join(folder, name), { force: true });
  }
}

/** `process 12 on node-17 (Slurm job 77)`. */
function nameOf(holder: Holder | null): string {
  if (!holder) return "a process that cannot be read";
  const { pid, host, job } = holder;
  return `process ${pid} on ${host}${job ? ` (Slurm job ${job.task ?? job.id})` : ""}`;
}

function lockedError(folder: string, holder: Holder, fate: "alive" | "beating" | "unknown"): LockedError {
  const who = `${nameOf(holder)} since ${holder.since}`;
  const file = join(folder, NAME);
  const hints = {
    alive: `; end it first (kill ${holder.pid})`,
    beating: "; its heartbeat goes on: end it there first, or give --take-over, which makes it stop",
    unknown: `; if it is gone, delete ${file} or give --take-over: an earlier version of axograd, which had no heartbeat, took it`,
  };
  return new LockedError(folder, `one that is in use by ${who}${hints[fate]}`, fate !== "unknown");
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
