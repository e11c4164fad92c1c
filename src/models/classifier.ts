// Classifiers: a connectome network with a read-out, its loss and the gradients of both, batch by batch.

import type { GradTarget } from "../autodiff/vjp.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import { Constants } from "../backend/constants.ts";
import { lanesOf, unpackState } from "../backend/layout.ts";
import type { PanelLayout } from "../backend/program.ts";
import { callsOf } from "../core/callQueue.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../core/random.ts";
import { assertSolved, type SolveStats } from "../ode/solveStats.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions, type EvaluationOptions } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN, type StepOptions } from "./connectomeRnn.ts";
import {
  type ChunkGradients,
  type ChunkStates,
  type ConnectomeNetwork,
  type NetworkChunk,
  type SettledChunk,
  type StartedChunk,
  settled,
} from "./network.ts";
import type { ConnectomeNetworkOptions, ModelInput } from "./options.ts";
import { ParameterSet } from "./parameters.ts";
import { columnStatistics, type FeatureSpread, featureSpread, ResponseCount, type ResponseShares } from "./probe.ts";
import { firingProgram, type ReadoutShape, readoutProgram } from "./readout.ts";
import { rowAt, type SampleRows, scatterSamples } from "./samples.ts";

/** The layers behind a network that turn its features into classes. */
export interface ReadoutOptions {
  readonly numClasses: number;
  /** Hidden units of Linear → ReLU → Dropout → Linear; null: one linear layer. Default 512. */
  readonly fcDim?: number | null;
  /** Default 0.2. */
  readonly dropout?: number;
  /** Seed of the read-out's initial values and of dropout; default 0. */
  readonly seed?: number;
  /** Standardise the features with fixed statistics, set by `calibrate`. Default false. */
  readonly standardise?: boolean;
}

/** A network in continuous time, and the read-out on it. */
export interface ConnectomeODEClassifierOptions extends ReadoutOptions {
  readonly rnn: ConnectomeODERNNOptions;
}

/** A network in discrete time, and the read-out on it. */
export interface ConnectomeClassifierOptions extends ReadoutOptions {
  readonly rnn: ConnectomeNetworkOptions;
}

/** How a classifier's network is evaluated, and which output times the loss takes. */
export type ClassifierEvaluation<E = EvaluationOptions> = E & {
  /** Mean of the loss over all output times instead of the last one; default false. */
  readonly lossAllTimesteps?: boolean;
};

/** Loss and counts of one batch. */
export interface BatchResult {
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** Samples (× evaluation times with `lossAllTimesteps`) whose largest logit is the label's. */
  readonly correct: number;
  readonly count: number;
  readonly stats: readonly SolveStats[];
  /** Samples that did not reach their end, where that is allowed (`solve.onFailure`): all of the above is without them. */
  readonly failed: readonly number[];
}

/** What a reverse pass yields besides the gradients of `parameters`. */
export interface GradientResult extends BatchResult {
  /** Gradient with respect to the input, in its layout; null unless `rnn.inputGradient`. */
  readonly x: FloatArray | null;
  /** Numbers of the buffers that `measure` named. */
  readonly measured: readonly ArrayLike<number>[];
}

/** Enqueues work on the gradients; what it names is read along with the loss. It may be called again: the gradients were not complete. */
export type Measurement = () => readonly DeviceBuffer[];

/** What a network and its read-out do with some inputs, at the last output time. */
export interface ActivityProbe extends ResponseShares, FeatureSpread {
  /** Share of the hidden units of the read-out that fire for none of the inputs; null for a linear one. */
  readonly deadUnits: number | null;
  readonly stats: readonly SolveStats[];
}

const DEFAULT_FC_DIM = 512;
const DEFAULT_DROPOUT = 0.2;
/** Standardised features: z = c·(h − mean)/(std + STD_FLOOR·rms(std)), c = min(1, FEATURE_SCALE/√F). */
const STD_FLOOR = 0.1;
const FEATURE_SCALE = 6.5;

