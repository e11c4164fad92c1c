// Sample sets from files: .npz, .safetensors, folders of .npy files, and folders of parts. What does not fit in memory is read in blocks.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { yieldToEventLoop } from "../core/abort.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import {
  ARRAY_EXTENSIONS,
  type ArrayFile,
  numbersOf,
  openArrays,
  type StoredArray,
  textsOf,
} from "../io/arrayFiles.ts";
import { fileError } from "../io/files.ts";
import type { NumberArray } from "../io/numbers.ts";
import { listOf } from "../io/zip.ts";
import { type SampleArrays, targetRows } from "./arraySet.ts";
import { BlockCache, FileRows, loadedRows, memoryBytesOf, type NumericArray, type Rows } from "./rows.ts";
import {
  checkTimes,
  type InterpretedShape,
  interpretShapes,
  PART_NAMES,
  type PartName,
  partsOfSplit,
  type Refuse,
  SAMPLE_ARRAYS,
  unusedNames,
  weightingOf,
} from "./sampleArrays.ts";
import { checkOptions, makeSets, type SampleSets, type SampleSetsOptions } from "./sampleSets.ts";

const WHERE = "openSamples";

/** Bytes of samples that are held in memory unless the user says otherwise: 1 GiB. */
export const DEFAULT_MEMORY_BYTES: number = 2 ** 30;

