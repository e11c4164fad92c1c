// Opcodes of the pointwise operations, and roughly what they cost.

import type { PointwiseOp } from "../program.ts";
import * as isa from "./isa.ts";

export const OPCODES: Readonly<Record<PointwiseOp, number>> = {
  neg: isa.OP_NEG,
  abs: isa.OP_ABS,
  sign: isa.OP_SIGN,
  exp: isa.OP_EXP,
  log: isa.OP_LOG,
  sqrt: isa.OP_SQRT,
  floor: isa.OP_FLOOR,
  relu: isa.OP_RELU,
  sigmoid: isa.OP_SIGMOID,
  tanh: isa.OP_TANH,
  softplus: isa.OP_SOFTPLUS,
  erf: isa.OP_ERF,
  isFinite: isa.OP_IS_FINITE,
  add: isa.OP_ADD,
  sub: isa.OP_SUB,
  mul: isa.OP_MUL,
  div: isa.OP_DIV,
  min: isa.OP_MIN,
  max: isa.OP_MAX,
  lt: isa.OP_LT,
  le: isa.OP_LE,
  eq: isa.OP_EQ,
  pow: isa.OP_POW,
  select: isa.OP_SELECT,
};

/** Nanoseconds per 16 bytes: for deciding who works, not for predicting how long. */
export function vectorCost(opcode: number): number {
  switch (opcode) {
    case isa.OP_EXP:
    case isa.OP_LOG:
    case isa.OP_SIGMOID:
    case isa.OP_TANH:
    case isa.OP_SOFTPLUS:
    case isa.OP_ERF:
    case isa.OP_RANDOM:
      return 10;
    case isa.OP_POW:
      return 25;
    case isa.OP_LOOKUP:
    case isa.OP_SCATTER:
    case isa.OP_GATHER:
      return 4;
    default:
      return 0.25;
  }
}
