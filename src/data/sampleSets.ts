// From arrays of samples to the parts of a data set: one pass checks all samples and counts, then the parts are cut out.

import type { DType } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { type Key, RandomStream } from "../core/random.ts";
import type { TargetShape } from "../core/targets.ts";
import { plural } from "../core/text.ts";
import { bytesOfNumber, type NumberArray } from "../io/numbers.ts";
import { listOf } from "../io/zip.ts";
import { ArraySet, expandWeights, floatTypeOf, type SampleArrays } from "./arraySet.ts";
import type { Rows } from "./rows.ts";
import { isWholeType, PART_NAMES, type PartName } from "./sampleArrays.ts";
import {
  type CheckedSamples,
  checkSamples,
  type SampleRules,
  type SampleStatistics,
  type Spread,
  StatisticsBuilder,
} from "./sampleChecks.ts";
import type { SampleSet } from "./sampleSet.ts";

/** Bytes that the pass reads at once; a longer sample is read alone. */
const CHUNK_BYTES = 1 << 22;

/** How arrays become sample sets. */
export interface SampleSetsOptions {
  /** Overrules the rule that targets in a type of whole numbers are classes and others are numbers. */
  readonly kind?: "class" | "numbers";
  /** Number of classes. Default: as many as there are names, or one more than the largest class. */
  readonly classes?: number;
  readonly classNames?: readonly string[];
  readonly outputNames?: readonly string[];
  /** The inputs are grey pictures of this size, row by row. */
  readonly picture?: { readonly width: number; readonly height: number };
  /** As many samples of the part "train" become the part "validation", drawn with `key` as `splitTrainValidation` does. */
  readonly validation?: number;
  readonly key?: Key;
  /**
   * "standardise": (x − mean) / std for each input, with the statistics of the part "train" over samples and frames; or with those given. A
   * constant input becomes 0. Default "none".
   */
  readonly normalise?: "none" | "standardise" | Spread;
  /** Precision of the network: with "f32", numbers out of its range are refused, and a note says that f64 is rounded. Default "f64". */
  readonly dtype?: DType;
  /** Targets may be missing, as in data to predict from: samples then have targets of this shape that do not count. */
  readonly unlabelled?: TargetShape;
}

/** The parts of a data set. */
export interface SampleSets {
  readonly train: SampleSet;
  readonly validation: SampleSet | null;
  readonly test: SampleSet | null;
  readonly statistics: Readonly<Record<PartName, SampleStatistics | null>> & { readonly train: SampleStatistics };
  /** What the inputs were standardised with; null: nothing. */
  readonly normalisation: Spread | null;
  /** What a user should know, a sentence each. */
  readonly notes: readonly string[];
}

const OPTIONS: Readonly<Record<keyof SampleSetsOptions, true>> = {
  ...{ kind: true, classes: true, classNames: true, outputNames: true, picture: true },
  ...{ validation: true, key: true, normalise: true, dtype: true, unlabelled: true },
};

/**
 * Checks options by themselves.
 *
 * @param more  names of further options
 * @throws {ArgumentError} an option that does not exist or has another value
 */
export function checkOptions(
  where: string,
  options: SampleSetsOptions,
  more: Readonly<Record<string, true>> = {},
): void {
  checkNames(where, options, { ...OPTIONS, ...more });
  const { kind, classes, normalise = "none", dtype = "f64", validation, key, unlabelled } = options;
  const bad = (name: string, expected: string, got: unknown): ArgumentError =>
    new ArgumentError(where, name, expected, String(got));
  if (kind !== undefined && kind !== "class" && kind !== "numbers") throw bad("kind", '"class" or "numbers"', kind);
  if (classes !== undefined && !(Number.isSafeInteger(classes) && classes >= 2 && classes <= 2 ** 24)) {
    throw bad("classes", "a whole number from 2 to 2^24", classes);
  }
  if (typeof normalise === "string" && normalise !== "none" && normalise !== "standardise") {
    throw bad("normalise", '"none", "standardise" or { mean, std }', normalise);
  }
  if (dtype !== "f32" && dtype !== "f64") throw bad("dtype", '"f32" or "f64"', dtype);
  if (validation !== undefined && !(Number.isSafeInteger(validation) && validation >= 0)) {
    throw bad("validation", "a whole number ≥ 0", validation);
  }
  if (unlabelled?.kind === "class" && !((unlabelled.classes ?? 0) >= 2)) {
    throw bad("unlabelled.classes", "2 or more", unlabelled.classes);
  }
  if (validation && !key) throw bad("key", "a key, to draw the samples for validation", "none");
}

