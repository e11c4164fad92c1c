// What a dispatch does and moves, counted from sizes.

import { isWrite } from "../instr.ts";
import { lanesOf, lengthOf } from "../layout.ts";
import type { Binding, PanelLayout } from "../program.ts";
import { gemmWork } from "./gemmShader.ts";
import { isProduct } from "./legalize.ts";
import { accessesOfPlan, type DispatchPlan } from "./plan.ts";
import type { Work } from "./queue.ts";

/** @param nnz stored entries of the sparse operand, and bytes of its structure and values; zeros without one */
export function workOf(
  plan: DispatchPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  matrix: { readonly nnz: number; readonly bytes: number },
): Work {
  const lanes = lanesOf(layout);
  const accesses = accessesOfPlan(plan);
  const once = (writes: boolean): number => {
    const ids = new Set(accesses.filter((a) => isWrite(a) === writes).map((a) => a.binding));
    return [...ids].reduce((sum, id) => sum + 4 * lengthOf(bindings[id]!, layout), 0);
  };
  const bytes = once(false) + once(true) + matrix.bytes;
  const gatheredBytes = 4 * matrix.nnz * lanes;
  return { operations: matrix.nnz * lanes + pointwiseOperations(plan, bindings, layout), bytes, gatheredBytes };
}

function pointwiseOperations(plan: DispatchPlan, bindings: readonly Binding[], layout: PanelLayout): number {
  if (plan.kernel === "gemm") return gemmWork(plan, bindings, layout);
  if (plan.kernel === "segmentSum") return bindings[plan.phase.members]!.rows;
  if (plan.kernel === "gatherT") return bindings[plan.phase.index]!.rows * plan.phase.rows;
  const phases = plan.kernel === "tail" ? plan.phases : [plan.phase];
  return phases.reduce((sum, { rows, lanes, instrs }) => {
    const width = lanes === "batch" ? lanesOf(layout) : 1;
    return sum + rows * width * instrs.filter((instr) => !isProduct(instr)).length;
  }, 0);
}
