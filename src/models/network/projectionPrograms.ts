// The programs of input and output projections, sparse or dense, and their reverses.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../../autodiff/vjp.ts";
import type { Program } from "../../backend/program.ts";
import type { Value } from "../../ops/value.ts";
import { matrixLeaf, type Projection } from "../matrix.ts";

/** An input projection and what it gives, by their leaves. */
export interface ProjectedDrive {
  readonly matrix: string;
  readonly drive: string;
  /** The gradient of the matrix is wanted. */
  readonly trained: boolean;
}

/** drive = U·x for each of some matrices like U; into state number `index` of a table when the input is a sequence. */
export function projectProgram(U: Projection, steps: number, pairs: readonly ProjectedDrive[]): Program {
  const g = new Graph();
  for (const { matrix, drive } of pairs) {
    const value = g.ops.matmul(matrixLeaf(g, matrix, U), g.state("x", U.nCols));
    if (steps === 1) g.store(drive, value);
    else g.scatter(drive, g.table(drive, U.nRows, steps), g.sample("index"), value);
  }
  return lower(g, "project", "forward");
}

/** Cotangents of the drives → gradients of the matrices (if trained) and cotangent of x (if wanted). */
export function unprojectProgram(
  U: Projection,
  steps: number,
  pairs: readonly ProjectedDrive[],
  inputGradient: boolean,
): Program {
  const g = new Graph();
  const terms = pairs.map(({ matrix, drive, trained }) => {
    const leaf = `ct.${drive}`;
    const ct = steps === 1 ? g.state(leaf, U.nRows) : g.ops.lookup(g.table(leaf, U.nRows, steps), g.sample("index"));
    const gradient = { x: g.state("x", U.nCols), binding: `grad.${matrix}` };
    return g.ops.matmulT(matrixLeaf(g, matrix, U), ct, ...(trained ? [gradient] : []));
  });
  if (inputGradient)
    g.store(
      "ct.x",
      terms.reduce((sum, term) => g.ops.add(sum, term)),
    );
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
