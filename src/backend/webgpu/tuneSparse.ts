// Chooses how sparse products run on the card at hand, by trial.

import type { Csr } from "../../core/csr.ts";
import { BackendError } from "../../core/errors.ts";
import type { WebGpuBackend } from "./backend.ts";
import type { SparseTuning } from "./sparseTuning.ts";

/** What to try, and for how long. */
export interface TuneOptions {
  /** Samples that a product takes at once: those of a training step on this device. */
  readonly lanes: number;
  /**
   * Also tries choices that group sums otherwise: results then differ in their last bits from those of the default choices. Default: false, which
   * leaves every bit as it is.
   */
  readonly regroup?: boolean;
  /** Most milliseconds for all trials. Default: 1,500, or 10,000 with `regroup`. */
  readonly budgetMs?: number;
  /** Stops between trials. */
  readonly signal?: AbortSignal;
}

/** One choice that was tried. */
export interface TuningTrial {
  readonly tuning: SparseTuning;
  /** "spmm": Y = W·X. "spmmGrad": Wᵀ·G and the gradient of W, in one walk. */
  readonly kernel: "spmm" | "spmmGrad";
  /** Microseconds of one product; null: it failed or was wrong. */
  readonly us: number | null;
  /** Why it was dropped; null: it was not. */
  readonly problem: string | null;
}

/** The choices for one card, matrix and number of samples. */
export interface TuningResult {
  readonly tuning: SparseTuning;
  /** In the order in which they were tried; the first of each kernel is the default. */
  readonly trials: readonly TuningTrial[];
  /** Choices that were not tried because time was up. */
  readonly untried: number;
  readonly ms: number;
  /** Why nothing was tried; null: something was. */
  readonly skipped: string | null;
}

/** For tests, and for trying the tuner where nothing can be gained. */
export interface TuningTools {
  /** Tries on a software adapter, and products of any size. */
  readonly force?: boolean;
}

/**
 * Times the two sparse products of a training step with the choices that are worth a trial, and returns the best. A choice other than the
 * default has to be 3 % faster and must give the default's results: to the bit where it keeps the grouping of sums, else within the bound of
 * rounding. Nothing is tried on a software adapter. The backend itself keeps its choices: `backend.retune` changes them.
 */
export async function tuneSparse(
  _backend: WebGpuBackend,
  _csr: Csr,
  _options: TuneOptions,
  _tools: TuningTools = {},
): Promise<TuningResult> {
  throw new BackendError("program", "tuneSparse: not yet");
}
