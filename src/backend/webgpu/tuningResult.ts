// What is asked of the tuner and what it answers: the part of the public interface, which needs no types of WebGPU.

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
  /**
   * Most milliseconds for all trials, once the matrix is on the device. The first ones go to raising the card's clock: 1,000, or two thirds of
   * a smaller budget. Default: 1,500, or 10,000 with `regroup`.
   */
  readonly budgetMs?: number;
  /** Stops between trials. */
  readonly signal?: AbortSignal;
}

/** One choice that was tried. */
export interface TuningTrial {
  readonly tuning: SparseTuning;
  /** "spmm": Y = W·X. "spmmGrad": Wᵀ·G and the gradient of W, in one walk. */
  readonly kernel: "spmm" | "spmmGrad";
  /** Microseconds of one product, the least of several passes; null: it failed or was wrong. */
  readonly us: number | null;
  /** Why it was dropped; null: it was not. */
  readonly problem: string | null;
}

/** The choices for one card, matrix and number of samples. */
export interface TuningResult {
  readonly tuning: SparseTuning;
  /** In the order in which they were tried; the first of each kernel is the default. */
  readonly trials: readonly TuningTrial[];
  /** Choices that were not tried because time was up, or memory was lacking. */
  readonly untried: number;
  readonly ms: number;
  /** Why nothing was tried; null: something was. */
  readonly skipped: string | null;
}