/** Arrays by part. If those of "train" have a split, the other parts are not given. */
export interface PartArrays {
  readonly train: SampleArrays;
  readonly validation?: SampleArrays;
  readonly test?: SampleArrays;
}

/** Numbers of a pass, or a promise of them. */
type Chunk = readonly (NumberArray | Promise<NumberArray>)[];

/** Called with the number of samples that have been seen. */
type Progress = (done: number, total: number) => void;

/**
 * Checks samples and makes the sets; yields what has to be awaited, and takes what came of it.
 *
 * @param onRelease  called when the last of the sets is released
 * @throws {ArgumentError} options that do not fit; what `refuse` of the arrays makes
 */
export function* makeSets(
  where: string,
  parts: PartArrays,
  options: SampleSetsOptions,
  onProgress: Progress = () => {},
  onRelease: () => Promise<void> = async () => {},
): Generator<Chunk, SampleSets, readonly NumberArray[]> {
  const { train } = parts;
  const given = PART_NAMES.flatMap((name) => (parts[name] ? [{ name, arrays: parts[name] }] : []));
  for (const { name, arrays } of given.slice(1)) checkSameShape(arrays, train, name);
  checkPicture(where, options, train.shape.inputSize);
  const names = namesOf(where, options, train);
  const classes = options.classes ?? names.classNames?.length ?? options.unlabelled?.classes ?? null;
  const members = membersOf(where, parts, options);

  const examination = new Examination(options, classes);
  const total = given.reduce((sum, { arrays }) => sum + arrays.shape.count, 0);
  let done = 0;
  for (const { name, arrays } of given) {
    const partOf = members.partOf(name);
    yield* examination.pass(arrays, partOf, (samples) => onProgress(done + samples, total));
    done += arrays.shape.count;
  }
  const found = examination.finish(parts, members);
  const target: TargetShape = { ...train.shape.target, classes: found.classes };
  const normalisation = normalisationOf(where, options, train, found.statistics.train);
  let open = PART_NAMES.filter((name) => members.has(name)).length;
  const release = async (): Promise<void> => {
    open--;
    if (open === 0) await onRelease();
  };
  const setOf = (name: PartName): SampleSet | null => {
    if (!members.has(name)) return null;
    const arrays = parts[name] ?? train;
    const about = { ...names, ...(options.picture ? { picture: options.picture } : {}) };
    return new ArraySet({ arrays, rows: members.rows(name), target, normalisation, onRelease: release, ...about });
  };
  return {
    ...{ train: setOf("train")!, validation: setOf("validation"), test: setOf("test") },
    ...{ statistics: found.statistics, normalisation },
    notes: [...notesOf(given, options, normalisation, found.statistics.train), ...found.notes],
  };
}

/** Runs `makeSets` on arrays in memory. */
export function makeSetsNow(where: string, parts: PartArrays, options: SampleSetsOptions): SampleSets {
  const making = makeSets(where, parts, options);
  let step = making.next();
  while (!step.done) step = making.next(step.value as readonly NumberArray[]);
  return step.value;
}

// ---- parts ---------------------------------------------------------------------------------------------------------------

/** Which samples belong to which part. */
class Members {
  readonly #parts: PartArrays;
  /** The part of each sample of the arrays of "train"; null: all are of "train". */
  readonly #split: Uint8Array | null;

  constructor(parts: PartArrays, split: Uint8Array | null) {
    this.#parts = parts;
    this.#split = split;
  }

  has(name: PartName): boolean {
    return this.#parts[name] !== undefined && name !== "train" ? true : this.count(name) > 0;
  }

