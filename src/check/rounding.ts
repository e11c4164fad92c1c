// Bounds of what f32 arithmetic may change, derived from the data: counted roundings times a measured condition.
//
// 1. Backward error. A sum of k products is, computed in any order, the exact sum with each product changed by a relative error of at
//    most γ_k = k·u/(1 − k·u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1). So every number a right-hand side
//    is made of may be seen as slightly wrong, and the rest as exact: weights, biases and inputs by γ_k with k the roundings along
//    the longest path of one evaluation, the state by those of all steps and of dense output, the time by one rounding per step.
// 2. Condition. What such changes do to a result is measured: the f64 run is repeated with every number of the point moved by its
//    bound, up or down at random, the same steps replayed. Moved weights stay moved for the whole solve and all by the worst case, while
//    real errors change sign from sum to sum; so the deviation of a probe exceeds theirs by about √k.
// 3. A probe's changes may cancel in a single element. An element's bound is therefore the largest of its deviations, or the root mean
//    square of the deviations of the whole array where that is larger.
// 4. Roundings that no point explains, of the additions by which results themselves accumulate (states over steps, gradients over
//    steps, stages and samples), add γ_m of the result's size; partial sums may exceed a result, so that size is at least the root mean
//    square of the array.
// 5. A product that gathers numbers rounded by a relative error ε has, term by term, the weights of 1. changed by ε. Its reverse multiplies
//    cotangents with the numbers before they were rounded, which changes a term of a gradient by ε.

import { unitRoundoff } from "../core/dtype.ts";
import { interpolationRoundings } from "./interpolation.ts";
import { mapPoint, type Point, rootMeanSquare, streamOf } from "./point.ts";
import {
  END_TIME,
  type Evaluation,
  INITIAL_STATE,
  type OpenSubject,
  type Roundings,
  type StepSizes,
} from "./subject.ts";

const PROBES = 6;

/** The reference's results and how far those of f32 arithmetic may be from them. */
export interface BoundedEvaluation {
  readonly reference: Evaluation;
  readonly bounds: {
    readonly trajectory: Float64Array;
    readonly loss: number;
    readonly measures: Point;
    readonly gradients: Point;
  };
}

/** γ_k of f32. */
export function gamma(k: number): number {
  const ku = k * unitRoundoff("f32");
  return ku / (1 - ku);
}

/**
 * @param opened  f64, with the same steps
 * @param gathered  relative error by which products round what they gather
 */
export async function boundedEvaluation(
  opened: OpenSubject,
  point: Point,
  steps: StepSizes,
  roundings: Roundings,
  seed: number,
  gathered = 0,
): Promise<BoundedEvaluation> {
  const reference = await opened.evaluate(point, { gradients: true });
  const nSteps = Math.max(...steps.map((ofSample) => ofSample.length));
  const { tableau, samples, perEvaluation, terms = 0 } = roundings;
  const stages = tableau?.stages ?? 1;
  const stateRoundings = nSteps * (stages + 1) + (tableau ? interpolationRoundings(tableau) : 0);
  const gradientRoundings = nSteps * stages * samples;
  const deviation = {
    trajectory: new Deviation(reference.trajectory),
    loss: new Deviation([reference.loss]),
    measures: deviationsOf(reference.measures ?? {}),
    gradients: deviationsOf(reference.gradients),
  };
  for (let probe = 0; probe < PROBES; probe++) {
    const moved = movedPoint(point, nSteps, stateRoundings, roundings, seed, probe, gathered);
    const { trajectory, loss, measures, gradients } = await opened.evaluate(moved, { gradients: true });
    deviation.trajectory.add(trajectory);
    deviation.loss.add([loss]);
    for (const [name, of] of deviation.measures) of.add(measures![name]!);
    for (const [name, of] of deviation.gradients) of.add(gradients[name]!);
  }
  return {
    reference,
    bounds: {
      trajectory: deviation.trajectory.bounds(gamma(stateRoundings)),
      loss: deviation.loss.bounds(gamma(perEvaluation + samples + terms))[0]!,
      measures: boundsOf(deviation.measures, gamma(perEvaluation + samples + terms)),
      gradients: boundsOf(deviation.gradients, gamma(gradientRoundings) + gathered),
    },
  };
}

type Deviations = readonly (readonly [name: string, deviation: Deviation])[];

function deviationsOf(arrays: Point): Deviations {
  return Object.entries(arrays).map(([name, array]) => [name, new Deviation(array)]);
}

function boundsOf(deviations: Deviations, accumulation: number): Point {
  return Object.fromEntries(deviations.map(([name, of]) => [name, of.bounds(accumulation)]));
}

/** Every number of the point times 1 ± its bound, the sign at random. */
function movedPoint(
  point: Point,
  nSteps: number,
  stateRoundings: number,
  { perEvaluation }: Roundings,
  seed: number,
  probe: number,
  gathered: number,
): Point {
  const sizeOf = (name: string): number => {
    if (name === INITIAL_STATE) return gamma(stateRoundings);
    return name === END_TIME ? gamma(nSteps) : gamma(perEvaluation) + gathered;
  };
  return mapPoint(point, (name, x) => {
    const stream = streamOf(seed, "rounding", name, probe);
    const size = sizeOf(name);
    return x.map((value) => value * (1 + (stream.bits() & 1 ? size : -size)));
  });
}

/** How far the elements of an array went from their reference in any of the probes. */
class Deviation {
  readonly #reference: ArrayLike<number>;
  readonly #largest: Float64Array;
  #sumOfSquares = 0;
  #count = 0;

  constructor(reference: ArrayLike<number>) {
    this.#reference = reference;
    this.#largest = new Float64Array(reference.length);
  }

  add(values: ArrayLike<number>): void {
    for (let i = 0; i < values.length; i++) {
      const distance = Math.abs(values[i]! - this.#reference[i]!);
      this.#largest[i] = Math.max(this.#largest[i]!, distance);
      this.#sumOfSquares += distance ** 2;
    }
    this.#count += values.length;
  }

  /** @param accumulation relative error of the additions that the results themselves accumulate by */
  bounds(accumulation: number): Float64Array {
    const typical = Math.sqrt(this.#sumOfSquares / Math.max(1, this.#count));
    const size = rootMeanSquare(this.#reference);
    return this.#largest.map(
      (largest, i) => Math.max(largest, typical) + accumulation * Math.max(Math.abs(this.#reference[i]!), size),
    );
  }
}
