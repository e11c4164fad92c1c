// The jackknife over groups of samples.

import { squaredDeviations } from "./spread.ts";

/**
 * Standard error of a statistic θ of all samples, from its values θ₍g₎ without one of G groups of equal size each:
 *
 *     √( (G − 1)/G · Σ_g (θ₍g₎ − θ̄)² ),  θ̄ = Σ_g θ₍g₎ / G
 *
 * For a mean this is the standard error of the mean of the groups' means. The statistic may be the difference of two on the same samples, whose
 * common part then cancels.
 *
 * @param leftOut  θ₍g₎, one number per group
 * @returns NaN: fewer than two groups
 * Source: Wolter, Introduction to Variance Estimation, 2nd ed. 2007, eq. 4.2.3.
 */
export function jackknifeError(leftOut: readonly number[]): number {
  const count = leftOut.length;
  if (count < 2) return Number.NaN;
  return Math.sqrt(((count - 1) / count) * squaredDeviations(leftOut));
}
