// A connectome in numbers: degrees, weights, signs, and what is missing.

import type { Csr } from "../core/csr.ts";
import type { FloatArray } from "../core/dtype.ts";

/** Of a set of numbers. */
export interface Distribution {
  readonly min: number;
  readonly median: number;
  readonly mean: number;
  readonly max: number;
}

/** Sizes, degrees, weights and signs of a connectome. */
export interface ConnectomeStatistics {
  readonly nRows: number;
  readonly nCols: number;
  readonly connections: number;
  /** Stored entries over all pairs. */
  readonly density: number;
  readonly duplicatesSummed: number;
  /** Entries on the diagonal. */
  readonly selfLoops: number;
  /** [nRows], inputs of each neuron. */
  readonly inDegrees: Uint32Array;
  /** [nCols], outputs of each neuron. */
  readonly outDegrees: Uint32Array;
  /** Neurons without input, and without output. */
  readonly emptyRows: number;
  readonly emptyColumns: number;
  readonly weights: Distribution;
  readonly positive: number;
  readonly negative: number;
  readonly zero: number;
  /** Columns by the signs of their weights: Dale's law holds where none is mixed. */
  readonly columnSigns: {
    readonly excitatory: number;
    readonly inhibitory: number;
    readonly mixed: number;
  };
}

/** Statistics of a matrix in one pass. O(nnz log nnz), for the median of the weights. */
export function connectomeStatistics(csr: Csr): ConnectomeStatistics {
  const { nRows, nCols, nnz, rowPtr, colIdx, values, duplicatesSummed } = csr;
  const inDegrees = new Uint32Array(nRows);
  const outDegrees = new Uint32Array(nCols);
  // Bit 0: the column has a positive weight; bit 1: a negative one.
  const signs = new Uint8Array(nCols);
  let selfLoops = 0;
  let positive = 0;
  let negative = 0;
  for (let i = 0; i < nRows; i++) {
    inDegrees[i] = rowPtr[i + 1]! - rowPtr[i]!;
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const j = colIdx[k]!;
      const w = values[k]!;
      outDegrees[j]!++;
      if (j === i) selfLoops++;
      if (w > 0) {
        positive++;
        signs[j]! |= 1;
      } else if (w < 0) {
        negative++;
        signs[j]! |= 2;
      }
    }
  }
  const countOf = (array: Uint32Array | Uint8Array, value: number): number => array.filter((x) => x === value).length;
  return {
    nRows,
    nCols,
    connections: nnz,
    density: nnz / (nRows * nCols),
    duplicatesSummed,
    selfLoops,
    inDegrees,
    outDegrees,
    emptyRows: countOf(inDegrees, 0),
    emptyColumns: countOf(outDegrees, 0),
    weights: distributionOf(values),
    positive,
    negative,
    zero: nnz - positive - negative,
    columnSigns: { excitatory: countOf(signs, 1), inhibitory: countOf(signs, 2), mixed: countOf(signs, 3) },
  };
}

/** Ascending, in a copy of the same precision: of a whole nervous system it counts. */
export function sortedNumbers(values: ArrayLike<number>): FloatArray | Uint32Array {
  const isTyped = values instanceof Float32Array || values instanceof Float64Array || values instanceof Uint32Array;
  return (isTyped ? values.slice() : Float64Array.from(values)).sort();
}

/** Of no numbers, all are 0. */
export function distributionOf(values: ArrayLike<number>): Distribution {
  const n = values.length;
  if (n === 0) return { min: 0, median: 0, mean: 0, max: 0 };
  const sorted = sortedNumbers(values);
  let sum = 0;
  for (let k = 0; k < n; k++) sum += sorted[k]!;
  const median = (sorted[(n - 1) >> 1]! + sorted[n >> 1]!) / 2;
  return { min: sorted[0]!, median, mean: sum / n, max: sorted[n - 1]! };
}
