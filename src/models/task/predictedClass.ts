// The class that outputs name, on the device and on the host.

import type { Graph } from "../../autodiff/graph.ts";
import type { Value } from "../../ops/value.ts";
import type { Judged, Prediction } from "./task.ts";

/** The predicted class of each sample [1 × lanes]. */
export function predictedClass(g: Graph, { outputs, prediction }: Judged): Value {
  const { ops } = g;
  if (prediction === "exceeded") return ops.reduceRows(ops.lt(0, outputs));
  const { rows } = outputs;
  const isLargest = ops.eq(outputs, ops.reduceRows(outputs, "max"));
  return ops.reduceRows(ops.select(isLargest, g.rowIndex(rows), rows), "min");
}

/** The same of the outputs of one sample on the host. */
export function classOf(outputs: ArrayLike<number>, prediction: Prediction = "largest"): number {
  if (prediction === "exceeded") return Array.from(outputs).filter((o) => o > 0).length;
  let largest = 0;
  for (let i = 1; i < outputs.length; i++) if (outputs[i]! > outputs[largest]!) largest = i;
  return largest;
}
