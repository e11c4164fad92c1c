// Lengths of the sums that a product with a sparse matrix, and its reverse, make.

import type { Csr } from "../core/csr.ts";

/** The largest number of inputs or outputs of a neuron. */
export function longestSum({ nRows, nCols, nnz, rowPtr, colIdx }: Csr): number {
  const outputs = new Uint32Array(nCols);
  for (let k = 0; k < nnz; k++) outputs[colIdx[k]!]!++;
  let longest = 0;
  for (let row = 0; row < nRows; row++) longest = Math.max(longest, rowPtr[row + 1]! - rowPtr[row]!);
  for (const count of outputs) longest = Math.max(longest, count);
  return longest;
}
