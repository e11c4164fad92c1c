// The shader of a copy in half precision (kernels/pack.wgsl).

import type { Binding, PanelLayout } from "../program.ts";
import { panelVecs } from "./panels.ts";
import type { PackPlan } from "./plan.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

/** Threads of a workgroup; each packs four lanes of a row. */
const THREADS = 256;

export function packGroups({ rows }: PackPlan, layout: PanelLayout): number {
  return Math.ceil((rows * panelVecs(layout) * layout.panels) / THREADS);
}

export function packShader(plan: PackPlan, bindings: readonly Binding[], layout: PanelLayout, slabOf: SlabOf): Shader {
  const { source, rows } = plan;
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const sourceAt = `fn sourceAt(at: u32) -> vec4<u32> { return slab${writer.slab(source)}[${writer.at(source)} + at]; }`;
  return writer.finish("pack", { VECS: rows * panelVecs(layout) }, { source: sourceAt });
}
