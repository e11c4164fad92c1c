// The folder of a sweep, and how far each of its runs is. Everything is read from what runs leave, so that it does not matter who
// started them: this machine, a cluster, or a user with `axograd train`.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { ArgumentError, FileFormatError } from "../../core/errors.ts";
import { makeFolder, replaceFile } from "../../io/durable.ts";
import { VERSION } from "../../train/version.ts";
import { resolveConfig, settingsOf } from "../configLayers.ts";
import { isObject } from "../kinds.ts";
import { RUN_FILES } from "../runFiles.ts";
import { RunLock } from "../runLock.ts";
import type { RunSummary } from "../summary.ts";
import type { PlannedRun } from "./plan.ts";

export type RunStatus = "waiting" | "running" | "interrupted" | "failed" | "finished";

/** How far a run of a sweep is. */
export interface RunState {
  readonly run: PlannedRun;
  readonly status: RunStatus;
  /** There is a record that it can be continued from. */
  readonly begun: boolean;
  /** Of the last time that the run ended; null: it did not yet. */
  readonly summary: RunSummary | null;
  /** What a failed run ended with. */
  readonly error: string | null;
}

const RECORD = "sweep.json";
/** Folders in that of a sweep. */
const FOLDERS = ["configs", "logs", "runs"] as const;

export class SweepFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The folder of a run. */
  run(name: string): string {
    return join(this.path, "runs", name);
  }

  /** The configuration of a run, as `axograd train --config` takes it. */
  config(name: string): string {
    return join(this.path, "configs", `${name}.yaml`);
  }

  /** What the process of a run said. */
  log(name: string): string {
    return join(this.path, "logs", `${name}.log`);
  }

  /** @throws {ArgumentError} it has files and is not that of a sweep */
  async check(): Promise<void> {
    const names: readonly string[] = await readdir(this.path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw new ArgumentError("sweep", "--out", "a folder", `${this.path} (${error.code})`);
    });
    if (names.length === 0 || names.includes(RECORD)) return;
    throw new ArgumentError(
      "sweep",
      "--out",
      "a new folder, or that of a sweep",
      `${this.path}, which has other files`,
    );
  }

  /** Writes what the sweep consists of: its record, and the configuration of each run. */
  async create(runs: readonly PlannedRun[]): Promise<void> {
    for (const folder of FOLDERS) await makeFolder(join(this.path, folder));
    const record = {
      version: VERSION,
      runs: runs.map(({ name, options, settings }) => ({ name, options: Object.keys(options), settings })),
    };
    await replaceFile(join(this.path, RECORD), [`${JSON.stringify(record, null, 2)}\n`]);
    for (const { name, settings } of runs) await replaceFile(this.config(name), [stringify(settings)]);
  }

  /**
   * The runs of the sweep in this folder.
   *
   * @throws {FileFormatError} there is none
   */
  async runs(): Promise<PlannedRun[]> {
    const file = join(this.path, RECORD);
    const record = await readJson(file);
    const wrong = (got: string): never => {
      throw new FileFormatError(file, "the record of a sweep", got);
    };
    if (record === null) return wrong("no such file");
    if (!isObject(record) || !Array.isArray(record.runs)) return wrong("something else");
    return record.runs.map((entry: unknown) => {
      if (
        !isObject(entry) ||
        typeof entry.name !== "string" ||
        !isObject(entry.settings) ||
        !Array.isArray(entry.options)
      ) {
        return wrong("something else");
      }
      const settings = settingsOf(entry.settings, () => file);
      const values: Readonly<Record<string, unknown>> = settings;
      const options = Object.fromEntries(entry.options.map((key) => [String(key), values[String(key)]]));
      return { name: entry.name, options, settings, config: resolveConfig([settings]) };
    });
  }

  async states(runs: readonly PlannedRun[]): Promise<RunState[]> {
    const states: RunState[] = [];
    for (const run of runs) states.push(await this.state(run));
    return states;
  }

  async state(run: PlannedRun): Promise<RunState> {
    const folder = this.run(run.name);
    const start = await readJson(join(folder, RUN_FILES.config));
    const summary = (await readJson(join(folder, RUN_FILES.summary))) as RunSummary | null;
    const saved = isObject(start) && isObject(start.config) ? start.config : null;
    const common = { run, begun: saved !== null, summary, error: null };
    if (await isLocked(folder)) return { ...common, status: "running" };
    const { epochs, steps } = run.config;
    const isWhole = summary !== null && summary.interrupted === null;
    if (isWhole && saved?.epochs === epochs && saved.steps === steps) return { ...common, status: "finished" };
    const error = lastError(await readIfThere(this.log(run.name)));
    if (error !== null) return { ...common, status: "failed", error };
    return { ...common, status: saved ? "interrupted" : "waiting" };
  }
}

/** The line that a failed command ends with, without the command's name. */
function lastError(log: string | null): string | null {
  const lines = (log ?? "").split("\n").filter((line) => /^axograd: (?!warning: )/.test(line));
  return lines.at(-1)?.replace("axograd: ", "") ?? null;
}

async function isLocked(folder: string): Promise<boolean> {
  try {
    await RunLock.check(folder);
    return false;
  } catch {
    return true;
  }
}

async function readJson(file: string): Promise<unknown> {
  const text = await readIfThere(file);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new FileFormatError(file, "JSON", "other text");
  }
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return null;
  }
}
