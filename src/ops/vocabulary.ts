// The op contract: every op says how its cotangent flows back, in terms of other ops. The set is closed under reverse mode,
// so backward kernels are forward kernels and get the same tests. Op files never import one another: they get `Ops`.

import type { BinaryOp, UnaryOp } from "../backend/program.ts";
import type { Matrix, Shape, Table, Value } from "./value.ts";

export type { BinaryOp, UnaryOp };

/**
 * The vocabulary VJP rules (and users) build with. Operands broadcast: scalar ⊂ row, sample ⊂ state. Numbers are constants.
 *
 * Every op is differentiable in every operand, matrix and table. Where a derivative does not exist, torch's convention holds: relu, abs and
 * sqrt have derivative 0 at 0; max and min of two equal numbers share the cotangent in halves. What is piecewise constant (comparisons,
 * floor, sign, isFinite, the condition of select, the index of lookup, the sample of random) has derivative 0.
 */
export interface Ops extends UnaryOps, BinaryOps {
  constant(value: number): Value;
  /** `ifTrue` where the condition is not 0, else `ifFalse`. The branch that is not taken gets derivative 0, and may be NaN. */
  select(condition: Operand, ifTrue: Operand, ifFalse: Operand): Value;
  /**
   * aᵇ. A whole b takes a negative a, as in torch: pow(−2, 3) = −8; another b wants a ≥ 0 and gives NaN below. a⁰ = 1 for every a.
   * ∂/∂a = b·aᵇ⁻¹, which is 0 for b = 0; ∂/∂b = aᵇ·ln a, taken as 0 at a = 0, and NaN for a < 0, where b cannot vary. A constant whole
   * b of at most 8 in size becomes products.
   *
   * @throws {ShapeError} operands of different numbers of rows
   */
  pow(a: Operand, b: Operand): Value;
  /**
   * W·X, X a state of W.cols rows; the result has W.rows rows. Differentiable in X and in the stored entries of W.
   *
   * @throws {ShapeError} x is no state of W.cols rows
   */
  matmul(matrix: Matrix, x: Value): Value;
  /**
   * Wᵀ·G, G a state of W.rows rows; the result has W.cols rows. Differentiable in G and in the stored entries of W. Given `grad`, the same
   * walk adds (G·Xᵀ) at the stored entries, the gradient of W·X, to the binding `grad.binding`: an effect, which has no derivative.
   *
   * @throws {ShapeError} g is no state of W.rows rows, or grad.x none of W.cols rows
   */
  matmulT(matrix: Matrix, g: Value, grad?: { readonly x: Value; readonly binding: string }): Value;
  /**
   * Over rows: state → sample, row → scalar. Of "max" and "min", the rows that tie share the cotangent equally, as in torch.amax.
   *
   * @throws {ShapeError} v has no rows
   */
  reduceRows(v: Value, how?: "sum" | "max" | "min"): Value;
  /**
   * Sum over lanes: state → row, sample → scalar.
   *
   * @throws {ShapeError} v has no lanes
   */
  reduceLanes(v: Value): Value;
  /** table[index[lane]] per lane; `index`, whole numbers per sample, is not differentiated. */
  lookup(table: Table, index: Value): Value;
  /**
   * `v` with the kind and rows of `as`: the same number in every row or lane that it lacks.
   *
   * @throws {ShapeError} v has rows or lanes that `as` has not, or other rows
   */
  broadcast(v: Operand, as: Shape): Value;
  /**
   * source[index[row]] for each of `rows` rows. `source` is a row vector, `index` the name of a bound vector of `rows` u32, all below the
   * rows of the source. The reverse is `gatherT`.
   *
   * @throws {ShapeError} the source is no row vector; the name is bound to something of another shape
   */
  gather(source: Value, index: string, rows: number): Value;
  /**
   * Sums of segments of a row vector. Segment `row` has the members members[offsets[row]] … members[offsets[row + 1] − 1]; both
   * names are of bound u32 vectors: `offsets` of segments + 1 numbers, `members` of as many as the source has. The reverse is `gatherT`.
   *
   * @throws {ShapeError} the source is no row vector; a name is bound to something of another shape
   */
  segmentSum(source: Value, offsets: string, members: string, segments: number): Value;
  /**
   * The transpose of `gather`: Σ source[k] over the k with index[k] = row, for each of `rows` rows, in an order that depends on sizes
   * only. Given `offsets`, that of `segmentSum`: Σ source[j] over the entries k of all segments j with index[k] = row.
   *
   * @throws {ShapeError} the source is no row vector; a name is bound to something of another shape
   */
  gatherT(source: Value, index: string, rows: number, offsets?: string | null): Value;
}

/** What an op takes: a value of the graph, or a number. */
export type Operand = Value | number;
/** Functions of one operand, by name; `UnaryOp` has their formulas. */
export type UnaryOps = { readonly [K in UnaryOp]: (a: Operand) => Value };
/** Functions of two operands, by name; `BinaryOp` has their formulas. */
export type BinaryOps = { readonly [K in Exclude<BinaryOp, "pow">]: (a: Operand, b: Operand) => Value };

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
