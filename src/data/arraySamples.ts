// Sample sets from arrays of a program.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { countOf, type NpyInput, shapeText } from "../io/npy.ts";
import { numberTypeOf } from "../io/numbers.ts";
import { type SampleArrays, targetRows } from "./arraySet.ts";
import { MemoryRows, type Rows } from "./rows.ts";
import {
  type ArrayShape,
  checkTimes,
  interpretShapes,
  partsOfSplit,
  type Refuse,
  SAMPLE_ARRAYS,
  weightingOf,
} from "./sampleArrays.ts";
import { checkOptions, makeSetsNow, type SampleSets, type SampleSetsOptions } from "./sampleSets.ts";

const WHERE = "arraySamples";

/** Arrays of samples, row-major. They are not copied, and must not change. */
export interface SampleArraysInput {
  /** [samples, inputs] or [samples, frames, inputs] */
  readonly inputs: NpyInput;
  /**
   * Classes, in an array of whole numbers: [samples] or [samples, times]; or numbers, in an array of floats: [samples],
   * [samples, outputs] or [samples, times, outputs]. `kind` overrules the type of the array.
   */
  readonly targets?: NpyInput;
  /** 1: the target counts, 0: it does not and may be NaN. Shape of the targets, or its beginning. */
  readonly mask?: NpyInput;
  /** Weights ≥ 0 of the targets, instead of a mask. */
  readonly weights?: NpyInput;
  /** [times], ascending. */
  readonly times?: ArrayLike<number>;
  /** The part of each sample: 0 or "train", 1 or "validation", 2 or "test". */
  readonly split?: ArrayLike<number | string>;
  readonly classNames?: readonly string[];
  readonly outputNames?: readonly string[];
  /** For people. Default "arrays". */
  readonly source?: string;
}

/**
 * Sample sets from arrays in memory. Every number is checked at once.
 *
 * @throws {ArgumentError} shapes that do not fit, numbers that are not finite, classes out of range, a part without a target that counts
 */
export function arraySamples(arrays: SampleArraysInput, options: SampleSetsOptions = {}): SampleSets {
  const known = Object.fromEntries([...SAMPLE_ARRAYS, "source"].map((name) => [name, true as const]));
  checkNames(WHERE, arrays, known);
  checkOptions(WHERE, options);
  return makeSetsNow(WHERE, { train: arraysOf(arrays, options) }, options);
}

function arraysOf(arrays: SampleArraysInput, { kind, unlabelled }: SampleSetsOptions): SampleArrays {
  const { inputs, targets, mask, weights, times, split } = arrays;
  const refuse: Refuse = (array, expected, got) => new ArgumentError(WHERE, array, expected, got);
  const typed = (name: string, array: NpyInput): ArrayShape => {
    if (!ArrayBuffer.isView(array?.data)) throw refuse(name, "{ shape, data } with a typed array", "something else");
    const { shape, data } = array;
    if (countOf(shape) === data.length) return { shape, type: numberTypeOf(data) };
    throw new ShapeError(WHERE, name, `${countOf(shape)} elements for shape ${shapeText(shape)}`, `${data.length}`);
  };
  const weighting = weightingOf(mask, weights, targets !== undefined, refuse);
  const shape = interpretShapes(
    {
      ...{ inputs: typed("inputs", inputs), weightsName: weighting.name },
      targets: targets || !unlabelled ? typed("targets", targets!) : unlabelled,
      weights: weighting.array && typed(weighting.name, weighting.array),
    },
    kind,
    refuse,
  );
  const rows = ({ data }: NpyInput): Rows => new MemoryRows(data, numberTypeOf(data), shape.count);
  return {
    ...{ source: arrays.source ?? "arrays", shape, weightsName: weighting.name, refuse, unused: [] },
    ...targetRows(shape, targets && rows(targets), weighting.array && rows(weighting.array)),
    inputs: rows(inputs),
    times: times === undefined ? null : checkTimes(times, shape.target.times, refuse),
    split: split === undefined ? null : partsOfSplit(split, shape.count, refuse),
    ...{ classNames: arrays.classNames ?? null, outputNames: arrays.outputNames ?? null },
  };
}
