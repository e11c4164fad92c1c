// Tasks: what is asked of a network and how it is judged. A loss and its metrics are small graphs; gradients and both devices follow.

import type { Graph } from "../../autodiff/graph.ts";
import type { Csr } from "../../core/csr.ts";
import type { TargetShape } from "../../core/targets.ts";
import type { Value } from "../../ops/value.ts";

/**
 * How outputs name a class:
 *
 * - "largest": the row of the largest output, the first of equal ones;
 * - "exceeded": the number of outputs above 0, for cumulative logits: output k is above 0 where the class is above k.
 */
export type Prediction = "largest" | "exceeded";

/** Outputs and targets of each sample at one output time, as values of a graph. */
export interface Judged {
  /** [outputs × lanes], of the read-out. */
  readonly outputs: Value;
  /** A class per sample [1 × lanes], or numbers [width × lanes]. */
  readonly target: Value;
  /** `Task.centre`: a row near the mean of each number, or 0. Sums of squares are taken about it, so that they keep their digits. */
  readonly centre: Value;
  readonly prediction: Prediction;
}

/**
 * A loss per target. The loss of a batch is its weighted mean, Σ w·l / Σ w over samples, times and outputs.
 */
export interface Loss {
  readonly name: string;
  /** The targets that it is for. */
  readonly target: "class" | "numbers";
  /** Rows of the read-out for a target of this shape. @throws {ArgumentError} the options of the loss do not suit it */
  outputs(shape: TargetShape): number;
  /** The loss of each sample [1 × lanes], or of each of its numbers [width × lanes]. */
  graph(g: Graph, judged: Judged): Value;
  /** Fixed numbers that the graph reads, as rows of these names. */
  readonly rows?: Readonly<Record<string, ArrayLike<number>>>;
  /** Fixed sparse matrices that the graph reads, by these names. */
  matrices?(shape: TargetShape): Readonly<Record<string, Csr>>;
  /** Factor on the weight of a target, such as the weight of its class; default 1. Computed on the host. */
  weightOf?(target: number): number;
  /** Why a target cannot be asked for (it is not 0 or 1, not a count, …), in words; null: it can. Checked on the host. */
  refuses?(target: number): string | null;
  /** Of its values, such as "nats"; absent: none. */
  readonly unit?: string;
  /** Loss without knowledge of the inputs (ln classes), for axes and findings; null: unknown. */
  chance?(shape: TargetShape): number | null;
  /** Default "largest". */
  readonly prediction?: Prediction;
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
   * What is summed: values of each sample [1 × lanes] or of each number [width × lanes]; for a class, of any number of rows. They are
   * multiplied by the weights of the targets and summed over samples and times, per row.
   */
  sums(g: Graph, judged: Judged, shape: TargetShape): Readonly<Record<string, Value>>;
  /** Fixed sparse matrices that the graph of `sums` reads, by these names. Those of the loss with the same name are the same. */
  matrices?(shape: TargetShape): Readonly<Record<string, Csr>>;
  /**
   * The metric from its sums, one value per row of `sums`, and the sums of the weights. NaN: the sums do not determine it.
   * Of several outputs it is one number over all of them; of the sums of a single output, that of this one alone (see `perOutput`).
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
  /**
   * A number near the mean of each of the target's `width` numbers, from the data; default 0. It changes nothing but rounding: without,
   * variances of numbers far from 0 lose their digits in single precision.
   */
  readonly centre?: ArrayLike<number>;
}
