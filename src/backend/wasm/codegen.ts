// Generated code: a block of pointwise operations as one WebAssembly function, so that the values between them stay in registers. The
// instructions of each operation stand in ../pointwise.ts.
//
// A function has four arguments: the address of its operand table (pairs of words as in isa.ts: an address and its stride in bytes per
// tile), the number of the tile, the address of the thread's registers, and the bytes that one full value takes in the tile, a multiple of 64.

import { bytesOf, type DType } from "../../core/dtype.ts";
import { BackendError } from "../../core/errors.ts";
import { POINTWISE_CODE, type VectorInstr } from "../pointwise.ts";
import type { PointwiseOp } from "../program.ts";

/** A number of a block, for every row and lane of a tile. */
export type BlockValue =
  /** What an operand holds; of a `splat` operand the one number of the row. */
  | { readonly op: "load" | "splat"; readonly operand: number }
  /** An operation on values before it. */
  | { readonly op: PointwiseOp; readonly args: readonly number[] };

/** What a function does, tile by tile. */
export interface FusedBlock {
  readonly dtype: DType;
  /** Bytes of one row of a full value. */
  readonly width: number;
  /** Whether an operand lies in the thread's registers; else it is the tile's part of an array. */
  readonly operands: readonly { readonly register: boolean }[];
  readonly values: readonly BlockValue[];
  /** Written at the end, after everything has been read. */
  readonly stores: readonly { readonly operand: number; readonly value: number }[];
}

const I32 = 0x7f;
const V128 = 0x7b;

/** Opcodes behind the prefix 0xfd. */
const VECTOR_OPS: Readonly<Record<DType, Readonly<Record<VectorInstr | "loadSplat", number>>>> = {
  f32: { ...laneOps(0x41, 0xe0), floor: 0x68, loadSplat: 0x09 },
  f64: { ...laneOps(0x47, 0xec), floor: 0x75, loadSplat: 0x0a },
};

/** Comparisons and arithmetic have the same order in both precisions; `and` and `bitselect` work on bits. */
function laneOps(eq: number, abs: number): Readonly<Record<Exclude<VectorInstr, "floor">, number>> {
  return {
    ...{ eq, lt: eq + 2, gt: eq + 3, le: eq + 4 },
    ...{ abs, neg: abs + 1, sqrt: abs + 3, add: abs + 4, sub: abs + 5, mul: abs + 6, div: abs + 7 },
    ...{ min: abs + 8, max: abs + 9, pmax: abs + 11, and: 0x4e, bitselect: 0x52 },
  };
}

const V128_LOAD = 0x00;
const V128_STORE = 0x0b;
const V128_CONST = 0x0c;

const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_LOAD = 0x28;
const MEMORY_SIZE = 0x3f;
const I32_CONST = 0x41;
const I32_LT_U = 0x49;
const I64_GT_U = 0x56;
const I32_ADD = 0x6a;
const I32_MUL = 0x6c;
const I32_SHL = 0x74;
const I32_SHR_U = 0x76;
const I64_EXTEND_I32_U = 0xad;
const I64_ADD = 0x7c;
const I64_SHL = 0x86;
const I64_CONST = 0x42;
const UNREACHABLE = 0x00;
const LOOP = 0x03;
const IF = 0x04;
const END = 0x0b;
const BR_IF = 0x0d;
const NO_RESULT = 0x40;

// The arguments of a function.
const TABLE = 0;
const TILE = 1;
const REGISTERS = 2;
const BYTES = 3;
const N_ARGUMENTS = 4;

/**
 * The function of a block, as it stands in a code section.
 *
 * @param firstAddress if given, the function traps where an operand does not lie between this address and the end of memory
 */
export function functionOf(block: FusedBlock, firstAddress: number | null): Uint8Array {
  return new FunctionWriter(block).write(firstAddress);
}