/** How sample files are read. */
export interface OpenSamplesOptions extends Omit<SampleSetsOptions, "validation"> {
  /**
   * Samples that are drawn from the part "train" with `key`: a number, or a function of the number of its samples, which is asked only where
   * the data have no part for validation. Or the path of a second file or folder.
   */
  readonly validation?: SampleSetsOptions["validation"] | string;
  /** Path of a file or folder with the part "test". */
  readonly test?: string;
  /**
   * Bytes of samples in memory. Arrays that fit are held whole; the others are read in blocks, of which the last used fill the rest. Default
   * 2^30 (1 GiB). The samples are the same with any number.
   */
  readonly memoryBytes?: number;
  /** Called during the pass that checks all samples. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Sample sets on files. */
export interface OpenedSamples extends SampleSets {
  /** Every file that was read, for the record of a run. */
  readonly files: readonly string[];
  /** Closes the files; so do the `release` of all sets together. Idempotent. */
  release(): Promise<void>;
}

/**
 * Sample sets from a file ending in .npz or .safetensors, a folder with inputs.npy, targets.npy, …, or a folder with a part each:
 * train.npz, validation.npz, test.npz (or .safetensors, or folders). Reads every sample once and checks it. Names, shapes and rules: docs/data.md.
 *
 * @throws {FileFormatError} a file that is missing, damaged, cut off or changed; samples that are refused, with file and array; "file-limit":
 *   compressed or column-major arrays that do not fit in `memoryBytes`
 * @throws {ArgumentError} options that do not fit
 */
export async function openSamples(path: string, options: OpenSamplesOptions = {}): Promise<OpenedSamples> {
  const { validation, test, memoryBytes = DEFAULT_MEMORY_BYTES, onProgress, signal, ...rest } = options;
  const setsOptions = typeof validation === "string" || validation === undefined ? rest : { ...rest, validation };
  checkOptions(WHERE, setsOptions, { test: true, memoryBytes: true, onProgress: true, signal: true });
  if (!(memoryBytes >= 0)) throw new ArgumentError(WHERE, "memoryBytes", "a number ≥ 0", `${memoryBytes}`);
  const paths = await pathsOf(path, typeof validation === "string" ? validation : undefined, test);

  const open: ArrayFile[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(open.map((file) => file.close()));
  };
  try {
    const parts: Partial<Record<PartName, StoredSamples>> = {};
    let room = memoryBytes;
    for (const name of PART_NAMES) {
      if (paths[name] === undefined) continue;
      const file = await openArrays(paths[name], { names: SAMPLE_ARRAYS, memoryBytes: room });
      open.push(file);
      parts[name] = await storedSamples(file, setsOptions);
      for (const { data, resident } of file.arrays.values()) if (resident) room -= data.length;
    }
    const rowsOf = await placeInMemory(Object.values(parts), memoryBytes);
    const arrays = (name: PartName): { [name]?: SampleArrays } =>
      parts[name] ? { [name]: parts[name].withRows(rowsOf.rows) } : {};
    const sets = await run(
      makeSets(
        WHERE,
        { train: parts.train!.withRows(rowsOf.rows), ...arrays("validation"), ...arrays("test") },
        setsOptions,
        onProgress,
        close,
      ),
      signal,
    );
    // All is in memory.
    if (rowsOf.cache === null) await close();
    const files = open.flatMap((file) => file.files);
    const release = async (): Promise<void> => {
      await Promise.all([sets.train, sets.validation, sets.test].map((set) => set?.release?.()));
      rowsOf.cache?.clear();
    };
    return { ...sets, files, release };
  } catch (error) {
    await close();
    throw error;
  }
}

async function run(
  making: Generator<readonly (NumberArray | Promise<NumberArray>)[], SampleSets, readonly NumberArray[]>,
  signal: AbortSignal | undefined,
): Promise<SampleSets> {
  let step = making.next();
  while (!step.done) {
    const chunk = await Promise.all(step.value);
    // Nothing is being read when the signal ends the pass.
    await yieldToEventLoop(signal);
    step = making.next(chunk);
  }
  return step.value;
}

// ---- which files ---------------------------------------------------------------------------------------------------------

type Paths = Readonly<Partial<Record<PartName, string>>> & { readonly train: string };

async function pathsOf(path: string, validation: string | undefined, test: string | undefined): Promise<Paths> {
  const found = await partPaths(path);
  for (const [name, given] of [
    ["validation", validation],
    ["test", test],
  ] as const) {
    if (given === undefined || found[name] === undefined) continue;
    throw new ArgumentError(WHERE, name, `none, as ${path} has this part`, given);
  }
  const given = { ...(validation === undefined ? {} : { validation }), ...(test === undefined ? {} : { test }) };
  for (const other of Object.values(given)) await checkPath(other);
  return { ...found, ...given };
}

/** The parts at a path: one, or those that a folder has. */
async function partPaths(path: string): Promise<Paths> {
  if (!(await checkPath(path))) return { train: path };
  let names: string[];
  try {
    names = await readdir(path);
  } catch (cause) {
    throw fileError(path, "a folder with samples", cause);
  }
  const whole = names.includes("inputs.npy");
  const paths: Partial<Record<PartName, string>> = {};
  for (const name of PART_NAMES) {
    const there = [...ARRAY_EXTENSIONS.map((extension) => name + extension), name].filter((file) =>
      names.includes(file),
    );
    if (there.length > 1 || (there.length > 0 && whole)) {
      const expected = `one file for the part "${name}"`;
      throw new FileFormatError(path, expected, listOf(whole ? ["inputs.npy", ...there] : there));
    }
    if (there.length === 1) paths[name] = join(path, there[0]!);
  }
  if (whole) return { train: path };
  if (paths.train !== undefined) return { ...paths, train: paths.train };
  const expected = `inputs.npy and targets.npy, or a part "train" (${ARRAY_EXTENSIONS.map((e) => `train${e}`).join(", ")} or a folder)`;
  throw new FileFormatError(
    path,
    expected,
    names.length === 0 ? "an empty folder" : `a folder with ${listOf(names.sort())}`,
  );
}

/** Whether a path is a folder. @throws {FileFormatError} nothing there, a file of another kind */
async function checkPath(path: string): Promise<boolean> {
  const expected = `a file ending in ${ARRAY_EXTENSIONS.join(" or ")}, or a folder`;
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (cause) {
    throw fileError(path, expected, cause);
  }
  if (ARRAY_EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension))) return false;
  const hint = path.toLowerCase().endsWith(".npy") ? " (the folder of a .npy file is the sample set)" : "";
  throw new FileFormatError(path, expected + hint, "a file with another ending");
}

// ---- what is in them -----------------------------------------------------------------------------------------------------

/** The arrays of a file whose meaning is known, before it is known where they are held. */
interface StoredSamples {
  /** Those with a row per sample. */
  readonly large: readonly NumericArray[];
  withRows(rows: ReadonlyMap<NumericArray, Rows>): SampleArrays;
}

