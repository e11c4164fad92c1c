// The choices of sparse kernels that a run works with: tried on its GPU, remembered, from a file, or those that its record has.

import type { Backend } from "../backend/backend.ts";
import type { WebGpuBackend } from "../backend/webgpu/backend.ts";
import type { SparseTuning } from "../backend/webgpu/sparseTuning.ts";
import type { TuneOptions, TuningResult, TuningTools } from "../backend/webgpu/tuneSparse.ts";
import { checkTuning, recordJson, type TuningRecord, tuningKey } from "../backend/webgpu/tuningKey.ts";
import type { Csr } from "../core/csr.ts";
import { BackendError, FileFormatError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import type { Facts } from "../io/jsonParts.ts";
import { TUNE_WORDS } from "./config.ts";
import { choicesText, readTuningFile, recall, remember, type TuningEntry } from "./tuningFile.ts";

const SOURCES = ["default", "trial", "cache", "file"] as const;

/** The choices that a run works with, and where they come from; part of its record and of its checkpoints. */
export interface RunTuning extends TuningRecord {
  readonly source: (typeof SOURCES)[number];
}

/** How a choice is found; tests have their own. */
export interface Tuner {
  tune(backend: WebGpuBackend, csr: Csr, options: TuneOptions, tools?: TuningTools): Promise<TuningResult>;
  key(backend: WebGpuBackend, csr: Csr, lanes: number, regroup: boolean): string;
}

export const TUNER: Tuner = {
  async tune(...given) {
    const { tuneSparse } = await import("../backend/webgpu/tuneSparse.ts");
    return tuneSparse(...given);
  },
  key: tuningKey,
};

/** What is tuned, and who hears of it. */
export interface TuningSubject {
  readonly csr: Csr;
  /** Samples that a training step runs at once. */
  readonly lanes: number;
  readonly warn: (message: string) => void;
  /** Called when trials have begun. */
  readonly onTrials?: (adapter: string) => void;
  readonly tuner?: Tuner;
}

/** The choices of a device, which has them now. */
export interface Tuned {
  readonly tuning: RunTuning;
  /** One line for people. */
  readonly text: string;
}

/** Where a run takes its choices from, once files are read. */
export type TuningPlan =
  | { readonly how: "auto" | "again" | "off" }
  | { readonly how: "file"; readonly file: string; readonly entries: readonly TuningEntry[] }
  /** As the run began; null: it began without a record of choices, with the default ones. */
  | { readonly how: "run"; readonly recorded: RunTuning | null };

/**
 * The plan of the setting `tune`.
 *
 * @throws {FileFormatError} a file that cannot be used
 */
export async function tuningPlan(tune: string): Promise<TuningPlan> {
  const word = TUNE_WORDS.find((known) => known === tune);
  if (word) return { how: word };
  return { how: "file", file: tune, entries: await readTuningFile(tune, `${TUNE_WORDS.join(", ")}, or a file with`) };
}

/**
 * Chooses for a device on which nothing has been made yet.
 *
 * @returns null: the device has no such choices
 */
export async function tuneDevice(device: Backend, plan: TuningPlan, subject: TuningSubject): Promise<Tuned | null> {
  if (!isWebGpu(device)) {
    const asked = plan.how === "file" ? plan.file : plan.how === "again" ? plan.how : null;
    if (asked !== null) subject.warn(`--tune ${asked} has no effect, as the device is ${device.description}`);
    return null;
  }
  const tuned = await chosen(device, plan, subject);
  device.retune(tuned.tuning.tuning);
  return tuned;
}

/** Gives a device the choices of a run, as far as they make the numbers; those of its own card whole. */
export function retuneAs(device: Backend, recorded: RunTuning | null): void {
  if (recorded && isWebGpu(device)) device.retune(choicesOn(device, recorded));
}

function isWebGpu(device: Backend): device is WebGpuBackend {
  return device.name === "webgpu";
}

function chosen(device: WebGpuBackend, plan: TuningPlan, subject: TuningSubject): Tuned | Promise<Tuned> {
  switch (plan.how) {
    case "off":
      return byDefault(device, subject, "default choices");
    case "auto":
    case "again":
      return remembered(device, subject, plan.how === "again");
    case "file":
      return fromFile(device, subject, plan);
    case "run":
      return fromRun(device, subject, plan.recorded);
  }
}

function byDefault(device: WebGpuBackend, subject: TuningSubject, text: string): Tuned {
  return { tuning: recordFor(device, subject, { source: "default", tuning: device.standardTuning }), text };
}

/** Seconds after which trials are worth a line. */
const PATIENCE = 0.1;

async function remembered(device: WebGpuBackend, subject: TuningSubject, again: boolean): Promise<Tuned> {
  const { csr, lanes, warn, tuner = TUNER, onTrials = () => {} } = subject;
  const key = tuner.key(device, csr, lanes, false);
  const known = again ? null : await recall(key, warn);
  if (known) {
    const { created, tuning } = known;
    const text = `${textOf(device, tuning)}, as remembered since ${created.slice(0, 10)}`;
    return { tuning: recordFor(device, subject, { source: "cache", tuning }), text };
  }
  // Where nothing is tried, the answer comes sooner.
  const begun = setTimeout(() => onTrials(device.adapter.name), 1000 * PATIENCE);
  const result = await tuner
    .tune(device, csr, { lanes })
    .catch((error: unknown) => {
      if (error instanceof BackendError) return error;
      throw error;
    })
    .finally(() => clearTimeout(begun));
  if (result instanceof BackendError) {
    // A device that cannot go on says so again, in the run.
    warn(`trials failed, so the default choices are used: ${result.message}`);
    return byDefault(device, subject, "default choices");
  }
  const { tuning, skipped } = result;
  if (skipped !== null) return byDefault(device, subject, `default choices: ${skipped}`);
  const record = recordFor(device, subject, { source: "trial", tuning });
  await remember(entryFor(device, record, result), warn);
  return { tuning: record, text: `${textOf(device, tuning)}, ${trialText(result)}` };
}

/** "the best of 11 trials in 1.2 s". */
export function trialText({ trials, untried, ms }: TuningResult): string {
  const left = untried === 0 ? "" : `, ${untried} not tried for lack of time`;
  return `the best of ${plural(trials.length, "trial")} in ${(ms / 1000).toFixed(1)} s${left}`;
}

/** The result of trials as an entry of a file. */
export function entryFor(device: WebGpuBackend, record: TuningRecord, { trials }: TuningResult): TuningEntry {
  const { key, tuning, adapter, lanes, regroup } = record;
  const { driver } = device.adapter;
  const created = new Date().toISOString();
  return { key, tuning, adapter, lanes, regroup, driver, version: VERSION, created, trials };
}

/** The user named the file, so it is used whatever it was made for. */
function fromFile(
  device: WebGpuBackend,
  subject: TuningSubject,
  { file, entries }: Extract<TuningPlan, { readonly how: "file" }>,
): Tuned {
  const { csr, lanes, warn, tuner = TUNER } = subject;
  const apart = (entry: TuningEntry): number => Math.abs(Math.log2(entry.lanes / lanes));
  const nearest = [...entries].sort((a, b) => apart(a) - apart(b));
  const fitting = nearest.find((entry) => entry.key === tuner.key(device, csr, entry.lanes, entry.regroup));
  const entry = fitting ?? nearest.find(({ adapter }) => adapter === device.adapter.name) ?? nearest[0]!;
  if (!fitting) {
    const made =
      entry.adapter === device.adapter.name ? "for another network, driver or version" : `on ${entry.adapter}`;
    warn(`${file} was made ${made}: its choices may be slower here than those of --tune auto`);
  }
  const tuning = supported(device, entry.tuning);
  const { regroup } = entry;
  const text = `${textOf(device, tuning)}, as ${file} says for ${plural(entry.lanes, "sample")} at once`;
  return { tuning: recordFor(device, subject, { source: "file", tuning, regroup }), text };
}

function fromRun(device: WebGpuBackend, subject: TuningSubject, recorded: RunTuning | null): Tuned {
  if (!recorded) return byDefault(device, subject, "default choices, as the run has no record of others");
  const tuning = choicesOn(device, recorded);
  const own = recorded.adapter === device.adapter.name;
  const text = `${textOf(device, tuning)}, ${own ? "as the run began" : `grouping sums as the run began on ${recorded.adapter}`}`;
  const record = own ? { ...recorded, tuning } : recordFor(device, subject, { ...recorded, tuning });
  return { tuning: record, text };
}

/** A choice as the record of what it was made for. */
export function recordFor(
  device: WebGpuBackend,
  { csr, lanes, tuner = TUNER }: Pick<TuningSubject, "csr" | "lanes" | "tuner">,
  { source, tuning, regroup = false }: Pick<RunTuning, "source" | "tuning"> & Partial<Pick<RunTuning, "regroup">>,
): RunTuning {
  return { source, key: tuner.key(device, csr, lanes, regroup), tuning, adapter: device.adapter.name, lanes, regroup };
}

/** The recorded choices; on another card those that group sums, and default ones for speed. */
function choicesOn(device: WebGpuBackend, { tuning, adapter }: RunTuning): SparseTuning {
  const { limits, gradPanels } = tuning;
  return adapter === device.adapter.name ? supported(device, tuning) : { ...device.standardTuning, limits, gradPanels };
}

/** Not every device has quads; without them sums are the same. */
function supported({ standardTuning }: WebGpuBackend, tuning: SparseTuning): SparseTuning {
  return standardTuning.exchange === "quads" ? tuning : { ...tuning, exchange: "workgroup" };
}

function textOf(device: WebGpuBackend, tuning: SparseTuning): string {
  const text = choicesText(tuning, device.standardTuning);
  return text === "default" ? "default choices" : text;
}

/** The record of a run as JSON. */
export function runTuningJson({ source, ...record }: RunTuning): Facts {
  return { source, ...recordJson(record) };
}

/** @throws {FileFormatError} what is wrong with it */
export function runTuningOf(where: string, { source, ...record }: Facts): RunTuning {
  const known = SOURCES.find((name) => name === source);
  if (!known) throw new FileFormatError(where, `${SOURCES.join(", ")} at tuning.source`, `${source}`);
  return { source: known, ...checkTuning(record, where) };
}
