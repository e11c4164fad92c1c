// Every setting of a training run, once: the options of the command line, the keys of configuration files, their JSON Schema and the
// commented template all come from this table.

import { DEVICES } from "../backend/select.ts";
import { defaultThreads } from "../backend/wasm/threads.ts";
import { DTYPES } from "../core/dtype.ts";
import { FAILURE_POLICIES } from "../models/failures.ts";
import {
  CONTROLLERS,
  INPUTS,
  NON_FINITE_ACTIONS,
  NORMALISATIONS,
  READOUTS,
  type Recipe,
  SCHEDULES,
  SOLVERS,
  type TrainConfig,
  WEIGHTS,
  WIRINGS,
} from "./config.ts";
import { choice, flag, type Kind, nonlinearities, orNull, pathKind, real, sizeOfNetwork, whole } from "./kinds.ts";
import { hyphenated } from "./names.ts";
import { PRESETS } from "./presets.ts";
import { hasFixedSteps, tableauOf } from "./solver.ts";

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
  readonly kind: Kind<T>;
  /** A resumed run may have another value: the numbers that training computes do not depend on it. */
  readonly free?: true;
  readonly needs?: Need;
}

const PRESET_NAMES = Object.keys(PRESETS);
const presetSummaries = Object.entries(PRESETS).map(([name, { summary }]) => `${name}: ${summary}`);
const fixedStepSolvers = SOLVERS.filter((solver) => tableauOf({ solver }).bErr === null);
const positive: Kind<number> = real({ above: 0 });

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
    kind: choice(PRESET_NAMES),
  },

  connectome: {
    group: "Network",
    placeholder: "<file>",
    help: "matrix (row = receiving neuron), edge list or graph: .npz, .pt, .npy, .mtx, .safetensors, .csv, .tsv, .parquet or .graphml",
    kind: orNull(pathKind()),
    free: true,
  },
  neuronTable: {
    group: "Network",
    placeholder: "<file>",
    help: "CSV with the neurons' roles and places (default: X_neurons.csv beside the connectome)",
    kind: orNull(pathKind()),
    free: true,
  },
  generate: {
    group: "Network",
    placeholder: "<NxS>",
    help: "random network of N neurons and S synapses, like 47521x4623254",
    kind: orNull(sizeOfNetwork()),
  },
  wiring: {
    group: "Network",
    placeholder: "<which>",
    help: "real, or as a control shuffled (same degrees), random (same density), none (W = 0, not trained)",
    kind: choice(WIRINGS),
  },
  weights: {
    group: "Network",
    placeholder: "<kind>",
    help: "abs or signed",
    kind: choice(WEIGHTS),
    needs: SYNAPSES,
  },
  normalise: {
    group: "Network",
    placeholder: "<how>",
    help: "rows: divide each row by its sum of |w|; none",
    kind: choice(NORMALISATIONS),
    needs: SYNAPSES,
  },
  gain: { group: "Network", placeholder: "<g>", help: "factor on all weights", kind: positive, needs: SYNAPSES },
  keepSigns: {
    group: "Network",
    placeholder: null,
    help: "signed weights may not change sign",
    negated: "signed weights may change sign",
    kind: flag(),
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
    kind: flag(),
    needs: { ...SYNAPSES, met: (config) => !config.trainConnectome || SYNAPSES.met(config) },
  },
  nonlinearity: {
    group: "Network",
    placeholder: "<name>",
    help: "a torch.nn module, or several separated by commas",
    kind: nonlinearities(),
  },
  input: { group: "Network", placeholder: "<where>", help: "retinotopic, random, or auto", kind: choice(INPUTS) },
  trainInput: {
    group: "Network",
    placeholder: null,
    help: "train the weights of the input projection",
    negated: "leave them as they are",
    kind: flag(),
  },

  readout: {
    group: "Read-out",
    placeholder: "<neurons>",
    help: "all, output, no-input, or auto",
    kind: choice(READOUTS),
  },
  fcDim: { group: "Read-out", placeholder: "<n>", help: "hidden units; none: linear", kind: orNull(whole(1)) },
  dropout: {
    group: "Read-out",
    placeholder: "<p>",
    help: "of hidden units",
    kind: real({ least: 0, below: 1 }),
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
    kind: flag(),
  },
  calibration: {
    group: "Read-out",
    placeholder: "<n>",
    help: "training images for those statistics",
    kind: whole(2),
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
    kind: choice(SOLVERS),
  },
  controller: {
    group: "Solver",
    placeholder: "<name>",
    help: "of the step size: integral, pi, or fixed steps (default: fixed with --dt, else integral)",
    kind: orNull(choice(CONTROLLERS)),
  },
  dt: {
    group: "Solver",
    placeholder: "<t>",
    help: `size of fixed steps, or of the first adaptive one; needed by ${fixedStepSolvers.join(", ")}`,
    kind: orNull(positive),
  },
  endTime: {
    group: "Solver",
    placeholder: "<t>",
    help: "time of the read-out, in time constants",
    kind: positive,
  },
  numEvals: { group: "Solver", placeholder: "<n>", help: "evaluation times", kind: whole(2) },
  rtol: { group: "Solver", placeholder: "<x>", help: "relative tolerance", kind: positive, needs: ADAPTIVE_STEPS },
  atol: { group: "Solver", placeholder: "<x>", help: "absolute tolerance", kind: positive, needs: ADAPTIVE_STEPS },
  maxSteps: { group: "Solver", placeholder: "<n>", help: "most attempted steps per sample", kind: whole(1) },
  onFailure: {
    group: "Solver",
    placeholder: "<what>",
    help: "when a sample does not reach the end: throw, an error; mask, go on without it; stop, end all there (default: throw)",
    kind: choice(FAILURE_POLICIES),
    free: true,
  },

  epochs: {
    group: "Training",
    placeholder: "<n>",
    help: "passes over the training images",
    kind: orNull(whole(1)),
    free: true,
  },
  steps: {
    group: "Training",
    placeholder: "<n>",
    help: "batches; alone it replaces --epochs, with it the smaller counts",
    kind: orNull(whole(1)),
    free: true,
  },
  batchSize: { group: "Training", placeholder: "<n>", help: "images per step", kind: whole(1) },
  lr: { group: "Training", placeholder: "<x>", help: "learning rate of Adam", kind: positive },
  schedule: {
    group: "Training",
    placeholder: "<name>",
    help: "of the learning rate until the last step: constant; step, down in steps; cosine, down to 0; one-cycle, up and down",
    kind: choice(SCHEDULES),
  },
  decayEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between reductions of the schedule step (default: a third of the run)",
    kind: orNull(whole(1)),
    needs: STEP_SCHEDULE,
  },
  decayFactor: {
    group: "Training",
    placeholder: "<x>",
    help: "factor of a reduction of the schedule step",
    kind: real({ above: 0, below: 1 }),
    needs: STEP_SCHEDULE,
  },
  warmUp: {
    group: "Training",
    placeholder: "<n>",
    help: "steps over which the learning rate rises first",
    kind: whole(0),
  },
  weightDecay: {
    group: "Training",
    placeholder: "<x>",
    help: "decoupled, of all parameters (AdamW); 0: Adam",
    kind: real({ least: 0 }),
  },
  clipNorm: {
    group: "Training",
    placeholder: "<x>",
    help: "shorten gradients whose norm over all parameters is larger (default: none)",
    kind: orNull(positive),
  },
  shift: {
    group: "Training",
    placeholder: "<n>",
    help: "move training images by up to n pixels each way, at random",
    kind: whole(0),
  },
  initFrom: {
    group: "Training",
    placeholder: "<run|file>",
    help: "begin with the parameters of a run, checkpoint or state dictionary, as far as they fit (default: those of the recipe)",
    kind: orNull(pathKind()),
  },
  seed: {
    group: "Training",
    placeholder: "<n>",
    help: "of initial values, order of images, dropout and random wiring (default: 0)",
    kind: whole(0),
  },
  evalEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between validations; 0: only at the end",
    kind: whole(0),
    free: true,
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
    kind: whole(0),
    free: true,
  },
  keepCheckpoints: {
    group: "Training",
    placeholder: "<n>",
    help: "how many of the last checkpoints stay, besides the best (default: 1)",
    kind: whole(1),
    free: true,
  },
  diagnoseEvery: {
    group: "Training",
    placeholder: "<n>",
    help: "steps between looks at whether the run can learn, besides those after 0, 10, 25 and 50; 0: none (default: 200)",
    kind: whole(0),
    free: true,
  },
  onNonfinite: {
    group: "Training",
    placeholder: "<what>",
    help: "after a loss or gradient that is not finite: stop, skip the batch, or rollback to the last checkpoint and skip (default: stop)",
    kind: choice(NON_FINITE_ACTIONS),
    free: true,
  },

  data: {
    group: "Data",
    placeholder: "<dir>",
    help: "folder with MNIST's four IDX files, plain or .gz (default: generated digits)",
    kind: orNull(pathKind()),
    free: true,
  },
  trainSamples: { group: "Data", placeholder: "<n>", help: "use only the first n", kind: orNull(whole(1)) },
  validationSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "set aside from the training images",
    kind: whole(0),
  },
  testSamples: {
    group: "Data",
    placeholder: "<n>",
    help: "use only the first n; 0: no test",
    kind: orNull(whole(0)),
    free: true,
  },

  device: {
    group: "Device",
    placeholder: "<name>",
    help: "auto, wasm or webgpu (default: auto)",
    kind: choice(DEVICES),
    free: true,
  },
  threads: {
    group: "Device",
    placeholder: "<n>",
    help: "of the CPU (default: all cores)",
    kind: whole(1, 1024),
    free: true,
  },
  dtype: { group: "Device", placeholder: "<type>", help: "f32 or f64 (default: f32)", kind: choice(DTYPES) },
  memoryBudget: {
    group: "Device",
    placeholder: "<MiB>",
    help: "most memory for the record of the reverse pass (default: 384, on a GPU a quarter of the machine's memory)",
    kind: orNull(whole(1)),
    free: true,
  },
};

/** All keys, in the order of the table. */
export const CONFIG_KEYS: readonly Key[] = Object.keys(CONFIG_OPTIONS) as Key[];

/** Defaults that no preset decides. */
export function defaults(): Omit<TrainConfig, keyof Recipe | "preset"> {
  return {
    connectome: null,
    neuronTable: null,
    generate: null,
    data: null,
    initFrom: null,
    seed: 0,
    device: "auto",
    dtype: "f32",
    threads: defaultThreads(),
    memoryBudget: null,
    keepCheckpoints: 1,
    diagnoseEvery: 200,
    onFailure: "throw",
    onNonfinite: "stop",
  };
}

/** `batchSize` → `--batch-size`. */
export function optionName(key: Key): string {
  return `--${hyphenated(key)}`;
}
