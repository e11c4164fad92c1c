// Accuracy of yes and no.

import type { Metric } from "../task.ts";
import { shareOf, totalOf } from "../totals.ts";

/** Share of the targets (0 or 1) on whose side of 1/2 the sigmoid of the output lies: output > 0 where target > 1/2. */
export const binaryAccuracy: Metric = {
  name: "binary-accuracy",
  target: "numbers",
  better: "higher",
  format: "share",
  range: [0, 1],
  sums: ({ ops }, { outputs, target }) => ({ correct: ops.eq(ops.lt(0, outputs), ops.lt(0.5, target)) }),
  value: ({ correct }, weights) => shareOf(totalOf(correct!), totalOf(weights)),
};
