// What is measured of the members of an ensemble, one after another: metrics, parameters, responses, predictions. From it follow the statistics.

import { join } from "node:path";
import { OutputAverage, outputScale } from "../analysis/averageOutputs.ts";
import {
  distributionDistance,
  ensembleStatistics,
  type MemberMetric,
  type MemberValues,
  memberSpread,
  type ParameterSpread,
  parameterSpread,
} from "../analysis/ensemble.ts";
import type {
  DistributionSpread,
  EnsemblePrediction,
  EnsembleResponses,
  EnsembleResult,
} from "../analysis/ensembleResult.ts";
import { numbersOf } from "../analysis/numbersOf.ts";
import { analysisFile, readAnalysis } from "../analysis/record.ts";
import { yieldToEventLoop } from "../core/abort.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, nearestName } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { type NamedNeurons, neuronsByColumn } from "../data/neuronGroups.ts";
import { PART_NAMES, type PartName } from "../data/sampleArrays.ts";
import type { SampleSet, Samples } from "../data/sampleSet.ts";
import type { Parameter } from "../models/parameters/parameter.ts";
import { asInput, passThrough } from "../models/passThrough.ts";
import { type Evaluation, EvaluationSums } from "../train/evaluation.ts";
import type { TaskDescription } from "../train/taskDescription.ts";
import { inputOf, targetsOf } from "../train/trainable.ts";
import type { Ensemble, EnsembleMember, OpenedMember } from "./openEnsemble.ts";
import type { OpenedRun } from "./openRun.ts";
import { predict } from "./predict.ts";
import { trajectoryOf } from "./trajectory.ts";

const WHERE = "ensemble";

/** Of a parameter with more values, so many, evenly spaced, are compared one by one. */
export const COMPARED_VALUES: number = 2 ** 18;
/** States of all neurons over time are on the host for so many numbers at once, or for one sample. */
const RECORDED_NUMBERS = 2 ** 24;
/** Samples that averaged outputs are judged at a time. */
const JUDGED_SAMPLES = 256;

/** What is measured of an ensemble. */
export interface MeasureOptions {
  /** Default: test, or else validation, or else train. */
  readonly part?: PartName;
  /** Samples that responses are the mean over, the first ones of the part. Default 100. */
  readonly samples?: number;
  /** Times that responses are recorded at. Default 20. */
  readonly times?: number;
  /** Column of the neuron table whose values are the groups of neurons. Default: type, or role without types. */
  readonly groupBy?: string;
  /** Compare the numbers of this analysis of every member, instead of responses. */
  readonly analysis?: string;
  /** Of that analysis, only the numbers at these paths. Default: all that differ between members. */
  readonly arrays?: readonly string[];
  /** What members are clustered by: "responses", "analysis", or a kind of parameter. Default: the first of these that there is. */
  readonly clusterBy?: string;
  /** See `cluster`. */
  readonly leastSilhouette?: number;
  readonly signal?: AbortSignal;
  /** Called before each part of the work: "a, responses". */
  readonly onProgress?: (member: number, members: number, what: string) => void;
}

/** What is kept of a member. */
interface Measured {
  readonly step: number;
  readonly parameters: readonly MeasuredParameter[];
  readonly hasSameWiring: boolean;
}

interface MeasuredParameter {
  readonly name: string;
  readonly of: Parameter["of"];
  readonly size: number;
  /** At most `COMPARED_VALUES`. */
  readonly values: Float64Array;
  /** Means of groups of neurons or connections, by name. */
  readonly groups: ReadonlyMap<string, number>;
}

/**
 * Opens the members one after another, measures each, and compares them. Memory: one network, and of each member at most `COMPARED_VALUES` numbers
 * of a parameter and its responses.
 *
 * @throws {ArgumentError} a part, column, analysis or values to cluster by that members do not have, or samples that differ between them
 * @throws as iterating the ensemble; the signal's reason
 */
