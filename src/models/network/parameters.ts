// The parameters of a connectome network, and what its programs bind of them. Names and shapes are torch-biopl's.

import type { Graph } from "../../autodiff/graph.ts";
import type { Backend, Bindable, DeviceBuffer, DeviceSparse } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import { orRelease } from "../../core/release.ts";
import type { Value } from "../../ops/value.ts";
import { isSparse, type Projection } from "../matrix.ts";
import type { NeuronTypes } from "../neuronTypes.ts";
import {
  type ConnectomeNetworkOptions,
  filled,
  type Gate,
  gatesOf,
  hasTimeConstants,
  type PerNeuronOrType,
  type ResolvedNeurons,
  resolveNeurons,
  weightConstraintOf,
} from "../options.ts";
import {
  bindingsOf,
  type Parameter,
  type ParameterFacts,
  type ParameterRole,
  type ParameterSpec,
  trainedLeaves,
} from "../parameters/parameter.ts";
import type { ParameterSet } from "../parameters/parameterSet.ts";
import { driveLeaves, leafOfGate, type RateShape } from "../rateDynamics.ts";
import type { ActiveInterventions } from "./chunks.ts";
import { outputValue } from "./projectionPrograms.ts";

/** Before the names of a network's parameters. Files of a network without a read-out lack it. */
export const NETWORK_PREFIX = "rnn.";

/** What the dynamics has gradients for, in this order. */
const DYNAMICS: readonly ParameterRole[] = ["weights", "time constants", "biases"];

/** The parameters of a network, in the order in which files have them. */
export function networkParameters(o: ConnectomeNetworkOptions, { tau, bias }: ResolvedNeurons): ParameterSpec[] {
  const { trainConnectome = true, trainInputProjection = true, trainOutputProjection = true, trainTau = true } = o;
  const { trainBias = trainConnectome } = o;
  const { inputProjection: U, outputProjection: H, connectomeBias = true, outputProjectionBias = true } = o;
  return [
    connections(o, trainConnectome),
    ...(connectomeBias ? [biases(bias, trainBias)] : []),
    ...(U ? [projection("ih", "input", U, trainInputProjection)] : []),
    ...gateParameters(o, { connections: trainConnectome, bias: trainBias, input: trainInputProjection }),
    ...(H ? [projection("ho", "output", H, trainOutputProjection)] : []),
    ...(H && outputProjectionBias ? [outputBias(H, trainOutputProjection)] : []),
    ...(hasTimeConstants(o.dynamics ?? "rate") ? [timeConstants(tau, trainTau)] : []),
  ];
}

function connections(o: ConnectomeNetworkOptions, trainable: boolean): ParameterSpec {
  const { connectome: matrix, sharedWeights: shared } = o;
  const facts = { role: "weights", leaf: "hh", trainable, constraint: weightConstraintOf(o), matrix } as const;
  const values = `${NETWORK_PREFIX}hh.values`;
  if (!shared) return { name: values, of: "connections", values: matrix.values, ...facts };
  const name = `${NETWORK_PREFIX}hh.strength`;
  return {
    name,
    of: "groups of connections",
    values: filled(shared.strengthInit ?? 1, shared.nGroups),
    shared: { by: shared.group, factor: matrix.values, dictionary: { own: name, spread: values } },
    ...facts,
  };
}

