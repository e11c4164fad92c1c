// The folder of a sweep, and the state of each of its runs. All states are read from the runs' files, so it does not matter what started them:
// this machine, a cluster, or `axograd train`.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, FileFormatError } from "../../core/errors.ts";
import { printable, shortened } from "../../core/text.ts";
import { VERSION } from "../../core/version.ts";
import { makeFolder, replaceFile } from "../../io/durable.ts";
import { exists, readBytes } from "../../io/files.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readTextFile } from "../../io/textFile.ts";
import {
  nullIfMissing,
  type RunStartFacts,
  type RunSummaryFacts,
  readRunStart,
  readRunSummary,
} from "../../report/runRecord.ts";
import { resolveConfig, settingsOf } from "../../run/configLayers.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import type { TaskDescription } from "../../train/taskDescription.ts";
import { isLockFile, LockedError, type LockOptions, RunLock } from "../runLock.ts";
import { yamlText } from "../yamlFile.ts";
import { checkRunName, type PlannedRun } from "./plan.ts";

export type RunStatus = "waiting" | "running" | "interrupted" | "failed" | "finished";

/** State of a run of a sweep. */
export interface RunState {
  readonly run: PlannedRun;
  readonly status: RunStatus;
  /** It has a record from which it can be continued. */
  readonly begun: boolean;
  /** It is finished, except for its page. */
  readonly pageDue: boolean;
  /** Which loss and metrics it has; null: it has not begun, or its record is damaged. */
  readonly task: TaskDescription | null;
  /** Summary from the last end of the run; null: it has not ended yet. */
  readonly summary: RunSummaryFacts | null;
  /** The error of a failed run; for a running one, why its state is uncertain. */
  readonly error: string | null;
}

