// A classifier small enough for tests: 24 neurons, images of 2 × 2, three classes.

import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { imageSamples } from "../../src/data/imageSamples.ts";
import type { ImageSet } from "../../src/data/imageSet.ts";
import { MNIST_NORMALISATION } from "../../src/data/mnist.ts";
import { createSparseProjection } from "../../src/data/projection.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { SolveOptions } from "../../src/models/connectomeOdeRnn.ts";
import { Adam, type Optimizer } from "../../src/train/optimizer.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";

export const NEURONS = 24;
export const PIXELS = 4;

/** Images whose brightest pixel tells the class; there are three, and some noise. */
export function patches(count: number, seed = 5): ImageSet {
  const stream = new RandomStream(keyOfSeed(seed));
  const images = new Uint8Array(count * PIXELS);
  const labels = Uint8Array.from({ length: count }, () => stream.below(3));
  for (let p = 0; p < images.length; p++) images[p] = stream.below(60);
  labels.forEach((label, i) => {
    images[i * PIXELS + label] = 200 + stream.below(56);
  });
  return { images, labels, count, height: 2, width: 2, classes: 3, normalisation: MNIST_NORMALISATION };
}

/** The same as samples. */
export function patchSamples(count: number, seed = 5): SampleSet {
  return imageSamples(patches(count, seed));
}

/** A random matrix with about four entries per row, of both signs. */
export function sparseMatrix(seed = 1): Csr {
  const stream = new RandomStream(keyOfSeed(seed));
  const draw = (n: number) => Array.from({ length: 4 * NEURONS }, () => stream.below(n));
  const values = Array.from({ length: 4 * NEURONS }, () => stream.normal() / 2);
  return csrFromCoo({ nRows: NEURONS, nCols: NEURONS, rows: draw(NEURONS), cols: draw(NEURONS), values });
}

export interface Tiny {
  readonly model: ConnectomeODEClassifier;
  readonly optimizer: Adam;
  readonly trainer: Trainer;
  dispose(): void;
}

/** A model with input projection, signed weights and a hidden layer. */
export function tinyClassifier(
  backend: Backend,
  options: {
    readonly seed?: number;
    readonly connectomeSeed?: number;
    readonly standardise?: boolean;
    readonly dropout?: number;
    readonly solve?: SolveOptions;
  } = {},
): ConnectomeODEClassifier {
  const { seed = 3, connectomeSeed = 1, standardise = false, dropout = 0.3, solve = {} } = options;
  const indices = [0, 5, 9, 20];
  return new ConnectomeODEClassifier(backend, {
    rnn: {
      inputSize: PIXELS,
      numNeurons: NEURONS,
      connectome: sparseMatrix(connectomeSeed),
      inputProjection: createSparseProjection({ size: PIXELS, numNeurons: NEURONS, indices, mode: "ih" }),
      neuronNonlinearity: "Tanh",
      weightConstraint: "sign",
      solve,
    },
    numClasses: 3,
    fcDim: 8,
    dropout,
    seed,
    standardise,
  });
}

/** A trainer on a new model; every part that draws random numbers is in it: order, dropout, initial values. */
export function tinyTraining(
  backend: Backend,
  options: {
    readonly seed?: number;
    readonly connectomeSeed?: number;
    readonly standardise?: boolean;
    readonly batchSize?: number;
    readonly endTime?: number;
    readonly schedule?: NonNullable<TrainerOptions["schedule"]>;
    readonly solve?: SolveOptions;
    /** Further options of the trainer. */
    readonly trainer?: Partial<TrainerOptions>;
  } = {},
): Tiny {
  const { seed = 3, batchSize = 12, endTime = 2, schedule } = options;
  const model = tinyClassifier(backend, options);
  const optimizer = new Adam(backend, model.parameters, { lr: 2e-2 });
  const trainer = new Trainer({
    model,
    optimizer,
    train: patchSamples(40),
    batchSize,
    seed,
    ...(schedule && { schedule }),
    evaluation: { endTime },
    ...options.trainer,
  });
  const dispose = (): void => {
    optimizer.dispose();
    model.dispose();
  };
  return { model, optimizer, trainer, dispose };
}

/** All parameters, as their constraints want them, and moments; for comparison bit by bit. */
export async function stateOf({
  model,
  optimizer,
}: {
  readonly model: Pick<Tiny["model"], "parameters">;
  readonly optimizer: Optimizer;
}): Promise<Map<string, unknown>> {
  const state = new Map<string, unknown>();
  model.parameters.refresh();
  for (const { name } of model.parameters.all()) state.set(name, await model.parameters.values(name));
  const { step, moments } = await optimizer.state();
  state.set("step", step);
  for (const [name, values] of Object.entries(moments)) state.set(name, values);
  return state;
}

/** Trains until `steps` steps are done; the loss of each. */
export async function train(trainer: Trainer, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for await (const { loss } of trainer.fit({ steps })) losses.push(loss);
  return losses;
}
