// The shader of a tile product (kernels/gemm.wgsl): where the elements of its operands lie, and where results go.

import type { Binding, BindingId, PanelLayout } from "../program.ts";
import { lanesOf, panelVecs } from "./layout.ts";
import type { GemmPlan } from "./plan.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

/** Tile sizes of kernels/gemm.wgsl. */
const TILE_M = 64;
const TILE_N = 16;

/** C[m, n] = Σ_k A[m, k]·B[k, n]. */
interface Extents {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** forward: C = M·X. ct: C = Mᵀ·G. grad: C = G·Xᵀ, whose inner extent are the lanes. */
function extentsOf({ phase }: GemmPlan, bindings: readonly Binding[], layout: PanelLayout): Extents {
  const { rows, cols = 1 } = bindings[phase.matrix]!;
  const lanes = lanesOf(layout);
  if (phase.variant === "forward") return { m: rows, n: lanes, k: cols };
  if (phase.variant === "ct") return { m: cols, n: lanes, k: rows };
  return { m: rows, n: cols, k: lanes };
}

/** Workgroups in x, y, z. */
export function gemmGrid(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout): [number, number, number] {
  const { m, n } = extentsOf(plan, bindings, layout);
  return [Math.ceil(m / TILE_M), plan.phase.splits, Math.ceil(n / TILE_N)];
}

/** Multiplications. */
export function gemmWork(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout): number {
  const { m, n, k } = extentsOf(plan, bindings, layout);
  return m * n * k;
}

export function gemmShader(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout, slabOf: SlabOf): Shader {
  const { variant } = plan.phase;
  const isGrad = variant === "grad";
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const { m, n, k } = extentsOf(plan, bindings, layout);
  const constants = {
    EXTENT_M: m,
    A_INNER_FIRST: variant !== "ct",
    B_INNER_FIRST: isGrad,
  };
  const lanes = `params.panels * ${layout.panel}u`;
  const extents = isGrad
    ? [u32Function("extentN", `${n}u`), u32Function("extentK", lanes), u32Function("splitK", lanes)]
    : [
        u32Function("extentN", lanes),
        u32Function("extentK", `${k}u`),
        u32Function("splitK", `${Math.ceil(k / plan.phase.splits)}u`),
      ];
  const elements = isGrad ? gradElements(writer, plan) : productElements(writer, plan, m, k);
  return writer.finish("gemm", constants, { elements: [...extents, elements].join("\n") });
}

function u32Function(name: string, value: string): string {
  return `fn ${name}() -> u32 { return ${value}; }`;
}

/** An element as f32: word `offset` of a binding. */
function element(writer: ShaderWriter, id: BindingId, offset: string): string {
  return `bitcast<f32>(word${writer.slab(id)}(4u * ${writer.at(id)} + ${offset}))`;
}

/** Word offset of (row, lane) in a state. */
function stateOffset(layout: PanelLayout, rows: number, row: string, lane: string): string {
  const { panel } = layout;
  return `((${lane} / ${panel}u) * ${rows}u + ${row}) * ${panel}u + ${lane} % ${panel}u`;
}

function productElements(writer: ShaderWriter, { phase }: GemmPlan, m: number, k: number): string {
  const { variant, matrix, operand, other } = phase;
  const { layout } = writer;
  const inMatrix = variant === "forward" ? `m * ${k}u + k` : `k * ${m}u + m`;
  const stride = `(params.panels * ${m * panelVecs(layout)}u)`;
  const at = `${writer.at(other)} + split * ${stride} + (${stateOffset(layout, m, "m", "n")}) / 4u`;
  return [
    `fn elementA(m: u32, k: u32) -> f32 { return ${element(writer, matrix, inMatrix)}; }`,
    `fn elementB(k: u32, n: u32) -> f32 { return ${element(writer, operand, stateOffset(layout, k, "k", "n"))}; }`,
    `fn storeC(m: u32, n: u32, split: u32, x: vec4<f32>) { write${writer.slab(other)}(${at}, x); }`,
  ].join("\n");
}

function gradElements(writer: ShaderWriter, { phase }: GemmPlan): string {
  const { matrix, operand, other } = phase;
  const { layout } = writer;
  const { rows, cols = 1 } = writer.binding(matrix);
  const slab = writer.slab(matrix);
  return [
    `fn elementA(m: u32, k: u32) -> f32 { return ${element(writer, operand, stateOffset(layout, rows, "m", "k"))}; }`,
    `fn elementB(k: u32, n: u32) -> f32 { return ${element(writer, other, stateOffset(layout, cols, "n", "k"))}; }`,
    "fn storeC(m: u32, n: u32, split: u32, x: vec4<f32>) {",
    `  for (var i = 0u; i < 4u && n + i < ${cols}u; i++) {`,
    `    let at = 4u * ${writer.at(matrix)} + m * ${cols}u + n + i;`,
    `    setWord${slab}(at, bitcast<u32>(bitcast<f32>(word${slab}(at)) + x[i]));`,
    "  }",
    "}",
  ].join("\n");
}
