// The shader of a tile product (kernels/gemm.wgsl): the shape of its tiles, where the elements of its operands lie, and where results
// go. What a thread holds in registers is printed out, one variable for each vec4.

import { lanesOf } from "../layout.ts";
import type { Binding, BindingId, PanelLayout } from "../program.ts";
import { panelsAtOnce, panelVecs } from "./panels.ts";
import type { GemmPlan } from "./plan.ts";
import { privates } from "./reductions.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

/** TILE_M and GROUPS of kernels/gemm.wgsl. */
const TILE_M = 64;
const GROUPS = TILE_M / 4;

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

interface Shape {
  readonly tileN: number;
  readonly tileK: number;
  /** Rows of a thread: 1, 4 or 8, by four columns. */
  readonly threadRows: number;
  readonly threads: number;
}

/**
 * Few lanes: memory is the limit, and threads with one row each make more of them. Many lanes: arithmetic is the limit, and 8 × 4
 * numbers per thread need few reads of workgroup memory. The shape has no say in the order of a sum.
 */
function shapeOf({ phase }: GemmPlan, layout: PanelLayout): Shape {
  if (phase.variant === "grad") return tileShape(64, layout.panel, 8);
  const tileN = layout.panel * panelsAtOnce(4, layout);
  if (tileN > 32) return tileShape(tileN, 16, 8);
  return tileShape(tileN, 32, tileN > 8 ? 4 : 1);
}

function tileShape(tileN: number, tileK: number, threadRows: number): Shape {
  return { tileN, tileK, threadRows, threads: (TILE_M / threadRows) * (tileN / 4) };
}

/** Workgroups in x, y, z. What neighbours share should be the larger part of what they read. */
export function gemmGrid(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout): [number, number, number] {
  const { m, n } = extentsOf(plan, bindings, layout);
  const tilesM = Math.ceil(m / TILE_M);
  const tilesN = Math.ceil(n / shapeOf(plan, layout).tileN);
  const { splits, variant } = plan.phase;
  return variant === "grad" ? [tilesM, tilesN, splits] : [tilesN, tilesM, splits];
}

/** Multiplications. */
export function gemmWork(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout): number {
  const { m, n, k } = extentsOf(plan, bindings, layout);
  return m * n * k;
}

export function gemmShader(plan: GemmPlan, bindings: readonly Binding[], layout: PanelLayout, slabOf: SlabOf): Shader {
  const { variant, splits } = plan.phase;
  const isGrad = variant === "grad";
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const extents = extentsOf(plan, bindings, layout);
  const shape = shapeOf(plan, layout);
  const { tileN, tileK, threads } = shape;
  const constants = {
    EXTENT_M: extents.m,
    TILE_N: tileN,
    TILE_K: tileK,
    THREADS: threads,
    // In the gradient neighbouring threads keep neighbouring k, which should lie in different banks.
    STRIDE_B: tileN / 4 + (isGrad ? 1 : 0),
    A_INNER_FIRST: variant !== "ct",
    M_FIRST: isGrad,
  };
  const lanes = `params.panels * ${layout.panel}u`;
  const inner = isGrad ? [lanes, lanes] : [`${extents.k}u`, `${Math.ceil(extents.k / splits)}u`];
  const elements = [
    `fn extentK() -> u32 { return ${inner[0]}; }`,
    `fn splitK() -> u32 { return ${inner[1]}; }`,
    ...(isGrad ? gradElements(writer, plan, extents) : productElements(writer, plan, extents)),
    ...tiles(shape),
    ...(isGrad ? gradFinish(writer, plan, extents, shape) : productFinish(writer, plan, extents, shape)),
  ];
  return writer.finish("gemm", constants, { elements: elements.join("\n") });
}

