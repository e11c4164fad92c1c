// Options of connectome networks, their defaults and their checks.

import type { Csr } from "../core/csr.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import { activation } from "./activation.ts";
import { type Constraint, checkWeights } from "./constraint.ts";
import { checkMatrix, type Projection } from "./matrix.ts";
import {
  type Label,
  type NeuronClassName,
  type NeuronTypes,
  neuronTypes,
  type PerNeuron,
  signVector,
  spread,
} from "./neuronTypes.ts";

/** Whether a list has one value per neuron or one per neuron type (in sorted order of the labels). */
export type ListMode = "perNeuron" | "perNeuronType";

/**
 * Equations of a network, φ being the nonlinearity, s the signs of neurons, U·x the projected input:
 *
 * - "rate": τ dh/dt = relu(φ(U·x + W·(s ⊙ h) + b)) − h, as in torch-biopl;
 * - "leaky": τ dh/dt = φ(U·x + W·(s ⊙ h) + b) − h; in discrete time h ← (1 − α)·h + α·φ(U·x + W·(s ⊙ h) + b) with α = 1/τ;
 * - "voltage": τ dh/dt = U·x + W·(s ⊙ φ(h)) + b − h: states are potentials, b those at rest, φ turns them into rates (as in flyvis);
 * - "plain": dh/dt = φ(U·x + W·(s ⊙ h) + b) − h; see sparse.ts;
 * - "gru", in discrete time: h ← (1 − z) ⊙ φ(U·x + b + r ⊙ (W·(s ⊙ h) + b_h)) + z ⊙ h with the gates r and z, each with matrices and a bias of
 *   its own: σ(U_g·x + W_g·(s ⊙ h) + b_g). With a complete connectome it is the gated recurrent unit of Cho et al. (2014) in the form of
 *   torch.nn.GRU, whose two biases of a gate are one here.
 */
export type Dynamics = "rate" | "leaky" | "voltage" | "plain" | "gru";

/** Gates of "gru": r, by which the recurrent input is multiplied, and z, the share of the state that is kept. */
export type Gate = "reset" | "update";
export const GATES: readonly Gate[] = ["reset", "update"];

/** Initial values of a gate's own parameters, each 0 where none are given: both gates then begin half open. */
export interface GateWeights {
  /** W_g on the connections of the connectome, row-major. */
  readonly connections?: ArrayLike<number>;
  /** U_g, in the order of the values of `inputProjection`. */
  readonly input?: ArrayLike<number>;
}

/** The gates of an equation. */
export function gatesOf({ dynamics }: { readonly dynamics?: Dynamics }): readonly Gate[] {
  return dynamics === "gru" ? GATES : [];
}

/** Whether neurons have time constants. */
export function hasTimeConstants(dynamics: Dynamics): boolean {
  return dynamics !== "plain" && dynamics !== "gru";
}

/** One number for all, a list, numbers by the labels of types, or a function that makes a list of `count` (neurons or types). */
export type InitialNumbers =
  | number
  | ArrayLike<number>
  | Readonly<Record<string, number>>
  | ((count: number) => ArrayLike<number>);

