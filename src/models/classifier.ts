// Classifiers: a connectome network with a read-out, its loss and the gradients of both, batch by batch.

import type { Backend } from "../backend/backend.ts";
import { callsOf } from "../core/callQueue.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { orRelease } from "../core/release.ts";
import { type ActivityProbe, featureStatistics, probeActivity } from "./classifier/features.ts";
import {
  type ClassifierEvaluation,
  type ConnectomeClassifierOptions,
  type ConnectomeODEClassifierOptions,
  checkLabels,
  checkOptions,
  type ReadoutOptions,
  splitEvaluation,
} from "./classifier/options.ts";
import {
  type BatchResult,
  type GradientResult,
  type Labelled,
  type Measurement,
  runBatch,
} from "./classifier/passes.ts";
import { Readout, readoutParameters, readoutShape } from "./classifier/readout.ts";
import type { ConnectomeNetwork } from "./connectomeNetwork.ts";
import { ConnectomeODERNN } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN } from "./connectomeRnn.ts";
import type { Evaluated } from "./network/network.ts";
import type { EvaluationOptions } from "./network/odeEvolution.ts";
import { networkParameters } from "./network/parameters.ts";
import type { StepOptions } from "./network/stepEvolution.ts";
import { type ModelInput, resolveNeurons } from "./options.ts";
import type { ParameterSpec } from "./parameters/parameter.ts";
import { ParameterSet } from "./parameters/parameterSet.ts";

export type { ActivityProbe } from "./classifier/features.ts";
export type {
  ClassifierEvaluation,
  ConnectomeClassifierOptions,
  ConnectomeODEClassifierOptions,
  ReadoutOptions,
} from "./classifier/options.ts";
export type { BatchResult, GradientResult, Measurement } from "./classifier/passes.ts";

/** Use ConnectomeODEClassifier or ConnectomeClassifier. Calls that overlap in time run one after another, in the order of the calls. */
export abstract class NetworkClassifier<E extends object, N extends ConnectomeNetwork<E>> {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly rnn: N;
  readonly options: ReadoutOptions;
  readonly #readout: Readout;

  protected constructor(backend: Backend, options: ReadoutOptions, network: (parameters: ParameterSet) => N) {
    checkOptions(options);
    const parameters = new ParameterSet(backend);
    const rnn = orRelease({ release: () => parameters.dispose() }, () => network(parameters));
    const release = () => {
      rnn.dispose();
      parameters.dispose();
    };
    this.backend = backend;
    this.options = options;
    this.parameters = parameters;
    this.rnn = rnn;
    this.#readout = orRelease({ release }, () => new Readout(rnn.network.model, options));
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
      const batch = this.#labelled(input, labels ?? new Uint8Array(input.batch), evaluation);
      const { x: _, measured: __, logits, ...result } = await runBatch(this.rnn.network, this.#readout, batch, null);
      return { ...result, logits: logits! };
    });
  }

  /**
   * One forward and reverse pass: the gradients of the mean loss replace those of `parameters`.
   *
   * Where the device works behind the host, all the work on a chunk is enqueued at once, and one small record is read at its end.
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
      if (!this.#readout.isCalibrated)
        throw new ArgumentError("gradients", "standardise", "calibrate() before training", "no calibration");
      if (!Number.isSafeInteger(step) || step < 0)
        throw new ArgumentError("gradients", "step", "a whole number of at least 0", `${step}`);
      const batch = this.#labelled(input, labels, evaluation);
      const checked = { ...batch, evaluation: this.rnn.network.checked(batch) };
      this.#readout.beginStep(step);
      this.parameters.clearGradients();
      try {
        const { logits: _, ...result } = await runBatch(this.rnn.network, this.#readout, checked, measure);
        return result;
      } catch (error) {
        // An optimiser must not take a part of a sum for the whole.
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
    return callsOf(this.parameters).run("calibrate", async () => {
      this.#checkStandardised("calibrate");
      const { mean, std, scale } = await featureStatistics(
        this.rnn.network,
        this.#readout,
        evaluated(input, evaluation),
      );
      this.#readout.setStatistics(mean, scale);
      return { mean, std };
    });
  }

  /**
   * Measures how network and read-out respond to some inputs, without dropout: whether they can learn from them. Changes nothing.
   * Samples that fail are left out.
   */
  async probe(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<ActivityProbe> {
    return callsOf(this.parameters).run("probe", () =>
      probeActivity(this.rnn.network, this.#readout, evaluated(input, evaluation)),
    );
  }

  /**
   * Restores what `calibrate` set (from a checkpoint): features become (h − mean)·scale.
   *
   * @throws {ShapeError | ArgumentError} other than one finite number per feature
   */
  setFeatureStatistics(mean: ArrayLike<number>, scale: ArrayLike<number>): void {
    const where = "setFeatureStatistics";
    this.#checkStandardised(where);
    const { nFeatures } = this.#readout.shape;
    for (const [name, values] of Object.entries({ mean, scale })) {
      if (values.length !== nFeatures)
        throw new ShapeError(where, name, `${nFeatures} numbers, one per feature`, `${values.length}`);
      checkFinite(where, name, values, this.backend.dtype);
    }
    const [ownMean, ownScale] = [Float64Array.from(mean), Float64Array.from(scale)];
    callsOf(this.parameters).change(where, () => this.#readout.setStatistics(ownMean, ownScale));
  }

  /** The fixed statistics in use; null without standardisation. */
  async featureStatistics(): Promise<{ mean: FloatArray; scale: FloatArray } | null> {
    return callsOf(this.parameters).run("featureStatistics", () => this.readFeatureStatistics());
  }

  /** `featureStatistics` at once, for code that runs in the turn of a call. */
  async readFeatureStatistics(): Promise<{ mean: FloatArray; scale: FloatArray } | null> {
    return this.#readout.statistics();
  }

  /** Releases everything when the calls before it have ended; calls after it are refused. */
  dispose(): void {
    this.rnn.dispose();
    callsOf(this.parameters).end(() => this.#readout.release());
    this.parameters.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #labelled(input: ModelInput, labels: ArrayLike<number>, given: ClassifierEvaluation<E>): Labelled<E> {
    checkLabels(labels, input.batch, this.options.numClasses);
    return { input, labels, ...splitEvaluation(given) };
  }

  #checkStandardised(where: string): void {
    if (this.#readout.shape.standardised) return;
    throw new ArgumentError(where, "standardise", "true in the classifier's options", "false");
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

/** The parameters of a classifier, in the order in which files have them. */
export function classifierParameters({
  rnn,
  ...options
}: ConnectomeODEClassifierOptions | ConnectomeClassifierOptions): ParameterSpec[] {
  const shape = readoutShape(options, rnn.outputProjection?.nRows ?? rnn.numNeurons);
  return [...networkParameters(rnn, resolveNeurons(rnn)), ...readoutParameters(shape, options.seed ?? 0)];
}

/** A batch and what its network takes of an evaluation. */
function evaluated<E extends object>(input: ModelInput, given: ClassifierEvaluation<E>): Evaluated<E> {
  return { input, evaluation: splitEvaluation(given).evaluation };
}
