// Connectomes without structure: all pairs of neurons are equally likely to be connected.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkWhole, MAX_NEURONS } from "./checks.ts";
import { distinctCells, shuffle } from "./sampling.ts";

/** Size, density and weights of a random network. */
export interface ErdosRenyiOptions {
  readonly neurons: number;
  /** Stored entries, exactly. */
  readonly connections: number;
  /** Whether a neuron may connect to itself. Default false. */
  readonly selfLoops?: boolean;
  readonly seed: number;
}

/**
 * The random graph G(n, m) [post, pre]: all sets of `connections` different pairs are equally likely; weights 1 in f32. O(connections).
 *
 * @throws {ArgumentError} more connections than pairs
 * Source: Erdős, Rényi, "On random graphs I", Publicationes Mathematicae 6, 290–297 (1959).
 */
export function erdosRenyi({ neurons, connections, selfLoops = false, seed }: ErdosRenyiOptions): Csr {
  const values = new Float32Array(connections).fill(1);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "erdosRenyi"));
  return randomPattern(neurons, values, selfLoops, stream);
}

/**
 * The control of equal density: as many neurons, as many connections and the same weights as `csr`, between pairs drawn at random. Self
 * loops are drawn only if `csr` has any. O(connections).
 *
 * @throws {ArgumentError} a matrix that is not square
 */
export function erdosRenyiLike(csr: Csr, { seed }: { readonly seed: number }): Csr {
  if (csr.nRows !== csr.nCols) {
    throw new ArgumentError("erdosRenyiLike", "csr", "a square matrix", `${csr.nRows} × ${csr.nCols}`);
  }
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "erdosRenyiLike"));
  const values = csr.values.slice();
  shuffle(values, stream);
  return randomPattern(csr.nRows, values, hasSelfLoop(csr), stream);
}

function randomPattern(neurons: number, values: Csr["values"], selfLoops: boolean, stream: RandomStream): Csr {
  const where = "erdosRenyi";
  checkWhole(where, "neurons", neurons, 1, MAX_NEURONS);
  const perRow = selfLoops ? neurons : neurons - 1;
  checkWhole(where, "connections", values.length, 0, neurons * perRow);
  const rows = new Uint32Array(values.length);
  const cols = new Uint32Array(values.length);
  distinctCells(neurons * perRow, values.length, stream).forEach((cell, k) => {
    const row = Math.floor(cell / perRow);
    const col = cell - row * perRow;
    rows[k] = row;
    // Without self loops, a row has no cell for its own column.
    cols[k] = !selfLoops && col >= row ? col + 1 : col;
  });
  return csrFromCoo({ nRows: neurons, nCols: neurons, rows, cols, values }, where);
}

function hasSelfLoop({ nRows, rowPtr, colIdx }: Csr): boolean {
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) if (colIdx[k] === i) return true;
  }
  return false;
}
