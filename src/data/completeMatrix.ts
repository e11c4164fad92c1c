// Matrices with an entry for every pair, as dense networks have them.

import { type Csr, indexArray } from "../core/csr.ts";
import type { RandomStream } from "../core/random.ts";

/** A matrix [nRows, nCols] with all its entries, drawn row by row; f32. */
export function completeMatrix(nRows: number, nCols: number, draw: () => number): Csr {
  const nnz = nRows * nCols;
  const colIdx = indexArray(nCols, nnz);
  for (let k = 0; k < nnz; k++) colIdx[k] = k % nCols;
  return {
    nRows,
    nCols,
    nnz,
    rowPtr: Uint32Array.from({ length: nRows + 1 }, (_, i) => i * nCols),
    colIdx,
    values: Float32Array.from({ length: nnz }, draw),
    duplicatesSummed: 0,
  };
}

/**
 * Recurrent weights of a dense network of n units: N(0, 1/n), self connections included, so that the spectral radius is about 1.
 *
 * Source: Sompolinsky, Crisanti, Sommers, "Chaos in random neural networks", Physical Review Letters 61, 259–262 (1988), with gain 1.
 */
export function denseRecurrence(n: number, stream: RandomStream): Csr {
  const std = 1 / Math.sqrt(n);
  return completeMatrix(n, n, () => std * stream.normal());
}

/**
 * Weights [n, inputs] from every input to every unit, uniform in ±√(6/(inputs + n)).
 *
 * Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, eq. 16.
 */
export function denseInput(n: number, inputs: number, stream: RandomStream): Csr {
  const bound = Math.sqrt(6 / (inputs + n));
  return completeMatrix(n, inputs, () => (2 * stream.uniform() - 1) * bound);
}
