// R², the share of the targets' variance that is explained.

import type { Metric } from "../task.ts";
import { spreadOf, totalOf } from "../totals.ts";

/**
 * R² = 1 − Σ w·(o − y)² / Σ w·(y − ȳ)², with ȳ the mean of each output's targets, and both sums over all outputs (scikit-learn's r2_score
 * with multioutput="variance_weighted": outputs whose targets hardly vary hardly count). 0 for the constant prediction ȳ. NaN where no
 * target varies.
 */
export const r2: Metric = {
  name: "r2",
  target: "numbers",
  better: "higher",
  format: "number",
  range: [null, 1],
  sums: ({ ops }, { outputs, target, centre }) => {
    const error = ops.sub(outputs, target);
    const y = ops.sub(target, centre);
    return { errors: ops.mul(error, error), target: y, targets: ops.mul(y, y) };
  },
  value: ({ errors, target, targets }, weights) => {
    const spreads = Array.from(weights, (w, i) => spreadOf(targets![i]!, target![i]!, w));
    const spread = totalOf(spreads);
    return spread > 0 ? 1 - totalOf(errors!) / spread : Number.NaN;
  },
  chance: () => 0,
};
