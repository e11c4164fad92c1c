// When a solve starts and ends, and at which times in between its states are wanted.

import { ArgumentError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";

/** Evenly spaced times, or a list of them; see EvaluationOptions. */
export interface TimeOptions {
  readonly numEvals?: number;
  readonly times?: ArrayLike<number>;
  readonly startTime?: number;
  readonly endTime?: number;
}

/** In double precision, whatever that of the device: it counts time from the start. */
export interface EvaluationSchedule {
  readonly startTime: number;
  readonly endTime: number;
  /** Evaluation times, in the order of integration. */
  readonly ts: Float64Array;
}

/** @throws {ArgumentError} times that are not finite, or not in one order; an interval of length 0; a number and a list of times */
export function evaluationSchedule(where: string, options: TimeOptions): EvaluationSchedule {
  const { times, numEvals } = options;
  if (times === undefined) return evenlySpaced(where, options);
  if (numEvals !== undefined) throw new ArgumentError(where, "numEvals", "it dropped, or no times", "both");
  return listed(where, times, options);
}

/** torch.linspace(start, end, E): the first half counts from the start, the second from the end. */
function evenlySpaced(where: string, { numEvals = 2, startTime = 0, endTime = 1 }: TimeOptions): EvaluationSchedule {
  if (!Number.isInteger(numEvals) || numEvals < 2) {
    throw new ArgumentError(where, "numEvals", "a whole number of at least 2", `${numEvals}`);
  }
  checkInterval(where, startTime, endTime);
  const step = (endTime - startTime) / (numEvals - 1);
  const ts = Float64Array.from({ length: numEvals }, (_, i) =>
    i < numEvals / 2 ? startTime + step * i : endTime - step * (numEvals - 1 - i),
  );
  return { startTime, endTime, ts };
}

function listed(where: string, times: ArrayLike<number>, options: TimeOptions): EvaluationSchedule {
  if (times.length === 0) throw new ArgumentError(where, "times", "at least one time", "none");
  checkFinite(where, "times", times, "f64");
  const { startTime = 0, endTime = times[times.length - 1]! } = options;
  checkInterval(where, startTime, endTime);
  const ts = Float64Array.from(times);
  const forward = endTime > startTime;
  const isAfter = (a: number, b: number) => (forward ? a > b : a < b);
  ts.forEach((t, i) => {
    const before = ts[i - 1];
    if (before !== undefined && !isAfter(t, before)) {
      const order = `distinct ${forward ? "ascending" : "descending"} times`;
      throw new ArgumentError(where, "times", order, `${times[i]} after ${times[i - 1]} at ${i}`);
    }
  });
  ts.forEach((t, i) => {
    if (isAfter(startTime, t) || isAfter(t, endTime))
      throw new ArgumentError(where, "times", `times from ${startTime} to ${endTime}`, `${times[i]} at ${i}`);
  });
  return { startTime, endTime, ts };
}

function checkInterval(where: string, startTime: number, endTime: number): void {
  if (!(Number.isFinite(startTime) && Number.isFinite(endTime)) || startTime === endTime) {
    throw new ArgumentError(where, "endTime", `a finite time other than startTime = ${startTime}`, `${endTime}`);
  }
}
