// Executes one instruction on one tile. See src/backend/wasm/isa.ts for the words of a record.

import * as isa from "../src/backend/wasm/isa";
import { gather, lookup, scatter } from "./gather";
import { gemm, gemmGrad } from "./gemm";
import { checkRange } from "./memory";
import * as pw from "./pointwise";
import { random } from "./random";
import { reduceLanes, reduceRows } from "./reduce";
import { spmm } from "./spmm";
import { type No, spmmT, type Yes } from "./spmmT";
import { wholeVectors } from "./vector";

/** Runs the instruction at `at` on tile number `tile`: `rows` rows from `firstRow` on. */
export function execute<T>(at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const op = load<i32>(at, isa.INSTR_OP);
  if (op >= isa.OP_SCATTER) effect<T>(op, at, tile, rows, scratch);
  else if (op >= isa.OP_SPMM) contraction<T>(op, at, tile, firstRow, rows, scratch);
  else if (op >= isa.OP_NEG) pointwise<T>(op, at, tile, rows, scratch);
  else source<T>(op, at, tile, firstRow, rows, scratch);
}

/** Address of the slot at `at`: a register of this thread, or the tile's part of an array. */
function slot(at: usize, tile: usize, scratch: usize): usize {
  const stride = <usize>load<u32>(at, 4);
  return <usize>load<u32>(at) + (stride === 0 ? scratch : tile * stride);
}

function word(at: usize): usize {
  return <usize>load<u32>(at);
}

function source<T>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  const bytes = wholeVectors(rows * width);
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const a = word(at + isa.INSTR_A);
  checkRange(d, bytes);
  switch (op) {
    case isa.OP_COPY:
      return repeat(d, slot(at + isa.INSTR_A, tile, scratch), bytes, bytes);
    case isa.OP_CONST:
      return fill<T>(d, <T>load<f64>(at, isa.INSTR_A), bytes);
    case isa.OP_SPLAT_SCALAR:
      return fill<T>(d, load<T>(a), bytes);
    case isa.OP_SPLAT_SAMPLE:
      return repeat(d, a, width, bytes);
    case isa.OP_SPLAT_ROW:
      return splatRows<T>(d, slot(at + isa.INSTR_A, tile, scratch), width, bytes);
    case isa.OP_ROW_INDEX:
      return rowIndex<T>(d, firstRow, rows, width);
    case isa.OP_GATHER:
      return gather<T>(d, a, word(at + isa.INSTR_B) + (firstRow << 2), rows, word(at + isa.INSTR_E));
    case isa.OP_LOOKUP: {
      const index = slot(at + isa.INSTR_B, tile, scratch);
      const table = a + firstRow * width;
      return lookup<T>(d, table, index, rows, width, word(at + isa.INSTR_E), word(at + isa.INSTR_F));
    }
    case isa.OP_RANDOM:
      return random<T>(d, a, slot(at + isa.INSTR_B, tile, scratch), firstRow, rows, width / sizeof<T>());
    default:
      unreachable();
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

function splatRows<T>(d: usize, a: usize, width: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; a += sizeof<T>()) {
    const v = v128.splat<T>(load<T>(a));
    for (const end = i + width; i < end; i += 16) v128.store(d + i, v);
  }
}

/** The row numbers, one per row: `width` is the size of a number. */
function rowIndex<T>(d: usize, firstRow: usize, rows: usize, width: usize): void {
  for (let row: usize = 0; row < rows; row++) store<T>(d + row * width, <T>(firstRow + row));
}

function pointwise<T>(op: i32, at: usize, tile: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  const bytes = wholeVectors(rows * width);
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const a = slot(at + isa.INSTR_A, tile, scratch);
  checkRange(d, bytes);
  if (op < isa.OP_ADD) return unary<T>(op, d, a, bytes);
  const b = slot(at + isa.INSTR_B, tile, scratch);
  if (op < isa.OP_SELECT) return binary<T>(op, d, a, b, bytes, width, load<i32>(at, isa.INSTR_E));
  ternary<T>(op, d, a, b, slot(at + isa.INSTR_C, tile, scratch), bytes);
}

function unary<T>(op: i32, d: usize, a: usize, bytes: usize): void {
  switch (op) {
    case isa.OP_NEG:
      return pw.unary<T, pw.Neg>(d, a, bytes);
    case isa.OP_ABS:
      return pw.unary<T, pw.Abs>(d, a, bytes);
    case isa.OP_SIGN:
      return pw.unary<T, pw.Sign>(d, a, bytes);
    case isa.OP_EXP:
      return pw.unary<T, pw.Exp>(d, a, bytes);
    case isa.OP_LOG:
      return pw.unary<T, pw.Log>(d, a, bytes);
    case isa.OP_SQRT:
      return pw.unary<T, pw.Sqrt>(d, a, bytes);
    case isa.OP_FLOOR:
      return pw.unary<T, pw.Floor>(d, a, bytes);
    case isa.OP_RELU:
      return pw.unary<T, pw.Relu>(d, a, bytes);
    case isa.OP_SIGMOID:
      return pw.unary<T, pw.Sigmoid>(d, a, bytes);
    case isa.OP_TANH:
      return pw.unary<T, pw.Tanh>(d, a, bytes);
    case isa.OP_SOFTPLUS:
      return pw.unary<T, pw.Softplus>(d, a, bytes);
    case isa.OP_ERF:
      return pw.unary<T, pw.Erf>(d, a, bytes);
    case isa.OP_IS_FINITE:
      return pw.unary<T, pw.IsFinite>(d, a, bytes);
    default:
      unreachable();
  }
}

