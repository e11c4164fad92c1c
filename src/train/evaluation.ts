// Loss and metrics of a whole set from those of its batches.

import type { FloatArray } from "../core/dtype.ts";
import type { Samples } from "../data/sampleSet.ts";
import type { Task } from "../models/task/task.ts";
import type { MetricValues } from "./taskDescription.ts";
import { type MetricSums, metricValues, type TaskResult } from "./trainable.ts";

/** Result of a pass over a set of samples. */
export interface Evaluation {
  /** Weighted mean over all targets. */
  readonly loss: number;
  readonly metrics: MetricValues;
  /** Metrics of each output, where targets are several numbers. */
  readonly perOutput?: Readonly<Record<string, readonly number[]>>;
  /** Samples that were judged. */
  readonly count: number;
  /** Samples whose solve failed, left out of all of the above and below (`solve.onFailure: "mask"`). */
  readonly failed: number;
  /** [classes, classes], row = label, column = prediction; where a sample has one class, and the network one output for each. */
  readonly confusion?: Uint32Array;
  readonly seconds: number;
}

/** Sums over batches. */
export class EvaluationSums {
  readonly #task: Task;
  readonly #confusion: Uint32Array | null;
  #loss = 0;
  #lossWeight = 0;
  #metrics: MetricSums | null = null;
  #count = 0;
  #failed = 0;

  constructor(task: Task) {
    this.#task = task;
    const { classes, times } = task.target;
    const isConfusable = classes !== null && times === null && task.loss.outputs(task.target) === classes;
    this.#confusion = isConfusable ? new Uint32Array(classes ** 2) : null;
  }

  add(batch: Samples, result: TaskResult & { readonly outputs: FloatArray }): void {
    if (result.lossWeight > 0) this.#loss += result.loss * result.lossWeight;
    this.#lossWeight += result.lossWeight;
    this.#metrics = this.#metrics ? added(this.#metrics, result.metrics) : result.metrics;
    this.#failed += result.failed.length;
    this.#count += batch.size - result.failed.length;
    if (this.#confusion) this.#confuse(batch, result, this.#confusion);
  }

  #confuse(
    { size, targets, weights }: Samples,
    { outputs, failed }: { readonly outputs: FloatArray; readonly failed: readonly number[] },
    confusion: Uint32Array,
  ): void {
    const classes = Math.sqrt(confusion.length);
    for (let b = 0; b < size; b++) {
      if (failed.includes(b) || weights?.[b] === 0) continue;
      const answer = indexOfMax(outputs.subarray(b * classes, (b + 1) * classes));
      confusion[targets[b]! * classes + answer]!++;
    }
  }

  /** @param seconds  that the evaluation took */
  result(seconds: number): Evaluation {
    const metrics = metricValues(this.#task, this.#metrics!);
    const perOutput = valuesPerOutput(this.#task, this.#metrics!);
    return {
      loss: this.#loss / this.#lossWeight,
      metrics,
      ...(perOutput && { perOutput }),
      count: this.#count,
      failed: this.#failed,
      ...(this.#confusion && { confusion: this.#confusion }),
      seconds,
    };
  }
}

function added(a: MetricSums, b: MetricSums): MetricSums {
  const plus = (x: Float64Array, y: Float64Array) => x.map((value, k) => value + y[k]!);
  const sums = Object.entries(a.sums).map(([metric, own]) => {
    const terms = Object.entries(own).map(([name, values]) => [name, plus(values, b.sums[metric]![name]!)]);
    return [metric, Object.fromEntries(terms)];
  });
  return { sums: Object.fromEntries(sums), weights: plus(a.weights, b.weights) };
}

/** null: there is one output. */
function valuesPerOutput({ metrics }: Task, { sums, weights }: MetricSums): Evaluation["perOutput"] | null {
  const { length } = weights;
  if (length < 2) return null;
  const values = metrics
    .filter(({ name }) => Object.values(sums[name]!).every((own) => own.length === length))
    .map(({ name, value }) => {
      const of = (k: number) =>
        Object.fromEntries(Object.entries(sums[name]!).map(([term, own]) => [term, own.subarray(k, k + 1)]));
      return [name, Array.from(weights, (_, k) => value(of(k), weights.subarray(k, k + 1)))];
    });
  return values.length > 0 ? Object.fromEntries(values) : null;
}

function indexOfMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
