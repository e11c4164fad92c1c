// The samples of a run: arrays or images from files, generated digits, or a ready-made task.

import { readdir } from "node:fs/promises";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import { plural } from "../core/text.ts";
import { imageSamples } from "../data/imageSamples.ts";
import { type ImageSet, splitTrainValidation, subset } from "../data/imageSet.ts";
import { mnistFiles, readMnist } from "../data/mnist.ts";
import { type OpenedSamples, openSamples } from "../data/openSamples.ts";
import type { PartName } from "../data/sampleArrays.ts";
import { constantLoss, type Spread } from "../data/sampleChecks.ts";
import { type SampleSet, type SampleShape, subsetOfSamples } from "../data/sampleSet.ts";
import { syntheticDigits } from "../data/syntheticDigits.ts";
import { TASK_SETS } from "../data/tasks/index.ts";
import type { KnownAnswer, TaskNetwork } from "../data/tasks/taskSet.ts";
import type { Teacher } from "../data/tasks/teacherNetwork.ts";
import type { TrainConfig } from "./config.ts";
import { isOwnSetting } from "./configLayers.ts";
import { DIGITS, isTaskName, optionName } from "./configOptions.ts";

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
  /** Of generated samples: the network that made the targets, if one did. */
  readonly teacher: Teacher | null;
  /** The files that they were read from. */
  readonly files: readonly string[];
  /** What the inputs of sample files were standardised with; null: they are as in the files. */
  readonly normalisation: Spread | null;
  /** A row near the mean of each number of the targets, as a run recorded it; null: unknown. */
  readonly centre: readonly number[] | null;
  /** Of sample files; null: not counted. */
  readonly counts: TargetCounts | null;
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[];
  /** Closes files; the samples are not used afterwards. */
  release(): Promise<void>;
}

/** The targets of sample files. */
export interface TargetCounts {
  /** Weight of the targets of each class, by part; null: targets are numbers. */
  readonly classes: Readonly<Partial<Record<PartName, readonly number[]>>> | null;
  /** Squared error, or cross-entropy in nats, of the best constant prediction for the training part. */
  readonly constantLoss: number;
}

type DataConfig = Pick<
  TrainConfig,
  | "preset"
  | "data"
  | "dataOptions"
  | "validationData"
  | "testData"
  | "trainSamples"
  | "validationSamples"
  | "testSamples"
  | "preset"
  | "shift"
  | "scaleInputs"
  | "targets"
  | "dataMemory"
  | "dtype"
>;

/** Where samples come from, and who wants to hear of progress. */
export interface LoadOptions {
  /** Called while files are checked and hashed. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** What the inputs of sample files are standardised with, as a run recorded it; default: what the settings say. */
  readonly normalisation?: Spread | null;
}

/** How far the reading of files is. */
export interface LoadProgress {
  /** Such as "checking samples". */
  readonly work: string;
  readonly done: number;
  readonly total: number;
}

const GENERATED = { train: 8000, test: 1000 } as const;
/** Generated samples replace files, so they do not depend on the seed of a run. The splits of digits are far apart in one series. */
const DATA_SEED = 1;
const VALIDATION_FIRST = 1e9;
const TEST_FIRST = 2e9;

/** @param network  that is to be trained, for tasks that are about it */
export async function loadSamples(
  config: DataConfig,
  network: TaskNetwork,
  options: LoadOptions = {},
): Promise<SampleSplits> {
  const { data } = config;
  if (data === null || data === DIGITS) return ofImages(generateDigits(config), config);
  if (isTaskName(data)) return generateTask(data, network, config);
  if (await hasIdxFiles(data)) return ofImages(await readImages(data, config), config, await mnistFiles(data));
  return readArrays(data, config, options);
}

/** The samples for a network in discrete time, whose outputs follow its frames whatever times the samples have. */
export function withoutTimes(samples: SampleSplits): SampleSplits {
  const { train, validation, test, known, notes } = samples;
  if (!train.times) return samples;
  const timeless = <S extends SampleSet | null>(set: S): S => set && { ...set, times: null };
  // Those of ready-made tasks are the frames.
  const note = "output times of the samples have no effect with --time discrete: outputs follow each frame";
  return {
    ...samples,
    train: timeless(train),
    validation: timeless(validation),
    test: timeless(test),
    notes: known ? notes : [...notes, note],
  };
}

// ---- images ----------------------------------------------------------------------------------------------------------------

interface ImageSplits {
  readonly train: ImageSet;
  readonly validation: ImageSet | null;
  readonly test: ImageSet | null;
  readonly source: string;
}

function ofImages(
  { train, validation, test, source }: ImageSplits,
  { shift }: DataConfig,
  files: readonly string[] = [],
): SampleSplits {
  const samples = (images: ImageSet | null) => images && imageSamples(images, { source });
  return {
    train: imageSamples(train, { source, shift }),
    validation: samples(validation),
    test: samples(test),
    source,
    ...NOTHING_TO_SAY,
    files,
  };
}

const NOTHING_TO_SAY = {
  known: null,
  teacher: null,
  notes: [],
  files: [],
  normalisation: null,
  centre: null,
  counts: null,
  release: async () => {},
} as const;

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

/** Whether a path is a folder with images in IDX files. */
export async function hasIdxFiles(path: string): Promise<boolean> {
  try {
    const names = await readdir(path);
    return names.some((name) => /[-.]idx[13]-ubyte(\.gz)?$/.test(name));
  } catch {
    // No folder; its reader says what it is.
    return false;
  }
}

