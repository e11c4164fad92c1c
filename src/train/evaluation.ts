// Loss and metrics of a whole set from those of its batches.

import type { FloatArray } from "../core/dtype.ts";
import type { Samples } from "../data/sampleSet.ts";
import type { TaskResult } from "../models/task/passes.ts";
import { classOf } from "../models/task/predictedClass.ts";
import { addSums, emptySums, type MetricSums, metricValues, perOutput } from "../models/task/sums.ts";
import type { Task } from "../models/task/task.ts";
import type { MetricValues } from "./taskDescription.ts";

/** Result of a pass over a set of samples. */
export interface Evaluation {
  /** Weighted mean over all targets, plus the means of the penalties on activity over all samples. */
  readonly loss: number;
  readonly metrics: MetricValues;
  /** Metrics of each output, where targets are several numbers. */
  readonly perOutput?: Readonly<Record<string, readonly number[]>>;
  /** Samples that were judged: those with a target that counts. */
  readonly count: number;
  /** Samples whose solve failed, left out of all of the above and below (`solve.onFailure: "mask"`). */
  readonly failed: number;
  /** [classes, classes], row = label, column = prediction at the last time of the read-out; where a sample has one class. */
  readonly confusion?: Uint32Array;
  readonly seconds: number;
}

/** What a batch adds to the sums, as plain values, which can be sent. */
export interface BatchSums {
  /** Σ w·loss of its targets. */
  readonly loss: number;
  readonly lossWeight: number;
  /** Σ over samples of what the penalties add to the loss. */
  readonly penalties: number;
  readonly penalised: number;
  readonly metrics: MetricSums;
  readonly count: number;
  readonly failed: number;
  /** Of each sample that counts, label × classes + answer; null: samples have no class, or one at each time. */
  readonly cells: Uint32Array | null;
}

/** The sums of a batch; `outputs` [batch, times, rows]. */
export function batchSums(
  task: Task,
  batch: Samples,
  result: TaskResult & { readonly outputs: FloatArray },
): BatchSums {
  const { failed, lossWeight, metrics } = result;
  const penalty = Object.values(result.penalties).reduce((sum, value) => sum + value, 0);
  const penalised = batch.size - failed.length;
  return {
    loss: lossWeight > 0 ? (result.loss - penalty) * lossWeight : 0,
    lossWeight,
    penalties: penalty * penalised,
    penalised,
    metrics,
    count: judged(batch, failed),
    failed: failed.length,
    cells: hasConfusion(task) ? cellsOf(task, batch, result) : null,
  };
}

/** Whether a sample has one class. */
function hasConfusion({ target }: Task): boolean {
  return target.classes !== null && target.times === null;
}

function cellsOf(
  { loss, target }: Task,
  { size, targets, weights }: Samples,
  { outputs, failed }: { readonly outputs: FloatArray; readonly failed: readonly number[] },
): Uint32Array {
  const [classes, rows] = [target.classes!, loss.outputs(target)];
  const stride = outputs.length / size;
  const cells: number[] = [];
  for (let b = 0; b < size; b++) {
    if (failed.includes(b) || weights?.[b] === 0) continue;
    // At the last time of the read-out.
    const answer = classOf(outputs.subarray((b + 1) * stride - rows, (b + 1) * stride), loss.prediction);
    cells.push(targets[b]! * classes + answer);
  }
  return Uint32Array.from(cells);
}

/** Sums over batches. */
export class EvaluationSums {
  readonly #task: Task;
  readonly #confusion: Uint32Array | null;
  #loss = 0;
  #lossWeight = 0;
  /** Σ over samples of what the penalties add to the loss. */
  #penalties = 0;
  #penalised = 0;
  readonly #metrics: MetricSums;
  #count = 0;
  #failed = 0;

  constructor(task: Task) {
    this.#task = task;
    this.#metrics = emptySums(task);
    this.#confusion = hasConfusion(task) ? new Uint32Array(task.target.classes! ** 2) : null;
  }

  add(batch: Samples, result: TaskResult & { readonly outputs: FloatArray }): void {
    this.addSums(batchSums(this.#task, batch, result));
  }

  addSums(batch: BatchSums): void {
    this.#loss += batch.loss;
    this.#lossWeight += batch.lossWeight;
    this.#penalties += batch.penalties;
    this.#penalised += batch.penalised;
    addSums(this.#metrics, batch.metrics);
    this.#failed += batch.failed;
    this.#count += batch.count;
    for (const cell of batch.cells ?? []) this.#confusion![cell]!++;
  }

  /** Adds what another one of the same task has. @returns this */
  plus(other: EvaluationSums): this {
    this.#loss += other.#loss;
    this.#lossWeight += other.#lossWeight;
    this.#penalties += other.#penalties;
    this.#penalised += other.#penalised;
    addSums(this.#metrics, other.#metrics);
    this.#failed += other.#failed;
    this.#count += other.#count;
    other.#confusion?.forEach((n, k) => {
      this.#confusion![k]! += n;
    });
    return this;
  }

  /** Whether no batch was added. */
  get isEmpty(): boolean {
    return this.#count + this.#failed === 0;
  }

  /** @param seconds  that the evaluation took */
  result(seconds: number): Evaluation {
    const metrics = metricValues(this.#task, this.#metrics);
    const perOutput = valuesPerOutput(this.#task, this.#metrics);
    return {
      loss: this.#loss / this.#lossWeight + this.#penalties / this.#penalised,
      metrics,
      ...(perOutput && { perOutput }),
      count: this.#count,
      failed: this.#failed,
      ...(this.#confusion && { confusion: this.#confusion }),
      seconds,
    };
  }
}

/** How many samples did not fail and have a target that counts. */
function judged({ size, weights }: Samples, failed: readonly number[]): number {
  if (weights === null) return size - failed.length;
  const width = weights.length / size;
  const counts = (b: number): boolean => weights.subarray(b * width, (b + 1) * width).some((weight) => weight > 0);
  return Array.from({ length: size }, (_, b) => b).filter((b) => !failed.includes(b) && counts(b)).length;
}

/** null: there is one output, or a class. */
function valuesPerOutput(task: Task, sums: MetricSums): Evaluation["perOutput"] | null {
  if (task.target.kind === "class" || task.target.width === 1) return null;
  return Object.fromEntries(task.metrics.map((metric) => [metric.name, [...perOutput(task, metric, sums)]]));
}
