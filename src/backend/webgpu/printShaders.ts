// What a GPU runs of a program, as text: its dispatches and the WGSL of each. No device is needed for it.

import type { Gather } from "../gather.ts";
import { isWrite } from "../instr.ts";
import type { Binding, PanelLayout, Program } from "../program.ts";
import { accessesOfPlan, type DispatchPlan, halvesOf, planOf } from "./plan.ts";
import { shaderOf } from "./shaders.ts";
import { SPARSE_TUNING } from "./sparseTuning.ts";
import { shareTemporaries } from "./temporaryPool.ts";

/** A dispatch: its kernel (kernels/<kernel>.wgsl), the rows that it covers, the bindings that it reads and writes, its shader. */
export interface PrintedDispatch {
  readonly kernel: DispatchPlan["kernel"];
  readonly rows: number;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly wgsl: string;
}

export interface PrintedShaders {
  readonly dispatches: readonly PrintedDispatch[];
  /** Bytes of temporaries, partial results among them. */
  readonly temporaryBytes: number;
}

/**
 * The dispatches of `program`, as if all its buffers lay in one slab. On a device they lie in several, and a shader has a binding for
 * each slab that it touches.
 *
 * @param options  whether the adapter has the feature "subgroups"; what sparse products gather
 */
export function printShaders(
  program: Program,
  layout: PanelLayout,
  { subgroups, gather }: { readonly subgroups: boolean; readonly gather: Gather },
): PrintedShaders {
  const { bindings, dispatches, halves } = planOf(program, gather);
  const tuning = { ...SPARSE_TUNING, exchange: subgroups ? ("quads" as const) : ("workgroup" as const) };
  return {
    dispatches: dispatches.map((plan) => ({
      kernel: plan.kernel,
      rows: rowsOf(plan),
      ...touched(plan, bindings),
      wgsl: shaderOf(plan, bindings, layout, () => 0, tuning).source,
    })),
    temporaryBytes: shareTemporaries(bindings, layout, halves).reduce((sum, { length }) => sum + 4 * length, 0),
  };
}

function rowsOf(plan: DispatchPlan): number {
  if (plan.kernel === "pack") return plan.rows;
  return plan.kernel === "tail" ? 1 : plan.phase.rows;
}

function touched(plan: DispatchPlan, bindings: readonly Binding[]): Pick<PrintedDispatch, "reads" | "writes"> {
  const halves = halvesOf(plan);
  const accesses = [...accessesOfPlan(plan), ...(halves ? [halves] : [])];
  const names = (writes: boolean): readonly string[] => [
    ...new Set(accesses.filter((a) => isWrite(a) === writes).map(({ binding }) => bindings[binding]!.name)),
  ];
  return { reads: names(false), writes: names(true) };
}
