// Models: a connectome network with a read-out and a task, their loss and the gradients of all, batch by batch.

import type { Backend } from "../backend/backend.ts";
import { callsOf } from "../core/callQueue.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { orRelease } from "../core/release.ts";
import type { ConnectomeNetwork } from "./connectomeNetwork.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN, type ConnectomeRNNOptions } from "./connectomeRnn.ts";
import type { EvaluationOptions } from "./network/odeEvolution.ts";
import { networkParameters } from "./network/parameters.ts";
import type { StepOptions } from "./network/stepEvolution.ts";
import { type ModelInput, resolveNeurons } from "./options.ts";
import type { ParameterSpec } from "./parameters/parameter.ts";
import { ParameterSet } from "./parameters/parameterSet.ts";
import { type ActivityProbe, featureStatistics, type GatherFeatures, probeActivity } from "./readout/features.ts";
import { checkReadoutOptions, type ReadoutOptions, readoutParameters, readoutShape } from "./readout/layers.ts";
import { Readout } from "./readout/readout.ts";
import type { ReadoutTimes } from "./readout/times.ts";
import { checkTask } from "./task/makeTask.ts";
import {
  type Judge,
  lossWeightOf,
  type Measurement,
  runBatch,
  runPart,
  type TaskGradients,
  type TaskResult,
  type WholeBatch,
} from "./task/passes.ts";
import { type ActivityPenalty, Penalties } from "./task/penalties.ts";
import type { TargetBatch } from "./task/targets.ts";
import type { Task } from "./task/task.ts";

/** What a network is asked, how it answers, and what else counts. */
export interface ModelOptions {
  readonly task: Task;
  readonly readout?: ReadoutOptions;
  /** Terms of the loss on activity. */
  readonly penalties?: readonly ActivityPenalty[];
}

/** A network in continuous time with a read-out and a task. */
export interface ConnectomeODEModelOptions extends ModelOptions {
  readonly rnn: ConnectomeODERNNOptions;
}

/** A network in discrete time with a read-out and a task. */
export interface ConnectomeModelOptions extends ModelOptions {
  readonly rnn: ConnectomeRNNOptions;
}

const OPTIONS: Readonly<Record<keyof ModelOptions | "rnn", true>> = {
  rnn: true,
  task: true,
  readout: true,
  penalties: true,
};

/** How a call evaluates the network, and at which output times it reads out. */
export interface ReadPlan<E> {
  readonly evaluation: E;
  readonly times: ReadoutTimes;
}

/** Some samples of a batch, in its order. */
export interface BatchPart {
  readonly input: ModelInput;
  readonly targets: TargetBatch;
  /** Their numbers in the batch as it came, which its evaluation (initial states, currents) counts by. */
  readonly samples: readonly number[];
  /** Samples of that batch. */
  readonly of: number;
  /** How many samples that count come before these in it: the number of the first one, for dropout and in errors. */
  readonly firstSample: number;
}

/** Computes the gradients of a part; they replace those of the parameters. */
export type PartGradients = (part: BatchPart, whole: WholeBatch) => Promise<TaskGradients>;

/**
 * A network, a read-out and a task. Use ConnectomeODEModel or ConnectomeModel. Calls that overlap in time run one after another, in the
 * order of the calls.
 */
export abstract class NetworkModel<E extends object, N extends ConnectomeNetwork<E>> {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly rnn: N;
  readonly task: Task;
  readonly options: ModelOptions;
  readonly #readout: Readout;
  readonly #penalties: Penalties;

  protected constructor(backend: Backend, options: ModelOptions, network: (parameters: ParameterSet) => N) {
    const { task, readout = {}, penalties = [] } = options;
    checkTask(task);
    checkReadoutOptions(readout);
    const parameters = new ParameterSet(backend);
    const rnn = orRelease({ release: () => parameters.dispose() }, () => network(parameters));
    const release = () => {
      rnn.dispose();
      parameters.dispose();
    };
    this.backend = backend;
    this.options = options;
    this.task = task;
    this.parameters = parameters;
    this.rnn = rnn;
    const made = orRelease({ release }, () => {
      const own = new Readout(rnn.network.model, readout, task);
      return { own, terms: orRelease(own, () => new Penalties(rnn.network.model, penalties)) };
    });
    this.#readout = made.own;
    this.#penalties = made.terms;
  }

