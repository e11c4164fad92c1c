// The task of a run: its loss, metrics and penalties on activity, from its settings and its samples.

import { ArgumentError } from "../core/errors.ts";
import { batches, samplesPerPass } from "../data/loader.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { binaryCrossEntropy } from "../models/task/losses/binaryCrossEntropy.ts";
import { crossEntropy } from "../models/task/losses/crossEntropy.ts";
import { huber } from "../models/task/losses/huber.ts";
import { type LossName, lossByName } from "../models/task/losses/index.ts";
import { norm } from "../models/task/losses/norm.ts";
import { makeTask } from "../models/task/makeTask.ts";
import { endpointError } from "../models/task/metrics/endpointError.ts";
import { type ActivityPenalty, activityPenalty, rateL1, rateL2 } from "../models/task/penalties.ts";
import type { Loss, Task } from "../models/task/task.ts";
import type { TrainConfig } from "./config.ts";
import type { SampleSplits } from "./samples.ts";
import { underSettings } from "./underSettings.ts";

type TaskConfig = Pick<
  TrainConfig,
  "loss" | "metrics" | "labelSmoothing" | "classWeights" | "huberDelta" | "vectorSize" | "positiveWeight"
>;

/** Most samples from which the centre of number targets is taken; it affects rounding only. */
const CENTRE_SAMPLES = 256;

/** The samples of a task, and what is known of its loss and metrics without training. */
export type TaskSamples = Pick<SampleSplits, "train" | "known" | "counts" | "centre">;

/** @throws {ArgumentError} loss, metrics and targets do not go together */
export async function taskOf(config: TaskConfig, samples: TaskSamples): Promise<Task> {
  const { train, centre } = samples;
  const { target } = train;
  const loss = await lossOf(config, train);
  const metrics = config.metrics ?? loss.metrics;
  const options = {
    loss,
    target,
    metrics: metrics.map((name) => (name === "endpoint-error" ? endpointError(config.vectorSize) : name)),
    ...(target.kind === "numbers" && { centre: centre ?? (await centreOf(train)) }),
  };
  const task = underSettings(
    (argument) => (argument === "loss" || argument === "metrics" ? argument : null),
    () => makeTask(options),
  );
  return withChance(task, config, samples);
}

/** Asks a loss for some numbers only about every target that counts. @throws {ArgumentError} one that it refuses */
export async function checkTargets(
  { loss }: Task,
  { source, ...parts }: Pick<SampleSplits, "train" | "validation" | "test" | "source">,
): Promise<void> {
  if (!loss.refuses) return;
  for (const name of ["train", "validation", "test"] as const) {
    const set = parts[name];
    if (!set) continue;
    let first = 0;
    for await (const { size, targets, weights } of batches(set, { batchSize: samplesPerPass(set) })) {
      targets.forEach((target, i) => {
        const refusal = weights?.[i] === 0 ? null : loss.refuses!(target);
        if (refusal === null) return;
        const sample = first + Math.floor((i * size) / targets.length);
        const expected = `${refusal} for each target, as ${loss.name} needs it`;
        throw new ArgumentError(`${source} (${name})`, "targets", expected, `${target} at sample ${sample}`);
      });
      first += size;
    }
  }
}

/** Replaces what loss and metrics say of chance by what is known of these samples. */
function withChance(task: Task, config: TaskConfig, { known, counts }: TaskSamples): Task {
  const { loss, metrics } = task;
  const chance = isPlain(loss, config) ? (known?.loss?.chance ?? counts?.constantLoss ?? null) : null;
  return {
    ...task,
    loss: chance === null ? loss : { ...loss, chance: () => chance },
    metrics: metrics.map((metric) => {
      const own = known?.[metric.name]?.chance ?? null;
      return own === null ? metric : { ...metric, chance: () => own };
    }),
  };
}

