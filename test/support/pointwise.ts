// What the tests know of each pointwise op. The oracle, conformance cases, gradient checks and error bounds follow this table.

import type { BinaryOp, PointwiseOp, TernaryOp, UnaryOp } from "../../src/backend/program.ts";
import type { RandomStream } from "../../src/core/random.ts";
import { cycle, EXACT, type Input, normal, type Tolerance, uniform } from "./conformance/case.ts";
import { erf } from "./oracle/erf.ts";

/** Numbers for gradient checks, clear of kinks and of the edges of a domain. */
export const DRAWS: Readonly<Record<Draw, (s: RandomStream) => number>> = {
  any: (s) => 1.5 * s.normal(),
  positive: (s) => 0.2 + 3 * s.uniform(),
  awayFrom0: (s) => (s.uniform() < 0.5 ? -1 : 1) * (0.3 + 2 * s.uniform()),
};

export type Draw = "any" | "positive" | "awayFrom0";

/** The derivatives by each operand at one point, with cotangent 1. */
export interface Slopes {
  readonly name: string;
  readonly at: readonly number[];
  readonly slopes: readonly number[];
}

/** Largest errors of a kernel, in units in the last place. */
export interface Ulps {
  /** As assembly/math.ts states it. */
  readonly f32: number;
  /** The reference takes its share. */
  readonly f64: number;
  /** Where errors are measured. */
  readonly ranges: readonly (readonly [low: number, high: number])[];
}

/** WGSL may fuse products and sums, and be off by 2.5 ulp in a division: so much is added to the bound in f32. */
export const WGSL_ULPS = 3;

/** One value for each operand of a function. */
type PerOperand<F, T> = F extends (a: number, b: number, c: number) => number
  ? Parameters<F> extends [unknown]
    ? readonly [T]
    : Parameters<F> extends [unknown, unknown]
      ? readonly [T, T]
      : readonly [T, T, T]
  : never;

interface Row<F> {
  /** The formula in double precision, one number at a time. */
  readonly f: F;
  /** The conformance case: what its operands hold, and how far the result may be off. */
  readonly inputs: PerOperand<F, Input>;
  readonly tolerance: Tolerance;
  /** Where gradients are checked. Default: anywhere. */
  readonly domain?: PerOperand<F, Draw>;
  /** Derivatives at kinks and ends of the domain, which f32 and f64 must give exactly. */
  readonly slopes?: readonly Slopes[];
  /** Needed by a kernel of one operand. */
  readonly ulps?: Ulps;
  /** The op has no derivative, so that the cotangent stops. */
  readonly isConstant?: true;
}

/** A row of the table. */
export interface PointwiseTest extends Omit<Row<unknown>, "f" | "inputs" | "domain"> {
  readonly f: (...operands: number[]) => number;
  readonly inputs: readonly Input[];
  readonly domain?: readonly Draw[];
}

const ROUNDED: Tolerance = { kind: "ulps", ulps: 1 };
const ELEMENTARY: Tolerance = { kind: "ulps" };
/** Functions with a zero where the argument is not tiny, or built from terms of size 1: the error is absolute below `scale`. */
const nearZero = (scale: number): Tolerance => ({ kind: "ulps", absoluteBelow: scale });

const SIGNS = [0, -0, 1, -1, 0.5, -0.5, 1e-20, -1e-20, 1e20, -1e20];
const SIGNED: readonly [Input] = [uniform(-5, 5, SIGNS)];
const ANGLES = [0, 1e-4, Math.PI, -Math.PI / 2, 11, 3215.5, 3216.5, -1e5, 1e10, -3e38];
/** The rows of sin and cos but for their formulas. Below 3216 their arguments are reduced in another way than beyond. */
const TRIGONOMETRIC: Omit<Row<(x: number) => number>, "f"> = {
  inputs: [uniform(-20, 20, ANGLES)],
  tolerance: { kind: "ulps", ulps: 6 },
  ulps: {
    f32: 3,
    f64: 4,
    ranges: [
      [-3216, 3216],
      [-3e38, 3e38],
    ],
  },
};

/** Above this softplus is the identity, as in torch.nn.functional.softplus (threshold 20). */
const SOFTPLUS_LINEAR_ABOVE = 20;

