// The reverse of a sparse product, one tile of columns: Wᵀ·G and the gradient of the stored values, G·Xᵀ at the pattern of W, in one
// walk over the columns (CSC): each gathered row of G serves both. Types as in spmm.ts.

import { checkRange } from "./memory";
import { gathered, rowBytes } from "./spmm";
import { lanes, sumLanes, sumLanesOf, zero } from "./vector";

/** Marks for what a walk computes, as types: `wanted<Yes>()` is resolved at compile time. */
type Yes = u16;
type No = u8;

function wanted<F>(): bool {
  return sizeof<F>() === sizeof<Yes>();
}

/**
 * For columns colBegin … colEnd − 1: `ct` = Wᵀ·G and `grad` += lane sums of G[row]·X[col] at the stored entries. `x`, `ct`: the tile's
 * first rows of X and of the result. `values`, `grad`: in CSC order. `places`: where the entries lie in `rowIdx`, `values` and `grad`; 0:
 * one after another.
 *
 * The entries of a column are added one after another, whatever the row width; a lane sum has the order of sumVectors and sumLanes.
 */
export function spmmT<T, I, S>(
  colBegin: usize,
  colEnd: usize,
  colPtr: usize,
  rowIdx: usize,
  places: usize,
  values: usize,
  g: usize,
  x: usize,
  ct: usize,
  grad: usize,
): void {
  if (places) walk<T, I, S, Yes, Yes, Yes>(colBegin, colEnd, colPtr, rowIdx, places, values, g, x, ct, grad);
  else walk<T, I, S, Yes, Yes, No>(colBegin, colEnd, colPtr, rowIdx, 0, values, g, x, ct, grad);
}

/** `spmmT` without the gradient. */
export function spmmTCt<T, I, S>(
  colBegin: usize,
  colEnd: usize,
  colPtr: usize,
  rowIdx: usize,
  places: usize,
  values: usize,
  g: usize,
  ct: usize,
): void {
  if (places) walk<T, I, S, Yes, No, Yes>(colBegin, colEnd, colPtr, rowIdx, places, values, g, 0, ct, 0);
  else walk<T, I, S, Yes, No, No>(colBegin, colEnd, colPtr, rowIdx, 0, values, g, 0, ct, 0);
}

/** `spmmT` without Wᵀ·G. */
export function spmmTGrad<T, I, S>(
  colBegin: usize,
  colEnd: usize,
  colPtr: usize,
  rowIdx: usize,
  places: usize,
  g: usize,
  x: usize,
  grad: usize,
): void {
  if (places) walk<T, I, S, No, Yes, Yes>(colBegin, colEnd, colPtr, rowIdx, places, 0, g, x, 0, grad);
  else walk<T, I, S, No, Yes, No>(colBegin, colEnd, colPtr, rowIdx, 0, 0, g, x, 0, grad);
}

/** The walk over the columns: C tells whether `ct` is wanted, D whether `grad` is, P whether there are `places`. */
function walk<T, I, S, C, D, P>(
  colBegin: usize,
  colEnd: usize,
  colPtr: usize,
  rowIdx: usize,
  places: usize,
  values: usize,
  g: usize,
  x: usize,
  ct: usize,
  grad: usize,
): void {
  if (wanted<C>()) checkRange(ct, (colEnd - colBegin) * rowBytes<S>());
  let k = <usize>load<u32>(colPtr + (colBegin << 2));
  for (let col = colBegin; col < colEnd; col++) {
    const end = <usize>load<u32>(colPtr + (col << 2), 4);
    column<T, I, S, C, D, P>(k, end, rowIdx, places, values, g, x, ct, grad);
    if (sizeof<S>() > 4) column<T, I, S, C, D, P>(k, end, rowIdx, places, values, g + 64, x + 64, ct + 64, grad);
    if (wanted<C>()) ct += rowBytes<S>();
    if (wanted<D>()) x += rowBytes<S>();
    k = end;
  }
}

