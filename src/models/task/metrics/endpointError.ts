// Mean length of error vectors.

import type { Metric } from "../task.ts";
import { totalOf } from "../totals.ts";
import { Vectors } from "../vectors.ts";

/**
 * Σ w·|e| / Σ w of the error vectors e = o − y; component k of place p is number k·places + p. Of optic flow it is known as the average
 * endpoint error.
 *
 * @throws {ArgumentError} a size that is no whole number of at least 1
 */
export function endpointError(vectorSize = 2): Metric {
  const vectors = new Vectors("endpoint-error", vectorSize);
  return {
    name: "endpoint-error",
    target: "numbers",
    better: "lower",
    format: "number",
    range: [0, null],
    matrices: (shape) => vectors.matrices(shape),
    sums: (g, { outputs, target }) => ({ lengths: g.ops.sqrt(vectors.squares(g, g.ops.sub(outputs, target))) }),
    value: ({ lengths }, weights) => totalOf(lengths!) / totalOf(weights),
  };
}
