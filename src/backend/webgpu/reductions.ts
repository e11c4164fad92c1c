// WGSL for the reductions of a phase: the private variables that its values go through, and the stores of the results.

import type { Instr } from "../program.ts";
import type { Memory } from "./emit.ts";
import type { LegalPhase } from "./legalize.ts";
import { isReduceRows } from "./plan.ts";

type ReduceLanes = Extract<Instr, { op: "reduceLanes" }>;
type ReduceRows = Extract<Instr, { op: "reduceRows" }>;

function isReduceLanes(instr: Instr): instr is ReduceLanes {
  return instr.op === "reduceLanes";
}

export interface LaneReductions {
  readonly count: number;
  readonly declarations: string;
  /** The statement that stores `total` for `row`. */
  readonly stores: readonly ((total: string, row: string) => string)[];
}

/** Sums over lanes. Where blocks of lanes run one after another, all but the first add to what is there. */
export function laneReductions(phase: LegalPhase, memory: Memory, blocked = true): LaneReductions {
  const reductions = phase.instrs.filter(isReduceLanes);
  const stores = reductions.map((r) => (total: string, row: string): string => {
    const slab = memory.slab(r.binding);
    const at = `4u * ${memory.at(r.binding)} + ${row}`;
    const old = `bitcast<f32>(word${slab}(${at}))`;
    const before = r.accumulate ? old : blocked ? `select(0.0, ${old}, params.firstPanel > 0u)` : "0.0";
    return `setWord${slab}(${at}, bitcast<u32>(${before} + ${total}));`;
  });
  return { count: reductions.length, declarations: privates("lanesValue", reductions.length), stores };
}

export interface RowReduction {
  /** SUM, MAX or MIN of kernels/shared/reduceRows.wgsl. */
  readonly how: string;
  /** Stores a vec4 of lanes (in a sample) at `offset`. */
  storeLanes(total: string, offset: string): string;
  /** Stores one number (in a scalar). */
  storeNumber(total: string): string;
}

export function rowReductions(phase: LegalPhase, memory: Memory): readonly RowReduction[] {
  return phase.instrs.filter(isReduceRows).map((r) => rowReduction(r, memory));
}

/** The result of a reduction: stored, or combined with what is there. */
export function rowReduction(r: Pick<ReduceRows, "binding" | "how" | "accumulate">, memory: Memory): RowReduction {
  const slab = memory.slab(r.binding);
  const how = r.how.toUpperCase();
  return {
    how,
    storeLanes: (total, offset) => {
      const at = `${memory.at(r.binding)} + ${offset}`;
      const result = r.accumulate ? `combine(${how}, read${slab}(${at}), ${total})` : total;
      return `write${slab}(${at}, ${result});`;
    },
    storeNumber: (total) => {
      const at = `4u * ${memory.at(r.binding)}`;
      const old = `vec4<f32>(bitcast<f32>(word${slab}(${at})))`;
      const result = r.accumulate ? `combine(${how}, ${old}, vec4<f32>(${total})).x` : total;
      return `setWord${slab}(${at}, bitcast<u32>(${result}));`;
    },
  };
}

/** `count` private vec4s. */
export function privates(name: string, count: number): string {
  return Array.from({ length: count }, (_, k) => `var<private> ${name}${k}: vec4<f32>;`).join("\n");
}
