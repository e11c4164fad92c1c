// Samples that do not reach their end, and their consequences for the batch.

import type { DType, FloatArray } from "../core/dtype.ts";
import { assertSolved, failedSamples, type SolveStats } from "../ode/solveStats.ts";
import type { EvaluationSchedule } from "./evaluationTimes.ts";
import type { RunPurpose } from "./network/evolution.ts";
import type { Evaluated, Network } from "./network/network.ts";
import { rowAt, type SampleRows } from "./samples.ts";

/**
 * The consequence, for its batch, of a sample that does not reach its end (too many steps, too small ones, numbers that are not finite):
 *
 * - "throw": a SolverError that names it;
 * - "mask": the others are solved as if it were not there. Its states are NaN from where it failed on, `stats.status` says why; it has no
 *   weight in losses and gradients, which are those of a batch without it, to the bit;
 * - "stop": as in torchode, the solve ends for all samples that are solved together. `forward` gives what there is by then, NaN for the
 *   rest; gradients and losses are refused with a SolverError.
 */
export type FailurePolicy = "throw" | "mask" | "stop";

export const FAILURE_POLICIES: readonly FailurePolicy[] = ["throw", "mask", "stop"];

/** @throws {SolverError} samples failed, counted from `first`, and the policy does not allow it in a run for this purpose */
export function checkFailures(policy: FailurePolicy, stats: SolveStats, first: number, purpose: RunPurpose): void {
  if (policy === "throw" || (policy === "stop" && purpose !== "states")) assertSolved(stats, first);
}

/** Common part of the results of passes over a batch. */
export interface Outcome {
  /** Samples that failed. */
  readonly failed: readonly number[];
  readonly stats: readonly SolveStats[];
  /** This many samples at the start of the batch need no second pass; default 0. */
  readonly done?: number;
}

/** A pass over a batch, and where samples failed, the pass over the others. */
export interface Passes<R> {
  readonly all: R;
  /** null: no sample failed, or no other one needs a second pass. */
  readonly rest: { readonly kept: readonly number[]; readonly result: R } | null;
}

/**
 * Makes a pass over a batch and, where samples failed, another one over the batch without them: its numbers are those of a batch that
 * never had them, to the bit.
 *
 * @param pass  of the second pass: `kept` are its samples, by their numbers in the first batch
 */
export async function withoutFailed<E, R extends Outcome>(
  network: Network<E>,
  batch: Evaluated<E>,
  pass: (part: Evaluated<E>, kept: readonly number[] | null) => Promise<R>,
): Promise<Passes<R>> {
  const all = await pass(batch, null);
  const { done = 0 } = all;
  const failed = new Set(all.failed);
  const others = Array.from({ length: batch.input.batch - done }, (_, s) => done + s);
  const kept = others.filter((s) => !failed.has(s));
  if (failed.size === 0 || kept.length === 0) return { all, rest: null };
  return { all, rest: { kept, result: await pass(network.selectSamples(batch, kept), kept) } };
}

/** `withoutFailed` where a batch without any sample left has no result. @throws {SolverError} all samples failed */
export async function resultWithoutFailed<E, R extends Outcome>(
  network: Network<E>,
  batch: Evaluated<E>,
  pass: (part: Evaluated<E>, kept: readonly number[] | null) => Promise<R>,
): Promise<Passes<R>> {
  const passes = await withoutFailed(network, batch, pass);
  const { failed, stats } = passes.all;
  if (failed.length === batch.input.batch) for (const part of stats) assertSolved(part);
  return passes;
}

/** Sets the rows that samples which failed did not reach to NaN. */
export function clearUnreached(
  stats: readonly SolveStats[],
  { ts, startTime, endTime }: EvaluationSchedule,
  dtype: DType,
  arrays: readonly (readonly [array: FloatArray, rows: SampleRows])[],
): void {
  // The solver compares in the precision of the device.
  const round = dtype === "f32" ? Math.fround : (v: number) => v;
  const elapsed = (t: number) => round(t - startTime) * Math.sign(endTime - startTime);
  const reached = stats.flatMap((part) => part.t.map(elapsed));
  for (const sample of failedSamples(stats)) {
    for (let j = 0; j < ts.length; j++) {
      if (elapsed(ts[j]!) <= reached[sample]!) continue;
      for (const [array, rows] of arrays) {
        const from = rowAt(rows, sample, j);
        array.fill(Number.NaN, from, from + rows.width);
      }
    }
  }
}
