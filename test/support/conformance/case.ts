// What a conformance case is: a small program, what its bindings hold, and how far its results may be off.

import type { Program } from "../../../src/backend/program.ts";
import type { Csr } from "../../../src/core/csr.ts";
import type { RandomStream } from "../../../src/core/random.ts";

/** What a binding holds before the run. */
export type Input =
  /** Numbers drawn for a buffer of `length` elements; rounded to the tested precision before anybody sees them. */
  | { readonly from: "draw"; readonly draw: (length: number, stream: RandomStream) => ArrayLike<number> }
  /** A sparse matrix. */
  | { readonly from: "csr"; readonly csr: Csr }
  /** A buffer that belongs to the sparse matrix of another binding. */
  | { readonly from: "sparse"; readonly matrix: string; readonly part: "valuesCsc" | "valuesCsr" | "cscOfCsr" };

/** How far a result may lie from the oracle's. */
export type Tolerance =
  /** No rounding happens: the values must be equal (0 equals −0). */
  | { readonly kind: "exact" }
  /** An elementary function: units in the last place (default 4) of the result, or of `absoluteBelow` where that is more. */
  | { readonly kind: "ulps"; readonly ulps?: number; readonly absoluteBelow?: number }
  /** γ_terms times the result of the same program on absolute values: for sums and products in any order. */
  | { readonly kind: "sum"; readonly terms: number }
  /** γ_terms times the result: where nothing can cancel. */
  | { readonly kind: "relative"; readonly terms: number };

export interface ConformanceCase {
  /** A sentence about behaviour, unique. */
  readonly name: string;
  /** Lanes of the run; those of the padding hold numbers, too. */
  readonly lanes: number;
  readonly program: Program;
  /** By name of the binding; what is only written starts as NaN, so that an element left out shows. */
  readonly inputs: Readonly<Record<string, Input>>;
  /** By name of the binding: what is compared. */
  readonly outputs: Readonly<Record<string, Tolerance>>;
}

/** Makes a case for a number of lanes. */
export type CaseFamily = (lanes: number) => ConformanceCase;

export const EXACT: Tolerance = { kind: "exact" };

/** Standard normal numbers. */
export const normal: Input = {
  from: "draw",
  draw: (length, stream) => Float64Array.from({ length }, () => stream.normal()),
};

/** Uniform numbers between two limits; those of `special` come first. */
export function uniform(low: number, high: number, special: readonly number[] = []): Input {
  const draw = (length: number, stream: RandomStream): ArrayLike<number> =>
    Float64Array.from({ length }, (_, i) => special[i] ?? low + (high - low) * stream.uniform());
  return { from: "draw", draw };
}

/** Whole numbers from 0 to n − 1. */
export function wholeBelow(n: number): Input {
  return { from: "draw", draw: (length, stream) => Uint32Array.from({ length }, () => stream.below(n)) };
}

/** The given numbers, over and over. */
export function cycle(numbers: readonly number[]): Input {
  return { from: "draw", draw: (length) => Float64Array.from({ length }, (_, i) => numbers[i % numbers.length]!) };
}

export function csr(matrix: Csr): Input {
  return { from: "csr", csr: matrix };
}

/** "1 lane", "7 lanes". */
export function countLanes(lanes: number): string {
  return lanes === 1 ? "1 lane" : `${lanes} lanes`;
}
