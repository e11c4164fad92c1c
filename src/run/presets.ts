// Presets: recipes under a name. A recipe holds the settings in which it differs from the defaults of `configOptions.ts`; what the user gives
// takes precedence over both.

import type { TrainConfig } from "./config.ts";

export interface Preset {
  /** One line for --help. */
  readonly summary: string;
  /** Said at the start of a run. */
  readonly warning: string | null;
  /** Its inputs and read-outs are roles of a file's neurons. */
  readonly needsConnectome?: true;
  readonly recipe: Partial<Omit<TrainConfig, "preset">>;
}

/** Networks of the tasks about the network itself: their inputs and read-outs have places in it. */
const PLACED_TASK = {
  time: "discrete",
  standardise: false,
  warmUp: 20,
  schedule: "cosine",
  batchSize: 16,
} as const satisfies Preset["recipe"];

/**
 * Networks of the ready-made tasks: steps in discrete time on the made-up visual system, started with strong weights, whose inputs drive
 * random groups of neurons.
 */
const TASK_NETWORK = {
  time: "discrete",
  nonlinearity: "Tanh",
  gain: 4,
  input: "groups",
  standardise: false,
  clipNorm: 1,
  schedule: "one-cycle",
  epochs: null,
} as const satisfies Preset["recipe"];

/** The same with a trained linear read-out of all states. No sample is seen twice. */
const LINEAR_TASK = {
  ...TASK_NETWORK,
  columns: 7,
  trainInput: true,
  readout: "all",
  batchSize: 16,
  trainSamples: 20_000,
  testSamples: 4000,
} as const satisfies Preset["recipe"];

