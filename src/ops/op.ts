// The op contract: every op says how its cotangent flows back, in terms of other ops. The set is closed under reverse mode,
// so backward kernels are forward kernels and get the same tests. Op files never import one another: they get `Ops`.

import type { BinaryOp, UnaryOp } from "../backend/program.ts";
import type { Matrix, Table, Value } from "./value.ts";

export type { BinaryOp, UnaryOp };

/** The vocabulary VJP rules (and users) build with. Operands broadcast: scalar ⊂ row, sample ⊂ state. Numbers are constants. */
export interface Ops extends UnaryOps, BinaryOps {
  constant(value: number): Value;
  select(condition: Operand, ifTrue: Operand, ifFalse: Operand): Value;
  /** W·X, X a state of W.cols rows; the result has W.rows rows. */
  matmul(matrix: Matrix, x: Value): Value;
  /** Wᵀ·G; given `grad`, the same walk accumulates the gradient of W, (G·Xᵀ) at its stored entries, into `grad.binding`. */
  matmulT(matrix: Matrix, g: Value, grad?: { readonly x: Value; readonly binding: string }): Value;
  /** Over rows: state → sample, row → scalar. */
  reduceRows(v: Value, how?: "sum" | "max" | "min"): Value;
  /** Sum over lanes: state → row, sample → scalar. */
  reduceLanes(v: Value): Value;
  /** table[index[lane]] per lane. */
  lookup(table: Table, index: Value): Value;
}

/** What an op takes: a value of the graph, or a number. */
export type Operand = Value | number;
/** Functions of one operand, by name; `UnaryOp` has their formulas. */
export type UnaryOps = { readonly [K in UnaryOp]: (a: Operand) => Value };
/** Functions of two operands, by name; `BinaryOp` has their formulas. */
export type BinaryOps = { readonly [K in BinaryOp]: (a: Operand, b: Operand) => Value };

/** What a VJP rule knows: the primal values it asks for are saved or recomputed, whichever the op's file implies. */
export interface VjpContext {
  readonly value: Value;
  /** The cotangent of the op's result. */
  readonly ct: Value;
  /** The primal result. */
  result(): Value;
  /** The primal i-th argument. */
  arg(i: number): Value;
  /** True when the i-th argument leads to something whose gradient is wanted. */
  needs(i: number): boolean;
  readonly ops: Ops;
  /** The binding that takes the gradient of a matrix, or null when it is not wanted. */
  gradOfMatrix(matrix: Matrix): string | null;
  /** Adds `value` to the cotangent of a table at `index`, when it is wanted. */
  scatter(table: Table, index: Value, value: Value): void;
}

/** Cotangent contributions to the arguments (null: none). Shapes are the result's: the caller sums over what was broadcast. */
export type VjpRule = (c: VjpContext) => readonly (Value | null)[];
