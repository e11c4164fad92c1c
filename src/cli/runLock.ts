// One process per run folder: a lock file that names the process. A lock whose process is gone is taken over.

import { constants, copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ArgumentError } from "../core/errors.ts";
import { writeError } from "../io/durable.ts";

const NAME = "run.lock";

/** Who holds a lock. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as the system counts; null where that is not known. A later process with the same pid has another. */
  readonly began: string | null;
  /** When the lock was taken, for people. */
  readonly since: string;
}

export class RunLock {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /**
   * Makes sure that no other process works in the folder; changes nothing.
   *
   * @throws {ArgumentError} one does
   */
  static async check(folder: string): Promise<void> {
    const text = await readIfThere(join(folder, NAME));
    if (text !== null && !(await isStale(text))) throw lockedError(folder, text);
  }

  /**
   * Takes the lock of an existing folder.
   *
   * @throws {ArgumentError} another process has it
   */
  static async take(folder: string): Promise<RunLock> {
    const file = join(folder, NAME);
    const own = `${file}.${process.pid}.tmp`;
    const holder: Holder = {
      pid: process.pid,
      host: hostname(),
      began: await beginOf(process.pid),
      since: new Date().toISOString(),
    };
    try {
      await writeFile(own, `${JSON.stringify(holder)}\n`);
      if (!(await linked(own, file))) {
        await removeStale(folder, file);
        if (!(await linked(own, file))) throw lockedError(folder, (await readIfThere(file)) ?? "");
      }
    } catch (cause) {
      throw cause instanceof ArgumentError ? cause : writeError(file, cause);
    } finally {
      await rm(own, { force: true });
    }
    return new RunLock(file);
  }

  async release(): Promise<void> {
    await rm(this.#file, { force: true });
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
async function removeStale(folder: string, file: string): Promise<void> {
  const found = await readIfThere(file);
  if (found === null) return;
  if (!(await isStale(found))) throw lockedError(folder, found);
  const aside = `${file}.${process.pid}.stale`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  const taken = await readIfThere(aside);
  if (taken !== found) await linked(aside, file);
  await rm(aside, { force: true });
}

/** Whether the process of a lock is gone. That of another machine cannot be asked. */
async function isStale(text: string): Promise<boolean> {
  const holder = parseHolder(text);
  if (!holder) return true;
  if (holder.host !== hostname()) return false;
  if (!isAlive(holder.pid)) return true;
  const began = await beginOf(holder.pid);
  return holder.began !== null && began !== null && began !== holder.began;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** Boot and clock ticks at which a process began, on Linux. */
async function beginOf(pid: number): Promise<string | null> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  const boot = await readIfThere("/proc/sys/kernel/random/boot_id");
  // The name of the program, in parentheses, may have spaces; the start is the 20th field after it.
  const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  return ticks && boot ? `${boot.trim()}:${ticks}` : null;
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return null;
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const holder: Holder = JSON.parse(text);
    return Number.isInteger(holder.pid) && holder.pid > 0 ? holder : null;
  } catch {
    return null;
  }
}

function lockedError(folder: string, text: string): ArgumentError {
  const { pid, host, since } = parseHolder(text) ?? { pid: "?", host: "?", since: "?" };
  const who = `process ${pid} on ${host} since ${since}`;
  const hint = host === hostname() ? "" : `; if it is gone, delete ${join(folder, NAME)}`;
  return new ArgumentError("train", "run folder", `${folder} to be free`, `one that is in use by ${who}${hint}`);
}

function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
