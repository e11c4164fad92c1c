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
  /** The same for a step from a state of zeros; null: it would not be cheaper. */
  readonly first: FirstStep | null;
}

/** A step from zeros, which reads no connection: their product with zeros is zero. Its reverse needs no records and leaves no cotangent of h. */
export interface FirstStep {
  readonly step: Program;
  readonly reverse: Program;
}

/**
 * Programs of one step `next = f(h, …)`.
 * @param step  adds f to a graph of `rows` neurons, as a function of `h`
 */
export function stepPrograms(step: (g: Graph, h: Value) => Value, rows: number, wrt: readonly string[]): StepPrograms {
  const g = new Graph();
  const next = step(g, g.state("h", rows));
  g.store("next", next);
  const plain = lower(g, "step", "forward");
  const ofH: GradTarget = { binding: "ct.h", accumulate: false };
  const targets = new Map([["h", ofH], ...gradientsOf(wrt)]);
  const reverse = reverseGraph(g, new Map([[next, "ct.next"]]), targets);
  for (const [name, v] of reverse.saves) g.store(name, v);
  return {
    step: plain,
    recorded: lower(g, "step.recorded", "forward"),
    reverse: lower(reverse.graph, "step.reverse", "reverse"),
    saves: reverse.saves,
    first: firstStep(step, rows, wrt),
  };
}

function firstStep(step: (g: Graph, h: Value) => Value, rows: number, wrt: readonly string[]): FirstStep | null {
  const g = new Graph();
  const next = step(g, g.ops.broadcast(g.ops.constant(0), { kind: "state", rows }));
  g.store("next", next);
  const reverse = reverseGraph(g, new Map([[next, "ct.next"]]), new Map(gradientsOf(wrt)));
  const first = {
    step: lower(g, "step.first", "forward"),
    reverse: lower(reverse.graph, "step.first.reverse", "reverse"),
  };
  const readsMatrix = Object.values(first).some(({ bindings }) => bindings.some(({ kind }) => kind === "sparse"));
  return readsMatrix || reverse.saves.size > 0 ? null : first;
}

function gradientsOf(wrt: readonly string[]): [string, GradTarget][] {
  return wrt.map((leaf) => [leaf, { binding: `grad.${leaf}`, accumulate: true }]);
}
