// The samples of a run: images of MNIST or another data set of its format from a folder, or generated digits.

import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import { imageSamples } from "../data/imageSamples.ts";
import { type ImageSet, splitTrainValidation, subset } from "../data/imageSet.ts";
import { readMnist } from "../data/mnist.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { syntheticDigits } from "../data/syntheticDigits.ts";
import type { TrainConfig } from "./config.ts";

/** The samples of a run: training, validation and test. */
export interface SampleSplits {
  readonly train: SampleSet;
  /** null: no sample was set aside. */
  readonly validation: SampleSet | null;
  /** null: no test is wanted. */
  readonly test: SampleSet | null;
  /** Their source, for people. */
  readonly source: string;
}

type Sizes = Pick<TrainConfig, "data" | "trainSamples" | "validationSamples" | "testSamples">;

const GENERATED = { train: 8000, test: 1000 } as const;
/** Generated digits replace files, so they do not depend on the seed of a run. The splits are far apart in one series. */
const DATA_SEED = 1;
const VALIDATION_FIRST = 1e9;
const TEST_FIRST = 2e9;

export async function loadSamples(config: Sizes & Pick<TrainConfig, "shift">): Promise<SampleSplits> {
  const { train, validation, test, source } = config.data === null ? generate(config) : await read(config.data, config);
  const samples = (images: ImageSet | null) => images && imageSamples(images, { source });
  return {
    train: imageSamples(train, { source, shift: config.shift }),
    validation: samples(validation),
    test: samples(test),
    source,
  };
}

interface ImageSplits {
  readonly train: ImageSet;
  readonly validation: ImageSet | null;
  readonly test: ImageSet | null;
  readonly source: string;
}

function generate({ trainSamples, validationSamples, testSamples }: Sizes): ImageSplits {
  const key = deriveKey(keyOfSeed(DATA_SEED), "digits");
  const part = (count: number, first: number) => (count === 0 ? null : syntheticDigits(count, key, { first }));
  return {
    train: syntheticDigits(trainSamples ?? GENERATED.train, key),
    validation: part(validationSamples, VALIDATION_FIRST),
    test: part(testSamples ?? GENERATED.test, TEST_FIRST),
    source: "generated digits",
  };
}

async function read(dir: string, { trainSamples, validationSamples, testSamples }: Sizes): Promise<ImageSplits> {
  const { train: all, test } = await readMnist(dir);
  if (validationSamples >= all.count) {
    throw new ArgumentError(
      "train",
      "--validation-samples",
      `less than the ${all.count} training images`,
      `${validationSamples}`,
    );
  }
  const { train, validation } = splitTrainValidation(
    all,
    validationSamples,
    deriveKey(keyOfSeed(DATA_SEED), "validation"),
  );
  return {
    train: first(train, trainSamples, "--train-samples"),
    validation: validation.count > 0 ? validation : null,
    test: testSamples === 0 ? null : first(test, testSamples, "--test-samples"),
    source: dir,
  };
}

/** The first `count` images; null: all. */
function first(set: ImageSet, count: number | null, option: string): ImageSet {
  if (count === null || count === set.count) return set;
  if (count > set.count)
    throw new ArgumentError("train", option, `at most ${set.count}, the images there are`, `${count}`);
  return subset(
    set,
    Uint32Array.from({ length: count }, (_, i) => i),
  );
}
