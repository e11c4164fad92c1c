// How the rows of a sparse matrix are dealt out to threads, as words for kernels/shared/rowBlocks.wgsl (which explains the scheme).

import type { IndexArray } from "../../core/csr.ts";
import type { SparseTuning } from "./sparseTuning.ts";

/** Threads of a workgroup of the kernels, and threads of a block for each vec4 of lanes. */
export const SPARSE_WORKGROUP = 256;
export const SPARSE_SLOTS = 64;
/** Threads that walk a row, kind by kind. Long rows first: what takes longest should not start last. */
const PARTS = [64, 16, 4, 1] as const;
/** Blocks of one kind come in multiples of this, the most that a workgroup has, so that none mixes kinds. */
const BLOCK_MULTIPLE = SPARSE_WORKGROUP / SPARSE_SLOTS;
const ABSENT = 0xffffffff;

/** A compressed matrix as one array of words: row table, trips of each block, indices. */
export interface RowBlocks {
  readonly words: Uint32Array;
  /** Blocks whose rows are walked by 64, 16 and 4 threads; the others' rows have one each. */
  readonly blocks64: number;
  readonly blocks16: number;
  readonly blocks4: number;
  readonly blocks: number;
  /** Word offsets of the parts after the row table. */
  readonly tripsAt: number;
  readonly indicesAt: number;
}

/** @param ptr [nRows + 1] offsets of the rows in `indices` */
export function rowBlocks(ptr: Uint32Array, indices: IndexArray, { limits, window }: SparseTuning): RowBlocks {
  const lengthOf = (row: number): number => ptr[row + 1]! - ptr[row]!;
  const rowsOf = PARTS.map((): number[] => []);
  for (let row = 0; row + 1 < ptr.length; row++) {
    const above = limits.filter((limit) => lengthOf(row) > limit).length;
    rowsOf[PARTS.length - 1 - above]!.push(row);
  }
  const kinds = PARTS.map((parts, kind) => {
    const perBlock = SPARSE_SLOTS / parts;
    const rows = sortedInWindows(rowsOf[kind]!, window, lengthOf);
    const blocks = Math.ceil(rows.length / perBlock / BLOCK_MULTIPLE) * BLOCK_MULTIPLE;
    return { rows, parts, perBlock, blocks };
  });
  const blocks = kinds.reduce((sum, kind) => sum + kind.blocks, 0);
  const entries = kinds.reduce((sum, kind) => sum + kind.blocks * kind.perBlock, 0);
  const tripsAt = 3 * entries;
  const indicesAt = tripsAt + blocks;
  const words = new Uint32Array(indicesAt + Math.ceil((indices.length * indices.BYTES_PER_ELEMENT) / 4));

  let entry = 0;
  let block = 0;
  for (const { rows, parts, perBlock, blocks: ofKind } of kinds) {
    for (let at = 0; at < ofKind * perBlock; at++, entry++) {
      const row = rows[at];
      words.set(row === undefined ? [ABSENT, 0, 0] : [row, ptr[row]!, ptr[row + 1]!], 3 * entry);
      if (row === undefined) continue;
      const trips = Math.ceil(lengthOf(row) / (4 * parts));
      const ofBlock = tripsAt + block + Math.floor(at / perBlock);
      words[ofBlock] = Math.max(words[ofBlock]!, trips);
    }
    block += ofKind;
  }
  // Two 16-bit indices share a word, the first in the lower half: the order of bytes that all supported hosts have.
  const view = indices.BYTES_PER_ELEMENT === 2 ? new Uint16Array(words.buffer) : words;
  view.set(indices, (4 * indicesAt) / indices.BYTES_PER_ELEMENT);
  const [blocks64, blocks16, blocks4] = kinds.map((kind) => kind.blocks) as [number, number, number, number];
  return { words, blocks64, blocks16, blocks4, blocks, tripsAt, indicesAt };
}

/** Rows of equal length side by side, longest first: threads that run in step have as much to do, and what takes long does not start last. */
function sortedInWindows(rows: readonly number[], window: number, lengthOf: (row: number) => number): number[] {
  const sorted: number[] = [];
  const size = Math.min(window, rows.length);
  for (let at = 0; at < rows.length; at += size) {
    const part = rows.slice(at, at + size);
    for (const row of part.sort((a, b) => lengthOf(b) - lengthOf(a) || a - b)) sorted.push(row);
  }
  return sorted;
}
