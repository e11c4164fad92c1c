// MNIST and data sets of its form (Fashion-MNIST, KMNIST) from their four IDX files.
// Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 2278–2324 (1998).

import { access } from "node:fs/promises";
import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import { readIdx } from "./idx.ts";
import type { ImageSet } from "./imageSet.ts";

const SIDE = 28;
const CLASSES = 10;

/** Mean of the pixels of MNIST's training images, scaled to [0, 1], and their standard deviation. */
export const MNIST_MEAN = 0.1307;
/** Standard deviation of the pixels of MNIST's training images, scaled to [0, 1]. */
export const MNIST_STD = 0.3081;

/**
 * Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` from `dir`,
 * each plain or with `.gz`.
 *
 * @throws {FileFormatError} a file missing or damaged, images not 28 × 28, a label above 9, more labels than images or fewer
 */
export async function readMnist(dir: string): Promise<{ train: ImageSet; test: ImageSet }> {
  const [train, test] = await bothInOrder([readPart(dir, "train"), readPart(dir, "t10k")]);
  return { train, test };
}

/**
 * Reads one pair of IDX files, images and labels.
 *
 * @param options.classes labels must lie below this; default 10
 * @throws {FileFormatError} as `readMnist`, for images of any size
 */
export async function readImageSet(
  imagesFile: string,
  labelsFile: string,
  { classes = CLASSES }: { readonly classes?: number } = {},
): Promise<ImageSet> {
  const [images, labels] = await bothInOrder([readIdx(imagesFile, 3), readIdx(labelsFile, 1)]);
  const [count, height, width] = images.shape as [number, number, number];
  if (labels.data.length !== count) {
    throw new FileFormatError(labelsFile, `${count} labels, one per image`, `${labels.data.length}`);
  }
  const bad = labels.data.findIndex((label) => label >= classes);
  if (bad >= 0) {
    throw new FileFormatError(labelsFile, `labels from 0 to ${classes - 1}`, `${labels.data[bad]} at item ${bad}`);
  }
  return { images: images.data, labels: labels.data, count, height, width, classes };
}

async function readPart(dir: string, part: "train" | "t10k"): Promise<ImageSet> {
  const imagesFile = await existing(join(dir, `${part}-images-idx3-ubyte`));
  const labelsFile = await existing(join(dir, `${part}-labels-idx1-ubyte`));
  const set = await readImageSet(imagesFile, labelsFile);
  if (set.height !== SIDE || set.width !== SIDE) {
    throw new FileFormatError(imagesFile, `images of ${SIDE} × ${SIDE} pixels`, `${set.height} × ${set.width}`);
  }
  return set;
}

/**
 * Both values; where reads fail, the error of the first in the list. `Promise.all` throws the error of the first in time, so that the file
 * that a user is told of would change from run to run.
 */
async function bothInOrder<A, B>(reads: readonly [Promise<A>, Promise<B>]): Promise<[A, B]> {
  await Promise.allSettled(reads);
  return [await reads[0], await reads[1]];
}

/** The file, or the same name with .gz. */
async function existing(file: string): Promise<string> {
  for (const candidate of [file, `${file}.gz`]) {
    try {
      await access(candidate);
      return candidate;
    } catch {
      // Try the next name; a file that is there but unreadable is reported when it is read.
    }
  }
  throw new FileFormatError(file, "this file or the same with .gz", "neither", "file-missing");
}
