// The programs of one step in discrete time, and its reverse.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../../autodiff/vjp.ts";
import type { Program } from "../../backend/program.ts";
import type { Value } from "../../ops/value.ts";

/** Programs of one step. */
export interface StepPrograms {
  readonly step: Program;
  readonly recorded: Program;
  readonly reverse: Program;
  /** What a recorded step keeps for its reverse. */
  readonly saves: ReadonlyMap<string, Value>;
}

/** Programs of one step `next = f(h, …)` with the state leaf `h`. */
export function stepPrograms(step: (g: Graph) => Value, wrt: readonly string[]): StepPrograms {
  const g = new Graph();
  const next = step(g);
  g.store("next", next);
  const plain = lower(g, "step", "forward");
  const targets = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
  for (const leaf of wrt) targets.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
  const reverse = reverseGraph(g, new Map([[next, "ct.next"]]), targets);
  for (const [name, v] of reverse.saves) g.store(name, v);
  return {
    step: plain,
    recorded: lower(g, "step.recorded", "forward"),
    reverse: lower(reverse.graph, "step.reverse", "reverse"),
    saves: reverse.saves,
  };
}
