// The shader of a sparse product with its prologue and epilogue (kernels/spmm.wgsl, spmmGrad.wgsl).

import { BackendError } from "../../core/errors.ts";
import { closureOf } from "../instr.ts";
import type { Binding, BindingId, Instr, PanelLayout } from "../program.ts";
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

type Grad = NonNullable<Extract<Instr, { op: "matmulT" }>["grad"]>;

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
  const matrix = bindings[product.matrix]!;
  const operandRows = product.op === "matmul" ? (matrix.cols ?? 1) : matrix.rows;
  const constants = {
    PANEL_VECS: panelVecs(layout),
    BLOCK_PANELS: blockPanels(plan, layout, tuning),
    OPERAND_ROWS: operandRows,
    INDEX16: hasShortIndices(operandRows),
  };
  const gather = plan.halves === null ? slabGather(writer, operand) : HALVES_GATHER;
  if (product.op === "matmul" || product.grad === undefined) {
    const epilogue = [...gather, ...pointwiseEpilogue(plan, writer)].join("\n");
    return writer.finish("spmm", { ...constants, LANE_THREADS: SPARSE_WORKGROUP }, { epilogue });
  }
  const { enables, functions } = EXCHANGES[tuning.exchange];
  const epilogue = [...gather, functions, ...gradFunctions(plan, writer, product.grad)].join("\n");
  return writer.finish("spmmGrad", { ...constants, NEED_CT: product.needCt }, { enables, epilogue });
}

/** The pointwise work after a product, and its sums over lanes. */
function pointwiseEpilogue({ phase, product }: SparsePlan, writer: ShaderWriter): readonly string[] {
  const lanes = laneReductions(phase, writer);
  return [
    lanes.declarations,
    privates("lanesTotal", lanes.count),
    collectFunction(lanes.count),
    "fn epilogue(tile: Share, y: vec4<f32>) {",
    new PhasePrinter(phase, writer, new Map([[product, "y"]])).statements(),
    "}",
    finishFunction(lanes.stores),
  ];
}

/** What a product that grows a gradient needs: the operand X, the gradient's words, stores of its result. */
function gradFunctions({ phase, product }: SparsePlan, writer: ShaderWriter, grad: Grad): readonly string[] {
  const { instrs } = phase;
  const stores = instrs.flatMap((instr, id) => (instr.op === "store" ? [id] : []));
  const slab = writer.slab(grad.binding);
  return [
    "fn storeCt(tile: Share, ct: vec4<f32>) {",
    new PhasePrinter(phase, writer, new Map([[product, "ct"]])).statements([product, ...stores]),
    "}",
    "fn operandOf(tile: Share) -> vec4<f32> {",
    new PhasePrinter(phase, writer).statements(closureOf(instrs, [grad.x])),
    `  return v${grad.x};`,
    "}",
    "fn addToGrad(k: u32, x: f32) {",
    `  let at = 4u * ${writer.at(grad.binding)} + k;`,
    `  setWord${slab}(at, bitcast<u32>(bitcast<f32>(word${slab}(at)) + x));`,
    "}",
  ];
}

function slabGather(writer: ShaderWriter, operand: BindingId): readonly string[] {
  return [
    `fn operandAt() -> u32 { return ${writer.at(operand)}; }`,
    `fn gathered(at: u32) -> vec4<f32> { return read${writer.slab(operand)}(at); }`,
  ];
}

/** A copy in half precision begins its buffer. */
const HALVES_GATHER = [
  "fn operandAt() -> u32 { return 0u; }",
  "fn gathered(at: u32) -> vec4<f32> {",
  "  let h = halves[at];",
  "  return vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y));",
  "}",
] as const;

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
