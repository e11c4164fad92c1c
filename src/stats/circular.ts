// Mean and spread of angles.

import type { Spread } from "./spread.ts";

/**
 * Mean direction and circular standard deviation of angles in degrees: with R·e^{iθ̄} the mean of e^{iθ}, the mean is θ̄ in [0, 360), NaN where R is 0,
 * and the deviation √(−2·ln R) in degrees, about the usual one where angles are close; null for a single angle. null: there are no angles.
 *
 * Source: K. V. Mardia, P. E. Jupp, Directional Statistics, 2000, eq. 2.3.12.
 */
export function circularSpread(angles: readonly number[]): Spread | null {
  const n = angles.length;
  if (n === 0) return null;
  let [re, im] = [0, 0];
  for (const angle of angles) {
    re += Math.cos((angle * Math.PI) / 180);
    im += Math.sin((angle * Math.PI) / 180);
  }
  // Only rounding takes it beyond 1, or leaves something of angles that cancel.
  const length = Math.min(1, Math.hypot(re, im) / n);
  const cancels = length <= 4 * Number.EPSILON;
  const mean = cancels ? Number.NaN : ((Math.atan2(im, re) * 180) / Math.PI + 360) % 360;
  const sd = cancels ? Number.POSITIVE_INFINITY : (Math.sqrt(-2 * Math.log(length)) * 180) / Math.PI;
  return { mean, sd: n > 1 ? sd : null };
}
