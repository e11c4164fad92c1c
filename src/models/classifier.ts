// Classifiers: models whose task is one class per sample, judged by cross-entropy and accuracy.

import type { Backend } from "../backend/backend.ts";
import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { ConnectomeNetwork } from "./connectomeNetwork.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "./connectomeOdeRnn.ts";
import { ConnectomeRNN, type ConnectomeRNNOptions } from "./connectomeRnn.ts";
import type { EvaluationOptions } from "./network/odeEvolution.ts";
import type { StepOptions } from "./network/stepEvolution.ts";
import { type ModelOptions, modelParameters, NetworkModel, type ReadPlan } from "./networkModel.ts";
import type { ModelInput } from "./options.ts";
import type { ParameterSpec } from "./parameters/parameter.ts";
import type { ParameterSet } from "./parameters/parameterSet.ts";
import type { ReadoutOptions } from "./readout/layers.ts";
import { rowAt } from "./samples.ts";
import { classification } from "./task/makeTask.ts";
import type { Measurement, TaskGradients, TaskResult } from "./task/passes.ts";
import type { TargetBatch } from "./task/targets.ts";

/** Classes, and the layers behind a network that turn its features into them. */
export interface ClassifierOptions extends Pick<ReadoutOptions, "fcDim" | "dropout" | "seed" | "standardise"> {
  readonly numClasses: number;
}

/** A network in continuous time, and the read-out on it. */
export interface ConnectomeODEClassifierOptions extends ClassifierOptions {
  readonly rnn: ConnectomeODERNNOptions;
}

/** A network in discrete time, and the read-out on it. */
export interface ConnectomeClassifierOptions extends ClassifierOptions {
  readonly rnn: ConnectomeRNNOptions;
}

/** How a classifier's network is evaluated, and which output times the loss takes. */
export type ClassifierEvaluation<E = EvaluationOptions> = E & {
  /** Mean of the loss over all output times instead of the last one; default false. */
  readonly lossAllTimesteps?: boolean;
};

/** Loss and counts of one batch. */
export interface BatchResult extends TaskResult {
  /** Samples (× evaluation times with `lossAllTimesteps`) whose largest logit is the label's. */
  readonly correct: number;
}

/** What a reverse pass yields besides the gradients of `parameters`. */
export interface GradientResult extends TaskGradients {
  readonly correct: number;
}

/** Labels of a batch: a class per sample, or targets. */
export type Labels = ArrayLike<number> | TargetBatch;

const OPTIONS: Readonly<Record<keyof ClassifierOptions | "rnn", true>> = {
  rnn: true,
  numClasses: true,
  fcDim: true,
  dropout: true,
  seed: true,
  standardise: true,
};
const WHERE = "classifier";

/** Use ConnectomeODEClassifier or ConnectomeClassifier. Calls that overlap in time run one after another, in the order of the calls. */
export abstract class NetworkClassifier<E extends object, N extends ConnectomeNetwork<E>> extends NetworkModel<E, N> {
  readonly numClasses: number;

  protected constructor(backend: Backend, options: ClassifierOptions, network: (parameters: ParameterSet) => N) {
    super(backend, modelOptions(options), network);
    this.numClasses = options.numClasses;
  }

  protected override planOf({ lossAllTimesteps = false, ...evaluation }: ClassifierEvaluation<E>): ReadPlan<E> {
    if (typeof lossAllTimesteps !== "boolean")
      throw new ArgumentError(WHERE, "lossAllTimesteps", "true or false", `${lossAllTimesteps}`);
    return { evaluation: evaluation as unknown as E, times: lossAllTimesteps ? "all" : "last" };
  }

  /**
   * Logits [batch, classes] at the last evaluation time, or with `lossAllTimesteps` [times, batch, classes]; no dropout. Those of samples
   * that failed are NaN.
   */
  override async forward(
    input: ModelInput,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<FloatArray> {
    const { logits } = await this.evaluate(input, null, evaluation);
    return logits;
  }

  /** Loss, correct predictions and logits (as of `forward`) without gradients. Without labels there is no loss (NaN). */
  override async evaluate(
    input: ModelInput,
    labels: Labels | null,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
  ): Promise<BatchResult & { readonly outputs: FloatArray; readonly logits: FloatArray }> {
    const targets = labels && this.#targets(labels, input.batch);
    const result = await super.evaluate(input, targets, evaluation);
    const { outputs } = result;
    return { ...result, correct: correctOf(result), logits: timeFirst(outputs, input.batch, this.numClasses) };
  }

  /**
   * One forward and reverse pass: the gradients of the mean loss replace those of `parameters`.
   *
   * Where the device works behind the host, all the work on a chunk is enqueued at once, and one small record is read at its end.
   *
   * @param step     number of the training step: dropout draws from (seed, step, sample, unit)
   * @param measure  what to measure of the gradients, read with the record
   */
  override async gradients(
    input: ModelInput,
    labels: Labels,
    step: number,
    evaluation: ClassifierEvaluation<E> = {} as ClassifierEvaluation<E>,
    measure: Measurement = () => [],
  ): Promise<GradientResult> {
    const result = await super.gradients(input, this.#targets(labels, input.batch), step, evaluation, measure);
    return { ...result, correct: correctOf(result) };
  }

  #targets(labels: Labels, batch: number): TargetBatch {
    if ("values" in labels && "weights" in labels) return labels;
    const values = labels as ArrayLike<number>;
    checkLabels(values, batch, this.numClasses);
    return { values, weights: null };
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
  return modelParameters({ rnn, ...modelOptions(options) });
}

/** @throws {ArgumentError} naming the option */
function modelOptions(options: ClassifierOptions): ModelOptions {
  checkNames(WHERE, options, OPTIONS);
  const { numClasses, fcDim, dropout, seed, standardise } = options;
  if (!Number.isInteger(numClasses) || numClasses < 2)
    throw new ArgumentError(WHERE, "numClasses", "a whole number of at least 2", `${numClasses}`);
  const readout = { fcDim, dropout, seed, standardise };
  const given = Object.fromEntries(Object.entries(readout).filter(([, value]) => value !== undefined));
  return { task: classification(numClasses), readout: given };
}

/** @throws {ShapeError | ArgumentError} other than one class per sample */
function checkLabels(labels: ArrayLike<number>, batch: number, nClasses: number): void {
  if (labels.length !== batch)
    throw new ShapeError(WHERE, "labels", `${batch} labels, one per sample`, `${labels.length}`);
  for (let i = 0; i < batch; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= nClasses) {
      throw new ArgumentError(WHERE, "labels", `classes 0 to ${nClasses - 1}`, `${label} for sample ${i}`);
    }
  }
}

function correctOf({ metrics }: TaskResult): number {
  return metrics.sums.accuracy!.correct![0]!;
}

/** [batch, times, width] as [times, batch, width]. */
function timeFirst(outputs: FloatArray, batch: number, width: number): FloatArray {
  const times = outputs.length / (batch * width);
  if (times === 1) return outputs;
  const rows = { batch, times, width, batchFirst: true };
  const turned = outputs.slice();
  for (let s = 0; s < batch; s++) {
    for (let j = 0; j < times; j++) {
      const from = rowAt(rows, s, j);
      turned.set(outputs.subarray(from, from + width), rowAt({ ...rows, batchFirst: false }, s, j));
    }
  }
  return turned;
}
