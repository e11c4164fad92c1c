// Mean absolute error.

import type { Metric } from "../task.ts";
import { totalOf } from "../totals.ts";

/** Σ w·|o − y| / Σ w. */
export const meanAbsoluteError: Metric = {
  name: "mae",
  target: "numbers",
  better: "lower",
  format: "number",
  range: [0, null],
  sums: ({ ops }, { outputs, target }) => ({ sizes: ops.abs(ops.sub(outputs, target)) }),
  value: ({ sizes }, weights) => totalOf(sizes!) / totalOf(weights),
};
