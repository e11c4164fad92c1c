// The outcome of a solve, per sample, and the error for samples that did not reach their end.

import { SolverError } from "../core/errors.ts";
import { type ControlName, STATUS } from "./control.ts";
import type { TapePlan } from "./tape.ts";
import type { Timeline } from "./timeline.ts";

/** "stopped": did not fail, but another sample did, where that ends the solve for all. */
export type SolveStatus = "success" | "dtMin" | "maxSteps" | "nonFinite" | "stopped";

/** What a solve did and came to, per sample. */
export interface SolveStats {
  /** "discrete": steps from state to state, which are counted like accepted attempts of size 1; nothing was solved. */
  readonly time: "continuous" | "discrete";
  /** Attempts and accepted attempts per sample. */
  readonly nSteps: number[];
  readonly nAccepted: number[];
  /** [sample][accepted step]: signed step sizes; null where attempts run ahead of the host (a GPU). */
  readonly steps: readonly (readonly number[])[] | null;
  /** Evaluations of the right-hand side, counted for the whole batch. */
  readonly nFEvals: number;
  readonly status: SolveStatus[];
  /** Time (absolute, in double precision) and step size at which each sample stands: its end, or where it failed. */
  readonly t: number[];
  readonly dt: number[];
  /** null: nothing was recorded, or the batch was solved in several parts. */
  readonly plan: TapePlan | null;
  /** In discrete time the connections of the network, and how many of them each step read; null in continuous time. */
  readonly connections: { readonly all: number; readonly read: readonly number[] } | null;
}

/** What a solve reports of its samples: numbers of the control state by name. */
export type Reported = Readonly<Partial<Record<ControlName, readonly number[]>>>;

/** Statistics from the numbers on the device, and what the host knows. */
export function statsFrom(
  { nSteps = [], nAccepted = [], status = [], running = [], t = [], dt = [] }: Reported,
  timeline: Timeline,
  host: Pick<SolveStats, "steps" | "nFEvals" | "plan">,
): SolveStats {
  return {
    time: "continuous",
    nSteps: [...nSteps],
    nAccepted: [...nAccepted],
    status: status.map((code, s) => (running[s]! > 0 ? "stopped" : statusName(code))),
    t: t.map((time, s) => timeline.absolute(time, s)),
    dt: [...dt],
    connections: null,
    ...host,
  };
}

/** Statistics of a batch that was solved in parts. Evaluations of the right-hand side are those of the part with most. */
export function joinedStats(parts: readonly SolveStats[]): SolveStats {
  if (parts.length === 1) return parts[0]!;
  const isKnown = parts.every(({ steps }) => steps !== null);
  return {
    time: parts[0]!.time,
    nSteps: parts.flatMap((p) => p.nSteps),
    nAccepted: parts.flatMap((p) => p.nAccepted),
    steps: isKnown ? parts.flatMap(({ steps }) => steps!) : null,
    nFEvals: Math.max(...parts.map((p) => p.nFEvals)),
    status: parts.flatMap((p) => p.status),
    t: parts.flatMap((p) => p.t),
    dt: parts.flatMap((p) => p.dt),
    plan: null,
    connections: parts[0]!.connections,
  };
}

/** The outcome of a sample that runs no more, from its number on the device. */
function statusName(code: number): SolveStatus {
  if (code === STATUS.ok) return "success";
  if (code === STATUS.dtMin) return "dtMin";
  return code === STATUS.maxSteps ? "maxSteps" : "nonFinite";
}

/** The samples of a batch, solved in one or several parts, that did not reach their end. */
export function failedSamples(parts: readonly Pick<SolveStats, "status">[]): number[] {
  return parts.flatMap(({ status }) => status).flatMap((status, sample) => (status === "success" ? [] : [sample]));
}

/** Throws for the first sample that did not reach its end: which (counted from `firstSample`), where, and what to try. */
export function assertSolved(stats: SolveStats, firstSample = 0): void {
  const failed = failedSamples([stats]);
  if (failed.length === 0) return;
  const index = failed.find((s) => stats.status[s] !== "stopped") ?? failed[0]!;
  const sample = firstSample + index;
  const status = stats.status[index]!;
  const t = stats.t[index]!;
  const dt = stats.dt[index]!;
  throw new SolverError(
    status,
    `solve: sample ${sample} stopped at t = ${t} with step ${dt} after ${stats.nSteps[index]} attempts (${status}${
      status === "maxSteps" ? ` = ${stats.nSteps[index]}` : ""
    }); ${ADVICE[status]}`,
    { sample, t, dt, status, nSteps: stats.nSteps[index] },
  );
}

const ADVICE: Readonly<Record<SolveStatus, string>> = {
  success: "",
  stopped: "see the sample that failed",
  dtMin:
    "lower dtMin, loosen rtol/atol, or check whether the right-hand side jumps there (its jump times can be given: jumpTimes)",
  maxSteps:
    "raise maxSteps, loosen rtol/atol, or check whether the weights make the system stiff (large gain, small tau)",
  nonFinite:
    "the right-hand side or the state is not finite, however short the step: check the weights, the input and the initial state, or reduce the gain",
};
