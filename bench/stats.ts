// Robust summaries of repeated timings, and power laws through medians.

import type { Timing } from "./row.ts";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) throw new RangeError("median: expected at least one number, got none");
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function summarise(samples: readonly number[]): Timing {
  return {
    medianS: median(samples),
    minS: Math.min(...samples),
    rmePct: relativeMargin(samples),
    samples: samples.length,
  };
}

/** Half width of the 95 % confidence interval of the mean (Student's t), in percent of the mean; null below two samples. */
function relativeMargin(samples: readonly number[]): number | null {
  const n = samples.length;
  if (n < 2) return null;
  const mean = samples.reduce((sum, x) => sum + x, 0) / n;
  const variance = samples.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  return (100 * studentT(n - 1) * Math.sqrt(variance / n)) / mean;
}

/**
 * The 97.5 % quantile of Student's t with `freedom` degrees; exact for 1 and 2, within 1 % above.
 * Source: Abramowitz & Stegun, 26.7.5 (the expansion around the normal quantile), three terms.
 */
function studentT(freedom: number): number {
  if (freedom === 1) return 12.706;
  if (freedom === 2) return 4.303;
  const z = 1.959964;
  const g1 = (z ** 3 + z) / 4;
  const g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + g1 / freedom + g2 / freedom ** 2 + g3 / freedom ** 3;
}

/** The exponent b of y = a·x^b by least squares on logarithms; null with fewer than two different x. */
export function fittedExponent(points: readonly (readonly [x: number, y: number])[]): number | null {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length;
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length;
  const sxx = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const sxy = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return new Set(points.map(([x]) => x)).size < 2 ? null : sxy / sxx;
}
