// The output folder of a run: its files, when they may be replaced, and the lock that admits one process at a time. Of the processes of one
// run a single one has the folder; to the others it is only a name.

import { access, constants, copyFile, link, readdir, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ArgumentError } from "../core/errors.ts";
import { jsonText } from "../core/text.ts";
import { makeFolder, replaceFile, writeError } from "../io/durable.ts";
import { RUN_FILES, type RunFile } from "../run/runFiles.ts";
import { isRunning } from "./lockHolder.ts";
import { NO_RECORDS, type OpenedRecords, openRecords } from "./records.ts";
import { isLockFile, type LockOptions, RunLock } from "./runLock.ts";

/** An earlier checkpoint: `checkpoint-<step>.safetensors`. */
const KEPT = /^checkpoint-(\d+)\.safetensors$/;
/** Left by a process that was killed during a write; its id is in the name. */
const LEFTOVER = /\.(\d+)\.tmp$/;

export class RunFolder {
  readonly path: string;
  readonly #lockOptions: LockOptions;
  #lock: RunLock | null = null;
  /** The lock of a process that has ended. */
  #departed: string | null = null;
  /** Files of an earlier run may be replaced. */
  #overwrite = true;

  constructor(path: string, lockOptions: LockOptions = {}) {
    this.path = path;
    this.#lockOptions = lockOptions;
  }

  /** The path of one of its files. */
  file(name: RunFile): string {
    return join(this.path, RUN_FILES[name]);
  }

  /**
   * Checks that a new run can use the folder; changes nothing.
   *
   * @throws {ArgumentError} the path is a file, the folder has files (without `overwrite`), or it cannot be made or written to
   */
  async check({ overwrite }: { readonly overwrite: boolean }): Promise<void> {
    this.#overwrite = overwrite;
    const refuse = (expected: string, got: string): never => {
      throw new ArgumentError("train", "--out", expected, `${this.path}, ${got}`);
    };
    const kind = await kindOf(this.path);
    if (kind === "file") refuse("a folder", "which is a file");
    if (kind === "folder" && !overwrite) await this.#checkEmpty();
    const existing = await nearestExisting(resolve(this.path));
    try {
      await access(existing, constants.W_OK);
    } catch {
      refuse("a folder that can be written to", "which cannot");
    }
    this.#departed = await RunLock.check(this.path, this.#lockOptions);
  }

  /**
   * Makes the folder, locks it, and removes the files of an earlier run.
   *
   * @throws {ArgumentError} another process works in it, or has done so since `check`
   */
  async create(): Promise<void> {
    await makeFolder(this.path);
    await this.open();
    try {
      if (!this.#overwrite) await this.#checkEmpty();
      const earlier = new Set<string>(Object.values(RUN_FILES));
      await this.#removeWhere((name) => earlier.has(name) || KEPT.test(name));
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /**
   * Locks an existing folder for this process.
   *
   * @throws {ArgumentError} another process works in it
   */
  async open(): Promise<void> {
    this.#lock = await RunLock.take(this.path, this.#lockOptions, this.#departed);
    try {
      await this.#removeWhere((name) => isLeftover(name));
    } catch (error) {
      await this.release();
      throw error;
    }
  }

  /**
   * Checks, before every write, that no other process has taken the folder.
   *
   * @throws {EngineError} "lock-lost"
   */
  async assertHeld(): Promise<void> {
    await this.#lock?.assertHeld();
  }

  /** Lets other processes work in the folder. */
  async release(): Promise<void> {
    await this.#lock?.release();
    this.#lock = null;
  }

  /** Keeps the current checkpoint as one of the last `count`; with a count of 1 it is the only one. */
  async keepCheckpoint(step: number, count: number): Promise<void> {
    const steps = (await readdir(this.path)).flatMap((name) => KEPT.exec(name)?.[1] ?? []).map(Number);
    const kept = count === 1 ? [] : [...new Set([...steps, step])].sort((a, b) => b - a).slice(0, count);
    const name = (of: number): string => `checkpoint-${String(of).padStart(8, "0")}.safetensors`;
    await this.#change(async () => {
      if (count > 1) await linkOrCopy(this.file("checkpoint"), join(this.path, name(step)));
    });
    const names = new Set(kept.map(name));
    await this.#removeWhere((file) => KEPT.test(file) && !names.has(file));
  }

  /** The names of the run's existing files, and the summary, which will name them. */
  async files(): Promise<string[]> {
    const there = new Set([...(await readdir(this.path)), RUN_FILES.summary]);
    return Object.values(RUN_FILES).filter((name) => name !== RUN_FILES.report && there.has(name));
  }

  /** Files of a process that was killed before its first write do not count. */
  async #checkEmpty(): Promise<void> {
    const names = (await readdir(this.path)).filter((name) => !isLockFile(name) && !isLeftover(name));
    if (names.length === 0) return;
    const expected = "a new or empty folder (or --overwrite)";
    throw new ArgumentError("train", "--out", expected, `${this.path}, which has files`);
  }

