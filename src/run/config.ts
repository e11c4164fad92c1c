// The configuration of a training run: one flat, plain object. Defaults and presets fill it, options override it, config.json records it.

import type { Device } from "../backend/select.ts";
import type { DType } from "../core/dtype.ts";
import type { FailurePolicy } from "../models/failures.ts";
import type { Dynamics } from "../models/options.ts";
import { LOSS_NAMES, type LossName } from "../models/task/losses/index.ts";
import { METHODS, type MethodName } from "../ode/tableaus/index.ts";
import { hyphenated } from "./names.ts";

export const WEIGHTS = ["abs", "signed"] as const;
export const WIRINGS = ["real", "shuffled", "random", "none"] as const;
export const NORMALISATIONS = ["rows", "none"] as const;
export const INPUTS = ["auto", "retinotopic", "random", "groups", "direct"] as const;
export const READOUTS = ["auto", "all", "output", "no-input"] as const;
export const HEADS = ["layers", "states", "groups"] as const;
export const TIMES = ["continuous", "discrete"] as const;
export const DYNAMICS: readonly Dynamics[] = ["rate", "leaky", "voltage", "plain"];
export const LOSS_CHOICES: readonly ("auto" | LossName)[] = ["auto", ...LOSS_NAMES];
export const CLASS_WEIGHTS = ["none", "balanced"] as const;
export const INPUT_SCALINGS = ["none", "standardise"] as const;
export const TARGET_KINDS = ["auto", "class", "numbers"] as const;

/** Whether a read-out is one of these names, rather than a selector. */
export function isReadoutName(readout: string): readout is (typeof READOUTS)[number] {
  return (READOUTS as readonly string[]).includes(readout);
}

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

/** "auto", "last", "all", or the last k as "last:k". */
export type ReadoutTimes = "auto" | "last" | "all" | `last:${number}`;

/** Everything that determines a run. The comments say what a value means; help texts, types and defaults are in `configOptions.ts`. */
export interface TrainConfig {
  readonly preset: string;
  /** Loss; "auto": cross-entropy of classes, squared error of numbers. */
  readonly loss: (typeof LOSS_CHOICES)[number];
  /** Metrics, the first of which decides which checkpoint is best; null: those that go with the loss. */
  readonly metrics: readonly string[] | null;
  /** Part of a class target that is spread evenly over all classes. */
  readonly labelSmoothing: number;
  /** "balanced": a class counts in inverse proportion to its samples in the training set. */
  readonly classWeights: (typeof CLASS_WEIGHTS)[number];
  /** Where Huber's loss passes from a square to a line. */
  readonly huberDelta: number;
  /** Weight of the mean of (rate − activityBaseline)² over all neurons in the loss. */
  readonly activityPenalty: number;
  readonly activityBaseline: number;
  /** "continuous": an ODE that is solved; "discrete": steps from state to state. */
  readonly time: (typeof TIMES)[number];
  readonly dynamics: Dynamics;
  /** Initial time constant of all neurons. */
  readonly tau: number;
  /** Steps that a network in discrete time takes with each frame of its input. */
  readonly recurrences: number;
  /** Frames after which the gradient ends; null: it goes through the whole sequence. */
  readonly window: number | null;
  /** Input under which the network comes to rest before a run; null: it starts from zeros. */
  readonly rest: number | null;
  /** Time, or steps in discrete time, that it is given to come to rest. */
  readonly restTime: number;
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
  /**
   * Neurons that get the inputs. "auto": pixels retinotopically with a neuron table, else one random neuron per input; "groups": `groupSize`
   * random neurons per input; "direct": input i drives neuron i.
   */
  readonly input: (typeof INPUTS)[number];
  /** Train the weights of the input projection. */
  readonly trainInput: boolean;
  /**
   * Neurons that are read out. "auto": output neurons with a neuron table, else all without input; "output" and "no-input" leave out those
   * with input. Or a selector: exactly its neurons.
   */
  readonly readout: string;
  /** "layers": linear, or with hidden units; "states": states are the outputs; "groups": an output is the mean of `groupSize` random neurons. */
  readonly head: (typeof HEADS)[number];
  /** Neurons of each group of `input` and `head` "groups". Groups are disjoint. */
  readonly groupSize: number;
  /** Output times that are read out; "auto": all if targets have times, else the last one. */
  readonly readoutTimes: ReadoutTimes;
  /** Read out the mean over these times. */
  readonly readoutAverage: boolean;
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
  /** Number of training samples set aside for validation; of files with a part for validation, the first of its samples. 0: no validation. */
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
  /** File or folder with samples, or the name of generated samples; null: generated digits. */
  readonly data: string | null;
  /** Options of generated samples, by name. */
  readonly dataOptions: Readonly<Record<string, number | string>>;
  /** "standardise": inputs of sample files are standardised with the statistics of the training part. */
  readonly scaleInputs: (typeof INPUT_SCALINGS)[number];
  /** Meaning of the targets in sample files; "auto": whole-number types are classes, others are numbers. */
  readonly targets: (typeof TARGET_KINDS)[number];
  /** Most memory for samples, in MiB; larger sets are read in blocks. */
  readonly dataMemory: number;
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
