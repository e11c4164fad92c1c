// Executes one instruction on one tile. See src/backend/wasm/isa.ts for the words of a record.

import * as isa from "../src/backend/wasm/isa";
import { sortBlock, toBlocks } from "./csrCopy";
import { gather, gatherT, lookup, scatter, segmentSum } from "./gather";
import { gemm, gemmGrad } from "./gemm";
import { checkRange, slot } from "./memory";
import { random } from "./random";
import { reduceLanes, reduceRows } from "./reduce";
import { spmm } from "./spmm";
import { spmmT, spmmTCt, spmmTGrad } from "./spmmT";
import { wholeLines } from "./vector";

/** Ends the run: the host throws an error that names the opcode. */
declare function unknownOpcode(op: i32): void;

/** Runs the instruction at `at` on tile number `tile`: `rows` rows from `firstRow` on. */
export function execute<T>(at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const op = load<i32>(at, isa.INSTR_OP);
  switch (op) {
    case isa.OP_CALL:
      call(at, tile, rows, scratch);
      break;
    case isa.OP_SPMM:
    case isa.OP_SPMM_T:
    case isa.OP_SPMM_T_CT:
    case isa.OP_SPMM_T_GRAD:
    case isa.OP_GEMM:
    case isa.OP_GEMM_T:
    case isa.OP_GEMM_GRAD:
      contraction<T>(op, at, tile, firstRow, rows, scratch);
      break;
    case isa.OP_SCATTER:
    case isa.OP_REDUCE_LANES:
    case isa.OP_REDUCE_ROWS:
      effect<T>(op, at, tile, rows, scratch);
      break;
    case isa.OP_TO_BLOCKS:
      if (word(at + isa.INSTR_B + 4) === 2) appendToBlocks<T, u16>(at, tile, firstRow, rows, scratch);
      else appendToBlocks<T, u32>(at, tile, firstRow, rows, scratch);
      break;
    case isa.OP_SORT_BLOCK:
      sort<T>(at, firstRow, scratch);
      break;
    default:
      source<T>(op, at, tile, firstRow, rows, scratch);
  }
}

/** Calls a kernel (elementary.ts) or generated code; src/backend/wasm/codegen.ts says what the arguments are. */
function call(at: usize, tile: usize, rows: usize, scratch: usize): void {
  const bytes = wholeLines(rows * word(at + isa.INSTR_WIDTH));
  call_indirect<void>(load<u32>(at, isa.INSTR_E), word(at + isa.INSTR_A), tile, scratch, bytes);
}

function word(at: usize): usize {
  return <usize>load<u32>(at);
}

function source<T>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  const bytes = wholeLines(rows * width);
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const a = word(at + isa.INSTR_A);
  checkRange(d, bytes);
  switch (op) {
    case isa.OP_CONST:
      fill<T>(d, <T>load<f64>(at, isa.INSTR_A), bytes);
      break;
    case isa.OP_SPLAT_SCALAR:
      fill<T>(d, load<T>(a), bytes);
      break;
    case isa.OP_SPLAT_SAMPLE:
      repeat(d, a, width, bytes);
      break;
    case isa.OP_ROW_INDEX:
      rowIndex<T>(d, firstRow, rows, width);
      break;
    case isa.OP_GATHER:
      gather<T>(d, a, word(at + isa.INSTR_B) + (firstRow << 2), rows, word(at + isa.INSTR_E));
      break;
    case isa.OP_LOOKUP: {
      const index = slot(at + isa.INSTR_B, tile, scratch);
      const table = a + firstRow * width;
      lookup<T>(d, table, index, rows, width, word(at + isa.INSTR_E), word(at + isa.INSTR_F));
      break;
    }
    case isa.OP_SEGMENT_SUM: {
      const offsets = word(at + isa.INSTR_B) + (firstRow << 2);
      segmentSum<T>(d, a, offsets, word(at + isa.INSTR_B + 4), rows, word(at + isa.INSTR_E));
      break;
    }
    case isa.OP_GATHER_T: {
      const index = word(at + isa.INSTR_B);
      const offsets = word(at + isa.INSTR_B + 4);
      gatherT<T>(d, a, index, offsets, firstRow, rows, word(at + isa.INSTR_E), word(at + isa.INSTR_F));
      break;
    }
    case isa.OP_RANDOM:
      random<T>(d, a, slot(at + isa.INSTR_B, tile, scratch), firstRow, rows, width / sizeof<T>());
      break;
    default:
      unknownOpcode(op);
  }
}

function fill<T>(d: usize, x: T, bytes: usize): void {
  const v = v128.splat<T>(x);
  for (let i: usize = 0; i < bytes; i += 16) v128.store(d + i, v);
}

/** Repeats `period` bytes until `bytes` are full. */
function repeat(d: usize, a: usize, period: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; ) {
    for (let j: usize = 0; j < period; i += 16, j += 16) v128.store(d + i, v128.load(a + j));
  }
}

/** The row numbers, one per row: `width` is the size of a number. */
function rowIndex<T>(d: usize, firstRow: usize, rows: usize, width: usize): void {
  for (let row: usize = 0; row < rows; row++) store<T>(d + row * width, <T>(firstRow + row));
}

