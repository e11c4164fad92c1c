// How the network of a run is evaluated, and which output times are read out.

import { ArgumentError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import type { SampleSet, SampleShape } from "../data/sampleSet.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { StepOptions } from "../models/connectomeRnn.ts";
import { type ReadoutTimes, readTimesOf } from "../models/readout/times.ts";
import type { TrainConfig } from "./config.ts";
import { isOwnSetting } from "./configLayers.ts";
import { underSettings } from "./underSettings.ts";

type EvaluationConfig = Pick<
  TrainConfig,
  "time" | "numEvals" | "endTime" | "recurrences" | "window" | "rest" | "restTime"
>;

/** Shapes of samples, with output times if they have any. */
export type TimedShape = SampleShape & Pick<SampleSet, "times">;

/**
 * How the network of a run is evaluated.
 *
 * @param frames  of the input; see `stepEvaluationOf`
 * @throws {ArgumentError} a window without a sequence, a part of a step
 */
export function evaluationOf(
  config: EvaluationConfig,
  samples: TimedShape,
  frames: number | null = samples.steps,
): EvaluationOptions | StepOptions {
  return config.time === "discrete" ? stepEvaluationOf(config, samples, frames) : odeEvaluationOf(config, samples);
}

/**
 * In continuous time: outputs are those of the samples, if they have times of their own; else evenly spaced, or where targets have times, at
 * the ends of as many equal parts of the interval.
 *
 * @throws {ArgumentError} a window without a sequence
 */
export function odeEvaluationOf(config: EvaluationConfig, samples: TimedShape): EvaluationOptions {
  const { rest, restTime, numEvals, endTime } = config;
  const common = { ...windowOf(config, samples), ...(rest === null ? {} : { h0: { rest, time: restTime } }) };
  if (samples.times) return { ...common, times: samples.times };
  const { times } = samples.target;
  if (times === null) return { ...common, numEvals, endTime };
  return { ...common, times: Float64Array.from({ length: times }, (_, j) => (endTime * (j + 1)) / times) };
}

/** How long a run lasts in continuous time, from the initial state to the last output. */
export function durationOf({ endTime }: Pick<TrainConfig, "endTime">, { times }: Pick<SampleSet, "times">): number {
  return times?.at(-1) ?? endTime;
}

/**
 * In discrete time: outputs follow each frame.
 *
 * @param frames  of the input, if it has not as many as the samples; null: it is constant for as many frames as they have
 * @throws {ArgumentError} a window without a sequence, a part of a step
 */
export function stepEvaluationOf(
  config: EvaluationConfig,
  samples: SampleShape,
  frames: number | null = samples.steps,
): StepOptions {
  const { rest, restTime, recurrences } = config;
  if (rest !== null && !Number.isInteger(restTime))
    throw new ArgumentError("train", "--rest-time", "a whole number of steps in discrete time", `${restTime}`);
  const h0 = rest === null ? {} : { h0: { rest, steps: restTime } };
  return {
    ...windowOf(config, samples),
    ...h0,
    recurrences,
    ...(frames === null ? { numSteps: samples.steps ?? 1 } : {}),
  };
}

function windowOf({ window }: EvaluationConfig, { steps }: SampleShape): { readonly window?: number } {
  if (window === null) return {};
  if (steps !== null) return { window };
  throw new ArgumentError("train", "--window", "inputs that are sequences", "inputs that are constant in time");
}

/** How many output times a run has. */
export function outputTimesOf(
  { time, numEvals }: Pick<TrainConfig, "time" | "numEvals">,
  { steps, target }: SampleShape,
): number {
  return time === "continuous" ? (target.times ?? numEvals) : (steps ?? 1);
}

/** @throws {ArgumentError} output times that the run does not have, that have no effect, or that do not go with the targets */
export function checkReadTimes(
  config: Pick<TrainConfig, "preset" | "time" | "numEvals" | "endTime" | "readoutTimes" | "readoutAverage">,
  samples: SampleShape & Pick<SampleSet, "times">,
): void {
  const { times } = samples.target;
  if (config.time === "continuous" && samples.times && isOwnSetting(config, "endTime"))
    throw new ArgumentError("train", "--end-time", "it dropped, as the samples have output times", `${config.endTime}`);
  if (config.time === "continuous" && times !== null && isOwnSetting(config, "numEvals")) {
    const expected = `it dropped, as the targets have ${plural(times, "time")}`;
    throw new ArgumentError("train", "--num-evals", expected, `${config.numEvals}`);
  }
  const read = underSettings(
    () => "readoutTimes",
    () => readTimesOf(readoutTimesOf(config, samples), outputTimesOf(config, samples)).length,
  );
  if (config.readoutAverage && read === 1)
    throw new ArgumentError("train", "--readout-average", "several times to read out (--readout-times)", "one");
  if (times === null || times === (config.readoutAverage ? 1 : read)) return;
  const [flag, got] = config.readoutAverage
    ? ["--readout-average", "their mean"]
    : ["--readout-times", plural(read, "time")];
  throw new ArgumentError("train", flag, `an output at each of the ${times} times of the targets`, got);
}

/** Output times that are read out. */
export function readoutTimesOf(
  { readoutTimes }: Pick<TrainConfig, "readoutTimes">,
  { target }: SampleShape,
): ReadoutTimes {
  if (readoutTimes === "auto") return target.times === null ? "last" : "all";
  if (readoutTimes === "last" || readoutTimes === "all" || typeof readoutTimes !== "string") return readoutTimes;
  return { last: Number(readoutTimes.slice("last:".length)) };
}
