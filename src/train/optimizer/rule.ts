// The formula of an optimiser, as data: what it keeps of the past, which numbers change from step to step, and one step as a graph.

import { ArgumentError } from "../../core/errors.ts";
import type { Value } from "../../ops/value.ts";
import type { Ops } from "../../ops/vocabulary.ts";

/** What a step reads of one parameter. */
export interface StepInputs {
  readonly p: Value;
  /** The gradient, after clipping. */
  readonly g: Value;
  /** In the order of the rule. */
  readonly moments: readonly Value[];
  /** In the order of the rule. */
  readonly scalars: readonly Value[];
  /** λ, which is fixed: one number, or one per element. */
  readonly weightDecay: Value | number;
}

/** One formula: which moments it keeps, which numbers change from step to step, and the update. */
export interface Rule {
  readonly name: string;
  readonly moments: readonly string[];
  readonly scalars: readonly string[];
  /** λ of parameters without one in their group. */
  readonly weightDecay: number;
  /** Values of the scalars at step k = 1, 2, … for the learning rate `lr`. */
  readonly at: (k: number, lr: number, weightDecay: number) => readonly number[];
  /** New parameter and new moments. */
  readonly update: (ops: Ops, inputs: StepInputs) => { readonly p: Value; readonly moments: readonly Value[] };
}

/** Moments that are means of squares, of whatever optimiser. */
const MEANS_OF_SQUARES: readonly string[] = ["exp_avg_sq", "square_avg"];

/** Whether a moment, by its name `<moment>.<parameter>`, cannot be below 0. */
export function isMeanOfSquares(moment: string): boolean {
  return MEANS_OF_SQUARES.includes(moment.slice(0, moment.indexOf(".")));
}

/** d = g + λp: weight decay as the gradient of ½λ‖p‖². */
export function decayed(ops: Ops, { p, g, weightDecay }: StepInputs): Value {
  return isDecaying(weightDecay) ? ops.add(g, ops.mul(weightDecay, p)) : g;
}

/** Whether any element decays. */
export function isDecaying(weightDecay: StepInputs["weightDecay"]): boolean {
  return typeof weightDecay !== "number" || weightDecay > 0;
}

export function positive(where: string, name: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value)))
    throw new ArgumentError(where, name, "a finite number above 0", `${value}`);
}

export function notNegative(where: string, name: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value)))
    throw new ArgumentError(where, name, "a finite number, 0 or above", `${value}`);
}
