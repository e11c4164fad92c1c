// How far weights moved: measures of two sets of weights of the same connections.

import { ShapeError } from "../../core/errors.ts";
import { groupsBy } from "../../data/groupsBy.ts";

/** A histogram with bars of equal width. */
export interface Histogram {
  /** Lower end of the first bar. */
  readonly low: number;
  /** Width of a bar. */
  readonly step: number;
  /** The outermost bars count all that lies beyond them, too. */
  readonly counts: readonly number[];
}

/** Of log₂(|w| / |w₀|): 1 is a doubling. */
export interface LogRatios {
  /** Connections whose weight is 0 neither before nor after. */
  readonly count: number;
  /** Quantiles at 5, 25, 50, 75 and 95 %; NaN without such connections. */
  readonly quantiles: readonly number[];
  readonly histogram: Histogram;
}

/** Measures of weights w against those before, w₀. */
export interface WeightChange {
  readonly count: number;
  /** ‖w₀‖ and ‖w‖, Euclidean. */
  readonly normBefore: number;
  readonly normAfter: number;
  /** ‖w − w₀‖ / ‖w₀‖. 0 where nothing changed; NaN where it did and all w₀ are 0. */
  readonly relativeL2: number;
  /** Σ|w − w₀| / Σ|w₀|, with the same exceptions. */
  readonly relativeL1: number;
  /** w·w₀ / (‖w‖‖w₀‖); NaN where all w or w₀ are 0. */
  readonly cosine: number;
  /** Pearson's r; NaN where w or w₀ do not vary. */
  readonly correlation: number;
  /** Spearman's ρ, Pearson's r of the ranks, equal weights having their mean rank; null: too many connections. */
  readonly rankCorrelation: number | null;
  /** w·w₀ < 0. */
  readonly signChanged: number;
  /** |w| > |w₀|, |w| < |w₀|, w = w₀; the rest only changed their sign. */
  readonly grown: number;
  readonly shrunk: number;
  readonly unchanged: number;
  /** |w| below a share of |w₀|, among them those with w = 0; w₀ ≠ 0. */
  readonly silenced: number;
  /** w = 0 and w₀ ≠ 0; w ≠ 0 and w₀ = 0. */
  readonly toZero: number;
  readonly fromZero: number;
  readonly logRatio: LogRatios;
}

/** What counts as silenced. */
export interface WeightChangeOptions {
  /** Weights are silenced below this share of what they were. Default 0.01. */
  readonly silenced?: number;
}

/** Ranks of more connections take too much memory. */
const MOST_RANKED = 2 ** 22;
const BINS = 48;
/** Share of the log-ratios at either end that have no bars of their own. */
const TAIL = 0.0005;
const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95];

/**
 * How weights differ from those before, over all connections: relative L2 ‖w − w₀‖/‖w₀‖ and L1, cosine, Pearson's and Spearman's correlation,
 * how many changed their sign, grew, shrank or fell silent, and the distribution of log₂(|w|/|w₀|). Sums are in double precision. Memory: two
 * arrays of the size of the weights.
 *
 * @param before  w₀, [connections]
 * @param after   w, in the same order
 * @throws {ShapeError} other numbers of weights
 */
export function weightChange(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  { silenced: share = 0.01 }: WeightChangeOptions = {},
): WeightChange {
  const n = before.length;
  if (after.length !== n) throw new ShapeError("weightChange", "after", `${n} weights`, `${after.length}`);
  let [squareBefore, squareAfter, squareMoved, product] = [0, 0, 0, 0];
  let [absBefore, absMoved] = [0, 0];
  let [signChanged, grown, shrunk, unchanged, silenced, toZero, fromZero] = [0, 0, 0, 0, 0, 0, 0];
  for (let k = 0; k < n; k++) {
    const [x, y] = [before[k]!, after[k]!];
    squareBefore += x * x;
    squareAfter += y * y;
    squareMoved += (y - x) ** 2;
    product += x * y;
    const [sizeBefore, sizeAfter] = [Math.abs(x), Math.abs(y)];
    absBefore += sizeBefore;
    absMoved += Math.abs(y - x);
    if (Math.sign(x) * Math.sign(y) < 0) signChanged++;
    if (sizeAfter > sizeBefore) grown++;
    else if (sizeAfter < sizeBefore) shrunk++;
    else if (x === y) unchanged++;
    if (x !== 0) {
      if (y === 0) toZero++;
      if (sizeAfter < share * sizeBefore) silenced++;
    } else if (y !== 0) fromZero++;
  }
  const [normBefore, normAfter] = [Math.sqrt(squareBefore), Math.sqrt(squareAfter)];
  return {
    ...{ count: n, normBefore, normAfter },
    relativeL2: relative(Math.sqrt(squareMoved), normBefore),
    relativeL1: relative(absMoved, absBefore),
    cosine: unit(product / Math.sqrt(squareBefore * squareAfter)),
    correlation: correlationOf(before, after),
    rankCorrelation: n > MOST_RANKED ? null : correlationOf(ranksOf(before), ranksOf(after)),
    ...{ signChanged, grown, shrunk, unchanged, silenced, toZero, fromZero },
    logRatio: logRatios(before, after),
  };
}

