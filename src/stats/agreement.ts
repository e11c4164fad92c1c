// How much several measurements of the same things agree: correlations, and the share of variance that they have in common.

import { ArgumentError, ShapeError } from "../core/errors.ts";

/**
 * Pearson's correlation r = Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)²·Σ (y − ȳ)²), within [−1, 1]; NaN where one of them is constant.
 *
 * @throws {ShapeError} lists of different lengths
 */
export function correlation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  const n = x.length;
  if (y.length !== n) throw new ShapeError("correlation", "y", `${n} numbers`, `${y.length}`);
  const [meanX, meanY] = [meanOf(x), meanOf(y)];
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [a, b] = [x[i]! - meanX, y[i]! - meanY];
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  // Exactly xx where the lists are the same.
  const size = Math.sqrt(xx * yy);
  return size > 0 ? Math.min(1, Math.max(-1, xy / size)) : Number.NaN;
}

/** [k][k], the correlations of k lists with each other. @throws {ShapeError} as `correlation` */
export function correlationMatrix(lists: readonly ArrayLike<number>[]): number[][] {
  const matrix = lists.map(() => new Array<number>(lists.length).fill(1));
  for (let a = 0; a < lists.length; a++) {
    for (let b = 0; b < a; b++) {
      const r = correlation(lists[a]!, lists[b]!);
      matrix[a]![b] = r;
      matrix[b]![a] = r;
    }
  }
  return matrix;
}

/** Intraclass correlations of single measurements; null: all are the same, so there is no variance to share. */
export interface IntraclassCorrelation {
  /** ICC(1,1): every thing is measured by others. */
  readonly oneWay: number | null;
  /** ICC(2,1): all measure all things, and a constant difference between them counts as disagreement. */
  readonly agreement: number | null;
  /** ICC(3,1): the same, but a constant difference does not count. */
  readonly consistency: number | null;
}

/**
 * Which share of the variance of n things measured k times is that of the things. With the mean squares between things B, within things W,
 * between measurements J and of the rest E,
 *
 * ICC(1,1) = (B − W) / (B + (k − 1)·W), ICC(2,1) = (B − E) / (B + (k − 1)·E + k·(J − E)/n), ICC(3,1) = (B − E) / (B + (k − 1)·E).
 *
 * @param lists  k lists of n numbers, k ≥ 2, n ≥ 2: what each measured
 * @throws {ArgumentError} fewer; {ShapeError} lists of different lengths
 * Source: P. E. Shrout, J. L. Fleiss, Psychological Bulletin 86, 420–428, 1979.
 */
export function intraclassCorrelation(lists: readonly ArrayLike<number>[]): IntraclassCorrelation {
  const where = "intraclassCorrelation";
  const k = lists.length;
  const n = lists[0]?.length ?? 0;
  if (k < 2 || n < 2) throw new ArgumentError(where, "lists", "two lists of two numbers, or more", `${k} of ${n}`);
  lists.forEach((list, j) => {
    if (list.length !== n) throw new ShapeError(where, `lists[${j}]`, `${n} numbers`, `${list.length}`);
  });
  const means = lists.map(meanOf);
  const grand = meanOf(means);
  let [between, rest] = [0, 0];
  for (let i = 0; i < n; i++) {
    let row = 0;
    for (const list of lists) row += (list[i]! - grand) / k;
    between += k * row * row;
    for (let j = 0; j < k; j++) rest += (lists[j]![i]! - grand - row - (means[j]! - grand)) ** 2;
  }
  const columns = means.reduce((sum, mean) => sum + n * (mean - grand) ** 2, 0);
  const b = between / (n - 1);
  const w = (columns + rest) / (n * (k - 1));
  const j = columns / (k - 1);
  const e = rest / ((n - 1) * (k - 1));
  const share = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
  return {
    oneWay: share(b - w, b + (k - 1) * w),
    agreement: share(b - e, b + (k - 1) * e + (k * (j - e)) / n),
    consistency: share(b - e, b + (k - 1) * e),
  };
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
