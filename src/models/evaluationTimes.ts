// When a solve starts and ends, and at which times in between its states are wanted.

import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";

/** Evenly spaced times, or a list of them; see EvaluationOptions. */
export interface TimeOptions {
  readonly numEvals?: number;
  readonly times?: ArrayLike<number>;
  readonly startTime?: number;
  readonly endTime?: number;
}

/** In the precision of the device. */
export interface Schedule {
  readonly startTime: number;
  readonly endTime: number;
  /** Evaluation times, in the order of integration. */
  readonly ts: FloatArray;
}

/** @throws {ArgumentError} times that are not finite, or not in one order; an interval of length 0; a number and a list of times */
export function evaluationSchedule(where: string, options: TimeOptions, dtype: DType): Schedule {
  const { times, numEvals } = options;
  if (times === undefined) return evenlySpaced(where, options, dtype);
  if (numEvals !== undefined) throw new ArgumentError(where, "numEvals", "it dropped, or no times", "both");
  return listed(where, times, options, dtype);
}

/** torch.linspace(start, end, E): the first half counts from the start, the second from the end. */
function evenlySpaced(
  where: string,
  { numEvals = 2, startTime = 0, endTime = 1 }: TimeOptions,
  dtype: DType,
): Schedule {
  if (!Number.isInteger(numEvals) || numEvals < 2) {
    throw new ArgumentError(where, "numEvals", "a whole number of at least 2", `${numEvals}`);
  }
  checkInterval(where, startTime, endTime);
  const ts = floatArray(dtype, numEvals);
  const round = roundingOf(dtype);
  const step = round((endTime - startTime) / (numEvals - 1));
  for (let i = 0; i < numEvals; i++) {
    ts[i] = i < numEvals / 2 ? startTime + round(step * i) : endTime - round(step * (numEvals - 1 - i));
  }
  return { startTime: ts[0]!, endTime: ts[numEvals - 1]!, ts };
}

function listed(where: string, times: ArrayLike<number>, options: TimeOptions, dtype: DType): Schedule {
  if (times.length === 0) throw new ArgumentError(where, "times", "at least one time", "none");
  checkFinite(where, "times", times, dtype);
  const { startTime = 0, endTime = times[times.length - 1]! } = options;
  checkInterval(where, startTime, endTime);
  const ts = dtype === "f32" ? Float32Array.from(times) : Float64Array.from(times);
  const round = roundingOf(dtype);
  const [start, end] = [round(startTime), round(endTime)];
  const forward = end > start;
  const isAfter = (a: number, b: number) => (forward ? a > b : a < b);
  ts.forEach((t, i) => {
    const before = ts[i - 1];
    if (before !== undefined && !isAfter(t, before)) {
      const order = `${forward ? "ascending" : "descending"} times, distinct in ${dtype}`;
      throw new ArgumentError(where, "times", order, `${times[i]} after ${times[i - 1]} at ${i}`);
    }
  });
  ts.forEach((t, i) => {
    if (isAfter(start, t) || isAfter(t, end))
      throw new ArgumentError(where, "times", `times from ${startTime} to ${endTime}`, `${times[i]} at ${i}`);
  });
  return { startTime: start, endTime: end, ts };
}

function checkInterval(where: string, startTime: number, endTime: number): void {
  if (!(Number.isFinite(startTime) && Number.isFinite(endTime)) || startTime === endTime) {
    throw new ArgumentError(where, "endTime", `a finite time other than startTime = ${startTime}`, `${endTime}`);
  }
}

function roundingOf(dtype: DType): (x: number) => number {
  return dtype === "f32" ? Math.fround : (x) => x;
}
