// Images as samples: normalised pictures with a class each, in training moved at random.

import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { deriveKey, type Key, RandomStream } from "../core/random.ts";
import type { ImageSet } from "./imageSet.ts";
import type { SampleSet, Samples } from "./sampleSet.ts";

/** How images become samples. */
export interface ImageSampleOptions {
  /** Subtracted from pixels, which are scaled to [0, 1]; default that of the set. */
  readonly mean?: number;
  /** They are divided by it then; default that of the set. */
  readonly std?: number;
  /**
   * In training, each image is moved by up to this many pixels to either side and up or down; what comes in is background. The move is a
   * function of an epoch's key and the image. Default 0.
   */
  readonly shift?: number;
  /** Where the images come from, for people; default "images". */
  readonly source?: string;
}

const OPTIONS: Readonly<Record<keyof ImageSampleOptions, true>> = { mean: true, std: true, shift: true, source: true };

/**
 * The images of a set as pictures (pixel / 255 − mean) / std, with their labels as classes.
 *
 * @throws {ArgumentError} a mean that is not finite, a std that is not positive, a shift that is not a whole number
 */
export function imageSamples(set: ImageSet, options: ImageSampleOptions = {}): SampleSet {
  checkNames("imageSamples", options, OPTIONS);
  const { mean = set.normalisation?.mean ?? 0, std = set.normalisation?.std ?? 1 } = options;
  const { shift = 0, source = "images" } = options;
  if (!Number.isFinite(mean)) throw new ArgumentError("imageSamples", "mean", "a finite number", `${mean}`);
  if (!(std > 0 && Number.isFinite(std))) throw new ArgumentError("imageSamples", "std", "a number > 0", `${std}`);
  if (!Number.isSafeInteger(shift) || shift < 0)
    throw new ArgumentError("imageSamples", "shift", "a whole number ≥ 0", `${shift}`);
  const { count, height, width, classes } = set;
  // A pixel has 256 values: the normalisation is a table.
  const normalised = Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - mean) / std);
  return {
    inputSize: height * width,
    steps: null,
    target: { kind: "class", width: 1, classes, times: null },
    weighted: false,
    count,
    source,
    picture: { width, height },
    read: (indices, variation) => readImages(set, indices, normalised, shift > 0 ? { shift, key: variation } : null),
  };
}

interface Moves {
  readonly shift: number;
  readonly key: Key | null;
}

function readImages(set: ImageSet, indices: ArrayLike<number>, normalised: Float32Array, moves: Moves | null): Samples {
  const pixels = set.height * set.width;
  const size = indices.length;
  const inputs = new Float32Array(size * pixels);
  const targets = new Float32Array(size);
  for (let b = 0; b < size; b++) {
    const index = indices[b]!;
    if (!(index >= 0 && index < set.count) || !Number.isInteger(index)) {
      throw new ArgumentError("read", "indices", `whole numbers from 0 to ${set.count - 1}`, `${index} at ${b}`);
    }
    const from = index * pixels;
    const to = b * pixels;
    const [dx, dy] = moves?.key ? moveOf(moves.key, index, moves.shift) : [0, 0];
    for (let p = 0; p < pixels; p++) inputs[to + p] = normalised[pixelAt(set, from, p, dx, dy)]!;
    targets[b] = set.labels[index]!;
  }
  return { size, inputs, targets, weights: null };
}

/** Pixels to the right and down for image `index`, each from −shift to shift. */
function moveOf(key: Key, index: number, shift: number): readonly [dx: number, dy: number] {
  const stream = new RandomStream(deriveKey(key, index));
  return [stream.below(2 * shift + 1) - shift, stream.below(2 * shift + 1) - shift];
}

/** Pixel p of the image that begins at `from`, moved by (dx, dy). */
function pixelAt({ images, width, height }: ImageSet, from: number, p: number, dx: number, dy: number): number {
  if (dx === 0 && dy === 0) return images[from + p]!;
  const row = Math.floor(p / width) - dy;
  const col = (p % width) - dx;
  return row >= 0 && row < height && col >= 0 && col < width ? images[from + row * width + col]! : 0;
}
