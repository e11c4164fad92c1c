// What reaches other places than its own row: gather, sums of segments and their transposes (of plain vectors), lookup and scatter (of a
// table of states).

import { checkIndex } from "./memory";

/** to[row] = source[index[row]]. */
export function gather<T>(to: usize, source: usize, index: usize, rows: usize, length: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    const at = <usize>load<u32>(index + (row << 2));
    checkIndex(at, length);
    store<T>(to + row * sizeof<T>(), load<T>(source + at * sizeof<T>()));
  }
}

/** to[row] = Σ source[members[k]] for k = offsets[row] … offsets[row + 1] − 1, from the left. */
export function segmentSum<T>(
  to: usize,
  source: usize,
  offsets: usize,
  members: usize,
  rows: usize,
  length: usize,
): void {
  let k = <usize>load<u32>(offsets);
  for (let row: usize = 0; row < rows; row++) {
    const end = <usize>load<u32>(offsets + (row << 2), 4);
    let sum = <T>0;
    for (; k < end; k++) {
      const at = <usize>load<u32>(members + (k << 2));
      checkIndex(at, length);
      sum = <T>(sum + load<T>(source + at * sizeof<T>()));
    }
    store<T>(to + row * sizeof<T>(), sum);
  }
}

/**
 * to[row − firstRow] = Σ source[j] over the entries k of segment j with index[k] = row, from the left, for all j below `length`. Without
 * `offsets` (0), entry k is segment k. The result has `extent` rows in all.
 */
export function gatherT<T>(
  to: usize,
  source: usize,
  index: usize,
  offsets: usize,
  firstRow: usize,
  rows: usize,
  length: usize,
  extent: usize,
): void {
  memory.fill(to, 0, rows * sizeof<T>());
  let k: usize = offsets === 0 ? 0 : <usize>load<u32>(offsets);
  for (let j: usize = 0; j < length; j++) {
    const end = offsets === 0 ? j + 1 : <usize>load<u32>(offsets + (j << 2), 4);
    const x = load<T>(source + j * sizeof<T>());
    for (; k < end; k++) {
      const row = <usize>load<u32>(index + (k << 2));
      checkIndex(row, extent);
      const at = row - firstRow;
      if (at < rows) store<T>(to + at * sizeof<T>(), <T>(load<T>(to + at * sizeof<T>()) + x));
    }
  }
}

/**
 * to[row, lane] = table[index[lane]][row, lane]. `table`: the tile's first row in the first state; `index`: one row of whole numbers;
 * `stateBytes`: bytes of one state of the table.
 */
export function lookup<T>(
  to: usize,
  table: usize,
  index: usize,
  rows: usize,
  rowBytes: usize,
  stateBytes: usize,
  depth: usize,
): void {
  for (let lane: usize = 0; lane < rowBytes; lane += sizeof<T>()) {
    const from = table + stateAt<T>(index + lane, depth) * stateBytes + lane;
    for (let at: usize = 0; at < rows * rowBytes; at += rowBytes) store<T>(to + lane + at, load<T>(from + at));
  }
}

/** table[index[lane]][row, lane] += from[row, lane]; the arguments of `lookup`. */
export function scatter<T>(
  from: usize,
  table: usize,
  index: usize,
  rows: usize,
  rowBytes: usize,
  stateBytes: usize,
  depth: usize,
): void {
  for (let lane: usize = 0; lane < rowBytes; lane += sizeof<T>()) {
    const to = table + stateAt<T>(index + lane, depth) * stateBytes + lane;
    for (let at: usize = 0; at < rows * rowBytes; at += rowBytes) {
      store<T>(to + at, <T>(load<T>(to + at) + load<T>(from + lane + at)));
    }
  }
}

function stateAt<T>(index: usize, depth: usize): usize {
  const at = <usize>(<u32>load<T>(index));
  checkIndex(at, depth);
  return at;
}
