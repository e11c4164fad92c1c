// One right-hand side of the rate model: the product with the connectome, fused with the pointwise work before and after it.

import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { rateDynamics } from "../../src/models/rateDynamics.ts";
import { gamma } from "../../test/support/close.ts";
import { longestRow } from "../../test/support/matrices.ts";
import { uniformArray } from "../arrays.ts";
import { type Network, rowSums } from "../networks.ts";
import type { BenchCase } from "./case.ts";
import { programCase } from "./programCase.ts";

export function rhsCase({ csr }: Network, batch: number): BenchCase {
  const n = csr.nRows;
  const graph = new Graph();
  const system = rateDynamics({
    nNeurons: n,
    nnz: csr.nnz,
    nonlinearities: ["Sigmoid"],
    signed: false,
    bias: true,
    steps: 1,
  });
  graph.store(
    "slope",
    system.rhs(graph, graph.sample("t"), graph.state("h", n), {
      elapsed: graph.sample("t"),
      jumpsPassed: graph.sample("segment"),
    }),
  );
  const plain = programCase({
    op: "rhs",
    batch,
    program: lower(graph, "rhs"),
    inputs: {
      hh: csr,
      h: uniformArray(n * batch, "h", 0, 1),
      drive: uniformArray(n * batch, "drive"),
      bias: uniformArray(n, "bias"),
      tau: uniformArray(n, "tau", 1, 4),
    },
    // As in cases/pointwise.ts, without the sum.
    outputs: { slope: { kind: "ulps", ulps: 8, absoluteBelow: 1 } },
  });
  return {
    ...plain,
    bounds: async (reference, expected, dtype) => {
      const { slope } = await plain.bounds(reference, expected, dtype);
      // |h| ≤ 1, so no sum exceeds Σ|w| of its row + 2; its error passes through a slope ≤ 1/4 and 1/τ ≤ 1.
      const factor = gamma(longestRow(csr) + 2, dtype) / 4;
      const sums = rowSums(csr);
      return { slope: slope!.map((bound, i) => bound + factor * (sums[Math.floor(i / batch)]! + 2)) };
    },
  };
}
