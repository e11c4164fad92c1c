// Pointwise programs and reductions, of the sizes in a training step.

import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Value } from "../../src/ops/value.ts";
import { uniformArray } from "../arrays.ts";
import type { Network } from "../networks.ts";
import type { BenchCase } from "./case.ts";
import { programCase } from "./programCase.ts";

/** The end of a right-hand side: (relu(sigmoid(z + b)) − h)/τ. */
export function epilogueCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const n = csr.nRows;
  const { ops } = graph;
  const rate = ops.relu(ops.sigmoid(ops.add(graph.state("z", n), graph.row("bias", n))));
  graph.store("slope", ops.div(ops.sub(rate, graph.state("h", n)), graph.row("tau", n)));
  return programCase({
    op: "pointwise.rate",
    batch,
    program: lower(graph, "rate"),
    inputs: {
      z: uniformArray(n * batch, "z", -8, 8),
      h: uniformArray(n * batch, "h", 0, 1),
      bias: uniformArray(n, "bias"),
      tau: uniformArray(n, "tau", 1, 4),
    },
    // In units u of rounding: sum ≤ 9u, through a slope ≤ 1/4: 2.25u; sigmoid 8u; difference and quotient 1u each.
    outputs: { slope: { kind: "ulps", ulps: 8, absoluteBelow: 1 } },
  });
}

const STAGES = 6;

/** A Runge-Kutta stage: y + dt·(a₁k₁ + … + a₆k₆). */
export function stageCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const n = csr.nRows;
  const { ops } = graph;
  const names = Array.from({ length: STAGES }, (_, i) => `k${i + 1}`);
  const terms = names.map((name, i): Value => ops.mul(0.1 + i / 8, graph.state(name, n)));
  const slope = terms.reduce((sum, term) => ops.add(sum, term));
  graph.store("next", ops.add(graph.state("y", n), ops.mul(graph.sample("dt"), slope)));
  return programCase({
    op: "pointwise.stage",
    batch,
    program: lower(graph, "stage"),
    inputs: {
      ...Object.fromEntries(names.map((name) => [name, uniformArray(n * batch, name)])),
      y: uniformArray(n * batch, "y"),
      dt: uniformArray(batch, "dt", 0, 1),
    },
    // One rounding of the constant, then one per operation.
    outputs: { next: { kind: "sum", terms: 3 + STAGES + 1 } },
  });
}

/** Σ v² over the neurons of each sample: the error norm of a step. */
export function reduceRowsCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const { ops } = graph;
  const v = graph.state("v", csr.nRows);
  graph.store("norm", ops.reduceRows(ops.mul(v, v)));
  return programCase({
    op: "reduceRows",
    batch,
    program: lower(graph, "reduceRows"),
    inputs: { v: uniformArray(csr.nRows * batch, "v") },
    outputs: { norm: { kind: "sum", terms: csr.nRows + 1 } },
  });
}

/** Σ v over the samples of each neuron: the gradient of a bias. */
export function reduceLanesCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  graph.store("sum", graph.ops.reduceLanes(graph.state("v", csr.nRows)), { accumulate: true });
  return programCase({
    op: "reduceLanes",
    batch,
    program: lower(graph, "reduceLanes"),
    inputs: { v: uniformArray(csr.nRows * batch, "v") },
    outputs: { sum: { kind: "sum", terms: 2 * Math.ceil(batch / 16) * 16 } },
  });
}
