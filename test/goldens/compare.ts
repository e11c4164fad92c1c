// How close a run must come to its reference. Bounds follow from the sensitivity that the reference states for each output: how
// far it moves when the inputs move by a rounding error.

import type { DType } from "../../src/core/dtype.ts";
import type { NpyArray } from "../../src/io/npy.ts";
import { COUNTS_UNTIL_STOP, earlyStopOf } from "./earlyStop.ts";
import type { GoldenCase } from "./format.ts";

/** What a run computed, by the reference's names. */
export type Outputs = ReadonlyMap<string, ArrayLike<number>>;

/** The worst entry of one array. */
export interface ArrayError {
  readonly name: string;
  readonly index: number;
  readonly got: number;
  readonly expected: number;
  readonly bound: number;
  /** Error over bound: at most 1 passes. */
  readonly ratio: number;
}

export interface Comparison {
  /** Arrays that disagree, worst first. */
  readonly failures: readonly ArrayError[];
  /** The array nearest to (or furthest beyond) its bound; null when nothing was compared. */
  readonly worst: ArrayError | null;
  readonly compared: readonly string[];
  /** What was left out and why, in words. */
  readonly notes: readonly string[];
}

/** Outputs that must be equal, entry by entry. */
const COUNTS: readonly string[] = [
  "n_steps",
  "n_accepted",
  "n_f_evals",
  "status",
  "back_n_steps",
  "back_n_accepted",
  "back_n_f_evals",
  "hh_rows",
  "hh_cols",
];
/** The reference's inner life: traces of its step-size control, and how many evaluation points it had reached. */
const NOT_OUTPUTS = /^(trace_|n_initialized$)/;

interface Rule {
  /** Multiples of the sensitivity. */
  readonly factor: number;
  /** Least relative bound. */
  readonly floor: number;
  /** Gradients with a larger sensitivity are noise. */
  readonly noise: number;
  /** Step counts cannot be reproduced where an output has a larger sensitivity: a kink decides which steps are rejected. */
  readonly countNoise: number;
}

const RULES: Readonly<Record<DType, Rule>> = {
  f64: { factor: 100, floor: 1e-11, noise: Number.POSITIVE_INFINITY, countNoise: Number.POSITIVE_INFINITY },
  f32: { factor: 30, floor: 1e-5, noise: 1e-2, countNoise: 1e-3 },
};

/** Compares every reference array that the run computed. */
export function compareOutputs(
  golden: GoldenCase,
  dtype: DType,
  outputs: Outputs,
  references: ReadonlyMap<string, NpyArray>,
): Comparison {
  const errors: ArrayError[] = [];
  const notes: string[] = [];
  const missing: string[] = [];
  const noisy: string[] = [];
  const undefinedThere: string[] = [];
  const worstSensitivity = Math.max(0, ...golden.sensitivity[dtype].values());
  const countsHold = golden.stepCountsHold[dtype] && worstSensitivity <= RULES[dtype].countNoise;
  const early = earlyStopOf(references);
  let countsSkipped = false;
  for (const [name, reference] of early?.references ?? references) {
    if (NOT_OUTPUTS.test(name)) continue;
    const actual = outputs.get(name);
    if (actual === undefined) {
      missing.push(name);
      continue;
    }
    if (COUNTS.includes(name)) {
      if (!countsHold) countsSkipped = true;
      else if (early?.goesOn && COUNTS_UNTIL_STOP.includes(name)) errors.push(fewest(name, actual, reference.data));
      else errors.push(worstEntry(name, actual, reference.data, 0));
      continue;
    }
    const { factor, floor, noise } = RULES[dtype];
    const sensitivity = golden.sensitivity[dtype].get(name) ?? 0;
    if (sensitivity === Number.POSITIVE_INFINITY || (name.startsWith("grad_") && sensitivity > noise)) {
      noisy.push(name);
      continue;
    }
    if (Array.from(reference.data).some((x) => !Number.isFinite(x))) undefinedThere.push(name);
    errors.push(
      worstEntry(name, actual, reference.data, Math.max(factor * sensitivity, floor) * largest(reference.data)),
    );
  }
  notes.push(...(early?.notes ?? []));
  if (missing.length > 0) notes.push(`not computed: ${missing.join(", ")}`);
  if (noisy.length > 0) notes.push(`skipped, ${dtype} sensitivity above ${RULES[dtype].noise}: ${noisy.join(", ")}`);
  if (countsSkipped) notes.push(`step counts skipped: rounding in ${dtype} changes them`);
  if (undefinedThere.length > 0) notes.push(`reference not finite, ours is: ${undefinedThere.join(", ")}`);
  if (errors.length === 0) notes.push(`nothing to compare with in ${dtype}`);
  errors.sort((a, b) => b.ratio - a.ratio);
  return {
    failures: errors.filter((e) => e.ratio > 1),
    worst: errors[0] ?? null,
    compared: errors.map((e) => e.name),
    notes,
  };
}

/** Where the reference is not finite, ours must be. A wrong length is infinitely wrong. */
function worstEntry(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, bound: number): ArrayError {
  const entry = (index: number, ratio: number): ArrayError => {
    return { name, index, got: actual[index]!, expected: expected[index]!, bound, ratio };
  };
  if (actual.length !== expected.length) {
    return { name, index: -1, got: actual.length, expected: expected.length, bound, ratio: Number.POSITIVE_INFINITY };
  }
  let worst = entry(0, 0);
  for (let i = 0; i < expected.length; i++) {
    const error = Number.isFinite(expected[i]!) ? Math.abs(actual[i]! - expected[i]!) : 0;
    const isWrong = !Number.isFinite(actual[i]!) || !Number.isFinite(bound);
    const ratio = isWrong ? Number.POSITIVE_INFINITY : error === 0 ? 0 : error / bound;
    if (ratio > worst.ratio) worst = entry(i, ratio);
  }
  return worst;
}

/** The reference's counts are lower bounds. */
function fewest(name: string, actual: ArrayLike<number>, least: ArrayLike<number>): ArrayError {
  const enough = Array.from(least, (count, i) => Math.max(count, actual[i] ?? Number.NaN));
  return worstEntry(name, actual, actual.length === least.length ? enough : least, 0);
}

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i]!)) most = Math.max(most, Math.abs(values[i]!));
  return most;
}