  async #removeWhere(wanted: (name: string) => boolean): Promise<void> {
    await this.#change(async () => {
      for (const name of await readdir(this.path)) if (wanted(name)) await rm(join(this.path, name), { force: true });
    });
  }

  async #change(action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (cause) {
      throw writeError(this.path, cause);
    }
  }

  /** Opens its metrics and events: new ones, or those of the run that continues after step `from`. */
  async openRecords(from: number | null): Promise<OpenedRecords> {
    return openRecords(this.path, this.file("metrics"), from);
  }

  async writeJson(name: RunFile, value: unknown): Promise<void> {
    await this.write(name, (file) => replaceFile(file, [`${readableJson(value)}\n`]));
  }

  async writeText(name: RunFile, text: string): Promise<void> {
    await this.write(name, (file) => replaceFile(file, [text]));
  }

  /** Has `writer` write one of its files. */
  async write(name: RunFile, writer: (file: string) => Promise<unknown>): Promise<void> {
    await this.assertHeld();
    await writer(this.file(name));
  }
}

/** The folder of a run for the processes that do not write: its names. Nothing is checked, locked or changed. */
export class FollowedFolder extends RunFolder {
  override async check(): Promise<void> {}
  override async create(): Promise<void> {}
  override async open(): Promise<void> {}
  override async keepCheckpoint(): Promise<void> {}
  override async files(): Promise<string[]> {
    return [];
  }
  override async openRecords(): Promise<OpenedRecords> {
    return NO_RECORDS;
  }
  override async write(): Promise<void> {}
}

/** An unfinished file of a process that was killed, not one that a process is writing now. */
function isLeftover(name: string): boolean {
  const pid = Number(LEFTOVER.exec(name)?.[1]);
  const isWritten = pid !== process.pid && isRunning(pid);
  return pid > 0 && !isWritten && Object.values(RUN_FILES).some((file) => name.startsWith(file));
}

/** A second name for a file, which takes no space; a copy on file systems without links. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await link(from, to).catch(() => copyFile(from, to));
  } catch (error) {
    await rm(to, { force: true });
    throw error;
  }
}

/** Indented JSON with lists of numbers on one line. */
function readableJson(value: unknown): string {
  return jsonText(value, 2).replace(/\[[\s\d.,e+-]*\]/g, (list) => list.replace(/\s+/g, " "));
}

/** `runs/2026-01-31T12-30-05-demo`. */
export function defaultRunPath(preset: string, now: Date = new Date()): string {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return join("runs", `${local.toISOString().slice(0, 19).replaceAll(":", "-")}-${preset}`);
}

async function kindOf(path: string): Promise<"file" | "folder" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "nothing";
  }
}

async function nearestExisting(path: string): Promise<string> {
  return (await kindOf(path)) === "nothing" && dirname(path) !== path ? nearestExisting(dirname(path)) : path;
}
