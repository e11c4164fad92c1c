// Sparse products of one tile of rows. X and Y are states of one panel: a row is the lanes of one neuron, 16·sizeof<S>() bytes.
// S is the row width as a type (u8: 16 bytes, u16: 32, u32: 64, u64: 128), so that all loops over a row are unrolled; I is the
// type of the column indices. Rows of 128 bytes are walked twice, 64 bytes at a time: more accumulators would not fit registers.

import { checkIndex, checkRange } from "./memory";
import { zero } from "./vector";

/** Bytes of one row. */
export function rowBytes<S>(): usize {
  return 16 * sizeof<S>();
}

/**
 * Y = W·X for rows rowBegin … rowEnd − 1. W: CSR, row i from entry firsts[i] up to ends[i] (which are two arrays, so that a row may be
 * left out where it lies); X: [nCols] rows; `y`: the first of the tile's rows of Y.
 *
 * Entries with an even place in their row go to one accumulator, odd ones to another, and the two are added at the end. The order
 * is the same for every row width, so a sample's result does not depend on the panel it lies in.
 */
export function spmm<T, I, S>(
  rowBegin: usize,
  rowEnd: usize,
  firsts: usize,
  ends: usize,
  colIdx: usize,
  values: usize,
  nCols: usize,
  x: usize,
  y: usize,
): void {
  checkRange(y, (rowEnd - rowBegin) * rowBytes<S>());
  for (let row = rowBegin; row < rowEnd; row++) {
    const k = <usize>load<u32>(firsts + (row << 2));
    const end = <usize>load<u32>(ends + (row << 2));
    const firstIdx = colIdx + k * sizeof<I>();
    const endIdx = colIdx + end * sizeof<I>();
    const firstValue = values + k * sizeof<T>();
    spmmRow<T, I, S>(firstIdx, endIdx, firstValue, nCols, x, y);
    if (sizeof<S>() > 4) spmmRow<T, I, S>(firstIdx, endIdx, firstValue, nCols, x + 64, y + 64);
    y += rowBytes<S>();
  }
}

/** One row of Y, at most 64 bytes of it: Σ values[k]·X[colIdx[k]] over the entries whose indices lie from `idx` to `endIdx`. */
function spmmRow<T, I, S>(idx: usize, endIdx: usize, value: usize, nCols: usize, x: usize, y: usize): void {
  let a0 = zero<T>();
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let b0 = a0;
  let b1 = a0;
  let b2 = a0;
  let b3 = a0;
  const endPairs = idx + ((endIdx - idx) & ~(2 * sizeof<I>() - 1));
  while (idx < endPairs) {
    const wa = v128.load_splat<T>(value);
    const wb = v128.load_splat<T>(value, sizeof<T>());
    const xa = x + gathered<I, S>(idx, nCols);
    const xb = x + gathered<I, S>(idx + sizeof<I>(), nCols);
    a0 = v128.add<T>(a0, v128.mul<T>(wa, v128.load(xa)));
    b0 = v128.add<T>(b0, v128.mul<T>(wb, v128.load(xb)));
    if (sizeof<S>() > 1) {
      a1 = v128.add<T>(a1, v128.mul<T>(wa, v128.load(xa, 16)));
      b1 = v128.add<T>(b1, v128.mul<T>(wb, v128.load(xb, 16)));
    }
    if (sizeof<S>() > 2) {
      a2 = v128.add<T>(a2, v128.mul<T>(wa, v128.load(xa, 32)));
      a3 = v128.add<T>(a3, v128.mul<T>(wa, v128.load(xa, 48)));
      b2 = v128.add<T>(b2, v128.mul<T>(wb, v128.load(xb, 32)));
      b3 = v128.add<T>(b3, v128.mul<T>(wb, v128.load(xb, 48)));
    }
    idx += 2 * sizeof<I>();
    value += 2 * sizeof<T>();
  }
  if (idx < endIdx) {
    const w = v128.load_splat<T>(value);
    const xa = x + gathered<I, S>(idx, nCols);
    a0 = v128.add<T>(a0, v128.mul<T>(w, v128.load(xa)));
    if (sizeof<S>() > 1) a1 = v128.add<T>(a1, v128.mul<T>(w, v128.load(xa, 16)));
    if (sizeof<S>() > 2) {
      a2 = v128.add<T>(a2, v128.mul<T>(w, v128.load(xa, 32)));
      a3 = v128.add<T>(a3, v128.mul<T>(w, v128.load(xa, 48)));
    }
  }
  v128.store(y, v128.add<T>(a0, b0));
  if (sizeof<S>() > 1) v128.store(y, v128.add<T>(a1, b1), 16);
  if (sizeof<S>() > 2) {
    v128.store(y, v128.add<T>(a2, b2), 32);
    v128.store(y, v128.add<T>(a3, b3), 48);
  }
}

/** Byte offset of the row of a state whose index is stored at `idx`. */
export function gathered<I, S>(idx: usize, nRows: usize): usize {
  const row = <usize>load<I>(idx);
  checkIndex(row, nRows);
  return row * rowBytes<S>();
}
