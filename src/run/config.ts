// What determines a training run: one flat, plain object. Presets fill it, options override it, config.json keeps it.

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
type Hyphenated<Name extends string> = Name extends `${infer Letter}${infer Rest}`
  ? `${Lowercase<Letter>}${Rest extends Uncapitalize<Rest> ? "" : "-"}${Hyphenated<Rest>}`
  : Name;
export type SolverName = Hyphenated<MethodName>;
/** The methods, those of highest order first. */
export const SOLVERS: readonly SolverName[] = [...METHODS].reverse().map(({ name }) => hyphenated(name) as SolverName);
export const CONTROLLERS = ["integral", "pi", "fixed"] as const;
export const SCHEDULES = ["constant", "step", "cosine", "one-cycle"] as const;
export const NON_FINITE_ACTIONS = ["stop", "skip", "rollback"] as const;

/** Of a random network. */
export interface NetworkSize {
  readonly neurons: number;
  readonly synapses: number;
}

/** The part of a configuration that a preset decides. */
export interface Recipe {
  /** Controls: the same degrees, or the same density, between other neurons (drawn by `seed`); no synapses at all, W = 0. */
  readonly wiring: (typeof WIRINGS)[number];
  /** Weights, biases and time constants of the network are trained. W = 0 never is. */
  readonly trainConnectome: boolean;
  /** Absolute values of the weights (kept ≥ 0 in training), or weights with their signs. */
  readonly weights: (typeof WEIGHTS)[number];
  /** Divide each row by the sum of its |w|. */
  readonly normalise: (typeof NORMALISATIONS)[number];
  /** Factor on all weights, after the normalisation. */
  readonly gain: number;
  /** Signed weights may not change sign in training. */
  readonly keepSigns: boolean;
  /** Names of torch.nn modules, separated by commas. */
  readonly nonlinearity: string;
  /** Where the pixels go. "auto": retinotopic with a neuron table, else one random neuron per pixel. */
  readonly input: (typeof INPUTS)[number];
  /** The weights of the input projection are trained. */
  readonly trainInput: boolean;
  /** Which neurons are read out. "auto": output neurons with a neuron table, else those that get no input. */
  readonly readout: (typeof READOUTS)[number];
  /** Standardise features with statistics of the first `calibration` training images, then fixed. */
  readonly standardise: boolean;
  readonly calibration: number;
  /** Hidden units of the read-out; null: a linear read-out. */
  readonly fcDim: number | null;
  readonly dropout: number;
  readonly solver: SolverName;
  /** null: fixed steps where `dt` is given, else the integral controller. */
  readonly controller: (typeof CONTROLLERS)[number] | null;
  /** Size of fixed steps, or of the first adaptive one; null: found by the heuristic. */
  readonly dt: number | null;
  readonly endTime: number;
  readonly numEvals: number;
  readonly rtol: number;
  readonly atol: number;
  readonly maxSteps: number;
  /** null: no limit by epochs. */
  readonly epochs: number | null;
  /** null: no limit by steps. */
  readonly steps: number | null;
  readonly batchSize: number;
  readonly lr: number;
  /** How the learning rate changes until the last step. */
  readonly schedule: (typeof SCHEDULES)[number];
  /** Steps between reductions of the schedule "step"; null: a third of those it lasts. */
  readonly decayEvery: number | null;
  /** Factor of such a reduction. */
  readonly decayFactor: number;
  /** Steps over which the learning rate rises to `lr` before the schedule begins. */
  readonly warmUp: number;
  /** Decoupled (AdamW); 0: none. */
  readonly weightDecay: number;
  /** Longer gradients, by their 2-norm over all parameters, are shortened to this; null: none are. */
  readonly clipNorm: number | null;
  /** Training images are moved by up to this many pixels each way, at random. */
  readonly shift: number;
  /** null: all there are (generated digits: 8,000). */
  readonly trainSamples: number | null;
  /** Taken from the training images of a data set. */
  readonly validationSamples: number;
  /** null: all there are (generated digits: 1,000). 0: no test. */
  readonly testSamples: number | null;
  /** Steps between evaluations on the validation images; 0: at the end only. */
  readonly evalEvery: number;
  /** Steps between checkpoints; 0: at the end only. */
  readonly checkpointEvery: number;
}

/** Everything that determines a run. */
export interface TrainConfig extends Recipe {
  readonly preset: string;
  /** File, or null: a made-up network. */
  readonly connectome: string | null;
  /** CSV beside a connectome: cell types, roles and places. */
  readonly neuronTable: string | null;
  /** Make a random network of this size instead of the made-up visual system. */
  readonly generate: NetworkSize | null;
  /** Folder with MNIST or a data set of its form; null: generated digits. */
  readonly data: string | null;
  /** Folder of a run, checkpoint or state dictionary that the parameters start from; null: from the recipe. */
  readonly initFrom: string | null;
  readonly seed: number;
  readonly device: Device;
  readonly dtype: DType;
  readonly threads: number;
  /** Most MiB for the record of the reverse pass; null: the device's default. */
  readonly memoryBudget: number | null;
  /** Steps between looks at whether the training can work; 0: none. */
  readonly diagnoseEvery: number;
  /** How many of the last checkpoints stay. */
  readonly keepCheckpoints: number;
  /** What a sample whose solve does not reach its end means for its batch. */
  readonly onFailure: FailurePolicy;
  /** What follows a step whose loss or gradient is not finite. */
  readonly onNonfinite: (typeof NON_FINITE_ACTIONS)[number];
}
