// What groups of neurons do over time, by condition, and how their responses depend on the condition. Pure functions of recorded activity.

import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { quoteValue } from "../core/text.ts";
import type { NamedNeurons } from "../data/neuronGroups.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";
import type { Conditions } from "./conditions.ts";

/**
 * One number for what a group does in a sample, from its activity x(t) and its activity b before the input:
 *
 * - "peak": the deviation x(t) − b that is largest in size, with its sign, as neurons may be inhibited by what they see;
 * - "mean": the mean of x(t) − b over the times;
 * - "last": x − b at the last time.
 */
export type ResponseMeasure = (typeof RESPONSE_MEASURES)[number];

export const RESPONSE_MEASURES = ["peak", "mean", "last"] as const;

/** Of which neurons, in which conditions. */
export interface ResponseSumsOptions {
  /** Groups of neurons, by their places in the recorded activity. */
  readonly groups: readonly ArrayLike<number>[];
  /** Number of conditions. */
  readonly conditions: number;
  /** Number of recorded times. */
  readonly times: number;
  /** [groups], mean activity of the groups before the input. Default: 0. */
  readonly baseline?: ArrayLike<number>;
  /** Default "peak". */
  readonly measure?: ResponseMeasure;
}

/** Responses of groups of neurons, by condition. NaN where there are too few samples. */
export interface ResponsesByCondition {
  /** [conditions], how many samples count. */
  readonly samples: Uint32Array;
  /** [groups, conditions, times], mean over the samples of the group's mean activity. */
  readonly mean: Float64Array;
  /** The same shape: standard deviation over the samples (n − 1) of the group's mean activity. */
  readonly sdSamples: Float64Array;
  /** The same shape: standard deviation over the neurons (n) within a sample, as the root of its mean square over the samples. */
  readonly sdNeurons: Float64Array;
  /** [groups, conditions], mean over the samples of the group's response. */
  readonly response: Float64Array;
  /** [groups, conditions], its standard deviation over the samples (n − 1). */
  readonly sdResponse: Float64Array;
  /** Samples with activity that is not finite; they do not count anywhere. */
  readonly failed: number;
  /** Samples without a condition. */
  readonly withoutCondition: number;
}

/** More numbers than these would take gigabytes. */
const MOST_CELLS = 2 ** 26;
const WHERE = "responses";

/**
 * Means and deviations of activity by group, condition and time, sample by sample: no activity is kept. Moments are updated as by Welford
 * ("Note on a method for calculating corrected sums of squares and products", Technometrics 4, 1962): they need no centre that is known
 * beforehand, and a small spread beside a large mean, as resting voltages have, keeps its digits. Sums are in double precision and in the order
 * of the samples, so batches of any size give the same bits.
 */
export class ResponseSums {
  readonly #options: Required<Omit<ResponseSumsOptions, "groups">>;
  readonly #groups: readonly Uint32Array[];
  /** Neurons that the activity must have. */
  readonly #neurons: number;
  readonly #activity: Moments;
  readonly #response: Moments;
  /** Sums over samples of the variance over neurons. */
  readonly #variance: Float64Array;
  readonly #samples: Uint32Array;
  /** [groups, times] of one sample. */
  readonly #means: Float64Array;
  readonly #variances: Float64Array;
  #failed = 0;
  #withoutCondition = 0;

  /** @throws {ArgumentError | ShapeError} nothing to count, a group without neurons, more numbers than memory holds */
  constructor(options: ResponseSumsOptions) {
    const { groups, conditions, times, measure = "peak", baseline = new Float64Array(groups.length) } = options;
    const cells = groups.length * conditions * times;
    if (cells < 1) throw new ArgumentError(WHERE, "groups", "at least one group, condition and time", "none");
    const empty = groups.findIndex((group) => group.length === 0);
    if (empty >= 0) throw new ArgumentError(WHERE, "groups", "groups with neurons", `none in group ${empty}`);
    if (cells > MOST_CELLS) {
      const got = `${groups.length} groups × ${conditions} conditions × ${times} times`;
      throw new ArgumentError(WHERE, "groups", `at most ${MOST_CELLS} numbers (fewer groups, bins or times)`, got);
    }
    if (baseline.length !== groups.length)
      throw new ShapeError(WHERE, "baseline", `${groups.length} numbers, one per group`, `${baseline.length}`);
    if (!RESPONSE_MEASURES.includes(measure))
      throw new ArgumentError(WHERE, "measure", RESPONSE_MEASURES.join(", "), quoteValue(measure));
    this.#options = { conditions, times, measure, baseline };
    this.#groups = groups.map((group) => Uint32Array.from(group));
    this.#neurons = 1 + this.#groups.reduce((most, group) => group.reduce((m, i) => Math.max(m, i), most), 0);
    this.#activity = new Moments(cells);
    this.#response = new Moments(groups.length * conditions);
    this.#variance = new Float64Array(cells);
    this.#samples = new Uint32Array(conditions);
    this.#means = new Float64Array(groups.length * times);
    this.#variances = new Float64Array(groups.length * times);
  }

