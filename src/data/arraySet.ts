// Sample sets whose samples are rows of arrays.

import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import type { Key } from "../core/random.ts";
import type { TargetShape } from "../core/targets.ts";
import type { NumberType } from "../io/numbers.ts";
import { type Rows, ZeroRows } from "./rows.ts";
import type { InterpretedShape, Refuse } from "./sampleArrays.ts";
import type { Spread } from "./sampleChecks.ts";
import type { SampleSet, Samples } from "./sampleSet.ts";

/** Arrays of samples that belong together: those of a file, or of a program. */
export interface SampleArrays {
  /** For people. */
  readonly source: string;
  readonly shape: InterpretedShape;
  readonly inputs: Rows;
  readonly targets: Rows;
  readonly weights: Rows | null;
  readonly weightsName: "mask" | "weights";
  /** There are no targets: those that stand for them do not count. */
  readonly unlabelled: boolean;
  readonly times: Float64Array | null;
  /** The part of each sample, 0, 1 or 2; null: nothing says. */
  readonly split: Uint8Array | null;
  readonly classNames: readonly string[] | null;
  readonly outputNames: readonly string[] | null;
  /** Names of arrays that have no meaning. */
  readonly unused: readonly string[];
  readonly refuse: Refuse;
}

/** What is known once all samples have been seen. */
export interface ArraySetOptions {
  readonly arrays: SampleArrays;
  /** The rows that are the samples of this set; null: all. */
  readonly rows: Uint32Array | null;
  readonly target: TargetShape;
  readonly normalisation: Spread | null;
  readonly picture?: SampleSet["picture"];
  readonly classNames?: readonly string[];
  readonly outputNames?: readonly string[];
  /** Called once, when the set is released. */
  readonly onRelease?: () => Promise<void>;
}

/** A sample set on arrays; in memory it answers at once. */
export class ArraySet implements SampleSet {
  readonly inputSize: number;
  readonly steps: number | null;
  readonly target: TargetShape;
  readonly weighted: boolean;
  readonly count: number;
  readonly source: string;
  readonly times: Float64Array | null;
  declare readonly picture?: { readonly width: number; readonly height: number };
  declare readonly classNames?: readonly string[];
  declare readonly outputNames?: readonly string[];
  readonly #arrays: SampleArrays;
  readonly #rows: Uint32Array | null;
  readonly #normalisation: Spread | null;
  readonly #onRelease: (() => Promise<void>) | undefined;
  #released: Promise<void> | null = null;

  constructor({ arrays, rows, target, normalisation, onRelease, ...about }: ArraySetOptions) {
    this.inputSize = arrays.shape.inputSize;
    this.steps = arrays.shape.steps;
    this.target = target;
    this.weighted = arrays.weights !== null;
    this.count = rows?.length ?? arrays.shape.count;
    this.source = arrays.source;
    this.times = arrays.times;
    if (about.picture) this.picture = about.picture;
    if (about.classNames) this.classNames = about.classNames;
    if (about.outputNames) this.outputNames = about.outputNames;
    this.#arrays = arrays;
    this.#rows = rows;
    this.#normalisation = normalisation;
    this.#onRelease = onRelease;
  }

  /**
   * The samples at `indices`. Numbers of 64-bit floating-point arrays come as f64, all others as f32, both exact; a target that does not
   * count comes as 0.
   *
   * @throws {ArgumentError} an index that the set has not; {EngineError} "released"; {FileFormatError} a file that was changed or cut off
   */
  read(indices: ArrayLike<number>, _variation: Key | null = null): Samples | Promise<Samples> {
    if (this.#released !== null) {
      throw new EngineError("released", `${this.source}: expected an open sample set, got a released one`);
    }
    const { inputs, targets, weights } = this.#arrays;
    const rows = this.#rowsOf(indices);
    const inputArray = gatherArray(inputs, rows.length);
    const targetArray = gatherArray(targets, rows.length);
    const weightArray = weights && gatherArray(weights, rows.length);
    const finish = (): Samples => {
      if (this.#normalisation) standardise(inputArray, this.#normalisation);
      const spread = weightArray && expandWeights(weightArray, rows.length, targetArray.length);
      if (spread) for (let i = 0; i < spread.length; i++) if (spread[i] === 0) targetArray[i] = 0;
      return { size: rows.length, inputs: inputArray, targets: targetArray, weights: spread };
    };
    const reading = [inputs.gather(rows, inputArray), targets.gather(rows, targetArray)];
    if (weights && weightArray) reading.push(weights.gather(rows, weightArray));
    return reading.some((wait) => wait !== undefined) ? Promise.all(reading).then(finish) : finish();
  }

  #rowsOf(indices: ArrayLike<number>): Uint32Array {
    return Uint32Array.from({ length: indices.length }, (_, k) => {
      const i = indices[k]!;
      if (!(Number.isInteger(i) && i >= 0 && i < this.count)) {
        throw new ArgumentError("read", "indices", `whole numbers from 0 to ${this.count - 1}`, `${i} at ${k}`);
      }
      return this.#rows ? this.#rows[i]! : i;
    });
  }

  release(): Promise<void> {
    this.#released ??= this.#onRelease?.() ?? Promise.resolve();
    return this.#released;
  }
}

/** Rows of targets and weights; where there are no targets, zeros that do not count. */
export function targetRows(
  { count, target }: InterpretedShape,
  targets: Rows | undefined,
  weights: Rows | null,
): Pick<SampleArrays, "targets" | "weights" | "unlabelled"> {
  if (targets) return { targets, weights, unlabelled: false };
  const width = (target.times ?? 1) * target.width;
  return { targets: new ZeroRows(count, width), weights: new ZeroRows(count, 1), unlabelled: true };
}

/** Only f64 needs more than single precision: the examination of a set refuses whole numbers that f32 does not hold. */
export function floatTypeOf(type: NumberType): "f32" | "f64" {
  return type === "f8" ? "f64" : "f32";
}

function gatherArray({ type, width }: Rows, count: number): FloatArray {
  return floatArray(floatTypeOf(type), count * width);
}

/** One weight for each target, where there is one for each sample or each time. */
export function expandWeights<T extends { readonly length: number; [i: number]: number }>(
  weights: T,
  samples: number,
  targets: number,
): T {
  if (weights.length === targets || samples === 0) return weights;
  const out = new (weights.constructor as new (length: number) => T)(targets);
  const each = targets / weights.length;
  for (let i = 0; i < targets; i++) out[i] = weights[Math.floor(i / each)]!;
  return out;
}

/** (x − mean) / std per input, over all samples and frames; a constant input becomes 0. */
export function standardise(inputs: FloatArray, { mean, std }: Spread): void {
  const width = mean.length;
  for (let i = 0; i < inputs.length; i++) {
    const j = i % width;
    inputs[i] = (inputs[i]! - mean[j]!) / (std[j]! > 0 ? std[j]! : 1);
  }
}
