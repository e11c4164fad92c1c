// What reaches other places than its own row: gather and sums of segments (of plain vectors), lookup and scatter (of a table of
// states).

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