/** From memory to registers, from there to the tiles, and the product of the tiles. */
function tiles(shape: Shape): string[] {
  const { tileN, tileK, threadRows, threads } = shape;
  const [inA, inB] = [GROUPS * tileK, (tileN / 4) * tileK];
  const [perA, perB] = [Math.ceil(inA / threads), Math.ceil(inB / threads)];
  const slot = (j: number): string => `t + ${j * threads}u`;
  // What a thread past the end of a tile fetches is not kept, but must lie in the operand.
  const fetched = (j: number, total: number): string =>
    (j + 1) * threads <= total ? slot(j) : `min(${slot(j)}, ${total - 1}u)`;
  const keep = (tile: "A" | "B", j: number, total: number): string[] => {
    const [at, k] = [`at${tile}${j}`, `STRIDE_${tile}`];
    const store = `tile${tile}[${at}.y * ${k} + ${at}.x] = next${tile}${j};`;
    const exists = (j + 1) * threads <= total;
    return [
      `  let ${at} = placeIn${tile}(${slot(j)});`,
      exists ? `  ${store}` : `  if (${slot(j)} < ${total}u) { ${store} }`,
    ];
  };
  const groups = Math.ceil(threadRows / 4);
  const factors =
    threadRows === 1
      ? ["    let a0 = tileA[k * STRIDE_A + row / 4u][row % 4u];"]
      : count(groups, (g) => `    let a${g} = tileA[k * STRIDE_A + row + ${g * (GROUPS / groups)}u];`);
  const factor = (r: number): string => (threadRows === 1 ? "a0" : `a${Math.floor(r / 4)}[${r % 4}]`);
  return [
    privates("nextA", perA),
    privates("nextB", perB),
    privates("sum", threadRows),
    "fn fetch(t: u32, m0: u32, n0: u32, k0: u32, kEnd: u32) {",
    ...count(perA, (j) => `  nextA${j} = fetchA(placeInA(${fetched(j, inA)}), m0, k0, kEnd);`),
    ...count(perB, (j) => `  nextB${j} = fetchB(placeInB(${fetched(j, inB)}), n0, k0, kEnd);`),
    "}",
    "fn keep(t: u32) {",
    ...count(perA, (j) => keep("A", j, inA)).flat(),
    ...count(perB, (j) => keep("B", j, inB)).flat(),
    "}",
    "fn multiply(t: u32) {",
    "  let row = t / VECS_N;",
    "  let column = t % VECS_N;",
    "  for (var k = 0u; k < TILE_K; k++) {",
    "    let b = tileB[k * STRIDE_B + column];",
    ...factors,
    ...count(threadRows, (r) => `    sum${r} += ${factor(r)} * b;`),
    "  }",
    "}",
  ];
}

/** Row of the tile that `sum<r>` of a thread belongs to. */
function rowOf(r: number, { threadRows }: Shape): string {
  if (threadRows === 1) return "t / VECS_N / 4u + t / VECS_N % 4u * GROUPS";
  return `t / VECS_N + ${(r % 4) * GROUPS + Math.floor(r / 4) * (GROUPS / 2)}u`;
}

/**
 * `fn name(row, at)`: the word at `at` and those of the rows GROUPS, 2·GROUPS and 3·GROUPS further on, `step` vec4s apart. Rows past
 * the last one repeat the first.
 */
function fourRows(name: string, slab: number, rows: number, step: number): string {
  const words = [0, 1, 2, 3].map((i) => {
    if (i === 0) return `slab${slab}[vec][part]`;
    const isThere = rows % TILE_M === 0 ? "true" : `row + ${i * GROUPS}u < ${rows}u`;
    return `slab${slab}[vec + select(0u, ${i * step}u, ${isThere})][part]`;
  });
  return [
    `fn ${name}(row: u32, at: u32) -> vec4<f32> {`,
    "  let vec = at >> 2u;",
    "  let part = at & 3u;",
    `  return bitcast<vec4<f32>>(vec4<u32>(${words.join(", ")}));`,
    "}",
  ].join("\n");
}

/** First word of a binding. */
function firstWord(writer: ShaderWriter, id: BindingId): string {
  return `4u * ${writer.at(id)}`;
}

function productElements(writer: ShaderWriter, { phase }: GemmPlan, { m, k }: Extents): string[] {
  const { variant, matrix, operand } = phase;
  const isForward = variant === "forward";
  const vecs = panelVecs(writer.layout);
  const inMatrix = isForward ? `row * ${k}u + kThere` : `kThere * ${m}u + row`;
  const state = `${writer.at(operand)} + (panel * ${k}u + min(k, kEnd - 1u)) * ${vecs}u + place.x % ${vecs}u`;
  return [
    fourRows("fourRowsOfA", writer.slab(matrix), m, isForward ? (GROUPS / 4) * k : GROUPS / 4),
    "fn fetchA(place: vec2<u32>, m0: u32, k0: u32, kEnd: u32) -> vec4<f32> {",
    `  let row = min(m0 + place.x, ${m - 1}u);`,
    "  let kThere = min(k0 + place.y, kEnd - 1u);",
    `  let a = fourRowsOfA(row, ${firstWord(writer, matrix)} + ${inMatrix});`,
    "  return select(vec4<f32>(0.0), a, k0 + place.y < kEnd);",
    "}",
    "/// As placeInA, of the i-th vec4 of lanes: those of a row of a panel are neighbours, and rows follow one another.",
    "fn placeInB(i: u32) -> vec2<u32> {",
    `  return vec2<u32>(i / ${vecs}u / TILE_K * ${vecs}u + i % ${vecs}u, i / ${vecs}u % TILE_K);`,
    "}",
    "fn fetchB(place: vec2<u32>, n0: u32, k0: u32, kEnd: u32) -> vec4<f32> {",
    `  let panel = min((n0 / 4u + place.x) / ${vecs}u, params.panels - 1u);`,
    "  let k = k0 + place.y;",
    `  return select(vec4<f32>(0.0), read${writer.slab(operand)}(${state}), k < kEnd);`,
    "}",
  ];
}

