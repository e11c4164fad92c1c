// Tasks: what is asked of a network and how it is judged. A loss and its metrics are small graphs; gradients and both devices follow.

import type { Graph } from "../../autodiff/graph.ts";
import type { TargetShape } from "../../core/targets.ts";
import type { Value } from "../../ops/value.ts";

/** Outputs and targets of one sample at one output time, as values of a graph. */
export interface Judged {
  /** [outputs × lanes], of the read-out. */
  readonly outputs: Value;
  /** A class per sample [1 × lanes], or numbers [width × lanes]. */
  readonly target: Value;
}

/**
 * A loss per target. The loss of a batch is its weighted mean, Σ w·l / Σ w over samples, times and outputs.
 */
export interface Loss {
  readonly name: string;
  readonly target: "class" | "numbers";
  /** Rows of the read-out for a target of this shape. @throws {ArgumentError} the loss does not suit such targets */
  outputs(shape: TargetShape): number;
  /** The loss of each sample [1 × lanes], or of each of its numbers [width × lanes]. */
  graph(g: Graph, judged: Judged): Value;
  /** Factor on the weight of a target, such as the weight of its class; default 1. Computed on the host. */
  weightOf?(target: number): number;
  /** Whether a target may be asked for (0 or 1, a count, …), in words; null: it may. Checked on the host before the first step. */
  refuses?(target: number): string | null;
  /** Of its values, such as "nats"; absent: none. */
  readonly unit?: string;
  /** Loss without knowledge of the inputs (ln classes), for axes and findings; null: unknown. */
  chance?(shape: TargetShape): number | null;
  /** Metrics that go with it where the user names none; the first one decides which checkpoint is best. */
  readonly metrics: readonly string[];
}

/** A metric: a function of sums over all targets. */
export interface Metric {
  /** As it is written to files: "accuracy", "r2". */
  readonly name: string;
  readonly target: "class" | "numbers" | "any";
  readonly better: "higher" | "lower";
  /** "share": from 0 to 1, shown in percent. */
  readonly format: "share" | "number";
  /** Range of possible values, for checks and axes; null: open. */
  readonly range: readonly [least: number | null, most: number | null];
  /**
   * What is summed: values of each sample [1 × lanes] or of each number [width × lanes]. They are multiplied by the weights of the targets
   * and summed over samples and times, per number.
   */
  sums(g: Graph, judged: Judged): Readonly<Record<string, Value>>;
  /**
   * The metric from its sums, one value per row of `sums`, and the sums of the weights.
   * Of several outputs it is one number over all of them; with `one`, the sums are those of a single output.
   */
  value(sums: Readonly<Record<string, ArrayLike<number>>>, weights: ArrayLike<number>): number;
  /** Value without knowledge (1/classes, the constant prediction), for axes and findings; null: unknown. */
  chance?(shape: TargetShape): number | null;
}

/** How a network is judged: one loss, and metrics. */
export interface Task {
  readonly loss: Loss;
  readonly metrics: readonly Metric[];
  readonly target: TargetShape;
}
