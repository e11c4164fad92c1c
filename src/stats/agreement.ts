// How much several measurements of the same things agree: correlations, and the share of variance that they have in common.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { meanOf, squaredDeviations } from "./spread.ts";

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

/**
 * Spearman's ρ: Pearson's correlation of the ranks, equal numbers having the mean of their ranks; NaN where one of the lists is constant. O(n log n),
 * memory for four lists.
 *
 * @throws {ShapeError} lists of different lengths
 * Source: C. Spearman, American Journal of Psychology 15, 72–101, 1904.
 */
export function rankCorrelation(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (y.length !== x.length) throw new ShapeError("rankCorrelation", "y", `${x.length} numbers`, `${y.length}`);
  return correlation(ranksOf(x), ranksOf(y));
}

/** Ranks from 0; equal numbers have their mean rank. NaN: of NaN. */
function ranksOf(values: ArrayLike<number>): Float64Array {
  // Both zeros are one number.
  const sorted = Float64Array.from(values, (x) => x + 0).sort();
  /** How many numbers come before x: those below it, or also those that equal it. */
  const before = (x: number, equal: boolean): number => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < x || (equal && sorted[middle] === x)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return Float64Array.from(values, (x) => (Number.isNaN(x) ? x : (before(x, false) + before(x, true) - 1) / 2));
}

/**
 * The share of the variance of known numbers y that found ones ŷ explain: R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)². NaN where the known ones do not vary.
 *
 * @throws {ShapeError} lists of different lengths
 */
export function r2Of(known: ArrayLike<number>, found: ArrayLike<number>): number {
  const n = known.length;
  if (found.length !== n) throw new ShapeError("r2Of", "found", `${n} numbers`, `${found.length}`);
  let unexplained = 0;
  for (let k = 0; k < n; k++) unexplained += (known[k]! - found[k]!) ** 2;
  const all = squaredDeviations(known);
  return all === 0 ? Number.NaN : 1 - unexplained / all;
}

/** [k][k], the correlations of k lists with each other (and themselves: NaN where one is constant). @throws {ShapeError} as `correlation` */
export function correlationMatrix(lists: readonly ArrayLike<number>[]): number[][] {
  const matrix = lists.map(() => new Array<number>(lists.length));
  for (let a = 0; a < lists.length; a++) {
    for (let b = 0; b <= a; b++) {
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
