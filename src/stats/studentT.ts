// Student's t distribution, central and noncentral: tails, quantiles, power of the two-sided test.

import { incompleteBeta, logGamma, NORMAL_END, normalCdf, positiveZero } from "./special.ts";

/**
 * P(|T| ≥ |t|) for T of Student's distribution with `df` degrees of freedom, = I_x(df/2, 1/2) at x = df/(df + t²).
 * Source: DLMF 8.17 with Abramowitz & Stegun 26.7.1.
 */
export function tTails(t: number, df: number): number {
  if (!Number.isFinite(t)) return Number.isNaN(t) ? Number.NaN : 0;
  return incompleteBeta(df / (df + t * t), df / 2, 0.5);
}

/** t > 0 with P(|T| ≥ t) = `tails`, 0 < tails < 1: the critical value of a two-sided test at that level. */
export function tCritical(tails: number, df: number): number {
  return remembered(`critical ${tails} ${df}`, () => positiveZero((t) => tTails(t, df) > tails));
}

/** Values that all comparisons of a study share; few, as there are few levels and numbers of pairs. */
const known = new Map<string, number>();

function remembered(what: string, compute: () => number): number {
  const value = known.get(what) ?? compute();
  known.set(what, value);
  return value;
}

/** Intervals in each part of the integral over the standard deviation; even. */
const INTERVALS = 1000;

/**
 * Power of the two-sided t test: P(|T| ≥ t) for T = (Z + λ)/S, noncentral with `df` degrees of freedom, as
 * ∫ [Φ(λ − t·s) + Φ(−λ − t·s)] f(s) ds, where S = √(χ²_df/df) has the density f.
 *
 * Φ goes from 1 to 0 between (|λ| − 8)/t and (|λ| + 8)/t: that part is integrated apart, by Simpson's rule, however narrow a small level makes
 * it. The error is below 1e-8 of the level or of the power, whichever is larger.
 *
 * @param noncentrality  λ = δ·√n/σ for n pairs whose differences have mean δ and standard deviation σ
 */
export function tPower(noncentrality: number, t: number, df: number): number {
  const lambda = Math.abs(noncentrality);
  // At least 8 standard deviations of S, 1/√(2·df), to each side of its mean, which is near 1.
  const [start, end] = [Math.max(0, 1 - 8 / Math.sqrt(2 * df)), 1 + 8 / Math.sqrt(df)];
  const logScale = Math.log(2) + (df / 2) * Math.log(df / 2) - logGamma(df / 2);
  const at = (s: number): number => {
    const density =
      s === 0 ? (df === 1 ? Math.exp(logScale) : 0) : Math.exp(logScale + (df - 1) * Math.log(s) - (df * s * s) / 2);
    return density * (normalCdf(lambda - t * s) + normalCdf(-lambda - t * s));
  };
  const within = (s: number): number => Math.min(end, Math.max(start, s));
  const bends = [start, within((lambda - NORMAL_END) / t), within((lambda + NORMAL_END) / t), end];
  const parts = bends.slice(1).map((to, k) => simpson(at, bends[k]!, to));
  return Math.min(
    1,
    parts.reduce((sum, part) => sum + part, 0),
  );
}

/** ∫ f from a to b. */
function simpson(f: (x: number) => number, a: number, b: number): number {
  if (!(b > a)) return 0;
  const step = (b - a) / INTERVALS;
  let sum = f(a) + f(b);
  for (let k = 1; k < INTERVALS; k++) sum += (k % 2 === 1 ? 4 : 2) * f(a + k * step);
  return (sum * step) / 3;
}

/** λ at which the two-sided test at the level `alpha` has this power. */
export function detectableNoncentrality(alpha: number, df: number, power: number): number {
  const t = tCritical(alpha, df);
  const isBelow = (noncentrality: number): boolean => tPower(noncentrality, t, df) < power;
  return remembered(`detectable ${alpha} ${df} ${power}`, () => positiveZero(isBelow));
}
