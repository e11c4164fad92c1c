// The program that computes Σ|w||x| where the given one computes Σ w·x: the factor of γ_k in the bound of its rounding errors.

import type { Instr, PointwiseOp, Program } from "../../../src/backend/program.ts";

/**
 * The same program with every operation replaced by what it does to magnitudes; to be run on the absolute values of the inputs.
 *
 * Sums add magnitudes, products multiply them. A function f with f(0) = 0 and slope at most 1 (relu, tanh) neither enlarges the
 * magnitude nor an error of its argument, so it is the identity here; its own error counts as further terms. A divisor has to be
 * free of cancellation, that is an input or a constant.
 *
 * @throws {RangeError} on an operation for which magnitudes do not bound the error
 */
export function magnitudeProgram(program: Program): Program {
  return {
    ...program,
    name: `${program.name}, magnitudes`,
    phases: program.phases.map((phase) => ({ ...phase, instrs: phase.instrs.map(magnitudeInstr) })),
  };
}

const MAGNITUDE_OP: Partial<Record<PointwiseOp, PointwiseOp>> = {
  add: "add",
  sub: "add",
  mul: "mul",
  div: "div",
  neg: "abs",
  abs: "abs",
  relu: "abs",
  tanh: "abs",
};

function magnitudeInstr(instr: Instr): Instr {
  if (instr.op === "const") return { op: "const", value: Math.abs(instr.value) };
  if (!("args" in instr)) return instr;
  const op = MAGNITUDE_OP[instr.op];
  if (!op) throw new RangeError(`magnitudeProgram: no bound of the rounding error through ${instr.op}`);
  return { op, args: instr.args };
}
