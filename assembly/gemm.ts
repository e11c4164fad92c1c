// Dense products of one tile of rows, and the gradient of a dense matrix. W is row-major [nRows, nCols]; X, Y and G are states of one
// panel, S their row width as in spmm.ts.

import { rowBytes } from "./spmm";
import { lanes, zero } from "./vector";

/**
 * The inner dimension is cut into blocks of this many terms: a block of X stays in the L1 cache while all rows of the tile use it,
 * and sums of blocks are more accurate than one long sum.
 */
const BLOCK: usize = 128;

/**
 * Y = A·X for the `nRows` rows of a tile. A[i, k] lies at a + i·rowStride + k·termStride (bytes), so the same loop multiplies by W
 * and by Wᵀ. Terms are added in ascending order within a block, then block by block: the same for every row width.
 */
export function gemm<T, S>(
  nRows: usize,
  nTerms: usize,
  a: usize,
  rowStride: usize,
  termStride: usize,
  x: usize,
  y: usize,
): void {
  clear(y, nRows * rowBytes<S>());
  for (let begin: usize = 0; begin < nTerms; begin += BLOCK) {
    const n = min<usize>(BLOCK, nTerms - begin);
    const aBlock = a + begin * termStride;
    const xBlock = x + begin * rowBytes<S>();
    for (let column: usize = 0; column < rowBytes<S>(); column += 32) {
      let row: usize = 0;
      for (; row + 4 <= nRows; row += 4) {
        fourRows<T, S>(
          n,
          aBlock + row * rowStride,
          rowStride,
          termStride,
          xBlock + column,
          y + row * rowBytes<S>() + column,
        );
      }
      for (; row < nRows; row++) {
        oneRow<T, S>(n, aBlock + row * rowStride, termStride, xBlock + column, y + row * rowBytes<S>() + column);
      }
    }
  }
}

/** Four rows of Y, at most 32 bytes of each, += A·X over one block of terms. */
function fourRows<T, S>(nTerms: usize, a: usize, rowStride: usize, termStride: usize, x: usize, y: usize): void {
  let a0 = zero<T>();
  let a1 = a0;
  let b0 = a0;
  let b1 = a0;
  let c0 = a0;
  let c1 = a0;
  let d0 = a0;
  let d1 = a0;
  const b = a + rowStride;
  const c = b + rowStride;
  const d = c + rowStride;
  for (let k: usize = 0, at: usize = 0; k < nTerms; k++, at += termStride, x += rowBytes<S>()) {
    const wa = v128.load_splat<T>(a + at);
    const wb = v128.load_splat<T>(b + at);
    const wc = v128.load_splat<T>(c + at);
    const wd = v128.load_splat<T>(d + at);
    const x0 = v128.load(x);
    a0 = v128.add<T>(a0, v128.mul<T>(wa, x0));
    b0 = v128.add<T>(b0, v128.mul<T>(wb, x0));
    c0 = v128.add<T>(c0, v128.mul<T>(wc, x0));
    d0 = v128.add<T>(d0, v128.mul<T>(wd, x0));
    if (sizeof<S>() > 1) {
      const x1 = v128.load(x, 16);
      a1 = v128.add<T>(a1, v128.mul<T>(wa, x1));
      b1 = v128.add<T>(b1, v128.mul<T>(wb, x1));
      c1 = v128.add<T>(c1, v128.mul<T>(wc, x1));
      d1 = v128.add<T>(d1, v128.mul<T>(wd, x1));
    }
  }
  addTo<T, S>(y, a0, a1);
  addTo<T, S>(y + rowBytes<S>(), b0, b1);
  addTo<T, S>(y + 2 * rowBytes<S>(), c0, c1);
  addTo<T, S>(y + 3 * rowBytes<S>(), d0, d1);
}

/** One row of Y, at most 32 bytes of it, in the same order as `fourRows`. */
function oneRow<T, S>(nTerms: usize, a: usize, termStride: usize, x: usize, y: usize): void {
  let a0 = zero<T>();
  let a1 = a0;
  for (let k: usize = 0; k < nTerms; k++, a += termStride, x += rowBytes<S>()) {
    const w = v128.load_splat<T>(a);
    a0 = v128.add<T>(a0, v128.mul<T>(w, v128.load(x)));
    if (sizeof<S>() > 1) a1 = v128.add<T>(a1, v128.mul<T>(w, v128.load(x, 16)));
  }
  addTo<T, S>(y, a0, a1);
}

function addTo<T, S>(y: usize, v0: v128, v1: v128): void {
  v128.store(y, v128.add<T>(v128.load(y), v0));
  if (sizeof<S>() > 1) v128.store(y, v128.add<T>(v128.load(y, 16), v1), 16);
}

