// A connectome network: parameters, and an evolution of its state, run over the chunks of a batch. Batches of any size run in chunks of
// as many lanes as the device takes at once, so that memory does not grow with the batch.

import type { Backend, DeviceBuffer } from "../../backend/backend.ts";
import { Desk, Desks } from "../../backend/desk.ts";
import { type Abortable, yieldToEventLoop } from "../../core/abort.ts";
import { callsOf } from "../../core/callQueue.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../../core/errors.ts";
import { findNonFinite } from "../../core/finite.ts";
import { orRelease } from "../../core/release.ts";
import { failedSamples } from "../../ode/solveStats.ts";
import { type Intervened, interventionsOfSamples, resolveInterventions } from "../interventions.ts";
import type { ConnectomeNetworkOptions, ModelInput } from "../options.ts";
import { ParameterSet } from "../parameters/parameterSet.ts";
import { responseProgram, signalProgram } from "../rateDynamics.ts";
import { gatherSamples, partOf, type SampleRows, sampleAt } from "../samples.ts";
import { ChunkInput } from "./chunkInput.ts";
import {
  type ChunkBuffers,
  type ChunkGradients,
  type ChunkStates,
  chunkBuffers,
  type NetworkChunk,
  type SettledChunk,
  type StartedChunk,
  settled,
  suffixOf,
} from "./chunks.ts";
import type { Evolution, RunPurpose, RunShape } from "./evolution.ts";
import { addedCurrents, intervene, pullHeld } from "./intervene.ts";
import { NetworkParameters } from "./parameters.ts";
import { outputsOf } from "./projections.ts";
import { RestingState } from "./restingState.ts";

/** A batch, and how it is evaluated. */
export interface Evaluated<E> {
  readonly input: ModelInput;
  readonly evaluation: E;
  /** Output times, by index, whose states are wanted; the others take no memory. Default: all. */
  readonly at?: readonly number[];
  /**
   * What is read of the states at these times: all, the default, or their outputs only. With "outputs" there is no cotangent of the initial
   * state, and states of neurons that do not matter for an output are undefined.
   */
  readonly reads?: "states" | "outputs";
  /** Rows of the widest state that is computed from those of the network; default: its outputs. */
  readonly widest?: number;
  /** Most samples in a chunk, to bound memory; the numbers do not depend on it. Default: as many as the device takes at once. */
  readonly mostSamples?: number;
  /** The number of its first sample, in errors and for dropout, where it is a part of a larger batch. Default 0. */
  readonly firstSample?: number;
}

/** A network for read-outs, on the device. `E`: how a run is evaluated (times, initial state). ConnectomeODERNN and ConnectomeRNN hold one. */
export class Network<E> {
  readonly backend: Backend;
  readonly options: ConnectomeNetworkOptions;
  readonly parameters: ParameterSet;
  readonly model: NetworkParameters;
  readonly #ownsParameters: boolean;
  readonly #evolution: Evolution<E>;
  readonly #desks: Desks;
  readonly #desk: Desk;
  readonly #chunks = new Map<Desk, ChunkBuffers>();
  readonly #rest: RestingState<E>;

