// The length of error vectors.

import { checkNames } from "../../../core/optionNames.ts";
import type { Loss } from "../task.ts";
import { Vectors } from "../vectors.ts";

/** Options of `norm`. */
export interface NormOptions {
  /** Numbers of a target that make a vector; default 2. */
  readonly vectorSize?: number;
}

/** ε: the loss is smooth where an error is 0. */
const SMOOTHING = 1e-3;

/**
 * l = √(|e|² + ε²), ε = 10⁻³, of each error vector e = o − y: with vectors of n numbers and targets at P places, component k of place p is
 * number k·P + p (x of all places, then y). Each number has the loss of its vector; a number of weight 0 has error 0.
 * Where products gather half precision (`WebGpuOptions.gather`), errors beyond 255 overflow.
 *
 * @throws {ArgumentError} a size that is no whole number, or does not divide the numbers of a target
 */
export function norm(options: NormOptions = {}): Loss {
  checkNames("norm", options, { vectorSize: true });
  const vectors = new Vectors("norm", options.vectorSize ?? 2);
  return {
    name: "norm",
    target: "numbers",
    metrics: ["endpoint-error", "r2"],
    outputs: (shape) => {
      vectors.matrices(shape);
      return shape.width;
    },
    matrices: (shape) => vectors.matrices(shape),
    graph: (g, { outputs, target }) => {
      const { ops } = g;
      return ops.sqrt(ops.add(vectors.squares(g, ops.sub(outputs, target)), SMOOTHING ** 2));
    },
  };
}