  /** Whether the features are standardised with statistics that `calibrate` sets. */
  get standardised(): boolean {
    return this.#readout.shape.standardised;
  }

  /** What a call does with its evaluation. */
  protected planOf(evaluation: E): ReadPlan<E> {
    return { evaluation, times: this.options.readout?.times ?? "last" };
  }

  /** Outputs [batch, times of the read-out, rows]; no dropout. Those of samples that failed are NaN. */
  async forward(input: ModelInput, evaluation: E = {} as E): Promise<FloatArray> {
    const { outputs } = await this.evaluate(input, null, evaluation);
    return outputs;
  }

  /**
   * Loss, sums of metrics and outputs (as of `forward`) without gradients. Without targets there is no loss (NaN), and nothing is summed.
   *
   * @throws {ShapeError | ArgumentError} targets that the task cannot take, or none that counts
   */
  async evaluate(
    input: ModelInput,
    targets: TargetBatch | null,
    evaluation: E = {} as E,
  ): Promise<TaskResult & { readonly outputs: FloatArray }> {
    return callsOf(this.parameters).run("evaluate", async () => {
      const batch = { input, targets, ...this.planOf(evaluation) };
      const { x: _, measured: __, outputs, ...result } = await runBatch(this.rnn.network, this.#judge, batch, null);
      return { ...result, outputs: outputs! };
    });
  }

  /**
   * One forward and reverse pass: the gradients of the loss, with its penalties, replace those of `parameters`.
   *
   * Where the device works behind the host, all the work on a chunk is enqueued at once, and one small record is read at its end.
   *
   * @param step     number of the training step: dropout draws from (seed, step, sample, unit)
   * @param measure  what to measure of the gradients, read with the record
   * @throws {ShapeError | ArgumentError} targets that the task cannot take, or none that counts
   */
  async gradients(
    input: ModelInput,
    targets: TargetBatch,
    step: number,
    evaluation: E = {} as E,
    measure: Measurement = () => [],
  ): Promise<TaskGradients> {
    return callsOf(this.parameters).run("gradients", async () => {
      this.#checkStep(step);
      const batch = { input, targets, ...this.planOf(evaluation) };
      const checked = { ...batch, evaluation: this.rnn.network.checked(batch) };
      this.#readout.beginStep(step);
      this.parameters.clearGradients();
      return this.#orClear(async () => {
        const { outputs: _, ...result } = await runBatch(this.rnn.network, this.#judge, checked, measure);
        return result;
      });
    });
  }

  /**
   * The gradients of a batch that is computed part by part, in one turn: its loss, penalties and gradients are the sums of those of its parts,
   * but for the order of additions. `work` asks for the gradients of one part after the other and adds them up; what it leaves in the
   * parameters' gradients stays there. It must not call the model: it would wait for itself. A part with samples that failed, where that is
   * allowed, has no gradients; the batch is then to be computed again without them.
   *
   * @param step  as of `gradients`
   * @throws what `work` throws; the gradients are zero then
   */
  async gradientsOfParts<R>(step: number, evaluation: E, work: (gradients: PartGradients) => Promise<R>): Promise<R> {
    return callsOf(this.parameters).run("gradients", async () => {
      this.#checkStep(step);
      this.#readout.beginStep(step);
      // As the first part does: a step must start from the same values where there is none.
      this.parameters.refresh();
      const { network } = this.rnn;
      return this.#orClear(() =>
        work(async (part, whole) => {
          const batch = { ...this.#partOf(part, evaluation), whole };
          return runPart(network, this.#judge, { ...batch, evaluation: network.checked(batch) });
        }),
      );
    });
  }

  /**
   * Σ of the weights that the targets of a part have in the loss; 0: none counts.
   *
   * @throws {ShapeError | ArgumentError} targets that the task cannot take
   */
  lossWeight(part: BatchPart, evaluation: E = {} as E): number {
    return lossWeightOf(this.rnn.network, this.#judge, this.#partOf(part, evaluation));
  }

  #partOf({ input, targets, samples, of, firstSample }: BatchPart, evaluation: E) {
    const plan = this.planOf(evaluation);
    const whole = { input: { ...input, batch: of }, evaluation: plan.evaluation };
    const own = this.rnn.network.selectEvaluation(whole, samples);
    return { input, targets, firstSample, ...plan, evaluation: own };
  }

  #checkStep(step: number): void {
    if (!this.#readout.isCalibrated)
      throw new ArgumentError("gradients", "standardise", "calibrate() before training", "no calibration");
    if (!Number.isSafeInteger(step) || step < 0)
      throw new ArgumentError("gradients", "step", "a whole number of at least 0", `${step}`);
  }

  /** An optimiser must not take a part of a sum for the whole. */
  async #orClear<R>(gradients: () => Promise<R>): Promise<R> {
    try {
      return await gradients();
    } catch (error) {
      this.parameters.clearGradients();
      throw error;
    }
  }