const RECORD = "sweep.json";
/** Longest error text of a run; its log has the whole text. */
const ERROR_LENGTH = 4000;
/** Longest record: 100,000 runs with some settings each. */
const RECORD_BYTES = 1 << 28;
/** Runs whose files are read at the same time. */
const TOGETHER = 256;
/** Folders of a sweep. */
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

  /** The log of a run's process. */
  log(name: string): string {
    return join(this.path, "logs", `${name}.log`);
  }

  /** What a run's log says of its failure; null: nothing. */
  async lastError(name: string): Promise<string | null> {
    return errorIn(await readLog(this.log(name)));
  }

  /**
   * @param isLocked  this process holds the folder's lock; otherwise, a lock may be that of a sweep which begins there
   * @throws {ArgumentError} it has files and is no sweep's folder
   */
  async check(isLocked = false): Promise<void> {
    const names: readonly string[] = await readdir(this.path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw new ArgumentError("sweep", "--out", "a folder", `${this.path} (${error.code})`);
    });
    if (names.every(isLockFile) || names.includes(RECORD)) return;
    if (!isLocked && names.some(isLockFile)) return;
    throw new ArgumentError(
      "sweep",
      "--out",
      "a new folder, or that of a sweep",
      `${this.path}, which has other files`,
    );
  }

  /** Whether it is the folder of a sweep. */
  isThere(): Promise<boolean> {
    return exists(join(this.path, RECORD));
  }

  /** Writes the record of the sweep, by which its folder is known, and the configuration of each run. */
  async create(runs: readonly PlannedRun[]): Promise<void> {
    const record = {
      version: VERSION,
      runs: runs.map(({ name, options, settings }) => ({ name, options: Object.keys(options), settings })),
    };
    await replaceFile(join(this.path, RECORD), [`${JSON.stringify(record, null, 2)}\n`]);
    for (const folder of FOLDERS) await makeFolder(join(this.path, folder));
    for (const { name, settings } of runs) await replaceFile(this.config(name), [yamlText(settings)]);
  }

  /**
   * The runs of the sweep in this folder.
   *
   * @throws {FileFormatError} there is none, or it is damaged
   * @throws {ArgumentError} a wrong setting, or a name that leads out of the folder
   */
  async runs(): Promise<PlannedRun[]> {
    const file = join(this.path, RECORD);
    const text = await readTextFile(file, "the record of a sweep", RECORD_BYTES);
    return JsonParts.parse(file, text, "the record of a sweep")
      .objects("runs")
      .map((entry): PlannedRun => {
        const name = entry.text("name");
        checkRunName(file, name);
        const settings = settingsOf(entry.object("settings").all, () => file);
        const options = optionsAmong(entry, settings);
        return { name, options, settings, config: resolveConfig([settings]) };
      });
  }

  async states(runs: readonly PlannedRun[]): Promise<RunState[]> {
    const states: RunState[] = [];
    // Some at a time: Slurm is asked once for all of them.
    for (let k = 0; k < runs.length; k += TOGETHER) {
      states.push(...(await Promise.all(runs.slice(k, k + TOGETHER).map((run) => this.state(run)))));
    }
    return states;
  }

  /**
   * The states once it is known whether a process works on each run: watches all uncertain heartbeats at once.
   */
  async settledStates(runs: readonly PlannedRun[], options: LockOptions): Promise<RunState[]> {
    const settle = async (state: RunState): Promise<RunState> => {
      if (state.status !== "running") return state;
      try {
        await RunLock.check(this.run(state.run.name), options);
        return this.#stateUnlocked(state.run);
      } catch (error) {
        if (!(error instanceof LockedError)) throw error;
        return error.isAlive ? state : { ...state, error: error.message };
      }
    };
    return Promise.all((await this.states(runs)).map(settle));
  }

  async state(run: PlannedRun): Promise<RunState> {
    const state = await this.#stateUnlocked(run);
    const isLocked = !(await RunLock.isFree(this.run(run.name)));
    return isLocked ? { ...state, status: "running", pageDue: false, error: null } : state;
  }

  async #stateUnlocked(run: PlannedRun): Promise<RunState> {
    const folder = this.run(run.name);
    try {
      const start = await nullIfMissing(readRunStart(join(folder, RUN_FILES.config)));
      return await this.#stateOf(run, start, await readRunSummary(join(folder, RUN_FILES.summary)));
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      // A new run must not replace existing files.
      return { run, status: "failed", begun: true, pageDue: false, task: null, summary: null, error: error.message };
    }
  }

  async #stateOf(run: PlannedRun, start: RunStartFacts | null, summary: RunSummaryFacts | null): Promise<RunState> {
    const common = { run, begun: start !== null, pageDue: false, task: start?.task ?? null, summary, error: null };
    const { epochs, steps } = run.config;
    const isWhole = summary !== null && summary.interrupted === null;
    if (isWhole && start?.config.epochs === epochs && start.config.steps === steps) {
      const isPaged = Array.isArray(summary.files) && summary.files.includes(RUN_FILES.report);
      const pageDue = isPaged && !(await exists(join(this.run(run.name), RUN_FILES.report)));
      return { ...common, status: "finished", pageDue };
    }
    const error = await this.lastError(run.name);
    if (error !== null) return { ...common, status: "failed", error };
    return { ...common, status: start ? "interrupted" : "waiting" };
  }
}

function optionsAmong(entry: JsonParts, settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const keys = entry.texts("options");
  if (!keys.every((key) => Object.hasOwn(settings, key))) throw entry.error("options", "names of the settings");
  return Object.fromEntries(keys.map((key) => [key, settings[key]]));
}

/** The line that a failed command ends with, without the command's name. */
function errorIn(log: string | null): string | null {
  const lines = (log ?? "").split("\n").filter((line) => /^axograd: (?!warning: )/.test(line));
  const last = lines.at(-1)?.replace("axograd: ", "");
  return last === undefined ? null : printable(shortened(last, ERROR_LENGTH));
}

/** The output of a process, decoded leniently; null: nothing yet. */
async function readLog(file: string): Promise<string | null> {
  const bytes = await nullIfMissing(readBytes(file, "a log"));
  return bytes && new TextDecoder().decode(bytes);
}