/** Known answers of the loss and the metrics that a task has. */
export function knownFor(
  { loss, metrics }: Task,
  config: TaskConfig,
  known: SampleSplits["known"],
): SampleSplits["known"] {
  const names = [...metrics.map(({ name }) => name), ...(isPlain(loss, config) ? ["loss"] : [])];
  const own = Object.entries(known ?? {}).filter(([name]) => names.includes(name));
  return own.length === 0 ? null : Object.fromEntries(own);
}

/** Whether the loss is the one of known answers and constant predictions: the mean cross-entropy, or the squared error. */
function isPlain({ name }: Pick<Loss, "name">, { labelSmoothing, classWeights }: TaskConfig): boolean {
  return name === "squared" || (name === "cross-entropy" && labelSmoothing === 0 && classWeights === "none");
}

async function lossOf(config: TaskConfig, train: SampleSet): Promise<Loss> {
  const { loss, labelSmoothing, classWeights, huberDelta, vectorSize, positiveWeight } = config;
  const name: LossName = loss === "auto" ? (train.target.kind === "class" ? "cross-entropy" : "squared") : loss;
  const idle = labelSmoothing > 0 ? "--label-smoothing" : classWeights === "none" ? null : "--class-weights";
  if (idle !== null && name !== "cross-entropy")
    throw new ArgumentError("train", idle, "targets that are classes, with the loss cross-entropy", name);
  if (name === "huber") return huber({ delta: huberDelta });
  if (name === "norm") return norm({ vectorSize });
  if (name === "binary-cross-entropy") return binaryCrossEntropy({ positiveWeight });
  if (name !== "cross-entropy") return lossByName(name);
  const weights = classWeights === "balanced" && train.target.kind === "class" ? await balanced(train) : null;
  return crossEntropy({ labelSmoothing, ...(weights && { classWeights: weights }) });
}

/**
 * Weight Σ w / (K · w_c) of each class, w_c being the sum of the weights of its training targets, K the number of classes with any. A class
 * without any, which evaluations may still ask for, has the weight 1, the mean over the training targets.
 */
async function balanced(set: SampleSet): Promise<Float64Array> {
  const { classes } = set.target;
  const sums = new Float64Array(classes!);
  for await (const { targets, weights } of batches(set, { batchSize: samplesPerPass(set) })) {
    targets.forEach((c, i) => {
      const weight = weights?.[i] ?? 1;
      if (weight > 0) sums[c]! += weight;
    });
  }
  const total = sums.reduce((sum, w) => sum + w, 0);
  const present = sums.filter((w) => w > 0).length;
  return sums.map((w) => (w > 0 ? total / (present * w) : 1));
}

/** A mean of each number over some targets that count, or 0. */
async function centreOf(set: SampleSet): Promise<Float64Array> {
  const { width } = set.target;
  const size = Math.min(set.count, CENTRE_SAMPLES, samplesPerPass(set));
  const { targets, weights } = await set.read(
    Uint32Array.from({ length: size }, (_, i) => i),
    null,
  );
  const [sums, total] = [new Float64Array(width), new Float64Array(width)];
  targets.forEach((value, i) => {
    const weight = weights?.[i] ?? 1;
    if (weight === 0) return;
    sums[i % width]! += weight * value;
    total[i % width]! += weight;
  });
  return sums.map((sum, j) => (total[j]! > 0 ? sum / total[j]! : 0));
}

type PenaltyConfig = Pick<TrainConfig, "activityPenalty" | "activityBaseline" | "rateL1" | "rateL2">;

/** Penalties on activity. */
export function activityPenaltiesOf(config: PenaltyConfig): ActivityPenalty[] {
  const { activityPenalty: weight, activityBaseline: baseline } = config;
  return [
    ...(weight > 0 ? [activityPenalty({ weight, baseline })] : []),
    ...(config.rateL1 > 0 ? [rateL1({ weight: config.rateL1 })] : []),
    ...(config.rateL2 > 0 ? [rateL2({ weight: config.rateL2 })] : []),
  ];
}
