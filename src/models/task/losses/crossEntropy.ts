// Cross-entropy of classes.

import { ArgumentError } from "../../../core/errors.ts";
import { checkNames } from "../../../core/optionNames.ts";
import type { Loss } from "../task.ts";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Weight of each class; default 1. Above 0 with label smoothing, else at least 0. */
  readonly classWeights?: ArrayLike<number>;
  /** ε, from 0 to 1: this part of the target is spread evenly over all classes. Default 0. */
  readonly labelSmoothing?: number;
}

const OPTIONS: Readonly<Record<keyof CrossEntropyOptions, true>> = { classWeights: true, labelSmoothing: true };
const WHERE = "crossEntropy";
/** Row of the class weights in graphs. */
const ROW = "class weights";

/**
 * l = log Σ_c exp(o_c) − o_y, in nats; one output o_c per class, y the target.
 *
 * With class weights v, the loss of a batch is Σ v_y·l / Σ v_y. With label smoothing ε and K classes,
 * l = (1 − ε)·(−log p_y) + (ε/K)·Σ_c (v_c/v_y)·(−log p_c), p = softmax(o). Source: torch.nn.CrossEntropyLoss.
 *
 * @throws {ArgumentError} naming the option
 */
export function crossEntropy(options: CrossEntropyOptions = {}): Loss {
  checkNames(WHERE, options, OPTIONS);
  const { labelSmoothing = 0 } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new ArgumentError(WHERE, "labelSmoothing", "a number from 0 to 1", `${labelSmoothing}`);
  const weights = options.classWeights ? Float64Array.from(options.classWeights) : null;
  const least = labelSmoothing > 0 ? "above 0 (with label smoothing)" : "of at least 0";
  const bad = weights?.findIndex((v) => !(Number.isFinite(v) && (labelSmoothing > 0 ? v > 0 : v >= 0))) ?? -1;
  if (weights && bad >= 0)
    throw new ArgumentError(WHERE, "classWeights", `finite numbers ${least}`, `${weights[bad]} for class ${bad}`);
  return {
    name: "cross-entropy",
    target: "class",
    unit: "nats",
    chance: ({ classes }) => (classes === null ? null : Math.log(classes)),
    metrics: ["accuracy"],
    outputs: ({ classes }) => {
      if (weights && weights.length !== classes)
        throw new ArgumentError(WHERE, "classWeights", `${classes} numbers, one per class`, `${weights.length}`);
      return classes!;
    },
    ...(weights && { weightOf: (target: number) => weights[target]! }),
    ...(weights && labelSmoothing > 0 && { rows: { [ROW]: weights } }),
    graph: (g, { outputs, target }) => {
      const { ops } = g;
      const { rows } = outputs;
      // The loss does not depend on what is subtracted first.
      const shifted = ops.sub(outputs, g.detach(ops.reduceRows(outputs, "max")));
      const logSum = ops.log(ops.reduceRows(ops.exp(shifted)));
      const isTarget = ops.eq(g.rowIndex(rows), target);
      const loss = ops.sub(logSum, ops.reduceRows(ops.select(isTarget, shifted, 0)));
      if (labelSmoothing === 0) return loss;
      const all = ops.sub(logSum, shifted);
      const v = weights ? g.row(ROW, rows) : null;
      const sum = ops.reduceRows(v ? ops.mul(v, all) : all);
      const spread = v ? ops.div(sum, ops.reduceRows(ops.select(isTarget, v, 0))) : sum;
      return ops.add(ops.mul(1 - labelSmoothing, loss), ops.mul(labelSmoothing / rows, spread));
    },
  };
}
