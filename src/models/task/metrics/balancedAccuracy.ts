// Accuracy that counts every class alike.

import { predictedClass } from "../predictedClass.ts";
import type { Metric } from "../task.ts";

/**
 * Mean over the classes that occur of the share of their targets that is predicted. Source: scikit-learn's balanced_accuracy_score.
 */
export const balancedAccuracy: Metric = {
  name: "balanced-accuracy",
  target: "class",
  better: "higher",
  format: "share",
  range: [0, 1],
  sums: (g, judged, { classes }) => {
    const { ops } = g;
    const isClass = ops.eq(g.rowIndex(classes!), judged.target);
    return { correct: ops.mul(isClass, ops.eq(predictedClass(g, judged), judged.target)), count: isClass };
  },
  value: ({ correct, count }) => {
    const shares = Array.from(count!, (n, c) => correct![c]! / n).filter((share) => !Number.isNaN(share));
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  },
  chance: ({ classes }) => classes && 1 / classes,
};
