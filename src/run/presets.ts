// Presets: complete recipes under a name. Each is data; any option given on the command line takes its place.

import type { Recipe } from "./config.ts";

/** What the recipes below share: read-out, solver and bookkeeping that have proved themselves. */
const LEARNING = {
  wiring: "real",
  trainConnectome: true,
  weights: "signed",
  normalise: "rows",
  gain: 2,
  keepSigns: false,
  nonlinearity: "ReLU",
  standardise: true,
  calibration: 256,
  fcDim: null,
  dropout: 0,
  // The signal needs two or three synapses to reach the outputs: it must have crossed the network before it is read out.
  endTime: 3,
  solver: "dopri5",
  controller: null,
  dt: null,
  numEvals: 2,
  rtol: 1e-2,
  atol: 1e-3,
  maxSteps: 1000,
  steps: null,
  batchSize: 64,
  lr: 1e-3,
  schedule: "constant",
  decayEvery: null,
  decayFactor: 0.1,
  warmUp: 0,
  weightDecay: 0,
  clipNorm: null,
  shift: 0,
  trainSamples: null,
  testSamples: null,
  checkpointEvery: 500,
} as const satisfies Partial<Recipe>;

export interface Preset {
  /** One line for --help. */
  readonly summary: string;
  /** Said at the start of a run. */
  readonly warning: string | null;
  readonly recipe: Recipe;
}

export const PRESETS: Readonly<Record<string, Preset>> = {
  demo: {
    summary: "learns generated digits in a minute or two; needs no files (default)",
    warning: null,
    recipe: {
      ...LEARNING,
      input: "auto",
      trainInput: false,
      readout: "auto",
      epochs: 4,
      validationSamples: 512,
      evalEvery: 100,
    },
  },
  retina: {
    summary: "the recipe that learns MNIST with a real connectome (default with --connectome)",
    warning: null,
    recipe: {
      ...LEARNING,
      input: "auto",
      trainInput: true,
      readout: "auto",
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
  tutorial: {
    summary: "torch-biopl's training tutorial, exactly; known not to learn",
    warning:
      "the tutorial's set-up is known to stay at a loss of ln 10 = 2.303, which is guessing: |W| saturates the sigmoids, and the " +
      "read-out's hidden units die within a few steps. --preset retina learns (any connectome), and so does --preset demo",
    recipe: {
      wiring: "real",
      trainConnectome: true,
      weights: "abs",
      normalise: "none",
      gain: 1,
      keepSigns: false,
      nonlinearity: "Sigmoid",
      input: "random",
      trainInput: true,
      readout: "all",
      standardise: false,
      calibration: 256,
      fcDim: 256,
      dropout: 0.5,
      endTime: 1,
      solver: "dopri5",
      controller: null,
      dt: null,
      numEvals: 2,
      rtol: 1e-3,
      atol: 1e-6,
      maxSteps: 1000,
      epochs: 1,
      steps: null,
      batchSize: 8,
      lr: 1e-3,
      schedule: "constant",
      decayEvery: null,
      decayFactor: 0.1,
      warmUp: 0,
      weightDecay: 0,
      clipNorm: null,
      shift: 0,
      trainSamples: null,
      validationSamples: 0,
      testSamples: null,
      evalEvery: 0,
      checkpointEvery: 500,
    },
  },
};
