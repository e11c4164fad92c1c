// The training loop: batches in a reproducible order, gradients, an optimiser's step, and its metrics. It prints and writes
// nothing; its caller decides what to do with the metrics.

import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Backend, DeviceBuffer, Traffic } from "../backend/backend.ts";
import type { Abortable } from "../core/abort.ts";
import { ArgumentError, EngineError, SolverError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed } from "../core/random.ts";
import { batchCount, batches, firstSamples, isStream, joinedBatches, sliceOfSamples } from "../data/loader.ts";
import {
  type SampleSet,
  type SampleShape,
  type SampleStream,
  type Samples,
  subsetOfSamples,
} from "../data/sampleSet.ts";
import { agreed, agreedValues, asShared, checkSame } from "../distributed/agree.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import { shareOf } from "../distributed/treeSum.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { ModelInput } from "../models/options.ts";
import type { TaskGradients, TaskResult } from "../models/task/passes.ts";
import { emptySums, metricValues } from "../models/task/sums.ts";
import type { SolveStats } from "../ode/solveStats.ts";
import type { TapePlan } from "../ode/tape.ts";
import { type Diagnosis, diagnose, type Remedy } from "./diagnosis.ts";
import { batchSums, type Evaluation, EvaluationSums } from "./evaluation.ts";
import { defaultMicroBatch, MicroBatches, type Share } from "./microBatches.ts";
import { findWorst, nonFiniteError, stateError } from "./nonFinite.ts";
import type { Optimizer } from "./optimizer.ts";
import type { ParameterPenalties } from "./parameterPenalties.ts";
import { constant, type Schedule } from "./schedule.ts";
import { type SolverMetrics, solverMetrics } from "./solverMetrics.ts";
import { describeTask, type MetricValues, type TaskDescription } from "./taskDescription.ts";
import {
  checkSamples,
  evaluationOn,
  hasLoss,
  hasTargets,
  inputOf,
  samplesPerEvaluation,
  type TrainableModel,
  targetsOf,
} from "./trainable.ts";

export type { Evaluation } from "./evaluation.ts";
export { TrainingError } from "./nonFinite.ts";
export type { SolverMetrics } from "./solverMetrics.ts";
export type { TrainableModel } from "./trainable.ts";

/** Where training stands. Together with the parameters and the optimiser's state it continues a run exactly. */
export interface TrainingPosition {
  /** From 0. */
  readonly epoch: number;
  /** The next batch of that epoch, from 0; with `accumulate` the next group of batches. */
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
  /**
   * Of the batch before the step: its mean loss and the penalties, which is what is minimised. NaN: none of its targets counts; the parameters
   * stayed as they were.
   */
  readonly loss: number;
  /** Of the batch before the step. */
  readonly metrics: MetricValues;
  /** Mean over the last steps, at most 50, of those on which it was a number. */
  readonly meanLoss: number;
  /** Likewise. */
  readonly meanMetrics: MetricValues;
  /** What each penalty adds to `loss`; absent: there are none. */
  readonly penalties?: Readonly<Record<string, number>>;
  readonly learningRate: number;
  /** null: nothing was solved, as in discrete time. */
  readonly solver: SolverMetrics | null;
  /** What this step sent to the device and got back; absent where host and device share their memory. */
  readonly traffic?: Traffic;
  /** Duration of this step. */
  readonly seconds: number;
  /** Over the last steps, at most 50. */
  readonly stepsPerSecond: number;
  /** Seconds that the remaining steps will take at this speed. */
  readonly eta: number;
  /** The step that this run ends with; Infinity: it has no end. */
  readonly lastStep: number;
}

