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
import type { RateShape } from "../rateDynamics.ts";
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
    ...(H ? [projection("ho", "output", H, trainOutputProjection)] : []),
    ...(H && outputProjectionBias ? [outputBias(H, trainOutputProjection)] : []),
    ...(o.dynamics === "plain" ? [] : [timeConstants(tau, trainTau)]),
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

function projection(leaf: "ih" | "ho", role: ParameterRole, m: Projection, trainable: boolean): ParameterSpec {
  const facts = { role, of: "connections", leaf, trainable, values: m.values } as const;
  if (isSparse(m)) return { name: `${NETWORK_PREFIX}${leaf}.values`, matrix: m, ...facts };
  return { name: `${NETWORK_PREFIX}${leaf}.weight`, shape: [m.nRows, m.nCols], ...facts };
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
  /** The input projection; null: the input is the drive. */
  readonly input: Parameter | null;
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
    this.input = ofRole("input")[0] ?? null;
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
    return this.#dynamics.find(({ role }) => role === "weights")!.sparse!;
  }

  /** Names of the leaves of the dynamics whose gradient is wanted. */
  trainedLeaves(): string[] {
    return [...trainedLeaves(this.#dynamics), ...(this.needsDrive ? ["drive"] : [])];
  }

  /** The cotangent of the drive is wanted for the input projection or the input itself. */
  get needsDrive(): boolean {
    return (this.options.inputGradient ?? false) || (this.input?.trainable ?? false);
  }

  /** What the dynamics binds besides its state and its input; `connections`: W, or some of its rows. */
  dynamicsInputs(connections: Bindable = this.connections): Record<string, Bindable> {
    const inputs: Record<string, Bindable> = { ...this.#rows };
    for (const { leaf, role, bindable } of this.#dynamics) inputs[leaf] = role === "weights" ? connections : bindable;
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