async function storedSamples(file: ArrayFile, { kind, unlabelled }: SampleSetsOptions): Promise<StoredSamples> {
  const { path, arrays, names } = file;
  const refuse: Refuse = (array, expected, got) =>
    new FileFormatError(arrays.get(array)?.label ?? `${path}[${array}]`, expected, got);
  const unused = unusedNames(names, refuse);
  const numeric = (name: "inputs" | "targets" | "mask" | "weights"): NumericArray | undefined => {
    const array = arrays.get(name);
    if (array === undefined || isNumeric(array)) return array;
    throw refuse(name, "an array of numbers", "an array of texts");
  };
  const [inputs, targets] = [numeric("inputs"), numeric("targets")];
  if (!inputs || !(targets || unlabelled)) {
    const expected = unlabelled ? "an array inputs" : "arrays inputs and targets";
    throw new FileFormatError(path, expected, names.length === 0 ? "no arrays" : `arrays ${listOf(names)}`);
  }
  const weighting = weightingOf(numeric("mask"), numeric("weights"), targets !== undefined, refuse);
  const shape = interpretShapes(
    { inputs, targets: targets ?? unlabelled!, weights: weighting.array, weightsName: weighting.name },
    kind,
    refuse,
  );
  const small = await smallArrays(arrays, shape, refuse);
  const large = [inputs, targets, weighting.array].filter((array) => array !== null && array !== undefined);
  return {
    large,
    withRows: (rows) => ({
      ...{ source: path, shape, weightsName: weighting.name, refuse, unused, inputs: rows.get(inputs)! },
      ...targetRows(shape, targets && rows.get(targets), weighting.array && rows.get(weighting.array)!),
      ...small,
    }),
  };
}

function isNumeric(array: StoredArray): array is NumericArray {
  return array.type !== "S" && array.type !== "U";
}

type SmallArrays = Pick<SampleArrays, "times" | "split" | "classNames" | "outputNames">;

async function smallArrays(
  arrays: ReadonlyMap<string, StoredArray>,
  shape: InterpretedShape,
  refuse: Refuse,
): Promise<SmallArrays> {
  const small = (name: "times" | "split" | "classNames" | "outputNames"): StoredArray | null => {
    const array = arrays.get(name);
    if (array === undefined) return null;
    if (array.shape.length !== 1) throw refuse(name, "one dimension", `${array.shape.length}`);
    return array;
  };
  const [times, split] = [small("times"), small("split")];
  const [classNames, outputNames] = [small("classNames"), small("outputNames")];
  return {
    times: times && checkTimes(await numbersOf(times), shape.target.times, refuse),
    split: split && partsOfSplit(await (isNumeric(split) ? numbersOf : textsOf)(split), shape.count, refuse),
    ...{
      classNames: classNames && (await textsOf(classNames)),
      outputNames: outputNames && (await textsOf(outputNames)),
    },
  };
}

/** Decides which arrays are held in memory: the smallest first, and all if they fit. The rest shares a cache of blocks. */
async function placeInMemory(
  parts: readonly StoredSamples[],
  memoryBytes: number,
): Promise<{ rows: ReadonlyMap<NumericArray, Rows>; cache: BlockCache | null }> {
  const arrays = parts.flatMap(({ large }) => large).sort((a, b) => memoryBytesOf(a) - memoryBytesOf(b));
  const total = arrays.reduce((sum, array) => sum + memoryBytesOf(array), 0);
  const rows = new Map<NumericArray, Rows>();
  let room = memoryBytes;
  const fits = (array: NumericArray): boolean =>
    total <= memoryBytes || array.resident || memoryBytesOf(array) <= room / 2;
  for (const array of arrays.filter(fits)) {
    rows.set(array, await loadedRows(array));
    room -= memoryBytesOf(array);
  }
  if (rows.size === arrays.length) return { rows, cache: null };
  const cache = new BlockCache(Math.max(0, room));
  for (const array of arrays) if (!rows.has(array)) rows.set(array, new FileRows(array, cache));
  return { rows, cache };
}
