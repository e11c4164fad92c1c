// The programs of input and output projections, sparse or dense, and their reverses.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../autodiff/vjp.ts";
import type { Program } from "../backend/program.ts";
import type { Value } from "../ops/value.ts";
import { matrixLeaf, type Projection } from "./matrix.ts";

/** drive = U·x; into state number `index` of a table when the input is a sequence. */
export function projectProgram(U: Projection, steps: number): Program {
  const g = new Graph();
  const drive = g.ops.matmul(matrixLeaf(g, "ih", U), g.state("x", U.nCols));
  if (steps === 1) g.store("drive", drive);
  else g.scatter("drive", g.table("drive", U.nRows, steps), g.sample("index"), drive);
  return lower(g, "project", "forward");
}

/** Cotangent of the drive → gradient of U (if trained) and cotangent of x (if wanted). */
export function unprojectProgram(U: Projection, steps: number, trained: boolean, inputGradient: boolean): Program {
  const g = new Graph();
  const ct =
    steps === 1 ? g.state("ct.drive", U.nRows) : g.ops.lookup(g.table("ct.drive", U.nRows, steps), g.sample("index"));
  const ih = matrixLeaf(g, "ih", U);
  const ctX = trained ? g.ops.matmulT(ih, ct, { x: g.state("x", U.nCols), binding: "grad.ih" }) : g.ops.matmulT(ih, ct);
  if (inputGradient) g.store("ct.x", ctX);
  return lower(g, "project.reverse", "reverse");
}

/** out = H·h + b as a function of the state leaf `h`, or h itself. Leaves: `ho`, `ho.bias`. */
export function outputValue(g: Graph, H: Projection | null, numNeurons: number, bias: boolean): Value {
  const h = g.state("h", numNeurons);
  if (!H) return h;
  const out = g.ops.matmul(matrixLeaf(g, "ho", H), h);
  return bias ? g.ops.add(out, g.row("ho.bias", H.nRows)) : out;
}

export function outputProgram(output: (g: Graph) => Value): Program {
  const g = new Graph();
  g.store("out", output(g));
  return lower(g, "output", "forward");
}

/** Cotangent `ct.out` → cotangent `ct.h` of the state and gradients of the named leaves. */
export function outputReverseProgram(output: (g: Graph) => Value, trainedLeaves: readonly string[]): Program {
  const g = new Graph();
  const out = output(g);
  const wrt = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
  for (const leaf of trainedLeaves) wrt.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
  return lower(reverseGraph(g, new Map([[out, "ct.out"]]), wrt).graph, "output.reverse", "reverse");
}
