// Gradients in f64 against central differences of the loss, the one witness that knows nothing of reverse mode.

import { unitRoundoff } from "../core/dtype.ts";
import type { Comparison } from "./comparison.ts";
import { type Point, rootMeanSquare, streamOf } from "./point.ts";
import type { OpenSubject } from "./subject.ts";

/** Steps of size ∛u balance truncation and rounding of a central difference; a solve's rounding errors are larger than u. */
export const SMOOTH_STEP: number = 8 * Math.cbrt(unitRoundoff("f64"));

/**
 * For what has kinks. Step-size control scales errors by max(|y|, |y₁|), neuron by neuron, and a difference across a kink means nothing:
 * a shorter step makes that unlikely, at the price of more rounding.
 */
export const KINKED_STEP: number = SMOOTH_STEP / 512;

/** A gradient by some of the point's arrays. */
export interface Claim {
  readonly quantity: string;
  readonly names: readonly string[];
  readonly gradient: Point;
  /** Of the differences. */
  readonly step: number;
}

/**
 * Compares Σ gᵢvᵢ with (L(x + hv) − L(x − hv))/2h for one random direction v of the arrays `names` together. The bound is the sum of
 *  - the truncation error, (h²/6)·L‴: the difference with step 2h is off by four times as much, so the two differ by three times it;
 *  - the rounding error of the difference, δ/h, with δ the rounding error of one loss.
 *
 * @param lossRounding rounding error of one f64 evaluation of the loss
 */
export async function compareWithDifferences(
  { quantity, names, gradient, step: h }: Claim,
  opened: OpenSubject,
  point: Point,
  lossRounding: number,
  seed: number,
): Promise<Comparison> {
  const direction = Object.fromEntries(names.map((name) => [name, directionOf(name, point[name]!, seed)]));
  const lossAt = async (step: number): Promise<number> => {
    const moved = Object.fromEntries(
      names.map((name) => [name, point[name]!.map((x, i) => x + step * direction[name]![i]!)]),
    );
    return (await opened.evaluate({ ...point, ...moved }, { gradients: false })).loss;
  };
  const near = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
  const far = ((await lossAt(2 * h)) - (await lossAt(-2 * h))) / (4 * h);
  let sum = 0;
  let size = 0;
  for (const name of names) {
    direction[name]!.forEach((v, i) => {
      sum += gradient[name]![i]! * v;
      size += Math.abs(gradient[name]![i]! * v);
    });
  }
  return {
    quantity,
    reference: "central differences",
    compared: "wasm f64",
    size,
    error: Math.abs(sum - near),
    bound: Math.abs(far - near) + lossRounding / h,
  };
}

/** Normal numbers of the size of the array's own; of size 1 for an array of zeros. */
function directionOf(name: string, x: Float64Array, seed: number): Float64Array {
  const stream = streamOf(seed, "direction", name);
  const typical = rootMeanSquare(x) || 1;
  return x.map((value) => stream.normal() * Math.max(Math.abs(value), typical));
}