async function readImages(dir: string, config: DataConfig): Promise<ImageSplits> {
  const { trainSamples, validationSamples, testSamples } = config;
  refuseForImages(dir, config);
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

/** Settings of arrays, which IDX files do not heed. */
function refuseForImages(dir: string, { scaleInputs, targets, validationData, testData }: DataConfig): void {
  const given = [
    ["scaleInputs", scaleInputs === "none" ? null : scaleInputs],
    ["targets", targets === "auto" ? null : targets],
    ["validationData", validationData],
    ["testData", testData],
  ] as const;
  for (const [key, value] of given) {
    if (value === null) continue;
    throw new ArgumentError("train", optionName(key), `--data with arrays; ${dir} has images in IDX files`, value);
  }
}

const VALIDATION_KEY = deriveKey(keyOfSeed(DATA_SEED), "validation");

/** The first `count` of `all` samples; null: all. */
function firstOf(all: number, count: number | null, option: string): Uint32Array {
  if (count !== null && count > all)
    throw new ArgumentError("train", option, `at most ${all}, the samples there are`, `${count}`);
  return Uint32Array.from({ length: count ?? all }, (_, i) => i);
}

/** Only images can be shifted. A preset's shift is meant for them; other samples are trained on as they are. */
function refuseShift(config: DataConfig): void {
  const { shift } = config;
  if (shift > 0 && isOwnSetting(config, "shift"))
    throw new ArgumentError("train", "--shift", "0, as only images can be shifted", `${shift}`);
}

// ---- arrays ----------------------------------------------------------------------------------------------------------------

/** Where more than half of the samples would be set aside for validation, a tenth is. */
const VALIDATION_SHARE = 0.1;

async function readArrays(
  path: string,
  config: DataConfig,
  { onProgress, normalisation }: LoadOptions,
): Promise<SampleSplits> {
  const { targets, scaleInputs, dataMemory, dtype, validationData, testData, validationSamples } = config;
  refuseShift(config);
  const notes: string[] = [];
  let isDrawn = false;
  // Before the inputs are standardised: the statistics are those of the samples that are left to train on.
  const draw = (count: number): number => {
    isDrawn = true;
    return setAside(count, validationSamples, notes);
  };
  const opened = await openSamples(path, {
    ...(targets === "auto" ? {} : { kind: targets }),
    validation: validationData ?? draw,
    key: VALIDATION_KEY,
    normalise: scaleInputs === "none" ? "none" : (normalisation ?? scaleInputs),
    memoryBytes: dataMemory * 2 ** 20,
    dtype,
    ...(testData !== null && { test: testData }),
    ...(onProgress && { onProgress: loadProgressOf(onProgress) }),
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

/** The progress of the pass that checks samples. */
export function loadProgressOf(onProgress: (progress: LoadProgress) => void): (done: number, total: number) => void {
  return (done, total) => onProgress({ work: "checking samples", done, total });
}

function countsOf({ statistics, train }: OpenedSamples): TargetCounts {
  const parts = (["train", "validation", "test"] as const).flatMap((name) => {
    const of = statistics[name];
    return of ? [[name, [...of.weights]] as const] : [];
  });
  return {
    classes: train.target.kind === "class" ? Object.fromEntries(parts) : null,
    constantLoss: constantLoss(statistics.train),
  };
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
    ...NOTHING_TO_SAY,
    files: opened.files,
    normalisation: opened.normalisation,
    counts: countsOf(opened),
    notes: [...opened.notes, ...notes],
    release: () => opened.release(),
  };
}

// ---- as recorded -----------------------------------------------------------------------------------------------------------

/** What the record of a run says of its samples. */
export interface RecordedSamples extends SampleShape, Pick<SampleSet, "picture" | "classNames" | "outputNames"> {
  readonly source: string;
  /** Numbers of samples. */
  readonly sizes: Readonly<Record<PartName, number>>;
  readonly normalisation: Spread | null;
  readonly centre: readonly number[] | null;
}

/** The samples of a run by their record: shapes, without the samples. */
export function recordedSamples({ sizes, normalisation, centre, ...shape }: RecordedSamples): SampleSplits {
  const read = (): never => {
    throw new ArgumentError("read", "samples", "a run that was opened with its samples", "one without");
  };
  const part = (name: PartName): SampleSet => ({ ...shape, count: sizes[name], read });
  const partOrNull = (name: PartName): SampleSet | null => (sizes[name] === 0 ? null : part(name));
  return {
    train: part("train"),
    validation: partOrNull("validation"),
    test: partOrNull("test"),
    source: shape.source,
    ...NOTHING_TO_SAY,
    normalisation,
    centre,
  };
}

// ---- ready-made tasks ------------------------------------------------------------------------------------------------------

function generateTask(name: string, network: TaskNetwork, config: DataConfig): SampleSplits {
  const { dataOptions, trainSamples, validationSamples, testSamples } = config;
  refuseShift(config);
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
    network,
  });
  return {
    train: made.train,
    validation: validationSamples === 0 ? null : made.validation,
    test: test === 0 ? null : made.test,
    source: made.train.source,
    ...NOTHING_TO_SAY,
    known: made.known,
    teacher: made.teacher ?? null,
  };
}
