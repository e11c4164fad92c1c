// Conditions of samples: their classes, a value of their targets, or what a user says about each.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import { batches, samplesPerPass } from "../data/loader.ts";
import type { SampleSet, Samples } from "../data/sampleSet.ts";
import { meanOf } from "../stats/spread.ts";

/** Which samples belong together. */
export interface Conditions {
  /** What they go by, for people: "class", "target 0", "contrast". */
  readonly by: string;
  readonly names: readonly string[];
  /** The number of each condition, ascending; of a bin the mean of its numbers. null: conditions are names. */
  readonly values: Float64Array | null;
  /** [samples], the condition of each; −1: none. */
  readonly ofSample: Int32Array;
}

/** More conditions can be neither drawn nor read. */
const MOST_CONDITIONS = 200;
const WHERE = "conditions";

/** All samples together. */
export function oneCondition(samples: number): Conditions {
  return { by: "", names: ["all samples"], values: null, ofSample: new Int32Array(samples) };
}

/**
 * Samples by their class, in the order of the classes; classes that no sample has are left out. Of targets over time those that count must
 * agree, as they do in *decision*. Samples without a target that counts have no condition. null: no sample has a class, or classes change in time.
 *
 * @throws {ArgumentError} more classes than conditions can be
 */
export async function conditionsByClass(set: SampleSet, signal?: AbortSignal): Promise<Conditions | null> {
  if (set.target.kind !== "class") return null;
  const classes = new Float64Array(set.count).fill(Number.NaN);
  for await (const { samples, index, first } of targetsOf(set, signal)) {
    const [own = Number.NaN, ...others] = new Set(countedTargets(set, samples, index, 0));
    if (others.length > 0) return null;
    classes[first + index] = own;
  }
  const different = distinct(classes);
  if (different.length === 0) return null;
  const names = named(different, (c) => set.classNames?.[c] ?? `class ${c}`);
  return { by: "class", names, values: null, ofSample: positions(classes, different) };
}

/**
 * Samples by a number of their targets, in bins; of targets over time the mean of those that count. Samples without one have no condition.
 *
 * @param target  which of the numbers, from 0
 * @throws {ArgumentError} targets that are classes, a number that they do not have, as `conditionsByNumber`
 */
export async function conditionsByTarget(
  set: SampleSet,
  target: number,
  bins: number,
  signal?: AbortSignal,
): Promise<Conditions> {
  const { kind, width } = set.target;
  if (kind !== "numbers") throw new ArgumentError(WHERE, "target", "targets that are numbers", "classes");
  if (!(Number.isInteger(target) && target >= 0 && target < width)) {
    const expected = `a whole number from 0 to ${width - 1}, as targets have ${plural(width, "number")}`;
    throw new ArgumentError(WHERE, "target", expected, `${target}`);
  }
  const values = new Float64Array(set.count);
  for await (const { samples, index, first } of targetsOf(set, signal)) {
    const own = countedTargets(set, samples, index, target);
    values[first + index] = own.reduce((sum, y) => sum + y, 0) / own.length;
  }
  return conditionsByNumber(values, `target ${target}`, bins);
}

/**
 * Samples by a number of each. Without bins, equal numbers are one condition. Bins hold equally many samples, as bins of equal width would leave
 * some with too few; equal numbers share a bin. Samples whose number is NaN have no condition.
 *
 * @throws {ArgumentError} an infinite number, fewer different numbers than bins, numbers that repeat too often for so many, more than 200 conditions
 */
