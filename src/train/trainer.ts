// The training loop: batches in a reproducible order, gradients, an optimiser's step, and its metrics. It prints and writes
// nothing; its caller decides what to do with the metrics.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Backend, Traffic } from "../backend/backend.ts";
import type { Abortable } from "../core/abort.ts";
import { ArgumentError, EngineError, SolverError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed } from "../core/random.ts";
import type { ImageSet } from "../data/imageSet.ts";
import { type Batch, batchCount, batches } from "../data/loader.ts";
import type { BatchResult, ClassifierEvaluation, GradientResult, NetworkClassifier } from "../models/classifier.ts";
import type { ConnectomeNetwork } from "../models/connectomeNetwork.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { ModelInput } from "../models/options.ts";
import type { SolveStats } from "../ode/solveStats.ts";
import type { TapePlan } from "../ode/tape.ts";
import { type Diagnosis, diagnose, type Remedy } from "./diagnosis.ts";
import { findWorst, nonFiniteError, stateError } from "./nonFinite.ts";
import type { Optimizer } from "./optimizer.ts";
import { constant, type Schedule } from "./schedule.ts";
import { type SolverMetrics, solverMetrics } from "./solverMetrics.ts";

export { TrainingError } from "./nonFinite.ts";
export type { SolverMetrics } from "./solverMetrics.ts";

/** Where training stands. Together with the parameters and the optimiser's state it continues a run exactly. */
export interface TrainingPosition {
  /** From 0. */
  readonly epoch: number;
  /** The next batch of that epoch, from 0. */
  readonly batch: number;
  /** Steps done. */
  readonly step: number;
}

/** The result of one training step. */
export interface StepMetrics {
  /** From 1. */
  readonly step: number;
  /** From 0: the epoch of this step's batch. */
  readonly epoch: number;
  /** Mean cross-entropy of the batch, in nats, before the step. */
  readonly loss: number;
  /** Share of the batch whose largest logit was the label's. */
  readonly accuracy: number;
  /** Means over the last steps, at most 50. */
  readonly meanLoss: number;
  readonly meanAccuracy: number;
  readonly learningRate: number;
  /** Of a model in discrete time, its steps; null: nothing was solved. */
  readonly solver: SolverMetrics | null;
  /** What this step sent to the device and got back; absent where host and device share their memory. */
  readonly traffic?: Traffic;
  /** Duration of this step. */
  readonly seconds: number;
  /** Over the last steps, at most 50. */
  readonly stepsPerSecond: number;
  /** Seconds that the remaining steps will take at this speed. */
  readonly eta: number;
  /** The step that this run ends with. */
  readonly lastStep: number;
}

/** Result of a pass over a set of images. */
export interface Evaluation {
  readonly loss: number;
  readonly accuracy: number;
  /** Images that were classified. */
  readonly count: number;
  /** Images whose solve failed, left out of all of the above and below (`solve.onFailure: "mask"`). */
  readonly failed: number;
  /** [classes, classes], row = label, column = prediction. */
  readonly confusion: Uint32Array;
  readonly seconds: number;
}

/** A classifier on a network that is evaluated with options E. */
export type TrainableModel<E extends object> = NetworkClassifier<E, ConnectomeNetwork<E>>;

/** What is trained, on what, and how. */
export interface TrainerOptions<E extends object = EvaluationOptions> {
  readonly model: TrainableModel<E>;
  readonly optimizer: Optimizer;
  readonly train: ImageSet;
  /** Default 64. */
  readonly batchSize?: number;
  /** The order of the images is a function of it; default 0. */
  readonly seed?: number;
  /** Training images are moved by up to this many pixels each way, at random; default 0. */
  readonly shift?: number;
  /** The factor on the optimiser's learning rate, for a training until `lastStep`; default constant. */
  readonly schedule?: (lastStep: number) => Schedule;
  /** Evaluation times, end time and so on, of training and of evaluation. */
  readonly evaluation?: ClassifierEvaluation<E>;
}

/** How long to train. */
export interface FitOptions {
  /** Train until this many epochs are done, counted from the beginning of training. Default 1, or unlimited with `steps`. */
  readonly epochs?: number;
  /** Train until this many steps are done, counted from the beginning of training. The smaller limit counts. */
  readonly steps?: number;
  /** Ends the loop after the step in progress. */
  readonly signal?: AbortSignal;
  /** Steps before the current position, for running means and speed to continue from. */
  readonly recent?: readonly Pick<StepMetrics, "loss" | "accuracy" | "seconds">[];
}

