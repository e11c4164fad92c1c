// How a network's parameters differ from those before, and how much of known ones was found: everything that `axograd changes` reports.

import { finishInSlices, type Steps, yieldToEventLoop } from "../../core/abort.ts";
import { type Csr, withValues } from "../../core/csr.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { plural } from "../../core/text.ts";
import { growthSteps, radiusSteps } from "../../data/spectralRadius.ts";
import { type Distribution, distributionOf } from "../../data/statistics.ts";
import { checkTypedNeurons, type TypedNeurons } from "../../data/typePairs.ts";
import { type GroupChanges, groupSteps } from "./changesByGroups.ts";
import type { EffectiveParameter } from "./effectiveParameters.ts";
import { hasSameConnections, matchConnections } from "./matchConnections.ts";
import { type NeuronChanges, neuronChanges } from "./neuronChanges.ts";
import { type Recovered, recoveredParameters } from "./recoveredParameters.ts";
import { type SignMixing, signMixing } from "./signMixing.ts";
import { relative, type WeightChange, weightSteps } from "./weightChange.ts";

/** A parameter before and after. */
export interface ParameterMove extends Pick<EffectiveParameter, "name" | "role" | "of"> {
  /** Its elements. */
  readonly count: number;
  /** Whether the run trains it. */
  readonly trained: boolean;
  /** Euclidean. */
  readonly normBefore: number;
  readonly normAfter: number;
  /** ‖p − p₀‖ / ‖p₀‖. 0 where nothing changed; NaN where it did and all p₀ are 0. */
  readonly relativeL2: number;
}

/** Values of the neurons before and after: biases or time constants. */
export interface NeuronValues {
  readonly name: "biases" | "time constants";
  /** [neurons]. */
  readonly before: ArrayLike<number>;
  readonly after: ArrayLike<number>;
  readonly distributions: { readonly before: Distribution; readonly after: Distribution };
  readonly byGroup: NeuronChanges;
}

/** How much a network can amplify. */
export interface Amplification {
  /** The spectral radius of |W|. */
  readonly radius: number;
  /** How fast W makes a random vector grow: an estimate of its own spectral radius. */
  readonly growth: number;
}

/** Parameters that a network should have found. */
export interface KnownParameters {
  /** For people. */
  readonly source: string;
  /** W, [post, pre]; connections are matched by their place. null: not known. */
  readonly weights: Csr | null;
  /** [neurons]; null: not known. */
  readonly tau: ArrayLike<number> | null;
  readonly bias: ArrayLike<number> | null;
}

/** What was found of known parameters; null: not known, or the network has none. */
export interface RecoveredFrom {
  readonly source: string;
  /** Of the connections that are known and that the network has; `missing` are only known, `unknown` only in the network. */
  readonly weights: (Recovered & { readonly missing: number; readonly unknown: number }) | null;
  /** By pair of groups, known weights before, found ones after. */
  readonly pairs: GroupChanges | null;
  readonly tau: RecoveredOfNeurons | null;
  readonly bias: RecoveredOfNeurons | null;
}

/** Values of neurons that were found. */
export interface RecoveredOfNeurons extends Recovered {
  /** By group, known values before, found ones after. */
  readonly byGroup: NeuronChanges;
}

/** How parameters of a network differ from those before. */
export interface Changes {
  readonly groups: TypedNeurons;
  /** W₀ and W, [post, pre]. */
  readonly before: Csr;
  readonly after: Csr;
  readonly parameters: readonly ParameterMove[];
  readonly weights: WeightChange;
  /** Against the connectome; null: it is what the weights are compared with. */
  readonly connectome: WeightChange | null;
  readonly pairs: GroupChanges;
  readonly signs: { readonly before: SignMixing; readonly after: SignMixing };
  readonly amplification: { readonly before: Amplification; readonly after: Amplification };
  readonly neurons: readonly NeuronValues[];
  /** null: nothing is known. */
  readonly recovered: RecoveredFrom | null;
}

/** What else changes are computed from. */
export interface ChangesOptions {
  /** The group of every neuron. */
  readonly groups: TypedNeurons;
  /** The connectome's own weights, [connections], row-major: weights are compared with them, too, unless W₀ are the same. Default: none. */
  readonly connectome?: ArrayLike<number> | null;
  /** Default: none. */
  readonly known?: KnownParameters | null;
  /** Called with the name of each part of the work before it begins. */
  readonly onPart?: (part: string) => void;
  readonly signal?: AbortSignal;
}

/** Rounding of weights to f32, of the strengths that they share, and of their products: a unit each, and one for their mean. */
const ROUNDED = 4 * 2 ** -24;

const NEURON_VALUES = [
  ["biases", "bias"],
  ["time constants", "tau"],
] as const;

/**
 * Compares a network's parameters (W: the recurrent weights; all others by their norms; biases and time constants by group of neurons) with those
 * before, and with known ones. Memory: some arrays of the size of W.
 *
 *     await using run = await openRun("runs/a");
 *     const start = await run.initialModel();
 *     const before = await effectiveParameters(start.parameters);
 *     const after = await effectiveParameters(run.model.parameters);
 *     const { weights, signs } = await changesOf(before, after, { groups });
 *
 * @throws {ArgumentError} no recurrent weights, or those before have other connections
 * @throws {ShapeError} another number of neurons or known values
 */
