// Sums of metrics: their rows, their addition over batches, and the metrics that follow from them.

import { Graph } from "../../autodiff/graph.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import type { Value } from "../../ops/value.ts";
import type { Judged, Metric, Task } from "./task.ts";

/** Sums of the metrics of a task over some targets. Those of several batches add up (`addSums`). */
export interface MetricSums {
  /** By metric and name of the sum; a number per row. */
  readonly sums: Readonly<Record<string, Readonly<Record<string, Float64Array>>>>;
  /** Σ w per number of the target; of a class one number. */
  readonly weights: Float64Array;
}

/** One sum of one metric. */
export interface SumLayout {
  readonly metric: string;
  readonly sum: string;
  readonly rows: number;
}

/** The values of a graph that a task judges, with its leaves `target` and `target.centre`. */
export function judgedOf(g: Graph, { loss, target, centre }: Task, outputs: Value): Judged {
  return {
    outputs,
    target: target.kind === "class" ? g.sample("target") : g.state("target", target.width),
    centre: centre ? g.row("target.centre", target.width) : g.ops.constant(0),
    prediction: loss.prediction ?? "largest",
  };
}

/** The sums of a task's metrics, in order. @throws {ShapeError} values with other rows than targets have */
export function sumLayout(task: Task): SumLayout[] {
  const g = new Graph();
  const { loss, target, metrics } = task;
  const judged = judgedOf(g, task, g.state("outputs", loss.outputs(target)));
  return metrics.flatMap((metric) =>
    Object.entries(metric.sums(g, judged, target)).map(([sum, value]) => {
      const rows = rowsOfSum(task, value);
      const fits = target.kind === "class" || value.rows === 1 || value.rows === target.width;
      if (!fits) throw new ShapeError("task", `${metric.name}, ${sum}`, `${target.width} rows`, `${value.rows}`);
      return { metric: metric.name, sum, rows };
    }),
  );
}

/** Rows of a sum: of a class those of the value, of numbers one per number. */
export function rowsOfSum({ target }: Task, value: Value): number {
  return target.kind === "class" ? value.rows : target.width;
}

/** Sums of nothing. */
export function emptySums(task: Task): MetricSums {
  return sumsFrom(
    task,
    sumLayout(task).map((layout) => ({ layout, values: new Float64Array(layout.rows) })),
    new Float64Array(task.target.width),
  );
}

/** Sums from lists in the order of `sumLayout`. */
export function sumsFrom(
  { metrics }: Task,
  parts: readonly { readonly layout: SumLayout; readonly values: ArrayLike<number> }[],
  weights: Float64Array,
): MetricSums {
  const sums: Record<string, Record<string, Float64Array>> = Object.fromEntries(metrics.map(({ name }) => [name, {}]));
  for (const { layout, values } of parts) sums[layout.metric]![layout.sum] = Float64Array.from(values);
  return { sums, weights };
}

/** Adds the sums of a batch to `total`, in place. @returns `total` */
export function addSums(total: MetricSums, batch: MetricSums): MetricSums {
  const add = (into: Float64Array, values: Float64Array) => {
    for (let i = 0; i < into.length; i++) into[i]! += values[i]!;
  };
  for (const [metric, sums] of Object.entries(total.sums))
    for (const [name, into] of Object.entries(sums)) add(into, batch.sums[metric]![name]!);
  add(total.weights, batch.weights);
  return total;
}

/** The metrics of a task from their sums, by name; NaN where the sums do not determine one. */
export function metricValues({ metrics }: Task, { sums, weights }: MetricSums): Record<string, number> {
  return Object.fromEntries(metrics.map((metric) => [metric.name, metric.value(sums[metric.name]!, weights)]));
}

/** A metric of each of the target's numbers alone. @throws {ArgumentError} the task asks for a class */
export function perOutput({ target }: Task, metric: Metric, { sums, weights }: MetricSums): Float64Array {
  if (target.kind === "class")
    throw new ArgumentError("perOutput", "task", "one whose targets are numbers", "one whose targets are classes");
  const own = Object.entries(sums[metric.name]!);
  return weights.map((_, i) => {
    const at = (values: Float64Array) => values.subarray(i, i + 1);
    return metric.value(Object.fromEntries(own.map(([name, values]) => [name, at(values)])), at(weights));
  });
}
