// The contract of the solver: its options, what a solve is asked for, with checks, and what a caller gets of one under way.

import type { Bindable, DeviceBuffer } from "../backend/backend.ts";
import { lanesOf } from "../backend/layout.ts";
import type { PanelLayout } from "../backend/program.ts";
import type { Abortable } from "../core/abort.ts";
import type { DType } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { Jumps } from "./jumps.ts";
import type { Method } from "./method.ts";
import type { ReverseOptions } from "./programs.ts";
import type { SolveStats } from "./solveStats.ts";
import { checkTimes, Timeline } from "./timeline.ts";

/** How an `OdeSolver` solves, and what can be differentiated. */
export interface SolverOptions extends Method {
  /** null: no gradients will be asked for. */
  readonly reverse: ReverseOptions | null;
  /**
   * Most bytes that the record for the reverse pass may take; default: the device's `Backend.tapeBudgetBytes`. Attempts beyond it, or beyond
   * what the device has, are recomputed, to the same bits; `stats.plan` reports it.
   */
  readonly memoryBudgetBytes?: number;
  /** First step size; "perSample": given with each request; absent: found by the heuristic. Required by the fixed controller. */
  readonly dt0?: number | "perSample";
  /**
   * When a sample fails (maxSteps attempts; a step below dtMin, or too short to move its time; a state that is not finite, or no numbers
   * after it however short the step): "mask" (default) lets the others finish; "stop" ends the solve for all at
   * that attempt, as torchode does. Either way `stats.status` says so; see assertSolved. A solve with a sample that is not finite has
   * no reverse: solve the others again without it.
   */
  readonly onFailure?: "mask" | "stop";
}

/** What is solved: all times are per sample, in the order of the lanes. */
export interface SolveRequest extends Abortable {
  readonly layout: PanelLayout;
  /** Real samples; the lanes after them repeat the last one and do not count. */
  readonly samples: number;
  /** Buffers of the right-hand side's leaves, matrices and tables, by name. */
  readonly inputs: Readonly<Record<string, Bindable>>;
  readonly y0: DeviceBuffer;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** First step size per sample, for a solver made with dt0: "perSample"; the sign is that of the direction. */
  readonly dt0?: readonly number[];
  /**
   * [sample][k]: times at which the right-hand side may jump, in any order (`jump_ts` of diffrax, `d_discontinuities` of
   * DifferentialEquations.jl). Without them a jump costs rejected steps, and a gradient through step-size control is wrong, however
   * tight the tolerance. With them steps end there exactly (and may be 0.1 % longer for it), and the next step starts with the size that
   * was asked for before the cut. The step before a jump time sees only times before it, and the step after it only times after it, so
   * `lt(t, tJump)` and `le(t, tJump)` mean the same; see also `EvaluationTime.jumpsPassed`. Costs one evaluation more per step of
   * methods that reuse their last stage. Times outside of the interval do not count, equal ones count once. A
   * sample whose list is empty gets the bits that it gets alone with an empty list.
   */
  readonly jumpTimes?: readonly (readonly number[])[];
  /**
   * Truncated back-propagation: the reverse pass drops all cotangents, those of step sizes included, at every `window`-th jump time of a
   * sample, counted from the start. The state itself goes on. Default: none is dropped.
   */
  readonly window?: number;
  /** [evaluation point][sample]; points at the start give y0. */
  readonly tEval: readonly (readonly number[])[];
  /** One state per evaluation point, overwritten. */
  readonly ys: readonly DeviceBuffer[];
  /** Keep what `reverse` needs. */
  readonly record: boolean;
}

/**
 * A solve that has been enqueued. On an asynchronous device the host has not waited for it: it has enqueued as many attempts as recent solves
 * needed. Whether they suffice is known once the record has been read.
 */
