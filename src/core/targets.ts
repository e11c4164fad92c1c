// The shape of the targets of a task: shared by data sets, which have targets, and models, which are judged by them.

/** What is asked of a sample: a class or numbers, once or at every output time. */
export interface TargetShape {
  /** "class": one whole number from 0 to `classes` − 1; "numbers": `width` numbers. */
  readonly kind: "class" | "numbers";
  /** Numbers per output time; 1 for a class. */
  readonly width: number;
  /** Number of classes; null for numbers. */
  readonly classes: number | null;
  /** Output times with a target of their own; null: one target per sample. */
  readonly times: number | null;
}
