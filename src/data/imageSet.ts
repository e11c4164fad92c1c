// Labelled grey images in memory, and choosing among them.

import { ArgumentError } from "../core/errors.ts";
import { type Key, RandomStream } from "../core/random.ts";

/** Labelled images of one size. */
export interface ImageSet {
  /** [count, height, width], 0 = background, 255 = ink, rows from top to bottom. */
  readonly images: Uint8Array;
  /** [count], 0 … classes − 1. */
  readonly labels: Uint8Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly classes: number;
  /** Mean and standard deviation of the pixels, scaled to [0, 1], of the data set that the images belong to. */
  readonly normalisation?: { readonly mean: number; readonly std: number };
}

/**
 * The images at `indices`, copied, in that order; an index may occur more than once.
 *
 * @throws {ArgumentError} an index that the set has not
 */
export function subset(set: ImageSet, indices: ArrayLike<number>): ImageSet {
  const size = set.height * set.width;
  const count = indices.length;
  const images = new Uint8Array(count * size);
  const labels = new Uint8Array(count);
  for (let k = 0; k < count; k++) {
    const i = indices[k]!;
    if (!(i >= 0 && i < set.count) || !Number.isInteger(i)) {
      throw new ArgumentError("subset", "indices", `whole numbers from 0 to ${set.count - 1}`, `${i} at ${k}`);
    }
    images.set(set.images.subarray(i * size, (i + 1) * size), k * size);
    labels[k] = set.labels[i]!;
  }
  return { ...set, images, labels, count };
}

/**
 * Splits off `nValidation` images drawn at random by `key`; both parts keep the order of the set.
 *
 * @throws {ArgumentError} when nothing would be left to train on, or a negative or fractional number
 */
export function splitTrainValidation(
  set: ImageSet,
  nValidation: number,
  key: Key,
): { train: ImageSet; validation: ImageSet } {
  if (!Number.isInteger(nValidation) || nValidation < 0 || nValidation >= set.count) {
    throw new ArgumentError(
      "splitTrainValidation",
      "nValidation",
      `a whole number from 0 to ${set.count - 1}`,
      `${nValidation}`,
    );
  }
  const order = new RandomStream(key).permutation(set.count);
  return {
    train: subset(set, order.slice(nValidation).sort()),
    validation: subset(set, order.slice(0, nValidation).sort()),
  };
}