export interface StartedSolve {
  /**
   * Scalar on the device: 1 when every sample has stopped and the record is fit for the reverse pass, else 0. Guards what is enqueued
   * behind the solve (see Guard).
   */
  readonly complete: DeviceBuffer;
  /** Small buffers whose present contents `poll` needs. */
  record(): readonly DeviceBuffer[];
  /**
   * The outcome of the solve, from the contents of `record`. null: some samples still run and more attempts have been enqueued, or the
   * reverse pass has to mend the record; enqueue again what depends on the solve, read the record again.
   */
  poll(record: readonly ArrayLike<number>[]): Promise<SolveStats | null>;
}

/** The times of a request in the numbers of the device. */
export interface Schedule {
  readonly timeline: Timeline;
  /** null: there are no jump times. */
  readonly jumps: Jumps | null;
}

/** The times of a request. */
type Times = Pick<SolveRequest, "samples" | "tStart" | "tEnd" | "tEval" | "jumpTimes">;

/** @throws as `timelineOf` */
export function scheduleOf(times: Times, dtype: DType, seesTime: boolean): Schedule {
  const timeline = timelineOf(times, dtype, seesTime);
  const { jumpTimes = [] } = times;
  return { timeline, jumps: jumpTimes.length > 0 ? new Jumps(timeline, jumpTimes) : null };
}

/**
 * @param seesTime  the right-hand side depends on absolute time, so the device must tell its values apart
 * @throws {ShapeError | ArgumentError} times that are not finite, in another order or not one per sample
 */
export function timelineOf(
  { samples, tStart, tEnd, tEval, jumpTimes = [] }: Times,
  dtype: DType,
  seesTime: boolean,
): Timeline {
  checkTimes("solve", samples, { tStart, tEnd }, tEval);
  const timeline = new Timeline(dtype, { tStart, tEnd });
  if (seesTime) timeline.checkAbsolute();
  if (jumpTimes.length !== 0 && jumpTimes.length !== samples)
    throw new ShapeError("solve", "jumpTimes", `a list for each of ${samples} samples`, `${jumpTimes.length}`);
  const bad = jumpTimes.findIndex((times) => !times.every(Number.isFinite));
  if (bad >= 0) throw new ArgumentError("solve", "jumpTimes", "finite times", `[${jumpTimes[bad]}] for sample ${bad}`);
  return timeline;
}

/** @throws {ArgumentError | ShapeError} the request does not fit the solver, or itself */
export function checkRequest(request: SolveRequest, { controller, dt0, reverse }: SolverOptions): void {
  const { samples, tEval, ys, layout, dt0: firstSteps, record } = request;
  if (record && !reverse) throw new ArgumentError("solve", "record", "false for a solver without reverse", "true");
  const lanes = lanesOf(layout);
  if (samples < 1 || samples > lanes) throw new ShapeError("solve", "samples", `1 to ${lanes}`, `${samples}`);
  if (controller.type === "replay" && controller.steps.length !== samples)
    throw new ShapeError("solve", "steps", `steps of ${samples} samples to replay`, `${controller.steps.length}`);
  const { window = 1 } = request;
  if (!Number.isInteger(window) || window < 1)
    throw new ArgumentError("solve", "window", "a whole number of jump times, at least 1", `${window}`);
  if (dt0 === "perSample") checkFirstSteps("solve", firstSteps, samples);
  if (ys.length !== tEval.length)
    throw new ShapeError("solve", "ys", `${tEval.length} states, one per evaluation point`, `${ys.length}`);
}

/** One first step size per sample, finite and not 0. */
export function checkFirstSteps(where: string, dt0: readonly number[] = [], samples: number): void {
  if (dt0.length !== samples)
    throw new ShapeError(where, "dt0", `${samples} step sizes, one per sample`, `${dt0.length}`);
  const bad = dt0.findIndex((h) => !(Math.abs(h) > 0 && Number.isFinite(h)));
  if (bad >= 0) throw new ArgumentError(where, "dt0", "finite steps other than 0", `${dt0[bad]} for sample ${bad}`);
}