/** Of gated networks: matrices and biases of the gates, and b_h. Biases begin at 0. */
function gateParameters(
  o: ConnectomeNetworkOptions,
  trained: Readonly<Record<"connections" | "bias" | "input", boolean>>,
): ParameterSpec[] {
  const { connectome, inputProjection: U, connectomeBias = true, gates = {}, numNeurons: n } = o;
  const own = gatesOf(o);
  if (own.length === 0 || !U) return [];
  const bias = (name: string, leaf: string): ParameterSpec[] => {
    const facts = { role: "biases", of: "neurons", shape: [n, 1], trainable: trained.bias } as const;
    return connectomeBias ? [{ name: `${NETWORK_PREFIX}${name}`, leaf, values: new Float64Array(n), ...facts }] : [];
  };
  const ofGate = (gate: Gate): ParameterSpec[] => {
    const { connections: W = 0, input = 0 } = gates[gate] ?? {};
    const named = (leaf: string) => `${NETWORK_PREFIX}${leaf}_${gate}`;
    const matrix = { ...connectome, values: Float64Array.from(filled(W, connectome.nnz)) };
    const inputs = { ...U, values: Float64Array.from(filled(input, U.values.length)) };
    const facts = { role: "weights", of: "connections", trainable: trained.connections } as const;
    return [
      { name: `${named("hh")}.values`, leaf: leafOfGate("hh", gate), matrix, values: matrix.values, ...facts },
      ...bias(`hh_${gate}.bias`, leafOfGate("bias", gate)),
      { ...projection("ih", "input", inputs, trained.input, `_${gate}`), leaf: leafOfGate("ih", gate) },
    ];
  };
  return [...bias("hh.recurrent_bias", "bias.recurrent"), ...own.flatMap(ofGate)];
}

function biases(bias: PerNeuronOrType, trainable: boolean): ParameterSpec {
  const name = `${NETWORK_PREFIX}hh.bias`;
  const dictionary = { own: `${NETWORK_PREFIX}hh.type_bias`, spread: name };
  return { name, role: "biases", leaf: "bias", trainable, ...perNeuron(bias, dictionary) };
}

function timeConstants(tau: PerNeuronOrType, trainable: boolean): ParameterSpec {
  const name = `${NETWORK_PREFIX}tau`;
  // torch-biopl shares time constants as well.
  return { name, role: "time constants", leaf: "tau", trainable, constraint: { min: 1 }, ...perNeuron(tau, null) };
}

function perNeuron(
  { values, typeIdx: by }: PerNeuronOrType,
  dictionary: { readonly own: string; readonly spread: string } | null,
): Pick<ParameterFacts, "of" | "shape" | "shared"> & { readonly values: Float64Array } {
  const shape = [values.length, 1];
  if (!by) return { of: "neurons", shape, values };
  return { of: "neuron types", shape, values, shared: { by, factor: null, dictionary } };
}

function projection(
  leaf: "ih" | "ho",
  role: ParameterRole,
  m: Projection,
  trainable: boolean,
  suffix = "",
): ParameterSpec {
  const facts = { role, of: "connections", leaf, trainable, values: m.values } as const;
  const name = `${NETWORK_PREFIX}${leaf}${suffix}`;
  if (isSparse(m)) return { name: `${name}.values`, matrix: m, ...facts };
  return { name: `${name}.weight`, shape: [m.nRows, m.nCols], ...facts };
}

function outputBias(H: Projection, trainable: boolean): ParameterSpec {
  const { nRows } = H;
  return {
    name: `${NETWORK_PREFIX}ho.bias`,
    role: "output",
    of: "outputs",
    leaf: "ho.bias",
    trainable,
    shape: isSparse(H) ? [nRows, 1] : [nRows],
    values: new Float64Array(nRows),
  };
}

/** A network's options, parameters and facts of neurons on a device; its programs bind them. */
export class NetworkParameters {
  readonly backend: Backend;
  readonly options: ConnectomeNetworkOptions;
  readonly set: ParameterSet;
  readonly nOutputs: number;
  readonly types: NeuronTypes | null;
  /** ±1 per neuron; null: all excitatory. */
  readonly signs: Float64Array | null;
  /** The input projections: none (the input is the drive), or one per drive. */
  readonly inputs: readonly Parameter[];
  /** Leaves of what they give: of the state, and of each gate. */
  readonly drives: readonly string[];
  /** The output projection and its bias. */
  readonly output: readonly Parameter[];
  readonly #dynamics: readonly Parameter[];
  readonly #rows: Readonly<Record<string, DeviceBuffer>>;
  readonly #desk: Desk;
  readonly #shape: Omit<RateShape, "steps">;

