// The evolution of a network's state: an ODE that is solved, or steps in discrete time. A network gets one and depends on neither.

import type { DeviceBuffer } from "../../backend/backend.ts";
import type { StartedSolve } from "../../ode/request.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import type { EvaluationSchedule } from "../evaluationTimes.ts";
import type { ModelInput } from "../options.ts";
import type { ChunkBuffers } from "./chunks.ts";

/** The purpose of a run: states alone; or a loss, or its gradients (recorded for the reverse pass), which need every sample or its mask. */
export type RunPurpose = "states" | "loss" | "gradients";

/** Initial state and output times of a run. */
export interface RunShape {
  /** [batch, numNeurons], made when it is needed; null: zeros. */
  readonly h0: () => ArrayLike<number> | null;
  /** Number of output times. */
  readonly times: number;
  /** The times themselves; null: those after each step of a network in discrete time. */
  readonly schedule: EvaluationSchedule | null;
}

/** How the states of a network evolve in one run. `E`: how a run is evaluated (times, initial state). */
export interface Evolution<E> {
  /** Whether a sample with numbers that are not finite is an error, rather than a sample that fails. */
  readonly refusesNonFinite: boolean;
  /** Output times of a run and its initial state. @throws {ArgumentError | ShapeError} naming the option of the evaluation */
  shapeOf(input: ModelInput, evaluation: E): RunShape;
  /**
   * Enqueues the evolution of a chunk of `count` samples from `y0` under `drive` into `hs`. For gradients, `reverse` will follow.
   * @returns the solve; null where there is none, and the states are complete
   */
  evolve(chunk: ChunkBuffers, count: number, evaluation: E, purpose: RunPurpose): Promise<StartedSolve | null>;
  /** @throws {SolverError} samples did not reach their end, and must; they are counted from `first` */
  checkSolved(stats: SolveStats, first: number, purpose: RunPurpose): void;
  /**
   * Cotangents of `hs` → cotangent of `y0` (stored in `ctY0`) and of the leaves of the dynamics.
   * @param grads  buffers to add to, by leaf
   */
  reverse(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
  ): void;
  release(): void;
}
