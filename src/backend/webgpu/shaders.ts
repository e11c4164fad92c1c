// Dispatch → shader: one builder for each kind of kernel.

import type { Binding, PanelLayout } from "../program.ts";
import { gemmShader } from "./gemmShader.ts";
import { packShader } from "./packShader.ts";
import type { DispatchPlan } from "./plan.ts";
import { pointwiseShader } from "./pointwiseShader.ts";
import type { Shader, SlabOf } from "./shader.ts";
import { sparseShader } from "./sparseShader.ts";
import type { SparseTuning } from "./sparseTuning.ts";
import { tailShader } from "./tailShader.ts";
import { vectorSumShader } from "./vectorSums.ts";

export function shaderOf(
  plan: DispatchPlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
  tuning: SparseTuning,
): Shader {
  switch (plan.kernel) {
    case "spmm":
    case "spmmGrad":
      return sparseShader(plan, bindings, layout, slabOf, tuning);
    case "gemm":
      return gemmShader(plan, bindings, layout, slabOf);
    case "pack":
      return packShader(plan, bindings, layout, slabOf);
    case "segmentSum":
    case "gatherT":
      return vectorSumShader(plan, bindings, layout, slabOf);
    case "map":
    case "vector":
      return pointwiseShader(plan, bindings, layout, slabOf);
    case "tail":
      return tailShader(plan, bindings, layout, slabOf);
  }
}
