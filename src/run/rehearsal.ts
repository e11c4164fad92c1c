// A run rehearsed on an imagined device: what it will take there at most.

import type { Backend } from "../backend/backend.ts";
import { type PeakMemory, rehearse } from "../backend/rehearsal.ts";
import { bytesOf } from "../core/dtype.ts";
import { BackendError, EngineError } from "../core/errors.ts";
import type { SampleSet, SampleShape } from "../data/sampleSet.ts";
import { rehearsedControl } from "../ode/rehearsedControl.ts";
import { samplesPerEvaluation } from "../train/trainable.ts";
import type { TrainConfig } from "./config.ts";
import { evaluationOf } from "./evaluation.ts";
import { createExperiment, type Experiment, type RunInputs } from "./experiment.ts";
import { samplesPerStep } from "./microBatch.ts";
import { hasFixedSteps } from "./solver.ts";

/** What memory on a device serves. */
export const DEVICE_PARTS = [
  "matrix",
  "parameters",
  "gradients",
  "moments",
  "states",
  "inputs",
  "tape",
  "temporaries",
] as const;

export type DevicePart = (typeof DEVICE_PARTS)[number];

/** A run's memory on its device. */
export interface RehearsedRun {
  readonly peak: PeakMemory;
  /** What the peak consists of, by what it serves; together `peak.takenBytes`. */
  readonly parts: Readonly<Record<DevicePart, number>>;
  /** Of a checkpoint's file, which a page about the run, or its continuation, reads into the host's memory. */
  readonly checkpointBytes: number;
  /** Numbers that training changes. */
  readonly trainedParameters: number;
  /** Numbers that have a gradient. */
  readonly gradients: number;
  /** Of the values of all parameters. */
  readonly valueBytes: number;
  /** Of the largest array that the host copies to write a checkpoint: those in another order than files have. */
  readonly copiedBytes: number;
  /** Samples that run at once. */
  readonly lanes: number;
  /** Attempted steps of a solve that were assumed; of a network in discrete time, its steps. */
  readonly attempts: number;
  /** Of these, the ones that the tape kept whole. */
  readonly attemptsStored: number;
  /** The attempts follow from step size and interval; else they were guessed, as tolerances decide. */
  readonly attemptsKnown: boolean;
}

/**
 * Bytes of one sample's state up to which diagnosis and evaluation are not rehearsed: with some 30 states of 16 samples they take less than
 * 8 MiB, little beside Node.js, and rehearsing them would take a tenth of a second.
 */
const LEAST_STATE_BYTES = 2 ** 14;
/** Attempts of a solve whose tolerances decide, beside one per frame. Solves of a few time constants take 5 to 15. */
const GUESSED_ATTEMPTS = 8;

/**
 * Does what a run does once (calibration, a step with a whole batch and one with the last of an epoch, diagnosis, evaluation) on an imagined
 * device like `device`, with samples of zeros.
 *
 * @param given  attempted steps of a solve, where they are known; null: as step size and interval say, else a guess
 * @throws {BackendError} "out-of-memory", "limit", "memory-budget": the device has no room, or cannot hold arrays so large
 */
export async function rehearseRun(
  device: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  given: number | null = null,
): Promise<RehearsedRun> {
  const { samples } = inputs;
  const own = attemptsOf(config, samples.train);
  const { attempts, attemptsKnown } = given === null ? own : { attempts: given, attemptsKnown: true };
  const { backend, peak, mostLanes } = rehearse(
    device,
    config.time === "discrete" ? () => undefined : rehearsedControl(attempts),
  );
  const blank = { train: blankSet(samples.train), validation: samples.validation, test: samples.test };
  try {
    const rehearsed = ofMicroBatches(config, samples.train);
    const blankInputs = { ...inputs, samples: { ...samples, train: blank.train } };
    const experiment = createExperiment(backend, rehearsed, blankInputs);
    try {
      await rehearseSteps(experiment, rehearsed, inputs);
      const found = peak();
      return {
        peak: found,
        parts: partsOf(found, experiment),
        checkpointBytes: checkpointBytes(experiment),
        trainedParameters: experiment.optimizer.trainedNumbers,
        gradients: experiment.model.parameters.trainable().reduce((sum, { grad }) => sum + grad!.length, 0),
        valueBytes: valueBytes(experiment),
        copiedBytes: copiedBytes(experiment),
        lanes: mostLanes(),
        attempts,
        attemptsStored: experiment.trainer.tapePlan?.attemptsStored ?? attempts,
        attemptsKnown,
      };
    } finally {
      experiment.dispose();
    }
  } finally {
    await backend.dispose();
  }
}

/** With micro-batches, steps of a whole one and one of what is left: the others take no other memory on the device. */
function ofMicroBatches(config: TrainConfig, train: SampleSet): TrainConfig {
  const { microBatch, steps } = config;
  if (microBatch === null) return config;
  const samples = samplesPerStep(config, train);
  const batchSize = wholeAndRest(samples, microBatch);
  return { ...config, batchSize, accumulate: 1, steps: steps && steps * Math.ceil(samples / batchSize) };
}

