// Using what was trained: the outputs of a run's model for samples, batch by batch, and samples in the form that the run needs.

import { setImmediate as nextTurn } from "node:timers/promises";
import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, SolverError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { batches } from "../data/loader.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { classOf } from "../models/task/predictedClass.ts";
import type { Task } from "../models/task/task.ts";
import { type Evaluation, EvaluationSums } from "../train/evaluation.ts";
import {
  checkSamples,
  evaluationOn,
  hasTargets,
  inputOf,
  samplesPerEvaluation,
  targetsOf,
} from "../train/trainable.ts";
import type { OpenedRun } from "./openRun.ts";

/** How samples are gone through. */
export interface PredictOptions {
  /** Samples per batch; the outputs do not depend on it. Default as in the evaluations of a training: 256, fewer where they are large. */
  readonly batchSize?: number;
  /** Called after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Iteration throws the signal's reason at the first batch after the abort. */
  readonly signal?: AbortSignal;
}

const OPTIONS: Readonly<Record<keyof PredictOptions, true>> = { batchSize: true, onProgress: true, signal: true };

/** Outputs for some samples; owned by the receiver. */
export interface PredictedBatch {
  /** [size], which samples of the set these are. */
  readonly indices: Uint32Array;
  /** [size, times, rows]: times of the read-out; a row per class (logits), or per number. NaN for samples that failed. */
  readonly outputs: FloatArray;
  readonly shape: readonly [size: number, times: number, rows: number];
  /** [size, times], the predicted classes, −1 for samples that failed; null: targets are numbers. */
  readonly classes: Int32Array | null;
  /** The samples of the set whose solve failed, where the run allows it (`--on-failure mask`). */
  readonly failed: readonly number[];
}

/**
 * Runs the model of a run on samples, without dropout, in the order of the set.
 *
 *     await using run = await openRun("runs/a", { checkpoint: "best" });
 *     for await (const { indices, classes } of predict(run, run.data.test)) console.log(indices, classes);
 *
 * Inputs are taken as they are: `samplesFor` standardises those of a file as the run did.
 *
 * @returns at its end: loss and metrics as of `Trainer.evaluate`, over the samples with a target that counts; null: there is none
 * @throws {ArgumentError} samples that do not fit the run; names what does not
 * @throws {SolverError} a sample that cannot be solved, unless the run leaves such samples out; or all of the first batch
 */
export async function* predict(
  run: Pick<OpenedRun, "model" | "evaluation" | "config" | "data">,
  samples: SampleSet,
  options: PredictOptions = {},
): AsyncGenerator<PredictedBatch, Evaluation | null, undefined> {
  checkNames("predict", options, OPTIONS);
  const { onProgress = () => {}, signal } = options;
  const { model, config } = run;
  const { task } = model;
  checkSamples("predict", "samples", samples, model);
  checkSteps("predict", run, samples);
  const start = performance.now();
  const evaluation = evaluationOn(samples, run.evaluation, signal);
  const batchSize = options.batchSize ?? samplesPerEvaluation(task, samples, run.evaluation);
  const rows = task.loss.outputs(task.target);
  const sums = new EvaluationSums(task);
  let times: number | null = null;
  let done = 0;
  for await (const batch of batches(samples, { batchSize, ...(signal && { signal }) })) {
    await nextTurn();
    const counts = hasTargets(batch);
    const targets = counts ? targetsOf(batch) : null;
    const result = await model.evaluate(inputOf(samples, batch), targets, evaluation).catch((error: unknown) => {
      if (error instanceof SolverError && config.onFailure === "mask" && times !== null) return null;
      throw error;
    });
    if (result && counts) sums.add(batch, result);
    times = result ? result.outputs.length / (batch.size * rows) : times!;
    const { outputs, failed } = result ?? nothingOf(batch.size, times * rows, model.backend.dtype);
    yield predictionOf(task, batch.indices, outputs, failed, [batch.size, times, rows]);
    done += batch.size;
    onProgress(done, samples.count);
  }
  return sums.isEmpty ? null : sums.result((performance.now() - start) / 1000);
}

/** A batch without any sample that can be solved. */
function nothingOf(size: number, width: number, dtype: DType): { outputs: FloatArray; failed: readonly number[] } {
  return {
    outputs: floatArray(dtype, size * width).fill(Number.NaN),
    failed: Array.from({ length: size }, (_, k) => k),
  };
}

