// Expressions that are simpler than they were written. Each has the same bits as what it stands for, NaN and infinity included. Three
// exceptions: where an addition of 0 goes, −0 stays −0, and so does a subnormal number on a device that flushes them; constants are
// combined in double precision; the product of a matrix with a state of zeros is 0 (`isZero`), whether the matrix is finite or not.

import type { PointwiseOp } from "../backend/program.ts";
import type { Value } from "../ops/value.ts";
import type { Ops } from "../ops/vocabulary.ts";

/** What fn(args) may be replaced by; null: it stays. */
export function simplify(ops: Ops, fn: PointwiseOp, args: readonly Value[]): Value | number | null {
  const [a, b, c] = args as readonly [Value, Value, Value];
  const [x, y] = [constantOf(a), constantOf(b)];
  switch (fn) {
    case "add":
      if (x !== null && y !== null) return x + y;
      if (x === 0 || y === 0) return x === 0 ? b : a;
      return difference(ops, a, b) ?? difference(ops, b, a) ?? eitherOf(ops, a, b);
    case "sub": {
      if (x !== null && y !== null) return x - y;
      if (y === 0) return a;
      const negated = argumentOf("neg", b);
      return negated && ops.add(a, negated);
    }
    case "mul":
      if (x !== null && y !== null) return x * y;
      if (x === 1 || y === 1) return x === 1 ? b : a;
      return scaled(ops, a, y) ?? scaled(ops, b, x);
    case "div":
      return x !== null && y !== null ? x / y : y === 1 ? a : null;
    case "neg":
      return x === null ? argumentOf("neg", a) : -x;
    case "relu":
      return isNeverNegative(a) ? a : null;
    case "select":
      if (x !== null) return x !== 0 ? b : c;
      return b === c ? b : null;
    case "pow":
      return wholePower(ops, a, y);
    default:
      return null;
  }
}

/** Functions that are 0 at 0, and of finite numbers finite. */
const ZERO_AT_ZERO: ReadonlySet<PointwiseOp> = new Set(["neg", "abs", "relu", "tanh", "sin"]);

/**
 * Whether v is 0 or −0 everywhere, if its leaves are finite. Products of matrices with it are 0, for which no matrix must be read; those of
 * a matrix that is not finite would not be.
 */
export function isZero({ op, args }: Value): boolean {
  if (op.type === "const") return op.value === 0;
  if (op.type === "broadcast") return isZero(args[0]!);
  if (op.type !== "pointwise") return false;
  const [a, b] = args as readonly [Value, Value];
  if (op.fn === "select") return args.slice(1).every(isZero);
  if (op.fn === "mul") return (isZero(a) && isBounded(b)) || (isZero(b) && isBounded(a));
  return ZERO_AT_ZERO.has(op.fn) && isZero(a);
}

/** Whether v is finite if its leaves are. */
function isBounded({ op, args }: Value): boolean {
  if (op.type === "const") return Number.isFinite(op.value);
  if (op.type === "leaf") return true;
  if (op.type === "broadcast") return isBounded(args[0]!);
  if (op.type !== "pointwise") return false;
  return op.fn === "sigmoid" || (ZERO_AT_ZERO.has(op.fn) && isBounded(args[0]!));
}

function constantOf(v: Value | undefined): number | null {
  return v?.op.type === "const" ? v.op.value : null;
}

/** The first argument of a value fn(x, …); null for any other value. */
function argumentOf(fn: PointwiseOp, v: Value): Value | null {
  return v.op.type === "pointwise" && v.op.fn === fn ? v.args[0]! : null;
}

/** a + (−b) = a − b. */
function difference(ops: Ops, a: Value, b: Value): Value | null {
  const negated = argumentOf("neg", b);
  return negated && ops.sub(a, negated);
}

/** (−a)·factor = a·(−factor). */
function scaled(ops: Ops, a: Value, factor: number | null): Value | null {
  const negated = argumentOf("neg", a);
  return negated && factor !== null ? ops.mul(negated, -factor) : null;
}

/** (c ? p : 0) + (c ? 0 : q) = c ? p : q, as the cotangents of two branches add up where the branches meet. */
function eitherOf(ops: Ops, a: Value, b: Value): Value | null {
  const condition = argumentOf("select", a);
  if (condition === null || condition !== argumentOf("select", b)) return null;
  const [, p, q] = a.args as readonly [Value, Value, Value];
  const [, r, s] = b.args as readonly [Value, Value, Value];
  if (constantOf(q) === 0 && constantOf(r) === 0) return ops.select(condition, p, s);
  return constantOf(p) === 0 && constantOf(s) === 0 ? ops.select(condition, r, q) : null;
}

/**
 * Whether relu leaves v as it is. Its derivative does so, too: a function that is never negative has derivative 0 where it is 0, as relu
 * has there.
 */
function isNeverNegative({ op, args }: Value): boolean {
  if (op.type !== "pointwise") return op.type === "const" && op.value >= 0;
  if (op.fn === "select") return args.slice(1).every(isNeverNegative);
  return ["relu", "abs", "exp", "sigmoid", "softplus"].includes(op.fn);
}

/** A constant whole exponent up to this size becomes products, whose rounding is less than that of the function. */
const LARGEST_PRODUCT = 8;

/** base^exponent for a small whole constant, by products of squares; null for any other. */
function wholePower(ops: Ops, base: Value, exponent: number | null): Value | null {
  if (exponent === null || !Number.isInteger(exponent) || Math.abs(exponent) > LARGEST_PRODUCT) return null;
  const product = (n: number): Value => {
    if (n < 2) return n === 0 ? ops.constant(1) : base;
    const half = product(Math.floor(n / 2));
    const square = ops.mul(half, half);
    return n % 2 === 0 ? square : ops.mul(square, base);
  };
  const power = product(Math.abs(exponent));
  return exponent < 0 ? ops.div(1, power) : power;
}
