// The task of a run: its loss, metrics and penalties on activity, from its settings and its samples.

import { ArgumentError } from "../core/errors.ts";
import { batches } from "../data/loader.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { crossEntropy } from "../models/task/losses/crossEntropy.ts";
import { huber } from "../models/task/losses/huber.ts";
import { type LossName, lossByName } from "../models/task/losses/index.ts";
import { makeTask } from "../models/task/makeTask.ts";
import { type ActivityPenalty, activityPenalty } from "../models/task/penalties.ts";
import type { Loss, Task } from "../models/task/task.ts";
import type { TrainConfig } from "./config.ts";
import { underSettings } from "./underSettings.ts";

type TaskConfig = Pick<TrainConfig, "loss" | "metrics" | "labelSmoothing" | "classWeights" | "huberDelta">;

/** Samples per read of a pass over a set; bounds memory only. */
const PASS_BATCH = 256;
/** Samples from which the centre of number targets is taken; it affects rounding only. */
const CENTRE_SAMPLES = 256;

/** @throws {ArgumentError} loss, metrics and targets do not go together */
export async function taskOf(config: TaskConfig, train: SampleSet): Promise<Task> {
  const { target } = train;
  const { metrics } = config;
  const options = {
    loss: await lossOf(config, train),
    target,
    ...(metrics && { metrics }),
    ...(target.kind === "numbers" && { centre: await centreOf(train) }),
  };
  return underSettings(
    (argument) => (argument === "loss" || argument === "metrics" ? argument : null),
    () => makeTask(options),
  );
}

async function lossOf({ loss, labelSmoothing, classWeights, huberDelta }: TaskConfig, train: SampleSet): Promise<Loss> {
  const { kind } = train.target;
  const name: LossName = loss === "auto" ? (kind === "class" ? "cross-entropy" : "squared") : loss;
  if (kind === "numbers") {
    const expected = "targets that are classes with it, as it has no effect otherwise";
    const refuse = (flag: string) => new ArgumentError("train", flag, expected, "targets that are numbers");
    if (labelSmoothing > 0) throw refuse("--label-smoothing");
    if (classWeights !== "none") throw refuse("--class-weights");
  }
  if (name === "huber") return huber({ delta: huberDelta });
  if (name !== "cross-entropy" || kind !== "class") return lossByName(name);
  const weights = classWeights === "balanced" ? await balanced(train) : null;
  return crossEntropy({ labelSmoothing, ...(weights && { classWeights: weights }) });
}

/**
 * Weight Σ w / (K · w_c) of each class, w_c being the sum of the weights of its training targets, K the number of classes with any. A class
 * without any, which evaluations may still ask for, has the weight 1, the mean over the training targets.
 */
async function balanced(set: SampleSet): Promise<Float64Array> {
  const { classes } = set.target;
  const sums = new Float64Array(classes!);
  for await (const { targets, weights } of batches(set, { batchSize: PASS_BATCH })) {
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
  const size = Math.min(set.count, CENTRE_SAMPLES);
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

/** Penalties on activity. */
export function activityPenaltiesOf({
  activityPenalty: weight,
  activityBaseline: baseline,
}: Pick<TrainConfig, "activityPenalty" | "activityBaseline">): ActivityPenalty[] {
  return weight > 0 ? [activityPenalty({ weight, baseline })] : [];
}
