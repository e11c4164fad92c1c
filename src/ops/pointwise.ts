// Pointwise ops: lane-by-lane functions, their arity, their cost and their VJP. They have no kernels of their own: both
// executors run them inside the tile programs of backend/program.ts, which also states their meaning at NaN and infinity.
//
// One table rather than one file per op: an op is three facts, and side by side they can be checked at a glance.

import type { PointwiseOp } from "../backend/program.ts";
import type { Value } from "./value.ts";
import type { VjpContext, VjpRule } from "./vocabulary.ts";

export interface PointwiseSpec {
  readonly arity: 1 | 2 | 3;
  /** Rough cost in additions, for the choice between recomputing and storing. */
  readonly cost: number;
  /** null: not differentiable, the cotangent stops (comparisons, floor, sign). */
  readonly vjp: VjpRule | null;
}

const unary = (cost: number, vjp: ((c: VjpContext) => Value) | null): PointwiseSpec => ({
  arity: 1,
  cost,
  vjp: vjp && ((c) => [vjp(c)]),
});
const binary = (cost: number, vjp: VjpRule | null): PointwiseSpec => ({ arity: 2, cost, vjp });

/** max and min: a tie shares the cotangent in halves, as torch does. `aWins` is 1 where a is the result and b is not. */
const extremum = (aWins: (c: VjpContext) => Value): PointwiseSpec =>
  binary(1, (c) => {
    const { ops, ct } = c;
    const share = ops.select(ops.eq(c.arg(0), c.arg(1)), 0.5, aWins(c));
    return [ops.mul(ct, share), ops.mul(ct, ops.sub(1, share))];
  });

export const POINTWISE: Readonly<Record<PointwiseOp, PointwiseSpec>> = {
  neg: unary(1, ({ ops, ct }) => ops.neg(ct)),
  abs: unary(1, (c) => c.ops.mul(c.ct, c.ops.sign(c.arg(0)))),
  sign: unary(1, null),
  floor: unary(1, null),
  isFinite: unary(1, null),
  exp: unary(8, (c) => c.ops.mul(c.ct, c.result())),
  log: unary(8, (c) => c.ops.div(c.ct, c.arg(0))),
  // The derivative at 0 is taken as 0 (torch: the norm of the zero vector), so an unused infinite slope cannot make a NaN.
  sqrt: unary(3, (c) => {
    const y = c.result();
    const zero = c.ops.eq(y, 0);
    return c.ops.select(zero, 0, c.ops.div(c.ct, c.ops.mul(2, c.ops.select(zero, 1, y))));
  }),
  relu: unary(1, (c) => c.ops.select(c.ops.lt(0, c.arg(0)), c.ct, 0)),
  sigmoid: unary(10, (c) => c.ops.mul(c.ct, c.ops.mul(c.result(), c.ops.sub(1, c.result())))),
  tanh: unary(10, (c) => c.ops.mul(c.ct, c.ops.sub(1, c.ops.mul(c.result(), c.result())))),
  softplus: unary(16, (c) => c.ops.mul(c.ct, c.ops.select(c.ops.lt(20, c.arg(0)), 1, c.ops.sigmoid(c.arg(0))))),
  erf: unary(14, (c) => {
    const x = c.arg(0);
    return c.ops.mul(c.ct, c.ops.mul(2 / Math.sqrt(Math.PI), c.ops.exp(c.ops.neg(c.ops.mul(x, x)))));
  }),
  add: binary(1, ({ ct }) => [ct, ct]),
  sub: binary(1, (c) => [c.ct, c.needs(1) ? c.ops.neg(c.ct) : null]),
  mul: binary(1, (c) => [c.needs(0) ? c.ops.mul(c.ct, c.arg(1)) : null, c.needs(1) ? c.ops.mul(c.ct, c.arg(0)) : null]),
  div: binary(3, (c) => {
    const a = c.ops.div(c.ct, c.arg(1));
    return [a, c.needs(1) ? c.ops.neg(c.ops.mul(a, c.result())) : null];
  }),
  max: extremum((c) => c.ops.lt(c.arg(1), c.arg(0))),
  min: extremum((c) => c.ops.lt(c.arg(0), c.arg(1))),
  lt: binary(1, null),
  le: binary(1, null),
  eq: binary(1, null),
  // Where the cotangent is 0 the slope does not matter: it may overflow for tiny a. b·a^(b − 1) rather than b·aᵇ/a, which is no number
  // at a = 0; the slope with respect to b is 0 there, and NaN below, where b cannot vary.
  pow: binary(16, (c) => {
    const { ops, ct } = c;
    const [a, b] = [c.arg(0), c.arg(1)];
    const slopeA = () => ops.mul(b, ops.pow(a, ops.sub(b, 1)));
    const slopeB = (base: Value) => ops.mul(c.result(), ops.log(base));
    const still = ops.eq(ct, 0);
    const flatA = ops.max(still, ops.eq(b, 0));
    const flatB = ops.max(still, ops.eq(a, 0));
    return [
      c.needs(0) ? ops.select(flatA, 0, ops.mul(ct, slopeA())) : null,
      c.needs(1) ? ops.select(flatB, 0, ops.mul(ct, slopeB(ops.select(flatB, 1, a)))) : null,
    ];
  }),
  select: {
    arity: 3,
    cost: 1,
    vjp: (c) => [
      null,
      c.needs(1) ? c.ops.select(c.arg(0), c.ct, 0) : null,
      c.needs(2) ? c.ops.select(c.arg(0), 0, c.ct) : null,
    ],
  },
};
