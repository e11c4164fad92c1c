// The samples of a run: arrays or images from files, generated digits, or a ready-made task.

import { readdir } from "node:fs/promises";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import { plural } from "../core/text.ts";
import { imageSamples } from "../data/imageSamples.ts";
import { type ImageSet, splitTrainValidation, subset } from "../data/imageSet.ts";
import { readMnist } from "../data/mnist.ts";
import { type OpenedSamples, openSamples } from "../data/openSamples.ts";
import { type SampleSet, subsetOfSamples } from "../data/sampleSet.ts";
import { syntheticDigits } from "../data/syntheticDigits.ts";
import { TASK_SETS } from "../data/tasks/index.ts";
import type { KnownAnswer } from "../data/tasks/taskSet.ts";
import type { TrainConfig } from "./config.ts";
import { isOwnSetting } from "./configLayers.ts";
import { isTaskName } from "./configOptions.ts";

/** The samples of a run: training, validation and test. */
export interface SampleSplits {
  readonly train: SampleSet;
  /** null: no sample was set aside. */
  readonly validation: SampleSet | null;
  /** null: no test is wanted. */
  readonly test: SampleSet | null;
  /** Their source, for people. */
  readonly source: string;
  /** Of generated samples: values of metrics that are known before any training. */
  readonly known: Readonly<Record<string, KnownAnswer>> | null;
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[];
  /** Closes files; the samples are not used afterwards. */
  release(): Promise<void>;
}

type DataConfig = Pick<
  TrainConfig,
  | "preset"
  | "data"
  | "dataOptions"
  | "trainSamples"
  | "validationSamples"
  | "testSamples"
  | "shift"
  | "scaleInputs"
  | "targets"
  | "dataMemory"
  | "dtype"
>;

/** Where samples come from, and who wants to hear of progress. */
export interface LoadOptions {
  /** Called during the pass that checks the samples of files. */
  readonly onProgress?: (done: number, total: number) => void;
}

const GENERATED = { train: 8000, test: 1000 } as const;
/** Generated samples replace files, so they do not depend on the seed of a run. The splits of digits are far apart in one series. */
const DATA_SEED = 1;
const VALIDATION_FIRST = 1e9;
const TEST_FIRST = 2e9;
/** Digits by name, for settings that lie above others. */
const DIGITS = "digits";

export async function loadSamples(config: DataConfig, options: LoadOptions = {}): Promise<SampleSplits> {
  const { data } = config;
  if (data === null || data === DIGITS) return ofImages(generateDigits(config), config);
  if (isTaskName(data)) return generateTask(data, config);
  if (await hasIdxFiles(data)) return ofImages(await readImages(data, config), config);
  return readArrays(data, config, options);
}

// ---- images ----------------------------------------------------------------------------------------------------------------

interface ImageSplits {
  readonly train: ImageSet;
  readonly validation: ImageSet | null;
  readonly test: ImageSet | null;
  readonly source: string;
}

function ofImages({ train, validation, test, source }: ImageSplits, { shift }: DataConfig): SampleSplits {
  const samples = (images: ImageSet | null) => images && imageSamples(images, { source });
  return {
    train: imageSamples(train, { source, shift }),
    validation: samples(validation),
    test: samples(test),
    source,
    ...NOTHING_TO_SAY,
  };
}

const NOTHING_TO_SAY = { known: null, notes: [], release: async () => {} } as const;

function generateDigits({ trainSamples, validationSamples, testSamples }: DataConfig): ImageSplits {
  const key = deriveKey(keyOfSeed(DATA_SEED), "digits");
  const part = (count: number, first: number) => (count === 0 ? null : syntheticDigits(count, key, { first }));
  return {
    train: syntheticDigits(trainSamples ?? GENERATED.train, key),
    validation: part(validationSamples, VALIDATION_FIRST),
    test: part(testSamples ?? GENERATED.test, TEST_FIRST),
    source: "generated digits",
  };
}

async function hasIdxFiles(path: string): Promise<boolean> {
  try {
    const names = await readdir(path);
    return names.some((name) => /[-.]idx[13]-ubyte(\.gz)?$/.test(name));
  } catch {
    // No folder; its reader says what it is.
    return false;
  }
}

async function readImages(
  dir: string,
  { trainSamples, validationSamples, testSamples }: DataConfig,
): Promise<ImageSplits> {
  const { train: all, test } = await readMnist(dir);
  if (validationSamples >= all.count) {
    throw new ArgumentError(
      "train",
      "--validation-samples",
      `less than the ${all.count} training images`,
      `${validationSamples}`,
    );
  }
  const { train, validation } = splitTrainValidation(all, validationSamples, VALIDATION_KEY);
  const images = (set: ImageSet, count: number | null, option: string) =>
    subset(set, firstOf(set.count, count, option));
  return {
    train: images(train, trainSamples, "--train-samples"),
    validation: validation.count > 0 ? validation : null,
    test: testSamples === 0 ? null : images(test, testSamples, "--test-samples"),
    source: dir,
  };
}