export async function measureEnsemble(ensemble: Ensemble, options: MeasureOptions = {}): Promise<EnsembleResult> {
  const { signal, onProgress = () => {}, clusterBy, leastSilhouette, analysis } = options;
  const { members } = ensemble;
  const known = analysis === undefined ? null : await analysisValues(members, analysis, options.arrays ?? []);
  const prediction = new Prediction(options.part);
  const responses = known ? null : new Responses(options);
  const measured: Measured[] = [];
  for await (const opened of ensemble) {
    const { member, run, hasSameWiring } = opened;
    const show = (what: string): void => onProgress(measured.length, members.length, `${member.name}, ${what}`);
    await yieldToEventLoop(signal);
    show("parameters");
    const parameters = await parametersOf(opened, groupColumn(run, options.groupBy));
    checkClusterBy(clusterBy, [known ? "analysis" : "responses", ...parameters.map(({ name }) => name)]);
    await prediction.add(opened, measured.length + 1 === members.length, { signal, show });
    await responses?.add(opened, { signal, show });
    measured.push({ step: run.step, parameters, hasSameWiring });
  }
  const notes = [...ensemble.warnings, ...(known?.notes ?? [])];
  const own = comparedParameters(measured, notes);
  const values: MemberValues[] = [...(known ? [known.values] : responses!.values()), ...own];
  const metrics = metricsOf(members);
  const statistics = ensembleStatistics({
    ...{ metrics, values },
    ...(clusterBy !== undefined && { clusterBy }),
    ...(leastSilhouette !== undefined && { leastSilhouette }),
  });
  return {
    members: members.map(({ name, folder, config, version }, m) => ({
      ...{ name, folder, seed: config.seed, step: measured[m]!.step, version },
    })),
    ...{ leftOut: ensemble.leftOut, differences: ensemble.differences, task: members[0]!.task },
    ...{ statistics, notes },
    parameters: groupSpreads(measured),
    distributions: distributionsOf(measured),
    responses: responses?.result() ?? null,
    prediction: prediction.result(members[0]!.task),
  };
}

/** Before the long work. */
function checkClusterBy(wanted: string | undefined, names: readonly string[]): void {
  if (wanted !== undefined && !names.includes(wanted))
    throw new ArgumentError(WHERE, "--cluster-by", `one of ${names.join(", ")}`, quoteText(wanted));
}

// ---- metrics -------------------------------------------------------------------------------------------------------------

/** Metrics and losses at the end of training, as the runs recorded them. */
function metricsOf(members: readonly EnsembleMember[]): MemberMetric[] {
  const { task } = members[0]!;
  const all = (["test", "validation"] as const).flatMap((set) => [
    ...task.metrics.map(({ name, better }) => ({
      ...{ name: `${set} ${name}`, better },
      values: members.map((member) => member[set]?.metrics[name] ?? Number.NaN),
    })),
    {
      ...{ name: `${set} loss`, better: "lower" as const },
      values: members.map((member) => member[set]?.loss ?? Number.NaN),
    },
  ]);
  return all.filter(({ values }) => values.some(Number.isFinite));
}

// ---- parameters ----------------------------------------------------------------------------------------------------------

/** Parameters of the dynamics. */
const ROLES: Readonly<Partial<Record<Parameter["role"], string>>> = {
  weights: "weights",
  biases: "biases",
  "time constants": "tau",
};

async function parametersOf(
  { run, hasSameWiring }: OpenedMember,
  groups: readonly NamedNeurons[],
): Promise<MeasuredParameter[]> {
  const { parameters } = run.model;
  const labels = labelsOf(groups, run.selectable.count);
  const measured: MeasuredParameter[] = [];
  for (const parameter of parameters.all()) {
    const { role, of, name, size } = parameter;
    const label = of === "groups of connections" ? "strengths" : ROLES[role];
    if (label === undefined) continue;
    const values = await parameters.values(name);
    const unique = measured.some((it) => it.name === label) ? name : label;
    measured.push({
      ...{ name: unique, of, size, values: evenly(values) },
      groups: hasSameWiring || of !== "groups of connections" ? groupMeans(parameter, values, labels) : new Map(),
    });
  }
  return measured;
}

/** The group of each neuron; null: none. */
function labelsOf(groups: readonly NamedNeurons[], count: number): (string | null)[] {
  const labels = new Array<string | null>(count).fill(null);
  for (const { name, neurons } of groups) for (const i of neurons) labels[i] = name;
  return labels;
}