/** A row of C is a row of a state in a table of partial products. */
function productFinish(writer: ShaderWriter, { phase }: GemmPlan, { m }: Extents, shape: Shape): string[] {
  const { other } = phase;
  const vecs = panelVecs(writer.layout);
  return [
    "fn store(row: u32, vec: u32, split: u32, x: vec4<f32>) {",
    `  if (row < ${m}u) {`,
    `    let state = (split * params.panels + vec / ${vecs}u) * ${m}u + row;`,
    `    write${writer.slab(other)}(${writer.at(other)} + state * ${vecs}u + vec % ${vecs}u, x);`,
    "  }",
    "}",
    "fn finish(t: u32, m0: u32, n0: u32, split: u32) {",
    "  let vec = n0 / 4u + t % VECS_N;",
    `  if (vec < params.panels * ${vecs}u) {`,
    ...count(shape.threadRows, (r) => `    store(m0 + ${rowOf(r, shape)}, vec, split, sum${r});`),
    "  }",
    "}",
  ];
}

/** Both operands are states, k is the lane. A tile is as deep as a panel. */
function gradElements(writer: ShaderWriter, { phase }: GemmPlan, { m, n }: Extents): string[] {
  const { panel } = writer.layout;
  const fetch = (name: "A" | "B", id: BindingId, rows: number): string[] => [
    fourRows(`fourRowsOf${name}`, writer.slab(id), rows, (GROUPS * panel) / 4),
    `fn fetch${name}(place: vec2<u32>, row0: u32, k0: u32, kEnd: u32) -> vec4<f32> {`,
    `  let row = min(row0 + place.x, ${rows - 1}u);`,
    `  return fourRowsOf${name}(row, ${firstWord(writer, id)} + k0 * ${rows}u + row * ${panel}u + place.y);`,
    "}",
  ];
  return [
    ...fetch("A", phase.operand, m),
    "fn placeInB(i: u32) -> vec2<u32> { return placeInA(i); }",
    ...fetch("B", phase.other, n),
  ];
}

/** C is added to the matrix: everything is read before anything is written, so that all reads are under way at once. */
function gradFinish(writer: ShaderWriter, { phase }: GemmPlan, { m, n }: Extents, shape: Shape): string[] {
  const { matrix } = phase;
  const slab = writer.slab(matrix);
  const { threadRows } = shape;
  return [
    fourRows("fourColumnsOfC", slab, n, GROUPS / 4),
    `fn wordOfC(row: u32, column: u32) -> u32 { return ${firstWord(writer, matrix)} + row * ${n}u + column; }`,
    "fn sumWith(x: vec4<f32>, row: u32, column: u32) -> vec4<f32> {",
    `  return fourColumnsOfC(column, wordOfC(min(row, ${m - 1}u), column)) + x;`,
    "}",
    "fn store(row: u32, column: u32, x: vec4<f32>) {",
    `  if (row < ${m}u) {`,
    "    let at = wordOfC(row, column);",
    `    setWord${slab}(at, bitcast<u32>(x.x));`,
    ...[1, 2, 3].map((i) => {
      const set = `setWord${slab}(at + ${i * GROUPS}u, bitcast<u32>(x[${i}]));`;
      return `    if (column + ${i * GROUPS}u < ${n}u) { ${set} }`;
    }),
    "  }",
    "}",
    "fn finish(t: u32, m0: u32, n0: u32, split: u32) {",
    "  let column = n0 + t % VECS_N;",
    `  if (column < ${n}u) {`,
    ...count(threadRows, (r) => `    sum${r} = sumWith(sum${r}, m0 + ${rowOf(r, shape)}, column);`),
    ...count(threadRows, (r) => `    store(m0 + ${rowOf(r, shape)}, column, sum${r});`),
    "  }",
    "}",
  ];
}

function count<T>(n: number, of: (j: number) => T): T[] {
  return Array.from({ length: n }, (_, j) => of(j));
}
