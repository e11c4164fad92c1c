// The table of all settings of a training run. Options of the command line, keys of configuration files, their JSON Schema and the commented
// template are made from it.

import { DEVICES } from "../backend/select.ts";
import { defaultThreads } from "../backend/wasm/threads.ts";
import { DTYPES } from "../core/dtype.ts";
import { FAILURE_POLICIES } from "../models/failures.ts";
import {
  CONTROLLERS,
  INPUTS,
  NON_FINITE_ACTIONS,
  NORMALISATIONS,
  OPTIMIZERS,
  READOUTS,
  SCHEDULES,
  SOLVERS,
  type TrainConfig,
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
  listOf,
  nonlinearities,
  orNull,
  penaltyOfParameters,
  real,
  type SettingType,
  sizeOfNetwork,
  whole,
  word,
} from "./settingTypes.ts";
import { hasFixedSteps, tableauOf } from "./solver.ts";

export type Key = keyof TrainConfig;

/** Headings, in the order in which they are shown. */
export const GROUPS = ["Recipe", "Network", "Read-out", "Solver", "Training", "Data", "Device"] as const;

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
const fixedStepSolvers = SOLVERS.filter((solver) => tableauOf({ solver }).bErr === null);
const positive: SettingType<number> = real({ above: 0 });
const pattern: SettingType<string> = word("PATTERN");

const PATTERNS =
  "patterns are names in files or roles (weights, biases, time-constants, input, output, read-out), with * for any text and ! for all others; the last that matches decides";

const CONNECTIONS: Need = {
  expected: "a wiring with connections, as --wiring none has W = 0 and trains no weights",
  met: ({ wiring }) => wiring !== "none",
  got: () => "--wiring none",
};
const STEP_SCHEDULE: Need = {
  expected: "--schedule step",
  met: ({ schedule }) => schedule === "step",
  got: ({ schedule }) => `--schedule ${schedule}`,
};
const ADAPTIVE_STEPS: Need = {
  expected: "adaptive steps",
  met: (config) => !hasFixedSteps(config),
  got: ({ dt }) => `fixed steps of --dt ${dt}`,
};

export const CONFIG_OPTIONS: { readonly [K in Key]: ConfigOption<TrainConfig[K]> } = {
  preset: {
    group: "Recipe",
    placeholder: "<name>",
    help: `recipe to start from; options take precedence. ${presetSummaries.join(". ")}`,
    type: choice(PRESET_NAMES),
    default: "demo",
  },

  connectome: {
    group: "Network",
    placeholder: "<file>",
    help: "matrix (row = receiving neuron), edge list or graph: .npz, .pt, .npy, .mtx, .safetensors, .csv, .tsv, .parquet or .graphml",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  neuronTable: {
    group: "Network",
    placeholder: "<file>",
    help: "CSV with the neurons' roles and places (default: X_neurons.csv beside the connectome)",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  generate: {
    group: "Network",
    placeholder: "<NxC>",
    help: "random network of N neurons and C connections, like 47521x4623254",
    type: orNull(sizeOfNetwork()),
    default: null,
  },
  wiring: {
    group: "Network",
    placeholder: "<which>",
    help: "real, or a control: shuffled (same degrees), random (same density), none (W = 0, not trained)",
    type: choice(WIRINGS),
    default: "real",
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
    help: "rows: divide each row by its sum of |w|; none: leave weights as they are",
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
      expected: "--weights signed",
      met: ({ weights }) => weights === "signed",
      got: ({ weights }) => `--weights ${weights}`,
    },
  },
  trainConnectome: {
    group: "Network",
    placeholder: null,
    help: "train weights, biases and time constants of the network",
    negated: "freeze them",
    type: flag(),
    default: true,
    needs: { ...CONNECTIONS, met: (config) => !config.trainConnectome || CONNECTIONS.met(config) },
  },
  nonlinearity: {
    group: "Network",
    placeholder: "<name>",
    help: "a torch.nn module, or several separated by commas",
    type: nonlinearities(),
    default: "ReLU",
  },
  input: {
    group: "Network",
    placeholder: "<where>",
    help: "how pixels reach neurons: retinotopic, random, or auto",
    type: choice(INPUTS),
    default: "auto",
  },
  trainInput: {
    group: "Network",
    placeholder: null,
    help: "train the weights of the input projection",
    negated: "freeze them",
    type: flag(),
    default: false,
  },

  readout: {
    group: "Read-out",
    placeholder: "<neurons>",
    help: "neurons to read out: all, output (by their role), no-input, or auto",
    type: choice(READOUTS),
    default: "auto",
  },
  fcDim: {
    group: "Read-out",
    placeholder: "<n>",
    help: "hidden units of the read-out; none: a linear read-out",
    type: orNull(whole(1)),
    default: null,
  },
  dropout: {
    group: "Read-out",
    placeholder: "<p>",
    help: "probability of dropping a hidden unit",
    type: real({ least: 0, below: 1 }),
    default: 0,
    needs: {
      expected: "a read-out with hidden units (--fc-dim)",
      met: ({ fcDim, dropout }) => fcDim !== null || dropout === 0,
      got: () => "a linear one",
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
    help: "number of training images for these statistics",
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
  },
  controller: {
    group: "Solver",
    placeholder: "<name>",
    help: "step-size control: integral, pi, or fixed steps (default: fixed with --dt, else integral)",
    type: orNull(choice(CONTROLLERS)),
    default: null,
  },
  dt: {
    group: "Solver",
    placeholder: "<t>",
    help: `size of fixed steps, or of the first adaptive step; required by ${fixedStepSolvers.join(", ")}`,
    type: orNull(positive),
    default: null,
  },
  endTime: {
    group: "Solver",
    placeholder: "<t>",
    help: "end of the solve, where neurons are read out, in time constants",
    type: positive,
    // The signal needs two or three synapses to reach the outputs: it must have crossed the network before it is read out.
    default: 3,
  },
  numEvals: { group: "Solver", placeholder: "<n>", help: "evaluation times", type: whole(2), default: 2 },
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
  },
  onFailure: {
    group: "Solver",
    placeholder: "<what>",
    help: "if the solve of a sample fails: throw (an error), mask (leave the sample out) or stop (end the whole batch there)",
    type: choice(FAILURE_POLICIES),
    default: "throw",
    changeableOnResume: true,
  },

  epochs: {
    group: "Training",
    placeholder: "<n>",
    help: "passes over the training images",
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
  batchSize: { group: "Training", placeholder: "<n>", help: "images per step", type: whole(1), default: 64 },
  accumulate: {
    group: "Training",
    placeholder: "<n>",
    help: "batches per step: their gradients are those of one batch of all their samples",
    type: whole(1),
    default: 1,
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
    help: "steps between evaluations on the validation images; 0: only at the end",
    type: whole(0),
    default: 100,
    changeableOnResume: true,
    needs: {
      expected: "images to validate on (--validation-samples)",
      met: ({ validationSamples, evalEvery }) => validationSamples > 0 || evalEvery === 0,
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
    placeholder: "<dir>",
    help: "folder with the four IDX files of MNIST, plain or .gz (default: generated digits)",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  trainSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n training images",
    type: orNull(whole(1)),
    default: null,
  },
  validationSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "number of training images to set aside for validation",
    type: whole(0),
    default: 512,
  },
  testSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n test images; 0: no test",
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
