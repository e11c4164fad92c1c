// The record of a run, read from its folder and checked, as far as it exists.

import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import type { Spread } from "../data/sampleChecks.ts";
import type { SampleSet, SampleShape } from "../data/sampleSet.ts";
import type { KnownAnswer } from "../data/tasks/taskSet.ts";
import type { Recovery } from "../data/tasks/teacherNetwork.ts";
import { readBytes } from "../io/files.ts";
import { type HashedFile, hashedFileOf } from "../io/hash.ts";
import { type Facts, JsonParts } from "../io/jsonParts.ts";
import { type Provenance, provenanceOf } from "../io/provenance.ts";
import { readTextFile } from "../io/textFile.ts";
import type { Finding } from "../train/diagnosis.ts";
import { type EvaluationRecord, type EvaluationSet, parseEvent, type RunEvent, wholeLines } from "../train/metrics.ts";
import {
  classificationTask,
  readMetricValues,
  readTaskDescription,
  type TaskDescription,
} from "../train/taskDescription.ts";
import type { StepMetrics } from "../train/trainer.ts";

export type { Facts } from "../io/jsonParts.ts";

/** config.json: the start of the run. */
export interface RunStartFacts extends Facts {
  readonly version: string;
  readonly config: Facts;
  /** Which loss and metrics there are. */
  readonly task: TaskDescription;
  readonly network: Facts & {
    readonly source: string;
    readonly neurons: number;
    readonly connections: number;
  };
  readonly data: Facts & { readonly source: string; readonly train: number; readonly classes: number | null };
  /** Shapes of the samples; null: not recorded, as before 0.3.0. */
  readonly samples: SampleFacts | null;
  /** Of generated samples: values of metrics that are known before any training. */
  readonly known: Readonly<Record<string, KnownAnswer>> | null;
  /** The files that the run read; null: not recorded, as before 0.3.0. */
  readonly files: readonly HashedFile[] | null;
  /** How its connectome was made of published files; null: not recorded, as before 0.4.0, or its file does not say it. */
  readonly provenance: Provenance | null;
  readonly device: string;
  /** The choices of sparse kernels; null: no GPU, or not recorded, as before 0.5.0. */
  readonly tuning: Facts | null;
  /** Numbers that training changes; null: not recorded, as before 0.5.0. */
  readonly trainedParameters: number | null;
  readonly stepsPerEpoch: number;
  readonly lastStep: number;
  readonly environment: Facts;
}

/** What a model needs to know of samples. */
export interface SampleFacts extends Omit<SampleShape, "target"> {
  readonly picture: NonNullable<SampleSet["picture"]> | null;
  readonly classNames: readonly string[] | null;
  readonly outputNames: readonly string[] | null;
  /** What the inputs of sample files were standardised with. */
  readonly normalisation: Spread | null;
  /** See `Task.centre`. */
  readonly centre: readonly number[] | null;
}

/** An evaluation in summary.json. */
export type EvaluationSummary = Pick<EvaluationRecord, "set" | "metrics" | "loss">;

/** R² of each kind of a known teacher's parameters; null: they do not vary. */
export type RecoveryFacts = Readonly<Record<keyof Recovery, number | null>>;

/** summary.json: the results of the run. */
export interface RunSummaryFacts extends Facts {
  readonly steps: number;
  readonly seconds: number;
  readonly stepsPerSecond: number;
  /** Of a run whose samples are traces of a known network; null: of other runs. */
  readonly recovery: RecoveryFacts | null;
  readonly trainingLoss: number | null;
  readonly validation: EvaluationSummary | null;
  readonly test: EvaluationSummary | null;
  readonly peakMemoryBytes: number;
  /** What the training was stated to take; null: an earlier version did not state it. */
  readonly statedMemoryBytes: number | null;
  readonly deviceMemory: { readonly peakBytes: number; readonly largestBytes: number };
  /** The signal that stopped it early. */
  readonly interrupted: string | null;
}

/** metrics.jsonl: the course of the run. */
export interface RunHistory {
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationRecord[];
  /** Faults found by the last diagnosis. */
  readonly findings: readonly Finding[];
  /** The error that ended the run; null: none did, or it was resumed since. */
  readonly failure: string | null;
  /** Number of steps without a line, among those up to the last. */
  readonly missingSteps: number;
}

