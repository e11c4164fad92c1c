// The activity of neurons of a run's network over time, in continuous or discrete time.

import { ArgumentError } from "../core/errors.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { Interventions } from "../models/interventions.ts";
import { ConnectomeODEModel } from "../models/networkModel.ts";
import type { ModelInput } from "../models/options.ts";
import { type RecordedActivity, type RecordOptions, recordActivity } from "../models/recordActivity.ts";
import type { TrainConfig } from "./config.ts";
import { durationOf, odeEvaluationOf, stepEvaluationOf, type TimedShape } from "./evaluation.ts";
import type { RunModel } from "./experiment.ts";

/** Of which neurons, and when. */
export interface TrajectoryOptions extends Pick<RecordOptions<object>, "neurons" | "rates" | "onProgress"> {
  /**
   * In continuous time, evenly spaced times from start to end, both included, at least 2; in discrete time at most so many evenly spaced
   * steps, the last one included. Not together with `at`.
   */
  readonly numTimes?: number;
  /** Ascending times up to the end; in discrete time numbers of steps done, from 1. */
  readonly at?: ArrayLike<number>;
  readonly interventions?: Interventions | null;
  /** Ends the run with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Records the activity of neurons of a run's network under an input, which need not be as long as the samples of the run. Only the wanted
 * times and neurons take memory.
 *
 * @param samples  of the run
 * @throws {ArgumentError} times that the run does not reach, and as `recordActivity`
 */
export async function trajectoryOf(
  model: RunModel,
  config: TrainConfig,
  samples: TimedShape,
  input: ModelInput,
  { numTimes = 2, at, interventions = null, signal, ...record }: TrajectoryOptions,
): Promise<RecordedActivity> {
  if (model instanceof ConnectomeODEModel) {
    const { numEvals: _, times: __, ...others } = odeEvaluationOf(config, samples);
    const times = at ? { times: at } : { numEvals: numTimes };
    const endTime = durationOf(config, samples);
    const evaluation = { ...others, ...times, endTime, interventions, ...(signal && { signal }) };
    return recordActivity(model.rnn, input, { ...record, evaluation });
  }
  const own = stepEvaluationOf(config, samples, input.steps ?? null);
  const evaluation = { ...own, outputs: "steps", interventions, ...(signal && { signal }) } as const;
  const steps = model.rnn.network.outputTimes({ input, evaluation });
  const times = at ? outputsAfter(at, steps) : evenly(steps, Math.min(steps, numTimes));
  return recordActivity(model.rnn, input, { ...record, evaluation, times });
}

/**
 * How a network in continuous time sees a sequence of any length: its frames last as long as those of the run's samples, with an output after each.
 *
 * @throws {ArgumentError} samples that are constant in time
 */
export function odeFramesOf(config: TrainConfig, samples: TimedShape, frames: number): EvaluationOptions {
  const { steps } = samples;
  if (steps === null) {
    const expected = "a run whose samples are sequences, which say how long a frame lasts";
    throw new ArgumentError("odeFramesOf", "samples", expected, "inputs that are constant in time");
  }
  const { numEvals: _, times: __, endTime: ___, ...others } = odeEvaluationOf(config, samples);
  const frame = durationOf(config, samples) / steps;
  return { ...others, times: Float64Array.from({ length: frames }, (_, k) => frame * (k + 1)) };
}

/** Indices of outputs from numbers of steps. */
function outputsAfter(at: ArrayLike<number>, steps: number): number[] {
  const wanted = Array.from(at);
  const isAscending = (k: number) => k === 0 || wanted[k]! > wanted[k - 1]!;
  const bad = wanted.findIndex((n, k) => !(Number.isInteger(n) && n >= 1 && n <= steps && isAscending(k)));
  if (bad < 0) return wanted.map((n) => n - 1);
  throw new ArgumentError(
    "trajectory",
    "at",
    `ascending numbers of steps from 1 to ${steps}`,
    `${wanted[bad]} at ${bad}`,
  );
}

/** `count` of the numbers 0 … n − 1, evenly spaced, with the last one. */
function evenly(n: number, count: number): number[] {
  return Array.from({ length: count }, (_, j) => Math.ceil(((j + 1) * n) / count) - 1);
}
