// What a dispatch does and moves, counted from sizes.

import { isWrite } from "../instr.ts";
import { lanesOf, lengthOf } from "../layout.ts";
import type { Binding, PanelLayout } from "../program.ts";
import { gemmWork } from "./gemmShader.ts";
import { isProduct, type LegalPhase } from "./legalize.ts";
import { accessesOfPlan, type DispatchPlan, halvesOf } from "./plan.ts";
import type { Work } from "./queue.ts";
import { vectorSumWork } from "./vectorSums.ts";

/** @param nnz stored entries of the sparse operand, and bytes of its structure and values; zeros without one */
export function workOf(
  plan: DispatchPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  matrix: { readonly nnz: number; readonly bytes: number },
): Work {
  const lanes = lanesOf(layout);
  const halves = halvesOf(plan);
  const accesses = [...accessesOfPlan(plan), ...(halves ? [halves] : [])];
  const once = (writes: boolean): number => {
    const ids = new Set(accesses.filter((a) => isWrite(a) === writes).map((a) => a.binding));
    return [...ids].reduce((sum, id) => sum + 4 * lengthOf(bindings[id]!, layout), 0);
  };
  const bytes = once(false) + once(true) + matrix.bytes;
  const gatheredBytes = (halves ? 2 : 4) * matrix.nnz * lanes;
  return { operations: matrix.nnz * lanes + operationsOf(plan, bindings, layout), bytes, gatheredBytes };
}

function operationsOf(plan: DispatchPlan, bindings: readonly Binding[], layout: PanelLayout): number {
  switch (plan.kernel) {
    case "gemm":
      return gemmWork(plan, bindings, layout);
    case "segmentSum":
    case "gatherT":
      return vectorSumWork(plan.phase, bindings);
    case "pack":
      return plan.rows * lanesOf(layout);
    case "tail":
      return plan.phases.reduce((sum, phase) => sum + instructionsOf(phase, layout), 0);
    default:
      return instructionsOf(plan.phase, layout);
  }
}

/** Numbers that the instructions of a phase make, products left out. */
function instructionsOf({ rows, lanes, instrs }: LegalPhase, layout: PanelLayout): number {
  const width = lanes === "batch" ? lanesOf(layout) : 1;
  return rows * width * instrs.filter((instr) => !isProduct(instr)).length;
}