export function conditionsByNumber(numbers: ArrayLike<number>, by: string, bins: number | null = null): Conditions {
  const values = Float64Array.from(numbers);
  const infinite = values.findIndex((x) => Math.abs(x) === Number.POSITIVE_INFINITY);
  if (infinite >= 0)
    throw new ArgumentError(WHERE, by, "finite numbers, or NaN for none", `${values[infinite]} of sample ${infinite}`);
  const sorted = values.filter((x) => !Number.isNaN(x)).sort();
  if (sorted.length === 0) throw new ArgumentError(WHERE, by, "a number for at least one sample", "none");
  const different = distinct(sorted);
  if (bins === null) {
    const names = named(different, String);
    return { by, names, values: Float64Array.from(different), ofSample: positions(values, different) };
  }
  checkCount(bins);
  const binOf = binsOf(sorted, bins);
  const ends = Array.from({ length: bins }, (_, b) => [binOf.indexOf(b), binOf.lastIndexOf(b)] as const);
  if (ends.some(([first]) => first < 0)) {
    const got = `${bins} for ${plural(sorted.length, "sample")} with ${plural(different.length, "different number")}`;
    throw new ArgumentError(WHERE, "bins", "so few that each has samples, as equal numbers share a bin", got);
  }
  const binOfNumber = new Map(Array.from(sorted, (x, rank) => [x, binOf[rank]!]));
  return {
    by,
    names: ends.map(([first, last]) => rangeText(sorted[first]!, sorted[last]!)),
    values: Float64Array.from(ends, ([first, last]) => meanOf(sorted.subarray(first, last + 1))),
    ofSample: Int32Array.from(values, (x) => binOfNumber.get(x) ?? -1),
  };
}

/** Samples by a text of each, in the order of their first samples; those with an empty one have no condition. */
export function conditionsByText(texts: readonly string[], by: string): Conditions {
  const numbers = new Map<string, number>();
  const ofSample = Int32Array.from(texts, (text) => {
    if (text === "") return -1;
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  });
  if (numbers.size === 0) throw new ArgumentError(WHERE, by, "a text for at least one sample", "none");
  return { by, names: named([...numbers.keys()], String), values: null, ofSample };
}

/** @throws {ShapeError} conditions of another number of samples */
export function checkConditions({ by, ofSample }: Conditions, samples: number): void {
  if (ofSample.length === samples) return;
  throw new ShapeError(WHERE, by, `${plural(samples, "condition")}, one per sample`, `${ofSample.length}`);
}

/** The bin of each of some ascending numbers: by its rank, of equal ones by that in their middle. */
function binsOf(sorted: Float64Array, bins: number): Int32Array {
  const of = new Int32Array(sorted.length);
  for (let first = 0; first < sorted.length; ) {
    let end = first + 1;
    while (end < sorted.length && sorted[end] === sorted[first]) end++;
    of.fill(Math.floor((bins * (first + end - 1)) / 2 / sorted.length), first, end);
    first = end;
  }
  return of;
}

function rangeText(first: number, last: number): string {
  const text = (x: number): string => `${Number(x.toPrecision(3))}`;
  return first === last ? text(first) : `${text(first)} to ${text(last)}`;
}

/** Different numbers, ascending, without NaN. */
function distinct(numbers: Float64Array): number[] {
  return [...new Set(numbers)].filter((x) => !Number.isNaN(x)).sort((a, b) => a - b);
}

/** Where each number stands among different ones; −1: NaN. */
function positions(values: Float64Array, different: readonly number[]): Int32Array {
  const places = new Map(different.map((x, d) => [x, d]));
  return Int32Array.from(values, (x) => places.get(x) ?? -1);
}

/** @throws {ArgumentError} more conditions than can be read */
function named<T>(conditions: readonly T[], name: (condition: T) => string): string[] {
  checkCount(conditions.length);
  return conditions.map((condition) => name(condition));
}

function checkCount(conditions: number): void {
  if (conditions >= 1 && conditions <= MOST_CONDITIONS) return;
  const expected = `1 to ${MOST_CONDITIONS} conditions (numbers can be put into bins)`;
  throw new ArgumentError(WHERE, "conditions", expected, `${conditions}`);
}

/** The targets of each sample of a set. */
async function* targetsOf(
  set: SampleSet,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly samples: Samples; readonly index: number; readonly first: number }, void, undefined> {
  const batchSize = samplesPerPass(set);
  for await (const batch of batches(set, { batchSize, ...(signal && { signal }) }))
    for (let index = 0; index < batch.size; index++) yield { samples: batch, index, first: batch.index * batchSize };
}

/** A number of the targets of a sample, at the times where it counts. */
function countedTargets({ target }: SampleSet, { targets, weights }: Samples, sample: number, k: number): number[] {
  const { width } = target;
  const times = target.times ?? 1;
  const all = Array.from({ length: times }, (_, t) => (sample * times + t) * width + k);
  return all.filter((i) => (weights?.[i] ?? 1) > 0).map((i) => targets[i]!);
}
