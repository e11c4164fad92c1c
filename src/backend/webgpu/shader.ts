// What all generated shaders share: the slabs and offsets that a dispatch is bound to, and filling the hooks of a kernel.

import { BackendError } from "../../core/errors.ts";
import { isWrite } from "../instr.ts";
import type { Binding, BindingId, PanelLayout } from "../program.ts";
import type { Memory } from "./emit.ts";
import { accessesOfPlan, type DispatchPlan, halvesOf, sparseMatrixOf } from "./plan.ts";
import { type Declaration, declarationsOf, reachable } from "./reachable.ts";
import { type KernelName, kernelSources } from "./wgsl.gen.ts";

/** A number that a dispatch finds in its uniform block. */
export type Param =
  | { readonly kind: "offset"; readonly binding: BindingId }
  | { readonly kind: "fact"; readonly name: FactName };

/**
 * Sizes that shaders do not depend on, so that they are shared: panels of the batch, rows of a vector, workgroups; facts about a
 * sparse operand; the first panel of a block of lanes.
 */
export type FactName =
  | "panels"
  | "rows"
  | "groups"
  | "blocks64"
  | "blocks16"
  | "blocks4"
  | "tripsAt"
  | "indicesAt"
  | "marksAt"
  | "mark"
  | "firstPanel";

/** What the `binding(k)` of the shader is, k ≥ 1 (0 is the uniform block). */
export type Slot = SlabSlot | HalvesSlot | { readonly kind: "structure" } | { readonly kind: "values" };

/** A copy of a state in half precision. */
export interface HalvesSlot {
  readonly kind: "halves";
  readonly binding: BindingId;
  readonly writes: boolean;
}

export interface SlabSlot {
  readonly kind: "slab";
  readonly bindings: readonly BindingId[];
  readonly writes: boolean;
}

export interface Shader {
  readonly kernel: KernelName;
  readonly source: string;
  readonly params: readonly Param[];
  readonly slots: readonly Slot[];
}

/** Which slab of the dispatch (0, 1, …) a binding lies in; equal numbers mean the same buffer. */
export type SlabOf = (id: BindingId) => number;

/**
 * x, rounded to f32 if it is a product: what follows cannot be contracted with it. Its bits pass an operation on integers which changes
 * nothing, as there are fewer than 2³¹ panels; but the compiler does not know that.
 */
const ROUNDED = [
  "fn rounded(x: vec4<f32>) -> vec4<f32> {",
  "  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(params.panels >> 31u));",
  "}",
].join("\n");

const HOOK = /^\/\/ #hook (\w+)$/gm;
/** `// #each p < COUNT`, lines, `// #end`. */
const EACH = /^ *\/\/ #each (\w+) < (\w+)\n([\s\S]*?)^ *\/\/ #end\n/gm;
/** Of each text used so far: its own declarations, and the names of the hooks between them. */
const parts = new Map<string, readonly (string | readonly Declaration[])[]>();

function partsOf(text: string): readonly (string | readonly Declaration[])[] {
  let known = parts.get(text);
  if (!known) {
    // Split at the hooks: texts at even places, names at odd ones.
    known = text.split(HOOK).map((part, k) => (k % 2 === 0 ? declarationsOf(part) : part));
    parts.set(text, known);
  }
  return known;
}

export type Constants = Readonly<Record<string, number | boolean>>;

/** The text of `kernel` with its repeated lines written out. */
function unrolled(kernel: KernelName, constants: Constants): string {
  return kernelSources[kernel].replace(EACH, (_, index: string, bound: string, lines: string) => {
    const count = constants[bound];
    if (typeof count !== "number")
      throw new BackendError("kernel", `${kernel}: expected a number, got ${count} (${bound})`);
    return Array.from({ length: count }, (_, k) => lines.replaceAll(`$${index}`, `${k}`)).join("");
  });
}

/**
 * The declarations of `kernel`, with WGSL for each of its hooks, and its repeated lines as often as `constants` say.
 *
 * @throws {BackendError} "kernel" for a hook that nothing fills, for a name that is no hook, and for lines without a number of repetitions
 */
export function fillHooks(
  kernel: KernelName,
  hooks: Readonly<Record<string, string>>,
  constants: Constants = {},
): readonly Declaration[] {
  const parts = partsOf(unrolled(kernel, constants));
  const known = parts.filter((part) => typeof part === "string");
  for (const name of Object.keys(hooks)) {
    if (known.includes(name)) continue;
    throw new BackendError("kernel", `${kernel}: expected a hook (${known.join(", ")}), got ${name} (hooks)`);
  }
  return parts.flatMap((part) => {
    if (typeof part !== "string") return part;
    const wgsl = hooks[part];
    if (wgsl === undefined) throw new BackendError("kernel", `${kernel}: expected WGSL, got nothing (${part})`);
    return declarationsOf(wgsl);
  });
}

export class ShaderWriter implements Memory {
  readonly layout: PanelLayout;
  readonly #bindings: readonly Binding[];
  readonly #slabOf: SlabOf;
  readonly #order: BindingId[] = [];
  readonly #writes = new Set<number>();
  readonly #facts: FactName[] = [];
  readonly #matrix: boolean;
  readonly #halves: HalvesSlot | null;
  readonly #guards: readonly BindingId[];

