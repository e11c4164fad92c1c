// Comparators of arrays. A bound is given for every element and is derived, not tuned; NaN and Infinity never pass.

import type { DType } from "../../src/core/dtype.ts";
import { unitRoundoff } from "../../src/core/dtype.ts";

/**
 * γ_k = k·u / (1 − k·u): relative error of k roundings, so |fl(Σ wᵢxᵢ) − Σ wᵢxᵢ| ≤ γ_k·Σ|wᵢ||xᵢ| for k terms in any order.
 *
 * Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1, lemma 3.1.
 */
export function gamma(k: number, dtype: DType): number {
  const ku = k * unitRoundoff(dtype);
  if (!(ku < 1))
    throw new RangeError(`gamma: expected fewer than 1/u = ${1 / unitRoundoff(dtype)} roundings, got ${k} (k)`);
  return ku / (1 - ku);
}

/**
 * Bounds for an elementary function: `ulps` units in the last place of the expected values, and never less than `floor`
 * (near a zero of the function an error relative to the result says nothing).
 */
export function ulpBounds(expected: ArrayLike<number>, ulps: number, floor: number, dtype: DType): Float64Array {
  // 2u·|y| is at least one unit in the last place of y and at most two.
  return Float64Array.from(expected, (y) => Math.max(ulps * 2 * unitRoundoff(dtype) * Math.abs(y), floor));
}

/**
 * Asserts |actual[i] − expected[i]| ≤ bound[i] for all i (one number is the bound of all elements).
 *
 * @throws {Error} lengths differ; a number on either side, or a bound, is NaN or infinite; else with the worst element: its index,
 *   both values, and by how many times its error exceeds its bound
 */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bounds: number | ArrayLike<number>,
  label: string,
): void {
  assertSameLength(actual, expected, label);
  if (typeof bounds !== "number") assertSameLength(bounds, expected, `${label}, bounds`);
  let worst = -1;
  let worstRatio = 1;
  let failures = 0;
  for (let i = 0; i < expected.length; i++) {
    const ratio = errorOverBound(actual[i]!, expected[i]!, typeof bounds === "number" ? bounds : bounds[i]!);
    if (ratio <= 1) continue;
    failures++;
    if (ratio > worstRatio) {
      worst = i;
      worstRatio = ratio;
    }
  }
  if (failures === 0) return;
  const bound = typeof bounds === "number" ? bounds : bounds[worst]!;
  throw new Error(
    `${label}: ${failures} of ${expected.length} elements differ; worst at ${worst}: got ${actual[worst]}, ` +
      `expected ${expected[worst]} within ${bound} (error/bound ${worstRatio.toPrecision(3)})`,
  );
}

/** At most 1 when the element is close enough, else how far off it is; Infinity for whatever is not a finite number. */
function errorOverBound(actual: number, expected: number, bound: number): number {
  const error = Math.abs(actual - expected);
  // Not `error > bound`: every comparison with NaN is false.
  if (!Number.isFinite(error) || !Number.isFinite(bound) || bound < 0) return Number.POSITIVE_INFINITY;
  if (error === 0) return 0;
  return error / bound;
}

/**
 * Asserts that two arrays hold the same bits as far as a number can tell: −0 is not 0, and NaN equals only NaN.
 *
 * @throws {Error} with the first element that differs, and how many do
 */
export function assertBitEqual(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
  assertSameLength(actual, expected, label);
  let first = -1;
  let failures = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    if (failures++ === 0) first = i;
  }
  if (failures === 0) return;
  throw new Error(
    `${label}: ${failures} of ${expected.length} elements differ; first at ${first}: got ${showBits(actual[first]!)}, ` +
      `expected ${showBits(expected[first]!)}`,
  );
}

function showBits(x: number): string {
  return Object.is(x, -0) ? "-0" : `${x}`;
}

function assertSameLength(actual: ArrayLike<number>, expected: ArrayLike<number>, label: string): void {
  if (actual.length === expected.length) return;
  throw new Error(`${label}: expected ${expected.length} elements, got ${actual.length}`);
}
