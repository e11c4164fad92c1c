// What continuous and discrete connectome networks share: parameters, projections, layouts, and the walk over the chunks of a
// batch. Batches of any size run in chunks of as many lanes as the device takes at once, so memory does not grow with the batch.

import type { Graph } from "../autodiff/graph.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import { clearUnusedLanes, lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { type Abortable, turnUnlessAborted } from "../core/abort.ts";
import { callsOf } from "../core/callQueue.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import { checkFinite, findNonFinite } from "../core/finite.ts";
import { addProgram } from "../ode/programs.ts";
import type { StartedSolve } from "../ode/request.ts";
import { failedSamples, type SolveStats } from "../ode/solveStats.ts";
import type { Value } from "../ops/value.ts";
import { type Cotangents, cotangentsOfLoss, type SampleLoss } from "./lossCotangents.ts";
import { isSparse, type Projection } from "./matrix.ts";
import type { NeuronTypes } from "./neuronTypes.ts";
import {
  type ConnectomeNetworkOptions,
  filled,
  type InputGradients,
  type ModelInput,
  type PerNeuronOrType,
  type ResolvedNeurons,
  resolveNeurons,
  weightConstraintOf,
} from "./options.ts";
import { type ParameterOptions, ParameterSet } from "./parameters.ts";
import { outputProgram, outputReverseProgram, outputValue, projectProgram, unprojectProgram } from "./projection.ts";
import { type RateShape, responseProgram } from "./rateDynamics.ts";
import { gatherSamples, rowAt, type SampleRows, sampleAt, scatterSamples } from "./samples.ts";

/** One chunk of a batch on the device after its run. */
export interface NetworkChunk {
  readonly first: number;
  readonly count: number;
  readonly layout: PanelLayout;
  /** Names the buffers behind it: chunks of equal key share them. */
  readonly key: string;
  /** State at each output time. */
  readonly hs: readonly DeviceBuffer[];
  /** Room for their cotangents. */
  readonly ctHs: readonly DeviceBuffer[];
  /** Solver statistics; null for a discrete model. */
  readonly stats: SolveStats | null;
  /** Samples of the chunk, from 0, that did not reach their end: with them there is no reverse. */
  readonly failed: readonly number[];
}

/** What is known of a chunk when its run has been enqueued. */
export interface StartedChunk extends ChunkStates {
  /** Scalar on the device: 1 once the states are there. Guards what is enqueued on them before `settle` (see Guard). */
  readonly complete: DeviceBuffer;
  /**
   * Waits for the states, and reads small buffers along with what it has to know. null: the states were not complete but will be;
   * enqueue again what depends on them, and settle again.
   */
  settle(more: readonly DeviceBuffer[]): Promise<SettledChunk | null>;
}

/** A part of a batch whose states are complete. */
export interface SettledChunk extends Pick<NetworkChunk, "stats" | "failed"> {
  /** Numbers of the buffers that were read along. */
  readonly values: readonly ArrayLike<number>[];
}

/** What of a chunk its states and their cotangents are. */
export type ChunkStates = Omit<NetworkChunk, "stats" | "failed">;

/** What a run is for: states alone; or a loss, or its gradients (recorded for the reverse pass), which need every sample or its mask. */
export type RunPurpose = "states" | "loss" | "gradients";

/** Cotangents that leave the dynamics, on the device. */
export interface ChunkGradients {
  readonly ctY0: DeviceBuffer;
  /** Cotangent of the input at time step k; only with `inputGradient`. */
  readonly ctX: (k: number) => Promise<ArrayLike<number>>;
}

/** Host copies of a run. */
export interface NetworkOutputs {
  /** [batch, times, outputs], or time first. */
  readonly outs: FloatArray;
  /** [batch, times, numNeurons], or time first. */
  readonly hs: FloatArray;
  readonly stats: SolveStats[];
}

/** Device buffers for chunks of one shape. */
export interface ChunkBuffers {
  readonly key: string;
  readonly layout: PanelLayout;
  readonly steps: number;
  readonly all: DeviceBuffer[];
  readonly x: readonly DeviceBuffer[];
  readonly drive: DeviceBuffer;
  /** Constant per-sample vectors k = 0 … steps − 1. */
  readonly stepIndex: readonly DeviceBuffer[];
  readonly y0: DeviceBuffer;
  readonly hs: readonly DeviceBuffer[];
  readonly ctHs: readonly DeviceBuffer[];
  readonly ctY0: DeviceBuffer;
  readonly ctDrive: DeviceBuffer | null;
  readonly ctX: readonly DeviceBuffer[] | null;
  response: Readonly<Record<"offset" | "rate" | "slope", DeviceBuffer>> | null;
  outputs: { readonly outs: DeviceBuffer[]; readonly ctOut: DeviceBuffer } | null;
  /** Room for cotangents of a state that are added. */
  ctState: DeviceBuffer | null;
}

