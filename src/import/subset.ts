// Part of the neurons of a network: its connections, and the columns of its table.

import { type Csr, indexArray } from "../core/csr.ts";
import type { NeuronColumn } from "../core/selector.ts";
import type { NeuronIds } from "./types.ts";

/** The ids of some neurons. */
export function idsAt(ids: NeuronIds, indices: Uint32Array): NeuronIds {
  if (ids instanceof BigInt64Array) return BigInt64Array.from(indices, (i) => ids[i]!);
  return Array.from(indices, (i) => ids[i]!);
}

/** A column of some neurons, with the values that these have, in the order of the column. */
export function columnAt({ values, valueIdx }: NeuronColumn, indices: Uint32Array): NeuronColumn {
  const isUsed = new Uint8Array(values.length);
  for (const i of indices) isUsed[valueIdx[i]!] = 1;
  const number = new Uint32Array(values.length);
  const used: string[] = [];
  values.forEach((value, v) => {
    if (isUsed[v]) number[v] = used.push(value) - 1;
  });
  return { values: used, valueIdx: Uint32Array.from(indices, (i) => number[valueIdx[i]!]!) };
}

/** The connections among some neurons, which are numbered in the order of `indices` (ascending). */
export function csrAt(csr: Csr, indices: Uint32Array): Csr {
  const numbers = new Int32Array(csr.nRows).fill(-1);
  indices.forEach((i, k) => {
    numbers[i] = k;
  });
  return renumbered(csr, indices.length, indices, numbers);
}

/** The matrix of a larger network, in which neuron i is number `indices[i]` (ascending). */
export function csrWithin(csr: Csr, indices: Uint32Array, count: number): Csr {
  const rows = new Int32Array(count).fill(-1);
  indices.forEach((i, k) => {
    rows[i] = k;
  });
  return renumbered(csr, count, rows, Int32Array.from(indices));
}

/** The connections for which a predicate holds. */
export function filtered(csr: Csr, keep: (entry: number, post: number, pre: number) => boolean): Csr {
  const { nRows, rowPtr, colIdx, values } = csr;
  const ends = new Uint32Array(nRows + 1);
  let kept = 0;
  const columns = colIdx.slice();
  const weights = values.slice();
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      if (!keep(k, i, colIdx[k]!)) continue;
      columns[kept] = colIdx[k]!;
      weights[kept++] = values[k]!;
    }
    ends[i + 1] = kept;
  }
  if (kept === csr.nnz) return csr;
  return { ...csr, nnz: kept, rowPtr: ends, colIdx: columns.slice(0, kept), values: weights.slice(0, kept) };
}

/**
 * A matrix of other rows and columns.
 *
 * @param rows  [count], the row of `csr` that each row is; −1: none
 * @param columns  [csr.nCols], the new column of each; −1: none. Ascending but for those
 */
function renumbered(csr: Csr, count: number, rows: ArrayLike<number>, columns: Int32Array): Csr {
  const { rowPtr, colIdx, values } = csr;
  const ends = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) {
    let kept = 0;
    const row = rows[i]!;
    if (row >= 0) for (let k = rowPtr[row]!; k < rowPtr[row + 1]!; k++) if (columns[colIdx[k]!]! >= 0) kept++;
    ends[i + 1] = ends[i]! + kept;
  }
  const nnz = ends[count]!;
  const own = indexArray(count, nnz);
  const weights = values instanceof Float32Array ? new Float32Array(nnz) : new Float64Array(nnz);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    if (row < 0) continue;
    for (let k = rowPtr[row]!; k < rowPtr[row + 1]!; k++) {
      const column = columns[colIdx[k]!]!;
      if (column < 0) continue;
      own[at] = column;
      weights[at++] = values[k]!;
    }
  }
  return { nRows: count, nCols: count, nnz, rowPtr: ends, colIdx: own, values: weights, duplicatesSummed: 0 };
}
