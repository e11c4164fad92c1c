// The part of a report about the network: its answers, its activity, and how training changed its parameters.

import type { FloatArray } from "../core/dtype.ts";
import { firstSamples } from "../data/loader.ts";
import type { SampleSet, Samples } from "../data/sampleSet.ts";
import type { ModelInput } from "../models/options.ts";
import type { Parameter, ParameterElement, ParameterRole } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import type { RecordedActivity } from "../models/recordActivity.ts";
import type { Task } from "../models/task/task.ts";
import { inputOf } from "../train/trainable.ts";
import type { NeuronGroup } from "./groups.ts";

/** A model with any task, in continuous or discrete time, and how it is run. */
export interface ObservedModel {
  readonly parameters: ParameterSet;
  readonly task: Task;
  readonly numNeurons: number;
  /** Outputs [batch, times of the read-out, rows]. */
  outputs(input: ModelInput): Promise<FloatArray>;
  /** States of all neurons at no more than `numTimes` times. */
  trajectory(input: ModelInput, numTimes: number): Promise<Pick<RecordedActivity, "data" | "ts">>;
}

/** A picture and the network's answer to it. */
export interface Example {
  /** In its set. */
  readonly index: number;
  /** [height, width], 0 … 255. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly label: number;
  readonly answer: number;
  /** Of the answer, by softmax. */
  readonly probability: number;
}

/** What a network looked at. */
export interface ShownInput {
  readonly name: string;
  /** [height, width], 0 … 255; null: the input is no picture. */
  readonly picture: Pick<Example, "pixels" | "width" | "height"> | null;
}

/** Trajectories of all neurons for a few inputs. */
export interface Activity {
  readonly inputs: readonly ShownInput[];
  readonly ts: readonly number[];
  readonly numNeurons: number;
  /** [inputs, times, numNeurons] */
  readonly hs: FloatArray;
  readonly groups: readonly NeuronGroup[];
}

/** Values of one kind of parameter before training and after it. */
export interface ParameterChange {
  /** "weights", "strengths", "bias" or "tau". */
  readonly name: string;
  /** What there is one of. */
  readonly of: ParameterElement;
  readonly before: FloatArray;
  readonly after: FloatArray;
}

/** Samples that are searched for examples. */
const SEARCHED = 128;
const RECOGNISED = 14;
const MISTAKEN = 7;
const ACTIVITY_INPUTS = 5;
/** The record of activity may have so many numbers per input. */
const ACTIVITY_NUMBERS = 500_000;
const ACTIVITY_TIMES = 24;

/** Parameters of the dynamics, as they are called on the page. */
const LABELS: Readonly<Partial<Record<ParameterRole, string>>> = {
  weights: "weights",
  biases: "bias",
  "time constants": "tau",
};

/** Values of the parameters of a network's dynamics, by label. */
export type DynamicsParameters = ReadonlyMap<string, Pick<ParameterChange, "of"> & { readonly values: FloatArray }>;

/** What a parameter of the dynamics is called on pages; null: it is another one, such as the strengths of a read-out. */
export function dynamicsLabel({ role, of }: Pick<Parameter, "role" | "of">): string | null {
  return role === "weights" && of === "groups of connections" ? "strengths" : (LABELS[role] ?? null);
}

/** The parameters of the dynamics that a model has. */
export async function dynamicsParameters({
  parameters,
}: Pick<ObservedModel, "parameters">): Promise<DynamicsParameters> {
  const known = new Map<string, Pick<ParameterChange, "of"> & { readonly values: FloatArray }>();
  for (const parameter of parameters.all()) {
    const { name, of, matrix, shared } = parameter;
    const label = dynamicsLabel(parameter);
    // Constraints hold in what is shown, as they do in a forward pass.
    if (label === null) continue;
    const own = shared ? null : matrix;
    // Before training they are those of the matrix, of which no copy is needed.
    const isOwn = own !== null && (await parameters.hasValues(name, own.values));
    known.set(label, { of, values: isOwn ? own.values : await parameters.values(name) });
  }
  return known;
}

/** Pairs up the values before training and after it. */
export function parameterChanges(before: DynamicsParameters, after: DynamicsParameters): ParameterChange[] {
  return [...after].flatMap(([name, { of, values }]) => {
    const first = before.get(name);
    return first ? [{ name, of, before: first.values, after: values }] : [];
  });
}