  /**
   * Counts samples.
   *
   * @param conditionOf  [samples], from 0; −1: none
   * @throws {ShapeError} another number of times, too few neurons, another number of conditions than samples
   * @throws {ArgumentError} a condition that there is not
   */
  add({ data, shape }: Pick<RecordedActivity, "data" | "shape">, conditionOf: ArrayLike<number>): void {
    const { times, conditions } = this.#options;
    const [samples, own, neurons] = shape;
    if (own !== times) throw new ShapeError(WHERE, "activity.shape", `${times} times`, `${own}`);
    if (neurons < this.#neurons)
      throw new ShapeError(WHERE, "activity.shape", `at least ${this.#neurons} neurons, as groups have`, `${neurons}`);
    if (conditionOf.length !== samples)
      throw new ShapeError(WHERE, "conditions", `${samples}, one per sample`, `${conditionOf.length}`);
    for (let s = 0; s < samples; s++) {
      const condition = conditionOf[s]!;
      if (condition === -1) {
        this.#withoutCondition++;
        continue;
      }
      if (!(Number.isInteger(condition) && condition >= 0 && condition < conditions))
        throw new ArgumentError(WHERE, "conditions", `whole numbers from −1 to ${conditions - 1}`, `${condition}`);
      if (this.#average(data.subarray(s * times * neurons, (s + 1) * times * neurons), neurons)) this.#count(condition);
      else this.#failed++;
    }
  }

  result(): ResponsesByCondition {
    const { times, conditions } = this.#options;
    const samples = this.#samples.slice();
    const perCell = (cell: number): number => samples[Math.floor(cell / times) % conditions]!;
    const perResponse = (cell: number): number => samples[cell % conditions]!;
    const sdNeurons = this.#variance.map((sum, cell) => Math.sqrt(sum / perCell(cell)));
    return {
      samples,
      ...{ mean: this.#activity.means(perCell), sdSamples: this.#activity.deviations(perCell), sdNeurons },
      response: this.#response.means(perResponse),
      sdResponse: this.#response.deviations(perResponse),
      ...{ failed: this.#failed, withoutCondition: this.#withoutCondition },
    };
  }

  /** Means and variances of the groups in a sample. @returns whether all are finite */
  #average(activity: FloatArray, neurons: number): boolean {
    const { times } = this.#options;
    for (const [g, members] of this.#groups.entries()) {
      const n = members.length;
      for (let t = 0; t < times; t++) {
        const from = t * neurons;
        let sum = 0;
        for (let k = 0; k < n; k++) sum += activity[from + members[k]!]!;
        const mean = sum / n;
        let squares = 0;
        for (let k = 0; k < n; k++) squares += (activity[from + members[k]!]! - mean) ** 2;
        if (!Number.isFinite(squares)) return false;
        this.#means[g * times + t] = mean;
        this.#variances[g * times + t] = squares / n;
      }
    }
    return true;
  }

  #count(condition: number): void {
    const { conditions, times, baseline, measure } = this.#options;
    this.#samples[condition]!++;
    const n = this.#samples[condition]!;
    for (let g = 0; g < this.#groups.length; g++) {
      const to = (g * conditions + condition) * times;
      for (let t = 0; t < times; t++) {
        this.#activity.add(to + t, this.#means[g * times + t]!, n);
        this.#variance[to + t]! += this.#variances[g * times + t]!;
      }
      const own = this.#means.subarray(g * times, (g + 1) * times);
      this.#response.add(g * conditions + condition, responseOf(own, baseline[g]!, measure), n);
    }
  }
}

/** Running means and sums of squared deviations from them. */
class Moments {
  readonly #mean: Float64Array;
  readonly #squares: Float64Array;

  constructor(count: number) {
    this.#mean = new Float64Array(count);
    this.#squares = new Float64Array(count);
  }

  /** @param n  numbers of this cell, this one included */
  add(cell: number, x: number, n: number): void {
    const deviation = x - this.#mean[cell]!;
    this.#mean[cell]! += deviation / n;
    this.#squares[cell]! += deviation * (x - this.#mean[cell]!);
  }

  means(count: (cell: number) => number): Float64Array {
    return this.#mean.map((mean, cell) => (count(cell) === 0 ? Number.NaN : mean));
  }

  deviations(count: (cell: number) => number): Float64Array {
    return this.#squares.map((squares, cell) =>
      count(cell) < 2 ? Number.NaN : Math.sqrt(squares / (count(cell) - 1)),
    );
  }
}

/** The response in a sample; see `ResponseMeasure`. */
export function responseOf(activity: ArrayLike<number>, baseline: number, measure: ResponseMeasure): number {
  const last = activity.length - 1;
  if (measure === "last") return activity[last]! - baseline;
  let [sum, peak] = [0, 0];
  for (let t = 0; t <= last; t++) {
    const deviation = activity[t]! - baseline;
    sum += deviation;
    if (Math.abs(deviation) > Math.abs(peak)) peak = deviation;
  }
  return measure === "mean" ? sum / activity.length : peak;
}

/**
 * Activity and responses of groups of neurons by condition, of activity in memory. `ResponseSums` takes it batch by batch.
 *
 * @param activity  [samples, times, neurons], as `recordActivity` gives it
 * @param conditionOf  [samples], from 0; −1: none
 * @throws {ArgumentError | ShapeError} as `ResponseSums`
 */
export function responsesByCondition(
  activity: Pick<RecordedActivity, "data" | "shape">,
  conditionOf: ArrayLike<number>,
  options: Omit<ResponseSumsOptions, "conditions" | "times">,
): ResponsesByCondition {
  let conditions = 1;
  for (let s = 0; s < conditionOf.length; s++) conditions = Math.max(conditions, conditionOf[s]! + 1);
  const sums = new ResponseSums({ ...options, conditions, times: activity.shape[1] });
  sums.add(activity, conditionOf);
  return sums.result();
}

/** How a response depends on the condition. NaN where that is not defined. */
export interface Selectivity {
  /** η² = SSB/SST, the share of the variance over samples between the conditions: biased upwards, to (k − 1)/(n − 1) where there is no effect. */
  readonly etaSquared: number;
  /** ε² = (SSB − (k − 1)·MSW)/SST: 0 on average where there is no effect, so there it is often negative. */
  readonly epsilonSquared: number;
  /** The condition with the largest mean response (of inhibition the weakest); −1: the response does not depend on it. */
  readonly preferred: number;
  /** (max − mean of the others)/(max + mean of the others) of the mean responses, if none of them is negative: 0 to 1. */
  readonly index: number;
}

/**
 * The selectivity of a response for k conditions, from its mean, its standard deviation and the number of samples in each. With the grand mean
 * m = Σ n_c·m_c / n:
 *
 *     SSB = Σ n_c·(m_c − m)²    SSW = Σ (n_c − 1)·sd_c²    SST = SSB + SSW    MSW = SSW/(n − k)
 *
 * Conditions without samples do not count. All is NaN for fewer than two conditions; ε² for as many samples as conditions; both shares for a
 * response that never varies. Sources: Kelley, "An unbiased correlation ratio measure", PNAS 21, 1935, for ε²; Okada, "Is omega squared less
 * biased?", Behaviormetrika 40, 2013: of η², ω² and ε² the last has the least bias.
 *
 * @param samples  [conditions]
 * @param mean     [conditions]
 * @param sd       [conditions], over samples (n − 1); not read for fewer than two samples
 * @throws {ShapeError} different lengths
 */
export function selectivity(samples: ArrayLike<number>, mean: ArrayLike<number>, sd: ArrayLike<number>): Selectivity {
  for (const [name, { length }] of Object.entries({ mean, sd }))
    if (length !== samples.length) throw new ShapeError("selectivity", name, `${samples.length} numbers`, `${length}`);
  const there = Array.from(samples, (_, c) => c).filter((c) => samples[c]! > 0);
  const k = there.length;
  if (k < 2) return { etaSquared: Number.NaN, epsilonSquared: Number.NaN, preferred: -1, index: Number.NaN };
  const n = sumOf(there, (c) => samples[c]!);
  const first = mean[there[0]!]!;
  // Counted from the first one, so that equal means have no spread, to the bit.
  const grand = first + sumOf(there, (c) => samples[c]! * (mean[c]! - first)) / n;
  const between = sumOf(there, (c) => samples[c]! * (mean[c]! - grand) ** 2);
  const within = sumOf(there, (c) => (samples[c]! < 2 ? 0 : (samples[c]! - 1) * sd[c]! ** 2));
  const total = between + within;
  const corrected = n > k ? between - ((k - 1) * within) / (n - k) : Number.NaN;
  const preferred = there.reduce((best, c) => (mean[c]! > mean[best]! ? c : best));
  const isFlat = there.every((c) => mean[c] === first);
  return {
    // 0/0 is NaN: nothing varies.
    etaSquared: between / total,
    epsilonSquared: corrected / total,
    preferred: isFlat ? -1 : preferred,
    index: isFlat ? Number.NaN : indexOf(there, mean, preferred),
  };
}

function indexOf(conditions: readonly number[], mean: ArrayLike<number>, preferred: number): number {
  if (conditions.some((c) => mean[c]! < 0)) return Number.NaN;
  const others = sumOf(conditions, (c) => (c === preferred ? 0 : mean[c]!)) / (conditions.length - 1);
  return (mean[preferred]! - others) / (mean[preferred]! + others);
}

function sumOf(conditions: readonly number[], value: (c: number) => number): number {
  return conditions.reduce((sum, c) => sum + value(c), 0);
}

/** Responses of groups of neurons of a network. */
export interface Responses extends ResponsesByCondition {
  readonly measure: ResponseMeasure;
  readonly groups: readonly NamedNeurons[];
  readonly conditions: Conditions;
  readonly times: Float64Array;
  /** What times are: numbers of steps done in discrete time. */
  readonly timeUnit: "t" | "step";
  /** [groups], mean activity before the input: of the initial state, or at rest where samples start there. */
  readonly baseline: Float64Array;
  /** [groups] */
  readonly selectivity: readonly Selectivity[];
}