/** Every option of a trainer, and of `fit`. */
const TRAINER_OPTIONS: Readonly<Record<keyof TrainerOptions, true>> = {
  model: true,
  optimizer: true,
  train: true,
  batchSize: true,
  seed: true,
  shift: true,
  schedule: true,
  evaluation: true,
};
const FIT_OPTIONS: Readonly<Record<keyof FitOptions, true>> = { epochs: true, steps: true, signal: true, recent: true };

const DEFAULT_BATCH_SIZE = 64;
/** Running means and speed cover this many steps. */
const WINDOW = 50;
/** Images that a diagnosis is made with: at most one panel of the CPU, and where batches are small the buffers of one. */
const PROBED_IMAGES = { least: 8, most: 16 } as const;
/** Images per pass of an evaluation or calibration; bounds memory only. */
const EVALUATION_BATCH = 256;

/** Of equal ones, the last. */
function worstPlan(stats: readonly SolveStats[]): TapePlan | null {
  let worst: TapePlan | null = null;
  for (const { plan } of stats) {
    if (plan && plan.attemptsRecomputed >= (worst?.attemptsRecomputed ?? 0)) worst = plan;
  }
  return worst;
}

/**
 * Trains a classifier on images. It prints and writes nothing; the caller of `fit` decides what to do with the metrics.
 * Model and optimiser stay their owner's.
 */
export class Trainer<E extends object = EvaluationOptions> {
  readonly model: TrainableModel<E>;
  readonly optimizer: Optimizer;
  readonly #train: ImageSet;
  readonly #batchSize: number;
  readonly #key: Key;
  readonly #shift: number;
  readonly #schedule: (lastStep: number) => Schedule;
  readonly #evaluation: ClassifierEvaluation<E> | undefined;
  #position: TrainingPosition = { epoch: 0, batch: 0, step: 0 };
  #plan: TapePlan | null = null;
  #isStepping = false;

