// Products with the connectome and with the read-out's dense layer, forward and fused backward.

import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { longestCol, longestRow } from "../../test/support/matrices.ts";
import { uniformArray } from "../arrays.ts";
import type { Network } from "../networks.ts";
import type { BenchCase } from "./case.ts";
import { programCase } from "./programCase.ts";

/** Hidden units of the tutorial's read-out. */
const HIDDEN = 256;

/** X of W·X and of the gradient, [neurons][batch]. Peers get the same. */
export function operandX(neurons: number, batch: number): Float32Array {
  return uniformArray(neurons * batch, "x");
}

/** The cotangent, [neurons][batch]. */
export function operandG(neurons: number, batch: number): Float32Array {
  return uniformArray(neurons * batch, "g");
}

/** y = W·X. */
export function spmmCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const { nRows, nCols, nnz } = csr;
  graph.store("y", graph.ops.matmul(graph.sparse("w", nRows, nCols, nnz), graph.state("x", nCols)));
  return programCase({
    op: "spmm",
    batch,
    program: lower(graph, "spmm"),
    inputs: { w: csr, x: operandX(nCols, batch) },
    outputs: { y: { kind: "sum", terms: longestRow(csr) } },
  });
}

/** ct = Wᵀ·G and, in the same walk, grad += G·Xᵀ at the stored entries. */
export function spmmTransposedCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const { nRows, nCols, nnz } = csr;
  const w = graph.sparse("w", nRows, nCols, nnz);
  const grad = { x: graph.state("x", nCols), binding: "grad" };
  graph.store("ct", graph.ops.matmulT(w, graph.state("g", nRows), grad));
  return programCase({
    op: "spmmT+grad",
    batch,
    program: lower(graph, "spmmT"),
    inputs: { w: csr, x: operandX(nCols, batch), g: operandG(nRows, batch) },
    outputs: { ct: { kind: "sum", terms: longestCol(csr) }, grad: { kind: "sum", terms: lanesSummed(batch) } },
  });
}

/** y = D·X, D the dense first layer of the read-out. */
export function gemmCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const { nRows } = csr;
  graph.store("y", graph.ops.matmul(graph.dense("d", HIDDEN, nRows), graph.state("x", nRows)));
  return programCase({
    op: "gemm",
    batch,
    program: lower(graph, "gemm"),
    inputs: { d: denseWeights(nRows), x: operandX(nRows, batch) },
    outputs: { y: { kind: "sum", terms: nRows } },
  });
}

/** ct = Dᵀ·G and grad += G·Xᵀ. */
export function gemmTransposedCase({ csr }: Network, batch: number): BenchCase {
  const graph = new Graph();
  const { nRows } = csr;
  const grad = { x: graph.state("x", nRows), binding: "grad" };
  graph.store("ct", graph.ops.matmulT(graph.dense("d", HIDDEN, nRows), graph.state("g", HIDDEN), grad));
  return programCase({
    op: "gemmT+grad",
    batch,
    program: lower(graph, "gemmT"),
    inputs: { d: denseWeights(nRows), x: operandX(nRows, batch), g: operandG(HIDDEN, batch) },
    outputs: { ct: { kind: "sum", terms: HIDDEN }, grad: { kind: "sum", terms: lanesSummed(batch) } },
  });
}

function denseWeights(columns: number): Float32Array {
  return uniformArray(HIDDEN * columns, "dense");
}

/** Roundings of an element of a gradient: one per lane, including the padding of the last panel of any layout. */
function lanesSummed(batch: number): number {
  return 2 * Math.ceil(batch / 16) * 16;
}
