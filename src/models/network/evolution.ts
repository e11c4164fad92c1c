// The evolution of a network's state: an ODE that is solved, or steps in discrete time. A network gets one and depends on neither.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { StartedSolve } from "../../ode/request.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import type { EvaluationSchedule } from "../evaluationTimes.ts";
import type { ModelInput } from "../options.ts";
import type { ChunkBuffers } from "./chunks.ts";

/** The purpose of a run: states alone; or a loss, or its gradients (recorded for the reverse pass), which need every sample or its mask. */
export type RunPurpose = "states" | "loss" | "gradients";

/** Where a run starts from, and its output times. */
export interface RunShape<E> {
  /** [batch, numNeurons], made when it is needed; null: zeros, or `rest`. */
  readonly h0: () => ArrayLike<number> | null;
  /** The run of one sample whose last state is the initial state of all samples; null: `h0` says. */
  readonly rest: { readonly input: ModelInput; readonly evaluation: E } | null;
  /** Output times, in double precision; in discrete time numbers of steps done. */
  readonly ts: Float64Array;
  /** In continuous time, when the solve starts and ends. */
  readonly schedule: EvaluationSchedule | null;
}

/** How the states of a network evolve in one run. `E`: how a run is evaluated (times, initial state). */
export interface Evolution<E> {
  /** Whether a sample with numbers that are not finite is an error, rather than a sample that fails. */
  readonly refusesNonFinite: boolean;
  /** Whether the drive of all frames of a sequence must be there at once, since samples stand at different ones. */
  readonly readsAnyFrame: boolean;
  /** Output times of a run and its initial state. @throws {ArgumentError | ShapeError} naming the option of the evaluation */
  shapeOf(input: ModelInput, evaluation: E): RunShape<E>;
  /**
   * Enqueues the evolution of a chunk of `count` samples from `y0` under its input into `hs`, where there is one. For gradients, `reverse`
   * will follow.
   */
  evolve(chunk: ChunkBuffers, count: number, evaluation: E, purpose: RunPurpose): Promise<StartedSolve>;
  /** @throws {SolverError} samples did not reach their end, and must; they are counted from `first` */
  checkSolved(stats: SolveStats, first: number, purpose: RunPurpose): void;
  /**
   * Cotangents of `hs` → cotangents of `y0` (stored in `ctY0`, unless outputs alone are read) and of the input, and gradients of the leaves of the dynamics.
   * @param ctHs   null or missing: zero
   * @param grads  buffers to add to, by leaf
   */
  reverse(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null | undefined)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
  ): void;
  release(): void;
}