/** What is trained, on what, and how. */
export interface TrainerOptions<E extends object = EvaluationOptions> {
  readonly model: TrainableModel<E>;
  readonly optimizer: Optimizer;
  /** A set is visited in epochs, in random order; a stream batch by batch, in one epoch without an end. */
  readonly train: SampleSet | SampleStream;
  /** Default 64. The batches of a stream have the sizes that it gives them. */
  readonly batchSize?: number;
  /**
   * Batches per step; default 1. The gradients are those of one batch of all their samples: means over all their targets, also where the last
   * batch of an epoch is smaller. What the device holds does not grow with it. Steps, schedules and positions count steps, not batches.
   */
  readonly accumulate?: number;
  /** The order of the samples and their random changes are functions of it; default 0. */
  readonly seed?: number;
  /** The factor on the optimiser's learning rate, for a training until `lastStep`; default constant. */
  readonly schedule?: (lastStep: number) => Schedule;
  /** Evaluation times, end time and so on, of training and of evaluation. */
  readonly evaluation?: E;
  /** On parameters: terms of the loss of training, not of evaluations. They stay their owner's. */
  readonly penalties?: ParameterPenalties;
  /**
   * The processes that train together: all make the same trainer and the same calls, on devices of the same kind. A batch is theirs together.
   * They stop, go on and fail together, too. Default: this process trains alone.
   */
  readonly communicator?: Communicator;
  /**
   * Samples of a micro-batch. A step's batch is cut into micro-batches, whose gradients are added as a binary tree over their numbers, so that
   * they have the same bits on any number of ranks: a rank computes some of them. They are those of the whole batch but for the order of
   * additions: means over all its targets. Evaluations take at most as many samples at a time. Default: none, the batch is computed as a whole;
   * with several ranks 16 on the CPU, on a GPU as many as give each rank one micro-batch (and other bits for another number of ranks).
   */
  readonly microBatch?: number;
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
  readonly recent?: readonly Pick<StepMetrics, "loss" | "metrics" | "seconds">[];
}

/** Every option of a trainer, and of `fit`. */
const TRAINER_OPTIONS: Readonly<Record<keyof TrainerOptions, true>> = {
  model: true,
  optimizer: true,
  train: true,
  batchSize: true,
  accumulate: true,
  seed: true,
  schedule: true,
  evaluation: true,
  penalties: true,
  communicator: true,
  microBatch: true,
};
const FIT_OPTIONS: Readonly<Record<keyof FitOptions, true>> = { epochs: true, steps: true, signal: true, recent: true };

const DEFAULT_BATCH_SIZE = 64;
/** Running means and speed cover this many steps. */
const WINDOW = 50;
/** Samples that a diagnosis is made with: at most one panel of the CPU, and where batches are small the buffers of one. */
const PROBED_SAMPLES = { least: 8, most: 16 } as const;

/** Of equal ones, the last. */
function worstPlan(stats: readonly SolveStats[]): TapePlan | null {
  let worst: TapePlan | null = null;
  for (const { plan } of stats) {
    if (plan && plan.attemptsRecomputed >= (worst?.attemptsRecomputed ?? 0)) worst = plan;
  }
  return worst;
}

/**
 * Trains a model on samples. It prints and writes nothing; the caller of `fit` decides what to do with the metrics.
 * Model, optimiser and samples stay their owner's.
 */
export class Trainer<E extends object = EvaluationOptions> {
  readonly model: TrainableModel<E>;
  readonly optimizer: Optimizer;
  readonly #train: SampleSet | SampleStream;
  readonly #batchSize: number;
  readonly #accumulate: number;
  readonly #key: Key;
  readonly #schedule: (lastStep: number) => Schedule;
  readonly #evaluation: E | undefined;
  readonly #penalties: ParameterPenalties | null;
  readonly #communicator: Communicator;
  /** Samples of a micro-batch; null: batches are computed as a whole. */
  readonly microBatch: number | null;
  /** null: batches are computed as a whole. */
  readonly #parts: MicroBatches<E> | null;
  #position: TrainingPosition = { epoch: 0, batch: 0, step: 0 };
  #plan: TapePlan | null = null;
  #isStepping = false;

  /** @throws {ArgumentError} a wrong option, or samples that do not fit the model or its task; names what does not */
  constructor(options: TrainerOptions<E>) {
    const { model, optimizer, train, batchSize = DEFAULT_BATCH_SIZE, accumulate = 1, seed = 0, evaluation } = options;
    const { communicator = SOLO, microBatch } = options;
    checkNames("Trainer", options, TRAINER_OPTIONS);
    for (const [name, value] of Object.entries({ batchSize, accumulate, microBatch: microBatch ?? 1 })) {
      if (!Number.isSafeInteger(value) || value < 1)
        throw new ArgumentError("Trainer", name, "a whole number of at least 1", `${value}`);
    }
    checkSamples("Trainer", "train", train, model);
    this.model = model;
    this.optimizer = optimizer;
    this.#train = train;
    this.#batchSize = batchSize;
    this.#accumulate = accumulate;
    this.#key = deriveKey(keyOfSeed(seed), "order");
    this.#schedule = options.schedule ?? (() => constant);
    this.#evaluation = evaluation;
    this.#penalties = options.penalties ?? null;
    this.#penalties?.checkTrained(optimizer.trainedElements);
    this.#communicator = communicator;
    const { size } = communicator;
    const most = isStream(train) ? this.#samplesPerStep : Math.min(this.#samplesPerStep, train.count);
    this.microBatch = microBatch ?? (size > 1 ? defaultMicroBatch(model.backend, most, size) : null);
    this.#parts = this.microBatch === null ? null : new MicroBatches(communicator, model, this.microBatch, train);
  }

