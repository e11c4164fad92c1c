// The connections that two matrices have in common, and whether these are all.

import type { Csr } from "../../core/csr.ts";
import { ShapeError } from "../../core/errors.ts";

/** Connections of a network that known weights have, too. */
export interface MatchedConnections {
  /** The common ones, [post, pre]; with the known weights. */
  readonly csr: Csr;
  /** [common], their positions among the connections of the network, row-major. */
  readonly at: Uint32Array;
  /** Known connections that the network lacks. */
  readonly missing: number;
  /** Connections of the network without a known weight. */
  readonly unknown: number;
}

/**
 * Matches the connections of a network with known ones by their place in the matrix. O(connections).
 *
 * @throws {ShapeError} another number of neurons
 */
export function matchConnections(network: Csr, known: Csr): MatchedConnections {
  const { nRows, nCols, nnz, rowPtr, colIdx } = network;
  if (known.nRows !== nRows || known.nCols !== nCols) {
    const expected = `${nRows} × ${nCols}, as the network has`;
    throw new ShapeError("matchConnections", "known", expected, `${known.nRows} × ${known.nCols}`);
  }
  const at = new Uint32Array(Math.min(nnz, known.nnz));
  const knownAt = new Uint32Array(at.length);
  const begins = new Uint32Array(nRows + 1);
  let common = 0;
  for (let i = 0; i < nRows; i++) {
    let e = known.rowPtr[i]!;
    const end = known.rowPtr[i + 1]!;
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      while (e < end && known.colIdx[e]! < colIdx[k]!) e++;
      if (e === end || known.colIdx[e] !== colIdx[k]) continue;
      knownAt[common] = e;
      at[common++] = k;
    }
    begins[i + 1] = common;
  }
  const pick = <T extends Csr["colIdx"] | Csr["values"]>(from: T, places: Uint32Array): T => {
    const picked = from.slice(0, common) as T;
    for (let k = 0; k < common; k++) picked[k] = from[places[k]!]!;
    return picked;
  };
  return {
    csr: {
      ...{ nRows, nCols, nnz: common, rowPtr: begins, duplicatesSummed: 0 },
      ...{ colIdx: pick(colIdx, at), values: pick(known.values, knownAt) },
    },
    at: at.slice(0, common),
    missing: known.nnz - common,
    unknown: nnz - common,
  };
}

/** Whether two matrices have the same connections. */
export function hasSameConnections(a: Csr, b: Csr): boolean {
  const isSame = (x: ArrayLike<number>, y: ArrayLike<number>): boolean => {
    for (let k = 0; k < x.length; k++) if (x[k] !== y[k]) return false;
    return x.length === y.length;
  };
  return isSame(a.rowPtr, b.rowPtr) && isSame(a.colIdx, b.colIdx);
}
