// A custom loss in a reverse pass: a function of each sample's outputs and states gives their cotangents.

import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { gatherSamples, type SampleRows, scatterSamples } from "./samples.ts";

/** Argument of a loss: outputs and states of one sample. */
export interface SampleOutputs {
  /** Its number in the batch. */
  readonly sample: number;
  /** [times, outputs]. */
  readonly outs: FloatArray;
  /** [times, numNeurons]. */
  readonly hs: FloatArray;
}

/** The loss of one sample, and its derivatives with respect to outputs and states; what is left out is zero. */
export interface LossAndCotangents {
  readonly loss: number;
  /** [times, outputs]. */
  readonly ctOuts?: ArrayLike<number>;
  /** [times, numNeurons]. */
  readonly ctHs?: ArrayLike<number>;
}

/**
 * The loss of a sample, as a function of its outputs and states. The loss of a batch is the sum over the samples: a mean is a sum of
 * terms divided by the size of the batch. It is called once for each sample, in order, in the middle of a pass: it must not be
 * asynchronous, and cannot call the network.
 */
export type SampleLoss = (outputs: SampleOutputs) => LossAndCotangents;

/** Cotangents of a batch in the layout of its outputs and states; null: zero. */
export interface Cotangents {
  readonly outs: ArrayLike<number> | null;
  readonly hs: ArrayLike<number> | null;
  /** Writes those of a sample, when its outputs and states are there. */
  readonly ofSample: ((sample: number, outs: FloatArray, hs: FloatArray) => void) | null;
}

const RESULT: Readonly<Record<keyof LossAndCotangents, true>> = { loss: true, ctOuts: true, ctHs: true };

/** Cotangents that a loss gives, sample by sample, and the sum of its values. */
export function cotangentsOfLoss(
  ofOuts: SampleRows,
  ofStates: SampleRows,
  dtype: DType,
  loss: SampleLoss,
): Cotangents & { loss(): number } {
  const ct = { outs: zeros(ofOuts, dtype), hs: zeros(ofStates, dtype) };
  let total = 0;
  return {
    ...ct,
    loss: () => total,
    ofSample: (sample, outs, hs) => {
      const own = (data: FloatArray, rows: SampleRows) => floats(gatherSamples(data, rows, [sample]), dtype);
      const result = loss({ sample, outs: own(outs, ofOuts), hs: own(hs, ofStates) });
      checkResult(result, sample);
      total += result.loss;
      for (const [name, given, into, rows] of [
        ["ctOuts", result.ctOuts, ct.outs, ofOuts],
        ["ctHs", result.ctHs, ct.hs, ofStates],
      ] as const) {
        if (given === undefined) continue;
        checkCotangents(name, given, rows, sample, dtype);
        scatterSamples(floats(given, dtype), into, rows, [sample]);
      }
    },
  };
}

function checkResult(result: LossAndCotangents, sample: number): void {
  const where = "gradients";
  if (typeof result !== "object" || result === null || result instanceof Promise) {
    const got = result instanceof Promise ? "a promise" : `${result}`;
    throw new ArgumentError(where, "loss", "{ loss, ctOuts, ctHs } at once", `${got} for sample ${sample}`);
  }
  checkNames(where, result, RESULT);
  if (!Number.isFinite(result.loss))
    throw new ArgumentError(where, "loss", "a finite number", `${result.loss} for sample ${sample}`);
}

function checkCotangents(
  name: string,
  given: ArrayLike<number>,
  { times, width }: SampleRows,
  sample: number,
  dtype: DType,
): void {
  const where = "gradients";
  if (given.length !== times * width)
    throw new ShapeError(where, name, `${times} × ${width} numbers`, `${given.length} for sample ${sample}`);
  checkFinite(where, name, given, dtype, (i) => `at ${i} of sample ${sample}`);
}

function zeros({ batch, times, width }: SampleRows, dtype: DType): FloatArray {
  return floatArray(dtype, batch * times * width);
}

function floats(values: ArrayLike<number>, dtype: DType): FloatArray {
  return dtype === "f32" ? Float32Array.from(values) : Float64Array.from(values);
}