/** A change by the size of what changed: 0 where nothing did; NaN where something did and there was nothing. */
export function relative(moved: number, before: number): number {
  return moved === 0 ? 0 : before === 0 ? Number.NaN : moved / before;
}

/** Pearson's correlation coefficient; NaN where one of the two does not vary. */
export function correlationOf(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length;
  let [sumA, sumB] = [0, 0];
  for (let k = 0; k < n; k++) {
    sumA += a[k]!;
    sumB += b[k]!;
  }
  const [meanA, meanB] = [sumA / n, sumB / n];
  let [aa, bb, ab] = [0, 0, 0];
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[k]! - meanA, b[k]! - meanB];
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  return unit(ab / Math.sqrt(aa * bb));
}

/** Rounding may carry a correlation beyond 1. */
function unit(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

/** Ranks from 0; equal numbers have their mean rank. */
function ranksOf(values: ArrayLike<number>): Float64Array {
  const n = values.length;
  // Both zeros are one number.
  const doubles = Float64Array.from(values, (x) => x + 0);
  const words = new Uint32Array(doubles.buffer);
  // The bits of numbers ascend as the numbers do, once those of negative ones are inverted and the sign bit of the others is set.
  const flip = (k: number): number => (words[2 * k + 1]! >>> 31 === 1 ? 0xffffffff : 0);
  const low = (k: number): number => (words[2 * k]! ^ flip(k)) >>> 0;
  const high = (k: number): number => (words[2 * k + 1]! ^ (flip(k) | 0x80000000)) >>> 0;
  const half = (of: (k: number) => number, shift: number) => ({
    extent: 2 ** 16,
    of: (k: number) => (of(k) >>> shift) & 0xffff,
  });
  const digits = [half(low, 0), half(low, 16), half(high, 0), half(high, 16)];
  const { members, begin } = groupsBy(n, () => true, digits);
  const ranks = new Float64Array(n);
  for (let g = 0; g + 1 < begin.length; g++) {
    for (let m = begin[g]!; m < begin[g + 1]!; m++) ranks[members[m]!] = (begin[g]! + begin[g + 1]! - 1) / 2;
  }
  return ranks;
}

function logRatios(before: ArrayLike<number>, after: ArrayLike<number>): LogRatios {
  let ratios = new Float64Array(before.length);
  let count = 0;
  for (let k = 0; k < before.length; k++) {
    if (before[k] === 0 || after[k] === 0) continue;
    // Quotients of the smallest numbers overflow.
    ratios[count++] = Math.log2(Math.abs(after[k]!)) - Math.log2(Math.abs(before[k]!));
  }
  ratios = ratios.subarray(0, count).sort();
  const quantile = (q: number): number => (count === 0 ? Number.NaN : ratios[Math.round(q * (count - 1))]!);
  return {
    count,
    quantiles: QUANTILES.map(quantile),
    histogram: histogramOf(ratios, quantile(TAIL), quantile(1 - TAIL)),
  };
}

/** Bars from `low` to `high`; around 0 and 1 wide where all numbers are the same. */
function histogramOf(values: ArrayLike<number>, low: number, high: number): Histogram {
  const counts = new Array<number>(BINS).fill(0);
  if (values.length === 0) return { low: -0.5, step: 1 / BINS, counts };
  const [first, last] = high > low ? [low, high] : [low - 0.5, low + 0.5];
  const step = (last - first) / (BINS - 1);
  const begin = first - step / 2;
  for (let k = 0; k < values.length; k++) {
    counts[Math.min(BINS - 1, Math.max(0, Math.floor((values[k]! - begin) / step)))]!++;
  }
  return { low: begin, step, counts };
}
