// What kind of work a phase is: the rows of profiles, on every device.

import { hasRole } from "./instr.ts";
import type { Phase, Program } from "./program.ts";

export const PHASE_KINDS = [
  "matmul sparse",
  "matmulT sparse",
  "matmul dense",
  "matmulT dense",
  "reduction", // sums over rows or lanes, with what is fused into them
  "pointwise", // other state phases
  "vector", //    other phases over plain vectors
  "sample", //    other phases of one row
] as const;

/** What kind of work a phase is: its first product, else a reduction, else by its space. */
export type PhaseKind = (typeof PHASE_KINDS)[number];

/** The kind of `program.phases[phaseIdx]`: of its first contraction, if it has one. */
export function phaseKind({ bindings }: Program, { instrs, rows, lanes }: Phase): PhaseKind {
  for (const instr of instrs) {
    if (instr.op !== "matmul" && instr.op !== "matmulT") continue;
    return `${instr.op} ${bindings[instr.matrix]?.kind === "dense" ? "dense" : "sparse"}`;
  }
  if (instrs.some(({ op }) => hasRole(op, "reduce"))) return "reduction";
  return lanes === "none" ? "vector" : rows === 1 ? "sample" : "pointwise";
}
