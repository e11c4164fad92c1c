// The shader of sums over segments (kernels/segmentSum.wgsl).

import type { Binding, PanelLayout } from "../program.ts";
import type { SegmentPlan } from "./plan.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

const THREADS = 256;
/** With more segments than this, each has fewer threads: most of many segments are short. */
const MANY_SEGMENTS = 4096;

/** Threads for each of `rows` segments. */
function partsOf(rows: number): number {
  return rows > MANY_SEGMENTS ? 16 : THREADS;
}

export function segmentGroups(plan: SegmentPlan): number {
  return Math.ceil(plan.phase.rows / (THREADS / partsOf(plan.phase.rows)));
}

export function segmentShader(
  plan: SegmentPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
): Shader {
  const { source, offsets, members, target, rows } = plan.phase;
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const word = (id: number, at: string): string => `word${writer.slab(id)}(4u * ${writer.at(id)} + ${at})`;
  const constants = { ROWS: rows, GROUPS: segmentGroups(plan), PARTS: partsOf(rows) };
  const segments = [
    `fn offsetOf(row: u32) -> u32 { return ${word(offsets, "row")}; }`,
    `fn sourceOf(k: u32) -> f32 { return bitcast<f32>(${word(source, word(members, "k"))}); }`,
    "fn storeSum(row: u32, x: f32) {",
    `  setWord${writer.slab(target)}(4u * ${writer.at(target)} + row, bitcast<u32>(x));`,
    "}",
  ];
  return writer.finish("segmentSum", constants, { segments: segments.join("\n") });
}
