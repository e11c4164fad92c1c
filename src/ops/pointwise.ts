// Pointwise ops: what lane-by-lane functions cost, and their VJPs. Both executors run them inside the tile programs of
// backend/program.ts, which states their meaning at NaN and infinity; their code for each device is in backend/pointwise.ts.
//
// One table rather than one file per op: side by side the rows can be checked at a glance.

import type { PointwiseOp } from "../backend/program.ts";
import type { Value } from "./value.ts";
import type { VjpContext, VjpRule } from "./vocabulary.ts";

export interface PointwiseSpec {
  /** Rough cost in additions, for the choice between recomputing and storing. */
  readonly cost: number;
  /** null: not differentiable, the cotangent stops (comparisons, floor, sign). */
  readonly vjp: VjpRule | null;
}

/** The row of a function of one operand: a cost, and the cotangent of the operand. */
const unary = (cost: number, vjp: (c: VjpContext) => Value): PointwiseSpec => ({ cost, vjp: (c) => [vjp(c)] });
const constant = (cost: number): PointwiseSpec => ({ cost, vjp: null });

/** max and min: a tie shares the cotangent in halves, as torch does. `aWins` is 1 where a is the result and b is not. */
const extremum = (aWins: (c: VjpContext) => Value): PointwiseSpec => ({
  cost: 1,
  vjp: (c) => {
    const { ops, ct } = c;
    const share = ops.select(ops.eq(c.arg(0), c.arg(1)), 0.5, aWins(c));
    return [ops.mul(ct, share), ops.mul(ct, ops.sub(1, share))];
  },
});

export const POINTWISE: Readonly<Record<PointwiseOp, PointwiseSpec>> = {
  neg: unary(1, ({ ops, ct }) => ops.neg(ct)),
  abs: unary(1, (c) => c.ops.mul(c.ct, c.ops.sign(c.arg(0)))),
  sign: constant(1),
  floor: constant(1),
  isFinite: constant(1),
  exp: unary(8, (c) => c.ops.mul(c.ct, c.result())),
  log: unary(8, (c) => c.ops.div(c.ct, c.arg(0))),
  log1p: unary(9, (c) => c.ops.div(c.ct, c.ops.add(1, c.arg(0)))),
  // Not result + 1, which has no digits left where e^x is small.
  expm1: unary(9, (c) => c.ops.mul(c.ct, c.ops.exp(c.arg(0)))),
  sin: unary(12, (c) => c.ops.mul(c.ct, c.ops.cos(c.arg(0)))),
  cos: unary(12, (c) => c.ops.neg(c.ops.mul(c.ct, c.ops.sin(c.arg(0))))),
  // The derivative at 0 is taken as 0 (torch: the norm of the zero vector), so an unused infinite slope cannot make a NaN.
  sqrt: unary(3, (c) => {
    const y = c.result();
    const isZero = c.ops.eq(y, 0);
    return c.ops.select(isZero, 0, c.ops.div(c.ct, c.ops.mul(2, c.ops.select(isZero, 1, y))));
  }),
  relu: unary(1, (c) => c.ops.select(c.ops.lt(0, c.arg(0)), c.ct, 0)),
  sigmoid: unary(10, (c) => c.ops.mul(c.ct, c.ops.mul(c.result(), c.ops.sub(1, c.result())))),
  tanh: unary(10, (c) => c.ops.mul(c.ct, c.ops.sub(1, c.ops.mul(c.result(), c.result())))),
  softplus: unary(16, (c) => c.ops.mul(c.ct, c.ops.select(c.ops.lt(20, c.arg(0)), 1, c.ops.sigmoid(c.arg(0))))),
  erf: unary(14, (c) => {
    const x = c.arg(0);
    return c.ops.mul(c.ct, c.ops.mul(2 / Math.sqrt(Math.PI), c.ops.exp(c.ops.neg(c.ops.mul(x, x)))));
  }),
  add: { cost: 1, vjp: ({ ct }) => [ct, ct] },
  sub: { cost: 1, vjp: (c) => [c.ct, c.needs(1) ? c.ops.neg(c.ct) : null] },
  mul: {
    cost: 1,
    vjp: (c) => [c.needs(0) ? c.ops.mul(c.ct, c.arg(1)) : null, c.needs(1) ? c.ops.mul(c.ct, c.arg(0)) : null],
  },
  div: {
    cost: 3,
    vjp: (c) => {
      const a = c.ops.div(c.ct, c.arg(1));
      return [a, c.needs(1) ? c.ops.neg(c.ops.mul(a, c.result())) : null];
    },
  },
  max: extremum((c) => c.ops.lt(c.arg(1), c.arg(0))),
  min: extremum((c) => c.ops.lt(c.arg(0), c.arg(1))),
  lt: constant(1),
  le: constant(1),
  eq: constant(1),
  // Where the cotangent is 0 the slope does not matter: it may overflow for tiny a. b·a^(b − 1) rather than b·aᵇ/a, which is no number
  // at a = 0; the slope with respect to b is 0 there, and NaN below, where b cannot vary.
  pow: {
    cost: 16,
    vjp: (c) => {
      const { ops, ct } = c;
      const [a, b] = [c.arg(0), c.arg(1)];
      const slopeA = () => ops.mul(b, ops.pow(a, ops.sub(b, 1)));
      const slopeB = (base: Value) => ops.mul(c.result(), ops.log(base));
      const zeroCotangent = ops.eq(ct, 0);
      const slopeAIsZero = ops.max(zeroCotangent, ops.eq(b, 0));
      const slopeBIsZero = ops.max(zeroCotangent, ops.eq(a, 0));
      return [
        c.needs(0) ? ops.select(slopeAIsZero, 0, ops.mul(ct, slopeA())) : null,
        c.needs(1) ? ops.select(slopeBIsZero, 0, ops.mul(ct, slopeB(ops.select(slopeBIsZero, 1, a)))) : null,
      ];
    },
  },
  select: {
    cost: 1,
    vjp: (c) => [
      null,
      c.needs(1) ? c.ops.select(c.arg(0), c.ct, 0) : null,
      c.needs(2) ? c.ops.select(c.arg(0), 0, c.ct) : null,
    ],
  },
};
