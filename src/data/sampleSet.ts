// Sample sets: inputs, targets and weights of any kind, sample by sample or as a stream of batches.

import type { FloatArray } from "../core/dtype.ts";
import type { Key } from "../core/random.ts";
import type { TargetShape } from "../core/targets.ts";

/** Shapes of the samples of a set or stream. */
export interface SampleShape {
  /** Numbers per frame. */
  readonly inputSize: number;
  /** Frames of an input; null: one vector, constant in time. */
  readonly steps: number | null;
  readonly target: TargetShape;
  /** Whether targets have weights (a mask is weights of 0 and 1). Without, every target counts 1. */
  readonly weighted: boolean;
}

/** Some samples; the arrays belong to the receiver. */
export interface Samples {
  readonly size: number;
  /** [size, steps ?? 1, inputSize] */
  readonly inputs: FloatArray;
  /** [size, target.times ?? 1, target.width]; a class is a whole number. */
  readonly targets: FloatArray;
  /** Shape of `targets`, ≥ 0; 0: the target does not count, and may be NaN. null: every target counts 1. */
  readonly weights: FloatArray | null;
}

/** Samples at random access, in memory, in a file or made on the spot. */
export interface SampleSet extends SampleShape {
  readonly count: number;
  /** Where the samples come from, for people. */
  readonly source: string;
  /** Output times of a network in continuous time, one per target time; null: the evaluation says. */
  readonly times?: Float64Array | null;
  /** Inputs are grey pictures of this size, rows from top to bottom. Only pictures can be shifted, or shown as pictures. */
  readonly picture?: { readonly width: number; readonly height: number };
  readonly classNames?: readonly string[];
  readonly outputNames?: readonly string[];
  /**
   * The samples at `indices`, in that order; an index may occur more than once.
   *
   * @param variation  key of an epoch's random changes (shifted pictures, noise): a sample's change is a function of the key and its index;
   *   null: none, as in evaluation
   */
  read(indices: ArrayLike<number>, variation: Key | null): Samples | Promise<Samples>;
  /** Closes files; the set is not used afterwards. */
  release?(): Promise<void>;
}

/** Batches without an end and without random access: an iterable of the user. */
export interface SampleStream extends SampleShape {
  readonly source: string;
  /** The batches from number `first` (from 0) on; the same batches each time, if a run is to be repeated or resumed. */
  batches(first: number): AsyncIterable<Samples> | Iterable<Samples>;
}

/** The samples at `indices` as a set; they are read when they are needed, and an index may occur more than once. */
export function subsetOfSamples(set: SampleSet, indices: ArrayLike<number>): SampleSet {
  const own = Uint32Array.from(indices);
  return {
    ...set,
    count: own.length,
    read: (chosen, variation) =>
      set.read(
        Array.from(chosen, (k) => own[k]!),
        variation,
      ),
  };
}
