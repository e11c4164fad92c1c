// MNIST and data sets of its form (Fashion-MNIST, KMNIST) from their four IDX files.
// Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 2278–2324 (1998).

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import { listOf } from "../io/zip.ts";
import { readIdx } from "./idx.ts";
import type { ImageSet } from "./imageSet.ts";

const SIDE = 28;
const CLASSES = 10;

/** Mean of the pixels of MNIST's training images, scaled to [0, 1], and their standard deviation. */
export const MNIST_MEAN = 0.1307;
/** Standard deviation of the pixels of MNIST's training images, scaled to [0, 1]. */
export const MNIST_STD = 0.3081;
/** Also of data sets in its form: one recipe for all of them. */
export const MNIST_NORMALISATION: { readonly mean: number; readonly std: number } = {
  mean: MNIST_MEAN,
  std: MNIST_STD,
};

/**
 * Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` from `dir`,
 * each plain or with `.gz`; a dot may stand for the hyphen before `idx`. One file after the other, so that what one of them takes to
 * unpack is taken once.
 *
 * @throws {FileFormatError} a file missing or damaged, images not 28 × 28, a label above 9, no images, more labels than images or fewer
 */
export async function readMnist(dir: string): Promise<{ train: ImageSet; test: ImageSet }> {
  return { train: await readPart(dir, "train"), test: await readPart(dir, "t10k") };
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
  const images = await readIdx(imagesFile, 3);
  const labels = await readIdx(labelsFile, 1);
  const [count, height, width] = images.shape as [number, number, number];
  if (images.data.length === 0) {
    throw new FileFormatError(imagesFile, "images", `${count} of ${height} × ${width} pixels`);
  }
  if (labels.data.length !== count) {
    throw new FileFormatError(labelsFile, `${count} labels, one per image`, `${labels.data.length}`);
  }
  const bad = labels.data.findIndex((label) => label >= classes);
  if (bad >= 0) {
    throw new FileFormatError(labelsFile, `labels from 0 to ${classes - 1}`, `${labels.data[bad]} at item ${bad}`);
  }
  return { images: images.data, labels: labels.data, count, height, width, classes };
}

/**
 * The four files that `readMnist` reads.
 *
 * @throws {FileFormatError} one of them is missing
 */
export async function mnistFiles(dir: string): Promise<string[]> {
  const files: string[] = [];
  for (const part of ["train", "t10k"])
    for (const kind of ["images-idx3-ubyte", "labels-idx1-ubyte"]) files.push(await existing(dir, part, kind));
  return files;
}

async function readPart(dir: string, part: "train" | "t10k"): Promise<ImageSet> {
  const imagesFile = await existing(dir, part, "images-idx3-ubyte");
  const labelsFile = await existing(dir, part, "labels-idx1-ubyte");
  const set = await readImageSet(imagesFile, labelsFile);
  if (set.height !== SIDE || set.width !== SIDE) {
    throw new FileFormatError(imagesFile, `images of ${SIDE} × ${SIDE} pixels`, `${set.height} × ${set.width}`);
  }
  return { ...set, normalisation: MNIST_NORMALISATION };
}

/** The file among those of its names that there is. */
async function existing(dir: string, part: string, kind: string): Promise<string> {
  const name = `${part}-${kind}`;
  for (const candidate of NAME_FORMS.map((form) => join(dir, form(name)))) {
    // A file that is there but unreadable is reported when it is read.
    if (await exists(candidate)) return candidate;
  }
  const [first] = NAME_FORMS;
  const expected = "this file, the same with .gz, or with a dot before idx";
  throw new FileFormatError(join(dir, first!(name)), expected, await othersIn(dir), "file-missing");
}

/** The names under which the files are handed on, the original first. */
const NAME_FORMS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => `${name}.gz`,
  (name) => name.replace("-idx", ".idx"),
  (name) => `${name.replace("-idx", ".idx")}.gz`,
];

/** What there is instead of a file. */
async function othersIn(dir: string): Promise<string> {
  try {
    const names = await readdir(dir);
    return names.length === 0 ? "an empty folder" : `a folder with ${listOf(names)}`;
  } catch {
    return "no such folder";
  }
}