/** Use ConnectomeODEClassifier or ConnectomeClassifier. Calls that overlap in time run one after another, in the order of the calls. */
export abstract class NetworkClassifier<E extends object, N extends ConnectomeNetwork<E>> {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly rnn: N;
  readonly options: ReadoutOptions;
  readonly #shape: ReadoutShape;
  readonly #layers: readonly (readonly [leaf: string, parameter: string])[];
  readonly #dropoutKey: Key;
  readonly #keyBuffer: DeviceBuffer;
  readonly #loss: DeviceBuffer;
  readonly #correct: DeviceBuffer;
  readonly #feature: { mean: DeviceBuffer; scale: DeviceBuffer } | null;
  readonly #sessions = new Map<string, ReadoutBuffers>();
  readonly #bound = new Map<string, BoundProgram>();
  readonly #constants: Constants;
  #firing: DeviceBuffer | null = null;
  #calibrated: boolean;

  protected constructor(backend: Backend, options: ReadoutOptions, network: (parameters: ParameterSet) => N) {
    checkOptions(options);
    this.backend = backend;
    this.options = options;
    this.parameters = new ParameterSet(backend);
    this.#constants = new Constants(backend);
    this.rnn = network(this.parameters);
    const nFeatures = this.rnn.nOutputs;
    const fcDim = options.fcDim === undefined ? DEFAULT_FC_DIM : options.fcDim;
    this.#shape = {
      nFeatures,
      nClasses: options.numClasses,
      fcDim,
      dropout: options.dropout ?? DEFAULT_DROPOUT,
      standardised: options.standardise ?? false,
    };
    const key = keyOfSeed(options.seed ?? 0);
    this.#dropoutKey = deriveKey(key, "dropout");
    this.#layers =
      fcDim === null
        ? this.#addLinear(key, "fc", "out_layer.1", nFeatures, options.numClasses)
        : [
            ...this.#addLinear(key, "fc1", "out_layer.1", nFeatures, fcDim),
            ...this.#addLinear(key, "fc2", "out_layer.4", fcDim, options.numClasses),
          ];
    this.#keyBuffer = backend.buffer("dropout key", 2, "u32");
    this.#loss = backend.buffer("loss", 1);
    this.#correct = backend.buffer("correct", 1);
    this.#feature = this.#shape.standardised
      ? { mean: backend.buffer("feature mean", nFeatures), scale: backend.buffer("feature scale", nFeatures) }
      : null;
    if (this.#feature) backend.fill(this.#feature.scale, 1);
    this.#calibrated = this.#feature === null;
  }