export interface RunRecord extends RunHistory {
  readonly folder: string;
  readonly start: RunStartFacts;
  /** null: the run has not finished. */
  readonly summary: RunSummaryFacts | null;
}

/**
 * Reads config.json, metrics.jsonl and summary.json. Only the first must exist; an incomplete last line is ignored.
 *
 * @throws {FileFormatError} no run folder, unreadable files, missing or wrong parts; names file, line and part
 */
export async function readRunRecord(folder: string): Promise<RunRecord> {
  const start = await readRunStart(join(folder, "config.json"));
  const summary = await readRunSummary(join(folder, "summary.json"));
  const events = await readRunEvents(join(folder, "metrics.jsonl"), start.task);
  return { folder, start, ...historyOf(events), summary };
}

/**
 * The config.json of a run.
 *
 * @throws {FileFormatError} "file-missing", or what is wrong with it
 */
export async function readRunStart(file: string): Promise<RunStartFacts> {
  const parts = JsonParts.parse(
    file,
    await readTextFile(file, "the configuration of a run"),
    "the configuration of a run",
  );
  const [network, data] = [parts.object("network"), parts.object("data")];
  for (const name of ["input", "readout"]) network.text(name);
  for (const name of ["inputNeurons", "readoutNeurons"]) network.count(name);
  data.count("validation");
  // Before 0.2.0 connections were recorded as "synapses".
  const { synapses, ...networkFacts } = network.all;
  const classes = data.countOrNull("classes", 2);
  const provenance = parts.has("provenance") ? parts.objectOrNull("provenance") : null;
  return {
    ...parts.all,
    version: parts.text("version"),
    config: parts.object("config").all,
    task: taskOf(parts, data, classes),
    network: {
      ...networkFacts,
      source: network.text("source"),
      neurons: network.count("neurons", 1),
      connections: network.count(synapses === undefined ? "connections" : "synapses"),
    },
    data: {
      ...data.all,
      source: data.text("source"),
      train: data.count("train", 1),
      classes,
    },
    samples: data.has("inputSize") ? sampleFactsOf(data) : null,
    known: data.has("known") ? knownOf(data) : null,
    files: parts.has("files") ? parts.objects("files").map(hashedFileOf) : null,
    provenance: provenance && provenanceOf(file, provenance),
    device: parts.text("device"),
    tuning: parts.has("tuning") ? (parts.objectOrNull("tuning")?.all ?? null) : null,
    trainedParameters: parts.has("trainedParameters") ? parts.count("trainedParameters") : null,
    stepsPerEpoch: parts.countOrNull("stepsPerEpoch", 1) ?? Number.POSITIVE_INFINITY,
    lastStep: parts.countOrNull("lastStep") ?? Number.POSITIVE_INFINITY,
    environment: parts.object("environment").all,
  };
}

function sampleFactsOf(data: JsonParts): SampleFacts {
  const [picture, spread] = [data.objectOrNull("picture"), data.objectOrNull("normalisation")];
  const texts = (name: string): string[] | null => (data.all[name] === null ? null : data.texts(name));
  const inputSize = data.count("inputSize", 1);
  const list = (name: "mean" | "std"): Float64Array => {
    const values = Float64Array.from(spread!.numbersOrNaN(name));
    if (values.length === inputSize && values.every(Number.isFinite)) return values;
    throw spread!.error(name, `${inputSize} numbers`);
  };
  return {
    inputSize,
    steps: data.countOrNull("steps", 1),
    weighted: data.flag("weighted"),
    picture: picture && { width: picture.count("width", 1), height: picture.count("height", 1) },
    classNames: texts("classNames"),
    outputNames: texts("outputNames"),
    normalisation: spread && { mean: list("mean"), std: list("std") },
    centre: data.all.centre === null ? null : data.numbersOrNaN("centre"),
  };
}

function knownOf(data: JsonParts): Record<string, KnownAnswer> | null {
  const known = data.objectOrNull("known");
  if (!known) return null;
  const answers = Object.keys(known.all).map((metric) => {
    const answer = known.object(metric);
    const values = { best: answer.numberOrNull("best"), memoryless: answer.numberOrNull("memoryless") };
    return [metric, { ...values, chance: answer.numberOrNull("chance"), reason: answer.text("reason") }];
  });
  return Object.fromEntries(answers);
}

