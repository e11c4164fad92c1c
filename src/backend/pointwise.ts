// What a pointwise op is on each device: its number of operands, its WASM instructions or kernel, its WGSL. Cost and VJP are in
// ops/pointwise.ts, the meaning at NaN and infinity in program.ts.

import type { BinaryOp, PointwiseOp, TernaryOp, UnaryOp } from "./program.ts";

/** Instructions on vectors of f32 or f64. Comparisons give masks; `pmax` gives its first operand where one is NaN. */
export type VectorInstr =
  | "neg"
  | "abs"
  | "sqrt"
  | "floor"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "min"
  | "max"
  | "pmax"
  | "eq"
  | "lt"
  | "gt"
  | "le"
  | "and"
  | "bitselect";

/** Code for a stack of vectors: an operand or a number is pushed; an instruction takes its operands from the top and pushes its result. */
export type StackCode = readonly ("a" | "b" | "c" | 0 | 1 | -1 | VectorInstr)[];

/** A function in assembly/elementary.ts, exported as `…F32` and `…F64`. */
export interface Kernel {
  /** Nanoseconds per 16 bytes. They decide how work is shared among threads, not what is computed. */
  readonly nsPerVector: number;
}

/** How both devices compute an op. */
export interface PointwiseCode {
  readonly arity: 1 | 2 | 3;
  readonly wasm: StackCode | Kernel;
  /** An expression of its operands, which are names. Functions are in kernels/shared/math.wgsl. */
  readonly wgsl: (...operands: readonly string[]) => string;
}

/** A row of the table; `Operands` has a string for each operand. */
interface Row<Operands extends readonly string[]> {
  readonly wasm: StackCode | Kernel;
  readonly wgsl: (...operands: Operands) => string;
}

const kernel = (nsPerVector: number): Kernel => ({ nsPerVector });

const UNARY: Readonly<Record<UnaryOp, Row<[a: string]>>> = {
  neg: { wasm: ["a", "neg"], wgsl: (a) => `-${a}` },
  abs: { wasm: ["a", "abs"], wgsl: (a) => `abs(${a})` },
  // 1, −1, or x itself: ±0 and NaN.
  sign: {
    wasm: [1, -1, "a", "a", 0, "lt", "bitselect", "a", 0, "gt", "bitselect"],
    wgsl: (a) => `signOf(${a})`,
  },
  exp: { wasm: kernel(10), wgsl: (a) => `expOf(${a})` },
  log: { wasm: kernel(10), wgsl: (a) => `logOf(${a})` },
  log1p: { wasm: kernel(10), wgsl: (a) => `log1pOf(${a})` },
  expm1: { wasm: kernel(10), wgsl: (a) => `expm1Of(${a})` },
  sin: { wasm: kernel(10), wgsl: (a) => `sinOf(${a})` },
  cos: { wasm: kernel(10), wgsl: (a) => `cosOf(${a})` },
  sqrt: { wasm: ["a", "sqrt"], wgsl: (a) => `sqrtOf(${a})` },
  floor: { wasm: ["a", "floor"], wgsl: (a) => `floor(${a})` },
  // x < 0 ? 0 : x, so NaN stays.
  relu: { wasm: ["a", 0, "pmax"], wgsl: (a) => `reluOf(${a})` },
  sigmoid: { wasm: kernel(10), wgsl: (a) => `sigmoidOf(${a})` },
  tanh: { wasm: kernel(10), wgsl: (a) => `tanhOf(${a})` },
  softplus: { wasm: kernel(10), wgsl: (a) => `softplusOf(${a})` },
  erf: { wasm: kernel(10), wgsl: (a) => `erfOf(${a})` },
  // x − x is 0 for a finite number, else NaN.
  isFinite: { wasm: ["a", "a", "sub", 0, "eq", 1, "and"], wgsl: (a) => `isFiniteOf(${a})` },
};

const BINARY: Readonly<Record<BinaryOp, Row<[a: string, b: string]>>> = {
  add: { wasm: ["a", "b", "add"], wgsl: (a, b) => `${a} + ${b}` },
  sub: { wasm: ["a", "b", "sub"], wgsl: (a, b) => `${a} - ${b}` },
  mul: { wasm: ["a", "b", "mul"], wgsl: (a, b) => `${a} * ${b}` },
  div: { wasm: ["a", "b", "div"], wgsl: (a, b) => `${a} / ${b}` },
  min: { wasm: ["a", "b", "min"], wgsl: (a, b) => `minOf(${a}, ${b})` },
  max: { wasm: ["a", "b", "max"], wgsl: (a, b) => `maxOf(${a}, ${b})` },
  lt: { wasm: ["a", "b", "lt", 1, "and"], wgsl: (a, b) => `ltOf(${a}, ${b})` },
  le: { wasm: ["a", "b", "le", 1, "and"], wgsl: (a, b) => `leOf(${a}, ${b})` },
  eq: { wasm: ["a", "b", "eq", 1, "and"], wgsl: (a, b) => `eqOf(${a}, ${b})` },
  pow: { wasm: kernel(25), wgsl: (a, b) => `powOf(${a}, ${b})` },
};

const TERNARY: Readonly<Record<TernaryOp, Row<[a: string, b: string, c: string]>>> = {
  // NaN ≠ 0, so it counts as true.
  select: { wasm: ["c", "b", "a", 0, "eq", "bitselect"], wgsl: (a, b, c) => `selectOf(${a}, ${b}, ${c})` },
};

/** Every pointwise op. */
export const POINTWISE_CODE: Readonly<Record<PointwiseOp, PointwiseCode>> = {
  ...withArity(1, UNARY),
  ...withArity(2, BINARY),
  ...withArity(3, TERNARY),
};

function withArity<Op extends string>(
  arity: 1 | 2 | 3,
  rows: Readonly<Record<Op, object>>,
): Readonly<Record<Op, PointwiseCode>> {
  const entries = Object.entries<object>(rows).map(([op, row]) => [op, { arity, ...row }]);
  return Object.fromEntries(entries) as Record<Op, PointwiseCode>;
}

/** The names of all pointwise ops. */
export const POINTWISE_OPS: readonly PointwiseOp[] = Object.keys(POINTWISE_CODE) as PointwiseOp[];

export function isPointwise(op: string): op is PointwiseOp {
  return Object.hasOwn(POINTWISE_CODE, op);
}

/** The kernel of an op, or null where it is vector instructions. */
export function kernelOf(op: PointwiseOp): Kernel | null {
  const { wasm } = POINTWISE_CODE[op];
  return "nsPerVector" in wasm ? wasm : null;
}

/** Ops that are kernels. */
export const KERNEL_OPS: readonly PointwiseOp[] = POINTWISE_OPS.filter((op) => kernelOf(op) !== null);