function binary<T>(op: i32, d: usize, a: usize, b: usize, bytes: usize, width: usize, mode: i32): void {
  switch (op) {
    case isa.OP_ADD:
      return pw.binary<T, pw.Add>(d, a, b, bytes, width, mode);
    case isa.OP_SUB:
      return pw.binary<T, pw.Sub>(d, a, b, bytes, width, mode);
    case isa.OP_MUL:
      return pw.binary<T, pw.Mul>(d, a, b, bytes, width, mode);
    case isa.OP_DIV:
      return pw.binary<T, pw.Div>(d, a, b, bytes, width, mode);
    case isa.OP_MIN:
      return pw.binary<T, pw.Min>(d, a, b, bytes, width, mode);
    case isa.OP_MAX:
      return pw.binary<T, pw.Max>(d, a, b, bytes, width, mode);
    case isa.OP_LT:
      return pw.binary<T, pw.Lt>(d, a, b, bytes, width, mode);
    case isa.OP_LE:
      return pw.binary<T, pw.Le>(d, a, b, bytes, width, mode);
    case isa.OP_EQ:
      return pw.binary<T, pw.Eq>(d, a, b, bytes, width, mode);
    case isa.OP_POW:
      return pw.binary<T, pw.Pow>(d, a, b, bytes, width, mode);
    default:
      unreachable();
  }
}

function ternary<T>(op: i32, d: usize, a: usize, b: usize, c: usize, bytes: usize): void {
  switch (op) {
    case isa.OP_SELECT:
      return pw.ternary<T, pw.Select>(d, a, b, c, bytes);
    case isa.OP_MUL_ADD:
      return pw.ternary<T, pw.MulAdd>(d, a, b, c, bytes);
    case isa.OP_MUL_SUB:
      return pw.ternary<T, pw.MulSub>(d, a, b, c, bytes);
    case isa.OP_MUL_RSUB:
      return pw.ternary<T, pw.MulRsub>(d, a, b, c, bytes);
    default:
      unreachable();
  }
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
  if (op >= isa.OP_GEMM) return dense<T, S>(op, at, tile, firstRow, rows, scratch);
  // Second word of slot C: bytes of an index.
  if (word(at + isa.INSTR_C + 4) === 2) sparse<T, u16, S>(op, at, tile, firstRow, rows, scratch);
  else sparse<T, u32, S>(op, at, tile, firstRow, rows, scratch);
}

function sparse<T, I, S>(op: i32, at: usize, tile: usize, firstRow: usize, rows: usize, scratch: usize): void {
  const d = slot(at + isa.INSTR_D, tile, scratch);
  const ptr = word(at + isa.INSTR_B);
  const idx = word(at + isa.INSTR_B + 4);
  const values = word(at + isa.INSTR_C);
  const e = word(at + isa.INSTR_E);
  const end = firstRow + rows;
  if (op === isa.OP_SPMM) {
    return spmm<T, I, S>(firstRow, end, ptr, idx, values, e, word(at + isa.INSTR_A), d);
  }
  const x = slot(at + isa.INSTR_A, tile, scratch);
  const grad = word(at + isa.INSTR_F);
  switch (op) {
    case isa.OP_SPMM_T:
      return spmmT<T, I, S, Yes, Yes>(firstRow, end, ptr, idx, values, e, x, d, grad);
    case isa.OP_SPMM_T_CT:
      return spmmT<T, I, S, Yes, No>(firstRow, end, ptr, idx, values, e, x, d, grad);
    case isa.OP_SPMM_T_GRAD:
      return spmmT<T, I, S, No, Yes>(firstRow, end, ptr, idx, values, e, x, d, grad);
    default:
      unreachable();
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
      return gemm<T, S>(rows, extent, matrix + firstRow * stride, stride, sizeof<T>(), word(at + isa.INSTR_A), d);
    }
    case isa.OP_GEMM_T: {
      const column = matrix + firstRow * sizeof<T>();
      return gemm<T, S>(rows, extent, column, sizeof<T>(), c, word(at + isa.INSTR_A), d);
    }
    case isa.OP_GEMM_GRAD: {
      const column = matrix + firstRow * sizeof<T>();
      const x = slot(at + isa.INSTR_A, tile, scratch);
      return gemmGrad<T, S>(rows, extent, c, word(at + isa.INSTR_C + 4), x, column);
    }
    default:
      unreachable();
  }
}

function effect<T>(op: i32, at: usize, tile: usize, rows: usize, scratch: usize): void {
  const width = word(at + isa.INSTR_WIDTH);
  const d = slot(at + isa.INSTR_D, tile, scratch);
  switch (op) {
    case isa.OP_SCATTER: {
      const index = slot(at + isa.INSTR_B, tile, scratch);
      const table = slot(at + isa.INSTR_A, tile, scratch);
      return scatter<T>(d, table, index, rows, width, word(at + isa.INSTR_E), word(at + isa.INSTR_F));
    }
    case isa.OP_REDUCE_LANES:
      return reduceLanes<T>(d, slot(at + isa.INSTR_A, tile, scratch), rows, width, load<u32>(at, isa.INSTR_E) !== 0);
    case isa.OP_REDUCE_ROWS:
      return reduceRows<T>(d, slot(at + isa.INSTR_A, tile, scratch), rows, width, load<i32>(at, isa.INSTR_E));
    default:
      unreachable();
  }
}
