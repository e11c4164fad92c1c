// Mean squared error.

import type { Metric } from "../task.ts";
import { totalOf } from "../totals.ts";

/** Σ w·(o − y)² / Σ w. */
export const meanSquaredError: Metric = {
  name: "mse",
  target: "numbers",
  better: "lower",
  format: "number",
  range: [0, null],
  sums: ({ ops }, { outputs, target }) => {
    const error = ops.sub(outputs, target);
    return { squares: ops.mul(error, error) };
  },
  value: ({ squares }, weights) => totalOf(squares!) / totalOf(weights),
};
