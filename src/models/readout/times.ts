// Which output times a read-out takes.

import { ArgumentError } from "../../core/errors.ts";

/** Output times of a run: the last one, all, the last k, or those of ascending indices from 0. */
export type ReadoutTimes = "last" | "all" | { readonly last: number } | ArrayLike<number>;

const WHERE = "readout";

/** @throws {ArgumentError} no such choice, whatever the run */
export function checkReadoutTimes(times: ReadoutTimes): void {
  if (times === "last" || times === "all") return;
  if (typeof times !== "object" || times === null)
    throw new ArgumentError(WHERE, "times", '"last", "all", { last: k } or a list of indices', `${times}`);
  if ("last" in times) {
    const { last } = times;
    if (Number.isInteger(last) && last >= 1) return;
    throw new ArgumentError(WHERE, "times.last", "a whole number of at least 1", `${last}`);
  }
  const indices = Array.from(times);
  const bad = indices.findIndex((j, i) => !Number.isInteger(j) || j < 0 || j <= (indices[i - 1] ?? -1));
  if (indices.length > 0 && bad < 0) return;
  const got = indices.length === 0 ? "none" : `${indices[bad]} at ${bad}`;
  throw new ArgumentError(WHERE, "times", "indices from 0, each once, in ascending order", got);
}

/** The indices of the chosen ones of a run's output times, ascending. @throws {ArgumentError} the run has fewer */
export function readTimesOf(times: ReadoutTimes, nTimes: number): readonly number[] {
  const from = (first: number) => Array.from({ length: nTimes - first }, (_, j) => first + j);
  if (times === "last") return [nTimes - 1];
  if (times === "all") return from(0);
  if ("last" in times) {
    if (times.last <= nTimes) return from(nTimes - times.last);
    throw new ArgumentError(WHERE, "times.last", `at most ${nTimes}, the output times of the run`, `${times.last}`);
  }
  const indices = Array.from(times);
  const last = indices.at(-1)!;
  if (last < nTimes) return indices;
  throw new ArgumentError(WHERE, "times", `indices 0 to ${nTimes - 1}, the output times of the run`, `${last}`);
}
