// Targets of a batch: checked, counted, and chosen by sample.

import { type DType, smallestNormal } from "../../core/dtype.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { gatherSamples, type SampleRows } from "../samples.ts";
import type { Task } from "./task.ts";

/** Targets of a batch; batch first always. */
export interface TargetBatch {
  /** [batch, target.times ?? 1, target.width]; a class is a whole number. */
  readonly values: ArrayLike<number>;
  /**
   * The same shape, at least 0; 0: the target does not count, and may be NaN. null: every target counts 1. Other weights lie between the
   * smallest normal number of the device's precision (1.2e-38 in single precision) and its reciprocal, and so does their sum.
   */
  readonly weights: ArrayLike<number> | null;
}

/** Targets that have been checked, and what their weights add up to. */
export interface CountedTargets extends TargetBatch {
  /** Weights in the loss: `weights` times the loss's own (`Loss.weightOf`). null: `weights`. */
  readonly lossWeights: ArrayLike<number> | null;
  readonly rows: SampleRows;
  /** Σ of the weights in the loss, over samples, read-out times and numbers. 0: the loss is 0. */
  readonly total: number;
  /** Σ w per number, over samples and read-out times. */
  readonly perNumber: Float64Array;
}

const WHERE = "targets";

/** How the targets of a batch lie on the host. */
export function targetRows({ target }: Task, batch: number): SampleRows {
  return { batch, times: target.times ?? 1, width: target.width, batchFirst: true };
}

/** The targets of the samples `kept`. */
export function selectTargets(
  { values, weights }: TargetBatch,
  rows: SampleRows,
  kept: readonly number[],
): TargetBatch {
  return { values: gatherSamples(values, rows, kept), weights: weights && gatherSamples(weights, rows, kept) };
}

/**
 * Checks the targets of a batch and adds up their weights.
 *
 * @param readTimes  times of the read-out: a target without times of its own counts at each of them
 * @param firstSample  number of the first sample in errors, where these are targets of a part of a batch
 * @throws {ShapeError} another number of targets, weights or times than the task and the read-out have
 * @throws {ArgumentError} a target that counts and cannot be asked for, a weight that is negative or out of the device's range
 */
export function countTargets(
  task: Task,
  targets: TargetBatch,
  batch: number,
  readTimes: number,
  dtype: DType,
  firstSample = 0,
): CountedTargets {
  const { loss, target } = task;
  const { values, weights } = targets;
  const rows = targetRows(task, batch);
  const { times, width } = rows;
  if (target.times !== null && target.times !== readTimes)
    throw new ShapeError(WHERE, "target.times", `${readTimes}, the times of the read-out`, `${target.times}`);
  const expected = batch * times * width;
  const shape = `${batch} × ${times} × ${width} = ${expected} numbers`;
  if (values.length !== expected) throw new ShapeError(WHERE, "values", shape, `${values.length}`);
  if (weights && weights.length !== expected) throw new ShapeError(WHERE, "weights", shape, `${weights.length}`);
  // A target without times of its own counts once per read-out time.
  const repeats = target.times === null ? readTimes : 1;
  const placeOf = (i: number): string => placeIn(rows, i, firstSample);
  const perNumber = new Float64Array(width);
  const lossWeights = loss.weightOf ? new Float64Array(expected) : null;
  let total = 0;
  for (let i = 0; i < expected; i++) {
    const w = weights ? weights[i]! : 1;
    if (weights) checkWeight(w, dtype, i, placeOf);
    if (w === 0) continue;
    checkTarget(task, values[i]!, dtype, i, placeOf);
    const inLoss = lossWeights ? w * loss.weightOf!(values[i]!) : w;
    if (lossWeights) {
      checkWeight(inLoss, dtype, i, placeOf);
      lossWeights[i] = inLoss;
    }
    perNumber[i % width]! += w * repeats;
    total += inLoss * repeats;
  }
  const most = 1 / smallestNormal(dtype);
  if (total > most) throw new ArgumentError(WHERE, "weights", `a sum of at most ${most}`, `${total}`);
  return { values, weights, lossWeights, rows, total, perNumber };
}

/** @throws {ArgumentError} no target counts, in any metric */
export function checkCounted({ perNumber }: CountedTargets): void {
  if (perNumber.every((weight) => weight === 0))
    throw new ArgumentError(WHERE, "weights", "at least one target that counts", "none");
}

/** Where number i of an array of targets belongs, in words. */
type PlaceOf = (i: number) => string;

function checkWeight(weight: number, dtype: DType, i: number, placeOf: PlaceOf): void {
  if (!(weight >= 0 && Number.isFinite(weight)))
    throw new ArgumentError(WHERE, "weights", "finite numbers of at least 0", `${weight} ${placeOf(i)}`);
  const least = smallestNormal(dtype);
  if (weight === 0 || (weight >= least && weight <= 1 / least)) return;
  const expected = `0, or numbers from ${least} to ${1 / least}`;
  throw new ArgumentError(WHERE, "weights", expected, `${weight} ${placeOf(i)}`);
}

function checkTarget({ loss, target }: Task, value: number, dtype: DType, i: number, placeOf: PlaceOf): void {
  if (target.kind === "class") {
    if (Number.isInteger(value) && value >= 0 && value < target.classes!) return;
    throw new ArgumentError(WHERE, "values", `classes 0 to ${target.classes! - 1}`, `${value} ${placeOf(i)}`);
  }
  if (!Number.isFinite(dtype === "f32" ? Math.fround(value) : value))
    throw new ArgumentError(WHERE, "values", "finite numbers (or weight 0)", `${value} ${placeOf(i)}`);
  const refusal = loss.refuses?.(value) ?? null;
  if (refusal !== null) throw new ArgumentError(WHERE, "values", refusal, `${value} ${placeOf(i)}`);
}

function placeIn({ times, width }: SampleRows, i: number, firstSample: number): string {
  const row = Math.floor(i / width);
  const parts = [`for sample ${firstSample + Math.floor(row / times)}`];
  if (times > 1) parts.push(`time ${row % times}`);
  if (width > 1) parts.push(`number ${i % width}`);
  return parts.join(", ");
}