const VALIDATION_KEY = deriveKey(keyOfSeed(DATA_SEED), "validation");

/** The first `count` of `all` samples; null: all. */
function firstOf(all: number, count: number | null, option: string): Uint32Array {
  if (count !== null && count > all)
    throw new ArgumentError("train", option, `at most ${all}, the samples there are`, `${count}`);
  return Uint32Array.from({ length: count ?? all }, (_, i) => i);
}

// ---- arrays ----------------------------------------------------------------------------------------------------------------

/** Where more than half of the samples would be set aside for validation, a tenth is. */
const VALIDATION_SHARE = 0.1;

async function readArrays(path: string, config: DataConfig, { onProgress }: LoadOptions): Promise<SampleSplits> {
  const { targets, scaleInputs, dataMemory, dtype, validationSamples } = config;
  const notes = [...refuseShift(config)];
  let isDrawn = false;
  const opened = await openSamples(path, {
    ...(targets === "auto" ? {} : { kind: targets }),
    // Before the inputs are standardised: the statistics are those of the samples that are left to train on.
    validation: (count) => {
      isDrawn = true;
      return setAside(count, validationSamples, notes);
    },
    key: VALIDATION_KEY,
    normalise: scaleInputs,
    memoryBytes: dataMemory * 2 ** 20,
    dtype,
    ...(onProgress && { onProgress }),
  });
  try {
    const isWhole = validationSamples > 0 && (isDrawn || !isOwnSetting(config, "validationSamples"));
    return ofArrays(path, opened, { ...config, validationSamples: isWhole ? null : validationSamples }, notes);
  } catch (error) {
    await opened.release();
    throw error;
  }
}

/** How many of `count` samples are set aside for validation. Adds what the user should know to `notes`. */
function setAside(count: number, wanted: number, notes: string[]): number {
  if (count === 1) return 0;
  if (2 * wanted <= count) return wanted;
  const held = Math.max(1, Math.floor(VALIDATION_SHARE * count));
  notes.push(
    `${plural(held, "sample")} of ${count} are set aside for validation, a tenth: ` +
      `--validation-samples ${wanted} would be more than half`,
  );
  return held;
}

/** How many samples of each part are used; null: all. */
type PartSizes = Readonly<Record<"trainSamples" | "validationSamples" | "testSamples", number | null>>;

function ofArrays(
  path: string,
  opened: OpenedSamples,
  { trainSamples, validationSamples, testSamples }: PartSizes,
  notes: readonly string[],
): SampleSplits {
  const { train, validation, test } = opened;
  const part = (set: SampleSet, count: number | null, option: string) =>
    count === null ? set : subsetOfSamples(set, firstOf(set.count, count, option));
  const partOrNull = (set: SampleSet | null, count: number | null, option: string) =>
    set === null || count === 0 ? null : part(set, count, option);
  if (test === null && testSamples)
    throw new ArgumentError("train", "--test-samples", `a part "test" in ${path}`, `${testSamples} without one`);
  return {
    train: part(train, trainSamples, "--train-samples"),
    validation: partOrNull(validation, validationSamples, "--validation-samples"),
    test: partOrNull(test, testSamples, "--test-samples"),
    source: path,
    known: null,
    notes: [...opened.notes, ...notes],
    release: () => opened.release(),
  };
}

/**
 * Only images can be shifted. A shift that the preset has, not the user, is left out.
 *
 * @returns notes about it
 * @throws {ArgumentError} the user has set it
 */
function refuseShift(config: DataConfig): readonly string[] {
  const { shift, preset } = config;
  if (shift === 0) return [];
  if (isOwnSetting(config, "shift"))
    throw new ArgumentError("train", "--shift", "0, as only images can be shifted", `${shift}`);
  return [`--shift ${shift} of the preset ${preset} has no effect, as only images can be shifted`];
}

// ---- ready-made tasks ------------------------------------------------------------------------------------------------------

function generateTask(name: string, config: DataConfig): SampleSplits {
  const { dataOptions, trainSamples, validationSamples, testSamples } = config;
  const notes = refuseShift(config);
  const test = testSamples ?? GENERATED.test;
  const made = TASK_SETS[name]!.make({
    seed: DATA_SEED,
    // A part that is not wanted is made of one sample, which nobody reads.
    samples: {
      train: trainSamples ?? GENERATED.train,
      validation: Math.max(1, validationSamples),
      test: Math.max(1, test),
    },
    options: dataOptions,
  });
  return {
    train: made.train,
    validation: validationSamples === 0 ? null : made.validation,
    test: test === 0 ? null : made.test,
    source: made.train.source,
    known: made.known,
    notes,
    release: async () => {},
  };
}