export const PRESETS: Readonly<Record<string, Preset>> = {
  demo: {
    summary: "learns generated digits in a minute or two; needs no files (default)",
    warning: null,
    recipe: {},
  },
  retina: {
    summary: "the recipe that learns MNIST with a real connectome (default with --connectome)",
    warning: null,
    recipe: {
      trainInput: true,
      fcDim: 256,
      // As coarse as the discrete model; finer steps cost more and learn no better.
      solver: "euler",
      dt: 1,
      endTime: 5,
      batchSize: 32,
      lr: 3e-3,
      schedule: "one-cycle",
      shift: 1,
      epochs: 5,
      validationSamples: 1000,
      evalEvery: 200,
    },
  },
  teacher: {
    summary:
      "finds the parameters of a known network from the traces of three quarters of its neurons (default with --data teacher)",
    warning: null,
    recipe: {
      ...PLACED_TASK,
      columns: 3,
      share: "types",
      tau: 4,
      nonlinearity: "Sigmoid",
      input: "direct",
      readout: "all",
      head: "states",
      data: "teacher",
      trainSamples: 128,
      validationSamples: 32,
      testSamples: 32,
      epochs: null,
      steps: 800,
      lr: 0.05,
    },
  },
  motion: {
    summary: "tells the optic flow of moving textures with made-up motion detectors (default with --data motion)",
    warning: null,
    recipe: {
      ...PLACED_TASK,
      generate: "motion",
      normalise: "none",
      gain: 1,
      keepSigns: true,
      share: "columns",
      input: "hexagonal",
      head: "columns",
      data: "motion",
      trainSamples: 9600,
      validationSamples: 64,
      testSamples: 256,
      epochs: 1,
      lr: 0.02,
    },
  },
  flyvis: {
    summary:
      "tells the optic flow of moving textures with the fly's visual system and flyvis' parameters: a strength per pair of cell types, a time constant and a bias per type; needs --connectome, as npx axograd import flyvis writes it",
    warning: null,
    needsConnectome: true,
    recipe: {
      ...PLACED_TASK,
      dynamics: "voltage",
      share: "types",
      // Stronger than in flyvis, where potentials of the fourth cell from the eye hardly vary at the start.
      normalise: "types",
      gain: 1,
      keepSigns: true,
      bias: 0.2,
      biasSpread: 0.05,
      // Frames of 20 ms: 50 ms.
      tau: 2.5,
      rest: 0.5,
      input: "hexagonal",
      head: "columns",
      hiddenChannels: 16,
      // Potentials vary by a few per cent of their size.
      standardise: true,
      data: "motion",
      trainSamples: 24_000,
      validationSamples: 64,
      testSamples: 512,
      batchSize: 8,
      epochs: 1,
      evalEvery: 500,
      loss: "norm",
      lr: 1e-3,
      // Time constants leave potentials at rest as they are. Weights and biases shift them: faster, what the read-out sees would move by more than
      // it varies between samples, and its hidden units would die.
      lrOf: { weights: 1e-3, biases: 1e-4, "time-constants": 0.02 },
    },
  },
  tutorial: {
    summary: "torch-biopl's training tutorial, exactly; known not to learn",
    warning:
      "the tutorial's set-up is known to stay at a loss of ln 10 = 2.303, which is guessing: |W| saturates the sigmoids, and the " +
      "read-out's hidden units die within a few steps. --preset retina learns (any connectome), and so does --preset demo",
    recipe: {
      weights: "abs",
      normalise: "none",
      gain: 1,
      nonlinearity: "Sigmoid",
      input: "random",
      trainInput: true,
      readout: "all",
      standardise: false,
      fcDim: 256,
      dropout: 0.5,
      endTime: 1,
      rtol: 1e-3,
      atol: 1e-6,
      epochs: 1,
      batchSize: 8,
      validationSamples: 0,
      evalEvery: 0,
    },
  },
  addition: {
    summary:
      "adds two digits through the wiring alone, as nothing but the network is trained; all sums can be right, guessing gets 10 % (default with --data addition)",
    warning: null,
    recipe: {
      ...TASK_NETWORK,
      data: "addition",
      dynamics: "leaky",
      tau: 2,
      trainTau: false,
      head: "groups",
      headScale: 8,
      readoutTimes: "last:4",
      readoutAverage: true,
      batchSize: 32,
      lr: 5e-3,
      steps: 500,
    },
  },
  "nervous-system": {
    summary:
      "adds two digits through a whole nervous system, from its sensory to its descending and motor neurons; needs --connectome with their roles, as npx axograd import writes it",
    warning: null,
    needsConnectome: true,
    recipe: {
      ...TASK_NETWORK,
      data: "addition",
      dynamics: "leaky",
      tau: 2,
      trainTau: false,
      gain: 2.3,
      input: "role=input",
      inputScale: 4,
      trainInput: true,
      readout: "output",
      head: "groups",
      groupSize: "all",
      headScale: 16,
      readoutTimes: "last:4",
      readoutAverage: true,
      batchSize: 16,
      lr: 5e-3,
      schedule: "cosine",
      warmUp: 10,
      steps: 400,
      validationSamples: 128,
      testSamples: 512,
      checkpointEvery: 100,
    },
  },
  text: {
    summary: "predicts a random text; the lowest loss is its entropy, 0.789 nats (default with --data text)",
    warning: null,
    recipe: { ...LINEAR_TASK, data: "text", dynamics: "plain", groupSize: 100, lr: 1.5e-2, steps: 600 },
  },
  decision: {
    summary:
      "decides by noisy evidence; the ideal observer is right in 99.2 % of the trials (default with --data decision)",
    warning: null,
    recipe: { ...LINEAR_TASK, data: "decision", dynamics: "plain", groupSize: 16, lr: 1e-2, steps: 200 },
  },
  match: {
    summary:
      "remembers a cue over a delay and compares a probe with it; all answers can be right, guessing gets 50 % (default with --data match)",
    warning: null,
    recipe: {
      ...LINEAR_TASK,
      data: "match",
      dynamics: "leaky",
      tau: 5,
      trainTau: false,
      groupSize: 16,
      inputScale: 2,
      gain: 6,
      batchSize: 32,
      lr: 1e-2,
      steps: 300,
    },
  },
};
