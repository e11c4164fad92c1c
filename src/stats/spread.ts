// Mean and spread of a few numbers.

/** Mean, and standard deviation (n − 1); null for a single number. */
export interface Spread {
  readonly mean: number;
  readonly sd: number | null;
}

/** Mean and sample standard deviation; null: there are no numbers. */
export function spread(values: ArrayLike<number>): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i]!;
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i]! - mean) ** 2;
  return { mean, sd: n > 1 ? Math.sqrt(squares / (n - 1)) : null };
}