/** The wiring of a network, its equation, and which of its parameters are trained. */
export interface ConnectomeNetworkOptions {
  /** Numbers per sample and time step. */
  readonly inputSize: number;
  readonly numNeurons: number;
  /** W, [numNeurons, numNeurons], row = post. */
  readonly connectome: Csr;
  /**
   * Weights shared by connections: weight = magnitude · strength[group], the magnitudes being the connectome's values (with their signs)
   * and one trained strength per group; `group` is row-major, one per connection. The strengths replace the weights as parameter.
   */
  readonly sharedWeights?: SharedWeights;
  /** U, [numNeurons, inputSize], sparse or dense; null: the input is the drive itself (inputSize = numNeurons). */
  readonly inputProjection?: Projection | null;
  /** H, [outputs, numNeurons], sparse or dense; null: the outputs are the states. */
  readonly outputProjection?: Projection | null;
  /** Default true. */
  readonly outputProjectionBias?: boolean;
  /** Which equation the state follows; default "rate". */
  readonly dynamics?: Dynamics;
  /** Only of "gru". */
  readonly gates?: Readonly<Partial<Record<Gate, GateWeights>>>;
  /** A label per neuron: strings or numbers. */
  readonly neuronType?: ArrayLike<Label>;
  /** A torch.nn module's name, or several joined by commas; a list or mapping: one per type. Default "Sigmoid"; of voltages "ReLU", of leaky and gated networks "Tanh". */
  readonly neuronNonlinearity?: string | null | readonly (string | null)[] | Readonly<Record<string, string | null>>;
  /** Sign of a neuron's synapses (Dale's law); multiplies the state of the *sending* neuron. Default "excitatory". */
  readonly neuronClass?: PerNeuron<NeuronClassName>;
  /** Default "perNeuron". */
  readonly neuronClassMode?: ListMode;
  /** Time constants, each ≥ 1: one for all, or as neuronTauMode says. Default 1. */
  readonly neuronTau?: InitialNumbers;
  /**
   * In place of neuronTau: leaks α = 1/τ, each above 0 and at most 1. The parameter that is trained, stored and reported is τ; its limit
   * τ ≥ 1 keeps α within its range.
   */
  readonly neuronAlpha?: InitialNumbers;
  /** "perNeuron" (default): one τ per neuron; "perNeuronType": one per type, with summed gradient. */
  readonly neuronTauMode?: ListMode;
  /** Default true. */
  readonly connectomeBias?: boolean;
  /** Initial bias: one for all, or as biasMode says. Default 0. */
  readonly biasInit?: InitialNumbers;
  /** "perNeuron" (default): one bias per neuron; "perNeuronType": one per type, with summed gradient. */
  readonly biasMode?: ListMode;
  /** Default true: weights (or strengths) and bias. */
  readonly trainConnectome?: boolean;
  /** Whether biases are trained; default: as the weights. */
  readonly trainBias?: boolean;
  readonly trainInputProjection?: boolean;
  readonly trainOutputProjection?: boolean;
  readonly trainTau?: boolean;
  /**
   * Default { min: 0 }: weights are magnitudes, signs belong to neurons. With sharedWeights: of the strengths. Weights below the minimum
   * are refused, unless it says `clamp: true`.
   */
  readonly weightConstraint?: Constraint;
  /** true (default): sequences are [batch, time, …]; false: [time, batch, …]. Outputs likewise. */
  readonly batchFirst?: boolean;
  /** Also compute gradients with respect to the input; default false. */
  readonly inputGradient?: boolean;
}

/** Which connections share a strength. */
export interface SharedWeights {
  /** Group of each stored entry, row-major. */
  readonly group: ArrayLike<number>;
  readonly nGroups: number;
  /** Initial strengths; default 1. */
  readonly strengthInit?: number | ArrayLike<number>;
}

/** One batch. `data` is [batch, inputSize], or with `steps` [batch, steps, inputSize] (time first: [steps, batch, inputSize]). */
export interface ModelInput {
  readonly data: ArrayLike<number>;
  readonly batch: number;
  /**
   * Length S of a sequence; absent: the input is constant in time. In continuous time frame k holds for
   * start + k·(end − start)/S ≤ t < start + (k + 1)·(end − start)/S, the last one also at t = end, whatever the evaluation times. In
   * discrete time frame k is the input of step k, or of the K steps that `recurrences: K` takes with each frame.
   */
  readonly steps?: number;
}

/** Gradients that are not parameters'. */
export interface InputGradients {
  /** In the layout of the input; null unless `inputGradient`. */
  readonly x: FloatArray | null;
  /** [batch, numNeurons]. */
  readonly h0: FloatArray;
}

/** The options, resolved for each neuron. */
export interface ResolvedNeurons {
  readonly types: NeuronTypes | null;
  readonly signs: Float64Array | null;
  /** Distinct nonlinearities and which one each neuron has (null: there is only one). */
  readonly nonlinearities: readonly (string | null)[];
  readonly nonlinearityIdx: Float64Array | null;
  /** Initial τ: one per neuron, or per type. */
  readonly tau: PerNeuronOrType;
  /** Initial bias, likewise. */
  readonly bias: PerNeuronOrType;
}