class FunctionWriter {
  readonly #block: FusedBlock;
  readonly #code: number[] = [];
  /** Local variables: addresses of operands, bytes into the tile, what a row's numbers lie beyond them, values, and the constants ±1. */
  readonly #offset: number;
  readonly #rowOffset: number;
  readonly #values: number;
  readonly #one: number;
  readonly #minusOne: number;
  readonly #nLocals: { readonly i32: number; readonly v128: number };
  readonly #rowShift: number;
  readonly #numberShift: number;

  constructor(block: FusedBlock) {
    this.#block = block;
    const nOperands = block.operands.length;
    this.#offset = N_ARGUMENTS + nOperands;
    this.#rowOffset = this.#offset + 1;
    this.#values = this.#rowOffset + 1;
    this.#one = this.#values + block.values.length;
    this.#minusOne = this.#one + 1;
    this.#nLocals = { i32: nOperands + 2, v128: block.values.length + 2 };
    this.#rowShift = Math.log2(block.width);
    this.#numberShift = Math.log2(bytesOf(block.dtype));
  }

  write(firstAddress: number | null): Uint8Array {
    const { operands, values } = this.#block;
    operands.forEach((operand, i) => {
      this.#findOperand(i, operand.register);
    });
    if (firstAddress !== null) this.#checkOperands(firstAddress);
    this.#constant(1);
    this.#put(LOCAL_SET, ...unsigned(this.#one));
    this.#constant(-1);
    this.#put(LOCAL_SET, ...unsigned(this.#minusOne));
    // A short body is repeated, so that counting does not take longer than the work. Tiles have a multiple of four vectors.
    const nVectors = values.length <= 12 ? 4 : values.length <= 40 ? 2 : 1;
    const splats = values.some(({ op }) => op === "splat");
    this.#put(LOOP, NO_RESULT);
    if (splats) this.#findRow();
    for (let vector = 0; vector < nVectors; vector++) this.#vector(vector);
    this.#get(this.#offset);
    this.#put(I32_CONST, ...signed(16 * nVectors), I32_ADD, LOCAL_TEE, ...unsigned(this.#offset));
    this.#get(BYTES);
    this.#put(I32_LT_U, BR_IF, 0, END, END);
    const locals = [2, ...unsigned(this.#nLocals.i32), I32, ...unsigned(this.#nLocals.v128), V128];
    return Uint8Array.from([...unsigned(locals.length + this.#code.length), ...locals, ...this.#code]);
  }

  /** The operand's address in this tile: its first word, plus the registers or as many strides as there are tiles before. */
  #findOperand(i: number, register: boolean): void {
    const word = (at: number): void => {
      this.#get(TABLE);
      this.#put(I32_LOAD, 2, ...unsigned(at));
    };
    word(8 * i);
    if (register) this.#get(REGISTERS);
    else {
      word(8 * i + 4);
      this.#get(TILE);
      this.#put(I32_MUL);
    }
    this.#put(I32_ADD, LOCAL_SET, ...unsigned(N_ARGUMENTS + i));
  }

  #checkOperands(firstAddress: number): void {
    const { operands, values } = this.#block;
    for (const i of operands.keys()) {
      const splat = values.some((v) => v.op === "splat" && v.operand === i);
      this.#get(N_ARGUMENTS + i);
      this.#put(I32_CONST, ...signed(firstAddress | 0), I32_LT_U, IF, NO_RESULT, UNREACHABLE, END);
      this.#get(N_ARGUMENTS + i);
      this.#put(I64_EXTEND_I32_U);
      this.#get(BYTES);
      if (splat) this.#toRow();
      this.#put(I64_EXTEND_I32_U, I64_ADD, MEMORY_SIZE, 0, I64_EXTEND_I32_U, I64_CONST, 16, I64_SHL);
      this.#put(I64_GT_U, IF, NO_RESULT, UNREACHABLE, END);
    }
  }

  #findRow(): void {
    this.#get(this.#offset);
    this.#toRow();
    this.#put(LOCAL_SET, ...unsigned(this.#rowOffset));
  }

  /** From bytes into a full value to bytes into one that has a number per row. */
  #toRow(): void {
    this.#put(I32_CONST, this.#rowShift, I32_SHR_U, I32_CONST, this.#numberShift, I32_SHL);
  }

  /** All values and stores of vector number `vector` from the present place on. */
  #vector(vector: number): void {
    const { values, stores, dtype } = this.#block;
    const bytes = 16 * vector;
    const row = bytes >> this.#rowShift;
    const sameRow = vector > 0 && row === (bytes - 16) >> this.#rowShift;
    values.forEach((value, i) => {
      if (value.op === "load") {
        this.#address(value.operand, this.#offset);
        this.#vectorOp(V128_LOAD, 4, ...unsigned(bytes));
      } else if (value.op === "splat") {
        if (sameRow) return;
        this.#address(value.operand, this.#rowOffset);
        this.#vectorOp(VECTOR_OPS[dtype].loadSplat, this.#numberShift, ...unsigned(row << this.#numberShift));
      } else if ("args" in value) this.#compute(value.op, value.args);
      this.#put(LOCAL_SET, ...unsigned(this.#values + i));
    });
    for (const { operand, value } of stores) {
      this.#address(operand, this.#offset);
      this.#get(this.#values + value);
      this.#vectorOp(V128_STORE, 4, ...unsigned(bytes));
    }
  }

