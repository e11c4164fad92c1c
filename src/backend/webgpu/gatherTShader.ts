// The shader of transposed gathers (kernels/gatherT.wgsl).

import type { Binding, PanelLayout } from "../program.ts";
import type { GatherTPlan } from "./plan.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

/** Rows of a workgroup. */
const GROUP_ROWS = 64;

export function gatherTGroups({ phase }: GatherTPlan): number {
  return Math.ceil(phase.rows / GROUP_ROWS);
}

export function gatherTShader(
  plan: GatherTPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
): Shader {
  const { source, index, offsets, target, rows } = plan.phase;
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const word = (id: number, at: string): string => `word${writer.slab(id)}(4u * ${writer.at(id)} + ${at})`;
  const entries = offsets === null ? ["j", "j + 1u"] : [word(offsets, "j"), word(offsets, "j + 1u")];
  const hook = [
    `fn entriesOf(j: u32) -> vec2<u32> { return vec2<u32>(${entries.join(", ")}); }`,
    `fn rowOf(k: u32) -> u32 { return ${word(index, "k")}; }`,
    `fn sourceOf(j: u32) -> f32 { return bitcast<f32>(${word(source, "j")}); }`,
    "fn storeSum(row: u32, x: f32) {",
    `  setWord${writer.slab(target)}(4u * ${writer.at(target)} + row, bitcast<u32>(x));`,
    "}",
  ];
  const constants = { ROWS: rows, GROUPS: gatherTGroups(plan), SEGMENTS: bindings[source]!.rows };
  return writer.finish("gatherT", constants, { entries: hook.join("\n") });
}