/** Means over groups of neurons, or over pairs of groups of what connections share. Connections with weights of their own are one group. */
function groupMeans(parameter: Parameter, values: FloatArray, labels: readonly (string | null)[]): Map<string, number> {
  const { of, shared, matrix } = parameter;
  const sums = new Map<string, [sum: number, count: number]>();
  const add = (group: string | null, value: number): void => {
    if (group === null) return;
    const own = sums.get(group);
    if (!own) sums.set(group, [value, 1]);
    else {
      own[0] += value;
      own[1]++;
    }
  };
  for (const value of of === "connections" ? values : []) add("all", value);
  if (of === "neurons" && !shared) for (const [i, value] of values.entries()) add(labels[i] ?? null, value);
  // A value that elements share belongs to the group of the first of them.
  const isSeen = new Uint8Array(values.length);
  const first = (value: number, group: () => string | null): void => {
    if (isSeen[value] === 1) return;
    isSeen[value] = 1;
    add(group(), values[value]!);
  };
  if (shared && of === "neuron types")
    for (let i = 0; i < shared.by.length; i++) first(shared.by[i]!, () => labels[i] ?? null);
  if (shared && of === "groups of connections" && matrix) {
    const { nRows, rowPtr, colIdx } = matrix;
    for (let post = 0; post < nRows; post++) {
      for (let k = rowPtr[post]!; k < rowPtr[post + 1]!; k++)
        first(shared.by[k]!, () => {
          const [from, to] = [labels[colIdx[k]!], labels[post]];
          return from == null || to == null ? null : `${from} → ${to}`;
        });
    }
  }
  return new Map(Array.from(sums, ([group, [sum, count]]) => [group, sum / count]));
}

/** At most `COMPARED_VALUES` of the values, evenly spaced. */
function evenly(values: ArrayLike<number>): Float64Array {
  const n = Math.min(values.length, COMPARED_VALUES);
  return Float64Array.from({ length: n }, (_, k) => values[Math.floor((k * values.length) / n)]!);
}

/** The parameters that can be compared value by value. */
function comparedParameters(measured: readonly Measured[], notes: string[]): MemberValues[] {
  const isRewired = measured.some(({ hasSameWiring }) => !hasSameWiring);
  return commonParameters(measured).flatMap(({ name, of, size, values }): MemberValues[] => {
    if (isRewired && (of === "connections" || of === "groups of connections")) {
      notes.push(
        `The members' connections are between different neurons, so their ${name} are compared as distributions only.`,
      );
      return [];
    }
    if (size < 2) return [];
    const compared = values[0]!.length;
    if (compared < size) notes.push(`Of ${size} ${name}, ${compared} are compared one by one, evenly spaced.`);
    return [{ name, values }];
  });
}

interface CommonParameter {
  readonly name: string;
  readonly of: string;
  readonly size: number;
  /** [members] */
  readonly values: readonly Float64Array[];
  readonly groups: readonly ReadonlyMap<string, number>[];
}

/** Parameters that all members have, with as many values. */
function commonParameters(measured: readonly Measured[]): CommonParameter[] {
  return measured[0]!.parameters.flatMap(({ name, of, size }) => {
    const own = measured.map(({ parameters }) =>
      parameters.find((it) => it.name === name && it.of === of && it.size === size),
    );
    if (!own.every((it) => it !== undefined)) return [];
    return [{ name, of, size, values: own.map((it) => it.values), groups: own.map((it) => it.groups) }];
  });
}

function groupSpreads(measured: readonly Measured[]): ParameterSpread[] {
  return commonParameters(measured).flatMap(({ name, groups }) =>
    [...groups[0]!.keys()].flatMap((group) =>
      groups.every((own) => own.has(group))
        ? [
            parameterSpread(
              name,
              group,
              groups.map((own) => own.get(group)!),
            ),
          ]
        : [],
    ),
  );
}

function distributionsOf(measured: readonly Measured[]): DistributionSpread[] {
  return commonParameters(measured)
    .filter(({ of }) => of === "connections" || of === "neurons")
    .map(({ name, of, size, values }) => {
      const pairs = values.flatMap((a, i) => values.slice(0, i).map((b) => distributionDistance(a, b)));
      const distance = pairs.reduce((sum, d) => sum + d, 0) / pairs.length;
      const sd = pooledSd(values);
      return {
        parameter: name,
        of,
        values: size,
        compared: values[0]!.length,
        distance,
        relative: sd > 0 ? distance / sd : null,
      };
    });
}

function pooledSd(lists: readonly Float64Array[]): number {
  const count = lists.reduce((n, list) => n + list.length, 0);
  const mean = lists.reduce((sum, list) => sum + list.reduce((own, v) => own + v, 0), 0) / count;
  const squares = lists.reduce((sum, list) => sum + list.reduce((own, v) => own + (v - mean) ** 2, 0), 0);
  return Math.sqrt(squares / count);
}