/** A number per neuron, or (`typeIdx` says which one a neuron has) per type. */
export interface PerNeuronOrType {
  readonly values: Float64Array;
  readonly typeIdx: Uint32Array | null;
}

const DEFAULT_NONLINEARITY: Readonly<Record<Dynamics, string>> = {
  rate: "Sigmoid",
  leaky: "Tanh",
  voltage: "ReLU",
  plain: "Sigmoid",
  gru: "Tanh",
};

/** Every option, those of the network's evolution included. */
const OPTIONS: Readonly<Record<keyof ConnectomeNetworkOptions | "solve" | "memoryBudgetBytes" | "lightCone", true>> = {
  inputSize: true,
  numNeurons: true,
  connectome: true,
  sharedWeights: true,
  inputProjection: true,
  outputProjection: true,
  outputProjectionBias: true,
  dynamics: true,
  gates: true,
  neuronType: true,
  neuronNonlinearity: true,
  neuronClass: true,
  neuronClassMode: true,
  neuronTau: true,
  neuronAlpha: true,
  neuronTauMode: true,
  connectomeBias: true,
  biasInit: true,
  biasMode: true,
  trainConnectome: true,
  trainBias: true,
  trainInputProjection: true,
  trainOutputProjection: true,
  trainTau: true,
  weightConstraint: true,
  batchFirst: true,
  inputGradient: true,
  solve: true,
  memoryBudgetBytes: true,
  lightCone: true,
};

const GATE_NAMES: Readonly<Record<Gate, true>> = { reset: true, update: true };
const GATE_OPTIONS: Readonly<Record<keyof GateWeights, true>> = { connections: true, input: true };
const MIN_OPTIONS = { min: true, clamp: true } as const;

/** Constraint on the weights or strengths of a network. */
export function weightConstraintOf({ weightConstraint }: ConnectomeNetworkOptions): Constraint {
  return weightConstraint ?? { min: 0 };
}

/** Options of torch-biopl for facts that a projection has here. */
const SAID_OTHERWISE: Readonly<Record<string, string>> = {
  outputSize: "outputs are the rows of outputProjection, or the neurons",
  useDenseInputProjection: "a dense matrix as inputProjection is a dense projection",
  useDenseOutputProjection: "a dense matrix as outputProjection is a dense projection",
};

function checkKnown(o: ConnectomeNetworkOptions): void {
  const where = "ConnectomeNetwork";
  for (const [name, reason] of Object.entries(SAID_OTHERWISE)) {
    if (name in o) throw new ArgumentError(where, name, `no ${name} (drop it: ${reason})`, "one");
  }
  checkNames(where, o, OPTIONS);
  if (o.dynamics !== undefined && !Object.hasOwn(DEFAULT_NONLINEARITY, o.dynamics)) {
    const names = Object.keys(DEFAULT_NONLINEARITY).join(", ");
    throw new ArgumentError(where, "dynamics", `one of ${names}`, `"${o.dynamics}"`);
  }
  const { weightConstraint: c = "none" } = o;
  if (c !== "none" && c !== "sign" && !Number.isFinite(c?.min)) {
    throw new ArgumentError(where, "weightConstraint", '"none", "sign" or { min: a number }', quoteValue(c));
  }
  if (typeof c === "object") checkNames(where, c, MIN_OPTIONS, "weightConstraint.");
}

