// The programs of an optimiser's step: one fused pass over each parameter, and the norm that clipping takes.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import type { Program } from "../../backend/program.ts";
import type { Value } from "../../ops/value.ts";
import type { Rule } from "./rule.ts";

/** Limits applied to the gradients before the step. */
export interface ClipOptions {
  /** All gradients are scaled by min(1, clipNorm/(‖g‖ + 1e-6)), ‖g‖ the 2-norm over all parameters (torch.nn.utils.clip_grad_norm_). */
  readonly clipNorm?: number;
  /** Every component is limited to [−clipValue, clipValue], after clipNorm. */
  readonly clipValue?: number;
}

/** Keeps a total gradient norm from being divided by zero; the constant of clip_grad_norm_. */
const CLIP_EPS = 1e-6;

/** Elements that are updated alike: λ of each class, and whether it is frozen. Several classes are told apart by the index `class`. */
export type UpdateClasses = readonly { readonly weightDecay: number; readonly frozen: boolean }[];

/** A value of each class, for each element. */
function ofClass(g: Graph, name: string, { length }: UpdateClasses, size: number): Value {
  return g.gather(g.row(name, length), "class", size);
}

/** 1 for elements that are updated, 0 for those that are frozen; null: all are. */
function updatedOf(g: Graph, classes: UpdateClasses, size: number): Value | null {
  return classes.some(({ frozen }) => frozen) ? ofClass(g, "updated", classes, size) : null;
}

/** Clips the gradient of `size` numbers and updates them; those of frozen classes keep their bits, and so do their moments. */
export function stepProgram(rule: Rule, size: number, classes: UpdateClasses, clip: ClipOptions): Program {
  const g = new Graph();
  const { ops } = g;
  let gradient = g.row("g", size);
  if (clip.clipNorm !== undefined) gradient = ops.mul(gradient, g.scalar("clip.scale"));
  if (clip.clipValue !== undefined) gradient = ops.max(-clip.clipValue, ops.min(gradient, clip.clipValue));
  const moments = rule.moments.map((name) => g.row(name, size));
  const p = g.row("p", size);
  const scalars = rule.scalars.map((name) => (classes.length === 1 ? g.scalar(name) : ofClass(g, name, classes, size)));
  const decays = new Set(classes.map((own) => own.weightDecay));
  const weightDecay = decays.size === 1 ? classes[0]!.weightDecay : ofClass(g, "decay", classes, size);
  const next = rule.update(ops, { p, g: gradient, moments, scalars, weightDecay });
  const updated = updatedOf(g, classes, size);
  const store = (name: string, value: Value, before: Value): void =>
    g.store(name, updated ? ops.select(updated, value, before) : value);
  rule.moments.forEach((name, i) => {
    store(name, next.moments[i]!, moments[i]!);
  });
  store("p", next.p, p);
  return lower(g, rule.name.toLowerCase(), "optimiser");
}

/** Adds the squares of a gradient to their sum, without those of frozen classes. */
export function squaresProgram(size: number, classes: UpdateClasses): Program {
  const g = new Graph();
  const updated = updatedOf(g, classes, size);
  const given = g.row("g", size);
  const gradient = updated ? g.ops.select(updated, given, 0) : given;
  g.store("squares", g.ops.reduceRows(g.ops.mul(gradient, gradient)), { accumulate: true });
  return lower(g, "gradient.squares", "optimiser");
}

/** Makes the scale of clipNorm from the squares of all gradients. */
export function clipScaleProgram(clipNorm: number): Program {
  const g = new Graph();
  const { ops } = g;
  const norm = ops.sqrt(g.scalar("squares"));
  g.store("scale", ops.min(1, ops.div(clipNorm, ops.add(norm, CLIP_EPS))));
  return lower(g, "gradient.scale", "optimiser");
}