/** Everything that `predict` gives, in memory. */
export interface Predictions extends Omit<PredictedBatch, "indices"> {
  /** Loss and metrics; null: no sample has a target that counts. */
  readonly evaluation: Evaluation | null;
}

/** The outputs for all samples, in memory: all that `predict` gives. */
export async function predictAll(
  run: Parameters<typeof predict>[0],
  samples: SampleSet,
  options: PredictOptions = {},
): Promise<Predictions> {
  const parts: PredictedBatch[] = [];
  const batches = predict(run, samples, options);
  for (;;) {
    const { done, value } = await batches.next();
    if (done) return { ...joined(parts), evaluation: value };
    parts.push(value);
  }
}

function joined(parts: readonly PredictedBatch[]): Omit<Predictions, "evaluation"> {
  const [first] = parts;
  const [, times, rows] = first!.shape;
  const size = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const outputs = new (first!.outputs.constructor as new (length: number) => FloatArray)(size * times * rows);
  const classes = first!.classes && new Int32Array(size * times);
  let at = 0;
  for (const part of parts) {
    outputs.set(part.outputs, at * times * rows);
    if (classes) classes.set(part.classes!, at * times);
    at += part.shape[0];
  }
  return { outputs, classes, shape: [size, times, rows], failed: parts.flatMap(({ failed }) => failed) };
}

/**
 * A network in continuous time sees a sequence in the same time, whatever its length: another length is another speed.
 *
 * @throws {ArgumentError} samples of another length, where the run does not allow it
 */
export function checkSteps(
  where: string,
  { config, data }: Pick<OpenedRun, "config" | "data">,
  { steps }: Pick<SampleSet, "steps">,
): void {
  const own = data.train.steps;
  const mayDiffer = config.time === "discrete" && own !== null && steps !== null;
  if (steps === own || mayDiffer) return;
  const words = (n: number | null): string => (n === null ? "one vector, constant in time" : `${n} frames`);
  throw new ArgumentError(where, "samples.steps", `${words(own)}, as the run was trained with`, words(steps));
}

function predictionOf(
  task: Task,
  indices: Uint32Array,
  outputs: FloatArray,
  failed: readonly number[],
  shape: PredictedBatch["shape"],
): PredictedBatch {
  const [, times, rows] = shape;
  const isClass = task.target.kind === "class";
  const classes = isClass ? classesOf(outputs, rows, task) : null;
  if (classes) for (const k of failed) classes.fill(FAILED_CLASS, k * times, (k + 1) * times);
  return { indices, outputs, shape, classes, failed: failed.map((k) => indices[k]!) };
}

/** The predicted class where there is none. */
export const FAILED_CLASS = -1;

/** The class that each row of outputs names; −1 for rows that are NaN. */
export function classesOf(outputs: FloatArray, rows: number, { loss }: Pick<Task, "loss">): Int32Array {
  return Int32Array.from({ length: outputs.length / rows }, (_, r) => {
    const row = outputs.subarray(r * rows, (r + 1) * rows);
    return Number.isNaN(row[0]!) ? FAILED_CLASS : classOf(row, loss.prediction);
  });
}

/**
 * Probabilities from outputs: softmax for cross-entropy, 1/(1 + e^(−o)) for binary cross-entropy.
 *
 * @param rows  outputs that belong together
 * @throws {ArgumentError} the outputs of this loss are no logits
 */
export function probabilitiesOf(outputs: FloatArray, rows: number, { loss }: Pick<Task, "loss">): FloatArray {
  const out = outputs.slice();
  if (loss.name === "binary-cross-entropy") return out.map((o) => 1 / (1 + Math.exp(-o)));
  if (loss.name !== "cross-entropy") {
    const expected = "a loss whose outputs are logits: cross-entropy or binary-cross-entropy";
    throw new ArgumentError("predict", "probabilities", expected, loss.name);
  }
  for (let begin = 0; begin < out.length; begin += rows) {
    const row = out.subarray(begin, begin + rows);
    const logits = Float64Array.from(row);
    const largest = logits.reduce((most, o) => Math.max(most, o), Number.NEGATIVE_INFINITY);
    const powers = logits.map((o) => Math.exp(o - largest));
    const sum = powers.reduce((total, power) => total + power, 0);
    for (let c = 0; c < rows; c++) row[c] = powers[c]! / sum;
  }
  return out;
}
