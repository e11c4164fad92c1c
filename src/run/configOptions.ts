// The table of all settings of a training run. Options of the command line, keys of configuration files, their JSON Schema and the commented
// template are made from it.

import { GATHERS } from "../backend/gather.ts";
import { DEVICES } from "../backend/select.ts";
import { defaultThreads } from "../backend/wasm/threads.ts";
import { DTYPES } from "../core/dtype.ts";
import { CONTROLS } from "../data/controls.ts";
import { TASK_SETS } from "../data/tasks/index.ts";
import { FAILURE_POLICIES } from "../models/failures.ts";
import { METRIC_NAMES } from "../models/task/metrics/index.ts";
import { baselineOf } from "./baseline.ts";
import {
  CLASS_WEIGHTS,
  CONTROLLERS,
  controlOf,
  DYNAMICS,
  drivesGroups,
  HEADS,
  INPUT_SCALINGS,
  INPUTS,
  LOSS_CHOICES,
  NON_FINITE_ACTIONS,
  NORMALISATIONS,
  OPTIMIZERS,
  READOUTS,
  SCHEDULES,
  SHARINGS,
  SOLVERS,
  TARGET_KINDS,
  TIMES,
  type TrainConfig,
  TUNE_WORDS,
  WEIGHTS,
  WIRINGS,
} from "./config.ts";
import { hyphenated } from "./names.ts";
import { PRESETS } from "./presets.ts";
import {
  assignments,
  choice,
  filePath,
  flag,
  generatedNetwork,
  listOf,
  namedValues,
  nonlinearities,
  orNull,
  parameterPattern,
  penaltyOfParameters,
  readoutTimes,
  real,
  type SettingType,
  selector,
  whole,
  wholeOr,
  word,
  wordOrPath,
} from "./settingTypes.ts";
import { hasFixedSteps, tableauOf } from "./solver.ts";

export type Key = keyof TrainConfig;

/** Headings, in the order in which they are shown. */
export const GROUPS = ["Recipe", "Task", "Network", "Read-out", "Solver", "Training", "Data", "Device"] as const;

/** A condition without which a setting has no effect. */
interface Need {
  readonly expected: string;
  readonly met: (config: TrainConfig) => boolean;
  /** What the configuration has instead. */
  readonly got: (config: TrainConfig) => string;
}

export interface ConfigOption<T> {
  readonly group: (typeof GROUPS)[number];
  /** Stands for the value in --help; null: a switch, with a --no- form. */
  readonly placeholder: string | null;
  readonly help: string;
  /** Help of the --no- form of a switch. */
  readonly negated?: string;
  readonly type: SettingType<T>;
  /** The value where neither the preset nor the user decides: that of the demo. */
  readonly default: T;
  /** The setting may change on resume, as the numbers of training do not depend on it. */
  readonly changeableOnResume?: true;
  readonly needs?: Need;
}

const PRESET_NAMES = Object.keys(PRESETS);
const presetSummaries = Object.entries(PRESETS).map(([name, { summary }]) => `${name}: ${summary}`);
const controlSummaries = Object.entries(CONTROLS).map(([name, { summary }]) => `${name} (${summary})`);
const fixedStepSolvers = SOLVERS.filter((solver) => tableauOf({ solver }).bErr === null);
const positive: SettingType<number> = real({ above: 0 });
const pattern: SettingType<string> = parameterPattern();

const PATTERNS =
  "patterns are names in files or roles (weights, biases, time-constants, input, output, read-out), with * for any text and ! for all others, or their elements of some neurons: biases[type=T4*], weights[pre: side=L]; the last that matches decides";