// ---- responses -----------------------------------------------------------------------------------------------------------

/** Groups of neurons: by a column, by default type, or role where the neurons have no types. */
function groupColumn(run: OpenedRun, column: string | undefined): NamedNeurons[] {
  const chosen = column ?? (run.neurons ? "type" : "role");
  return neuronsByColumn(run.selectable, chosen, null, { where: WHERE, argument: "--group-by" });
}

interface Work {
  readonly signal: AbortSignal | undefined;
  readonly show: (what: string) => void;
}

/** The part to take the samples from. @throws {ArgumentError} the run has no such part */
function partOfRun({ data }: OpenedRun, part: PartName | undefined): PartName {
  const chosen = part ?? (["test", "validation", "train"] as const).find((name) => data[name] !== null)!;
  if (data[chosen] !== null) return chosen;
  const there = PART_NAMES.filter((name) => data[name] !== null).join(", ");
  throw new ArgumentError(WHERE, "--part", `one of ${there}, the parts of the runs' samples`, chosen);
}

/** Mean activity of each group at each time, over samples and neurons. */
class Responses {
  readonly #options: MeasureOptions;
  readonly #values: number[][][] = [];
  #facts: Omit<EnsembleResponses, "values" | "samples"> | null = null;
  #samples = Number.POSITIVE_INFINITY;

  constructor(options: MeasureOptions) {
    this.#options = options;
  }