const UNARY: Readonly<Record<UnaryOp, Row<(x: number) => number>>> = {
  neg: { f: (x) => -x, inputs: SIGNED, tolerance: EXACT },
  abs: {
    f: Math.abs,
    inputs: SIGNED,
    tolerance: EXACT,
    domain: ["awayFrom0"],
    slopes: [{ name: "abs has slope 0 at 0", at: [0], slopes: [0] }],
  },
  sign: { f: Math.sign, inputs: SIGNED, tolerance: EXACT, isConstant: true },
  exp: {
    f: Math.exp,
    inputs: [uniform(-20, 20, [0, 1, -1, 80, -80, -1000])],
    tolerance: ELEMENTARY,
    ulps: { f32: 1, f64: 4, ranges: [[-104, 89]] },
  },
  log: {
    f: Math.log,
    inputs: [uniform(0.01, 30, [1, 0.5, 2, 1e-20, 1e20, 0.9999, 1.0001])],
    // WGSL §15.7.4 allows log an absolute error of 2^-21 between 0.5 and 2, which is 4 units in the last place of 1.
    tolerance: nearZero(1),
    domain: ["positive"],
    ulps: {
      f32: 1,
      f64: 4,
      ranges: [
        [2 ** -149, 3e38],
        [1e-3, 50],
      ],
    },
  },
  log1p: {
    f: Math.log1p,
    inputs: [uniform(-0.99, 30, [0, 1e-20, -1e-20, 1e-4, -1e-4, -0.5, 1e20])],
    tolerance: ELEMENTARY,
    domain: ["positive"],
    slopes: [{ name: "log1p has slope 1 at 0", at: [0], slopes: [1] }],
    ulps: {
      f32: 2,
      f64: 4,
      ranges: [
        [-1, 3e38],
        [-1, 2],
        [-0.01, 0.01],
      ],
    },
  },
  expm1: {
    f: Math.expm1,
    inputs: [uniform(-20, 20, [0, 1e-20, -1e-20, 1e-4, -1e-4, 80, -1000])],
    tolerance: ELEMENTARY,
    slopes: [{ name: "expm1 has slope 1 at 0", at: [0], slopes: [1] }],
    ulps: {
      f32: 2,
      f64: 4,
      ranges: [
        [-104, 89],
        [-0.01, 0.01],
      ],
    },
  },
  sin: { f: Math.sin, ...TRIGONOMETRIC },
  cos: { f: Math.cos, ...TRIGONOMETRIC },
  sqrt: {
    f: Math.sqrt,
    inputs: [uniform(0, 100, [0, 1, 4, 1e-20, 1e20])],
    tolerance: ELEMENTARY,
    domain: ["positive"],
    slopes: [{ name: "sqrt has slope 0 at 0", at: [0], slopes: [0] }],
  },
  floor: {
    f: Math.floor,
    inputs: [uniform(-50, 50, [0, 1, -1, 0.5, -0.5, 7, -7, 16777215, -16777215, 1e20])],
    tolerance: EXACT,
    isConstant: true,
  },
  relu: {
    f: (x) => Math.max(x, 0),
    inputs: SIGNED,
    tolerance: EXACT,
    domain: ["awayFrom0"],
    slopes: [{ name: "relu has slope 0 at 0", at: [0], slopes: [0] }],
  },
  sigmoid: {
    f: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
    inputs: [uniform(-20, 20, [0, 1, -1, 50, -50, 1000, -1000])],
    tolerance: ELEMENTARY,
    ulps: { f32: 3, f64: 4, ranges: [[-88, 88]] },
  },
  tanh: {
    f: Math.tanh,
    inputs: [uniform(-5, 5, [0, 1e-4, -1e-4, 0.1, 9, -9, 20, -20, 1000, -1000])],
    tolerance: nearZero(0.25),
    ulps: {
      f32: 2,
      f64: 4,
      ranges: [
        [-20, 20],
        [-0.01, 0.01],
      ],
    },
  },
  softplus: {
    f: (x) => (x > SOFTPLUS_LINEAR_ABOVE ? x : Math.log1p(Math.exp(x))),
    inputs: [uniform(-15, 25, [0, 19.999, 20, 20.001, 88, 1000, -50, -1000])],
    tolerance: nearZero(0.25),
    slopes: [{ name: "softplus has slope 1 above 20", at: [21], slopes: [1] }],
    ulps: { f32: 3, f64: 4, ranges: [[-88, 88]] },
  },
  erf: {
    f: erf,
    inputs: [uniform(-4, 4, [0, 1e-4, -1e-4, 0.5, 1, 2, -2, 10, -10])],
    tolerance: nearZero(0.25),
    // The reference is good to 1e-15 only.
    ulps: {
      f32: 2,
      f64: 12,
      ranges: [
        [-6, 6],
        [-0.01, 0.01],
      ],
    },
  },
  isFinite: { f: (x) => Number(Number.isFinite(x)), inputs: SIGNED, tolerance: EXACT, isConstant: true },
};