  constructor(options: TrainerOptions<E>) {
    const { model, optimizer, train, batchSize = DEFAULT_BATCH_SIZE, seed = 0, evaluation } = options;
    checkNames("Trainer", options, TRAINER_OPTIONS);
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new ArgumentError("Trainer", "batchSize", "a whole number of at least 1", `${batchSize}`);
    }
    if (train.count === 0) throw new ArgumentError("Trainer", "train", "at least one image", "none");
    this.model = model;
    this.optimizer = optimizer;
    this.#train = train;
    this.#batchSize = batchSize;
    this.#key = deriveKey(keyOfSeed(seed), "order");
    this.#shift = options.shift ?? 0;
    this.#schedule = options.schedule ?? (() => constant);
    this.#evaluation = evaluation;
  }

  get position(): TrainingPosition {
    return this.#position;
  }

  get stepsPerEpoch(): number {
    return batchCount(this.#train.count, this.#batchSize);
  }

  /**
   * How the last step kept what its reverse pass needed; null before the first one. Of a batch that runs chunk by chunk, the plan of the chunk
   * that recomputed most.
   */
  get tapePlan(): TapePlan | null {
    return this.#plan;
  }

  /** Continues elsewhere: the next step is number `position.step` + 1, on batch `position.batch` of `position.epoch`. */
  seek(position: TrainingPosition): void {
    for (const [name, value] of Object.entries(position)) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new ArgumentError("seek", name, "a whole number of at least 0", `${value}`);
      }
    }
    if (position.batch >= this.stepsPerEpoch) {
      throw new ArgumentError("seek", "batch", `a batch below ${this.stepsPerEpoch}`, `${position.batch}`);
    }
    this.#position = { ...position };
  }

  /** Fixes the feature statistics of a standardised read-out from the first `count` training images, or all where there are fewer. */
  async calibrate(count: number, { signal }: Abortable = {}): Promise<void> {
    const [batch] = batches(this.#train, { batchSize: Math.min(count, this.#train.count) });
    await this.model.calibrate({ data: batch!.images, batch: batch!.size }, this.#until(signal));
  }

  /** The step after which `fit` with these limits ends. */
  lastStep(options: FitOptions): number {
    checkNames("fit", options, FIT_OPTIONS);
    const { epochs, steps } = options;
    for (const [name, limit] of Object.entries({ epochs, steps })) {
      if (limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
        throw new ArgumentError("fit", name, "a whole number of at least 0", `${limit}`);
      }
    }
    const byEpochs = (epochs ?? (steps === undefined ? 1 : Number.POSITIVE_INFINITY)) * this.stepsPerEpoch;
    return Math.min(byEpochs, steps ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Trains from the current position, one step per iteration. Between steps the event loop turns, so that signals and timers come
   * through. Leaving the loop at any step leaves a position to continue from. The model may be asked for other things meanwhile: calls take
   * turns.
   *
   * @throws {EngineError} "busy" when another loop moves on, or computes gradients of the same model
   * @throws {TrainingError} "non-finite-loss", "non-finite-gradient" or "non-finite-state"; the step was not taken, and `skip` passes over its batch
   * @throws {SolverError} for another reason a sample's solve did not reach its end; the step was not taken
   */
  async *fit(options: FitOptions = {}): AsyncGenerator<StepMetrics, void, undefined> {
    const lastStep = this.lastStep(options);
    const schedule = this.#schedule(lastStep);
    const recent = new Window(WINDOW);
    for (const { loss, accuracy, seconds } of options.recent?.slice(-WINDOW) ?? [])
      recent.add({ loss, accuracy, seconds });
    while (this.#position.step < lastStep) {
      const { epoch, batch: firstBatch } = this.#position;
      let next = firstBatch;
      for (const batch of batches(this.#train, {
        batchSize: this.#batchSize,
        shuffle: true,
        key: this.#key,
        epoch,
        firstBatch,
        shift: this.#shift,
      })) {
        await nextTurn();
        if (options.signal?.aborted || this.#position.step >= lastStep) return;
        // Moved by `skip`, `seek` or another loop: on from there.
        if (this.#position.epoch !== epoch || this.#position.batch !== next++) break;
        const start = performance.now();
        const before = this.model.backend.traffic();
        const factor = schedule(this.#position.step);
        const result = await this.#step(batch, factor);
        const seconds = (performance.now() - start) / 1000;
        const accuracy = result.correct / result.count;
        recent.add({ loss: result.loss, accuracy, seconds });
        const { step } = this.#position;
        yield {
          step,
          epoch,
          loss: result.loss,
          accuracy,
          meanLoss: recent.mean("loss"),
          meanAccuracy: recent.mean("accuracy"),
          learningRate: this.optimizer.lr * factor,
          solver: solverMetrics(result.stats),
          ...trafficSince(before, this.model.backend),
          seconds,
          stepsPerSecond: 1 / recent.mean("seconds"),
          eta: (lastStep - step) * recent.mean("seconds"),
          lastStep,
        };
      }
    }
  }

  async #step(batch: Batch, factor: number): Promise<BatchResult> {
    if (this.#isStepping) throw new EngineError("busy", "fit: expected one loop at a time, got another one's step");
    this.#isStepping = true;
    try {
      return await this.#takeStep(batch, factor);
    } finally {
      this.#isStepping = false;
    }
  }

  async #takeStep(batch: Batch, factor: number): Promise<BatchResult> {
    const step = this.#position.step + 1;
    const input = { data: batch.images, batch: batch.size };
    const result = await this.#gradients(input, batch.labels, step);
    const squares = result.measured[0]![0]!;
    if (!Number.isFinite(result.loss) || !Number.isFinite(squares)) {
      const worst = await findWorst("gradient", this.model.parameters);
      // The squares of large gradients overflow earlier than the gradients do.
      if (!Number.isFinite(result.loss) || worst.nonFinite > 0) throw nonFiniteError(step, result.loss, worst);
    }
    this.optimizer.step(factor);
    this.#plan = worstPlan(result.stats);
    this.skip();
    return result;
  }

  async #gradients(input: ModelInput, labels: ArrayLike<number>, step: number): Promise<GradientResult> {
    const { model, optimizer } = this;
    try {
      return await model.gradients(input, labels, step, this.#evaluation, () => [optimizer.sumSquares()]);
    } catch (error) {
      throw await stateError(step, error, model.parameters);
    }
  }

  /**
   * Measures, on a few training images, whether the training can work. Training is not affected.
   *
   * @param meanLoss  of the last steps; null before the first one
   * @param say  puts a remedy into words; default: in the options of the library
   * @returns null with a single image, or if the network cannot be solved for these images (the next step reports why)
   */
  async diagnose(meanLoss: number | null, say?: (remedy: Remedy) => string): Promise<Diagnosis | null> {
    try {
      return await this.#diagnose(meanLoss, say);
    } catch (error) {
      if (error instanceof SolverError) return null;
      throw error;
    }
  }

  async #diagnose(meanLoss: number | null, say?: (remedy: Remedy) => string): Promise<Diagnosis | null> {
    const { least, most } = PROBED_IMAGES;
    const images = Math.min(this.#train.count, Math.max(least, Math.min(most, this.#batchSize)));
    // Differences between images need two.
    if (images < 2) return null;
    const [batch] = batches(this.#train, { batchSize: images });
    const probe = await this.model.probe({ data: batch!.images, batch: batch!.size }, this.#evaluation);
    const { step } = this.#position;
    const norms = step === 0 ? null : await this.optimizer.gradientNorms();
    const roleOf = (name: string) => this.model.parameters.get(name).role;
    const state = {
      step,
      meanLoss,
      classes: this.#train.classes,
      gradientNorms: norms && Object.entries(norms).map(([name, norm]) => [roleOf(name), norm] as const),
      standardised: this.model.options.standardise ?? false,
    };
    return diagnose(probe, state, say);
  }

  #until(signal: AbortSignal | undefined): ClassifierEvaluation<E> | undefined {
    const evaluation = this.#evaluation ?? ({} as ClassifierEvaluation<E>);
    return signal ? { ...evaluation, signal } : this.#evaluation;
  }

  /** Goes past the next batch without training on it; it counts as a step. */
  skip(): void {
    const { epoch, batch, step } = this.#position;
    const done = batch + 1 === this.stepsPerEpoch;
    this.#position = { epoch: done ? epoch + 1 : epoch, batch: done ? 0 : batch + 1, step: step + 1 };
  }

  /** Loss, accuracy and confusion matrix on a set, without dropout; training is not affected. */
  async evaluate(set: ImageSet, { signal }: Abortable = {}): Promise<Evaluation> {
    if (set.count === 0) throw new ArgumentError("evaluate", "set", "at least one image", "none");
    const start = performance.now();
    const confusion = new Uint32Array(set.classes ** 2);
    let totalLoss = 0;
    let failed = 0;
    for (const batch of batches(set, { batchSize: EVALUATION_BATCH, ...(signal ? { signal } : {}) })) {
      await nextTurn();
      const input = { data: batch.images, batch: batch.size };
      const result = await this.model.evaluate(input, batch.labels, this.#until(signal));
      totalLoss += result.loss * (batch.size - result.failed.length);
      failed += result.failed.length;
      const width = result.logits.length / batch.size;
      for (let b = 0; b < batch.size; b++) {
        if (result.failed.includes(b)) continue;
        const predicted = indexOfMax(result.logits.subarray(b * width, (b + 1) * width));
        confusion[batch.labels[b]! * set.classes + predicted]!++;
      }
    }
    let correct = 0;
    for (let c = 0; c < set.classes; c++) correct += confusion[c * (set.classes + 1)]!;
    const seconds = (performance.now() - start) / 1000;
    const count = set.count - failed;
    return { loss: totalLoss / count, accuracy: correct / count, count, failed, confusion, seconds };
  }
}

/** The last values of what is averaged. */
class Window {
  readonly #size: number;
  readonly #values: { loss: number; accuracy: number; seconds: number }[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  add(values: { loss: number; accuracy: number; seconds: number }): void {
    this.#values.push(values);
    if (this.#values.length > this.#size) this.#values.shift();
  }

  mean(name: "loss" | "accuracy" | "seconds"): number {
    return this.#values.reduce((sum, values) => sum + values[name], 0) / this.#values.length;
  }
}

function trafficSince(before: Traffic | null, backend: Backend): { readonly traffic?: Traffic } {
  const now = backend.traffic();
  if (!before || !now) return {};
  const since = (name: keyof Traffic): number => now[name] - before[name];
  return {
    traffic: {
      dispatches: since("dispatches"),
      submits: since("submits"),
      uploadedBytes: since("uploadedBytes"),
      downloadedBytes: since("downloadedBytes"),
    },
  };
}

function indexOfMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