  count(name: PartName): number {
    if (name !== "train" && this.#parts[name]) return this.#parts[name].shape.count;
    if (this.#split === null) return name === "train" ? this.#parts.train.shape.count : 0;
    const part = PART_NAMES.indexOf(name);
    return this.#split.reduce((sum, entry) => sum + (entry === part ? 1 : 0), 0);
  }

  /** The part of a sample of the arrays of `name`. */
  partOf(name: PartName): (sample: number) => PartName {
    const split = name === "train" ? this.#split : null;
    return split ? (sample) => PART_NAMES[split[sample]!]! : () => name;
  }

  /** The samples of a part, in the order of the file; null: all. */
  rows(name: PartName): Uint32Array | null {
    if (this.#split === null || (name !== "train" && this.#parts[name])) return null;
    const rows = new Uint32Array(this.count(name));
    const part = PART_NAMES.indexOf(name);
    let at = 0;
    for (let i = 0; i < this.#split.length; i++) if (this.#split[i] === part) rows[at++] = i;
    return rows;
  }
}

function membersOf(where: string, parts: PartArrays, { validation = 0, key }: SampleSetsOptions): Members {
  const { train } = parts;
  const split = train.split;
  for (const name of PART_NAMES.slice(1)) {
    if (parts[name]?.split || (parts[name] && split)) {
      throw (parts[name]!.split ? parts[name]! : train).refuse(
        "split",
        "none, as there is a file for each part",
        "a split",
      );
    }
  }
  const before = new Members(parts, split);
  const count = before.count("train");
  if (count === 0) throw train.refuse("split", 'samples of the part "train"', "none");
  if (validation === 0) return before;
  if (before.has("validation")) {
    throw new ArgumentError(where, "validation", "0, as the data have a part for validation", `${validation}`);
  }
  if (validation >= count) {
    const expected = `a number below ${count}, the samples to train on`;
    throw new ArgumentError(where, "validation", expected, `${validation}`);
  }
  const drawn = split?.slice() ?? new Uint8Array(train.shape.count);
  const rows = before.rows("train");
  for (const k of new RandomStream(key!).permutation(count).subarray(0, validation)) drawn[rows ? rows[k]! : k] = 1;
  return new Members(parts, drawn);
}

// ---- checks of shapes and names -----------------------------------------------------------------------------------------

function checkSameShape(arrays: SampleArrays, train: SampleArrays, name: string): void {
  const frames = ({ shape: { steps, inputSize } }: SampleArrays): string =>
    `${steps === null ? "" : `${steps} frames of `}${inputSize} inputs`;
  const targets = ({ shape: { target } }: SampleArrays): string => {
    const each = target.kind === "class" ? "a class" : plural(target.width, "number");
    return target.times === null ? `${each} per sample` : `${each} at ${plural(target.times, "time")}`;
  };
  const as = `, as in ${train.source} (part ${name})`;
  if (frames(arrays) !== frames(train)) throw arrays.refuse("inputs", frames(train) + as, frames(arrays));
  if (targets(arrays) !== targets(train)) throw arrays.refuse("targets", targets(train) + as, targets(arrays));
  const [times, first] = [arrays.times, train.times];
  if (times === null ? first !== null : first === null || times.some((time, e) => time !== first[e])) {
    throw arrays.refuse("times", `the output times of ${train.source}`, times === null ? "none" : "others");
  }
}

function checkPicture(where: string, { picture }: SampleSetsOptions, inputSize: number): void {
  if (picture === undefined || picture.width * picture.height === inputSize) return;
  throw new ArgumentError(
    where,
    "picture",
    `width · height = ${inputSize}, the inputs`,
    `${picture.width} × ${picture.height}`,
  );
}

function namesOf(
  where: string,
  options: SampleSetsOptions,
  { shape, refuse, ...arrays }: SampleArrays,
): { readonly classNames?: readonly string[]; readonly outputNames?: readonly string[] } {
  const isClass = shape.target.kind === "class";
  const wrong = (name: "classNames" | "outputNames", expected: string, got: string): Error =>
    options[name] ? new ArgumentError(where, name, expected, got) : refuse(name, expected, got);
  const classNames = options.classNames ?? arrays.classNames;
  const outputNames = options.outputNames ?? arrays.outputNames;
  if (classNames && !isClass) throw wrong("classNames", "none, as the targets are numbers", `${classNames.length}`);
  if (outputNames && isClass) throw wrong("outputNames", "none, as the targets are classes", `${outputNames.length}`);
  if (classNames && classNames.length !== (options.classes ?? Math.max(2, classNames.length))) {
    throw wrong("classNames", `${options.classes ?? "2 or more"}, one per class`, `${classNames.length}`);
  }
  if (outputNames && outputNames.length !== shape.target.width) {
    throw wrong("outputNames", `${shape.target.width}, one per output`, `${outputNames.length}`);
  }
  return { ...(classNames ? { classNames } : {}), ...(outputNames ? { outputNames } : {}) };
}

// ---- the pass -----------------------------------------------------------------------------------------------------------

class Examination {
  readonly #options: SampleSetsOptions;
  /** null: one more than the largest. */
  readonly #classes: number | null;
  readonly #builders = new Map<PartName, StatisticsBuilder>();
  /** Floating-point targets that could be classes. */
  #couldBeClasses = false;
  /** Classes at several times of a constant input, of which each row has a single 1. */
  #couldBeOneHot = false;

  constructor(options: SampleSetsOptions, classes: number | null) {
    this.#options = options;
    this.#classes = classes;
  }

  *pass(
    arrays: SampleArrays,
    partOf: (sample: number) => PartName,
    onProgress: (samples: number) => void,
  ): Generator<Chunk, void, readonly NumberArray[]> {
    const { inputs, targets, weights, shape } = arrays;
    const rules = this.#rulesOf(arrays);
    const { kind, width, times } = shape.target;
    let couldBeClasses =
      this.#options.kind === undefined &&
      kind === "numbers" &&
      width === 1 &&
      times === null &&
      targets.type[0] === "f";
    let couldBeOneHot = kind === "class" && times !== null && times > 1 && shape.steps === null;
    const rows = weights ? [inputs, targets, weights] : [inputs, targets];
    const sampleBytes = rows.reduce((sum, { type, width }) => sum + width * bytesOfNumber(type), 0);
    const step = Math.max(1, Math.floor(CHUNK_BYTES / sampleBytes));
    for (let begin = 0; begin < shape.count; begin += step) {
      const end = Math.min(shape.count, begin + step);
      const [inputChunk, targetChunk, weightChunk] = yield rows.map((array) => array.scan(begin, end));
      const samples: CheckedSamples = {
        ...{ size: end - begin, inputs: inputChunk!, targets: targetChunk! },
        weights: weightChunk ? expandWeights(weightChunk, end - begin, targetChunk!.length) : null,
      };
      checkSamples(samples, rules, (k) => `sample ${begin + k}`);
      for (let k = 0; k < samples.size; k++) this.#builder(partOf(begin + k), rules).add(samples, k);
      couldBeClasses &&= targetChunk!.every((target) => Number.isInteger(target) && target >= 0);
      couldBeOneHot &&= isOneHot(targetChunk!, times!);
      onProgress(end);
    }
    this.#couldBeClasses ||= couldBeClasses;
    this.#couldBeOneHot ||= couldBeOneHot;
  }

  #builder(part: PartName, rules: SampleRules): StatisticsBuilder {
    let builder = this.#builders.get(part);
    if (!builder) {
      builder = new StatisticsBuilder(rules);
      this.#builders.set(part, builder);
    }
    return builder;
  }

  #rulesOf({ shape, inputs, targets, weightsName, refuse }: SampleArrays): SampleRules {
    const { inputSize, steps, target, count } = shape;
    const all = count * (target.times ?? 1);
    const wide = ({ type }: Rows): boolean => isWholeType(type) && bytesOfNumber(type) >= 4;
    return {
      ...{ inputSize, steps, target, weightsName, refuse, dtype: this.#options.dtype ?? "f64" },
      whole: { inputs: wide(inputs), targets: wide(targets) },
      // A typing error, or numbers that are no classes, must not become millions of outputs.
      classLimit: this.#classes ?? Math.max(2, all),
      classHint: this.#classes === null ? " (no more classes than targets, unless `classes` says how many)" : "",
    };
  }

  finish(
    parts: PartArrays,
    members: Members,
  ): { classes: number | null; statistics: SampleSets["statistics"]; notes: string[] } {
    const { train } = parts;
    const isClass = train.shape.target.kind === "class";
    const largest = Math.max(...[...this.#builders.values()].map((builder) => builder.classes));
    const classes = this.#classes ?? largest;
    const finished = (name: PartName): SampleStatistics | null => this.#builders.get(name)?.finish(classes) ?? null;
    const statistics = { train: finished("train")!, validation: finished("validation"), test: finished("test") };
    const notes: string[] = [];
    for (const name of PART_NAMES) {
      const of = statistics[name];
      const arrays = parts[name] ?? train;
      if (!of || !members.has(name) || arrays.unlabelled) continue;
      if (of.withoutTargets === of.samples) {
        throw arrays.refuse(arrays.weightsName, `a target that counts in the part "${name}"`, "none");
      }
      if (of.withoutTargets > 0) {
        notes.push(`Part "${name}": ${plural(of.withoutTargets, "sample")} without a target that counts.`);
      }
    }
    if (isClass && classes < 2) {
      throw train.refuse(
        "targets",
        "at least two classes (`classes` says how many there are)",
        `only class ${classes - 1}`,
      );
    }
    const missing =
      isClass && !train.unlabelled
        ? [...statistics.train.weights.keys()].filter((c) => statistics.train.weights[c] === 0)
        : [];
    if (missing.length > 0) notes.push(`Classes without a sample to train on: ${listOf(missing.map(String))}.`);
    if (this.#couldBeClasses) {
      notes.push(
        'The targets are whole numbers of a floating-point type, so they count as numbers, not as classes (kind "class").',
      );
    }
    if (this.#couldBeOneHot) {
      const times = plural(train.shape.target.times!, "time");
      notes.push(
        `Each row of the targets has one 1 and otherwise 0; whole numbers in a row count as classes at ${times}. One class is one number.`,
      );
    }
    return { classes: isClass ? classes : null, statistics, notes };
  }
}

/** Whether each row of `width` numbers has one 1 and otherwise 0. */
function isOneHot(values: ArrayLike<number>, width: number): boolean {
  for (let from = 0; from < values.length; from += width) {
    let ones = 0;
    for (let j = from; j < from + width; j++) {
      if (values[j] === 1) ones++;
      else if (values[j] !== 0) return false;
    }
    if (ones !== 1) return false;
  }
  return true;
}

function normalisationOf(
  where: string,
  { normalise = "none" }: SampleSetsOptions,
  { shape, refuse }: SampleArrays,
  { inputs }: SampleStatistics,
): Spread | null {
  if (normalise === "none") return null;
  const spread = normalise === "standardise" ? inputs : normalise;
  const { mean, std } = spread;
  // Other samples than those that the statistics are of.
  if (mean.length === std.length && mean.length !== shape.inputSize)
    throw refuse("inputs", `${mean.length} numbers, as \`normalise\` has`, `${shape.inputSize}`);
  for (const key of ["mean", "std"] as const) {
    const values = spread[key];
    if (values.length !== shape.inputSize) {
      throw new ArgumentError(
        where,
        `normalise.${key}`,
        `${shape.inputSize} numbers, one per input`,
        `${values.length}`,
      );
    }
    const bad = values.findIndex((value) => !Number.isFinite(value) || (key === "std" && value < 0));
    if (bad >= 0 && normalise === "standardise") {
      throw refuse(
        "inputs",
        "numbers whose squares are in the range of f64",
        `a ${key} of ${values[bad]} of input ${bad}`,
      );
    }
    if (bad >= 0)
      throw new ArgumentError(where, `normalise.${key}`, "finite numbers, std ≥ 0", `${values[bad]} at ${bad}`);
  }
  return spread;
}

function notesOf(
  given: readonly { readonly arrays: SampleArrays }[],
  { dtype }: SampleSetsOptions,
  normalisation: Spread | null,
  { inputs }: SampleStatistics,
): string[] {
  const notes: string[] = [];
  for (const { arrays } of given) {
    if (arrays.unused.length > 0) notes.push(`${arrays.source}: not used: ${listOf(arrays.unused)}.`);
    const rounded = (["inputs", "targets", "weights"] as const).filter(
      (name) => arrays[name] && floatTypeOf(arrays[name].type) === "f64",
    );
    if (dtype === "f32" && rounded.length > 0) {
      notes.push(`${arrays.source}: ${rounded.join(" and ")} in double precision are rounded to single precision.`);
    }
  }
  const constant = normalisation ? inputs.std.filter((std) => std === 0).length : 0;
  if (constant > 0) notes.push(`${plural(constant, "constant input")}, always 0 once standardised.`);
  return notes;
}
