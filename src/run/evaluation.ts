// How the network of a run is evaluated, and which output times are read out.

import { ArgumentError } from "../core/errors.ts";
import type { SampleShape } from "../data/sampleSet.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { StepOptions } from "../models/connectomeRnn.ts";
import type { ReadoutTimes } from "../models/readout/times.ts";
import type { TrainConfig } from "./config.ts";

type EvaluationConfig = Pick<
  TrainConfig,
  "time" | "numEvals" | "endTime" | "recurrences" | "window" | "rest" | "restTime"
>;

/**
 * Times, steps and initial state of a run. In continuous time outputs are evenly spaced, or where targets have times, at the ends of as many
 * equal parts of the interval; in discrete time they follow each frame.
 *
 * @throws {ArgumentError} a window without a sequence, a part of a step
 */
export function evaluationOf(config: EvaluationConfig, samples: SampleShape): EvaluationOptions | StepOptions {
  const { time, window, rest, restTime, recurrences, numEvals, endTime } = config;
  if (window !== null && samples.steps === null)
    throw new ArgumentError("train", "--window", "inputs that are sequences", "inputs that are constant in time");
  const common = window === null ? {} : { window };
  if (time === "discrete") {
    const h0 = rest === null ? {} : { h0: { rest, steps: restTime } };
    return { ...common, ...h0, recurrences, ...(samples.steps === null ? { numSteps: 1 } : {}) };
  }
  const h0 = rest === null ? {} : { h0: { rest, time: restTime } };
  const { times } = samples.target;
  if (times === null) return { ...common, ...h0, numEvals, endTime };
  return { ...common, ...h0, times: Float64Array.from({ length: times }, (_, j) => (endTime * (j + 1)) / times) };
}

/** How many output times a run has. */
export function outputTimesOf(
  { time, numEvals }: Pick<TrainConfig, "time" | "numEvals">,
  { steps, target }: SampleShape,
): number {
  return time === "continuous" ? (target.times ?? numEvals) : (steps ?? 1);
}

/** Output times that are read out. */
export function readTimesOf(
  { readoutTimes }: Pick<TrainConfig, "readoutTimes">,
  { target }: SampleShape,
): ReadoutTimes {
  if (readoutTimes === "auto") return target.times === null ? "last" : "all";
  if (readoutTimes === "last" || readoutTimes === "all") return readoutTimes;
  return { last: Number(readoutTimes.slice("last:".length)) };
}
