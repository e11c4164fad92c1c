// Step-size control keeps a few numbers of each sample; one attempt of a step passes them on to the next. This table is their only list:
// buffers, programs, gradients and statistics follow it.

import type { Graph } from "../autodiff/graph.ts";
import type { Value } from "../ops/value.ts";

/** Status of a sample on the device. */
export const STATUS = { ok: 0, dtMin: 2, maxSteps: 3, nonFinite: 4 } as const;

/** A number per sample. */
export interface ControlNumber {
  readonly name: ControlName;
  /** At the start of a solve: a constant, a leaf, or computed (null). */
  readonly start: number | string | null;
  /** Gradients through step-size control pass from attempt to attempt through it. */
  readonly hasGradient: boolean;
  /** The host reads it at the end of a solve. */
  readonly isReported: boolean;
  /** Solves that need it: all; those with jump times; those with a reverse pass, which counts void trial steps. */
  readonly of: "all" | "jumps" | "voids";
}

const NUMBERS = [
  // Device time and size of the next step.
  { name: "t", start: "ode.t", hasGradient: true, isReported: true, of: "all" },
  { name: "dt", start: null, hasGradient: true, isReported: true, of: "all" },
  // 1, or 0 when the sample has reached its end or failed; which of them (STATUS).
  { name: "running", start: null, hasGradient: false, isReported: true, of: "all" },
  { name: "status", start: null, hasGradient: false, isReported: true, of: "all" },
  // Error ratios of the last two accepted steps, for the PID controller.
  { name: "ratio1", start: 1, hasGradient: true, isReported: false, of: "all" },
  { name: "ratio2", start: 1, hasGradient: true, isReported: false, of: "all" },
  // Attempts and accepted attempts.
  { name: "nSteps", start: 0, hasGradient: false, isReported: true, of: "all" },
  { name: "nAccepted", start: 0, hasGradient: false, isReported: true, of: "all" },
  // Step size before it was cut at a jump time; number and end of the segment between two jump times.
  { name: "asked", start: null, hasGradient: true, isReported: false, of: "jumps" },
  { name: "segment", start: 0, hasGradient: false, isReported: false, of: "jumps" },
  { name: "segmentEnd", start: "ode.firstEnd", hasGradient: false, isReported: false, of: "jumps" },
  // Void trial steps so far.
  { name: "voids", start: null, hasGradient: false, isReported: false, of: "voids" },
] as const;

export type ControlName = (typeof NUMBERS)[number]["name"];

export const CONTROL: readonly ControlNumber[] = NUMBERS;

/** The numbers in a graph, those that it has. */
export type ControlValues = Readonly<Partial<Record<ControlName, Value>> & Record<"t" | "dt" | "running", Value>>;

/** What an attempt starts from: leaves of its graph, with the prefix `ode.`. */
export type StartValues = ControlValues & {
  readonly y: Value;
  /** The first stage, where it is the last one of the step before. */
  readonly k1: Value | null;
};

/** The numbers of a solve with or without jump times and counted void trial steps. */
export function controlNumbers(hasJumps: boolean, countsVoids: boolean): readonly ControlNumber[] {
  return CONTROL.filter(({ of }) => of === "all" || (of === "jumps" ? hasJumps : countsVoids));
}

/** Names of the numbers that carry gradients. */
export const GRADIENT_NUMBERS: readonly ControlName[] = CONTROL.flatMap((c) => (c.hasGradient ? [c.name] : []));

/** Names of the numbers that a solve reports. */
export const REPORTED_NUMBERS: readonly ControlName[] = CONTROL.flatMap((c) => (c.isReported ? [c.name] : []));

/** Start values of these numbers, given the computed ones. */
export function startOf(
  g: Graph,
  numbers: readonly ControlNumber[],
  computed: Readonly<Partial<Record<ControlName, Value>>>,
): ControlValues {
  const values = numbers.map(({ name, start }): [ControlName, Value] => {
    if (start === null) return [name, computed[name]!];
    return [name, typeof start === "number" ? g.ops.constant(start) : g.sample(start)];
  });
  return Object.fromEntries(values) as ControlValues;
}
