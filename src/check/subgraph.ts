// A part of a connectome that is small enough to check and still wired like the whole.

import { type Csr, cscOf, csrFromCoo } from "../core/csr.ts";
import { streamOf } from "./point.ts";

/**
 * The subgraph that the first `size` neurons of a breadth-first walk induce: along connections in both directions, from a random
 * neuron, and from another one where a component ends. Neurons keep their order. The connectome itself when it is no larger. O(connections).
 */
export function inducedSubgraph(csr: Csr, size: number, seed: number): Csr {
  if (csr.nRows <= size) return csr;
  const chosen = walk(csr, size, seed).sort((a, b) => a - b);
  const position = new Int32Array(csr.nRows).fill(-1);
  chosen.forEach((neuron, i) => {
    position[neuron] = i;
  });
  const rows: number[] = [];
  const cols: number[] = [];
  const values: number[] = [];
  for (const neuron of chosen) {
    for (let k = csr.rowPtr[neuron]!; k < csr.rowPtr[neuron + 1]!; k++) {
      const col = position[csr.colIdx[k]!]!;
      if (col < 0) continue;
      rows.push(position[neuron]!);
      cols.push(col);
      values.push(csr.values[k]!);
    }
  }
  return csrFromCoo({ nRows: size, nCols: size, rows, cols, values }, "inducedSubgraph");
}

function walk(csr: Csr, size: number, seed: number): number[] {
  const { colPtr, rowIdx } = cscOf(csr);
  const stream = streamOf(seed, "subgraph");
  const isVisited = new Uint8Array(csr.nRows);
  const order: number[] = [];
  const visit = (neuron: number): void => {
    if (isVisited[neuron] || order.length === size) return;
    isVisited[neuron] = 1;
    order.push(neuron);
  };
  for (let at = 0; order.length < size; at++) {
    while (at === order.length) visit(stream.below(csr.nRows));
    const neuron = order[at]!;
    for (let k = csr.rowPtr[neuron]!; k < csr.rowPtr[neuron + 1]!; k++) visit(csr.colIdx[k]!);
    for (let k = colPtr[neuron]!; k < colPtr[neuron + 1]!; k++) visit(rowIdx[k]!);
  }
  return order;
}