export async function changesOf(
  before: readonly EffectiveParameter[],
  after: readonly EffectiveParameter[],
  { groups, connectome = null, known = null, onPart, signal }: ChangesOptions,
): Promise<Changes> {
  const [first, last] = [connectionsOf(before, "before"), connectionsOf(after, "after")];
  if (!hasSameConnections(first, last))
    throw new ArgumentError("changesOf", "before", `the same ${plural(last.nnz, "connection")}`, "other ones");
  checkTypedNeurons("changesOf", last, groups);
  if (connectome && connectome.length !== last.nnz)
    throw new ShapeError("changesOf", "connectome", `${last.nnz}, one per connection`, `${connectome.length}`);
  const part = async <T>(name: string, compute: () => T): Promise<T> => {
    onPart?.(name);
    await yieldToEventLoop(signal);
    return compute();
  };
  const inSteps = async <T>(name: string, steps: () => Steps<T>): Promise<T> =>
    finishInSlices(await part(name, steps), signal);
  const isOther = connectome !== null && !areRounded(connectome, first.values);
  return {
    ...{ groups, before: first, after: last },
    parameters: await part("parameters", () => movesOf(before, after)),
    weights: await inSteps("weights", () => weightSteps(first.values, last.values)),
    connectome: isOther
      ? await inSteps("weights against the connectome", () => weightSteps(connectome, last.values))
      : null,
    pairs: await inSteps("pairs of groups", () => groupSteps(last, first.values, last.values, groups)),
    signs: {
      before: await part("signs before", () => signMixing(first)),
      after: await part("signs after", () => signMixing(last)),
    },
    amplification: {
      before: await inSteps("spectral radius before", () => amplificationOf(first)),
      after: await inSteps("spectral radius after", () => amplificationOf(last)),
    },
    neurons: await part("values of neurons", () => neuronValues(before, after, groups)),
    recovered: known && (await inSteps("known parameters", () => recoveredFrom(known, last, after, groups))),
  };
}

/** W of a network. */
function connectionsOf(parameters: readonly EffectiveParameter[], argument: string): Csr {
  const weights = parameters.find(({ leaf }) => leaf === "hh");
  if (weights?.matrix) return withValues(weights.matrix, weights.values);
  throw new ArgumentError("changesOf", argument, "the parameters of a network with recurrent weights", "others");
}

/** Whether numbers are others, rounded. */
function areRounded(numbers: ArrayLike<number>, rounded: ArrayLike<number>): boolean {
  for (let k = 0; k < numbers.length; k++) {
    if (!(Math.abs(rounded[k]! - numbers[k]!) <= ROUNDED * Math.abs(numbers[k]!))) return false;
  }
  return true;
}

/** Parameters of both, of the same size. */
function movesOf(before: readonly EffectiveParameter[], after: readonly EffectiveParameter[]): ParameterMove[] {
  return after.flatMap(({ name, leaf, role, of, trainable: trained, values }) => {
    const first = before.find((p) => p.leaf === leaf)?.values;
    if (first?.length !== values.length) return [];
    let [squareBefore, squareAfter, moved] = [0, 0, 0];
    for (let k = 0; k < values.length; k++) {
      squareBefore += first[k]! ** 2;
      squareAfter += values[k]! ** 2;
      moved += (values[k]! - first[k]!) ** 2;
    }
    const [normBefore, normAfter] = [Math.sqrt(squareBefore), Math.sqrt(squareAfter)];
    const relativeL2 = relative(Math.sqrt(moved), normBefore);
    return [{ name, role, of, count: values.length, trained, normBefore, normAfter, relativeL2 }];
  });
}

function* amplificationOf(csr: Csr): Steps<Amplification> {
  if (csr.nnz === 0) return { radius: 0, growth: 0 };
  const { value: radius } = yield* radiusSteps(csr);
  const { value: growth } = yield* growthSteps(csr);
  return { radius, growth };
}

function neuronValues(
  before: readonly EffectiveParameter[],
  after: readonly EffectiveParameter[],
  groups: TypedNeurons,
): NeuronValues[] {
  return NEURON_VALUES.flatMap(([name, leaf]) => {
    const [first, last] = [before, after].map((all) => all.find((p) => p.leaf === leaf)?.values);
    if (!first || !last) return [];
    const distributions = { before: distributionOf(first), after: distributionOf(last) };
    return [{ name, before: first, after: last, distributions, byGroup: neuronChanges(first, last, groups) }];
  });
}

function* recoveredFrom(
  { source, weights, tau, bias }: KnownParameters,
  csr: Csr,
  after: readonly EffectiveParameter[],
  groups: TypedNeurons,
): Steps<RecoveredFrom> {
  const perNeuron = (leaf: string, known: ArrayLike<number> | null): RecoveredOfNeurons | null => {
    const found = after.find((p) => p.leaf === leaf)?.values;
    return known && found
      ? { ...recoveredParameters(known, found), byGroup: neuronChanges(known, found, groups) }
      : null;
  };
  const values = { source, tau: perNeuron("tau", tau), bias: perNeuron("bias", bias) };
  if (!weights) return { ...values, weights: null, pairs: null };
  const { csr: common, at, missing, unknown } = matchConnections(csr, weights);
  const found = Float64Array.from(at, (k) => csr.values[k]!);
  yield;
  return {
    ...values,
    weights: { ...recoveredParameters(common.values, found), missing, unknown },
    pairs: yield* groupSteps(common, common.values, found, groups),
  };
}