/** Initial state [batch, numNeurons], made when it is needed, and number of output times: what every kind of network is told. */
export interface RunShape {
  readonly h0: () => ArrayLike<number> | null;
  readonly times: number;
}

/** Use ConnectomeODERNN or ConnectomeRNN. `E` says how a run is evaluated (times, initial state). */
export abstract class ConnectomeNetwork<E> {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly options: ConnectomeNetworkOptions;
  readonly nOutputs: number;
  readonly types: NeuronTypes | null;
  /** ±1 per neuron; null: all excitatory. */
  readonly signs: Float64Array | null;
  readonly #ownsParameters: boolean;
  readonly #rows: Record<string, DeviceBuffer> = {};
  readonly #shape: Omit<RateShape, "steps">;
  readonly #chunks = new Map<string, ChunkBuffers>();
  readonly #bound = new Map<string, BoundProgram>();
  readonly #always: DeviceBuffer;

  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  protected constructor(backend: Backend, options: ConnectomeNetworkOptions, parameters?: ParameterSet) {
    const neurons = resolveNeurons(options);
    this.backend = backend;
    this.options = options;
    this.types = neurons.types;
    this.signs = neurons.signs;
    this.#ownsParameters = parameters === undefined;
    this.parameters = parameters ?? new ParameterSet(backend);
    const { numNeurons: n, connectome, outputProjection = null } = options;
    this.nOutputs = outputProjection?.nRows ?? n;
    this.#always = backend.buffer("always", 1);
    backend.fill(this.#always, 1);
    this.#addParameters(neurons);
    if (neurons.signs) this.#addRow("sign", neurons.signs);
    if (neurons.nonlinearityIdx) this.#addRow("nonlinearity", neurons.nonlinearityIdx);
    this.#shape = {
      nNeurons: n,
      nnz: connectome.nnz,
      nonlinearities: neurons.nonlinearities,
      signed: neurons.signs !== null,
      bias: this.#hasBias(),
      dynamics: options.dynamics ?? "rate",
    };
  }

