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

/** Sums over batches, as plain values. */
export interface EvaluationValues {
  readonly loss: number;
  readonly lossWeight: number;
  /** Σ over samples of what the penalties add to the loss. */
  readonly penalties: number;
  readonly penalised: number;
  readonly metrics: MetricSums;
  readonly count: number;
  readonly failed: number;
  readonly confusion: Uint32Array | null;
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
    const { classes, times } = task.target;
    this.#confusion = classes !== null && times === null ? new Uint32Array(classes ** 2) : null;
  }

  /** @returns this */
  add(batch: Samples, result: TaskResult & { readonly outputs: FloatArray }): this {
    const { failed, lossWeight } = result;
    const penalty = Object.values(result.penalties).reduce((sum, value) => sum + value, 0);
    if (lossWeight > 0) this.#loss += (result.loss - penalty) * lossWeight;
    this.#lossWeight += lossWeight;
    this.#penalties += penalty * (batch.size - failed.length);
    this.#penalised += batch.size - failed.length;
    addSums(this.#metrics, result.metrics);
    this.#failed += failed.length;
    this.#count += judged(batch, failed);
    if (this.#confusion) this.#confuse(batch, result, this.#confusion);
    return this;
  }

  /** Adds what others of the same task have. @returns this */
  plus(other: EvaluationValues): this {
    this.#loss += other.loss;
    this.#lossWeight += other.lossWeight;
    this.#penalties += other.penalties;
    this.#penalised += other.penalised;
    addSums(this.#metrics, other.metrics);
    this.#failed += other.failed;
    this.#count += other.count;
    other.confusion?.forEach((n, k) => {
      this.#confusion![k]! += n;
    });
    return this;
  }

  #confuse(
    { size, targets, weights }: Samples,
    { outputs, failed }: { readonly outputs: FloatArray; readonly failed: readonly number[] },
    confusion: Uint32Array,
  ): void {
    const { loss, target } = this.#task;
    const [classes, rows] = [target.classes!, loss.outputs(target)];
    const stride = outputs.length / size;
    for (let b = 0; b < size; b++) {
      if (failed.includes(b) || weights?.[b] === 0) continue;
      // At the last time of the read-out.
      const answer = classOf(outputs.subarray((b + 1) * stride - rows, (b + 1) * stride), loss.prediction);
      confusion[targets[b]! * classes + answer]!++;
    }
  }

  /** As plain values, which can be sent. */
  get values(): EvaluationValues {
    const [loss, lossWeight, penalties, penalised] = [this.#loss, this.#lossWeight, this.#penalties, this.#penalised];
    const [metrics, count, failed, confusion] = [this.#metrics, this.#count, this.#failed, this.#confusion];
    return { loss, lossWeight, penalties, penalised, metrics, count, failed, confusion };
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
