// Sums over lanes, and reductions over rows in an order that depends neither on threads nor on the panel width.

import { HOW_MAX, HOW_MIN, HOW_SUM, REDUCE_BLOCK } from "../src/backend/wasm/isa";
import { lanes, sumLanes, sumLanesOf, sumVectors, zero } from "./vector";

/** to[row] = (or +=, with `accumulate`) the sum over the lanes of `rows` rows of `rowBytes` bytes. */
export function reduceLanes<T>(to: usize, from: usize, rows: usize, rowBytes: usize, accumulate: bool): void {
  let row: usize = 0;
  for (; row + lanes<T>() <= rows; row += lanes<T>(), from += lanes<T>() * rowBytes, to += 16) {
    const a = sumVectors<T>(from, rowBytes);
    const b = sumVectors<T>(from + rowBytes, rowBytes);
    const c = sizeof<T>() === 4 ? sumVectors<T>(from + 2 * rowBytes, rowBytes) : a;
    const d = sizeof<T>() === 4 ? sumVectors<T>(from + 3 * rowBytes, rowBytes) : a;
    const sums = sumLanesOf<T>(a, b, c, d);
    v128.store(to, accumulate ? v128.add<T>(v128.load(to), sums) : sums);
  }
  for (; row < rows; row++, from += rowBytes, to += sizeof<T>()) {
    const sum = sumLanes<T>(sumVectors<T>(from, rowBytes));
    store<T>(to, accumulate ? <T>(load<T>(to) + sum) : sum);
  }
}

class Sum {
  first<T>(): v128 {
    return zero<T>();
  }
  vectors<T>(a: v128, b: v128): v128 {
    return v128.add<T>(a, b);
  }
  numbers<T>(a: T, b: T): T {
    return <T>(a + b);
  }
}

class Max {
  first<T>(): v128 {
    return v128.splat<T>(<T>-Infinity);
  }
  vectors<T>(a: v128, b: v128): v128 {
    return v128.max<T>(a, b);
  }
  numbers<T>(a: T, b: T): T {
    return max<T>(a, b);
  }
}

class Min {
  first<T>(): v128 {
    return v128.splat<T>(<T>Infinity);
  }
  vectors<T>(a: v128, b: v128): v128 {
    return v128.min<T>(a, b);
  }
  numbers<T>(a: T, b: T): T {
    return min<T>(a, b);
  }
}

/** One row from `rows` rows of `rowBytes` bytes each (a single number per row: the numbers of a plain vector). NaN stays NaN. */
export function reduceRows<T>(to: usize, from: usize, rows: usize, rowBytes: usize, how: i32): void {
  switch (how) {
    case HOW_SUM:
      fold<T, Sum>(to, from, rows, rowBytes);
      break;
    case HOW_MAX:
      fold<T, Max>(to, from, rows, rowBytes);
      break;
    case HOW_MIN:
      fold<T, Min>(to, from, rows, rowBytes);
      break;
    default:
      unreachable();
  }
}

function fold<T, F>(to: usize, from: usize, rows: usize, rowBytes: usize): void {
  if (rowBytes === sizeof<T>()) {
    foldNumbers<T, F>(to, from, rows);
    return;
  }
  for (let column: usize = 0; column < rowBytes; column += 16) {
    v128.store(to + column, foldColumn<T, F>(from + column, rows, rowBytes));
  }
}

/** One vector of every row; rows go to four accumulators in turn. */
function foldColumn<T, F>(from: usize, rows: usize, rowBytes: usize): v128 {
  const f = changetype<F>(0);
  let a = f.first<T>();
  let b = a;
  let c = a;
  let d = a;
  let row: usize = 0;
  for (; row + 4 <= rows; row += 4, from += 4 * rowBytes) {
    a = f.vectors<T>(a, v128.load(from));
    b = f.vectors<T>(b, v128.load(from + rowBytes));
    c = f.vectors<T>(c, v128.load(from + 2 * rowBytes));
    d = f.vectors<T>(d, v128.load(from + 3 * rowBytes));
  }
  for (; row < rows; row++, from += rowBytes) a = f.vectors<T>(a, v128.load(from));
  return f.vectors<T>(f.vectors<T>(a, b), f.vectors<T>(c, d));
}

/** A plain vector: whole vectors first, then their lanes, then the numbers that are left. */
function foldNumbers<T, F>(to: usize, from: usize, n: usize): void {
  const f = changetype<F>(0);
  const nVectors = n / lanes<T>();
  const lanesFolded = foldColumn<T, F>(from, nVectors, 16);
  let result = f.numbers<T>(v128.extract_lane<T>(lanesFolded, 0), v128.extract_lane<T>(lanesFolded, 1));
  if (sizeof<T>() === 4) {
    const right = f.numbers<T>(v128.extract_lane<T>(lanesFolded, 2), v128.extract_lane<T>(lanesFolded, 3));
    result = f.numbers<T>(result, right);
  }
  for (let i = nVectors * lanes<T>(); i < n; i++) result = f.numbers<T>(result, load<T>(from + i * sizeof<T>()));
  store<T>(to, result);
}

/**
 * Folds the partial results of all tiles into one row, in blocks of REDUCE_BLOCK at every level, and stores it in (or combines it
 * with) `to`. `partials` is overwritten.
 */
export function combine<T>(to: usize, partials: usize, n: usize, rowBytes: usize, how: i32, accumulate: bool): void {
  while (n > 1) {
    let blocks: usize = 0;
    for (let begin: usize = 0; begin < n; begin += REDUCE_BLOCK, blocks++) {
      const rows = min<usize>(REDUCE_BLOCK, n - begin);
      reduceRows<T>(partials + blocks * rowBytes, partials + begin * rowBytes, rows, rowBytes, how);
    }
    n = blocks;
  }
  if (accumulate) {
    // The pair (old value, total) lies apart; fold it number by number.
    for (let i: usize = 0; i < rowBytes; i += sizeof<T>()) {
      store<T>(to + i, combineTwo<T>(load<T>(to + i), load<T>(partials + i), how));
    }
  } else {
    for (let i: usize = 0; i < rowBytes; i += sizeof<T>()) store<T>(to + i, load<T>(partials + i));
  }
}

function combineTwo<T>(a: T, b: T, how: i32): T {
  if (how === HOW_SUM) return <T>(a + b);
  return how === HOW_MAX ? max<T>(a, b) : min<T>(a, b);
}
