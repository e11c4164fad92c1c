// The copy of a large matrix's values from CSC to CSR order, in two passes: see src/backend/wasm/csrCopy.ts.

import { checkIndex, checkRange } from "./memory";

/**
 * Appends the values of `rows` entries in CSC order, from entry `first` on, to the blocks of their rows (row >> shift). `cursors`: for each
 * block, its next place in `to`; changed.
 */
export function toBlocks<T, I>(
  to: usize,
  csc: usize,
  rowIdx: usize,
  first: usize,
  rows: usize,
  cursors: usize,
  shift: usize,
  length: usize,
): void {
  for (let k = first; k < first + rows; k++) {
    const block = <usize>load<I>(rowIdx + k * sizeof<I>()) >> shift;
    const cursor = cursors + (block << 2);
    const at = <usize>load<u32>(cursor);
    checkIndex(at, length);
    store<u32>(cursor, <u32>at + 1);
    store<T>(to + at * sizeof<T>(), load<T>(csc + k * sizeof<T>()));
  }
}

/**
 * Sorts the values of one block by row, in place. `rowPtr`: of the block's first row; `rowInBlock`: of all entries, in the order of blocks;
 * `room`: for a number per row, then all values of the block.
 */
export function sortBlock<T>(values: usize, rowPtr: usize, rows: usize, rowInBlock: usize, room: usize): void {
  const begin = <usize>load<u32>(rowPtr);
  const end = <usize>load<u32>(rowPtr + (rows << 2));
  const copy = room + (((rows << 2) + 63) & ~63);
  checkRange(copy, (end - begin) * sizeof<T>());
  memory.copy(room, rowPtr, rows << 2);
  memory.copy(copy, values + begin * sizeof<T>(), (end - begin) * sizeof<T>());
  for (let k = begin; k < end; k++) {
    const row = <usize>load<u16>(rowInBlock + (k << 1));
    checkIndex(row, rows);
    const cursor = room + (row << 2);
    const at = <usize>load<u32>(cursor);
    checkIndex(at, end);
    store<u32>(cursor, <u32>at + 1);
    store<T>(values + at * sizeof<T>(), load<T>(copy + (k - begin) * sizeof<T>()));
  }
}
