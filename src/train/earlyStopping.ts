// Early stopping: whether a metric has stopped improving. It decides only; its caller evaluates and ends the training.

import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";

/** When to stop. */
export interface EarlyStoppingOptions {
  /** Stop after this many evaluations in a row without an improvement; at least 1. */
  readonly patience: number;
  /** Which values of the metric are better. */
  readonly better: "higher" | "lower";
  /** An improvement is better by more than this; default 0. */
  readonly minDelta?: number;
}

/** What it has seen: plain JSON, to be saved and restored. */
export interface EarlyStoppingState {
  /** The best value, and the step of its evaluation; null: no evaluation was a number. */
  readonly best: { readonly value: number; readonly step: number } | null;
  /** Evaluations in a row without an improvement. */
  readonly waited: number;
}

const OPTIONS: Readonly<Record<keyof EarlyStoppingOptions, true>> = { patience: true, better: true, minDelta: true };

/**
 * Watches one metric. A value that is no number (nothing could be evaluated) is no improvement.
 *
 *     const stopping = new EarlyStopping({ patience: 5, better: "lower" });
 *     if (stopping.isOver(step, loss)) break;
 */
export class EarlyStopping {
  readonly #options: Required<EarlyStoppingOptions>;
  #state: EarlyStoppingState = { best: null, waited: 0 };

  /** @throws {ArgumentError} an option out of range */
  constructor(options: EarlyStoppingOptions) {
    const where = "EarlyStopping";
    checkNames(where, options, OPTIONS);
    const { patience, better, minDelta = 0 } = options;
    if (!Number.isInteger(patience) || patience < 1)
      throw new ArgumentError(where, "patience", "a whole number of at least 1", `${patience}`);
    if (better !== "higher" && better !== "lower")
      throw new ArgumentError(where, "better", '"higher" or "lower"', `${better}`);
    if (!(minDelta >= 0 && Number.isFinite(minDelta)))
      throw new ArgumentError(where, "minDelta", "a finite number, 0 or above", `${minDelta}`);
    this.#options = { patience, better, minDelta };
  }

  get state(): EarlyStoppingState {
    return this.#state;
  }

  /** Whether patience is at its end. */
  get isExhausted(): boolean {
    return this.#state.waited >= this.#options.patience;
  }

  /** Takes the value of the metric after `step`. @returns whether patience is at its end */
  isOver(step: number, value: number): boolean {
    const { best, waited } = this.#state;
    this.#state = this.#improves(value, best?.value ?? null)
      ? { best: { value, step }, waited: 0 }
      : { best, waited: waited + 1 };
    return this.isExhausted;
  }

  #improves(value: number, best: number | null): boolean {
    if (Number.isNaN(value)) return false;
    if (best === null) return true;
    const { better, minDelta } = this.#options;
    return better === "higher" ? value > best + minDelta : value < best - minDelta;
  }

  /** @throws {ArgumentError} no state of early stopping */
  restore({ best, waited }: EarlyStoppingState): void {
    const where = "EarlyStopping";
    if (!Number.isSafeInteger(waited) || waited < 0)
      throw new ArgumentError(where, "waited", "a whole number of at least 0", `${waited}`);
    if (
      best !== null &&
      (typeof best?.value !== "number" || Number.isNaN(best.value) || !Number.isSafeInteger(best.step))
    )
      throw new ArgumentError(where, "best", "a value and a step, or null", JSON.stringify(best ?? null));
    this.#state = { best: best && { ...best }, waited };
  }
}