  #addParameters({ tau, bias }: ResolvedNeurons): void {
    const p = this.parameters;
    const o = this.options;
    const trainable = o.trainConnectome ?? true;
    const weights = { trainable, constraint: weightConstraintOf(o) };
    const shared = o.sharedWeights;
    if (shared) {
      const strengths = filled(shared.strengthInit ?? 1, shared.nGroups);
      p.addSharedSparse("rnn.hh.strength", o.connectome, strengths, shared.group, weights);
    } else p.addSparse("rnn.hh.values", o.connectome, weights);
    const perNeuron = (name: string, { values, typeIdx }: PerNeuronOrType, options: ParameterOptions) =>
      p.addVector(name, values, typeIdx ? { ...options, spreadBy: typeIdx } : options);
    if (this.#hasBias()) perNeuron("rnn.hh.bias", bias, { trainable });
    const projection = (name: string, m: Projection, isTrained: boolean) => {
      if (isSparse(m)) p.addSparse(`${name}.values`, m, { trainable: isTrained });
      else p.addVector(`${name}.weight`, m.values, { trainable: isTrained });
    };
    if (o.inputProjection) projection("rnn.ih", o.inputProjection, this.#trainsInput());
    if (o.outputProjection) {
      const isTrained = o.trainOutputProjection ?? true;
      projection("rnn.ho", o.outputProjection, isTrained);
      if (this.#hasOutputBias()) {
        p.addVector("rnn.ho.bias", new Float64Array(o.outputProjection.nRows), { trainable: isTrained });
      }
    }
    if (this.#isPlain()) return;
    perNeuron("rnn.tau", tau, { trainable: o.trainTau ?? true, constraint: { min: 1 } });
  }

  #addRow(name: string, values: Float64Array): void {
    const buffer = this.backend.buffer(`neuron ${name}`, values.length);
    this.backend.upload(buffer, values);
    this.#rows[name] = buffer;
  }

  // ---- for subclasses --------------------------------------------------------------------------------------------------

  /** Output times of a run and its initial state; checks what the evaluation says. */
  protected abstract shapeOf(input: ModelInput, evaluation: E): RunShape;

  /**
   * Enqueues the way of the chunk from `y0` under `drive` into `hs`. For gradients, `pullStates` will follow.
   * @returns the solve; null where there is none, and the states are there
   */
  protected abstract evolve(
    chunk: ChunkBuffers,
    count: number,
    evaluation: E,
    purpose: RunPurpose,
  ): Promise<StartedSolve | null>;

  /** Whether a sample with numbers that are not finite is an error, not a sample that fails. */
  protected abstract refusesNonFinite(): boolean;

  /** @throws when samples of a chunk did not reach their end and that is not allowed; they are counted from `first` */
  protected abstract checkSolved(stats: SolveStats, first: number, purpose: RunPurpose): void;

  /**
   * Cotangents of `hs` → cotangent of `y0` (stored in `ctY0`) and of what the dynamics depends on.
   * @param grads  buffers to add to, by leaf of the dynamics
   */
  protected abstract pullStates(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
  ): void;

  /** The rate model's shape for a sequence of `steps` inputs. */
  protected rateShape(steps: number): RateShape {
    return { ...this.#shape, steps };
  }

  /** Names of the leaves of the dynamics whose gradient is wanted. */
  protected trainedLeaves(): string[] {
    return [...this.#dynamicsGradients().keys(), ...(this.#needsDrive() ? ["drive"] : [])];
  }

  /** What the dynamics binds besides its state. */
  protected dynamicsInputs(chunk: ChunkBuffers): Record<string, Bindable> {
    const p = this.parameters;
    return {
      hh: p.get(this.#weightsName()).bindable,
      ...(this.#isPlain() ? {} : { tau: p.get("rnn.tau").bindable }),
      ...(this.#hasBias() ? { bias: p.get("rnn.hh.bias").bindable } : {}),
      ...this.#rows,
      drive: chunk.drive,
    };
  }

  /** Runs a program on whichever of the given buffers it names; compiled and bound once per key. */
  protected runOnce(
    key: string,
    program: () => Program,
    layout: PanelLayout,
    available: Readonly<Record<string, Bindable | undefined>>,
  ): void {
    let bound = this.#bound.get(key);
    if (!bound) {
      bound = compileAndBind(this.backend, program(), layout, available);
      this.#bound.set(key, bound);
    }
    this.backend.run(bound);
  }

  /** A buffer that lives as long as the chunk's others. */
  protected chunkBuffer(chunk: ChunkBuffers, label: string, length: number): DeviceBuffer {
    const b = this.backend.buffer(label, length);
    chunk.all.push(b);
    return b;
  }

  /** Number of output times of a run. @throws {ArgumentError} what the evaluation asks for makes no sense */
  outputTimes(input: ModelInput, evaluation: E): number {
    return this.shapeOf(input, evaluation).times;
  }

  /** The evaluation with its initial state as numbers. @throws {ArgumentError | ShapeError | SolverError} input or evaluation cannot be taken */
  checked(input: ModelInput, evaluation: E): E {
    this.#checkInput(input);
    const h0 = this.#initialState(input, evaluation);
    return h0 ? { ...evaluation, h0 } : evaluation;
  }

  #initialState(input: ModelInput, evaluation: E): ArrayLike<number> | null {
    const h0 = this.shapeOf(input, evaluation).h0();
    if (h0) this.#checkNumbers("h0", h0, this.#stateRows(input.batch));
    return h0;
  }

  // ---- for read-outs ---------------------------------------------------------------------------------------------------

  /** Runs the batch chunk by chunk; for "gradients", `reverseChunk` is to be called on each chunk before the next one. */
  async *chunks(input: ModelInput, evaluation: E, purpose: RunPurpose): AsyncGenerator<NetworkChunk> {
    for await (const chunk of this.startedChunks(input, evaluation, purpose)) {
      const { stats, failed } = await settled(chunk);
      yield { ...chunk, stats, failed };
    }
  }

  /** `chunks` without waiting for the device. */
  async *startedChunks(input: ModelInput, evaluation: E, purpose: RunPurpose): AsyncGenerator<StartedChunk> {
    const steps = this.#checkInput(input);
    const { times } = this.shapeOf(input, evaluation);
    const h0 = this.#initialState(input, evaluation);
    this.parameters.refresh();
    const { numNeurons, inputSize } = this.options;
    // The drive of a sequence is one array.
    const lanes = this.backend.lanesFor(Math.max(steps * numNeurons, inputSize, this.nOutputs));
    const { signal } = evaluation as Abortable;
    for (let first = 0; first < input.batch; first += lanes) {
      await turnUnlessAborted(signal);
      const count = Math.min(lanes, input.batch - first);
      const chunk = this.#buffers(this.backend.layoutFor(count), steps, times);
      this.#uploadInput(chunk, input, first, count, h0);
      const solve = await this.evolve(chunk, count, evaluation, purpose);
      const { layout, key, hs, ctHs } = chunk;
      const complete = solve?.complete ?? this.#always;
      const settle = async (more: readonly DeviceBuffer[]): Promise<SettledChunk | null> => {
        const record = solve?.record() ?? [];
        const all = await this.backend.downloadAll([...record, ...more]);
        const stats = solve ? await solve.poll(all.slice(0, record.length)) : null;
        if (solve && !stats) return null;
        if (stats) this.checkSolved(stats, first, purpose);
        return { stats, failed: stats ? failedSamples([stats]) : [], values: all.slice(record.length) };
      };
      yield { first, count, layout, key, hs, ctHs, complete, settle };
    }
  }

  /** The samples `kept` of a batch, as a batch of their own. */
  selectSamples(input: ModelInput, evaluation: E, kept: readonly number[]): { input: ModelInput; evaluation: E } {
    const h0 = this.shapeOf(input, evaluation).h0();
    const data = gatherSamples(input.data, this.inputRows(input), kept);
    return {
      input: { ...input, data, batch: kept.length },
      evaluation: h0 ? { ...evaluation, h0: gatherSamples(h0, this.#stateRows(input.batch), kept) } : evaluation,
    };
  }

  /** How the samples lie in an input. */
  inputRows({ batch, steps = 1 }: ModelInput): SampleRows {
    return this.rowsOf(batch, steps, this.options.inputSize);
  }

  /** How the samples lie in states, outputs and inputs on the host. */
  protected rowsOf(batch: number, times: number, width: number): SampleRows {
    return { batch, times, width, batchFirst: this.options.batchFirst ?? true };
  }

  /** Cotangents of the chunk's states → gradients of the parameters (added); call it after the chunk's recorded run. */
  reverseChunk(chunk: ChunkStates, ctHs: readonly (DeviceBuffer | null)[]): ChunkGradients {
    const buffers = this.#buffersOf(chunk);
    const { ctDrive, ctX, steps } = buffers;
    const grads: Record<string, DeviceBuffer> = Object.fromEntries(this.#dynamicsGradients());
    if (ctDrive) {
      this.backend.fill(ctDrive, 0);
      grads.drive = ctDrive;
    }
    this.pullStates(buffers, ctHs, grads);
    if (ctDrive && this.options.inputProjection) for (let k = 0; k < steps; k++) this.#project(buffers, k, true);
    const length = this.options.inputSize * lanesOf(chunk.layout);
    return {
      ctY0: buffers.ctY0,
      ctX: (k) => (ctX ? this.backend.download(ctX[k]!) : this.backend.download(ctDrive!, k * length, length)),
    };
  }

  /** What each neuron puts out at the last output time of a chunk, and the slope of its nonlinearity there; [sample][neuron]. */
  async responsesOf(chunk: NetworkChunk): Promise<{ readonly rate: FloatArray; readonly slope: FloatArray }> {
    const buffers = this.#buffersOf(chunk);
    const { numNeurons } = this.options;
    const length = numNeurons * lanesOf(chunk.layout);
    if (!buffers.response) {
      const make = (label: string): DeviceBuffer => this.chunkBuffer(buffers, label, length);
      buffers.response = { offset: make("offset"), rate: make("rate"), slope: make("slope") };
      this.backend.fill(buffers.response.offset, 0);
    }
    const { rate, slope } = buffers.response;
    this.runOnce(`response ${chunk.key}`, () => responseProgram(this.rateShape(buffers.steps)), chunk.layout, {
      ...this.dynamicsInputs(buffers),
      ...buffers.response,
      h: chunk.hs.at(-1)!,
      index: buffers.stepIndex.at(-1),
    });
    const host = async (buffer: DeviceBuffer): Promise<FloatArray> => {
      const values = floatArray(this.backend.dtype, numNeurons * chunk.count);
      const at = (s: number, row: number) => s * numNeurons + row;
      unpackState(await this.backend.download(buffer), values, at, chunk.count, numNeurons, chunk.layout);
      return values;
    };
    return { rate: await host(rate), slope: await host(slope) };
  }

  /** outs = H·h + b for each output time of a chunk, or the states themselves. */
  outputsOf(chunk: ChunkStates): readonly DeviceBuffer[] {
    if (!this.options.outputProjection) return chunk.hs;
    const { outs } = this.#outputBuffers(chunk);
    chunk.hs.forEach((h, j) => {
      this.runOnce(`output ${chunk.key} ${j}`, () => outputProgram((g) => this.outputGraph(g)), chunk.layout, {
        ...this.outputBindings(),
        h,
        out: outs[j]!,
      });
    });
    return outs;
  }

  /** Adds the output projection to a graph: features as a function of the state leaf `h`. */
  outputGraph(g: Graph): Value {
    return outputValue(g, this.options.outputProjection ?? null, this.options.numNeurons, this.#hasOutputBias());
  }

  /** What programs that contain `outputGraph` bind, besides `h`: the projection and where its gradients go. */
  outputBindings(): Record<string, Bindable> {
    const bindings: Record<string, Bindable> = {};
    for (const [leaf, name] of this.#outputLeaves()) {
      const p = this.parameters.get(name);
      bindings[leaf] = p.bindable;
      if (p.gradTarget) bindings[`grad.${leaf}`] = p.gradTarget;
    }
    return bindings;
  }

  /** Leaves of `outputGraph` whose gradient is wanted. */
  outputTrainedLeaves(): string[] {
    return this.#outputLeaves().flatMap(([leaf, name]) => (this.parameters.get(name).trainable ? [leaf] : []));
  }

  /** Writes a chunk's part of the gradient with respect to the input into `target`, in the layout of the input. */
  async readInputGradient(
    chunk: ChunkStates,
    { ctX }: ChunkGradients,
    input: ModelInput,
    target: FloatArray,
  ): Promise<void> {
    const { first, count, layout } = chunk;
    const { inputSize } = this.options;
    const { batch, steps = 1 } = input;
    for (let k = 0; k < steps; k++) {
      const at = (s: number, row: number) => this.#at(first + s, k, row, batch, steps, inputSize);
      unpackState(await ctX(k), target, at, count, inputSize, layout);
    }
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this.parameters).end(() => this.release());
    if (this.#ownsParameters) this.parameters.dispose();
  }

  /** What `dispose` releases, but for the parameters. */
  protected release(): void {
    for (const c of this.#chunks.values()) for (const b of c.all) b.release();
    this.#chunks.clear();
    for (const bound of this.#bound.values()) bound.release();
    this.#bound.clear();
    this.#always.release();
    for (const b of Object.values(this.#rows)) b.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ---- whole batches, on the host ----------------------------------------------------------------------------------------

  /** Runs a batch in its turn; with cotangents of `outs` (same layout), pulls them back and adds the gradients to those of `parameters`. */
  protected run(
    input: ModelInput,
    evaluation: E,
    ctOuts: ArrayLike<number> | null,
  ): Promise<{ outputs: NetworkOutputs; gradients: InputGradients | null }> {
    return callsOf(this.parameters).run(ctOuts ? "vjp" : "forward", async () => {
      const { times } = this.shapeOf(input, evaluation);
      if (!ctOuts) return { outputs: await this.#walk(input, evaluation, null, () => {}), gradients: null };
      this.#checkCotangents(ctOuts, input.batch, times);
      return this.#pull(input, evaluation, { outs: ctOuts, hs: null, ofSample: null });
    });
  }

  /** Runs a batch in its turn; the gradients of the sum of a loss over the samples replace those of `parameters`. */
  protected runWithLoss(
    input: ModelInput,
    evaluation: E,
    loss: SampleLoss,
  ): Promise<{ outputs: NetworkOutputs; gradients: InputGradients; loss: number }> {
    const calls = callsOf(this.parameters);
    return calls.run("gradients", async () => {
      const { times } = this.shapeOf(input, evaluation);
      const checked = this.checked(input, evaluation);
      const rows = (width: number) => this.rowsOf(input.batch, times, width);
      const { dtype } = this.backend;
      const cotangents = cotangentsOfLoss(rows(this.nOutputs), rows(this.options.numNeurons), dtype, (of) =>
        calls.callback("the loss", () => loss(of)),
      );
      this.parameters.clearGradients();
      try {
        return { ...(await this.#pull(input, checked, cotangents)), loss: cotangents.loss() };
      } catch (error) {
        this.parameters.clearGradients();
        throw error;
      }
    });
  }

  /** One walk over the chunks, and what `visit` does with each, whose outputs are on the host by then. */
  async #walk(
    input: ModelInput,
    evaluation: E,
    cotangents: Cotangents | null,
    visit: (chunk: NetworkChunk) => void | Promise<void>,
  ): Promise<NetworkOutputs> {
    const { numNeurons: n } = this.options;
    const { batch } = input;
    const { times } = this.shapeOf(input, evaluation);
    const { dtype } = this.backend;
    const outs = floatArray(dtype, batch * times * this.nOutputs);
    const hs = floatArray(dtype, batch * times * n);
    const stats: SolveStats[] = [];
    for await (const chunk of this.chunks(input, evaluation, cotangents ? "gradients" : "states")) {
      const { first, count, layout, failed } = chunk;
      if (chunk.stats) stats.push(chunk.stats);
      const chunkOuts = this.outputsOf(chunk);
      for (let j = 0; j < times; j++) {
        const at = (width: number) => (s: number, row: number) => this.#at(first + s, j, row, batch, times, width);
        unpackState(await this.backend.download(chunk.hs[j]!), hs, at(n), count, n, layout);
        const out = await this.backend.download(chunkOuts[j]!);
        unpackState(out, outs, at(this.nOutputs), count, this.nOutputs, layout);
      }
      for (let s = 0; s < count; s++) if (!failed.includes(s)) cotangents?.ofSample?.(first + s, outs, hs);
      await visit(chunk);
    }
    return { outs, hs, stats };
  }

  /**
   * Adds the gradients of a batch. From the first chunk with a sample that failed on, the others are run again without those that
   * failed: the chunks are then those of a batch without them.
   */
  async #pull(
    input: ModelInput,
    evaluation: E,
    cotangents: Cotangents,
  ): Promise<{ outputs: NetworkOutputs; gradients: InputGradients }> {
    const { numNeurons: n, inputSize, inputGradient } = this.options;
    const { batch, steps = 1 } = input;
    const { dtype } = this.backend;
    const x = inputGradient ? floatArray(dtype, batch * steps * inputSize) : null;
    const h0 = floatArray(dtype, batch * n);
    const failed = new Set<number>();
    let pulled = 0;
    const outputs = await this.#walk(input, evaluation, cotangents, async (chunk) => {
      for (const s of chunk.failed) failed.add(chunk.first + s);
      if (failed.size > 0) return;
      await this.#pullChunk(chunk, input, cotangents, { x, h0 });
      pulled = chunk.first + chunk.count;
    });
    const kept = Array.from({ length: batch - pulled }, (_, s) => pulled + s).filter((s) => !failed.has(s));
    if (kept.length > 0) await this.#pullSome(input, evaluation, cotangents, kept, { x, h0 });
    else this.parameters.foldGradients();
    return { outputs, gradients: { x, h0 } };
  }

  /** Gradients of the samples `kept` only, run again without the others; writes theirs into `target`. */
  async #pullSome(
    input: ModelInput,
    evaluation: E,
    { outs, hs }: Cotangents,
    kept: readonly number[],
    target: InputGradients,
  ): Promise<void> {
    const { times } = this.shapeOf(input, evaluation);
    const some = this.selectSamples(input, evaluation, kept);
    const rows = (width: number) => this.rowsOf(input.batch, times, width);
    const { gradients } = await this.#pull(some.input, some.evaluation, {
      outs: outs && gatherSamples(outs, rows(this.nOutputs), kept),
      hs: hs && gatherSamples(hs, rows(this.options.numNeurons), kept),
      ofSample: null,
    });
    scatterSamples(gradients.h0, target.h0, this.#stateRows(input.batch), kept);
    if (target.x) scatterSamples(gradients.x!, target.x, this.inputRows(input), kept);
  }

  /** Adds the gradients of a chunk after its recorded run, and writes those of input and initial state into `target`. */
  async #pullChunk(
    chunk: NetworkChunk,
    input: ModelInput,
    { outs, hs }: Cotangents,
    target: InputGradients,
  ): Promise<void> {
    const { numNeurons: n } = this.options;
    const { first, count, layout } = chunk;
    const times = chunk.hs.length;
    for (let j = 0; j < times; j++) {
      const at = (width: number) => (s: number, row: number) => this.#at(first + s, j, row, input.batch, times, width);
      this.#pullOutput(chunk, j, outs, at(this.nOutputs));
      if (hs) this.#addStateCotangent(chunk, j, hs, at(n));
    }
    const back = this.reverseChunk(chunk, chunk.ctHs);
    unpackState(await this.backend.download(back.ctY0), target.h0, (s, row) => (first + s) * n + row, count, n, layout);
    if (target.x) await this.readInputGradient(chunk, back, input, target.x);
  }

  #stateRows(batch: number): SampleRows {
    return { batch, times: 1, width: this.options.numNeurons, batchFirst: true };
  }

  /** Position of (sample, time, row) in a host array [batch, times, width], or [times, batch, width] when time comes first. */
  #at(sample: number, time: number, row: number, batch: number, times: number, width: number): number {
    return rowAt(this.rowsOf(batch, times, width), sample, time) + row;
  }

  #uploadInput(
    chunk: ChunkBuffers,
    input: ModelInput,
    first: number,
    count: number,
    h0: ArrayLike<number> | null,
  ): void {
    const { backend } = this;
    const { inputSize, numNeurons: n, inputProjection } = this.options;
    const { layout, steps } = chunk;
    const staging = floatArray(backend.dtype, inputSize * lanesOf(layout));
    if (inputProjection && steps > 1) backend.fill(chunk.drive, 0);
    for (let k = 0; k < steps; k++) {
      const at = (s: number, row: number) => this.#at(first + s, k, row, input.batch, steps, inputSize);
      packState(input.data, at, count, inputSize, layout, staging);
      if (!inputProjection) backend.upload(chunk.drive, staging, k * staging.length);
      else {
        backend.upload(chunk.x[k]!, staging);
        this.#project(chunk, k, false);
      }
    }
    if (!h0) {
      backend.fill(chunk.y0, 0);
      return;
    }
    const state = floatArray(backend.dtype, n * lanesOf(layout));
    packState(h0, (s, row) => (first + s) * n + row, count, n, layout, state);
    backend.upload(chunk.y0, state);
  }

  // ---- projections -----------------------------------------------------------------------------------------------------

  /** drive_k = U·x_k, or its reverse. */
  #project(chunk: ChunkBuffers, k: number, reverse: boolean): void {
    const U = this.options.inputProjection!;
    const { steps } = chunk;
    const p = this.parameters.get(isSparse(U) ? "rnn.ih.values" : "rnn.ih.weight");
    const program = () =>
      reverse ? unprojectProgram(U, steps, p.trainable, this.options.inputGradient ?? false) : projectProgram(U, steps);
    this.runOnce(`${reverse ? "unproject" : "project"} ${chunk.key} ${k}`, program, chunk.layout, {
      ih: p.bindable,
      x: chunk.x[k],
      index: chunk.stepIndex[k],
      drive: chunk.drive,
      "ct.drive": chunk.ctDrive ?? undefined,
      "grad.ih": p.gradTarget ?? undefined,
      "ct.x": chunk.ctX?.[k],
    });
  }

  /** Host cotangents of the outputs at time j (null: zero) → cotangent of the state, and gradients of the output projection. */
  #pullOutput(
    chunk: NetworkChunk,
    j: number,
    ctOuts: ArrayLike<number> | null,
    at: (sample: number, row: number) => number,
  ): void {
    const { backend } = this;
    const { layout } = chunk;
    if (!ctOuts) {
      backend.fill(chunk.ctHs[j]!, 0);
      return;
    }
    if (!this.options.outputProjection) {
      this.#uploadCotangent(chunk.ctHs[j]!, chunk, ctOuts, at, this.nOutputs);
      return;
    }
    const ct = this.#outputBuffers(chunk).ctOut;
    this.#uploadCotangent(ct, chunk, ctOuts, at, this.nOutputs);
    const program = () => outputReverseProgram((g) => this.outputGraph(g), this.outputTrainedLeaves());
    this.runOnce(`output reverse ${chunk.key} ${j}`, program, layout, {
      ...this.outputBindings(),
      h: chunk.hs[j]!,
      "ct.out": ct,
      "ct.h": chunk.ctHs[j]!,
    });
  }

  /** Adds host cotangents of the states at time j. */
  #addStateCotangent(
    chunk: NetworkChunk,
    j: number,
    ctHs: ArrayLike<number>,
    at: (sample: number, row: number) => number,
  ): void {
    const { numNeurons: n } = this.options;
    const buffers = this.#buffersOf(chunk);
    buffers.ctState ??= this.chunkBuffer(buffers, "ct state", n * lanesOf(chunk.layout));
    this.#uploadCotangent(buffers.ctState, chunk, ctHs, at, n);
    this.runOnce(`add state ${chunk.key} ${j}`, () => addProgram(n), chunk.layout, {
      sum: chunk.ctHs[j]!,
      term: buffers.ctState,
    });
  }

  #uploadCotangent(
    target: DeviceBuffer,
    { count, layout }: NetworkChunk,
    data: ArrayLike<number>,
    at: (sample: number, row: number) => number,
    rows: number,
  ): void {
    const packed = floatArray(this.backend.dtype, rows * lanesOf(layout));
    packState(data, at, count, rows, layout, packed);
    // Lanes without a sample repeat the last one's values, but their cotangent is zero.
    clearUnusedLanes(packed, count, rows, layout);
    this.backend.upload(target, packed);
  }

  #outputBuffers(chunk: ChunkStates): { outs: DeviceBuffer[]; ctOut: DeviceBuffer } {
    const buffers = this.#buffersOf(chunk);
    const length = this.nOutputs * lanesOf(chunk.layout);
    buffers.outputs ??= {
      outs: chunk.hs.map((_, j) => this.chunkBuffer(buffers, `out ${j}`, length)),
      ctOut: this.chunkBuffer(buffers, "ct out", length),
    };
    return buffers.outputs;
  }

  // ---- facts and buffers -------------------------------------------------------------------------------------------------

  #hasBias(): boolean {
    return this.options.connectomeBias ?? true;
  }

  #isPlain(): boolean {
    return this.options.dynamics === "plain";
  }