const WIRING_WORDS: Readonly<Partial<Record<TrainConfig["wiring"], string>>> = {
  none: "--wiring none has W = 0 and trains no weights",
  dense: "--wiring dense draws its own weights and trains them",
  gru: "--wiring gru draws its own weights and trains them",
};
const CONNECTIONS: Need = {
  expected: `a wiring with the weights of the connectome (${Object.values(WIRING_WORDS).join("; ")})`,
  met: ({ wiring }) => WIRING_WORDS[wiring] === undefined,
  got: ({ wiring }) => `--wiring ${wiring}`,
};
const STEP_SCHEDULE: Need = {
  expected: "--schedule step",
  met: ({ schedule }) => schedule === "step",
  got: ({ schedule }) => `--schedule ${schedule}`,
};
const CONTINUOUS: Need = {
  expected: "--time continuous",
  met: ({ time }) => time === "continuous",
  got: ({ time }) => `--time ${time}`,
};
const GROUPS_OF_NEURONS: Need = {
  expected: "--input groups, --input with a selector, or --head groups",
  met: (config) => drivesGroups(config) || config.head === "groups",
  got: ({ input, head }) => `--input ${input} and --head ${head}`,
};
const BINARY: Need = {
  expected: "--loss binary-cross-entropy",
  met: ({ loss }) => loss === "binary-cross-entropy",
  got: ({ loss }) => `--loss ${loss}`,
};
const TIME_CONSTANTS: Need = {
  expected: "dynamics with time constants",
  met: ({ dynamics }) => dynamics !== "plain",
  got: ({ dynamics }) => `--dynamics ${dynamics}`,
};
const NO_GRU: Need = {
  expected: "another wiring than gru, whose functions are sigmoid and tanh",
  met: ({ wiring }) => wiring !== "gru",
  got: CONNECTIONS.got,
};
const dynamicsGot = (config: TrainConfig): string => (NO_GRU.met(config) ? TIME_CONSTANTS : NO_GRU).got(config);
const MADE_UP: Need = {
  expected: "the made-up visual system, without --connectome and --generate",
  met: ({ connectome, generate }) => connectome === null && generate === null,
  got: ({ connectome }) => (connectome === null ? "--generate" : "--connectome"),
};
const LAYERS: Need = {
  expected: "--head layers",
  met: ({ head }) => head === "layers",
  got: ({ head }) => `--head ${head}`,
};
const COLUMNS: Need = {
  expected: "--head columns",
  met: ({ head }) => head === "columns",
  got: ({ head }) => `--head ${head}`,
};
const OWN_BIASES: Need = {
  expected: "neurons of the connectome, not a baseline, whose biases start at 0",
  met: (config) => baselineOf(config) === null,
  got: CONNECTIONS.got,
};
const SAMPLE_FILES: Need = {
  expected: "--data with a file or folder of arrays",
  met: ({ data }) => data !== null && data !== DIGITS && !isTaskName(data),
  got: ({ data }) => `--data ${data ?? DIGITS}`,
};
const ADAPTIVE_STEPS: Need = {
  expected: "adaptive steps",
  met: (config) => CONTINUOUS.met(config) && !hasFixedSteps(config),
  got: (config) => (!CONTINUOUS.met(config) ? CONTINUOUS.got(config) : `fixed steps of --dt ${config.dt}`),
};

const TASK_NAMES = Object.keys(TASK_SETS);

/** Digits by name, for settings that lie above others. */
export const DIGITS = "digits";

/** Whether the data are samples that are generated by a task of this name. */
export function isTaskName(data: string | null): data is string {
  return data !== null && Object.hasOwn(TASK_SETS, data);
}