  /** `facts`: fields of the uniform block besides the panels and the offsets of what the dispatch touches. */
  constructor(
    plan: DispatchPlan,
    bindings: readonly Binding[],
    layout: PanelLayout,
    slabOf: SlabOf,
    facts: readonly FactName[] = [],
  ) {
    this.layout = layout;
    this.#bindings = bindings;
    this.#slabOf = slabOf;
    this.#facts.push("panels", ...facts);
    this.#matrix = sparseMatrixOf(plan) !== null;
    const halves = halvesOf(plan);
    this.#halves = halves && { kind: "halves", binding: halves.binding, writes: isWrite(halves) };
    this.#guards = plan.guards;
    for (const access of accessesOfPlan(plan)) {
      if (!this.#order.includes(access.binding)) this.#order.push(access.binding);
      if (isWrite(access)) this.#writes.add(slabOf(access.binding));
    }
  }

  binding(id: BindingId): Binding {
    return this.#bindings[id]!;
  }

  at(id: BindingId): string {
    return `params.b${this.#order.indexOf(id)}`;
  }

  slab(id: BindingId): number {
    return this.#slabOf(id);
  }

  /** The shader of `kernel`. `constants` become WGSL constants. `hooks`: WGSL for each hook but "declarations". */
  finish(kernel: KernelName, constants: Constants, hooks: Readonly<Record<string, string>>): Shader {
    const declarations = `${this.#constants(constants)}\n${this.#declarations()}`;
    const module = fillHooks(kernel, { ...hooks, declarations }, constants);
    const offsets = this.#order.map((binding): Param => ({ kind: "offset", binding }));
    const facts = this.#facts.map((name): Param => ({ kind: "fact", name }));
    return { kernel, source: reachable(module), params: [...offsets, ...facts], slots: this.#slots() };
  }

  #constants(constants: Constants): string {
    return Object.entries(constants)
      .map(([name, value]) => `const ${name} = ${typeof value === "number" ? `${value}u` : value};`)
      .join("\n");
  }

  #slots(): readonly Slot[] {
    const slabs = [...new Set(this.#order.map(this.#slabOf))].sort((a, b) => a - b);
    const slots = slabs.map((slab): Slot => {
      const bindings = this.#order.filter((id) => this.#slabOf(id) === slab);
      return { kind: "slab", bindings, writes: this.#writes.has(slab) };
    });
    if (this.#halves) slots.push(this.#halves);
    return this.#matrix ? [...slots, { kind: "structure" }, { kind: "values" }] : slots;
  }

  #declarations(): string {
    const fields = [...this.#order.map((_, k) => `b${k}`), ...this.#facts];
    const struct = `struct Params {\n${fields.map((f) => `  ${f}: u32,`).join("\n")}\n}`;
    const lines = [struct, "@group(0) @binding(0) var<uniform> params: Params;"];
    this.#slots().forEach((slot, k) => {
      const at = `@group(0) @binding(${k + 1})`;
      if (slot.kind === "structure") lines.push(`${at} var<storage, read> structure: array<u32>;`);
      else if (slot.kind === "values") lines.push(`${at} var<storage, read> values: array<f32>;`);
      else if (slot.kind === "halves") lines.push(`${at} var<storage, ${accessOf(slot)}> halves: array<vec2<u32>>;`);
      else lines.push(...slabDeclaration(slot, at, this.#slabOf(slot.bindings[0]!)));
    });
    lines.push(ROUNDED, this.#isIdle());
    return lines.join("\n");
  }

  /** Whether the dispatch has nothing to do: the same for the whole workgroup, which calls it as one. */
  #isIdle(): string {
    if (this.#guards.length === 0) return "fn isIdle(t: u32) -> bool { return false; }";
    // By bits, without the sign: a comparison of floats could take NaN for 0, and 0 for what a device makes of a subnormal number.
    const idle = this.#guards.map((id) => `(word${this.slab(id)}(4u * ${this.at(id)}) << 1u) == 0u`);
    return [
      "var<workgroup> idle: u32;",
      "fn isIdle(t: u32) -> bool {",
      `  if (t == 0u) { idle = select(0u, 1u, ${idle.join(" || ")}); }`,
      "  return workgroupUniformLoad(&idle) == 1u;",
      "}",
    ].join("\n");
  }
}

function accessOf({ writes }: { readonly writes: boolean }): "read_write" | "read" {
  return writes ? "read_write" : "read";
}

/**
 * A slab is an array of vec4<u32>: words are exact whatever they mean, and four lanes move at once. A single word is stored through
 * one component, which is all that SPIR-V and HLSL write, so threads may own different words of one vec4.
 */
function slabDeclaration(slot: SlabSlot, at: string, slab: number): string[] {
  const lines = [
    `${at} var<storage, ${accessOf(slot)}> slab${slab}: array<vec4<u32>>;`,
    `fn read${slab}(at: u32) -> vec4<f32> { return bitcast<vec4<f32>>(slab${slab}[at]); }`,
    `fn word${slab}(at: u32) -> u32 { return slab${slab}[at >> 2u][at & 3u]; }`,
  ];
  if (!slot.writes) return lines;
  return [
    ...lines,
    `fn write${slab}(at: u32, x: vec4<f32>) { slab${slab}[at] = bitcast<vec4<u32>>(x); }`,
    `fn setWord${slab}(at: u32, x: u32) { slab${slab}[at >> 2u][at & 3u] = x; }`,
  ];
}
