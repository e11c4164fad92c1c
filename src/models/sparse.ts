// Plain sparse layers and recurrent networks, the building blocks under the connectome models: no signs of neurons, no time constants,
// no rectification. The equations are those of torch-biopl's SparseLinear, SparseRNN and SparseODERNN.

import type { Graph } from "../autodiff/graph.ts";
import type { Backend } from "../backend/backend.ts";
import { Desks } from "../backend/desk.ts";
import { callsOf } from "../core/callQueue.ts";
import type { Csr } from "../core/csr.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { orRelease } from "../core/release.ts";
import { ConnectomeODERNN, type SolveOptions } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN } from "./connectomeRnn.ts";
import type { Constraint } from "./constraint.ts";
import { checkMatrix, type Projection } from "./matrix.ts";
import { outputProgram, outputReverseProgram, outputValue } from "./network/projectionPrograms.ts";
import type { StepSettings } from "./network/stepEvolution.ts";
import type { ConnectomeNetworkOptions } from "./options.ts";
import { bindingsOf, trainedLeaves } from "./parameters/parameter.ts";
import { ParameterSet } from "./parameters/parameterSet.ts";

/** A plain network in discrete time. */
export interface SparseRNNOptions extends StepSettings {
  /** Numbers per sample and time step. */
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** W, [hiddenSize, hiddenSize]. */
  readonly connectivityHh: Csr;
  /** U, [hiddenSize, inputSize], sparse or dense; absent: the input is added as it is (inputSize = hiddenSize). */
  readonly connectivityIh?: Projection | null;
  /** A torch.nn module's name, or several joined by commas; default "Sigmoid". */
  readonly nonlinearity?: string | null;
  /** Default true. */
  readonly bias?: boolean;
  readonly trainHh?: boolean;
  readonly trainIh?: boolean;
  /** Default { min: 0 }, as in torch-biopl; weights below it are refused, unless it says `clamp: true`. */
  readonly weightConstraint?: Constraint;
  /** true (default): sequences are [batch, time, …]; false: [time, batch, …]. */
  readonly batchFirst?: boolean;
  /** Also compute gradients with respect to the input; default false. */
  readonly inputGradient?: boolean;
}

/** A plain network in continuous time. */
export interface SparseODERNNOptions extends Omit<SparseRNNOptions, keyof StepSettings> {
  readonly solve?: SolveOptions;
}

/** h ← φ( U·x_k + W·h + b ); outputs are the states after each step. Parameters: rnn.hh.values, rnn.hh.bias, rnn.ih.*. */
export class SparseRNN extends ConnectomeRNN {
  constructor(backend: Backend, options: SparseRNNOptions) {
    const { memoryBudgetBytes, lightCone = true } = options;
    const budget = memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes };
    super(backend, { ...networkOptions(options), ...budget, lightCone });
  }
}

/** dh/dt = φ( U·x(t) + W·h + b ) − h, solved per sample. Parameters: rnn.hh.values, rnn.hh.bias, rnn.ih.*. */
export class SparseODERNN extends ConnectomeODERNN {
  constructor(backend: Backend, options: SparseODERNNOptions) {
    const { solve } = options;
    super(backend, { ...networkOptions(options), ...(solve ? { solve } : {}) });
  }
}

/** The same network in the terms of the connectome models. */
function networkOptions(o: SparseRNNOptions): ConnectomeNetworkOptions {
  return {
    inputSize: o.inputSize,
    numNeurons: o.hiddenSize,
    connectome: o.connectivityHh,
    inputProjection: o.connectivityIh ?? null,
    neuronNonlinearity: o.nonlinearity === undefined ? "Sigmoid" : o.nonlinearity,
    connectomeBias: o.bias ?? true,
    trainConnectome: o.trainHh ?? true,
    trainInputProjection: o.trainIh ?? true,
    batchFirst: o.batchFirst ?? true,
    inputGradient: o.inputGradient ?? false,
    dynamics: "plain",
    ...(o.weightConstraint === undefined ? {} : { weightConstraint: o.weightConstraint }),
  };
}

