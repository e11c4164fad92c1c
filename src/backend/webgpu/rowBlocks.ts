// How the rows of a sparse matrix are dealt out to threads, as words for kernels/shared/rowBlocks.wgsl (which explains the scheme).

import type { IndexArray } from "../../core/csr.ts";

/** Blocks of one kind come in multiples of this, so that a workgroup of 1 to 16 blocks never mixes kinds. */
const BLOCK_MULTIPLE = 16;
/** Threads per row and vec4 of lanes, and the most entries a row of the kind may have. */
const LONG = { parts: 16, upTo: Number.POSITIVE_INFINITY } as const;
const MEDIUM = { parts: 4, upTo: 256 } as const;
const SHORT = { parts: 1, upTo: 16 } as const;
const SLOTS = 16;
const ABSENT = 0xffffffff;

/** A compressed matrix as one array of words: row table, trips of each block, indices. */
export interface RowBlocks {
  readonly words: Uint32Array;
  readonly longBlocks: number;
  readonly mediumBlocks: number;
  readonly blocks: number;
  /** Word offsets of the parts after the row table. */
  readonly tripsAt: number;
  readonly indicesAt: number;
}

/** @param ptr [nRows + 1] offsets of the rows in `indices` */
export function rowBlocks(ptr: Uint32Array, indices: IndexArray): RowBlocks {
  const rows = { long: [] as number[], medium: [] as number[], short: [] as number[] };
  for (let row = 0; row + 1 < ptr.length; row++) {
    const count = ptr[row + 1]! - ptr[row]!;
    const kind = count <= SHORT.upTo ? "short" : count <= MEDIUM.upTo ? "medium" : "long";
    rows[kind].push(row);
  }
  // Long rows first: what takes longest should not start last.
  const kinds = [
    { rows: rows.long, parts: LONG.parts },
    { rows: rows.medium, parts: MEDIUM.parts },
    { rows: rows.short, parts: SHORT.parts },
  ].map(({ rows, parts }) => {
    const perBlock = SLOTS / parts;
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
      const trips = Math.ceil((ptr[row + 1]! - ptr[row]!) / (4 * parts));
      const ofBlock = tripsAt + block + Math.floor(at / perBlock);
      words[ofBlock] = Math.max(words[ofBlock]!, trips);
    }
    block += ofKind;
  }
  // Two 16-bit indices share a word, the first in the lower half: the order of bytes that all supported hosts have.
  const view = indices.BYTES_PER_ELEMENT === 2 ? new Uint16Array(words.buffer) : words;
  view.set(indices, (4 * indicesAt) / indices.BYTES_PER_ELEMENT);
  const [long, medium] = kinds;
  return { words, longBlocks: long!.blocks, mediumBlocks: medium!.blocks, blocks, tripsAt, indicesAt };
}
