// The configuration of a training run: one flat, plain object. Defaults and presets fill it, options override it, config.json records it.

import type { Device } from "../backend/select.ts";
import type { DType } from "../core/dtype.ts";
import type { FailurePolicy } from "../models/failures.ts";
import { METHODS, type MethodName } from "../ode/tableaus/index.ts";
import { hyphenated } from "./names.ts";

export const WEIGHTS = ["abs", "signed"] as const;
export const WIRINGS = ["real", "shuffled", "random", "none"] as const;
export const NORMALISATIONS = ["rows", "none"] as const;
export const INPUTS = ["auto", "retinotopic", "random"] as const;
export const READOUTS = ["auto", "all", "output", "no-input"] as const;
/** "exponential-euler" for exponentialEuler. */
export type Hyphenated<Name extends string> = Name extends `${infer Letter}${infer Rest}`
  ? `${Lowercase<Letter>}${Rest extends Uncapitalize<Rest> ? "" : "-"}${Hyphenated<Rest>}`
  : Name;
/** Names of the methods on the command line. */
export type SolverName = Hyphenated<MethodName>;
/** The methods, those of highest order first. */
export const SOLVERS: readonly SolverName[] = [...METHODS].reverse().map(({ name }) => hyphenated(name) as SolverName);
export const CONTROLLERS = ["integral", "pi", "fixed"] as const;
export const SCHEDULES = ["constant", "step", "cosine", "one-cycle"] as const;
export const OPTIMIZERS = ["adam", "sgd", "rmsprop"] as const;
export const NON_FINITE_ACTIONS = ["stop", "skip", "rollback"] as const;

/** Numbers by pattern of parameters; of patterns that overlap, the last one decides. */
export type Assignments = Readonly<Record<string, number>>;

/** Size of a random network. */
export interface NetworkSize {
  readonly neurons: number;
  readonly connections: number;
}

/** Everything that determines a run. The comments say what a value means; help texts, types and defaults are in `configOptions.ts`. */
export interface TrainConfig {
  readonly preset: string;
  /**
   * "real", or a control: "shuffled" has the same degrees and "random" the same density, between neurons drawn by `seed`; "none" has no
   * connections, W = 0.
   */
  readonly wiring: (typeof WIRINGS)[number];
  /** Train weights, biases and time constants of the network. A network without connections is never trained. */
  readonly trainConnectome: boolean;
  /** "abs": absolute values, kept ≥ 0 in training; "signed": weights with their signs. */
  readonly weights: (typeof WEIGHTS)[number];
  /** "rows": divide each row by the sum of its |w|. */
  readonly normalise: (typeof NORMALISATIONS)[number];
  /** Factor on all weights, after the normalisation. */
  readonly gain: number;
  /** Signed weights keep their signs in training. */
  readonly keepSigns: boolean;
  /** Names of torch.nn modules, separated by commas. */
  readonly nonlinearity: string;
  /** Neurons that get the pixels. "auto": retinotopic with a neuron table, else one random neuron per pixel. */
  readonly input: (typeof INPUTS)[number];
  /** Train the weights of the input projection. */
  readonly trainInput: boolean;
  /** Neurons that are read out. "auto": output neurons with a neuron table, else all without input. */
  readonly readout: (typeof READOUTS)[number];
  /** Standardise features with fixed statistics of the first `calibration` training images. */
  readonly standardise: boolean;
  readonly calibration: number;
  /** Hidden units of the read-out; null: a linear read-out. */
  readonly fcDim: number | null;
  readonly dropout: number;
  readonly solver: SolverName;
  /** null: fixed steps where `dt` is given, else the integral controller. */
  readonly controller: (typeof CONTROLLERS)[number] | null;
  /** Size of fixed steps, or of the first adaptive step; null: chosen by a heuristic. */
  readonly dt: number | null;
  readonly endTime: number;
  readonly numEvals: number;
  readonly rtol: number;
  readonly atol: number;
  readonly maxSteps: number;
  /** Limit of epochs; null: none. */
  readonly epochs: number | null;
  /** Limit of steps; null: none. */
  readonly steps: number | null;
  readonly batchSize: number;
  /** Batches per step. */
  readonly accumulate: number;
  /** "adam" with weight decay, of all or of some parameters, is AdamW. */
  readonly optimizer: (typeof OPTIMIZERS)[number];
  /** Of "sgd" and "rmsprop". */
  readonly momentum: number;
  readonly lr: number;
  /** Learning rates of some parameters in place of `lr`; null: none. */
  readonly lrOf: Assignments | null;
  /** Schedule of the learning rate, until the last step. */
  readonly schedule: (typeof SCHEDULES)[number];
  /** Steps between reductions of the schedule "step"; null: a third of its length. */
  readonly decayEvery: number | null;
  /** Factor of each reduction. */
  readonly decayFactor: number;
  /** Steps over which the learning rate rises to `lr` before the schedule begins. */
  readonly warmUp: number;
  /** Weight decay; with "adam" decoupled (AdamW). */
  readonly weightDecay: number;
  /** Weight decay of some parameters in place of `weightDecay`; null: none. */
  readonly decayOf: Assignments | null;
  /** Patterns of parameters that are not trained; null: none. */
  readonly freeze: readonly string[] | null;
  /** Weights of penalties by `kind:pattern`; null: none. */
  readonly penalty: Assignments | null;
  /** Largest 2-norm of the gradient of all parameters; longer gradients are scaled down. null: no limit. */
  readonly clipNorm: number | null;
  /** Training images are shifted randomly by up to this many pixels in each direction. */
  readonly shift: number;
  /** null: all (generated digits: 8,000). */
  readonly trainSamples: number | null;
  /** Number of training images set aside for validation. */
  readonly validationSamples: number;
  /** null: all (generated digits: 1,000). 0: no test. */
  readonly testSamples: number | null;
  /** Steps between evaluations on the validation images; 0: at the end only. */
  readonly evalEvery: number;
  /** The training ends after this many evaluations in a row without an improvement; null: it goes on. */
  readonly patience: number | null;
  /** Steps between checkpoints; 0: at the end only. */
  readonly checkpointEvery: number;
  /** File; null: a generated network. */
  readonly connectome: string | null;
  /** CSV with cell types, roles and positions of the neurons. */
  readonly neuronTable: string | null;
  /** Generate a random network of this size instead of the made-up visual system. */
  readonly generate: NetworkSize | null;
  /** Folder with MNIST, or another data set of its format; null: generated digits. */
  readonly data: string | null;
  /** Folder of a run, checkpoint or state dictionary with the initial parameters; null: those of the recipe. */
  readonly initFrom: string | null;
  /** Pattern of the parameters that are taken from there; null: all that fit. */
  readonly initOnly: string | null;
  readonly seed: number;
  readonly device: Device;
  readonly dtype: DType;
  readonly threads: number;
  /** Limit of the tape, in MiB; null: the device's default. */
  readonly memoryBudget: number | null;
  /** Steps between diagnoses of whether the training can work; 0: none. */
  readonly diagnoseEvery: number;
  /** Number of latest checkpoints that are kept. */
  readonly keepCheckpoints: number;
  /** Treatment of samples whose solve fails. */
  readonly onFailure: FailurePolicy;
  /** Reaction to a loss or gradient that is not finite. */
  readonly onNonfinite: (typeof NON_FINITE_ACTIONS)[number];
}