/** Entries k … end − 1 of one column, at most 64 bytes of its row. */
function column<T, I, S, C, D, P>(
  k: usize,
  end: usize,
  rowIdx: usize,
  places: usize,
  values: usize,
  g: usize,
  x: usize,
  ct: usize,
  grad: usize,
): void {
  let x0 = zero<T>();
  let x1 = x0;
  let x2 = x0;
  let x3 = x0;
  let c0 = x0;
  let c1 = x0;
  let c2 = x0;
  let c3 = x0;
  if (wanted<D>()) {
    x0 = v128.load(x);
    if (sizeof<S>() > 1) x1 = v128.load(x, 16);
    if (sizeof<S>() > 2) {
      x2 = v128.load(x, 32);
      x3 = v128.load(x, 48);
    }
  }
  let next = k;
  let idx = rowIdx + k * sizeof<I>();
  let value = values + k * sizeof<T>();
  let gradient = grad + k * sizeof<T>();
  const endIdx = rowIdx + end * sizeof<I>();
  const endGroups = wanted<P>() ? idx : idx + ((endIdx - idx) & ~(lanes<T>() * sizeof<I>() - 1));
  // As many entries at a time as a vector has lanes (4 in f32, 2 in f64): their gradients are one vector.
  while (idx < endGroups) {
    const ga = rowOf<I, S>(g, idx);
    const gb = rowOf<I, S>(g, idx + sizeof<I>());
    const gc = sizeof<T>() === 4 ? rowOf<I, S>(g, idx + 2 * sizeof<I>()) : 0;
    const gd = sizeof<T>() === 4 ? rowOf<I, S>(g, idx + 3 * sizeof<I>()) : 0;
    if (wanted<C>()) {
      const wa = v128.load_splat<T>(value);
      const wb = v128.load_splat<T>(value, sizeof<T>());
      const wc = sizeof<T>() === 4 ? v128.load_splat<T>(value, 8) : wa;
      const wd = sizeof<T>() === 4 ? v128.load_splat<T>(value, 12) : wa;
      c0 = addProducts<T>(c0, wa, wb, wc, wd, ga, gb, gc, gd);
      if (sizeof<S>() > 1) c1 = addProducts<T>(c1, wa, wb, wc, wd, ga + 16, gb + 16, gc + 16, gd + 16);
      if (sizeof<S>() > 2) {
        c2 = addProducts<T>(c2, wa, wb, wc, wd, ga + 32, gb + 32, gc + 32, gd + 32);
        c3 = addProducts<T>(c3, wa, wb, wc, wd, ga + 48, gb + 48, gc + 48, gd + 48);
      }
    }
    if (wanted<D>()) {
      const pa = products<T, S>(ga, x0, x1, x2, x3);
      const pb = products<T, S>(gb, x0, x1, x2, x3);
      const pc = sizeof<T>() === 4 ? products<T, S>(gc, x0, x1, x2, x3) : pa;
      const pd = sizeof<T>() === 4 ? products<T, S>(gd, x0, x1, x2, x3) : pa;
      v128.store(gradient, v128.add<T>(v128.load(gradient), sumLanesOf<T>(pa, pb, pc, pd)));
    }
    idx += lanes<T>() * sizeof<I>();
    value += 16;
    gradient += 16;
  }
  while (wanted<P>() ? next < end : idx < endIdx) {
    if (wanted<P>()) {
      const place = <usize>load<u32>(places + (next << 2));
      idx = rowIdx + place * sizeof<I>();
      value = values + place * sizeof<T>();
      gradient = grad + place * sizeof<T>();
      next++;
    }
    const ga = rowOf<I, S>(g, idx);
    if (wanted<C>()) {
      const w = v128.load_splat<T>(value);
      c0 = v128.add<T>(c0, v128.mul<T>(w, v128.load(ga)));
      if (sizeof<S>() > 1) c1 = v128.add<T>(c1, v128.mul<T>(w, v128.load(ga, 16)));
      if (sizeof<S>() > 2) {
        c2 = v128.add<T>(c2, v128.mul<T>(w, v128.load(ga, 32)));
        c3 = v128.add<T>(c3, v128.mul<T>(w, v128.load(ga, 48)));
      }
    }
    if (wanted<D>()) {
      const p = products<T, S>(ga, x0, x1, x2, x3);
      store<T>(gradient, <T>(load<T>(gradient) + sumLanes<T>(p)));
    }
    if (!wanted<P>()) {
      idx += sizeof<I>();
      value += sizeof<T>();
      gradient += sizeof<T>();
    }
  }
  if (wanted<C>()) {
    v128.store(ct, c0);
    if (sizeof<S>() > 1) v128.store(ct, c1, 16);
    if (sizeof<S>() > 2) {
      v128.store(ct, c2, 32);
      v128.store(ct, c3, 48);
    }
  }
}

/** Address of the row of G whose number is stored at `idx`. */
function rowOf<I, S>(g: usize, idx: usize): usize {
  const row = g + gathered<I, S>(idx, usize.MAX_VALUE);
  checkRange(row, 16);
  return row;
}

/** sum + wa·a + wb·b + wc·c + wd·d of the vectors at a … d, added from left to right; in f64 only the first two. */
function addProducts<T>(
  sum: v128,
  wa: v128,
  wb: v128,
  wc: v128,
  wd: v128,
  a: usize,
  b: usize,
  c: usize,
  d: usize,
): v128 {
  sum = v128.add<T>(v128.add<T>(sum, v128.mul<T>(wa, v128.load(a))), v128.mul<T>(wb, v128.load(b)));
  if (sizeof<T>() === 8) return sum;
  return v128.add<T>(v128.add<T>(sum, v128.mul<T>(wc, v128.load(c))), v128.mul<T>(wd, v128.load(d)));
}

/** The products of a row with x, its vectors added as a tree: the lane sum of the result is the row's product with x. */
function products<T, S>(row: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const p0 = v128.mul<T>(v128.load(row), x0);
  if (sizeof<S>() === 1) return p0;
  const p01 = v128.add<T>(p0, v128.mul<T>(v128.load(row, 16), x1));
  if (sizeof<S>() === 2) return p01;
  return v128.add<T>(p01, v128.add<T>(v128.mul<T>(v128.load(row, 32), x2), v128.mul<T>(v128.load(row, 48), x3)));
}