async function rehearseSteps(
  { model, trainer }: Experiment,
  config: TrainConfig,
  { samples }: RunInputs,
): Promise<void> {
  const perPass = (set: SampleShape) => samplesPerEvaluation(model.task, set, evaluationOf(config, set));
  const { train, validation, test } = samples;
  const state = model.rnn.options.numNeurons * bytesOf(model.backend.dtype);
  const isLarge = state > LEAST_STATE_BYTES;
  if (model.standardised) {
    const count = Math.min(config.calibration, train.count);
    const used = isLarge ? wholeAndRest(count, perPass(train)) : Math.min(count, Math.max(2, config.batchSize));
    await unlessRefused(trainer.calibrate(used));
  }
  if (isLarge && config.diagnoseEvery > 0) await unlessRefused(trainer.diagnose(null));
  const lastStep = trainer.lastStep({
    ...(config.epochs === null ? {} : { epochs: config.epochs }),
    ...(config.steps === null ? {} : { steps: config.steps }),
  });
  if (lastStep > 0) await unlessRefused(stepOf(trainer, 0));
  const last = trainer.stepsPerEpoch - 1;
  if (lastStep > last && last > 0) await unlessRefused(stepOf(trainer, last));
  for (const set of [validation, test]) {
    if (isLarge && set) await unlessRefused(trainer.evaluate(blankSet(set, wholeAndRest(set.count, perPass(set)))));
  }
}

/** Temporaries are what programs share, their code, and gaps between buffers. */
function partsOf(
  { byLabel, takenBytes }: PeakMemory,
  { model, optimizer }: Experiment,
): Readonly<Record<DevicePart, number>> {
  const moments = new Set([...optimizer.moments()].map(([, buffer]) => buffer.label));
  const names = model.parameters.all().map(({ name }) => name);
  const partOf = (label: string): DevicePart => {
    if (label.endsWith(" matrix")) return "matrix";
    if (label.endsWith(" gradient")) return "gradients";
    if (moments.has(label)) return "moments";
    if (label.startsWith("tape ")) return "tape";
    if (/^(ct )?(x|drive(\.\w+)?)( \d+)?$/.test(label)) return "inputs";
    return names.some((name) => label === name || label.startsWith(`${name} `)) ? "parameters" : "states";
  };
  const parts = Object.fromEntries(DEVICE_PARTS.map((part) => [part, 0])) as Record<DevicePart, number>;
  for (const [label, bytes] of byLabel) parts[partOf(label)] += bytes;
  parts.temporaries = takenBytes - Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return parts;
}

/** Values and moments; connections are compared piece by piece. */
function checkpointBytes({ model, optimizer, penalties }: Experiment): number {
  const parameters = model.parameters.all();
  const numbers = [...parameters.map(({ value }) => value), ...[...optimizer.moments()].map(([, buffer]) => buffer)];
  const starts = [...(penalties?.starts() ?? [])].map(([, buffer]) => buffer);
  const total = [...numbers, ...starts].reduce((sum, { length }) => sum + length, 0);
  return total * bytesOf(model.backend.dtype);
}

function valueBytes({ model }: Experiment): number {
  const total = model.parameters.all().reduce((sum, { size }) => sum + size, 0);
  return total * bytesOf(model.backend.dtype);
}

function copiedBytes({ model, optimizer }: Experiment): number {
  const isReordered = new Set(model.parameters.all().flatMap(({ name, fileOrder }) => (fileOrder ? [name] : [])));
  const lengths = [...optimizer.moments()].map(([name, { length }]) =>
    isReordered.has(name.slice(name.indexOf(".") + 1)) ? length : 0,
  );
  return Math.max(0, ...lengths) * bytesOf(model.backend.dtype);
}

/**
 * Where made-up numbers are refused (a class without weight, features alike), what has been counted up to then stands: the real ones decide
 * in the run.
 */
async function unlessRefused(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BackendError || !(error instanceof EngineError)) throw error;
  }
}

/** A step on batch `batch` of the first epoch. */
async function stepOf(trainer: Experiment["trainer"], batch: number): Promise<void> {
  trainer.seek({ epoch: 0, batch, step: batch });
  for await (const _ of trainer.fit({ steps: batch + 1 }));
}

/** Samples for one whole pass and one of what is left: the others take no other memory. */
function wholeAndRest(count: number, perPass: number): number {
  return count <= perPass ? count : perPass + (count % perPass);
}

/** Samples of the same shapes: zeros, and of classes one after another. */
function blankSet(set: SampleSet, count: number = set.count): SampleSet {
  const { inputSize, steps, target, weighted } = set;
  const width = (target.times ?? 1) * target.width;
  return {
    ...set,
    count,
    read: ({ length }) => ({
      size: length,
      inputs: new Float32Array(length * (steps ?? 1) * inputSize),
      targets: Float32Array.from({ length: length * width }, (_, k) =>
        target.classes === null ? 0 : k % target.classes,
      ),
      weights: weighted ? new Float32Array(length * width).fill(1) : null,
    }),
  };
}

/** Attempts of a solve over a batch. */
export function attemptsOf(
  config: TrainConfig,
  set: SampleShape & Pick<SampleSet, "times">,
): Pick<RehearsedRun, "attempts" | "attemptsKnown"> {
  const { dt, endTime, maxSteps, recurrences } = config;
  const frames = set.steps ?? 1;
  if (config.time === "discrete") return { attempts: frames * recurrences, attemptsKnown: true };
  if (!hasFixedSteps(config) || dt === null) {
    return { attempts: Math.min(maxSteps, Math.max(GUESSED_ATTEMPTS, frames)), attemptsKnown: false };
  }
  const end = set.times?.at(-1) ?? endTime;
  const perFrame = Math.ceil((end / frames / dt) * (1 - 1e-9));
  return { attempts: Math.min(maxSteps, frames * perFrame), attemptsKnown: true };
}