  /**
   * Sets the fixed statistics of the features from a batch, or from several as if they were one: mean and standard deviation of each feature over the samples, at the last time
   * of the read-out or averaged over its times, so that z = c·(h − mean)/(std + 0.1·rms(std)) with c = min(1, 6.5/√F), F features that a number
   * of the first layer sees at most. With `scaleBy`, std is the root mean square of its group. Nothing is differentiated
   * through them.
   *
   * @param gather  computes the features of these inputs, [samples, features], and returns those of all: where several processes have some of
   *   the inputs each
   */
  async calibrate(
    input: ModelInput | AsyncIterable<ModelInput>,
    evaluation: E = {} as E,
    gather: GatherFeatures = (own) => own(),
  ): Promise<{ mean: Float64Array; std: Float64Array }> {
    return callsOf(this.parameters).run("calibrate", async () => {
      this.#checkStandardised("calibrate");
      const inputs = Symbol.asyncIterator in input ? input : [input];
      const plan = this.planOf(evaluation);
      const { mean, std, scale } = await featureStatistics(this.rnn.network, this.#readout, inputs, plan, gather);
      this.#readout.setStatistics(mean, scale);
      return { mean, std };
    });
  }

  /**
   * Measures how network and read-out respond to some inputs, without dropout: whether they can learn from them. Changes nothing.
   * Samples that fail are left out.
   */
  async probe(input: ModelInput, evaluation: E = {} as E): Promise<ActivityProbe> {
    return callsOf(this.parameters).run("probe", () =>
      probeActivity(this.rnn.network, this.#readout, { input, ...this.planOf(evaluation) }),
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
    callsOf(this.parameters).end(() => {
      this.#readout.release();
      this.#penalties.release();
    });
    this.parameters.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get #judge(): Judge {
    return { readout: this.#readout, penalties: this.#penalties };
  }

  #checkStandardised(where: string): void {
    if (this.#readout.shape.standardised) return;
    throw new ArgumentError(where, "standardise", "true in the options of the read-out", "false");
  }
}

/** ConnectomeODERNN with a read-out and a task. */
export class ConnectomeODEModel extends NetworkModel<EvaluationOptions, ConnectomeODERNN> {
  constructor(backend: Backend, options: ConnectomeODEModelOptions) {
    checkNames("model", options, OPTIONS);
    super(backend, options, (parameters) => new ConnectomeODERNN(backend, options.rnn, parameters));
  }
}

/** ConnectomeRNN, in discrete time, with a read-out and a task. */
export class ConnectomeModel extends NetworkModel<StepOptions, ConnectomeRNN> {
  constructor(backend: Backend, options: ConnectomeModelOptions) {
    checkNames("model", options, OPTIONS);
    super(backend, options, (parameters) => new ConnectomeRNN(backend, options.rnn, parameters));
  }
}

/** The parameters of a model, in the order in which files have them. */
export function modelParameters({
  rnn,
  task,
  readout = {},
}: ConnectomeODEModelOptions | ConnectomeModelOptions): ParameterSpec[] {
  const nFeatures = rnn.outputProjection?.nRows ?? rnn.numNeurons;
  const shape = readoutShape(readout, nFeatures, task.loss.outputs(task.target));
  return [...networkParameters(rnn, resolveNeurons(rnn)), ...readoutParameters(shape, readout.seed ?? 0)];
}
