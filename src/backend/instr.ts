// Facts about single instructions that lowering and both executors need: what they read, gather and write.

import type { BindingId, Instr, ValueId } from "./program.ts";

/** The bindings one instruction touches. */
export interface Accesses {
  /** Read at the instruction's own rows. */
  readonly reads: readonly BindingId[];
  /** Read at rows of other tiles: must be complete before the phase. */
  readonly gathers: readonly BindingId[];
  readonly writes: readonly BindingId[];
}

const NOTHING: Accesses = { reads: [], gathers: [], writes: [] };

export function accessesOf(instr: Instr): Accesses {
  switch (instr.op) {
    case "load":
      return { ...NOTHING, reads: [instr.binding] };
    case "lookup":
      return { ...NOTHING, reads: [instr.table] };
    case "random":
      return { ...NOTHING, reads: [instr.key] };
    case "gather":
      return { ...NOTHING, gathers: [instr.source, instr.index] };
    case "segmentSum":
      return { ...NOTHING, gathers: [instr.source, instr.offsets, instr.members] };
    case "gatherT":
      return { ...NOTHING, gathers: [instr.source, instr.index, ...(instr.offsets === null ? [] : [instr.offsets])] };
    case "matmul":
      return { ...NOTHING, gathers: [instr.matrix, instr.x] };
    case "matmulT":
      return { reads: [], gathers: [instr.matrix, instr.g], writes: instr.grad ? [instr.grad.binding] : [] };
    case "store":
    case "reduceRows":
    case "reduceLanes":
      return { ...NOTHING, writes: [instr.binding] };
    case "scatter":
      return { ...NOTHING, writes: [instr.table] };
    default:
      return NOTHING;
  }
}

/** The values of the phase that one instruction uses. */
export function operandsOf(instr: Instr): readonly ValueId[] {
  switch (instr.op) {
    case "load":
    case "const":
    case "rowIndex":
    case "gather":
    case "segmentSum":
    case "gatherT":
    case "matmul":
      return [];
    case "lookup":
      return [instr.index];
    case "random":
      return [instr.sampleId];
    case "matmulT":
      return instr.grad ? [instr.grad.x] : [];
    case "store":
    case "reduceRows":
    case "reduceLanes":
      return [instr.value];
    case "scatter":
      return [instr.index, instr.value];
    default:
      return instr.args;
  }
}
