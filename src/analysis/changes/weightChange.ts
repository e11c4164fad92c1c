// How far weights moved: measures of two sets of weights of the same connections.

import { finish, type Steps } from "../../core/abort.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { correlation, rankCorrelation } from "../../stats/agreement.ts";
import { quantileOf } from "../../stats/spread.ts";

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
 * @throws {ShapeError} other numbers of weights; {ArgumentError} `silenced` out of range
 */
export function weightChange(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  options: WeightChangeOptions = {},
): WeightChange {
  return finish(weightSteps(before, after, options));
}

/** `weightChange`, some measures at a time. */
export function* weightSteps(
  before: ArrayLike<number>,
  after: ArrayLike<number>,
  { silenced: share = 0.01 }: WeightChangeOptions = {},
): Steps<WeightChange> {
  const n = before.length;
  if (after.length !== n) throw new ShapeError("weightChange", "after", `${n} weights`, `${after.length}`);
  if (!(share > 0 && share <= 1))
    throw new ArgumentError("weightChange", "silenced", "a number above 0, at most 1", `${share}`);
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
  yield;
  const pearson = correlation(before, after);
  yield;
  const spearman = n > MOST_RANKED ? null : rankCorrelation(before, after);
  yield;
  return {
    ...{ count: n, normBefore, normAfter },
    relativeL2: relative(Math.sqrt(squareMoved), normBefore),
    relativeL1: relative(absMoved, absBefore),
    // Rounding may carry it beyond 1.
    cosine: Math.min(1, Math.max(-1, product / Math.sqrt(squareBefore * squareAfter))),
    ...{ correlation: pearson, rankCorrelation: spearman },
    ...{ signChanged, grown, shrunk, unchanged, silenced, toZero, fromZero },
    logRatio: yield* logRatios(before, after),
  };
}

/** A change by the size of what changed: 0 where nothing did; NaN where something did and there was nothing. */
export function relative(moved: number, before: number): number {
  return moved === 0 ? 0 : before === 0 ? Number.NaN : moved / before;
}

function* logRatios(before: ArrayLike<number>, after: ArrayLike<number>): Steps<LogRatios> {
  let ratios = new Float64Array(before.length);
  let count = 0;
  for (let k = 0; k < before.length; k++) {
    if (before[k] === 0 || after[k] === 0) continue;
    // Quotients of the smallest numbers overflow.
    ratios[count++] = Math.log2(Math.abs(after[k]!)) - Math.log2(Math.abs(before[k]!));
  }
  yield;
  ratios = ratios.subarray(0, count).sort();
  yield;
  const quantile = (q: number): number => quantileOf(ratios, q);
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
