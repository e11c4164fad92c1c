// The lane-by-lane functions of the program format in double precision, one scalar at a time.

import type { BinaryOp, UnaryOp } from "../../../src/backend/program.ts";

/** Above this softplus is the identity, as in torch.nn.functional.softplus (threshold 20). */
const SOFTPLUS_LINEAR_ABOVE = 20;

export const UNARY: Readonly<Record<UnaryOp, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  floor: Math.floor,
  relu: (x) => Math.max(x, 0),
  sigmoid: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  tanh: Math.tanh,
  softplus: (x) => (x > SOFTPLUS_LINEAR_ABOVE ? x : Math.log1p(Math.exp(x))),
  erf,
  isFinite: (x) => Number(Number.isFinite(x)),
};

export const BINARY: Readonly<Record<BinaryOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  eq: (a, b) => Number(a === b),
  pow: (a, b) => a ** b,
};

/**
 * The error function, relative error below 1e-15, from two expansions without fitted coefficients.
 *
 * Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 7.1.6 for |x| < 2 (a series of positive terms, so nothing
 * cancels) and 7.1.14 above (continued fraction of erfc, which is small there, so its error hardly counts in 1 − erfc).
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a >= 2) return Math.sign(x) * (1 - erfcByFraction(a));
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 2 ** -56; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** Levels of the continued fraction; enough for 1e-16 relative to erf from x = 2 on. */
const FRACTION_LEVELS = 80;

function erfcByFraction(x: number): number {
  let tail = x;
  for (let n = FRACTION_LEVELS; n >= 1; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail);
}