/** Options that contradict each other: which to drop. */
function checkConflicts(o: ConnectomeNetworkOptions): void {
  const where = "ConnectomeNetwork";
  if (o.outputProjectionBias && !o.outputProjection)
    throw new ArgumentError(where, "outputProjectionBias", "it dropped, or an outputProjection", "a bias without one");
  if (o.connectomeBias === false) {
    const given = (["biasInit", "biasMode"] as const).find((name) => o[name] !== undefined);
    if (given) throw new ArgumentError(where, given, "it dropped, or connectomeBias: true", "connectomeBias: false");
  }
  if (o.neuronTau !== undefined && o.neuronAlpha !== undefined)
    throw new ArgumentError(where, "neuronAlpha", "it dropped, or no neuronTau (α = 1/τ)", "both");
  if (o.dynamics !== undefined && !hasTimeConstants(o.dynamics)) {
    const given = (["neuronTau", "neuronAlpha", "neuronTauMode", "trainTau"] as const).find(
      (name) => o[name] !== undefined,
    );
    const expected = `it dropped, or other dynamics than "${o.dynamics}", which has no time constants`;
    if (given) throw new ArgumentError(where, given, expected, "both");
  }
  if (o.dynamics !== "gru") {
    if (o.gates) throw new ArgumentError(where, "gates", 'it dropped, or dynamics: "gru"', "gates");
    return;
  }
  if (o.sharedWeights) throw new ArgumentError(where, "sharedWeights", 'it dropped, as "gru" shares none', "both");
  if (!o.inputProjection)
    throw new ArgumentError(where, "inputProjection", 'a matrix, as dynamics "gru" has gates', "none");
}

/** Initial weights of the gates. @throws {ShapeError | ArgumentError} naming the gate */
function checkGates({ gates = {}, connectome, inputProjection }: ConnectomeNetworkOptions): void {
  const where = "ConnectomeNetwork";
  checkNames(where, gates, GATE_NAMES, "gates.");
  for (const [gate, weights] of Object.entries(gates)) {
    checkNames(where, weights, GATE_OPTIONS, `gates.${gate}.`);
    const lengths = { connections: connectome.nnz, input: inputProjection!.values.length };
    for (const [part, length] of Object.entries(lengths)) {
      const values = weights[part as keyof GateWeights];
      if (values === undefined) continue;
      const name = `gates.${gate}.${part}`;
      if (values.length !== length) throw new ShapeError(where, name, `${length} numbers`, `${values.length}`);
      checkFinite(where, name, values, "f64");
    }
  }
}

/** Checks all options and spreads what is given per type. @throws {ArgumentError | ShapeError} naming the option */
export function resolveNeurons(o: ConnectomeNetworkOptions): ResolvedNeurons {
  const where = "ConnectomeNetwork";
  const n = o.numNeurons;
  checkKnown(o);
  checkConflicts(o);
  checkMatrix(where, "connectome", o.connectome, n, n);
  if (o.inputProjection) checkMatrix(where, "inputProjection", o.inputProjection, n, o.inputSize);
  else if (o.inputSize !== n) {
    throw new ShapeError(where, "inputSize", `${n} = numNeurons, or an inputProjection`, `${o.inputSize} without one`);
  }
  if (o.outputProjection) checkMatrix(where, "outputProjection", o.outputProjection, null, n);
  checkConnections(o);
  checkGates(o);
  const types = o.neuronType === undefined ? null : neuronTypes(o.neuronType, n);
  const signs = signVector(o.neuronClass ?? "excitatory", n, types, o.neuronClassMode === "perNeuronType");
  return {
    types,
    signs,
    ...resolveNonlinearity(o, types),
    tau: resolveTau(o, types),
    bias: resolveNumbers(["biasInit", o.biasInit ?? 0], ["biasMode", o.biasMode], n, types, {
      ok: Number.isFinite,
      expected: "finite numbers",
    }),
  };
}

function resolveNonlinearity(
  o: ConnectomeNetworkOptions,
  types: NeuronTypes | null,
): Pick<ResolvedNeurons, "nonlinearities" | "nonlinearityIdx"> {
  const spec = o.neuronNonlinearity === undefined ? DEFAULT_NONLINEARITY[o.dynamics ?? "rate"] : o.neuronNonlinearity;
  const isOne = spec === null || typeof spec === "string";
  const perNeuron = isOne ? [spec] : spread<string | null>("neuronNonlinearity", spec, o.numNeurons, types, true);
  const nonlinearities = [...new Set(perNeuron)];
  // Here too, not only in the equations, so that unknown names are refused at once.
  for (const name of nonlinearities) activation(name);
  const position = new Map(nonlinearities.map((name, i) => [name, i]));
  const nonlinearityIdx = nonlinearities.length > 1 ? Float64Array.from(perNeuron, (f) => position.get(f)!) : null;
  return { nonlinearities, nonlinearityIdx };
}

