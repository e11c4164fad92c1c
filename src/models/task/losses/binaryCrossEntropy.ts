// Binary cross-entropy of logits.

import { ArgumentError } from "../../../core/errors.ts";
import { checkNames } from "../../../core/optionNames.ts";
import type { Loss } from "../task.ts";

/** Options of `binaryCrossEntropy`. */
export interface BinaryCrossEntropyOptions {
  /** p > 0: how much a target of 1 counts beside one of 0, for all outputs or for each; default 1. */
  readonly positiveWeight?: number | ArrayLike<number>;
}

/** Row of the weights in graphs. */
const ROW = "positive weights";
const WHERE = "binaryCrossEntropy";

/**
 * l = −p·y·log σ(o) − (1 − y)·log(1 − σ(o)) of a logit o and a target y from 0 to 1, computed as
 * (1 − y)·o + (1 + (p − 1)·y)·(log(1 + e^−|o|) + max(−o, 0)), which does not overflow. Source: torch.nn.BCEWithLogitsLoss.
 *
 * @throws {ArgumentError} a weight is not above 0
 */
export function binaryCrossEntropy(options: BinaryCrossEntropyOptions = {}): Loss {
  checkNames(WHERE, options, { positiveWeight: true });
  const { positiveWeight: p = 1 } = options;
  const each = typeof p === "number" ? null : Float64Array.from(p);
  for (const v of each ?? [p as number]) {
    if (!(v > 0 && Number.isFinite(v))) throw new ArgumentError(WHERE, "positiveWeight", "numbers above 0", `${v}`);
  }
  return {
    name: "binary-cross-entropy",
    target: "numbers",
    unit: "nats",
    chance: () => (p === 1 ? Math.LN2 : null),
    metrics: ["binary-accuracy"],
    outputs: ({ width }) => {
      if (each && each.length !== width)
        throw new ArgumentError(WHERE, "positiveWeight", `${width} numbers, one per output`, `${each.length}`);
      return width;
    },
    ...(each && { rows: { [ROW]: each } }),
    refuses: (target) => (target >= 0 && target <= 1 ? null : "a number from 0 to 1"),
    graph: (g, { outputs, target }) => {
      const { ops } = g;
      const weight = each ? g.row(ROW, outputs.rows) : ops.constant(p as number);
      const minusLogSigmoid = ops.add(ops.log1p(ops.exp(ops.neg(ops.abs(outputs)))), ops.max(ops.neg(outputs), 0));
      const counted = ops.mul(ops.add(1, ops.mul(ops.sub(weight, 1), target)), minusLogSigmoid);
      return ops.add(ops.mul(ops.sub(1, target), outputs), counted);
    },
  };
}