export const CONFIG_OPTIONS: { readonly [K in Key]: ConfigOption<TrainConfig[K]> } = {
  preset: {
    group: "Recipe",
    placeholder: "<name>",
    help: `recipe to start from; options take precedence. ${presetSummaries.join(". ")}`,
    type: choice(PRESET_NAMES),
    default: "demo",
  },

  loss: {
    group: "Task",
    placeholder: "<name>",
    help: `what is minimised: ${LOSS_CHOICES.join(", ")}; auto: cross-entropy of classes, squared error of numbers`,
    type: choice(LOSS_CHOICES),
    default: "auto",
  },
  metrics: {
    group: "Task",
    placeholder: "<names>",
    help: `metrics, separated by commas; the first decides which checkpoint is best: ${METRIC_NAMES.join(", ")} (default: those that go with the loss)`,
    type: orNull(listOf(choice(METRIC_NAMES))),
    default: null,
  },
  labelSmoothing: {
    group: "Task",
    placeholder: "<x>",
    help: "with cross-entropy: part of a target that is spread over all classes",
    type: real({ least: 0, below: 1 }),
    default: 0,
    needs: {
      expected: "--loss cross-entropy",
      met: ({ loss, labelSmoothing }) => labelSmoothing === 0 || loss === "auto" || loss === "cross-entropy",
      got: ({ loss }) => `--loss ${loss}`,
    },
  },
  classWeights: {
    group: "Task",
    placeholder: "<which>",
    help: "with cross-entropy: none, or balanced (rare classes count more, in inverse proportion to their training samples)",
    type: choice(CLASS_WEIGHTS),
    default: "none",
    needs: {
      expected: "--loss cross-entropy",
      met: ({ loss, classWeights }) => classWeights === "none" || loss === "auto" || loss === "cross-entropy",
      got: ({ loss }) => `--loss ${loss}`,
    },
  },
  huberDelta: {
    group: "Task",
    placeholder: "<x>",
    help: "with --loss huber: the error at which the square becomes a line",
    type: positive,
    default: 1,
    needs: { expected: "--loss huber", met: ({ loss }) => loss === "huber", got: ({ loss }) => `--loss ${loss}` },
  },
  vectorSize: {
    group: "Task",
    placeholder: "<n>",
    help: "with --loss norm or the metric endpoint-error: numbers of a target that make a vector (first components of all vectors come first)",
    type: whole(1, 65_536),
    default: 2,
    needs: {
      expected: "--loss norm or --metrics endpoint-error",
      met: ({ loss, metrics }) => loss === "norm" || (metrics?.includes("endpoint-error") ?? false),
      got: ({ loss }) => `--loss ${loss}`,
    },
  },
  positiveWeight: {
    group: "Task",
    placeholder: "<x>",
    help: "with --loss binary-cross-entropy: how much a target of 1 counts beside one of 0",
    type: positive,
    default: 1,
    needs: BINARY,
  },
  activityPenalty: {
    group: "Task",
    placeholder: "<x>",
    help: "weight of the mean of (rate - baseline)^2 over neurons, added to the loss",
    type: real({ least: 0 }),
    default: 0,
  },
  activityBaseline: {
    group: "Task",
    placeholder: "<rate>",
    help: "the baseline of --activity-penalty",
    type: real({}),
    default: 0,
    needs: {
      expected: "--activity-penalty",
      met: ({ activityPenalty }) => activityPenalty > 0,
      got: () => "none",
    },
  },
  rateL1: {
    group: "Task",
    placeholder: "<x>",
    help: "weight of the mean of |rate| over neurons, added to the loss",
    type: real({ least: 0 }),
    default: 0,
  },
  rateL2: {
    group: "Task",
    placeholder: "<x>",
    help: "weight of the mean of rate^2 over neurons, added to the loss",
    type: real({ least: 0 }),
    default: 0,
  },

  connectome: {
    group: "Network",
    placeholder: "<file>",
    help: "file of npx axograd import, matrix (row = receiving neuron), edge list or graph: .npz, .pt, .npy, .mtx, .safetensors, .csv, .tsv, .parquet or .graphml",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  neuronTable: {
    group: "Network",
    placeholder: "<file>",
    help: "CSV with the neurons' types, roles and places, joined by id (default: the table of the connectome's file, or X_neurons.csv beside it)",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  generate: {
    group: "Network",
    placeholder: "<what>",
    help: "network to make: NxC (random, N neurons and C connections, like 47521x4623254), or motion[:EXTENT] (made-up motion detectors in hexagonal columns; default: the made-up visual system)",
    type: orNull(generatedNetwork()),
    default: null,
  },
  columns: {
    group: "Network",
    placeholder: "<n>",
    help: "side of the made-up visual system, in columns of 14 neurons: 17 columns are 4046 neurons",
    type: whole(2, 512),
    default: 17,
    needs: MADE_UP,
  },
  wiring: {
    group: "Network",
    placeholder: "<which>",
    help: `real, or a control: ${controlSummaries.join("; ")} (none is not trained); or a baseline in place of the connectome: dense (all units connected) or gru, with as many trained parameters, inputs to all units and a trained read-out of all`,
    type: choice(WIRINGS),
    default: "real",
  },
  swapsPerEdge: {
    group: "Network",
    placeholder: "<n>",
    help: "with --wiring swapped and its kind: swaps that are attempted for each connection",
    type: whole(0, 10_000),
    default: 5,
    needs: {
      expected: "a --wiring by swaps (swapped, swapped-signs, …)",
      met: ({ wiring }) => {
        const control = controlOf(wiring);
        return control !== null && CONTROLS[control].swaps;
      },
      got: ({ wiring }) => `--wiring ${wiring}`,
    },
  },
  wiringBlocks: {
    group: "Network",
    placeholder: "<column>",
    help: "with --wiring swapped-blocks: column of the neuron table whose values are the blocks, like type or region",
    type: word("the name of a column"),
    default: "type",
    needs: {
      expected: "--wiring swapped-blocks",
      met: ({ wiring }) => wiring === "swapped-blocks",
      got: ({ wiring }) => `--wiring ${wiring}`,
    },
  },
  wiringPositions: {
    group: "Network",
    placeholder: "<columns>",
    help: "with --wiring swapped-distance: columns of the neuron table that are coordinates, separated by commas (default: places in the visual field)",
    type: orNull(listOf(word("the name of a column"))),
    default: null,
    needs: {
      expected: "--wiring swapped-distance",
      met: ({ wiring }) => wiring === "swapped-distance",
      got: ({ wiring }) => `--wiring ${wiring}`,
    },
  },
  weights: {
    group: "Network",
    placeholder: "<kind>",
    help: "abs: absolute values; signed: as they are",
    type: choice(WEIGHTS),
    default: "signed",
    needs: CONNECTIONS,
  },
  normalise: {
    group: "Network",
    placeholder: "<how>",
    help: "rows: divide each row by its sum of |w|; types: by the mean of these sums over its cell type, so that cells of a type keep their ratios; pairs: divide each weight by the mean |w| of its pair of cell types; none: leave weights as they are",
    type: choice(NORMALISATIONS),
    default: "rows",
    needs: CONNECTIONS,
  },
  gain: {
    group: "Network",
    placeholder: "<g>",
    help: "factor on all weights",
    type: positive,
    default: 2,
    needs: CONNECTIONS,
  },
  keepSigns: {
    group: "Network",
    placeholder: null,
    help: "signed weights may not change sign",
    negated: "signed weights may change sign",
    type: flag(),
    default: false,
    needs: {
      expected: "--weights signed of the connectome",
      met: (config) => config.weights === "signed" && baselineOf(config) === null,
      got: (config) => (baselineOf(config) === null ? `--weights ${config.weights}` : CONNECTIONS.got(config)),
    },
  },
  trainConnectome: {
    group: "Network",
    placeholder: null,
    help: "train weights, biases and time constants of the network",
    negated: "freeze them",
    type: flag(),
    default: true,
    needs: {
      expected: `a wiring with connections, as ${WIRING_WORDS.none}`,
      met: ({ trainConnectome, wiring }) => !trainConnectome || wiring !== "none",
      got: CONNECTIONS.got,
    },
  },
  time: {
    group: "Network",
    placeholder: "<kind>",
    help: "continuous: an ODE, solved; discrete: steps from state to state",
    type: choice(TIMES),
    default: "continuous",
  },
  dynamics: {
    group: "Network",
    placeholder: "<name>",
    help: "equation of a neuron: rate (relu after the nonlinearity), leaky (without), voltage (states are potentials), plain (leaky with tau = 1)",
    type: choice(DYNAMICS),
    default: "rate",
  },
  tau: {
    group: "Network",
    placeholder: "<t>",
    help: "initial time constant of all neurons, at least 1; the leak alpha of a leaky network in discrete time is 1/tau (default: those of the network, else 1)",
    type: orNull(real({ least: 1 })),
    default: null,
    needs: { ...TIME_CONSTANTS, met: (config) => TIME_CONSTANTS.met(config) && NO_GRU.met(config), got: dynamicsGot },
  },
  bias: {
    group: "Network",
    placeholder: "<b>",
    help: "mean of the initial biases (default: those of the network, else 0)",
    type: orNull(real({})),
    default: null,
    needs: OWN_BIASES,
  },
  biasSpread: {
    group: "Network",
    placeholder: "<b>",
    help: "standard deviation of the initial biases: a normal draw for each neuron, or for each type with --share",
    type: real({ least: 0 }),
    default: 0,
    needs: OWN_BIASES,
  },
  trainTau: {
    group: "Network",
    placeholder: null,
    help: "train time constants with the network",
    negated: "keep them at their initial values",
    type: flag(),
    default: true,
    needs: TIME_CONSTANTS,
  },
  share: {
    group: "Network",
    placeholder: "<how>",
    help: "none; types: one strength per pair of connected cell types, one tau and bias per type; columns: one strength per pair of types and offset of hexagonal columns",
    type: choice(SHARINGS),
    default: "none",
  },
  recurrences: {
    group: "Network",
    placeholder: "<n>",
    help: "in discrete time: steps with each frame of the input",
    type: whole(1),
    default: 1,
    needs: {
      expected: "--time discrete",
      met: ({ time }) => time === "discrete",
      got: ({ time }) => `--time ${time}`,
    },
  },
  window: {
    group: "Network",
    placeholder: "<n>",
    help: "truncated back-propagation: frames after which the gradient ends, while the state goes on (default: never)",
    type: orNull(whole(1)),
    default: null,
  },
  rest: {
    group: "Network",
    placeholder: "<x>",
    help: "start at rest under this constant input (default: start from zeros)",
    type: orNull(real({})),
    default: null,
  },
  restTime: {
    group: "Network",
    placeholder: "<t>",
    help: "time to come to rest; in discrete time, steps",
    type: positive,
    default: 20,
    needs: { expected: "--rest", met: ({ rest }) => rest !== null, got: () => "none" },
  },
  nonlinearity: {
    group: "Network",
    placeholder: "<name>",
    help: "a torch.nn module, or several separated by commas",
    type: nonlinearities(),
    default: "ReLU",
    needs: NO_GRU,
  },
  input: {
    group: "Network",
    placeholder: "<where>",
    help: 'how inputs reach neurons: retinotopic (pixels), hexagonal (an input per column), random (one neuron each), groups (--group-size neurons each), direct (input i drives neuron i), auto, or a selector like "superclass=sensory": groups among its neurons',
    type: selector(INPUTS),
    default: "auto",
  },
  trainInput: {
    group: "Network",
    placeholder: null,
    help: "train the weights of the input projection",
    negated: "freeze them",
    type: flag(),
    default: false,
    needs: {
      expected: "weights between inputs and neurons",
      met: ({ input, trainInput }) => !trainInput || input !== "direct",
      got: ({ input }) => `--input ${input}`,
    },
  },
  inputScale: {
    group: "Network",
    placeholder: "<x>",
    help: "factor on the initial weights of the input projection",
    type: positive,
    default: 1,
    needs: {
      expected: "an --input with weights to neurons of the connectome",
      met: (config) => config.input !== "direct" && baselineOf(config) === null,
      got: (config) => (baselineOf(config) === null ? `--input ${config.input}` : CONNECTIONS.got(config)),
    },
  },

  readout: {
    group: "Read-out",
    placeholder: "<neurons>",
    help: 'neurons to read out: all, output (by their role), no-input, auto, or a selector like "superclass=descending & side=left"; with --head groups, neurons among which groups are drawn',
    type: selector(READOUTS),
    default: "auto",
  },
  head: {
    group: "Read-out",
    placeholder: "<kind>",
    help: "from states to outputs: layers (linear, or with --fc-dim), states (states are outputs), groups (an output is the mean of --group-size random neurons), columns (a convolution over hexagonal columns, or two)",
    type: choice(HEADS),
    default: "layers",
  },
  groupSize: {
    group: "Read-out",
    placeholder: "<n|all>",
    help: "neurons of each random group of --input (groups or a selector) and of --head groups; all: the largest groups that fit, which share all neurons there",
    type: wholeOr("all", 1),
    default: 64,
    needs: GROUPS_OF_NEURONS,
  },
  headScale: {
    group: "Read-out",
    placeholder: "<x>",
    help: "with --head groups: factor on the means",
    type: positive,
    default: 1,
    needs: {
      expected: "--head groups",
      met: ({ head }) => head === "groups",
      got: ({ head }) => `--head ${head}`,
    },
  },
  kernel: {
    group: "Read-out",
    placeholder: "<radius>",
    help: "radius of the convolutions of --head columns, in columns",
    type: whole(0, 64),
    default: 2,
    needs: COLUMNS,
  },
  hiddenChannels: {
    group: "Read-out",
    placeholder: "<n>",
    help: "channels between two convolutions of --head columns, with relu and --dropout; none: one convolution",
    type: orNull(whole(1, 4096)),
    default: null,
    needs: { ...COLUMNS, met: (config) => config.hiddenChannels === null || COLUMNS.met(config) },
  },
  readoutTimes: {
    group: "Read-out",
    placeholder: "<times>",
    help: "output times that are read out: last, all, last:k, indices from 0 like 3,7, or auto (all if targets have times, else the last)",
    type: readoutTimes(),
    default: "auto",
  },
  readoutAverage: {
    group: "Read-out",
    placeholder: null,
    help: "read out the mean over these times",
    negated: "read out each time",
    type: flag(),
    default: false,
  },
  fcDim: {
    group: "Read-out",
    placeholder: "<n>",
    help: "hidden units of the read-out; none: a linear read-out",
    type: orNull(whole(1)),
    default: null,
    needs: { ...LAYERS, met: (config) => config.fcDim === null || LAYERS.met(config) },
  },
  dropout: {
    group: "Read-out",
    placeholder: "<p>",
    help: "probability of dropping a hidden unit",
    type: real({ least: 0, below: 1 }),
    default: 0,
    needs: {
      expected: "a read-out with hidden units (--fc-dim, or --hidden-channels)",
      met: ({ head, fcDim, hiddenChannels, dropout }) =>
        (head === "layers" && fcDim !== null) || (head === "columns" && hiddenChannels !== null) || dropout === 0,
      got: ({ head }) =>
        head === "layers" ? "a linear one" : head === "columns" ? "one convolution" : `--head ${head}`,
    },
  },
  standardise: {
    group: "Read-out",
    placeholder: null,
    help: "standardise features with fixed statistics",
    negated: "read out raw features",
    type: flag(),
    default: true,
  },
  calibration: {
    group: "Read-out",
    placeholder: "<n>",
    help: "number of training samples for these statistics",
    type: whole(2),
    default: 256,
    needs: {
      expected: "--standardise",
      met: ({ standardise }) => standardise,
      got: () => "--no-standardise",
    },
  },

  solver: {
    group: "Solver",
    placeholder: "<name>",
    help: `method: ${SOLVERS.join(", ")}; replaces a preset's --dt and --controller`,
    type: choice(SOLVERS),
    default: "dopri5",
    needs: CONTINUOUS,
  },
  controller: {
    group: "Solver",
    placeholder: "<name>",
    help: "step-size control: integral, pi, or fixed steps (default: fixed with --dt, else integral)",
    type: orNull(choice(CONTROLLERS)),
    default: null,
    needs: CONTINUOUS,
  },
  dt: {
    group: "Solver",
    placeholder: "<t>",
    help: `size of fixed steps, or of the first adaptive step; required by ${fixedStepSolvers.join(", ")}`,
    type: orNull(positive),
    default: null,
    needs: CONTINUOUS,
  },
  endTime: {
    group: "Solver",
    placeholder: "<t>",
    help: "end of the solve, where neurons are read out, in time constants",
    type: positive,
    // The signal needs two or three synapses to reach the outputs: it must have crossed the network before it is read out.
    default: 3,
    needs: CONTINUOUS,
  },
  numEvals: {
    group: "Solver",
    placeholder: "<n>",
    help: "evaluation times",
    type: whole(2),
    default: 2,
    needs: CONTINUOUS,
  },
  rtol: {
    group: "Solver",
    placeholder: "<x>",
    help: "relative tolerance",
    type: positive,
    default: 1e-2,
    needs: ADAPTIVE_STEPS,
  },
  atol: {
    group: "Solver",
    placeholder: "<x>",
    help: "absolute tolerance",
    type: positive,
    default: 1e-3,
    needs: ADAPTIVE_STEPS,
  },
  maxSteps: {
    group: "Solver",
    placeholder: "<n>",
    help: "limit of attempted steps per sample",
    type: whole(1),
    default: 1000,
    needs: CONTINUOUS,
  },
  onFailure: {
    group: "Solver",
    placeholder: "<what>",
    help: "if the solve of a sample fails: throw (an error), mask (leave the sample out) or stop (end the whole batch there)",
    type: choice(FAILURE_POLICIES),
    default: "throw",
    changeableOnResume: true,
    needs: CONTINUOUS,
  },

  epochs: {
    group: "Training",
    placeholder: "<n>",
    help: "passes over the training samples",
    type: orNull(whole(1)),
    default: 4,
    changeableOnResume: true,
  },
  steps: {
    group: "Training",
    placeholder: "<n>",
    help: "batches; without --epochs it replaces the preset's, with --epochs the smaller limit applies",
    type: orNull(whole(1)),
    default: null,
    changeableOnResume: true,
  },
  batchSize: { group: "Training", placeholder: "<n>", help: "samples per step", type: whole(1), default: 64 },
  accumulate: {
    group: "Training",
    placeholder: "<n>",
    help: "batches per step: their gradients are those of one batch of all their samples",
    type: whole(1),
    default: 1,
  },
  microBatch: {
    group: "Training",
    placeholder: "<n>",
    help: "samples of a step that are computed together, by one of several processes; the last bits of the numbers depend on it, not on the number of processes (default: one process: all; under MPI: 16, on GPUs a process's share of a step)",
    type: orNull(whole(1)),
    default: null,
  },
  optimizer: {
    group: "Training",
    placeholder: "<name>",
    help: "adam (AdamW with weight decay), sgd or rmsprop, as in torch.optim",
    type: choice(OPTIMIZERS),
    default: "adam",
  },
  momentum: {
    group: "Training",
    placeholder: "<x>",
    help: "momentum of sgd or rmsprop",
    type: real({ least: 0, below: 1 }),
    default: 0,
    needs: {
      expected: "--optimizer sgd or rmsprop",
      met: ({ optimizer, momentum }) => optimizer !== "adam" || momentum === 0,
      got: ({ optimizer }) => `--optimizer ${optimizer}`,
    },
  },
  lr: { group: "Training", placeholder: "<x>", help: "learning rate", type: positive, default: 1e-3 },
  lrOf: {
    group: "Training",
    placeholder: "<pattern=x,…>",
    help: `learning rates of the parameters that match; ${PATTERNS}`,
    type: orNull(assignments(pattern, positive)),
    default: null,
  },
  schedule: {
    group: "Training",
    placeholder: "<name>",
    help: "of the learning rate, until the last step: constant, step (reductions), cosine (down to 0), one-cycle (up, then down)",
    type: choice(SCHEDULES),
    default: "constant",
  },
  decayEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "with --schedule step: steps between reductions (default: a third of the run)",
    type: orNull(whole(1)),
    default: null,
    needs: STEP_SCHEDULE,
  },
  decayFactor: {
    group: "Training",
    placeholder: "<x>",
    help: "with --schedule step: factor of a reduction",
    type: real({ above: 0, below: 1 }),
    default: 0.1,
    needs: STEP_SCHEDULE,
  },
  warmUp: {
    group: "Training",
    placeholder: "<n>",
    help: "first steps, over which the learning rate rises linearly",
    type: whole(0),
    default: 0,
  },
  weightDecay: {
    group: "Training",
    placeholder: "<x>",
    help: "weight decay of all parameters; with adam decoupled (AdamW)",
    type: real({ least: 0 }),
    default: 0,
  },
  decayOf: {
    group: "Training",
    placeholder: "<pattern=x,…>",
    help: "weight decay of the parameters that match",
    type: orNull(assignments(pattern, real({ least: 0 }))),
    default: null,
  },
  freeze: {
    group: "Training",
    placeholder: "<pattern,…>",
    help: "parameters that are not trained",
    type: orNull(listOf(pattern)),
    default: null,
  },
  penalty: {
    group: "Training",
    placeholder: "<kind:pattern=x,…>",
    help: "x · Σ|w| (l1), x · ½Σw² (l2) or x · ½Σ(w − w_start)² (distance) of the parameters that match, added to the loss",
    type: orNull(assignments(penaltyOfParameters(), positive)),
    default: null,
  },
  clipNorm: {
    group: "Training",
    placeholder: "<x>",
    help: "largest 2-norm of the gradient of all parameters; longer gradients are scaled down (default: no limit)",
    type: orNull(positive),
    default: null,
  },
  shift: {
    group: "Training",
    placeholder: "<n>",
    help: "shift training images randomly by up to n pixels in each direction",
    type: whole(0),
    default: 0,
  },
  initFrom: {
    group: "Training",
    placeholder: "<run|file>",
    help: "start from the parameters of a run, checkpoint or state dictionary, as far as they fit (default: from the recipe)",
    type: orNull(filePath()),
    default: null,
  },
  initOnly: {
    group: "Training",
    placeholder: "<pattern>",
    help: "take only the parameters that match from there",
    type: orNull(pattern),
    default: null,
    needs: { expected: "--init-from", met: ({ initFrom }) => initFrom !== null, got: () => "none" },
  },
  seed: {
    group: "Training",
    placeholder: "<n>",
    help: "seed of initial values, order of images, dropout and random wiring",
    type: whole(0),
    default: 0,
  },
  evalEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between evaluations on the validation samples; 0: only at the end",
    type: whole(0),
    default: 100,
    changeableOnResume: true,
    needs: {
      expected: "samples to validate on (--validation-samples)",
      met: ({ validationSamples, validationData, evalEvery }) =>
        validationSamples > 0 || validationData !== null || evalEvery === 0,
      got: () => "none",
    },
  },
  patience: {
    group: "Training",
    placeholder: "<n>",
    help: "end the run after n evaluations in a row without an improvement of the metric that decides which checkpoint is best",
    type: orNull(whole(1)),
    default: null,
    changeableOnResume: true,
    needs: {
      expected: "evaluations during the run (--eval-every)",
      met: ({ evalEvery, validationSamples }) => evalEvery > 0 && validationSamples > 0,
      got: () => "none",
    },
  },
  checkpointEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between checkpoints; 0: only at the end",
    type: whole(0),
    default: 500,
    changeableOnResume: true,
  },
  keepCheckpoints: {
    group: "Training",
    placeholder: "<n>",
    help: "number of latest checkpoints to keep, besides the best",
    type: whole(1),
    default: 1,
    changeableOnResume: true,
  },
  diagnoseEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between diagnoses of whether the run can learn, besides those after steps 0, 10, 25 and 50; 0: no diagnoses",
    type: whole(0),
    default: 200,
    changeableOnResume: true,
  },
  onNonfinite: {
    group: "Training",
    placeholder: "<what>",
    help: "if a loss or gradient is not finite: stop, skip (the batch), or rollback (to the last checkpoint, and skip the batch)",
    type: choice(NON_FINITE_ACTIONS),
    default: "stop",
    changeableOnResume: true,
  },

  data: {
    group: "Data",
    placeholder: "<what>",
    help: `samples: .npz, .safetensors or a folder with inputs and targets; a folder with MNIST's four IDX files; or generated: digits (default), ${TASK_NAMES.join(", ")}`,
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  dataOptions: {
    group: "Data",
    placeholder: "<list>",
    help: "options of generated samples, like digits=2,wait=8 (npx axograd tasks lists them)",
    type: namedValues(),
    default: {},
    needs: {
      expected: `--data with one of ${TASK_NAMES.join(", ")}`,
      met: ({ data, dataOptions }) => isTaskName(data) || Object.keys(dataOptions).length === 0,
      got: ({ data }) => data ?? "digits",
    },
  },
  validationData: {
    group: "Data",
    placeholder: "<path>",
    help: "file or folder of arrays with the samples for validation, if --data has none",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
    needs: SAMPLE_FILES,
  },
  testData: {
    group: "Data",
    placeholder: "<path>",
    help: "file or folder of arrays with the samples for the test, if --data has none",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
    needs: SAMPLE_FILES,
  },
  scaleInputs: {
    group: "Data",
    placeholder: "<how>",
    help: "inputs of sample files: none (as they are), or standardise (with mean and deviation of the training part)",
    type: choice(INPUT_SCALINGS),
    default: "none",
    needs: { ...SAMPLE_FILES, met: (config) => config.scaleInputs === "none" || SAMPLE_FILES.met(config) },
  },
  targets: {
    group: "Data",
    placeholder: "<kind>",
    help: "targets of sample files: class, numbers, or auto (whole-number types are classes)",
    type: choice(TARGET_KINDS),
    default: "auto",
    needs: { ...SAMPLE_FILES, met: (config) => config.targets === "auto" || SAMPLE_FILES.met(config) },
  },
  dataMemory: {
    group: "Data",
    placeholder: "<MiB>",
    help: "memory for samples; larger sets are read in blocks, with the same numbers",
    type: whole(1),
    default: 1024,
    changeableOnResume: true,
    needs: SAMPLE_FILES,
  },
  trainSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n training samples; of generated ones, make so many",
    type: orNull(whole(1)),
    default: null,
  },
  validationSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "number of training samples to set aside for validation; of a part for validation in files, use only the first n",
    type: whole(0),
    default: 512,
  },
  testSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n test samples; 0: no test",
    type: orNull(whole(0)),
    default: null,
    changeableOnResume: true,
  },

  device: {
    group: "Device",
    placeholder: "<name>",
    help: "auto, wasm or webgpu",
    type: choice(DEVICES),
    default: "auto",
    changeableOnResume: true,
  },
  threads: {
    group: "Device",
    placeholder: "<n>",
    help: "CPU threads (default: one per core)",
    type: whole(1, 1024),
    get default() {
      return defaultThreads();
    },
    changeableOnResume: true,
  },
  dtype: { group: "Device", placeholder: "<type>", help: "f32 or f64", type: choice(DTYPES), default: "f32" },
  gather: {
    group: "Device",
    placeholder: "<type>",
    help: "f32, or f16: on a GPU, products with the connectome read states rounded to half precision; faster, less exact",
    type: choice(GATHERS),
    default: "f32",
  },
  tune: {
    group: "Device",
    placeholder: "<how>",
    help: "sparse products of a GPU: auto (as remembered for this card and network, else tried within 1.5 s), off, again (tried anew), or a file of npx axograd tune",
    type: wordOrPath(TUNE_WORDS),
    default: "auto",
    needs: {
      expected: "--device webgpu or auto, and f32,",
      met: ({ tune, device, dtype }) => tune === "auto" || tune === "off" || (device !== "wasm" && dtype !== "f64"),
      got: ({ device, dtype }) => (device === "wasm" ? "--device wasm" : `--dtype ${dtype}`),
    },
  },
  memoryBudget: {
    group: "Device",
    placeholder: "<MiB>",
    help: "memory limit of the tape that the reverse pass reads (default: 384, on a GPU a quarter of the machine's memory)",
    type: orNull(whole(1)),
    default: null,
    changeableOnResume: true,
  },
};

/** All keys, in the order of the table. */
export const CONFIG_KEYS: readonly Key[] = Object.keys(CONFIG_OPTIONS) as Key[];

/** The value of every setting where neither a preset nor the user decides. */
export function defaults(): TrainConfig {
  const values = CONFIG_KEYS.map((key) => [key, CONFIG_OPTIONS[key].default]);
  return Object.fromEntries(values) as unknown as TrainConfig;
}

/** Defaults that depend on the machine, or on other settings. */
const DEPENDENT: readonly Key[] = ["preset", "threads"];
const DECIDED_BY_PRESETS = new Set(Object.values(PRESETS).flatMap(({ recipe }) => Object.keys(recipe)));

/** Whether a setting has one default, whatever the preset and the machine are. */
export function hasFixedDefault(key: Key): boolean {
  return !DEPENDENT.includes(key) && !DECIDED_BY_PRESETS.has(key);
}

/** `batchSize` → `--batch-size`. */
export function optionName(key: Key): string {
  return `--${hyphenated(key)}`;
}