/** Chooses the code for the row width: the type parameter S of the kernels. */
function contraction<T>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  if (sizeof<T>() === 4) {
    if (width === 16) contractionOf<T, u8>(op, at, tile, firstRow, rows, scratch);
    else if (width === 32) contractionOf<T, u16>(op, at, tile, firstRow, rows, scratch);
    else contractionOf<T, u32>(op, at, tile, firstRow, rows, scratch);
  } else {
    if (width === 32) contractionOf<T, u16>(op, at, tile, firstRow, rows, scratch);
    else if (width === 64) contractionOf<T, u32>(op, at, tile, firstRow, rows, scratch);
    else contractionOf<T, u64>(op, at, tile, firstRow, rows, scratch);
  }
}

function contractionOf<T, S>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const isDense = op === isa.OP_GEMM || op === isa.OP_GEMM_T || op === isa.OP_GEMM_GRAD;
  // Second word of slot C: bytes of an index.
  if (isDense) dense<T, S>(op, at, tile, firstRow, rows, scratch);
  else if (word(at + isa.INSTR_C + 4) === 2) sparse<T, u16, S>(op, at, tile, firstRow, rows, scratch);
  else sparse<T, u32, S>(op, at, tile, firstRow, rows, scratch);
}

function sparse<T, I, S>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const ptr = word(at + isa.INSTR_B);
  const idx = word(at + isa.INSTR_B + 4);
  const values = word(at + isa.INSTR_C);
  const e = word(at + isa.INSTR_E);
  const g = word(at + isa.INSTR_G);
  const end = firstRow + rows;
  if (op === isa.OP_SPMM) {
    spmm<T, I, S>(firstRow, end, ptr, g, idx, values, e, word(at + isa.INSTR_A), d);
    return;
  }
  const x = slot(at + isa.INSTR_A, tile, scratch);
  const grad = word(at + isa.INSTR_F);
  switch (op) {
    case isa.OP_SPMM_T:
      spmmT<T, I, S>(firstRow, end, ptr, idx, g, values, e, x, d, grad);
      break;
    case isa.OP_SPMM_T_CT:
      spmmTCt<T, I, S>(firstRow, end, ptr, idx, g, values, e, d);
      break;
    case isa.OP_SPMM_T_GRAD:
      spmmTGrad<T, I, S>(firstRow, end, ptr, idx, g, e, x, grad);
      break;
    default:
      unknownOpcode(op);
  }
}

function dense<T, S>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const matrix = word(at + isa.INSTR_B);
  const extent = word(at + isa.INSTR_B + 4);
  const c = word(at + isa.INSTR_C) * sizeof<T>();
  switch (op) {
    case isa.OP_GEMM: {
      const stride = extent * sizeof<T>();
      gemm<T, S>(rows, extent, matrix + firstRow * stride, stride, sizeof<T>(), word(at + isa.INSTR_A), d);
      break;
    }
    case isa.OP_GEMM_T: {
      const column = matrix + firstRow * sizeof<T>();
      gemm<T, S>(rows, extent, column, sizeof<T>(), c, word(at + isa.INSTR_A), d);
      break;
    }
    case isa.OP_GEMM_GRAD: {
      const column = matrix + firstRow * sizeof<T>();
      const x = slot(at + isa.INSTR_A, tile, scratch);
      gemmGrad<T, S>(rows, extent, c, word(at + isa.INSTR_C + 4), x, column, d);
      break;
    }
    default:
      unknownOpcode(op);
  }
}

function appendToBlocks<T, I>(at: usize, tile: usize, first: usize, rows: usize, scratch: usize): void {
  const cursors = slot(at + isa.INSTR_D, tile, scratch);
  const bytes = word(at + isa.INSTR_F) << 2;
  checkRange(cursors, bytes);
  memory.copy(cursors, word(at + isa.INSTR_C) + tile * bytes, bytes);
  const csc = word(at + isa.INSTR_A + 4);
  const rowIdx = word(at + isa.INSTR_B);
  const shift = word(at + isa.INSTR_E);
  toBlocks<T, I>(word(at + isa.INSTR_A), csc, rowIdx, first, rows, cursors, shift, word(at + isa.INSTR_G));
}

function sort<T>(at: usize, block: usize, scratch: usize): void {
  const shift = word(at + isa.INSTR_E);
  const firstRow = block << shift;
  const rows = min<usize>((<usize>1) << shift, word(at + isa.INSTR_F) - firstRow);
  const rowPtr = word(at + isa.INSTR_B) + (firstRow << 2);
  const room = slot(at + isa.INSTR_D, block, scratch);
  sortBlock<T>(word(at + isa.INSTR_A), rowPtr, rows, word(at + isa.INSTR_B + 4), room);
}

function effect<T>(op: i32, at: usize, tile: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  const d = slot(at + isa.INSTR_D, tile, scratch);
  switch (op) {
    case isa.OP_SCATTER: {
      const index = slot(at + isa.INSTR_B, tile, scratch);
      const table = slot(at + isa.INSTR_A, tile, scratch);
      scatter<T>(d, table, index, rows, width, word(at + isa.INSTR_E), word(at + isa.INSTR_F));
      break;
    }
    case isa.OP_REDUCE_LANES:
      reduceLanes<T>(d, slot(at + isa.INSTR_A, tile, scratch), rows, width, load<u32>(at, isa.INSTR_E) !== 0);
      break;
    case isa.OP_REDUCE_ROWS:
      reduceRows<T>(d, slot(at + isa.INSTR_A, tile, scratch), rows, width, load<i32>(at, isa.INSTR_E));
      break;
    default:
      unknownOpcode(op);
  }
}