  async add({ run, member }: OpenedMember, { signal, show }: Work): Promise<void> {
    const { samples: wanted = 100, times = 20 } = this.#options;
    const part = partOfRun(run, this.#options.part);
    const set = run.data[part]!;
    const groups = groupColumn(run, this.#options.groupBy);
    const count = Math.min(wanted, set.count);
    const size = Math.max(1, Math.floor(RECORDED_NUMBERS / (times * run.selectable.count)));
    let sums: Float64Array[] | null = null;
    let done = 0;
    for (let begin = 0; begin < count; begin += size) {
      await yieldToEventLoop(signal);
      show(`responses to ${begin} of ${count} samples`);
      const indices = Array.from({ length: Math.min(size, count - begin) }, (_, k) => begin + k);
      const input = inputOf(set, await set.read(indices, null));
      const { data, ts, shape } = await trajectoryOf(run.model, run.config, set, input, {
        numTimes: times,
        rates: true,
      });
      sums ??= groups.map(() => new Float64Array(ts.length));
      this.#facts ??= {
        part,
        groups: groups.map(({ name, neurons }) => ({ name, neurons: neurons.length })),
        ts: Array.from(ts),
      };
      done += addResponses(sums, data, shape, groups);
    }
    const facts = this.#facts!;
    const isSame =
      groups.length === facts.groups.length && groups.every(({ name }, g) => name === facts.groups[g]!.name);
    if (!isSame || sums![0]?.length !== facts.ts.length)
      throw new ArgumentError(
        WHERE,
        "--group-by",
        "the same groups and times in all members",
        `others in ${member.name}`,
      );
    if (done === 0)
      throw new ArgumentError(WHERE, "--samples", "a sample that every member can solve", `none in ${member.name}`);
    this.#samples = Math.min(this.#samples, done);
    this.#values.push(sums!.map((own) => Array.from(own, (sum) => sum / done)));
  }

  /** All groups and times of each member in a row. */
  values(): MemberValues[] {
    return [{ name: "responses", values: this.#values.map((groups) => Float64Array.from(groups.flat())) }];
  }

  result(): EnsembleResponses {
    return { ...this.#facts!, samples: this.#samples, values: this.#values };
  }
}

/** Adds the means over the neurons of each group, of the samples that did not fail. @returns their number */
function addResponses(
  sums: readonly Float64Array[],
  data: FloatArray,
  [samples, times, neurons]: readonly [number, number, number],
  groups: readonly NamedNeurons[],
): number {
  let done = 0;
  for (let s = 0; s < samples; s++) {
    const own = data.subarray(s * times * neurons, (s + 1) * times * neurons);
    if (Number.isNaN(own[own.length - 1])) continue;
    done++;
    groups.forEach((group, g) => {
      for (let t = 0; t < times; t++) {
        let sum = 0;
        for (const i of group.neurons) sum += own[t * neurons + i]!;
        sums[g]![t]! += sum / group.neurons.length;
      }
    });
  }
  return done;
}

// ---- predictions ---------------------------------------------------------------------------------------------------------

/** Predictions of the members, and of their mean, for all samples of a part. */
class Prediction {
  readonly #wanted: PartName | undefined;
  readonly #evaluations: Evaluation[] = [];
  readonly #failed = new Set<number>();
  #targets: Samples | null = null;
  #part: PartName | null = null;
  #average: OutputAverage | null = null;
  #ensemble: Evaluation | null = null;

  constructor(part: PartName | undefined) {
    this.#wanted = part;
  }

  async add({ run, member }: OpenedMember, isLast: boolean, { signal, show }: Work): Promise<void> {
    const part = partOfRun(run, this.#wanted);
    this.#part ??= part;
    const set = run.data[part]!;
    const { task } = run.model;
    const rows = task.loss.outputs(task.target);
    const targets = await targetsOfSet(set, signal);
    this.#checkSame(member, targets);
    const parts: Float64Array[] = [];
    let times = 1;
    for await (const batch of predict(run, set, {
      ...(signal && { signal }),
      onProgress: (done, total) => show(`predictions for ${done} of ${total} samples`),
    })) {
      times = batch.shape[1];
      parts.push(Float64Array.from(batch.outputs));
      for (const k of batch.failed) this.#failed.add(k);
    }
    const all = joined(parts);
    this.#average ??= new OutputAverage(outputScale(task.loss.name), rows);
    this.#average.add(all);
    this.#evaluations.push(await judged(run, set, targets, all, times, failedOf(all, set.count)));
    if (isLast) this.#ensemble = await judged(run, set, targets, this.#average.result(), times, this.#failed);
  }

  #checkSame(member: EnsembleMember, targets: Samples): void {
    const first = this.#targets;
    this.#targets ??= targets;
    if (!first) return;
    const same = (a: ArrayLike<number> | null, b: ArrayLike<number> | null): boolean =>
      a === b ||
      (a !== null &&
        b !== null &&
        a.length === b.length &&
        Array.prototype.every.call(a, (x, i) => Object.is(x, b[i])));
    if (same(first.targets, targets.targets) && same(first.weights, targets.weights)) return;
    throw new ArgumentError(WHERE, "samples", "the same in all members", `other targets in ${member.name}`);
  }

  result(task: TaskDescription): EnsemblePrediction | null {
    const ensemble = this.#ensemble;
    if (!ensemble) return null;
    const named = [
      ...task.metrics.map(({ name, better }) => ({
        name,
        better,
        of: ({ metrics }: Evaluation) => metrics[name] ?? Number.NaN,
      })),
      { name: "loss", better: "lower" as const, of: ({ loss }: Evaluation) => loss },
    ];
    const metrics = named.map(({ name, better, of }) => {
      const members = this.#evaluations.map(of);
      const spread = memberSpread(members);
      const best = spread && (better === "higher" ? spread.max : spread.min);
      return { name, better, members, spread, best, ensemble: of(ensemble) };
    });
    const { size } = this.#targets!;
    return { part: this.#part!, samples: size, failed: this.#failed.size, scale: this.#average!.scale, metrics };
  }
}

/** The targets of a whole set, without the inputs. */
async function targetsOfSet(set: SampleSet, signal: AbortSignal | undefined): Promise<Samples> {
  const width = (set.target.times ?? 1) * set.target.width;
  const targets = new Float64Array(set.count * width);
  const weights = set.weighted ? new Float64Array(set.count * width) : null;
  for (let begin = 0; begin < set.count; begin += JUDGED_SAMPLES) {
    await yieldToEventLoop(signal);
    const indices = Array.from({ length: Math.min(JUDGED_SAMPLES, set.count - begin) }, (_, k) => begin + k);
    const part = await set.read(indices, null);
    targets.set(part.targets, begin * width);
    if (weights) weights.set(part.weights ?? new Float64Array(part.targets.length).fill(1), begin * width);
  }
  return { size: set.count, inputs: new Float64Array(0), targets, weights };
}

/** Loss and metrics of outputs that are given, on the device of a run. Samples in `failed` do not count. */
async function judged(
  { model, backend }: OpenedRun,
  set: SampleSet,
  { targets, weights, size }: Samples,
  outputs: Float64Array,
  times: number,
  failed: ReadonlySet<number>,
): Promise<Evaluation> {
  const { task } = model;
  using judge = passThrough(backend, task);
  const sums = new EvaluationSums(task);
  const [stride, width] = [outputs.length / size, targets.length / size];
  for (let begin = 0; begin < size; begin += JUDGED_SAMPLES) {
    const count = Math.min(JUDGED_SAMPLES, size - begin);
    const part = <T extends FloatArray>(all: T, each: number): T =>
      all.slice(begin * each, (begin + count) * each) as T;
    const own = weights ? part(weights, width) : failed.size > 0 ? new Float64Array(count * width).fill(1) : null;
    const given = part(outputs, stride);
    for (let k = 0; k < count; k++) {
      if (!failed.has(begin + k)) continue;
      own!.fill(0, k * width, (k + 1) * width);
      given.fill(0, k * stride, (k + 1) * stride);
    }
    if (own?.every((weight) => weight === 0)) continue;
    const batch: Samples = { size: count, inputs: given, targets: part(targets, width), weights: own };
    const [input, evaluation] = asInput(given, count, times);
    sums.add(batch, await judge.evaluate(input, targetsOf(batch), evaluation));
  }
  return sums.result(0);
}

/** Samples whose outputs are NaN. */
function failedOf(outputs: Float64Array, size: number): Set<number> {
  const stride = outputs.length / size;
  return new Set(Array.from({ length: size }, (_, k) => k).filter((k) => Number.isNaN(outputs[k * stride])));
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// ---- analyses ------------------------------------------------------------------------------------------------------------

/**
 * The numbers of the same analysis of every member, as one list per member: those that differ between members and are numbers in all. Each path is
 * counted in standard deviations about its mean, over all members, so that units do not matter.
 */
async function analysisValues(
  members: readonly EnsembleMember[],
  name: string,
  paths: readonly string[],
): Promise<{ readonly values: MemberValues; readonly notes: readonly string[] }> {
  const records = await Promise.all(members.map(({ folder }) => readAnalysis(analysisFile(folder, name), name)));
  const parts = records.map(({ result }) => numbersOf(result.all));
  const [first] = parts;
  const notes: string[] = [];
  const options = new Set(records.map((record) => JSON.stringify(record.options)));
  if (options.size > 1) notes.push(`The analyses ${name} were made with different options.`);
  for (const [path, texts] of first!.texts) {
    const other = parts.findIndex((it) => JSON.stringify(it.texts.get(path)) !== JSON.stringify(texts));
    if (other >= 0)
      throw new ArgumentError(
        WHERE,
        "--from-analysis",
        `the same names at ${path} in all members`,
        `others in ${members[other]!.name}`,
      );
  }
  const unknown = paths.find((path) => !first!.numbers.has(path));
  if (unknown !== undefined) {
    const near = nearestName(unknown, first!.numbers.keys());
    throw new ArgumentError(
      WHERE,
      "--array",
      `${near ? `${near}? ` : ""}one of ${[...first!.numbers.keys()].join(", ")}`,
      unknown,
    );
  }
  const lists: Float64Array[][] = members.map(() => []);
  for (const [path, { length }] of first!.numbers) {
    if (paths.length > 0 && !paths.includes(path)) continue;
    const own = parts.map(({ numbers }, m) => {
      const list = numbers.get(path);
      if (list?.length === length) return list;
      throw new ArgumentError(
        WHERE,
        "--from-analysis",
        `${length} numbers at ${path}`,
        `${list?.length ?? 0} in ${members[m]!.name}`,
      );
    });
    const kept = Array.from({ length }, (_, i) => i).filter((i) => own.every((list) => Number.isFinite(list[i])));
    if (kept.length < length)
      notes.push(`${length - kept.length} of ${length} numbers at ${path} are missing in some member, and left out.`);
    const isSame = own.every((list) => kept.every((i) => list[i] === own[0]![i]));
    if (isSame || kept.length === 0) continue;
    const chosen = own.map((list) => Float64Array.from(kept, (i) => list[i]!));
    const sd = pooledSd(chosen);
    const mean =
      chosen.reduce((sum, list) => sum + list.reduce((part, v) => part + v, 0), 0) / (chosen.length * kept.length);
    chosen.forEach((list, m) => {
      lists[m]!.push(list.map((v) => (v - mean) / sd));
    });
  }
  if (lists[0]!.length === 0)
    throw new ArgumentError(
      WHERE,
      "--from-analysis",
      "numbers that differ between members",
      `none in ${join("analyses", name)}`,
    );
  return { values: { name: "analysis", values: lists.map(joined) }, notes };
}