const COMPARED: readonly [Input, Input] = [cycle([-1, 0, 1, 2]), cycle([0, 0, 0, 2, 3])];

const BINARY: Readonly<Record<BinaryOp, Row<(a: number, b: number) => number>>> = {
  add: { f: (a, b) => a + b, inputs: [normal, normal], tolerance: ROUNDED },
  sub: { f: (a, b) => a - b, inputs: [normal, normal], tolerance: ROUNDED },
  mul: { f: (a, b) => a * b, inputs: [normal, normal], tolerance: ROUNDED },
  div: {
    f: (a, b) => a / b,
    inputs: [normal, uniform(0.1, 10)],
    tolerance: ELEMENTARY,
    domain: ["any", "awayFrom0"],
  },
  min: {
    f: (a, b) => Math.min(a, b),
    inputs: [normal, normal],
    tolerance: EXACT,
    slopes: [
      { name: "min shares a tie in halves", at: [-1, -1], slopes: [0.5, 0.5] },
      { name: "min gives all to the smaller", at: [2, 3], slopes: [1, 0] },
    ],
  },
  max: {
    f: (a, b) => Math.max(a, b),
    inputs: [normal, normal],
    tolerance: EXACT,
    slopes: [
      { name: "max shares a tie in halves", at: [2, 2], slopes: [0.5, 0.5] },
      { name: "max gives all to the larger", at: [2, 3], slopes: [0, 1] },
    ],
  },
  lt: { f: (a, b) => Number(a < b), inputs: COMPARED, tolerance: EXACT, isConstant: true },
  le: { f: (a, b) => Number(a <= b), inputs: COMPARED, tolerance: EXACT, isConstant: true },
  eq: { f: (a, b) => Number(a === b), inputs: COMPARED, tolerance: EXACT, isConstant: true },
  pow: {
    f: (a, b) => a ** b,
    inputs: [uniform(0.25, 4, [1, 1, 1, 1]), uniform(-2.8, 2.8, [0, 1, -1, 2])],
    // a^b = e^(b·ln a) turns the absolute error of b·ln a, here up to 4, into a relative one: 4 + 4·4 units.
    tolerance: { kind: "ulps", ulps: 20 },
    domain: ["positive", "any"],
    slopes: [
      { name: "a square has slope 0 at 0", at: [0, 2], slopes: [0, 0] },
      { name: "a first power has slope 1 at 0", at: [0, 1], slopes: [1, 0] },
      { name: "a power of 0 has slope 0 everywhere", at: [0, 0], slopes: [0, 0] },
      { name: "a whole power of a negative base has no slope by the exponent", at: [-2, 3], slopes: [12, NaN] },
      { name: "a negative base to the power of 0 has slope 0", at: [-2, 0], slopes: [0, NaN] },
    ],
  },
};

const TERNARY: Readonly<Record<TernaryOp, Row<(condition: number, a: number, b: number) => number>>> = {
  select: {
    f: (condition, a, b) => (condition !== 0 ? a : b),
    inputs: [cycle([0, 1, -2]), normal, normal],
    tolerance: EXACT,
  },
};

/** By op. The number of operands is that of the formula's parameters. */
export const POINTWISE_TESTS: Readonly<Record<PointwiseOp, PointwiseTest>> = { ...UNARY, ...BINARY, ...TERNARY };

export const UNARY_OPS: readonly UnaryOp[] = Object.keys(UNARY) as UnaryOp[];

/** Ops with error bounds, of one operand. */
export const BOUNDED_OPS: readonly UnaryOp[] = UNARY_OPS.filter((op) => UNARY[op].ulps);