  /** torch.nn.Linear: weights and biases uniform in ±1/√nIn. */
  #addLinear(key: Key, leaf: string, name: string, nIn: number, nOut: number): [string, string][] {
    const bound = 1 / Math.sqrt(nIn);
    const leaves: [string, string][] = [];
    for (const [part, size] of [
      ["weight", nOut * nIn],
      ["bias", nOut],
    ] as const) {
      const stream = new RandomStream(deriveKey(key, `${name}.${part}`));
      const draw = (): number => (2 * stream.uniform() - 1) * bound;
      this.parameters.addDrawn(`${name}.${part}`, size, draw, { trainable: true });
      leaves.push([`${leaf}.${part}`, `${name}.${part}`]);
    }
    return leaves;
  }

  /**
   * Logits [batch, classes] at the last evaluation time, or with `lossAllTimesteps` [times, batch, classes]; no dropout. Those of samples
   * that failed are NaN.
   */
  async forward(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<FloatArray> {
    const { logits } = await this.evaluate(input, null, evaluation);
    return logits;
  }

  /** Loss, correct predictions and logits (as of `forward`) without gradients. Without labels the loss means nothing. */
  async evaluate(
    input: ModelInput,
    labels: ArrayLike<number> | null,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<BatchResult & { logits: FloatArray }> {
    return callsOf(this.parameters).run("evaluate", async () => {
      const {
        x: _,
        measured: __,
        logits,
        ...result
      } = await this.#run(input, labels ?? new Uint8Array(input.batch), evaluation, null);
      return { ...result, logits: logits! };
    });
  }

  /**
   * One forward and reverse pass: the gradients of the mean loss replace those of `parameters`.
   *
   * Where the host runs ahead of the device, all the work on a chunk is enqueued at once, and one small record is read at its end.
   *
   * @param step     number of the training step: dropout draws from (seed, step, sample, unit)
   * @param measure  what to measure of the gradients, read with the record
   */
  async gradients(
    input: ModelInput,
    labels: ArrayLike<number>,
    step: number,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
    measure: Measurement = () => [],
  ): Promise<GradientResult> {
    return callsOf(this.parameters).run("gradients", async () => {
      if (!this.#calibrated)
        throw new ArgumentError("gradients", "standardise", "calibrate() before training", "no calibration");
      if (!Number.isSafeInteger(step) || step < 0)
        throw new ArgumentError("gradients", "step", "a whole number of at least 0", `${step}`);
      this.#checkLabels(labels, input.batch);
      const checked = { ...evaluation, ...this.rnn.checked(input, networksPart(evaluation)) };
      this.backend.upload(this.#keyBuffer, deriveKey(this.#dropoutKey, step));
      this.parameters.clearGradients();
      try {
        const { logits: _, ...result } = await this.#run(input, labels, checked, measure);
        return result;
      } catch (error) {
        // No part of a sum is left for an optimiser to take for the whole.
        this.parameters.clearGradients();
        throw error;
      }
    });
  }

  /**
   * Sets the fixed statistics of the features from a batch: mean and standard deviation of each feature over the samples, so that
   * z = c·(h − mean)/(std + 0.1·rms(std)) with c = min(1, 6.5/√F). Nothing is differentiated through them.
   */
  async calibrate(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<{ mean: Float64Array; std: Float64Array }> {
    return callsOf(this.parameters).run("calibrate", () => this.#calibrate(input, evaluation));
  }

  async #calibrate(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E>,
  ): Promise<{ mean: Float64Array; std: Float64Array }> {
    if (!this.#feature)
      throw new ArgumentError("calibrate", "standardise", "true in the classifier's options", "false");
    const { nFeatures } = this.#shape;
    const features = new Float64Array(input.batch * nFeatures);
    const failed: number[] = [];
    const stats: SolveStats[] = [];
    for await (const chunk of this.rnn.chunks(input, networksPart(evaluation), "loss")) {
      if (chunk.stats) stats.push(chunk.stats);
      failed.push(...chunk.failed.map((s) => chunk.first + s));
      await this.#readFeatures(chunk, features);
    }
    if (failed.length > 0) {
      const others = this.#without(failed, input, evaluation, stats);
      return this.#calibrate(others.input, others.evaluation);
    }
    const { mean, std } = columnStatistics(features, input.batch, nFeatures);
    const rms = Math.sqrt(std.reduce((sum, s) => sum + s * s, 0) / nFeatures);
    const c = Math.min(1, FEATURE_SCALE / Math.sqrt(nFeatures));
    if (!(rms > 0))
      throw new ArgumentError("calibrate", "input", "features that differ between samples", "constant ones");
    this.#useStatistics(
      mean,
      std.map((s) => c / (s + STD_FLOOR * rms)),
    );
    return { mean, std };
  }

  /**
   * How network and read-out respond to some inputs, without dropout: what tells whether they can learn. Nothing is changed. Samples
   * that fail are left out.
   */
  async probe(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<ActivityProbe> {
    return callsOf(this.parameters).run("probe", () => this.#probe(input, evaluation));
  }

  async #probe(input: ModelInput, evaluation: ClassifierEvaluation<E>): Promise<ActivityProbe> {
    const { numNeurons } = this.rnn.options;
    const { nFeatures, fcDim } = this.#shape;
    const responses = new ResponseCount(numNeurons);
    const features = new Float64Array(input.batch * nFeatures);
    const firing = new Float64Array(fcDim ?? 0);
    const stats: SolveStats[] = [];
    const failed: number[] = [];
    for await (const chunk of this.rnn.chunks(input, networksPart(evaluation), "loss")) {
      failed.push(...chunk.failed.map((s) => chunk.first + s));
      const { rate, slope } = await this.rnn.responsesOf(chunk);
      responses.add(rate, slope);
      await this.#readFeatures(chunk, features);
      const lanes = fcDim === null ? [] : await this.#firingOf(chunk, fcDim);
      for (let unit = 0; unit < lanes.length; unit++) firing[unit]! += lanes[unit]!;
      if (chunk.stats) stats.push(chunk.stats);
    }
    if (failed.length > 0) {
      const others = this.#without(failed, input, evaluation, stats);
      return this.#probe(others.input, others.evaluation);
    }
    return {
      ...responses.shares(),
      ...featureSpread(columnStatistics(features, input.batch, nFeatures)),
      deadUnits: fcDim === null ? null : firing.filter((n) => n === 0).length / fcDim,
      stats,
    };
  }

  /**
   * Restores what `calibrate` set (from a checkpoint): features become (h − mean)·scale.
   *
   * @throws {ShapeError | ArgumentError} other than one finite number per feature
   */
  setFeatureStatistics(mean: ArrayLike<number>, scale: ArrayLike<number>): void {
    const where = "setFeatureStatistics";
    if (!this.#feature) throw new ArgumentError(where, "standardise", "true in the classifier's options", "false");
    for (const [name, values] of Object.entries({ mean, scale })) {
      const { nFeatures } = this.#shape;
      if (values.length !== nFeatures)
        throw new ShapeError(where, name, `${nFeatures} numbers, one per feature`, `${values.length}`);
      checkFinite(where, name, values, this.backend.dtype);
    }
    const [ownMean, ownScale] = [Float64Array.from(mean), Float64Array.from(scale)];
    callsOf(this.parameters).change(where, () => this.#useStatistics(ownMean, ownScale));
  }

  #useStatistics(mean: Float64Array, scale: Float64Array): void {
    this.backend.upload(this.#feature!.mean, mean);
    this.backend.upload(this.#feature!.scale, scale);
    this.#calibrated = true;
  }

  /** The fixed statistics in use; null without standardisation. */
  async featureStatistics(): Promise<{ mean: FloatArray; scale: FloatArray } | null> {
    return callsOf(this.parameters).run("featureStatistics", () => this.readFeatureStatistics());
  }

  /** `featureStatistics` at once; for what runs in the turn of a call. */
  async readFeatureStatistics(): Promise<{ mean: FloatArray; scale: FloatArray } | null> {
    if (!this.#feature) return null;
    const [mean, scale] = await this.backend.downloadAll([this.#feature.mean, this.#feature.scale]);
    return { mean: mean as FloatArray, scale: scale as FloatArray };
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    this.rnn.dispose();
    callsOf(this.parameters).end(() => this.#release());
    this.parameters.dispose();
  }

  #release(): void {
    for (const s of this.#sessions.values()) for (const b of Object.values(s)) b.release();
    const { mean, scale } = this.#feature ?? {};
    for (const b of [this.#keyBuffer, this.#loss, this.#correct, this.#firing, mean, scale]) b?.release();
    this.#sessions.clear();
    for (const bound of this.#bound.values()) bound.release();
    this.#bound.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ---- features and hidden units -----------------------------------------------------------------------------------------

  /** @throws {SolverError} all samples failed */
  #without(
    failed: readonly number[],
    input: ModelInput,
    evaluation: ClassifierEvaluation<E>,
    stats: readonly SolveStats[],
  ): { input: ModelInput; evaluation: ClassifierEvaluation<E> } {
    if (failed.length === input.batch) for (const part of stats) assertSolved(part);
    return this.#selected(input, evaluation, othersOf(failed, input.batch));
  }

  #selected(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E>,
    kept: readonly number[],
  ): { input: ModelInput; evaluation: ClassifierEvaluation<E> } {
    const some = this.rnn.selectSamples(input, networksPart(evaluation), kept);
    return { input: some.input, evaluation: { ...evaluation, ...some.evaluation } };
  }

  /** Copies a chunk's features at the last output time into its rows of [batch, features]. */
  async #readFeatures(chunk: NetworkChunk, features: Float64Array): Promise<void> {
    const { nFeatures } = this.#shape;
    const last = this.rnn.outputsOf(chunk).at(-1)!;
    const at = (s: number, row: number) => (chunk.first + s) * nFeatures + row;
    unpackState(await this.backend.download(last), features, at, chunk.count, nFeatures, chunk.layout);
  }

  /** For how many lanes of a chunk each hidden unit is above 0. */
  async #firingOf(chunk: NetworkChunk, fcDim: number): Promise<FloatArray> {
    const key = `firing ${chunk.key}`;
    this.#firing ??= this.backend.buffer("firing", fcDim);
    let bound = this.#bound.get(key);
    if (!bound) {
      const program = firingProgram((g) => this.rnn.outputGraph(g), this.#shape, fcDim);
      bound = compileAndBind(this.backend, program, chunk.layout, {
        ...this.rnn.outputBindings(),
        ...Object.fromEntries(this.#layers.map(([leaf, name]) => [leaf, this.parameters.get(name).bindable])),
        "feature.mean": this.#feature?.mean,
        "feature.scale": this.#feature?.scale,
        h: chunk.hs.at(-1)!,
        firing: this.#firing,
      });
      this.#bound.set(key, bound);
    }
    this.backend.run(bound);
    return (await this.backend.download(this.#firing)) as FloatArray;
  }

  // ---- one batch -------------------------------------------------------------------------------------------------------

  /**
   * A batch, and where samples fail, the batch without them.
   * @param measure  of the gradients; null: the loss only
   */
  async #run(
    input: ModelInput,
    labels: ArrayLike<number>,
    evaluation: ClassifierEvaluation<E>,
    measure: Measurement | null,
  ): Promise<Pass> {
    this.#checkLabels(labels, input.batch);
    const pass = (of: ModelInput, its: ArrayLike<number>, at: ClassifierEvaluation<E>): Promise<Pass> =>
      measure ? this.#gradientPass(of, its, at, measure) : this.#lossPass(of, its, at);
    const all = await pass(input, labels, evaluation);
    const { failed, stats } = all;
    if (failed.length === 0) return all;
    if (failed.length === input.batch) for (const part of stats) assertSolved(part);
    if (measure) this.parameters.clearGradients();
    const kept = othersOf(failed, input.batch);
    const some = this.#selected(input, evaluation, kept);
    const ofKept = kept.map((s) => labels[s]!);
    const rest = await pass(some.input, ofKept, some.evaluation);
    const spread = (part: FloatArray, whole: FloatArray, rows: SampleRows) => {
      scatterSamples(part, whole, rows, kept);
      return whole;
    };
    return {
      ...rest,
      failed,
      stats,
      x: rest.x && all.x && spread(rest.x, all.x.fill(0), this.rnn.inputRows(input)),
      logits:
        rest.logits &&
        all.logits &&
        spread(rest.logits, all.logits.fill(Number.NaN), this.#logitRows(input.batch, all.logits.length)),
    };
  }

  /** One walk over the chunks. Once a sample fails, only the others that fail are still found out. */
  async #lossPass(input: ModelInput, labels: ArrayLike<number>, evaluation: ClassifierEvaluation<E>): Promise<Pass> {
    const { backend } = this;
    const { nClasses } = this.#shape;
    const { batch } = input;
    const times = this.#begin(input, evaluation);
    const stats: SolveStats[] = [];
    const failed: number[] = [];
    const logits = floatArray(backend.dtype, times.length * batch * nClasses);
    for await (const chunk of this.rnn.chunks(input, networksPart(evaluation), "loss")) {
      if (chunk.stats) stats.push(chunk.stats);
      failed.push(...chunk.failed.map((s) => chunk.first + s));
      if (failed.length > 0) continue;
      const buffers = this.#labelled(chunk, labels, 1 / (batch * times.length));
      for (const [time, j] of times.entries()) {
        this.#readout(chunk, buffers, j, null);
        const rows = this.#logitRows(batch, logits.length);
        const at = (s: number, row: number) => rowAt(rows, chunk.first + s, time) + row;
        unpackState(await backend.download(buffers.logits), logits, at, chunk.count, nClasses, chunk.layout);
      }
    }
    const record = await backend.downloadAll([this.#loss, this.#correct]);
    return { ...lossOf(record), count: batch * times.length, stats, failed, x: null, measured: [], logits };
  }

  /** The same with gradients, without waiting in between. */
  async #gradientPass(
    input: ModelInput,
    labels: ArrayLike<number>,
    evaluation: ClassifierEvaluation<E>,
    measure: Measurement,
  ): Promise<Pass> {
    const { batch } = input;
    const times = this.#begin(input, evaluation);
    const stats: SolveStats[] = [];
    const failed: number[] = [];
    const x = this.rnn.options.inputGradient ? floatArray(this.backend.dtype, input.data.length) : null;
    let record: readonly ArrayLike<number>[] = [];
    for await (const chunk of this.rnn.startedChunks(input, networksPart(evaluation), "gradients")) {
      const buffers = this.#labelled(chunk, labels, 1 / (batch * times.length));
      const ctHs = chunk.ctHs.map((ct, j) => (times.includes(j) ? ct : null));
      let back: ChunkGradients | null = null;
      const work = (): readonly DeviceBuffer[] => {
        for (const j of times) this.#readout(chunk, buffers, j, chunk.complete);
        back = this.rnn.reverseChunk(chunk, ctHs);
        const more = chunk.first + chunk.count < batch;
        if (!more) this.parameters.foldGradients(chunk.complete);
        return [this.#loss, this.#correct, ...(more ? [] : measure())];
      };
      const known = await this.#settleWith(chunk, failed.length > 0 ? () => [] : work);
      if (known.stats) stats.push(known.stats);
      failed.push(...known.failed.map((s) => chunk.first + s));
      record = known.values;
      if (failed.length === 0 && x) await this.rnn.readInputGradient(chunk, back!, input, x);
    }
    const [, , ...measured] = record;
    const sums = failed.length === 0 ? lossOf(record) : { loss: Number.NaN, correct: 0 };
    return { ...sums, count: batch * times.length, stats, failed, x, measured, logits: null };
  }

  /** Enqueues work on a chunk's states and settles it. With samples that are known to have failed there is none. */
  async #settleWith(chunk: StartedChunk, work: () => readonly DeviceBuffer[]): Promise<SettledChunk> {
    if (!this.backend.isAsynchronous) {
      const known = await settled(chunk);
      if (known.failed.length > 0) return known;
      return { ...known, values: await this.backend.downloadAll(work()) };
    }
    for (;;) {
      const known = await chunk.settle(work());
      if (known) return known;
    }
  }

  /** Sets the sums over a batch to zero. @returns which output times count */
  #begin(input: ModelInput, evaluation: ClassifierEvaluation<E>): readonly number[] {
    const nTimes = this.rnn.outputTimes(input, networksPart(evaluation));
    this.backend.fill(this.#loss, 0);
    this.backend.fill(this.#correct, 0);
    return evaluation.lossAllTimesteps ? Array.from({ length: nTimes }, (_, j) => j) : [nTimes - 1];
  }

  /** How `length` logits lie on the host: time first. */
  #logitRows(batch: number, length: number): SampleRows {
    const width = this.#shape.nClasses;
    return { batch, times: length / (batch * width), width, batchFirst: false };
  }

  /** The read-out's buffers with the labels of a chunk, each with `weight`. */
  #labelled({ first, count, layout }: ChunkStates, labels: ArrayLike<number>, weight: number): ReadoutBuffers {
    const buffers = this.#buffers(layout);
    this.#constants.set(buffers.label, (lane) => labels[first + Math.min(lane, count - 1)]!);
    this.#constants.set(buffers.weight, (lane) => (lane < count ? weight : 0));
    this.#constants.set(buffers.sampleId, (lane) => first + lane);
    return buffers;
  }

  /** @param complete  with gradients, where this scalar is not 0; null: the loss only */
  #readout(chunk: ChunkStates, buffers: ReadoutBuffers, j: number, complete: DeviceBuffer | null): void {
    const { layout } = chunk;
    const training = complete !== null;
    const key = `${training} ${chunk.key} ${j}`;
    let bound = this.#bound.get(key);
    if (!bound) {
      const p = this.parameters;
      const wrt = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
      for (const leaf of [...this.#layers.map(([name]) => name), ...this.rnn.outputTrainedLeaves()]) {
        wrt.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
      }
      const layers: Record<string, Bindable> = {};
      for (const [leaf, name] of this.#layers) {
        layers[leaf] = p.get(name).bindable;
        layers[`grad.${leaf}`] = p.get(name).gradTarget!;
      }
      const program = readoutProgram((g) => this.rnn.outputGraph(g), this.#shape, training ? wrt : null);
      bound = compileAndBind(this.backend, program, layout, {
        ...this.rnn.outputBindings(),
        ...layers,
        ...buffers,
        h: chunk.hs[j],
        complete: complete ?? undefined,
        loss: this.#loss,
        correct: this.#correct,
        "dropout.key": this.#keyBuffer,
        "feature.mean": this.#feature?.mean,
        "feature.scale": this.#feature?.scale,
        "ct.h": chunk.ctHs[j],
      });
      this.#bound.set(key, bound);
    }
    this.backend.run(bound);
  }

  #buffers(layout: PanelLayout): ReadoutBuffers {
    const key = `${layout.panel}x${layout.panels}`;
    let buffers = this.#sessions.get(key);
    if (!buffers) {
      const lanes = lanesOf(layout);
      const { backend } = this;
      buffers = {
        label: backend.buffer("label", lanes),
        weight: backend.buffer("weight", lanes),
        sampleId: backend.buffer("sample id", lanes),
        logits: backend.buffer("logits", this.#shape.nClasses * lanes),
      };
      this.#sessions.set(key, buffers);
    }
    return buffers;
  }

  #checkLabels(labels: ArrayLike<number>, batch: number): void {
    if (labels.length !== batch)
      throw new ShapeError("classifier", "labels", `${batch} labels, one per sample`, `${labels.length}`);
    const { nClasses } = this.#shape;
    for (let i = 0; i < batch; i++) {
      const label = labels[i]!;
      if (!Number.isInteger(label) || label < 0 || label >= nClasses) {
        throw new ArgumentError("classifier", "labels", `classes 0 to ${nClasses - 1}`, `${label} for sample ${i}`);
      }
    }
  }
}

/** ConnectomeODERNN with a read-out. */
export class ConnectomeODEClassifier extends NetworkClassifier<EvaluationOptions, ConnectomeODERNN> {
  constructor(backend: Backend, options: ConnectomeODEClassifierOptions) {
    super(backend, options, (parameters) => new ConnectomeODERNN(backend, options.rnn, parameters));
  }
}

/** ConnectomeRNN, in discrete time, with a read-out. */
export class ConnectomeClassifier extends NetworkClassifier<StepOptions, ConnectomeRNN> {
  constructor(backend: Backend, options: ConnectomeClassifierOptions) {
    super(backend, options, (parameters) => new ConnectomeRNN(backend, options.rnn, parameters));
  }
}

/** An evaluation without what only the loss takes. */
function networksPart<E extends object>({ lossAllTimesteps, ...evaluation }: ClassifierEvaluation<E>): E {
  if (lossAllTimesteps !== undefined && typeof lossAllTimesteps !== "boolean")
    throw new ArgumentError("classifier", "lossAllTimesteps", "true or false", `${lossAllTimesteps}`);
  return evaluation as unknown as E;
}

function lossOf([loss, correct]: readonly ArrayLike<number>[]): Pick<BatchResult, "loss" | "correct"> {
  return { loss: loss![0]!, correct: Math.round(correct![0]!) };
}

/** What a walk over a batch yields. */
type Pass = GradientResult & { readonly logits: FloatArray | null };

type ReadoutBuffers = Readonly<Record<"label" | "weight" | "sampleId" | "logits", DeviceBuffer>>;

/** The samples of a batch that are not among `some`. */
function othersOf(some: readonly number[], batch: number): number[] {
  const without = new Set(some);
  return Array.from({ length: batch }, (_, s) => s).filter((s) => !without.has(s));
}

/** Every option of a classifier. */
const OPTIONS: Readonly<Record<keyof ReadoutOptions | "rnn", true>> = {
  rnn: true,
  numClasses: true,
  fcDim: true,
  dropout: true,
  seed: true,
  standardise: true,
};

function checkOptions(options: ReadoutOptions): void {
  const where = "classifier";
  checkNames(where, options, OPTIONS);
  const { numClasses, fcDim, dropout } = options;
  if (!Number.isInteger(numClasses) || numClasses < 2)
    throw new ArgumentError(where, "numClasses", "a whole number of at least 2", `${numClasses}`);
  if (fcDim != null && (!Number.isInteger(fcDim) || fcDim < 1))
    throw new ArgumentError(where, "fcDim", "a whole number of at least 1, or null", `${fcDim}`);
  if (dropout !== undefined && !(dropout >= 0 && dropout < 1))
    throw new ArgumentError(where, "dropout", "a probability from 0 to below 1", `${dropout}`);
}
