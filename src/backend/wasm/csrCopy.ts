// The copy of a large matrix's values from CSC to CSR order, in two passes.
//
// A gather reads from as many places at once as the matrix has columns, each in its own cache line and page: with more columns than caches
// hold lines, most reads miss. The first pass reads the values in CSC order instead, and appends each to the *block* of its row, which lies
// where the rows of the block lie in CSR order. The second pass sorts each block by row, from a copy that fits a core's cache. Within a
// row, columns ascend from the beginning: what comes out is CSR order.

import type { Csr } from "../../core/csr.ts";
import { bytesOf, type DType } from "../../core/dtype.ts";
import { padded } from "./arena.ts";
import type { IndexBlock, WasmSparse } from "./buffers.ts";
import { WasmExecutable } from "./compile.ts";
import * as isa from "./isa.ts";
import { type MachinePhase, machineInstr, type Slot } from "./machine.ts";

/** For the times of tiles only. */
const NS_PER_ENTRY = 2;
/** With so many columns their cache lines (64 bytes) fill 4 MiB, beyond the cache of a core. */
const FEW_COLUMNS = 2 ** 16;
/** With fewer entries in a column than a cache line holds, columns share lines. */
const ENTRIES_PER_COLUMN = 16;
/** A block fits the cache of a core. */
const MOST_BYTES = 2 ** 21;
/** Each block has a cache line that is being written. */
const MOST_BLOCKS = 2 ** 10;
/** Entries of a tile of the first pass: the places where it begins to write, a number per block, are few against them. */
const TILE_ENTRIES = 2 ** 18;

/** Block b has the rows r with r >> shift = b. */
interface Blocks {
  readonly shift: number;
  readonly count: number;
  /** Of the largest block. */
  readonly entries: number;
}

/** How a matrix is divided; null: a gather does as well, or rows are so uneven that no division is any good. */
export function blocksOf({ nRows, nCols, nnz, rowPtr }: Omit<Csr, "colIdx" | "values">, dtype: DType): Blocks | null {
  if (nCols <= FEW_COLUMNS || nnz < ENTRIES_PER_COLUMN * nCols) return null;
  for (let shift = 16; shift >= 0; shift--) {
    const count = Math.ceil(nRows / 2 ** shift);
    if (count > MOST_BLOCKS) return null;
    const entries = mostEntries(rowPtr, 2 ** shift);
    if (entries * bytesOf(dtype) <= MOST_BYTES) return { shift, count, entries };
  }
  return null;
}

function mostEntries(rowPtr: Uint32Array, rows: number): number {
  let most = 0;
  for (let row = 0; row + 1 < rowPtr.length; row += rows) {
    most = Math.max(most, rowPtr[Math.min(row + rows, rowPtr.length - 1)]! - rowPtr[row]!);
  }
  return most;
}

/** What the two passes read of a matrix, on the device. */
export class CsrCopy {
  readonly #matrix: WasmSparse;
  readonly #blocks: Blocks;
  /** [tiles, blocks], where each tile of the first pass begins to write. */
  readonly #starts: IndexBlock;
  /** [nnz] in the order of blocks. */
  readonly #rowInBlock: IndexBlock;

  /** @param index  gives arrays on the device */
  constructor(matrix: WasmSparse, blocks: Blocks, index: (name: string, bytes: 2 | 4, length: number) => IndexBlock) {
    this.#matrix = matrix;
    this.#blocks = blocks;
    this.#starts = index("blockStarts", 4, Math.ceil(matrix.nnz / TILE_ENTRIES) * blocks.count);
    this.#rowInBlock = index("rowInBlock", 2, matrix.nnz);
  }

  /** Fills the arrays; the matrix's must be there. */
  fill(): void {
    const { shift, count } = this.#blocks;
    const { nnz, nRows, rowPtrHost } = this.#matrix;
    const [rows, starts, inBlock] = [this.#matrix.rowIdx.view(), this.#starts.view(), this.#rowInBlock.view()];
    const next = Uint32Array.from({ length: count }, (_, block) => rowPtrHost[Math.min(block << shift, nRows)]!);
    const mask = 2 ** shift - 1;
    for (let k = 0; k < nnz; k++) {
      if (k % TILE_ENTRIES === 0) starts.set(next, (k / TILE_ENTRIES) * count);
      const row = rows[k]!;
      inBlock[next[row >> shift]!++] = row & mask;
    }
  }

  /** The program `executable`, which copies valuesCsc to valuesCsr, in two passes. */
  executable({ program, layout, functions, phases }: WasmExecutable): WasmExecutable {
    const { shift, count, entries } = this.#blocks;
    const { nnz, nRows, valuesCsc, valuesCsr, rowIdx, rowPtr } = this.#matrix;
    const size = bytesOf(functions.dtype);
    const room: Slot = [0, 0];
    const common = { prologue: [], reductions: [], contractions: [], profile: phases[0]!.profile };
    const e = shift;
    const toBlocks: MachinePhase = {
      ...common,
      rows: nnz,
      tileRows: TILE_ENTRIES,
      scratchBytes: padded(4 * count),
      perRow: NS_PER_ENTRY,
      body: [
        machineInstr(isa.OP_TO_BLOCKS, size, {
          ...{ d: room, e, f: count, g: nnz },
          a: [valuesCsr.address, valuesCsc.address],
          b: [rowIdx.address, rowIdx.bytesPerIndex],
          c: [this.#starts.address, 0],
        }),
      ],
    };
    const sortBlocks: MachinePhase = {
      ...common,
      rows: count,
      tileRows: 1,
      scratchBytes: padded(4 * 2 ** shift) + padded(size * entries),
      perRow: (NS_PER_ENTRY * nnz) / count,
      body: [
        machineInstr(isa.OP_SORT_BLOCK, size, {
          ...{ d: room, e, f: nRows },
          a: [valuesCsr.address, 0],
          b: [rowPtr.address, this.#rowInBlock.address],
        }),
      ],
    };
    return new WasmExecutable(program, layout, functions, [toBlocks, sortBlocks]);
  }
}