/** Before 0.3.0 images were classified, and nothing else. */
function taskOf(parts: JsonParts, data: JsonParts, classes: number | null): TaskDescription {
  if (parts.has("task")) return readTaskDescription(parts.object("task"));
  if (classes === null) throw data.error("classes", "a number of classes");
  return classificationTask(classes);
}

/**
 * The summary.json of a run; null: there is none, as the run has not finished.
 *
 * @throws {FileFormatError} what is wrong with it
 */
export async function readRunSummary(file: string): Promise<RunSummaryFacts | null> {
  const text = await nullIfMissing(readTextFile(file, "the summary of a run"));
  if (text === null) return null;
  const parts = JsonParts.parse(file, text, "the summary of a run");
  const memory = parts.object("deviceMemory");
  // Before 0.3.0 there were no teachers.
  const recovery = parts.has("recovery") ? parts.objectOrNull("recovery") : null;
  const evaluation = (set: EvaluationSet): EvaluationSummary | null => {
    const own = parts.objectOrNull(set);
    return own && { set, metrics: readMetricValues(own, "metrics", null), loss: own.numberOrNaN("loss") };
  };
  return {
    ...parts.all,
    steps: parts.count("steps"),
    seconds: parts.number("seconds", { least: 0 }),
    stepsPerSecond: parts.number("stepsPerSecond", { least: 0 }),
    trainingLoss: parts.numberOrNull("trainingLoss"),
    recovery: recovery && {
      weights: recovery.numberOrNull("weights"),
      tau: recovery.numberOrNull("tau"),
      bias: recovery.numberOrNull("bias"),
    },
    validation: evaluation("validation"),
    test: evaluation("test"),
    peakMemoryBytes: parts.number("peakMemoryBytes", { least: 0 }),
    statedMemoryBytes: parts.has("statedMemoryBytes") ? parts.number("statedMemoryBytes", { least: 0 }) : null,
    deviceMemory: {
      peakBytes: memory.number("peakBytes", { least: 0 }),
      largestBytes: memory.number("largestBytes", { least: 0 }),
    },
    interrupted: parts.textOrNull("interrupted"),
  };
}

/**
 * The lines of metrics.jsonl that a page shows; none without the file.
 *
 * @param task  of the run, to check the values of its metrics
 * @throws {FileFormatError} a line that is damaged, or lacks a part, with file and line
 */
export async function readRunEvents(file: string, task: TaskDescription): Promise<RunEvent[]> {
  const bytes = (await nullIfMissing(readBytes(file, "the metrics of a run"))) ?? new Uint8Array();
  return Array.from(wholeLines(bytes), ({ number, text }) => parseEvent(`${file}:${number}`, text, task));
}

/**
 * Steps and evaluations in order, the last findings, and the error of a failed run. A resumed run continues from its checkpoint, so later
 * lines replace what followed the checkpoint.
 */
export function historyOf(events: readonly RunEvent[]): RunHistory {
  let steps: StepMetrics[] = [];
  let evaluations: EvaluationRecord[] = [];
  let findings: readonly Finding[] = [];
  const passedOver = new Set<number>();
  const last = events.at(-1);
  for (const event of events) {
    if (event.event === "evaluation") evaluations.push(event);
    if (event.event === "diagnosis") findings = event.findings;
    if (event.event === "nonfinite") passedOver.add(event.step);
    if (event.event !== "step") continue;
    if (event.step <= (steps.at(-1)?.step ?? 0)) {
      steps = steps.filter((earlier) => earlier.step < event.step);
      evaluations = evaluations.filter((earlier) => earlier.step < event.step);
    }
    passedOver.delete(event.step);
    steps.push(event);
  }
  const lastStep = steps.at(-1)?.step ?? 0;
  const told = steps.length + [...passedOver].filter((step) => step < lastStep).length;
  const failure = last?.event === "error" ? last.message : null;
  return { steps, evaluations, findings, failure, missingSteps: Math.max(0, lastStep - told) };
}

/** null: there is no such file. */
export async function nullIfMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof FileFormatError && error.code === "file-missing") return null;
    throw error;
  }
}