/** Whether the answers of a model to samples of a set can be shown: one class each, and pictures. */
export function hasExamples({ task }: Pick<ObservedModel, "task">, { picture }: SampleSet): boolean {
  const { classes, times } = task.target;
  return picture !== undefined && classes !== null && times === null && task.loss.outputs(task.target) === classes;
}

/**
 * Answers to the first samples of a set that has pictures and classes: one recognised sample of each class or more, and the surest mistakes.
 */
export async function findExamples(model: ObservedModel, set: SampleSet): Promise<Example[]> {
  const samples = await firstSamples(set, SEARCHED);
  const outputs = await model.outputs(inputOf(set, samples));
  const { classes } = model.task.target;
  const width = outputs.length / samples.size;
  const pictures = picturesOf(set, samples);
  const all = pictures.map((picture, index): Example => {
    const own = softmax(outputs.subarray((index + 1) * width - classes!, (index + 1) * width));
    const probability = Math.max(...own);
    return { index, ...picture, label: samples.targets[index]!, answer: own.indexOf(probability), probability };
  });
  const answered = all.filter((e) => !Number.isNaN(e.probability));
  const right = answered.filter((e) => e.answer === e.label);
  const firstOfClass = right.filter((e) => right.find((other) => other.label === e.label) === e);
  const others = right.filter((e) => !firstOfClass.includes(e));
  const recognised = [...firstOfClass, ...others].slice(0, RECOGNISED).sort((a, b) => a.label - b.label);
  const mistaken = answered.filter((e) => e.answer !== e.label).sort((a, b) => b.probability - a.probability);
  return [...recognised, ...mistaken.slice(0, MISTAKEN)];
}

/** Activity of the network on some of the first samples: where they have classes, one of each of several classes. */
export async function recordActivity(
  model: ObservedModel,
  set: SampleSet,
  groups: readonly NeuronGroup[],
): Promise<Activity> {
  const samples = await set.read(await shownIndices(set), null);
  const { numNeurons } = model;
  const numTimes = Math.max(2, Math.min(ACTIVITY_TIMES, Math.floor(ACTIVITY_NUMBERS / numNeurons)));
  const { data, ts } = await model.trajectory(inputOf(set, samples), numTimes);
  return { inputs: shownSamples(set, samples), ts: Array.from(ts), numNeurons, hs: data, groups };
}

async function shownIndices(set: SampleSet): Promise<number[]> {
  const { size, targets } = await firstSamples(set, SEARCHED);
  const all = Array.from({ length: size }, (_, index) => index);
  if (!hasClass(set)) return all.slice(0, ACTIVITY_INPUTS);
  const firsts = all
    .filter((index) => targets.indexOf(targets[index]!) === index)
    .sort((a, b) => targets[a]! - targets[b]!);
  const stride = firsts.length / Math.min(ACTIVITY_INPUTS, firsts.length);
  return firsts.filter((_, k) => Math.floor(k / stride) !== Math.floor((k - 1) / stride));
}

function hasClass({ target }: SampleSet): boolean {
  return target.kind === "class" && target.times === null;
}

/** Samples as inputs, named by their classes, if each has one. */
export function shownSamples(set: SampleSet, samples: Samples): ShownInput[] {
  const pictures = set.picture ? picturesOf(set, samples) : null;
  return Array.from({ length: samples.size }, (_, k) => {
    const target = samples.targets[k]!;
    const name = hasClass(set) ? (set.classNames?.[target] ?? `class ${target}`) : `sample ${k}`;
    return { name, picture: pictures?.[k] ?? null };
  });
}

/** The inputs of samples as grey pictures, on one scale for all; of sequences the first frame. */
function picturesOf(
  { picture, steps }: SampleSet,
  { inputs, size }: Samples,
): Pick<Example, "pixels" | "width" | "height">[] {
  const { width, height } = picture!;
  const pixels = width * height;
  const stride = pixels * (steps ?? 1);
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of inputs) [least, most] = [Math.min(least, x), Math.max(most, x)];
  const range = most - least || 1;
  return Array.from({ length: size }, (_, k) => {
    const own = inputs.subarray(k * stride, k * stride + pixels);
    return { pixels: Uint8Array.from(own, (x) => Math.round((255 * (x - least)) / range)), width, height };
  });
}

function softmax(logits: FloatArray): number[] {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, p) => sum + p, 0);
  return powers.map((p) => p / total);
}
