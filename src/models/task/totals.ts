// Sums over outputs, and spreads from sums.

/** The sum of a list. */
export function totalOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}

/** part/whole, a share: 1 where rounding of the sums takes it beyond. */
export function shareOf(part: number, whole: number): number {
  return Math.min(1, part / whole);
}

/** A sum of squares about the mean below this part of that about the centre is none: single precision cannot tell it from 0. */
const NO_SPREAD = 1e-6;

/**
 * Σ w·(x − mean)² from Σ w·x², Σ w·x and Σ w, x counted from any centre. 0: x is constant as far as the sums tell. NaN: they are not finite.
 */
export function spreadOf(squares: number, sum: number, weight: number): number {
  if (!(weight > 0)) return 0;
  const spread = squares - (sum * sum) / weight;
  if (!Number.isFinite(spread)) return Number.NaN;
  return spread > NO_SPREAD * squares ? spread : 0;
}