  #hasOutputBias(): boolean {
    return this.options.outputProjectionBias ?? true;
  }

  #trainsInput(): boolean {
    return this.options.trainInputProjection ?? true;
  }

  /** The cotangent of the drive is wanted for the input projection or the input itself. */
  #needsDrive(): boolean {
    return (this.options.inputGradient ?? false) || (this.options.inputProjection != null && this.#trainsInput());
  }

  #weightsName(): string {
    return this.options.sharedWeights ? "rnn.hh.strength" : "rnn.hh.values";
  }

  /** Where the gradients of the dynamics' trainable leaves go. */
  #dynamicsGradients(): Map<string, DeviceBuffer> {
    const leaves: [string, string][] = [["hh", this.#weightsName()]];
    if (!this.#isPlain()) leaves.push(["tau", "rnn.tau"]);
    if (this.#hasBias()) leaves.push(["bias", "rnn.hh.bias"]);
    const targets = new Map<string, DeviceBuffer>();
    for (const [leaf, name] of leaves) {
      const { gradTarget } = this.parameters.get(name);
      if (gradTarget) targets.set(leaf, gradTarget);
    }
    return targets;
  }

  /** Leaves of the output projection and their parameters. */
  #outputLeaves(): [string, string][] {
    const H = this.options.outputProjection;
    if (!H) return [];
    const weights: [string, string] = ["ho", isSparse(H) ? "rnn.ho.values" : "rnn.ho.weight"];
    return this.#hasOutputBias() ? [weights, ["ho.bias", "rnn.ho.bias"]] : [weights];
  }

  #buffersOf(chunk: ChunkStates): ChunkBuffers {
    const buffers = this.#chunks.get(chunk.key);
    if (!buffers) throw new ArgumentError("ConnectomeNetwork", "chunk", "a chunk of this model", "another");
    return buffers;
  }

  #buffers(layout: PanelLayout, steps: number, times: number): ChunkBuffers {
    const key = `${layout.panel}x${layout.panels} ${steps} ${times}`;
    const known = this.#chunks.get(key);
    if (known) return known;
    const { backend } = this;
    const { numNeurons, inputSize, inputProjection, inputGradient = false } = this.options;
    const lanes = lanesOf(layout);
    const all: DeviceBuffer[] = [];
    const make = (label: string, length: number): DeviceBuffer => {
      const b = backend.buffer(label, length);
      all.push(b);
      return b;
    };
    const state = (label: string, rows = numNeurons) => make(label, rows * lanes);
    const each = <T>(n: number, f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));
    const buffers: ChunkBuffers = {
      key,
      layout,
      steps,
      all,
      x: inputProjection ? each(steps, (k) => state(`x ${k}`, inputSize)) : [],
      drive: make("drive", steps * numNeurons * lanes),
      stepIndex: steps > 1 ? each(steps, (k) => make(`step ${k}`, lanes)) : [],
      y0: state("y0"),
      hs: each(times, (j) => state(`h ${j}`)),
      ctHs: each(times, (j) => state(`ct h ${j}`)),
      ctY0: state("ct y0"),
      ctDrive: this.#needsDrive() ? make("ct drive", steps * numNeurons * lanes) : null,
      ctX: inputGradient && inputProjection ? each(steps, (k) => state(`ct x ${k}`, inputSize)) : null,
      response: null,
      outputs: null,
      ctState: null,
    };
    buffers.stepIndex.forEach((b, k) => {
      backend.fill(b, k);
    });
    this.#chunks.set(key, buffers);
    return buffers;
  }

  #checkInput({ data, batch, steps = 1 }: ModelInput): number {
    const { inputSize } = this.options;
    const where = "ConnectomeNetwork";
    const whole = (name: string, v: number) => {
      if (!Number.isInteger(v) || v < 1) throw new ArgumentError(where, name, "a whole number of at least 1", `${v}`);
    };
    whole("batch", batch);
    whole("steps", steps);
    const expected = batch * steps * inputSize;
    if (data.length !== expected) {
      throw new ShapeError(where, "data", `${batch} × ${steps} × ${inputSize} = ${expected} numbers`, `${data.length}`);
    }
    this.#checkNumbers("data", data, this.rowsOf(batch, steps, inputSize));
    return steps;
  }

  /** @throws {SolverError} numbers that are not finite, where a sample must not fail */
  #checkNumbers(argument: string, data: ArrayLike<number>, rows: SampleRows): void {
    if (!this.refusesNonFinite()) return;
    const index = findNonFinite(data, this.backend.dtype);
    if (index < 0) return;
    const sample = sampleAt(rows, index);
    throw new SolverError(
      "nonFinite",
      `ConnectomeNetwork: expected finite numbers, got ${data[index]} at ${index}, in sample ${sample} (${argument})`,
      { argument, index, sample },
    );
  }

  #checkCotangents(ctOuts: ArrayLike<number>, batch: number, times: number): void {
    const rows = this.rowsOf(batch, times, this.nOutputs);
    const expected = batch * times * this.nOutputs;
    if (ctOuts.length !== expected)
      throw new ShapeError("vjp", "ctOuts", `${expected} numbers, as outs`, `${ctOuts.length}`);
    checkFinite("vjp", "ctOuts", ctOuts, this.backend.dtype, (i) => `at ${i}, in sample ${sampleAt(rows, i)}`);
  }
}

/** Waits until the states of a chunk are there. */
export async function settled(chunk: StartedChunk): Promise<SettledChunk> {
  for (;;) {
    const known = await chunk.settle([]);
    if (known) return known;
  }
}