/** A linear layer with a sparse matrix. */
export interface SparseLinearOptions {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** W, [outFeatures, inFeatures]. */
  readonly connectivity: Csr;
  /** Default true; zero at the start. */
  readonly bias?: boolean;
  /** Default true. */
  readonly trainable?: boolean;
}

/** y = W·x + b with a sparse W. Parameters: `values` (row-major), `bias`. */
export class SparseLinear {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly options: SparseLinearOptions;
  readonly #desks: Desks;

  constructor(backend: Backend, options: SparseLinearOptions) {
    const { inFeatures, outFeatures, connectivity, bias = true, trainable = true } = options;
    checkMatrix("SparseLinear", "connectivity", connectivity, outFeatures, inFeatures);
    this.backend = backend;
    this.options = options;
    this.#desks = new Desks(backend, "SparseLinear");
    const parameters = new ParameterSet(backend);
    this.parameters = parameters;
    orRelease({ release: () => parameters.dispose() }, () => {
      parameters.add({ name: "values", leaf: "ho", matrix: connectivity, values: connectivity.values, trainable });
      if (bias) parameters.add({ name: "bias", leaf: "ho.bias", values: new Float64Array(outFeatures), trainable });
    });
  }

  /** @param x [batch, inFeatures] @returns [batch, outFeatures] */
  async forward(x: ArrayLike<number>): Promise<FloatArray> {
    return callsOf(this.parameters).run("forward", async () => (await this.#run(x, null)).y);
  }

  /** Pulls `ctY` [batch, outFeatures] back to x, and adds the gradients to those of `parameters`. */
  async vjp(x: ArrayLike<number>, ctY: ArrayLike<number>): Promise<{ y: FloatArray; x: FloatArray }> {
    return callsOf(this.parameters).run("vjp", async () => {
      const { y, ctX } = await this.#run(x, ctY);
      return { y, x: ctX! };
    });
  }

  async #run(x: ArrayLike<number>, ctY: ArrayLike<number> | null): Promise<{ y: FloatArray; ctX: FloatArray | null }> {
    const { backend, parameters } = this;
    const { inFeatures: nIn, outFeatures: nOut, connectivity, bias = true } = this.options;
    const batch = x.length / nIn;
    if (batch < 1 || !Number.isInteger(batch))
      throw new ShapeError("SparseLinear", "x", `a whole number of samples of ${nIn} features`, `${x.length} numbers`);
    if (ctY && ctY.length !== batch * nOut)
      throw new ShapeError("SparseLinear", "ctY", `${batch} × ${nOut} numbers`, `${ctY.length}`);
    checkFinite("SparseLinear", "x", x, backend.dtype);
    if (ctY) checkFinite("SparseLinear", "ctY", ctY, backend.dtype);
    parameters.refresh();
    const y = floatArray(backend.dtype, batch * nOut);
    const ctX = ctY && floatArray(backend.dtype, x.length);
    const lanes = backend.lanesFor(Math.max(nIn, nOut));
    for (let first = 0; first < batch; first += lanes) {
      const part = { first, count: Math.min(lanes, batch - first) };
      const desk = this.#desks.of(backend.layoutFor(part.count));
      const bindings = {
        ...bindingsOf(parameters.all()),
        h: desk.put(desk.state("x", nIn), x, part),
        out: desk.state("y", nOut),
      };
      const output = (g: Graph) => outputValue(g, connectivity, nIn, bias);
      desk.run(
        desk.program("forward", () => outputProgram(output)),
        bindings,
      );
      await desk.take(bindings.out, y, part);
      if (!ctY || !ctX) continue;
      const cotangents = {
        "ct.out": desk.put(desk.state("ct y", nOut), ctY, part, "zero"),
        "ct.h": desk.state("ct x", nIn),
      };
      desk.run(
        desk.program("reverse", () => outputReverseProgram(output, trainedLeaves(parameters.all()))),
        { ...bindings, ...cotangents },
      );
      await desk.take(cotangents["ct.h"], ctX, part);
    }
    return { y, ctX };
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this.parameters).end(() => this.#desks.release());
    this.parameters.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
