// Batches of images for training: shuffled reproducibly, normalised, and resumable at any batch.

import { ArgumentError } from "../core/errors.ts";
import { deriveKey, type Key, RandomStream } from "../core/random.ts";
import type { ImageSet } from "./imageSet.ts";
import { MNIST_MEAN, MNIST_STD } from "./mnist.ts";

/** Some images ready for a network; owned by the receiver. */
export interface Batch {
  /** Position in the epoch, from 0. */
  readonly index: number;
  /** [size, height · width], row-major, (pixel / 255 − mean) / std. */
  readonly images: Float32Array;
  /** [size] */
  readonly labels: Uint8Array;
  /** [size], which images of the set these are; also the sample ids of random draws. */
  readonly indices: Uint32Array;
  readonly size: number;
}

/** How an epoch is cut into batches. */
export interface BatchOptions {
  /** Images per batch, ≥ 1; the last batch of an epoch may be smaller. */
  readonly batchSize: number;
  /** Default false: the order of the set. */
  readonly shuffle?: boolean;
  /** Needed to shuffle: the order is a function of this key and the epoch. */
  readonly key?: Key;
  /** Default 0. */
  readonly epoch?: number;
  /** Leave out a last batch that is not full. Default false. */
  readonly dropLast?: boolean;
  /** Of pixels scaled to [0, 1]; default that of MNIST. */
  readonly normalise?: { readonly mean: number; readonly std: number };
  /**
   * Move each image by up to this many pixels to either side and up or down; what comes in is background. The move is a function of
   * `key`, the epoch and the image. Default 0.
   */
  readonly shift?: number;
  /** Begin at this batch of the epoch, to resume. Default 0. */
  readonly firstBatch?: number;
  /** Iteration throws the signal's reason at the first batch after the abort. */
  readonly signal?: AbortSignal;
}

/** How many batches an epoch has. */
export function batchCount(count: number, batchSize: number, dropLast = false): number {
  return dropLast ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
}

/**
 * The order in which an epoch visits `count` images: a permutation that depends on (key, epoch) only, so that any epoch can be
 * repeated or resumed alone.
 */
export function epochOrder(count: number, key: Key, epoch: number): Uint32Array {
  return new RandomStream(deriveKey(deriveKey(key, "epoch"), epoch)).permutation(count);
}

/**
 * Iterates over the batches of one epoch. Options are checked at once, before the first batch is asked for.
 *
 * @throws {ArgumentError} a batch size below 1, shuffling without a key, a std that is not positive
 */
export function batches(set: ImageSet, options: BatchOptions): IterableIterator<Batch> {
  const { batchSize, shuffle = false, key, epoch = 0, firstBatch = 0, shift = 0 } = options;
  const { mean, std } = options.normalise ?? { mean: MNIST_MEAN, std: MNIST_STD };
  checkWhole("batchSize", batchSize, 1);
  checkWhole("epoch", epoch, 0);
  checkWhole("firstBatch", firstBatch, 0);
  checkWhole("shift", shift, 0);
  if (!Number.isFinite(mean)) throw new ArgumentError("batches", "normalise.mean", "a finite number", `${mean}`);
  if (!(std > 0 && Number.isFinite(std))) {
    throw new ArgumentError("batches", "normalise.std", "a number > 0", `${std}`);
  }
  if ((shuffle || shift > 0) && !key) {
    throw new ArgumentError("batches", "key", `a key, to ${shuffle ? "shuffle" : "shift"}`, "none");
  }
  // A pixel has 256 values: the normalisation is a table.
  const normalised = Float32Array.from({ length: 256 }, (_, pixel) => (pixel / 255 - mean) / std);
  const order =
    shuffle && key ? epochOrder(set.count, key, epoch) : Uint32Array.from({ length: set.count }, (_, i) => i);
  const moves = key && shift > 0 ? deriveKey(deriveKey(key, "shift"), epoch) : null;
  return iterate(set, order, normalised, moves, options);
}

function* iterate(
  set: ImageSet,
  order: Uint32Array,
  normalised: Float32Array,
  moves: Key | null,
  { batchSize, dropLast = false, firstBatch = 0, shift = 0, signal }: BatchOptions,
): Generator<Batch, void, undefined> {
  const pixels = set.height * set.width;
  const end = batchCount(set.count, batchSize, dropLast);
  for (let index = firstBatch; index < end; index++) {
    signal?.throwIfAborted();
    const indices = order.slice(index * batchSize, (index + 1) * batchSize);
    const size = indices.length;
    const images = new Float32Array(size * pixels);
    const labels = new Uint8Array(size);
    for (let b = 0; b < size; b++) {
      const from = indices[b]! * pixels;
      const to = b * pixels;
      const [dx, dy] = moves ? moveOf(moves, indices[b]!, shift) : [0, 0];
      for (let p = 0; p < pixels; p++) images[to + p] = normalised[pixelAt(set, from, p, dx, dy)]!;
      labels[b] = set.labels[indices[b]!]!;
    }
    yield { index, images, labels, indices, size };
  }
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

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new ArgumentError("batches", name, `a whole number ≥ ${least}`, `${value}`);
  }
}
