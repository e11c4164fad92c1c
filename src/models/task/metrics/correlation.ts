// Pearson's correlation of outputs and targets.

import type { Metric } from "../task.ts";
import { spreadOf, totalOf } from "../totals.ts";

/**
 * r = Σ w·(o − ō)·(y − ȳ) / √(Σ w·(o − ō)² · Σ w·(y − ȳ)²) of each output over samples and times; of several outputs the mean of r. Outputs
 * that do not vary, or whose targets do not, are left out; NaN where none is left, and where an output is not finite.
 */
export const correlation: Metric = {
  name: "correlation",
  target: "numbers",
  better: "higher",
  format: "number",
  range: [-1, 1],
  sums: ({ ops }, { outputs, target, centre }) => {
    const [o, y] = [ops.sub(outputs, centre), ops.sub(target, centre)];
    return { output: o, outputs: ops.mul(o, o), target: y, targets: ops.mul(y, y), products: ops.mul(o, y) };
  },
  value: ({ output, outputs, target, targets, products }, weights) => {
    const each = Array.from(weights).flatMap((w, i) => {
      const both = spreadOf(outputs![i]!, output![i]!, w) * spreadOf(targets![i]!, target![i]!, w);
      if (both === 0) return [];
      const r = (products![i]! - (output![i]! * target![i]!) / w) / Math.sqrt(both);
      // Only rounding takes it beyond.
      return [Math.max(-1, Math.min(1, r))];
    });
    return totalOf(each) / each.length;
  },
  chance: () => 0,
};
