// Statistics of paired differences, for few pairs: three to some dozens.
//
// The test is Student's paired t. It is the one that few pairs allow: with n pairs, no sign-flip permutation test has a p-value below 2^(1 − n),
// which with five pairs is 0.06, before any correction for several controls. Bootstrap intervals are left out, as those of few pairs are too short
// (percentile intervals of five normal values cover 95 % at less than 85 %). From six pairs on, the exact sign-flip p-value stands beside that
// of the t test, as a check of the assumption that differences are about normal.

import { ArgumentError } from "../core/errors.ts";
import { logGamma } from "./special.ts";
import { detectableNoncentrality, tCritical, tTails } from "./studentT.ts";

/** Pairs from which on the exact sign-flip test can have a p-value below 0.05, and to which its 2^(n − 1) cases are counted. */
export const SIGN_FLIP_PAIRS = { least: 6, most: 20 } as const;

/** Power at which a difference counts as one that would have been found. */
export const POWER = 0.8;

/** Paired differences d₁ … dₙ in numbers; null: too few pairs, or no spread. */
export interface PairedStatistics {
  /** Number of pairs. */
  readonly n: number;
  readonly mean: number | null;
  /** Sample standard deviation s (n − 1). */
  readonly sd: number | null;
  /** Of the mean at the level 1 − α: mean ± t·s/√n with n − 1 degrees of freedom, for this comparison alone. */
  readonly interval: readonly [low: number, high: number] | null;
  /** Two-sided p-value of the paired t test, uncorrected. */
  readonly p: number | null;
  /** Two-sided p-value of the exact sign-flip test; null: outside of 6 to 20 pairs. */
  readonly signFlipP: number | null;
  /** Hedges' g_z = J·mean/s, with J the exact correction for small samples. */
  readonly effectSize: number | null;
  /** Smallest true difference that as many pairs with this spread would find with 80 % power, at the level `detectableAlpha`. */
  readonly detectable: number | null;
}

export interface PairedOptions {
  /** Level of the test and of the interval: 0.05 for a 95 % interval. */
  readonly alpha: number;
  /** Level for the detectable difference: α/m if m comparisons are corrected for. Default: alpha. */
  readonly detectableAlpha?: number;
}

/**
 * Mean, spread, interval, test and effect size of paired differences.
 *
 * A spread within rounding (s ≤ 4ε·scale) counts as none: without it there is no interval, test or effect size.
 *
 * @param differences  finite
 * @param scale        largest absolute value among the numbers that were subtracted
 * @throws {ArgumentError} a difference that is not finite
 * Sources: Student, Biometrika 6, 1908; L. V. Hedges, Journal of Educational Statistics 6, 1981 (J); D. Lakens, Frontiers in Psychology 4:863,
 * 2013 (d_z).
 */
export function pairedStatistics(
  differences: readonly number[],
  scale: number,
  { alpha, detectableAlpha = alpha }: PairedOptions,
): PairedStatistics {
  const wrong = differences.find((d) => !Number.isFinite(d));
  if (wrong !== undefined) throw new ArgumentError("pairedStatistics", "differences", "finite numbers", `${wrong}`);
  const n = differences.length;
  const none = { interval: null, p: null, signFlipP: null, effectSize: null, detectable: null };
  if (n === 0) return { n, mean: null, sd: null, ...none };
  const mean = differences.reduce((sum, d) => sum + d, 0) / n;
  if (n === 1) return { n, mean, sd: null, ...none };
  const sd = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1));
  if (sd <= 4 * Number.EPSILON * scale) return { n, mean, sd: 0, ...none };
  const df = n - 1;
  const error = sd / Math.sqrt(n);
  const margin = tCritical(alpha, df) * error;
  return {
    n,
    mean,
    sd,
    interval: [mean - margin, mean + margin],
    p: tTails(mean / error, df),
    signFlipP: n >= SIGN_FLIP_PAIRS.least && n <= SIGN_FLIP_PAIRS.most ? signFlipP(differences) : null,
    effectSize: df === 1 ? null : (hedgesCorrection(df) * mean) / sd,
    detectable: detectableNoncentrality(detectableAlpha, df, POWER) * error,
  };
}

/** J(df) = Γ(df/2) / (√(df/2)·Γ((df − 1)/2)): mean/s times J is an unbiased estimate of δ/σ. df ≥ 2. Source: Hedges 1981, eq. 6e. */
export function hedgesCorrection(df: number): number {
  return Math.exp(logGamma(df / 2) - logGamma((df - 1) / 2)) / Math.sqrt(df / 2);
}

/**
 * Exact two-sided sign-flip test: the share of the 2^n choices of signs for which |Σ ±dᵢ| is at least |Σ dᵢ|. By symmetry the first sign is fixed.
 * Source: R. A. Fisher, The Design of Experiments, 1935, §21.
 */
export function signFlipP(differences: readonly number[]): number {
  const n = differences.length;
  const total = differences.reduce((sum, d) => sum + d, 0);
  const size = differences.reduce((sum, d) => sum + Math.abs(d), 0);
  // Sums that are equal but for rounding count as equal: each of 2^(n − 1) updates adds at most half a unit of the last place of `size`.
  const limit = Math.abs(total) - size * 2 ** n * Number.EPSILON;
  const signs = new Int8Array(n).fill(1);
  const cases = 2 ** (n - 1);
  let sum = total;
  let asLarge = 0;
  for (let k = 1; ; k++) {
    if (Math.abs(sum) >= limit) asLarge++;
    if (k === cases) return asLarge / cases;
    // Gray code: the next choice differs in one sign.
    const i = 32 - Math.clz32(k & -k);
    signs[i] = -signs[i]!;
    sum += 2 * signs[i]! * differences[i]!;
  }
}

/**
 * p-values corrected for several tests (Holm): the k-th smallest of m times m − k + 1, made ascending, at most 1. If all with a corrected value of
 * at most α are claimed, the chance of any false claim is at most α, however the tests depend on each other.
 *
 * @param ps  null: no p-value; it counts as 1, so that a test that could not be made makes no other easier
 * Source: S. Holm, Scandinavian Journal of Statistics 6, 1979.
 */
export function holm(ps: readonly (number | null)[]): (number | null)[] {
  const order = ps.map((_, k) => k).sort((a, b) => (ps[a] ?? 1) - (ps[b] ?? 1));
  const corrected = new Array<number | null>(ps.length).fill(null);
  let least = 0;
  order.forEach((k, rank) => {
    least = Math.max(least, Math.min(1, (ps.length - rank) * (ps[k] ?? 1)));
    if (ps[k] !== null) corrected[k] = least;
  });
  return corrected;
}

/**
 * p-value of two one-sided tests: that the mean is at most −margin or at least margin. Small: it lies within ±margin.
 *
 * @returns null: no spread, or too few pairs
 * Source: D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987.
 */
export function equivalenceP({ n, mean, sd }: PairedStatistics, margin: number): number | null {
  if (mean === null || sd === null || sd === 0) return null;
  const error = sd / Math.sqrt(n);
  // P(T ≥ t), from both tails.
  const above = (t: number): number => (t > 0 ? tTails(t, n - 1) / 2 : 1 - tTails(t, n - 1) / 2);
  return Math.max(above((mean + margin) / error), above((margin - mean) / error));
}