  get position(): TrainingPosition {
    return this.#position;
  }

  /** How the model is judged, for files and pages. */
  get task(): TaskDescription {
    return describeTask(this.model.task);
  }

  get #samplesPerStep(): number {
    return this.#batchSize * this.#accumulate;
  }

  /** Infinity on a stream. */
  get stepsPerEpoch(): number {
    return isStream(this.#train) ? Number.POSITIVE_INFINITY : batchCount(this.#train.count, this.#samplesPerStep);
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

  /**
   * Fixes the feature statistics of a standardised read-out from the first `count` training samples, or all where there are fewer. Ranks divide
   * the samples; the statistics have the same bits on any number of them.
   */
  async calibrate(count: number, { signal }: Abortable = {}): Promise<void> {
    const evaluation = this.#evaluationOf(this.#train, signal);
    const communicator = this.#communicator;
    // Where all samples failed, only ranks that had some know why.
    await agreed(communicator, () =>
      this.model.calibrate(this.#firstInputs(count, signal), evaluation, (own) => gathered(communicator, own)),
    );
  }

  /** This rank's share of the first `count` training samples, some at a time. */
  async *#firstInputs(count: number, signal: AbortSignal | undefined): AsyncGenerator<ModelInput, void, undefined> {
    const set = this.#train;
    const { rank, size } = this.#communicator;
    if (isStream(set)) {
      const samples = await firstSamples(set, count);
      const share = shareOf(samples.size, rank, size);
      if (share.count > 0) yield inputOf(set, sliceOfSamples(samples, set, share.first, share.count));
      return;
    }
    const share = shareOf(Math.min(count, set.count), rank, size);
    const first = subsetOfSamples(
      set,
      Array.from({ length: share.count }, (_, k) => share.first + k),
    );
    const options = { batchSize: this.#samplesPerPass(set), ...(signal && { signal }) };
    for await (const samples of batches(first, options)) yield inputOf(set, samples);
  }

  #samplesPerPass(set: SampleShape): number {
    return samplesPerEvaluation(this.model.task, set, this.#evaluation);
  }

  /** Evaluations with micro-batches read no more than these at a time, so that all ranks have some of a small set. */
  #samplesPerEvaluation(set: SampleShape): number {
    return Math.min(this.#samplesPerPass(set), this.microBatch ?? Number.POSITIVE_INFINITY);
  }

  /** The step after which `fit` with these limits ends; Infinity: epochs of a stream, which has no end. */
  lastStep(options: FitOptions): number {
    checkNames("fit", options, FIT_OPTIONS);
    const { epochs, steps } = options;
    for (const [name, limit] of Object.entries({ epochs, steps })) {
      if (limit !== undefined && (!Number.isInteger(limit) || limit < 0)) {
        throw new ArgumentError("fit", name, "a whole number of at least 0", `${limit}`);
      }
    }
    const wanted = epochs ?? (steps === undefined ? 1 : Number.POSITIVE_INFINITY);
    const byEpochs = wanted === 0 ? 0 : wanted * this.stepsPerEpoch;
    return Math.min(byEpochs, steps ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Trains from the current position, one step per iteration. Between steps the event loop turns, so that signals and timers come
   * through. Leaving the loop at any step leaves a position to continue from. The model may be asked for other things meanwhile: calls take
   * turns.
   *
   * With a communicator the loop is collective: ranks make the same calls in the same order, and leave it at the same step. A signal on one of
   * them ends it on all.
   *
   * @throws {EngineError} "busy" when another loop moves on, or computes gradients of the same model; "stream-ended"; "ranks-differ" when
   *   parameters, the optimiser's state or the position are not the same on all ranks. What another rank threw, with its name
   * @throws {TrainingError} "non-finite-loss", "non-finite-gradient" or "non-finite-state"; the step was not taken, and `skip` passes over its batch
   * @throws {SolverError} for another reason a sample's solve did not reach its end; the step was not taken
   */
  async *fit(options: FitOptions = {}): AsyncGenerator<StepMetrics, void, undefined> {
    const lastStep = this.lastStep(options);
    const schedule = this.#schedule(lastStep);
    const recent = new Window(WINDOW);
    for (const measured of options.recent?.slice(-WINDOW) ?? []) recent.add(measured);
    if (this.#communicator.size > 1) await this.#checkRanks(lastStep);
    while (this.#position.step < lastStep) {
      const { epoch, batch: firstBatch } = this.#position;
      let next = firstBatch;
      for await (const batch of this.#shares(epoch, firstBatch, options.signal)) {
        if (batch.isStopped || this.#position.step >= lastStep) return;
        // Moved by `skip`, `seek` or another loop: on from there.
        if (this.#position.epoch !== epoch || this.#position.batch !== next++) break;
        const start = performance.now();
        const before = this.model.backend.traffic();
        const factor = schedule(this.#position.step);
        const {
          loss,
          penalties,
          metrics: sums,
          stats,
        } = batch.hasLoss ? await this.#step(batch, factor) : this.#stepWithoutTargets();
        const seconds = (performance.now() - start) / 1000;
        const metrics = metricValues(this.model.task, sums);
        recent.add({ loss, metrics, seconds });
        const { step } = this.#position;
        yield {
          step,
          epoch,
          loss,
          metrics,
          ...recent.means(),
          ...(Object.keys(penalties).length > 0 && { penalties }),
          learningRate: this.optimizer.lr * factor,
          solver: solverMetrics(stats),
          ...trafficSince(before, this.model.backend),
          seconds,
          stepsPerSecond: 1 / recent.seconds,
          eta: (lastStep - step) * recent.seconds,
          lastStep,
        };
        // Without another look at the set, which would begin to read a batch for nothing.
        if (step >= lastStep) return;
      }
    }
  }

  /** The batches from a position on: this rank's shares of them. */
  async *#shares(
    epoch: number,
    firstBatch: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StepBatch, void, undefined> {
    const parts = this.#parts;
    if (parts) {
      const shares = parts.shares(this.#batches(epoch, firstBatch), this.#evaluationOf(this.#train, undefined), signal);
      for await (const share of shares) yield { ...share, hasLoss: share.lossWeights.some((weight) => weight > 0) };
      return;
    }
    for await (const samples of this.#batches(epoch, firstBatch)) {
      await nextTurn();
      const isStopped = signal?.aborted ?? false;
      const { loss } = this.model.task;
      yield { samples, of: samples.size, lossWeights: [], isStopped, hasLoss: hasLoss(samples, loss) };
    }
  }

  #batches(epoch: number, firstBatch: number): AsyncGenerator<Samples & { readonly of?: number }, void, undefined> {
    if (isStream(this.#train)) return joinedBatches(this.#train, this.#accumulate, { firstBatch });
    const parts = this.#parts;
    const share = parts && { share: (of: number) => parts.samplesOf(of) };
    const options = { batchSize: this.#samplesPerStep, shuffle: true, key: this.#key, epoch, firstBatch, ...share };
    return batches(this.#train, options);
  }

  /** @throws {EngineError} "ranks-differ" */
  async #checkRanks(lastStep: number): Promise<void> {
    const { epoch, batch, step } = this.#position;
    await checkSame(this.#communicator, "fit", {
      position: `${epoch} ${batch} ${step} of ${lastStep}`,
      settings: `${this.#batchSize} ${this.#accumulate} ${this.microBatch} ${this.#key} ${this.optimizer.lr}`,
      ...(await hashesOf(this.model, this.optimizer)),
    });
  }

  async #step(batch: Share, factor: number): Promise<TaskResult> {
    if (this.#isStepping) throw new EngineError("busy", "fit: expected one loop at a time, got another one's step");
    this.#isStepping = true;
    try {
      return await this.#takeStep(batch, factor);
    } finally {
      this.#isStepping = false;
    }
  }

  /** There is nothing to learn from such a batch, and a model refuses it. */
  #stepWithoutTargets(): Pick<TaskResult, "loss" | "penalties" | "metrics" | "stats"> {
    this.skip();
    return { loss: Number.NaN, penalties: {}, metrics: emptySums(this.model.task), stats: [] };
  }

  async #takeStep(batch: Share, factor: number): Promise<TaskResult> {
    const step = this.#position.step + 1;
    const result = await this.#gradients(batch, step);
    // All samples that count failed, which is allowed: there is nothing to learn.
    if (result.lossWeight === 0) {
      this.skip();
      return result;
    }
    const squares = result.measured[0]![0]!;
    if (!Number.isFinite(result.loss) || !Number.isFinite(squares)) {
      const worst = await findWorst("gradient", this.model.parameters, this.optimizer.trained);
      // The squares of large gradients overflow earlier than the gradients do.
      if (!Number.isFinite(result.loss) || worst.nonFinite > 0)
        throw asShared(nonFiniteError(step, result.loss, worst));
    }
    this.optimizer.step(factor);
    this.#plan = worstPlan(result.stats);
    this.skip();
    return result;
  }

  async #gradients(batch: Share, step: number): Promise<TaskGradients> {
    const { model, optimizer } = this;
    const { samples } = batch;
    const evaluation = this.#evaluationOf(this.#train, undefined);
    const measure = (complete?: DeviceBuffer): readonly DeviceBuffer[] => {
      // Their gradients count in the squares.
      const values = this.#penalties?.add(complete) ?? [];
      return [optimizer.sumSquares(), ...values];
    };
    try {
      const result = this.#parts
        ? await this.#parts.gradients(batch, step, evaluation, measure)
        : await model.gradients(inputOf(this.#train, samples), targetsOf(samples), step, evaluation, measure);
      return this.#penalties?.addedTo(result, result.measured.slice(1)) ?? result;
    } catch (error) {
      throw await stateError(step, error, model.parameters);
    }
  }

  /**
   * Measures, on a few training samples, whether the training can work. Training is not affected. Each rank measures the same, without the others.
   *
   * @param meanLoss  of the last steps; null before the first one
   * @param say  puts a remedy into words, or null where it would change nothing; default: in the options of the library
   * @returns null with a single sample, or if the network cannot be solved for these samples (the next step reports why)
   */
  async diagnose(meanLoss: number | null, say?: (remedy: Remedy) => string | null): Promise<Diagnosis | null> {
    try {
      return await this.#diagnose(meanLoss, say);
    } catch (error) {
      if (error instanceof SolverError) return null;
      throw error;
    }
  }

  async #diagnose(meanLoss: number | null, say?: (remedy: Remedy) => string | null): Promise<Diagnosis | null> {
    const { least, most } = PROBED_SAMPLES;
    const wanted = Math.max(least, Math.min(most, this.#batchSize));
    const samples = await firstSamples(this.#train, Math.max(2, Math.min(wanted, this.#samplesPerPass(this.#train))));
    // Differences between samples need two.
    if (samples.size < 2) return null;
    const probe = await this.model.probe(inputOf(this.#train, samples), this.#evaluationOf(this.#train, undefined));
    const { step } = this.#position;
    const norms = step === 0 ? null : await this.optimizer.gradientNorms();
    const roleOf = (name: string) => this.model.parameters.get(name).role;
    const state = {
      step,
      meanLoss,
      chance: this.task.loss.chance,
      classes: this.model.task.target.classes,
      gradientNorms: norms && Object.entries(norms).map(([name, norm]) => [roleOf(name), norm] as const),
      standardised: this.model.standardised,
    };
    return diagnose(probe, state, say);
  }

  /** Output times are those of the samples, if they have any. */
  #evaluationOf(samples: SampleSet | SampleStream, signal: AbortSignal | undefined): E | undefined {
    return evaluationOn(samples, this.#evaluation, signal);
  }

  /** Goes past the next batch without training on it; it counts as a step. */
  skip(): void {
    const { epoch, batch, step } = this.#position;
    const done = batch + 1 === this.stepsPerEpoch;
    this.#position = { epoch: done ? epoch + 1 : epoch, batch: done ? 0 : batch + 1, step: step + 1 };
  }

  /**
   * Loss and metrics on a set, without dropout; training is not affected. Ranks divide the samples, some at a time; the sums are added in the
   * order of the set, so that they have the same bits on any number of ranks. Collective; a signal on one rank ends it on all.
   *
   * @throws {ArgumentError} samples that do not fit the model or its task; names what does not
   * @throws the signal's reason; on ranks whose own signal was not aborted an "AbortError"
   */
  async evaluate(set: SampleSet, { signal }: Abortable = {}): Promise<Evaluation> {
    const { model } = this;
    checkSamples("evaluate", "set", set, model);
    const start = performance.now();
    const sums = new EvaluationSums(model.task);
    const evaluation = this.#evaluationOf(set, signal);
    const batchSize = this.#samplesPerEvaluation(set);
    const communicator = this.#communicator;
    const { rank, size } = communicator;
    const own = batches(set, { batchSize, firstBatch: rank, stride: size, ...(signal && { signal }) });
    try {
      // A batch on each rank at a time.
      for (let k = 0; k < batchCount(set.count, batchSize); k += size) {
        const all = await agreedValues(communicator, async () => {
          const { value: batch } = await own.next();
          await nextTurn();
          if (!batch || !hasTargets(batch)) return null;
          const result = await model.evaluate(inputOf(set, batch), targetsOf(batch), evaluation);
          return batchSums(model.task, batch, result);
        });
        for (const values of all) if (values) sums.addSums(values);
      }
    } finally {
      await own.return();
    }
    if (sums.isEmpty)
      throw asShared(new ArgumentError("evaluate", "set.weights", "at least one target that counts", "none"));
    return sums.result((performance.now() - start) / 1000);
  }
}

/** The features of all ranks, one after another, from what computes those of this one. */
async function gathered(communicator: Communicator, features: () => Promise<Float64Array>): Promise<Float64Array> {
  const own = await agreed(communicator, features);
  if (communicator.size === 1) return own;
  const lengths = await communicator.exchange(own.length);
  const ends = lengths.map((_, rank) => lengths.slice(0, rank + 1).reduce((sum, length) => sum + length, 0));
  const whole = new Float64Array(ends.at(-1)!);
  whole.set(own, ends[communicator.rank]! - own.length);
  await communicator.allGather(whole, lengths);
  return whole;
}

/** A step's batch, and whether anything counts in its loss. */
interface StepBatch extends Share {
  readonly hasLoss: boolean;
}

/** Of all numbers that a step starts from. */
async function hashesOf<E extends object>(
  model: TrainableModel<E>,
  optimizer: Optimizer,
): Promise<Readonly<Record<string, string>>> {
  const parameters = createHash("sha256");
  for (const { name } of model.parameters.all()) parameters.update(name).update(await model.parameters.values(name));
  const statistics = await model.featureStatistics();
  for (const values of Object.values(statistics ?? {})) parameters.update(values);
  const { kind, step, moments } = await optimizer.state();
  const state = createHash("sha256").update(`${kind} ${step}`);
  for (const [name, values] of Object.entries(moments)) state.update(name).update(values);
  return { parameters: parameters.digest("hex"), "state of the optimiser": state.digest("hex") };
}

/** The values of a step that running means are made of. */
type Measured = Pick<StepMetrics, "loss" | "metrics" | "seconds">;

/** The last steps. */
class Window {
  readonly #size: number;
  readonly #steps: Measured[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  add(step: Measured): void {
    this.#steps.push(step);
    if (this.#steps.length > this.#size) this.#steps.shift();
  }

  /** Mean duration. */
  get seconds(): number {
    return mean(this.#steps.map(({ seconds }) => seconds));
  }

  means(): Pick<StepMetrics, "meanLoss" | "meanMetrics"> {
    const names = Object.keys(this.#steps.at(-1)!.metrics);
    const meanOf = (value: (step: Measured) => number | undefined): number =>
      mean(this.#steps.map((step) => value(step) ?? Number.NaN).filter((x) => !Number.isNaN(x)));
    return {
      meanLoss: meanOf(({ loss }) => loss),
      meanMetrics: Object.fromEntries(names.map((name) => [name, meanOf(({ metrics }) => metrics[name])])),
    };
  }
}

/** NaN of nothing. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
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