  #address(operand: number, offset: number): void {
    this.#get(N_ARGUMENTS + operand);
    this.#get(offset);
    this.#put(I32_ADD);
  }

  /** Leaves the result of an operation on the stack. */
  #compute(op: PointwiseOp, args: readonly number[]): void {
    const { wasm } = POINTWISE_CODE[op];
    if ("nsPerVector" in wasm) throw new BackendError("program", `expected vector instructions, got the kernel ${op}`);
    for (const step of wasm) {
      if (step === "a" || step === "b" || step === "c") this.#get(this.#values + args["abc".indexOf(step)]!);
      else if (step === 0) this.#constant(0);
      else if (step === 1) this.#get(this.#one);
      else if (step === -1) this.#get(this.#minusOne);
      else this.#vectorOp(VECTOR_OPS[this.#block.dtype][step]);
    }
  }

  /** A vector of a constant. */
  #constant(x: number): void {
    const numbers = this.#block.dtype === "f32" ? new Float32Array(4).fill(x) : new Float64Array(2).fill(x);
    this.#vectorOp(V128_CONST, ...new Uint8Array(numbers.buffer));
  }

  #vectorOp(op: number, ...immediates: readonly number[]): void {
    this.#put(0xfd, ...unsigned(op), ...immediates);
  }

  #get(local: number): void {
    this.#put(LOCAL_GET, ...unsigned(local));
  }

  #put(...bytes: readonly number[]): void {
    this.#code.push(...bytes);
  }
}

/** A module of functions, exported by their numbers; it imports the shared memory as env.memory. */
export function moduleOf(functions: readonly Uint8Array[]): Uint8Array {
  const arguments_ = [N_ARGUMENTS, ...new Array<number>(N_ARGUMENTS).fill(I32)];
  const exported = functions.map((_, i) => [...text(`${i}`), 0, ...unsigned(i)]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, ...arguments_, 0]]),
    // Shared, at least 1 page, at most 65,536.
    ...section(2, [[...text("env"), ...text("memory"), 2, 3, 1, ...unsigned(65536)]]),
    ...section(
      3,
      functions.map(() => [0]),
    ),
    ...section(7, exported),
    ...section(
      10,
      functions.map((code) => [...code]),
    ),
  ]);
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  const content = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(content.length), ...content];
}

function text(name: string): number[] {
  return [name.length, ...new TextEncoder().encode(name)];
}

/** LEB128 of a whole number from 0 to 2^32 − 1. */
function unsigned(x: number): number[] {
  const bytes: number[] = [];
  do {
    const rest = Math.floor(x / 128);
    bytes.push((x % 128) + (rest > 0 ? 128 : 0));
    x = rest;
  } while (x > 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
function signed(x: number): number[] {
  const bytes: number[] = [];
  for (;;) {
    const byte = x & 0x7f;
    x >>= 7;
    const done = (x === 0 && (byte & 0x40) === 0) || (x === -1 && (byte & 0x40) !== 0);
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}