  /** @param set  where the parameters are registered; it stays its owner's */
  constructor(backend: Backend, options: ConnectomeNetworkOptions, set: ParameterSet) {
    const neurons = resolveNeurons(options);
    const { signs, nonlinearityIdx, nonlinearities, types } = neurons;
    const { numNeurons: n, connectome, outputProjection, dynamics = "rate" } = options;
    this.backend = backend;
    this.options = options;
    this.set = set;
    this.types = types;
    this.signs = signs;
    this.nOutputs = outputProjection?.nRows ?? n;
    const parameters = networkParameters(options, neurons).map((spec) => set.add(spec));
    const ofRole = (role: ParameterRole) => parameters.filter((p) => p.role === role);
    this.#dynamics = DYNAMICS.flatMap(ofRole);
    this.inputs = ofRole("input");
    this.drives = driveLeaves(dynamics);
    this.output = ofRole("output");
    this.#desk = new Desk(backend, backend.layoutFor(1), "ConnectomeNetwork");
    this.#rows = orRelease(this.#desk, () => ({
      ...this.#row("sign", signs),
      ...this.#row("nonlinearity", nonlinearityIdx),
    }));
    this.#shape = {
      nNeurons: n,
      nnz: connectome.nnz,
      nonlinearities,
      signed: signs !== null,
      bias: ofRole("biases").length > 0,
      dynamics,
    };
  }

  #row(name: string, values: Float64Array | null): Record<string, DeviceBuffer> {
    if (!values) return {};
    const buffer = this.#desk.vector(`neuron ${name}`, values.length);
    this.backend.upload(buffer, values);
    return { [name]: buffer };
  }

  /** The rate model's shape for a sequence of `steps` inputs, with the interventions of a run. */
  rateShape(steps: number, active: ActiveInterventions | null = null): RateShape {
    return { ...this.#shape, steps, ...(active && { held: active.held, muted: active.muted }) };
  }

  /** W on the device. */
  get connections(): DeviceSparse {
    return this.#dynamics.find(({ leaf }) => leaf === "hh")!.sparse!;
  }

  /** Connections that a step walks: those of W, and of the gates' matrices. */
  get walked(): number {
    return this.#dynamics.reduce((sum, { role, sparse }) => sum + (role === "weights" ? sparse!.nnz : 0), 0);
  }

  /** Names of the leaves of the dynamics whose gradient is wanted. */
  trainedLeaves(): string[] {
    return [...trainedLeaves(this.#dynamics), ...(this.needsDrive ? this.drives : [])];
  }

  /** The cotangent of the drive is wanted for the input projection or the input itself. */
  get needsDrive(): boolean {
    return (this.options.inputGradient ?? false) || this.inputs.some(({ trainable }) => trainable);
  }

  /** What the dynamics binds besides its state and its input; `connections`: W, or some of its rows. */
  dynamicsInputs(connections: Bindable = this.connections): Record<string, Bindable> {
    const inputs: Record<string, Bindable> = { ...this.#rows };
    for (const { leaf, bindable } of this.#dynamics) inputs[leaf] = leaf === "hh" ? connections : bindable;
    return inputs;
  }

  /** Where the gradients of the dynamics' trained leaves go. */
  dynamicsGradients(): Record<string, DeviceBuffer> {
    return Object.fromEntries(
      this.#dynamics.flatMap(({ leaf, gradTarget }) => (gradTarget ? [[leaf, gradTarget]] : [])),
    );
  }

  /** Adds the output projection to a graph: features as a function of the state leaf `h`. */
  outputGraph(g: Graph): Value {
    const { outputProjection = null, numNeurons } = this.options;
    return outputValue(g, outputProjection, numNeurons, this.output.length > 1);
  }

  /** What programs that contain `outputGraph` bind, besides `h`: the projection and where its gradients go. */
  outputBindings(): Record<string, Bindable> {
    return bindingsOf(this.output);
  }

  /** Leaves of `outputGraph` whose gradient is wanted. */
  outputTrainedLeaves(): string[] {
    return trainedLeaves(this.output);
  }

  /** Releases what it keeps besides the parameters. */
  release(): void {
    this.#desk.release();
  }
}
