// How well found parameters agree with known ones.

import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { correlation, r2Of } from "../../stats/agreement.ts";
import { meanOf, squaredDeviations } from "../../stats/spread.ts";

/** Found numbers θ̂ against known ones θ. */
export interface Recovered {
  readonly count: number;
  /** 1 − Σ(θ − θ̂)²/Σ(θ − mean θ)²: 1 where all are found, at most 0 where the mean would do as well. NaN where θ do not vary. */
  readonly r2: number;
  /** Least squares of θ̂ = slope · θ + intercept; NaN where θ do not vary. */
  readonly slope: number;
  readonly intercept: number;
  /** Pearson's r; NaN where θ or θ̂ do not vary. */
  readonly correlation: number;
  /** √mean((θ − θ̂)²); NaN without numbers. */
  readonly rmse: number;
  /** How many of θ̂ and θ lie where. */
  readonly density: Density;
}

/** Counts of points in squares. */
export interface Density {
  /** Both axes go from `low` to `high`. */
  readonly low: number;
  readonly high: number;
  /** [size, size], row by row from the lowest found numbers on, in a row from the lowest known ones on. */
  readonly size: number;
  readonly counts: readonly number[];
}

const SQUARES = 64;

/**
 * How much of known parameters was found: R², the regression of found on known numbers, their correlation and root-mean-square difference.
 *
 * @param known  θ, one per connection or neuron
 * @param found  θ̂, in the same order
 * @throws {ShapeError} other numbers of parameters; {ArgumentError} one that is not finite
 */
export function recoveredParameters(known: ArrayLike<number>, found: ArrayLike<number>): Recovered {
  const n = known.length;
  if (found.length !== n) throw new ShapeError("recoveredParameters", "found", `${n} numbers`, `${found.length}`);
  const [meanKnown, meanFound] = [meanOf(known), meanOf(found)];
  let [squared, products] = [0, 0];
  for (let k = 0; k < n; k++) {
    const [x, y] = [known[k]!, found[k]!];
    if (!(Number.isFinite(x) && Number.isFinite(y)))
      throw new ArgumentError("recoveredParameters", "known, found", "finite numbers", `${x}, ${y} at ${k}`);
    squared += (x - y) ** 2;
    products += (x - meanKnown) * (y - meanFound);
  }
  const variation = squaredDeviations(known, meanKnown);
  const slope = variation === 0 ? Number.NaN : products / variation;
  return {
    count: n,
    r2: r2Of(known, found),
    slope,
    intercept: meanFound - slope * meanKnown,
    correlation: correlation(known, found),
    rmse: Math.sqrt(squared / n),
    density: densityOf(known, found),
  };
}

function densityOf(known: ArrayLike<number>, found: ArrayLike<number>): Density {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let k = 0; k < known.length; k++) {
    low = Math.min(low, known[k]!, found[k]!);
    high = Math.max(high, known[k]!, found[k]!);
  }
  if (!(high > low)) {
    const middle = Number.isFinite(low) ? low : 0;
    [low, high] = [middle - 0.5, middle + 0.5];
  }
  const counts = new Array<number>(SQUARES ** 2).fill(0);
  const squareOf = (x: number) => Math.min(SQUARES - 1, Math.floor(((x - low) / (high - low)) * SQUARES));
  for (let k = 0; k < known.length; k++) counts[squareOf(found[k]!) * SQUARES + squareOf(known[k]!)]!++;
  return { low, high, size: SQUARES, counts };
}
