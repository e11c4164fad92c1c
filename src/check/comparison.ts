// One line of a cross-check: a quantity by two witnesses, how far apart they are, and how far they may be.

import { rootMeanSquare } from "./point.ts";

export interface Comparison {
  /** "trajectory", "loss", "gradient of rnn.tau". */
  readonly quantity: string;
  /** The stronger witness, and the one that is compared with it. */
  readonly reference: string;
  readonly compared: string;
  /** Size of the quantity, the scale for errors and bounds. */
  readonly size: number;
  /** Of the element with the largest error relative to its bound. */
  readonly error: number;
  readonly bound: number;
}

/** "blunt": within the bound, but the bound is so wide that a wrong result could be, too. */
export type Verdict = "ok" | "FAIL" | "blunt";

/** A bound above this part of the quantity's size proves nothing. */
const SHARPNESS = 0.05;

export function verdictOf({ error, bound, size }: Comparison): Verdict {
  // Not `error > bound`: every comparison with NaN is false.
  if (!(error <= bound && Number.isFinite(bound))) return "FAIL";
  return bound <= SHARPNESS * size || size === 0 ? "ok" : "blunt";
}

/** Compares two arrays element by element and reports the worst one. */
export function compareArrays(
  names: Pick<Comparison, "quantity" | "reference" | "compared">,
  reference: ArrayLike<number>,
  values: ArrayLike<number>,
  bounds: ArrayLike<number>,
): Comparison {
  // The gradient of a matrix without entries has none.
  if (reference.length === 0) return { ...names, size: 0, error: 0, bound: 0 };
  let worst = 0;
  let worstRatio = -1;
  for (let i = 0; i < reference.length; i++) {
    const error = Math.abs(values[i]! - reference[i]!);
    // A result that is not finite is the worst of all.
    const ratio = Number.isFinite(error) ? (error === 0 ? 0 : error / bounds[i]!) : Number.POSITIVE_INFINITY;
    if (ratio > worstRatio) {
      worst = i;
      worstRatio = ratio;
    }
  }
  return {
    ...names,
    size: rootMeanSquare(reference),
    error: Math.abs(values[worst]! - reference[worst]!),
    bound: bounds[worst]!,
  };
}
