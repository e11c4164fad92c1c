// Accuracy of classes.

import { predictedClass } from "../predictedClass.ts";
import type { Metric } from "../task.ts";
import { shareOf } from "../totals.ts";

/** Share of the targets whose class is predicted. */
export const accuracy: Metric = {
  name: "accuracy",
  target: "class",
  better: "higher",
  format: "share",
  range: [0, 1],
  sums: (g, judged) => ({ correct: g.ops.eq(predictedClass(g, judged), judged.target) }),
  value: ({ correct }, weights) => shareOf(correct![0]!, weights[0]!),
  chance: ({ classes }) => classes && 1 / classes,
};
