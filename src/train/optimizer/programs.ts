// The programs of an optimiser's step: one fused pass over each parameter, and the norm that clipping takes.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import type { Program } from "../../backend/program.ts";
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

/** Clips the gradient of `size` numbers and updates them. */
export function stepProgram(rule: Rule, size: number, weightDecay: number, clip: ClipOptions): Program {
  const g = new Graph();
  const { ops } = g;
  let gradient = g.row("g", size);
  if (clip.clipNorm !== undefined) gradient = ops.mul(gradient, g.scalar("clip.scale"));
  if (clip.clipValue !== undefined) gradient = ops.max(-clip.clipValue, ops.min(gradient, clip.clipValue));
  const moments = rule.moments.map((name) => g.row(name, size));
  const scalars = rule.scalars.map((name) => g.scalar(name));
  const next = rule.update(ops, { p: g.row("p", size), g: gradient, moments, scalars, weightDecay });
  rule.moments.forEach((name, i) => {
    g.store(name, next.moments[i]!);
  });
  g.store("p", next.p);
  return lower(g, rule.name.toLowerCase(), "optimiser");
}

/** Adds the squares of a gradient to their sum. */
export function squaresProgram(size: number): Program {
  const g = new Graph();
  const gradient = g.row("g", size);
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
