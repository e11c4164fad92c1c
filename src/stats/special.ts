// Special functions of statistics, in double precision.

import { ArgumentError } from "../core/errors.ts";

/** Coefficients of the approximation of Γ by C. Lanczos (1964), with g = 7 and nine terms after P. Godfrey (2001): relative error below 1e-14. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
] as const;

/** log Γ(x), x > 0. */
export function logGamma(x: number): number {
  // Γ(x) = Γ(x + 1)/x: the approximation is for x ≥ 1/2.
  if (x < 0.5) return logGamma(x + 1) - Math.log(x);
  const z = x - 1;
  const base = z + 7.5;
  const sum = LANCZOS.reduce((total, c, k) => total + (k === 0 ? c : c / (z + k)), 0);
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(base) - base + Math.log(sum);
}

/** Terms of the continued fraction; O(√max(a, b)) are needed. */
const MOST_TERMS = 10_000;

/**
 * Regularised incomplete beta function I_x(a, b) = ∫₀ˣ t^(a−1) (1 − t)^(b−1) dt / B(a, b).
 *
 * @param x  from 0 to 1
 * Source: continued fraction DLMF 8.17.22, evaluated by the method of W. J. Lentz (Applied Optics 15, 1976).
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (!(x >= 0 && x <= 1)) throw new ArgumentError("incompleteBeta", "x", "a number from 0 to 1", `${x}`);
  if (x === 0 || x === 1) return x;
  // The fraction converges fast below the mean; above it, I_x(a, b) = 1 − I_(1−x)(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const logFactor = logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x);
  let numerator = 1;
  let denominator = 1 / (1 - ((a + b) * x) / (a + 1));
  let fraction = denominator;
  for (let m = 1; m <= MOST_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    const before = fraction;
    for (const term of [even, odd]) {
      denominator = 1 / (1 + term * denominator);
      numerator = 1 + term / numerator;
      fraction *= numerator * denominator;
    }
    if (Math.abs(fraction - before) <= Number.EPSILON * Math.abs(fraction)) break;
  }
  return (Math.exp(logFactor) * fraction) / a;
}

/** Beyond it, the smaller tail of the normal distribution is below 1e-15. */
export const NORMAL_END = 8;

/**
 * Distribution function of the standard normal, Φ(x) = 1/2 + φ(x)·(x + x³/3 + x⁵/(3·5) + …), to an absolute error of 1e-15.
 * Source: G. Marsaglia, "Evaluating the normal distribution", Journal of Statistical Software 11(4), 2004.
 */
export function normalCdf(x: number): number {
  if (Math.abs(x) > NORMAL_END) return x > 0 ? 1 : 0;
  let [sum, term] = [x, x];
  for (let k = 3; sum + term !== sum; k += 2) {
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + (sum * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

/**
 * The zero of a function that changes its sign once between 0 and infinity, by bisection to the last bit.
 *
 * @param isBelow  whether x is below the zero
 */
export function positiveZero(isBelow: (x: number) => boolean): number {
  let [low, high] = [0, 1];
  while (isBelow(high) && high < Number.MAX_VALUE / 2) [low, high] = [high, 2 * high];
  for (let middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2) {
    if (isBelow(middle)) low = middle;
    else high = middle;
  }
  return high;
}
