// A value of a computation graph: what ops take and give. Data only; graphs make them, ops describe them.

import { hasRole } from "../backend/instr.ts";
import type { Kind, PointwiseOp } from "../backend/program.ts";

/** Kind and rows of a value. */
export interface Shape {
  readonly kind: Kind;
  readonly rows: number;
}

/** A matrix that contractions multiply with: named, bound at run time. Gradients are nnz values (sparse) or entries (dense). */
export interface Matrix {
  readonly name: string;
  readonly form: "sparse" | "dense";
  readonly rows: number;
  readonly cols: number;
  /** Stored entries: nnz if sparse, rows·cols if dense. */
  readonly stored: number;
}

/** States behind one another, bound at run time; read per lane by `lookup`. */
export interface Table {
  readonly name: string;
  readonly rows: number;
  readonly depth: number;
}

/** How a value of a graph is computed from others: an instruction of the same name, or none of its own (leaf, broadcast, pointwise). */
export type Op =
  | { readonly type: "leaf"; readonly name: string }
  | { readonly type: "const"; readonly value: number }
  | { readonly type: "rowIndex" }
  | { readonly type: "random"; readonly key: string }
  | { readonly type: "lookup"; readonly table: Table }
  /** args: [source]; source[index[row]] with a bound u32 vector. */
  | { readonly type: "gather"; readonly index: string }
  /** args: [source]; Σ source[members[k]] over the segment of each row. */
  | { readonly type: "segmentSum"; readonly offsets: string; readonly members: string }
  /** args: [source]; Σ source[k], or of the segment that k lies in, over the entries k with index[k] = row. */
  | { readonly type: "gatherT"; readonly index: string; readonly offsets: string | null }
  /** args: [v]; v with more rows or lanes, the same in all of them. */
  | { readonly type: "broadcast" }
  | { readonly type: "pointwise"; readonly fn: PointwiseOp }
  | { readonly type: "matmul"; readonly matrix: Matrix }
  /** args: [g] or [g, x]; with x, also accumulates the gradient of the matrix into the binding `grad`. */
  | { readonly type: "matmulT"; readonly matrix: Matrix; readonly grad: string | null }
  | { readonly type: "reduceRows"; readonly how: "sum" | "max" | "min" }
  | { readonly type: "reduceLanes" };

/** One node of a graph. `id` ascends: the arguments of a value have smaller ids than the value itself. */
export interface Value extends Shape {
  readonly id: number;
  readonly op: Op;
  readonly args: readonly Value[];
}

/** True for ops whose result cannot be recomputed on the spot: the reverse pass needs it saved. */
export function isContraction(v: Value): boolean {
  return gathersFirst(v) || hasRole(v.op.type, "reduce");
}

/** True for ops that read their first operand at other rows than their own: it must lie in memory, complete. */
export function gathersFirst({ op }: Value): boolean {
  return hasRole(op.type, "gather");
}

/** True for ops whose result has the rows and lanes of the widest operand: the transpose sums over what an operand lacks. */
export function broadcasts(v: Value): boolean {
  return v.op.type === "pointwise" || v.op.type === "broadcast";
}

export function isPerRow({ kind }: Pick<Value, "kind">): boolean {
  return kind === "state" || kind === "row";
}

/** True for the largest or smallest number over rows, whose reverse looks for the rows that equal it. */
export function isExtremum({ op }: Value): boolean {
  return op.type === "reduceRows" && op.how !== "sum";
}
