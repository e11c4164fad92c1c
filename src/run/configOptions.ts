// Every setting of a training run, once: the options of the command line, the keys of configuration files, their JSON Schema and the
// commented template all come from this table.

import { DEVICES } from "../backend/select.ts";
import { defaultThreads } from "../backend/wasm/threads.ts";
import { DTYPES } from "../core/dtype.ts";
import { FAILURE_POLICIES } from "../models/connectomeOdeRnn.ts";
import {
  CONTROLLERS,
  INPUTS,
  NON_FINITE_ACTIONS,
  NORMALISATIONS,
  READOUTS,
  SCHEDULES,
  SOLVERS,
  type TrainConfig,
  WEIGHTS,
  WIRINGS,
} from "./config.ts";
import { PRESETS } from "./presets.ts";
import {
  choice,
  filePath,
  flag,
  nonlinearities,
  orNull,
  real,
  type SettingType,
  sizeOfNetwork,
  whole,
} from "./settingTypes.ts";
import { hasFixedSteps } from "./solver.ts";

export type Key = keyof TrainConfig;

/** Headings, in the order in which they are shown. */
export const GROUPS = ["Recipe", "Network", "Read-out", "Solver", "Training", "Data", "Device"] as const;

/** Something without which a setting does nothing. */
interface Need {
  readonly expected: string;
  readonly met: (config: TrainConfig) => boolean;
  /** What there is instead. */
  readonly got: (config: TrainConfig) => string;
}

export interface ConfigOption<T> {
  readonly group: (typeof GROUPS)[number];
  /** Stands for the value in --help; null: a switch, with a --no- form. */
  readonly placeholder: string | null;
  readonly help: string;
  /** What the --no- form of a switch does. */
  readonly negated?: string;
  readonly type: SettingType<T>;
  /** The value where neither the preset nor the user decides: that of the demo. */
  readonly default: T;
  /** A resumed run may have another value: the numbers that training computes do not depend on it. */
  readonly changeableOnResume?: true;
  readonly needs?: Need;
}

const PRESET_NAMES = Object.keys(PRESETS);
const presetSummaries = Object.entries(PRESETS).map(([name, { summary }]) => `${name}: ${summary}`);
const positive: SettingType<number> = real({ above: 0 });