function resolveTau(o: ConnectomeNetworkOptions, types: NeuronTypes | null): PerNeuronOrType {
  const mode = ["neuronTauMode", o.neuronTauMode] as const;
  if (o.neuronAlpha === undefined) {
    const atLeast1 = { ok: (x: number) => Number.isFinite(x) && x >= 1, expected: "time constants of at least 1" };
    return resolveNumbers(["neuronTau", o.neuronTau ?? 1], mode, o.numNeurons, types, atLeast1);
  }
  const leak = { ok: (x: number) => x > 0 && x <= 1, expected: "leaks above 0 and at most 1" };
  const { values, typeIdx } = resolveNumbers(["neuronAlpha", o.neuronAlpha], mode, o.numNeurons, types, leak);
  return { values: values.map((alpha) => 1 / alpha), typeIdx };
}

/** @throws {ShapeError | ArgumentError} naming the option */
function resolveNumbers(
  [name, init]: readonly [string, InitialNumbers],
  [modeName, mode]: readonly [string, ListMode | undefined],
  nNeurons: number,
  types: NeuronTypes | null,
  { ok, expected }: { readonly ok: (x: number) => boolean; readonly expected: string },
): PerNeuronOrType {
  const where = "ConnectomeNetwork";
  const perType = mode === "perNeuronType";
  const spec = typeof init === "function" ? init(perType && types ? types.types.length : nNeurons) : init;
  const perNeuron = spread(name, spec, nNeurons, types, perType);
  const bad = perNeuron.findIndex((x) => !ok(x));
  if (bad >= 0) throw new ArgumentError(where, name, expected, `${perNeuron[bad]} at neuron ${bad}`);
  if (!perType) return { values: Float64Array.from(perNeuron), typeIdx: null };
  if (!types) throw new ArgumentError(where, modeName, "neuronType labels", "perNeuronType without them");
  const values = new Float64Array(types.types.length);
  types.typeIdx.forEach((t, i) => {
    values[t] = perNeuron[i]!;
  });
  return { values, typeIdx: types.typeIdx };
}

/** Weights, or the strengths that they share. */
function checkConnections(o: ConnectomeNetworkOptions): void {
  const { sharedWeights: shared, connectome } = o;
  const where = "ConnectomeNetwork";
  if (!shared) {
    checkWeights(where, "connectome", connectome.values, weightConstraintOf(o));
    return;
  }
  const { group, nGroups, strengthInit = 1 } = shared;
  if (group.length !== connectome.nnz) {
    throw new ShapeError(
      where,
      "sharedWeights.group",
      `${connectome.nnz} groups, one per connection`,
      `${group.length}`,
    );
  }
  for (let k = 0; k < group.length; k++) {
    const g = group[k]!;
    if (!Number.isInteger(g) || g < 0 || g >= nGroups) {
      throw new ArgumentError(where, "sharedWeights.group", `groups 0 to ${nGroups - 1}`, `${g} at connection ${k}`);
    }
  }
  const name = "sharedWeights.strengthInit";
  const strengths = typeof strengthInit === "number" ? [strengthInit] : Array.from(strengthInit);
  if (typeof strengthInit !== "number" && strengths.length !== nGroups) {
    throw new ShapeError(where, name, `${nGroups} numbers, one per group`, `${strengths.length}`);
  }
  const bad = strengths.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new ArgumentError(where, name, "finite numbers", `${strengths[bad]} for group ${bad}`);
  checkWeights(where, name, strengths, weightConstraintOf(o));
}

/** One value for all, or as given. */
export function filled(value: number | ArrayLike<number>, n: number): ArrayLike<number> {
  return typeof value === "number" ? new Float64Array(n).fill(value) : value;
}
