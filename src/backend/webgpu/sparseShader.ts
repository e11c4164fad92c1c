// The shader of a sparse product with its prologue and epilogue (kernels/spmm.wgsl, spmmGrad.wgsl).

import { BackendError } from "../../core/errors.ts";
import { closureOf } from "../instr.ts";
import type { Binding, PanelLayout } from "../program.ts";
import { PhasePrinter } from "./emit.ts";
import { isProduct } from "./legalize.ts";
import { panelVecs } from "./panels.ts";
import type { SparsePlan } from "./plan.ts";
import { laneReductions, privates } from "./reductions.ts";
import { SPARSE_WORKGROUP } from "./rowBlocks.ts";
import { type FactName, type Shader, ShaderWriter, type SlabOf } from "./shader.ts";
import { blockPanels, type SparseTuning } from "./sparseTuning.ts";

/** Indices of a matrix are 16-bit where they fit, as in `indexArray` of core/csr.ts. */
export function hasShortIndices(gatheredRows: number): boolean {
  return gatheredRows <= 65536;
}

const FACTS: readonly FactName[] = [
  "groups",
  "blocks64",
  "blocks16",
  "blocks4",
  "tripsAt",
  "indicesAt",
  "marksAt",
  "mark",
  "firstPanel",
];

/**
 * How the threads of a panel hand each other numbers. Quads are four threads with neighbouring indices: WGSL does not promise it, but
 * Vulkan, Metal and D3D12 have it so for workgroups of one dimension.
 */
const EXCHANGES: Readonly<Record<SparseTuning["exchange"], { readonly enables: string; readonly functions: string }>> =
  {
    quads: {
      enables: "enable subgroups;",
      functions: [
        "fn swapped1(t: u32, x: vec2<f32>) -> vec2<f32> { return quadSwapX(x); }",
        "fn swapped2(t: u32, x: f32) -> f32 { return quadSwapY(x); }",
      ].join("\n"),
    },
    workgroup: {
      enables: "",
      functions: [
        "var<workgroup> exchanged: array<vec2<f32>, WORKGROUP>;",
        "fn swapped(t: u32, distance: u32, x: vec2<f32>) -> vec2<f32> {",
        "  workgroupBarrier();",
        "  exchanged[t] = x;",
        "  workgroupBarrier();",
        "  return exchanged[t ^ distance];",
        "}",
        "fn swapped1(t: u32, x: vec2<f32>) -> vec2<f32> { return swapped(t, 1u, x); }",
        "fn swapped2(t: u32, x: f32) -> f32 { return swapped(t, 2u, vec2<f32>(x)).x; }",
      ].join("\n"),
    },
  };

export function sparseShader(
  plan: SparsePlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
  tuning: SparseTuning,
): Shader {
  const { phase } = plan;
  const product = phase.instrs[plan.product]!;
  if (!isProduct(product)) throw new BackendError("program", "webgpu: expected a product in a sparse phase");
  const operand = product.op === "matmul" ? product.x : product.g;
  const writer = new ShaderWriter(plan, bindings, layout, slabOf, FACTS);
  const given = new Map([[plan.product, "y"]]);
  const grad = product.op === "matmulT" ? product.grad : undefined;
  if (grad) given.set(grad.x, "x");

  const vecs = panelVecs(layout);
  const matrix = bindings[product.matrix]!;
  const operandRows = product.op === "matmul" ? (matrix.cols ?? 1) : matrix.rows;
  const constants = {
    PANEL_VECS: vecs,
    BLOCK_PANELS: blockPanels(plan, layout, tuning),
    LANE_THREADS: SPARSE_WORKGROUP,
    OPERAND_ROWS: operandRows,
    INDEX16: hasShortIndices(operandRows),
    NEED_CT: product.op === "matmul" || product.needCt,
  };
  const lanes = laneReductions(phase, writer);
  const epilogue = [
    lanes.declarations,
    privates("lanesTotal", lanes.count),
    collectFunction(lanes.count),
    `fn operandAt() -> u32 { return ${writer.at(operand)}; }`,
    `fn gathered(at: u32) -> vec4<f32> { return read${writer.slab(operand)}(at); }`,
    `fn epilogue(tile: Share, y: vec4<f32>${grad ? ", x: vec4<f32>" : ""}) {`,
    new PhasePrinter(phase, writer, given).statements(),
    "}",
    finishFunction(lanes.stores),
  ];
  const { enables, functions } = EXCHANGES[tuning.exchange];
  if (grad) {
    const ids = closureOf(phase.instrs, [grad.x]);
    const slab = writer.slab(grad.binding);
    epilogue.push(
      functions,
      "fn operandOf(tile: Share) -> vec4<f32> {",
      new PhasePrinter(phase, writer).statements(ids),
      `  return v${grad.x};`,
      "}",
      "fn addToGrad(k: u32, x: f32) {",
      `  let at = 4u * ${writer.at(grad.binding)} + k;`,
      `  setWord${slab}(at, bitcast<u32>(bitcast<f32>(word${slab}(at)) + x));`,
      "}",
    );
  }
  const hooks = { epilogue: epilogue.join("\n"), ...(plan.kernel === "spmmGrad" ? { enables } : {}) };
  return writer.finish(plan.kernel, constants, hooks);
}

/** Private memory starts as zero, so a thread without a row adds nothing. */
function collectFunction(count: number): string {
  const lines = Array.from({ length: count }, (_, k) => `  lanesTotal${k} += lanesValue${k};`);
  return ["fn collectLanes() {", ...lines, "}"].join("\n");
}

/** Sums over lanes: the block's lanes first, then onto what earlier blocks left. */
function finishFunction(stores: readonly ((total: string, row: string) => string)[]): string {
  const lines = stores.flatMap((store, k) => [
    `  let total${k} = sumOverLanes(t, PANEL_VECS, lanesTotal${k});`,
    `  if (share.part == 0u && share.row != ABSENT && share.sub == 0u) {`,
    `    ${store(`total${k}`, "share.row")}`,
    "  }",
  ]);
  return ["fn finish(t: u32, share: Share) {", ...lines, "}"].join("\n");
}
