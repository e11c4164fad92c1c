// Plain sparse layers and recurrent networks, the building blocks under the connectome models: no signs of neurons, no time constants,
// no rectification. The equations are those of torch-biopl's SparseLinear, SparseRNN and SparseODERNN.

import type { Graph } from "../autodiff/graph.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import { clearUnusedLanes, lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { callsOf } from "../core/callQueue.ts";
import type { Csr } from "../core/csr.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { ConnectomeODERNN, type SolveOptions } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN } from "./connectomeRnn.ts";
import type { Constraint } from "./constraint.ts";
import { checkMatrix, type Projection } from "./matrix.ts";
import type { ConnectomeNetworkOptions } from "./options.ts";
import { ParameterSet } from "./parameters.ts";
import { outputProgram, outputReverseProgram, outputValue } from "./projection.ts";

/** A plain network in discrete time. */
export interface SparseRNNOptions {
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
export interface SparseODERNNOptions extends SparseRNNOptions {
  readonly solve?: SolveOptions;
}

/** h ← φ( U·x_k + W·h + b ); outputs are the states after each step. Parameters: rnn.hh.values, rnn.hh.bias, rnn.ih.*. */
export class SparseRNN extends ConnectomeRNN {
  constructor(backend: Backend, options: SparseRNNOptions) {
    super(backend, networkOptions(options));
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
  readonly #sessions = new Map<string, Session>();

  constructor(backend: Backend, options: SparseLinearOptions) {
    const { inFeatures, outFeatures, connectivity, bias = true, trainable = true } = options;
    checkMatrix("SparseLinear", "connectivity", connectivity, outFeatures, inFeatures);
    this.backend = backend;
    this.options = options;
    this.parameters = new ParameterSet(backend);
    this.parameters.addSparse("values", connectivity, { trainable });
    if (bias) this.parameters.addVector("bias", new Float64Array(outFeatures), { trainable });
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
    const { inFeatures: nIn, outFeatures: nOut } = this.options;
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
      const count = Math.min(lanes, batch - first);
      await this.#chunk(x, y, ctY, ctX, first, count);
    }
    return { y, ctX };
  }

  /** Samples first … first + count − 1. */
  async #chunk(
    x: ArrayLike<number>,
    y: FloatArray,
    ctY: ArrayLike<number> | null,
    ctX: FloatArray | null,
    first: number,
    count: number,
  ): Promise<void> {
    const { backend } = this;
    const { inFeatures: nIn, outFeatures: nOut } = this.options;
    const { layout, buffers, forward, reverse } = this.#session(backend.layoutFor(count));
    const at = (width: number) => (s: number, row: number) => (first + s) * width + row;
    const pack = (data: ArrayLike<number>, rows: number) =>
      packState(data, at(rows), count, rows, layout, floatArray(backend.dtype, rows * lanesOf(layout)));
    backend.upload(buffers.h, pack(x, nIn));
    backend.run(forward);
    unpackState(await backend.download(buffers.out), y, at(nOut), count, nOut, layout);
    if (!ctY || !ctX) return;
    const cotangent = pack(ctY, nOut);
    clearUnusedLanes(cotangent, count, nOut, layout);
    backend.upload(buffers["ct.out"], cotangent);
    backend.run(reverse);
    unpackState(await backend.download(buffers["ct.h"]), ctX, at(nIn), count, nIn, layout);
  }

  #session(layout: PanelLayout): Session {
    const key = `${layout.panel}x${layout.panels}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const { backend, parameters } = this;
    const { inFeatures, outFeatures, connectivity } = this.options;
    const lanes = lanesOf(layout);
    const buffers = {
      h: backend.buffer("x", inFeatures * lanes),
      "ct.h": backend.buffer("ct x", inFeatures * lanes),
      out: backend.buffer("y", outFeatures * lanes),
      "ct.out": backend.buffer("ct y", outFeatures * lanes),
    };
    const leaves = parameters.all().map((p) => [p.name === "bias" ? "ho.bias" : "ho", p] as const);
    const bindings: Record<string, Bindable> = { ...buffers };
    for (const [leaf, { bindable, gradTarget }] of leaves) {
      bindings[leaf] = bindable;
      if (gradTarget) bindings[`grad.${leaf}`] = gradTarget;
    }
    const output = (g: Graph) => outputValue(g, connectivity, inFeatures, leaves.length > 1);
    const trained = leaves.flatMap(([leaf, p]) => (p.trainable ? [leaf] : []));
    const bind = (program: Program) => compileAndBind(backend, program, layout, bindings);
    const forward = bind(outputProgram(output));
    const reverse = bind(outputReverseProgram(output, trained));
    const session = { layout, buffers, forward, reverse };
    this.#sessions.set(key, session);
    return session;
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this.parameters).end(() => {
      for (const { buffers, forward, reverse } of this.#sessions.values())
        for (const part of [...Object.values(buffers), forward, reverse]) part.release();
      this.#sessions.clear();
    });
    this.parameters.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Buffers and programs of a layer for one panel layout, by the leaves of the output projection's graph. */
interface Session {
  readonly layout: PanelLayout;
  readonly buffers: Readonly<Record<"h" | "ct.h" | "out" | "ct.out", DeviceBuffer>>;
  readonly forward: BoundProgram;
  readonly reverse: BoundProgram;
}