function clear(address: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(address + i, i64x2.splat(0));
}

/**
 * grad[m, col] += Σ G[m, lane]·X[col, lane], lane by lane, for all rows m of W and the columns of a tile. `grad`: the tile's first
 * column in row 0; `x`: the tile's first row of X; `xT`: room for the tile, which is transposed once for all rows.
 */
export function gemmGrad<T, S>(
  nCols: usize,
  nRows: usize,
  gradStride: usize,
  g: usize,
  x: usize,
  grad: usize,
  xT: usize,
): void {
  const stride = (nCols * sizeof<T>() + 15) & ~15;
  transpose<T, S>(nCols, stride, x, xT);
  let row: usize = 0;
  for (; row + 4 <= nRows; row += 4) {
    let col: usize = 0;
    for (; col + 2 * lanes<T>() <= nCols; col += 2 * lanes<T>()) {
      const at = col * sizeof<T>();
      addFourRows<T, S>(stride, g, xT + at, grad + at, gradStride);
    }
    for (let r: usize = 0; r < 4; r++) {
      addRow<T, S>(col, nCols, stride, g + r * rowBytes<S>(), xT, grad + r * gradStride);
    }
    g += 4 * rowBytes<S>();
    grad += 4 * gradStride;
  }
  for (; row < nRows; row++, g += rowBytes<S>(), grad += gradStride) addRow<T, S>(0, nCols, stride, g, xT, grad);
}

/** xT[lane, col] = x[col, lane]; rows of xT are `stride` bytes apart. */
function transpose<T, S>(nCols: usize, stride: usize, x: usize, xT: usize): void {
  for (let lane: usize = 0; lane < rowBytes<S>(); lane += sizeof<T>(), xT += stride) {
    for (let col: usize = 0; col < nCols; col++) {
      store<T>(xT + col * sizeof<T>(), load<T>(x + lane + col * rowBytes<S>()));
    }
  }
}

/** Four rows and two vectors of columns of the gradient. */
function addFourRows<T, S>(stride: usize, g: usize, xT: usize, grad: usize, gradStride: usize): void {
  let a0 = zero<T>();
  let a1 = a0;
  let b0 = a0;
  let b1 = a0;
  let c0 = a0;
  let c1 = a0;
  let d0 = a0;
  let d1 = a0;
  for (const end = g + rowBytes<S>(); g < end; g += sizeof<T>(), xT += stride) {
    const x0 = v128.load(xT);
    const x1 = v128.load(xT, 16);
    const ga = v128.load_splat<T>(g);
    const gb = v128.load_splat<T>(g + rowBytes<S>());
    const gc = v128.load_splat<T>(g + 2 * rowBytes<S>());
    const gd = v128.load_splat<T>(g + 3 * rowBytes<S>());
    a0 = v128.add<T>(a0, v128.mul<T>(ga, x0));
    a1 = v128.add<T>(a1, v128.mul<T>(ga, x1));
    b0 = v128.add<T>(b0, v128.mul<T>(gb, x0));
    b1 = v128.add<T>(b1, v128.mul<T>(gb, x1));
    c0 = v128.add<T>(c0, v128.mul<T>(gc, x0));
    c1 = v128.add<T>(c1, v128.mul<T>(gc, x1));
    d0 = v128.add<T>(d0, v128.mul<T>(gd, x0));
    d1 = v128.add<T>(d1, v128.mul<T>(gd, x1));
  }
  addVectors<T>(grad, a0, a1);
  addVectors<T>(grad + gradStride, b0, b1);
  addVectors<T>(grad + 2 * gradStride, c0, c1);
  addVectors<T>(grad + 3 * gradStride, d0, d1);
}

function addVectors<T>(to: usize, v0: v128, v1: v128): void {
  v128.store(to, v128.add<T>(v128.load(to), v0));
  v128.store(to, v128.add<T>(v128.load(to, 16), v1), 16);
}

/** Columns `col` … nCols − 1 of one row, each with the additions of `addFourRows`. */
function addRow<T, S>(col: usize, nCols: usize, stride: usize, g: usize, xT: usize, grad: usize): void {
  for (; col < nCols; col++) {
    let sum = <T>0;
    for (let lane: usize = 0, at = xT + col * sizeof<T>(); lane < rowBytes<S>(); lane += sizeof<T>(), at += stride) {
      sum = <T>(sum + <T>(load<T>(g + lane) * load<T>(at)));
    }
    store<T>(grad + col * sizeof<T>(), <T>(load<T>(grad + col * sizeof<T>()) + sum));
  }
}