  /** @param parameters  where to register the parameters (a classifier shares one set); default: an own set */
  constructor(
    backend: Backend,
    options: ConnectomeNetworkOptions,
    evolution: (model: NetworkParameters) => Evolution<E>,
    parameters?: ParameterSet,
  ) {
    this.backend = backend;
    this.options = options;
    this.#ownsParameters = parameters === undefined;
    this.parameters = parameters ?? new ParameterSet(backend);
    this.#desks = new Desks(backend, "ConnectomeNetwork");
    this.#desk = new Desk(backend, backend.layoutFor(1), "ConnectomeNetwork");
    const { model, own } = orRelease({ release: () => this.#releaseAll() }, () => {
      const made = this.#desk.own(new NetworkParameters(backend, options, this.parameters));
      return { model: made, own: this.#desk.own(evolution(made)) };
    });
    this.model = model;
    this.#evolution = own;
    this.#rest = new RestingState<E>(this.#desk, options.numNeurons);
  }

  // ---- batches ---------------------------------------------------------------------------------------------------------

  /** Number of output times of a run. @throws {ArgumentError} naming the option of the evaluation */
  outputTimes(batch: Evaluated<E>): number {
    return this.shapeOf(batch).ts.length;
  }

  /** Initial state and output times of a run. @throws {ArgumentError} naming the option of the evaluation */
  shapeOf({ input, evaluation }: Evaluated<E>): RunShape<E> {
    return this.#evolution.shapeOf(input, evaluation);
  }

  /** The evaluation with its initial state as numbers. @throws {ArgumentError | ShapeError | SolverError} input or evaluation cannot be taken */
  checked({ input, evaluation, firstSample }: Evaluated<E>): E {
    this.#checkInput(input, firstSample);
    resolveInterventions(this.model, evaluation as Intervened, input);
    const h0 = this.#initialState({ input, evaluation });
    return h0 ? { ...evaluation, h0 } : evaluation;
  }

  /** The samples `kept` of a batch, as a batch of their own. */
  selectSamples({ input, evaluation, ...rest }: Evaluated<E>, kept: readonly number[]): Evaluated<E> {
    const data = gatherSamples(input.data, this.inputRows(input), kept);
    return {
      ...rest,
      input: { ...input, data, batch: kept.length },
      evaluation: this.selectEvaluation({ input, evaluation }, kept),
    };
  }

  /** How the samples `kept` of a batch are evaluated; the numbers of its input are not read. */
  selectEvaluation({ input, evaluation }: Evaluated<E>, kept: readonly number[]): E {
    const h0 = this.#evolution.shapeOf(input, evaluation).h0();
    const { interventions } = evaluation as Intervened;
    return {
      ...evaluation,
      ...(h0 && { h0: gatherSamples(h0, this.stateRows(input.batch), kept) }),
      ...(interventions && { interventions: interventionsOfSamples(interventions, input, kept) }),
    };
  }

  /** How the samples lie in an input. */
  inputRows({ batch, steps = 1 }: ModelInput): SampleRows {
    return this.rowsOf(batch, steps, this.options.inputSize);
  }

  /** How the samples lie in initial states. */
  stateRows(batch: number): SampleRows {
    return { batch, times: 1, width: this.options.numNeurons, batchFirst: true };
  }

  /** How the samples lie in states, outputs and inputs on the host. */
  rowsOf(batch: number, times: number, width: number): SampleRows {
    return { batch, times, width, batchFirst: this.options.batchFirst ?? true };
  }

  // ---- chunk by chunk --------------------------------------------------------------------------------------------------

  /** Runs the batch chunk by chunk; for "gradients", `reverseChunk` is to be called on each chunk before the next one. */
  async *chunks(batch: Evaluated<E>, purpose: RunPurpose): AsyncGenerator<NetworkChunk> {
    for await (const chunk of this.startedChunks(batch, purpose)) {
      const { stats, failed } = await settled(chunk);
      yield { ...chunk, stats, failed };
    }
  }

  /** `chunks` without waiting for the device. */
  async *startedChunks(
    { input, evaluation, at, reads = "states", widest = 0, mostSamples = input.batch, firstSample = 0 }: Evaluated<E>,
    purpose: RunPurpose,
  ): AsyncGenerator<StartedChunk> {
    const { backend } = this;
    const { numNeurons, inputSize } = this.options;
    const evolution = this.#evolution;
    const frames = this.#checkInput(input, firstSample);
    const { ts, rest } = evolution.shapeOf(input, evaluation);
    const times = ts.length;
    const wanted = checkedTimes(at, times);
    const h0 = this.#initialState({ input, evaluation });
    const interventions = resolveInterventions(this.model, evaluation as Intervened, input);
    this.parameters.refresh();
    if (rest) await this.#rest.find(this, rest);
    // Where any frame may be read, the drive of a sequence is one array.
    const drive = evolution.readsAnyFrame ? frames * numNeurons : numNeurons;
    const lanes = Math.min(mostSamples, backend.lanesFor(Math.max(drive, inputSize, this.model.nOutputs, widest)));
    const { signal } = evaluation as Abortable;
    for (let first = 0; first < input.batch; first += lanes) {
      await yieldToEventLoop(signal);
      const count = Math.min(lanes, input.batch - first);
      const desk = this.#desks.of(backend.layoutFor(count), frames, times);
      const own = this.#inputOf(desk, frames);
      const chunk = chunkBuffers(this.model, own, times, wanted, purpose === "gradients");
      this.#chunks.set(desk, chunk);
      const adjust = interventions && addedCurrents(chunk, { first, count }, interventions);
      chunk.input.upload({ first, count }, input, this.inputRows(input), adjust);
      if (rest) this.#rest.spread(desk, chunk.y0);
      else if (h0) desk.put(chunk.y0, h0, { first, count });
      else backend.fill(chunk.y0, 0);
      chunk.active = interventions && intervene(chunk, interventions);
      chunk.startsAtZero = !rest && !h0 && !chunk.active?.held;
      chunk.reads = reads;
      const solve = await evolution.evolve(chunk, count, evaluation, purpose);
      const poll = async (more: readonly DeviceBuffer[]): Promise<SettledChunk | null> => {
        const record = solve.record();
        const all = await backend.downloadAll([...record, ...more]);
        const stats = await solve.poll(all.slice(0, record.length));
        if (!stats) return null;
        evolution.checkSolved(stats, firstSample + first, purpose);
        return { stats, failed: failedSamples([stats]), values: all.slice(record.length) };
      };
      const { hs, ctHs, active } = chunk;
      yield { first, count, layout: desk.layout, desk, hs, ctHs, active, complete: solve.complete, poll };
    }
  }

  #inputOf(desk: Desk, frames: number): ChunkInput {
    const known = this.#chunks.get(desk)?.input;
    return known ?? new ChunkInput(this.model, desk, frames, this.#evolution.readsAnyFrame);
  }

  /** Cotangents of the chunk's states → gradients of the parameters (added); call it after the chunk's recorded run. */
  reverseChunk(chunk: ChunkStates, ctHs: readonly (DeviceBuffer | null | undefined)[]): ChunkGradients {
    const buffers = this.#buffersOf(chunk);
    const { input, ctY0 } = buffers;
    this.#evolution.reverse(buffers, ctHs, this.model.dynamicsGradients());
    pullHeld(buffers);
    return { ctY0, ctX: input.frameCotangents };
  }

  /** outs = H·h + b for each output time of a chunk that was asked for, or the states themselves. */
  outputsOf(chunk: ChunkStates): readonly DeviceBuffer[] {
    return outputsOf(this.model, chunk);
  }

  /** What each neuron of a chunk sends at output time j, before its sign: its state, or of voltages φ(h); 0 where it is silenced. */
  signalOf({ desk, hs, active }: ChunkStates, j: number): DeviceBuffer {
    const h = hs[j]!;
    if (this.model.options.dynamics !== "voltage") return h;
    const signal = desk.state("signal", this.options.numNeurons);
    const program = desk.program(`signal${suffixOf(active)}`, () => signalProgram(this.model.rateShape(1, active)));
    desk.run(program, { ...this.model.dynamicsInputs(), ...active?.rows, h, signal });
    return signal;
  }

  /**
   * The output of each neuron at the last output time of a chunk, and the slope of its nonlinearity there, 0 where the output is held;
   * [sample][neuron].
   */
  async responsesOf(chunk: NetworkChunk): Promise<{ readonly rate: FloatArray; readonly slope: FloatArray }> {
    const { steps, bindings } = this.#buffersOf(chunk).input.lastFrame();
    const { desk, count, hs, active } = chunk;
    const state = (name: string): DeviceBuffer => desk.state(name, this.options.numNeurons);
    const [rate, slope] = [state("rate"), state("slope")];
    desk.run(
      desk.program(`response${suffixOf(active)}`, () => responseProgram(this.model.rateShape(steps, active))),
      {
        ...this.model.dynamicsInputs(),
        ...active?.rows,
        ...bindings,
        // Nothing writes to it: it stays 0.
        offset: state("offset"),
        rate,
        slope,
        h: hs.at(-1),
      },
    );
    return { rate: await desk.read(rate, count), slope: await desk.read(slope, count) };
  }

  /** Writes a chunk's part of the gradient with respect to the input into `target`, in the layout of the input. */
  async readInputGradient(
    chunk: ChunkStates,
    { ctX }: ChunkGradients,
    input: ModelInput,
    target: FloatArray,
  ): Promise<void> {
    const { inputSize: rows } = this.options;
    for (const [k, { buffer, index }] of ctX.entries()) {
      await chunk.desk.take(buffer, target, { ...partOf(this.inputRows(input), chunk, k), frame: { index, rows } });
    }
  }

  #buffersOf({ desk }: ChunkStates): ChunkBuffers {
    const buffers = this.#chunks.get(desk);
    if (!buffers) throw new ArgumentError("ConnectomeNetwork", "chunk", "a chunk of this model", "another");
    return buffers;
  }

