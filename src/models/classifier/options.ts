// Options of classifiers, and their checks.

import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { ConnectomeODERNNOptions } from "../connectomeOdeRnn.ts";
import type { ConnectomeRNNOptions } from "../connectomeRnn.ts";
import type { EvaluationOptions } from "../network/odeEvolution.ts";

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
  readonly rnn: ConnectomeRNNOptions;
}

/** How a classifier's network is evaluated, and which output times the loss takes. */
export type ClassifierEvaluation<E = EvaluationOptions> = E & {
  /** Mean of the loss over all output times instead of the last one; default false. */
  readonly lossAllTimesteps?: boolean;
};

/** Every option of a classifier. */
const OPTIONS: Readonly<Record<keyof ReadoutOptions | "rnn", true>> = {
  rnn: true,
  numClasses: true,
  fcDim: true,
  dropout: true,
  seed: true,
  standardise: true,
};
const WHERE = "classifier";

/** @throws {ArgumentError} naming the option */
export function checkOptions(options: ReadoutOptions): void {
  checkNames(WHERE, options, OPTIONS);
  const { numClasses, fcDim, dropout } = options;
  if (!Number.isInteger(numClasses) || numClasses < 2)
    throw new ArgumentError(WHERE, "numClasses", "a whole number of at least 2", `${numClasses}`);
  if (fcDim != null && (!Number.isInteger(fcDim) || fcDim < 1))
    throw new ArgumentError(WHERE, "fcDim", "a whole number of at least 1, or null", `${fcDim}`);
  if (dropout !== undefined && !(dropout >= 0 && dropout < 1))
    throw new ArgumentError(WHERE, "dropout", "a probability from 0 to below 1", `${dropout}`);
}

/** @throws {ShapeError | ArgumentError} other than one class per sample */
export function checkLabels(labels: ArrayLike<number>, batch: number, nClasses: number): void {
  if (labels.length !== batch)
    throw new ShapeError(WHERE, "labels", `${batch} labels, one per sample`, `${labels.length}`);
  for (let i = 0; i < batch; i++) {
    const label = labels[i]!;
    if (!Number.isInteger(label) || label < 0 || label >= nClasses) {
      throw new ArgumentError(WHERE, "labels", `classes 0 to ${nClasses - 1}`, `${label} for sample ${i}`);
    }
  }
}

/** What the network takes of an evaluation, and whether the loss takes all output times. @throws {ArgumentError} no boolean */
export function splitEvaluation<E extends object>({
  lossAllTimesteps = false,
  ...evaluation
}: ClassifierEvaluation<E>): { readonly evaluation: E; readonly lossAllTimesteps: boolean } {
  if (typeof lossAllTimesteps !== "boolean")
    throw new ArgumentError(WHERE, "lossAllTimesteps", "true or false", `${lossAllTimesteps}`);
  return { evaluation: evaluation as unknown as E, lossAllTimesteps };
}
