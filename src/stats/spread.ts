// Mean and spread of numbers. Of equal numbers the mean is exactly each of them, so that nothing divides by what rounding left of a spread of 0.

/** Mean, and standard deviation (n − 1); null for a single number. */
export interface Spread {
  readonly mean: number;
  readonly sd: number | null;
}

/** x̄ = x₁ + Σ (xᵢ − x₁) / n; NaN without numbers. */
export function meanOf(values: ArrayLike<number>): number {
  const first = values[0] ?? Number.NaN;
  let sum = 0;
  for (let i = 1; i < values.length; i++) sum += values[i]! - first;
  return first + sum / values.length;
}

/** Σ (x − x̄)². */
export function squaredDeviations(values: ArrayLike<number>, mean: number = meanOf(values)): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - mean) ** 2;
  return sum;
}

/** Mean and sample standard deviation; null: there are no numbers. */
export function spread(values: ArrayLike<number>): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = meanOf(values);
  return { mean, sd: n > 1 ? Math.sqrt(squaredDeviations(values, mean) / (n - 1)) : null };
}

/**
 * The number below which a share q of ascending numbers lies, by linear interpolation: x₍h₎ + (h − ⌊h⌋)·(x₍h₊₁₎ − x₍h₎) at h = q·(n − 1), from 0;
 * NaN without numbers.
 *
 * Source: R. J. Hyndman, Y. Fan, American Statistician 50, 1996, definition 7.
 */
export function quantileOf(sorted: ArrayLike<number>, q: number): number {
  const h = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(h)] ?? Number.NaN, sorted[Math.ceil(h)] ?? Number.NaN];
  return low === high ? low : low + (h - Math.floor(h)) * (high - low);
}