  // ---- checks ----------------------------------------------------------------------------------------------------------

  #initialState({ input, evaluation }: Evaluated<E>): ArrayLike<number> | null {
    const h0 = this.#evolution.shapeOf(input, evaluation).h0();
    if (h0) this.#checkNumbers("h0", h0, this.stateRows(input.batch));
    return h0;
  }

  /** @returns the number of steps */
  #checkInput(input: ModelInput, firstSample = 0): number {
    const { data, batch, steps = 1 } = input;
    const { inputSize } = this.options;
    const where = "ConnectomeNetwork";
    for (const [name, v] of Object.entries({ batch, steps })) {
      if (!Number.isInteger(v) || v < 1) throw new ArgumentError(where, name, "a whole number of at least 1", `${v}`);
    }
    const expected = batch * steps * inputSize;
    if (data.length !== expected) {
      throw new ShapeError(where, "data", `${batch} × ${steps} × ${inputSize} = ${expected} numbers`, `${data.length}`);
    }
    this.#checkNumbers("data", data, this.inputRows(input), firstSample);
    return steps;
  }

  /** @throws {SolverError} numbers that are not finite, where a sample must not fail */
  #checkNumbers(argument: string, data: ArrayLike<number>, rows: SampleRows, firstSample = 0): void {
    if (!this.#evolution.refusesNonFinite) return;
    const found = findNonFinite(data, this.backend.dtype);
    if (found < 0) return;
    const sample = firstSample + sampleAt(rows, found);
    // The parts of a batch have sample after sample.
    const index = found + firstSample * rows.times * rows.width;
    throw new SolverError(
      "nonFinite",
      `ConnectomeNetwork: expected finite numbers, got ${data[found]} at ${index}, in sample ${sample} (${argument})`,
      { argument, index, sample },
    );
  }

  // ---- the end ---------------------------------------------------------------------------------------------------------

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    callsOf(this.parameters).end(() => this.#release());
    if (this.#ownsParameters) this.parameters.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #release(): void {
    this.#desks.release();
    this.#desk.release();
    this.#chunks.clear();
  }

  #releaseAll(): void {
    this.#release();
    if (this.#ownsParameters) this.parameters.dispose();
  }
}

/** The output times that are wanted. @throws {ArgumentError} there is no such time */
function checkedTimes(at: readonly number[] | undefined, times: number): readonly number[] {
  const wanted = at ?? Array.from({ length: times }, (_, j) => j);
  const bad = wanted.find((j) => !(Number.isInteger(j) && j >= 0 && j < times));
  if (bad === undefined) return wanted;
  throw new ArgumentError("ConnectomeNetwork", "at", `indices of ${times} output times`, `${bad}`);
}
