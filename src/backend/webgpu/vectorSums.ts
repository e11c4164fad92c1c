// Sums over a source by an index: their workgroups, their work, and the hooks of their kernels (kernels/segmentSum.wgsl, gatherT.wgsl).

import type { Binding, BindingId, PanelLayout } from "../program.ts";
import type { VectorSumPhase } from "./legalize.ts";
import type { VectorSumPlan } from "./plan.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

const THREADS = 256;
/** With more segments than this, each has fewer threads: most of many segments are short. */
const MANY_SEGMENTS = 4096;
/** Rows of a workgroup of gatherT.wgsl. */
const GATHER_T_ROWS = 64;

/** Threads for each of `rows` segments. */
function partsOf(rows: number): number {
  return rows > MANY_SEGMENTS ? 16 : THREADS;
}

export function vectorSumGroups({ sum, rows }: VectorSumPhase): number {
  return Math.ceil(rows / (sum.op === "segmentSum" ? THREADS / partsOf(rows) : GATHER_T_ROWS));
}

/** Additions; of gatherT comparisons. */
export function vectorSumWork({ sum, rows }: VectorSumPhase, bindings: readonly Binding[]): number {
  return sum.op === "segmentSum" ? bindings[sum.members]!.rows : bindings[sum.index]!.rows * rows;
}

export function vectorSumShader(
  plan: VectorSumPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
): Shader {
  const { sum, target, rows } = plan.phase;
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const word = (id: BindingId, at: string): string => `word${writer.slab(id)}(4u * ${writer.at(id)} + ${at})`;
  const sourceOf = (k: string, at: string): string =>
    `fn sourceOf(${k}: u32) -> f32 { return bitcast<f32>(${word(sum.source, at)}); }`;
  const storeSum = [
    "fn storeSum(row: u32, x: f32) {",
    `  setWord${writer.slab(target)}(4u * ${writer.at(target)} + row, bitcast<u32>(x));`,
    "}",
  ];
  const sizes = { ROWS: rows, GROUPS: vectorSumGroups(plan.phase) };
  if (sum.op === "segmentSum") {
    const offsetOf = `fn offsetOf(row: u32) -> u32 { return ${word(sum.offsets, "row")}; }`;
    const segments = [offsetOf, sourceOf("k", word(sum.members, "k")), ...storeSum].join("\n");
    return writer.finish(sum.op, { ...sizes, PARTS: partsOf(rows) }, { segments });
  }
  const { index, offsets, source } = sum;
  const [first, end] = offsets === null ? ["j", "j + 1u"] : [word(offsets, "j"), word(offsets, "j + 1u")];
  const entries = [
    `fn entriesOf(j: u32) -> vec2<u32> { return vec2<u32>(${first}, ${end}); }`,
    `fn rowOf(k: u32) -> u32 { return ${word(index, "k")}; }`,
    sourceOf("j", "j"),
    ...storeSum,
  ].join("\n");
  return writer.finish(sum.op, { ...sizes, SEGMENTS: bindings[source]!.rows }, { entries });
}