const SYNAPSES: Need = {
  expected: "another wiring, as one without synapses has W = 0 and is not trained",
  met: ({ wiring }) => wiring !== "none",
  got: () => "--wiring none",
};
const STEP_SCHEDULE: Need = {
  expected: "--schedule step",
  met: ({ schedule }) => schedule === "step",
  got: ({ schedule }) => `--schedule ${schedule}`,
};
const ADAPTIVE_STEPS: Need = {
  expected: "steps whose error is controlled",
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
    placeholder: "<NxS>",
    help: "random network of N neurons and S synapses, like 47521x4623254",
    type: orNull(sizeOfNetwork()),
    default: null,
  },
  wiring: {
    group: "Network",
    placeholder: "<which>",
    help: "real, or as a control shuffled (same degrees), random (same density), none (W = 0, not trained)",
    type: choice(WIRINGS),
    default: "real",
  },
  weights: {
    group: "Network",
    placeholder: "<kind>",
    help: "abs or signed",
    type: choice(WEIGHTS),
    default: "signed",
    needs: SYNAPSES,
  },
  normalise: {
    group: "Network",
    placeholder: "<how>",
    help: "rows: divide each row by its sum of |w|; none",
    type: choice(NORMALISATIONS),
    default: "rows",
    needs: SYNAPSES,
  },
  gain: {
    group: "Network",
    placeholder: "<g>",
    help: "factor on all weights",
    type: positive,
    default: 2,
    needs: SYNAPSES,
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
    negated: "leave them as they are",
    type: flag(),
    default: true,
    needs: { ...SYNAPSES, met: (config) => !config.trainConnectome || SYNAPSES.met(config) },
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
    help: "retinotopic, random, or auto",
    type: choice(INPUTS),
    default: "auto",
  },
  trainInput: {
    group: "Network",
    placeholder: null,
    help: "train the weights of the input projection",
    negated: "leave them as they are",
    type: flag(),
    default: false,
  },

  readout: {
    group: "Read-out",
    placeholder: "<neurons>",
    help: "all, output, no-input, or auto",
    type: choice(READOUTS),
    default: "auto",
  },
  fcDim: {
    group: "Read-out",
    placeholder: "<n>",
    help: "hidden units; none: linear",
    type: orNull(whole(1)),
    default: null,
  },
  dropout: {
    group: "Read-out",
    placeholder: "<p>",
    help: "of hidden units",
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
    help: "training images for those statistics",
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
    help: "of the step size: integral, pi, or fixed steps (default: fixed with --dt, else integral)",
    type: orNull(choice(CONTROLLERS)),
    default: null,
  },
  dt: {
    group: "Solver",
    placeholder: "<t>",
    help: "size of fixed steps, or of the first adaptive one; euler, rk4 and exponential-euler need it",
    type: orNull(positive),
    default: null,
  },
  endTime: {
    group: "Solver",
    placeholder: "<t>",
    help: "time of the read-out, in time constants",
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
    help: "most attempted steps per sample",
    type: whole(1),
    default: 1000,
  },
  onFailure: {
    group: "Solver",
    placeholder: "<what>",
    help: "when a sample does not reach the end: throw, an error; mask, go on without it; stop, end all there",
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
    help: "batches; alone it replaces --epochs, with it the smaller counts",
    type: orNull(whole(1)),
    default: null,
    changeableOnResume: true,
  },
  batchSize: { group: "Training", placeholder: "<n>", help: "images per step", type: whole(1), default: 64 },
  lr: { group: "Training", placeholder: "<x>", help: "learning rate of Adam", type: positive, default: 1e-3 },
  schedule: {
    group: "Training",
    placeholder: "<name>",
    help: "of the learning rate until the last step: constant; step, down in steps; cosine, down to 0; one-cycle, up and down",
    type: choice(SCHEDULES),
    default: "constant",
  },
  decayEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between reductions of the schedule step (default: a third of the run)",
    type: orNull(whole(1)),
    default: null,
    needs: STEP_SCHEDULE,
  },
  decayFactor: {
    group: "Training",
    placeholder: "<x>",
    help: "factor of a reduction of the schedule step",
    type: real({ above: 0, below: 1 }),
    default: 0.1,
    needs: STEP_SCHEDULE,
  },
  warmUp: {
    group: "Training",
    placeholder: "<n>",
    help: "steps over which the learning rate rises first",
    type: whole(0),
    default: 0,
  },
  weightDecay: {
    group: "Training",
    placeholder: "<x>",
    help: "decoupled, of all parameters (AdamW); 0: Adam",
    type: real({ least: 0 }),
    default: 0,
  },
  clipNorm: {
    group: "Training",
    placeholder: "<x>",
    help: "shorten gradients whose norm over all parameters is larger (default: none)",
    type: orNull(positive),
    default: null,
  },
  shift: {
    group: "Training",
    placeholder: "<n>",
    help: "move training images by up to n pixels each way, at random",
    type: whole(0),
    default: 0,
  },
  initFrom: {
    group: "Training",
    placeholder: "<run|file>",
    help: "begin with the parameters of a run, checkpoint or state dictionary, as far as they fit (default: those of the recipe)",
    type: orNull(filePath()),
    default: null,
  },
  seed: {
    group: "Training",
    placeholder: "<n>",
    help: "of initial values, order of images, dropout and random wiring",
    type: whole(0),
    default: 0,
  },
  evalEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between validations; 0: only at the end",
    type: whole(0),
    default: 100,
    changeableOnResume: true,
    needs: {
      expected: "images to validate on (--validation-samples)",
      met: ({ validationSamples, evalEvery }) => validationSamples > 0 || evalEvery === 0,
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
    help: "how many of the last checkpoints stay, besides the best",
    type: whole(1),
    default: 1,
    changeableOnResume: true,
  },
  diagnoseEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between looks at whether the run can learn, besides those after 0, 10, 25 and 50; 0: none",
    type: whole(0),
    default: 200,
    changeableOnResume: true,
  },
  onNonfinite: {
    group: "Training",
    placeholder: "<what>",
    help: "after a loss or gradient that is not finite: stop, skip the batch, or rollback to the last checkpoint and skip",
    type: choice(NON_FINITE_ACTIONS),
    default: "stop",
    changeableOnResume: true,
  },

  data: {
    group: "Data",
    placeholder: "<dir>",
    help: "folder with MNIST's four IDX files, plain or .gz (default: generated digits)",
    type: orNull(filePath()),
    default: null,
    changeableOnResume: true,
  },
  trainSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n",
    type: orNull(whole(1)),
    default: null,
  },
  validationSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "set aside from the training images",
    type: whole(0),
    default: 512,
  },
  testSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n; 0: no test",
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
    help: "of the CPU (default: all cores)",
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
    help: "most memory for the record of the reverse pass (default: 384, on a GPU a quarter of the machine's memory)",
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
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
