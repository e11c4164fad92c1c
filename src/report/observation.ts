// The part of a report about the network: its answers, its activity, and how training changed its parameters.

import type { FloatArray } from "../core/dtype.ts";
import { type ImageSet, subset } from "../data/imageSet.ts";
import { batches } from "../data/loader.ts";
import type { ClassifierEvaluation, ConnectomeODEClassifier } from "../models/classifier.ts";
import type { ParameterElement, ParameterRole } from "../models/parameters/parameter.ts";
import type { NeuronGroup } from "./groups.ts";

/** One image and the network's answer to it. */
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

/** Images that are looked at in search of examples. */
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

/** The parameters of the dynamics that a model has. */
export async function dynamicsParameters({ parameters }: ConnectomeODEClassifier): Promise<DynamicsParameters> {
  const known = new Map<string, Pick<ParameterChange, "of"> & { readonly values: FloatArray }>();
  for (const { name, role, of } of parameters.all()) {
    const label = of === "groups of connections" ? "strengths" : LABELS[role];
    // Constraints hold in what is shown, as they do in a forward pass.
    if (label) known.set(label, { of, values: await parameters.values(name) });
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

/** Answers to the first images of a set: one recognised image of each class or more, and the surest mistakes. */
export async function findExamples(
  model: ConnectomeODEClassifier,
  set: ImageSet,
  evaluation: ClassifierEvaluation,
): Promise<Example[]> {
  const [batch] = batches(set, { batchSize: Math.min(SEARCHED, set.count) });
  const logits = await model.forward({ data: batch!.images, batch: batch!.size }, evaluation);
  const size = set.width * set.height;
  const all = Array.from({ length: batch!.size }, (_, index): Example => {
    const own = softmax(logits.subarray(index * set.classes, (index + 1) * set.classes));
    const probability = Math.max(...own);
    return {
      index,
      pixels: set.images.subarray(index * size, (index + 1) * size),
      width: set.width,
      height: set.height,
      label: set.labels[index]!,
      answer: own.indexOf(probability),
      probability,
    };
  });
  const answered = all.filter((e) => !Number.isNaN(e.probability));
  const right = answered.filter((e) => e.answer === e.label);
  const firstOfClass = right.filter((e) => right.find((other) => other.label === e.label) === e);
  const others = right.filter((e) => !firstOfClass.includes(e));
  const recognised = [...firstOfClass, ...others].slice(0, RECOGNISED).sort((a, b) => a.label - b.label);
  const mistaken = answered.filter((e) => e.answer !== e.label).sort((a, b) => b.probability - a.probability);
  return [...recognised, ...mistaken.slice(0, MISTAKEN)];
}

/** Activity of the network on one image of each of several classes. */
export async function recordActivity(
  model: ConnectomeODEClassifier,
  set: ImageSet,
  groups: readonly NeuronGroup[],
  evaluation: ClassifierEvaluation,
): Promise<Activity> {
  const firsts = Array.from({ length: set.classes }, (_, c) => set.labels.indexOf(c)).filter((index) => index >= 0);
  const stride = firsts.length / Math.min(ACTIVITY_INPUTS, firsts.length);
  const chosen = firsts.filter((_, k) => Math.floor(k / stride) !== Math.floor((k - 1) / stride));
  const images = subset(set, chosen);
  const [batch] = batches(images, { batchSize: images.count });
  const { numNeurons } = model.rnn.options;
  const numEvals = Math.max(2, Math.min(ACTIVITY_TIMES, Math.floor(ACTIVITY_NUMBERS / numNeurons)));
  const { hs, ts } = await model.rnn.forward({ data: batch!.images, batch: images.count }, { ...evaluation, numEvals });
  return { inputs: shownImages(images), ts: [...ts], numNeurons, hs, groups };
}

/** The images of a set as inputs, named by their labels. */
export function shownImages({ images, labels, width, height }: ImageSet): ShownInput[] {
  const size = width * height;
  return Array.from(labels, (label, k) => ({
    name: `digit ${label}`,
    picture: { pixels: images.subarray(k * size, (k + 1) * size), width, height },
  }));
}

function softmax(logits: FloatArray): number[] {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, p) => sum + p, 0);
  return powers.map((p) => p / total);
}
