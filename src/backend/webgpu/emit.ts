// Prints the instructions of a phase as WGSL: straight-line code, one `let` per value, every value a vec4<f32>.
//
// In a batch phase a vec4 holds four lanes of one row; in a plain phase it holds four rows. Reductions are not done here: their
// operands go to private variables (rowsValue…, lanesValue…) that the kernel's hooks pick up.
//
// WGSL lets a compiler contract a·b + c to one rounding, or not; and compilers choose by what is around the sum. So two programs could give
// one formula different bits, and did on NVIDIA GPUs. Hence every value that may end in a product is rounded before anything is added to
// it (`rounded` of shader.ts), as on the CPU: bits do not depend on which other terms a sum has, nor on where programs are cut.

import { BackendError } from "../../core/errors.ts";
import { valuesOf } from "../instr.ts";
import { isPerLane, rowsOf } from "../layout.ts";
import { isPointwise, POINTWISE_CODE } from "../pointwise.ts";
import type { Binding, BindingId, Instr, PanelLayout, PointwiseOp, ValueId } from "../program.ts";
import type { LegalPhase } from "./legalize.ts";
import { panelVecs } from "./panels.ts";

/** Names of the memory behind bindings in one shader: `at` is the vec4 offset in its slab. */
export interface Memory {
  readonly layout: PanelLayout;
  binding(id: BindingId): Binding;
  at(id: BindingId): string;
  slab(id: BindingId): number;
}

const SMALLEST_NORMAL = 2 ** -126;
/** Partial results, of a dense product or a reduction over rows, that a thread reads before it combines them. */
export const PARTIALS_AT_ONCE = 16;

/**
 * A vec4 of one number, exact: WGSL reads a decimal literal as the nearest f32. Special numbers exist at run time only. A subnormal
 * number becomes the smallest normal one: devices may take it for 0, and then a floor under a divisor would be none.
 */
export function constant(value: number): string {
  const rounded = Math.fround(value);
  const x = rounded !== 0 && Math.abs(rounded) < SMALLEST_NORMAL ? Math.sign(rounded) * SMALLEST_NORMAL : rounded;
  if (Number.isNaN(x)) return "quietNan()";
  if (!Number.isFinite(x)) return x > 0 ? "infinity()" : "-infinity()";
  return `vec4<f32>(${Object.is(x, -0) ? "-0.0" : x}f)`;
}

/** Functions whose last operation is no product, whatever the compiler makes of them. */
const NO_PRODUCTS: ReadonlySet<PointwiseOp> = new Set([
  ...(["neg", "abs", "sign", "floor", "relu", "isFinite"] as const),
  ...(["add", "sub", "min", "max", "lt", "le", "eq", "select"] as const),
]);

/** Prints one phase. Values in `given` come from outside (the product, the operand of its gradient). */
export class PhasePrinter {
  readonly #phase: LegalPhase;
  readonly #memory: Memory;
  readonly #given: ReadonlyMap<ValueId, string>;
  readonly #vecs: number;
  /** Values that something is added to, or may be. */
  readonly #addends: ReadonlySet<ValueId>;
  #rowReductions = 0;
  #laneReductions = 0;

  constructor(phase: LegalPhase, memory: Memory, given: ReadonlyMap<ValueId, string> = new Map()) {
    this.#phase = phase;
    this.#memory = memory;
    this.#given = given;
    this.#vecs = panelVecs(memory.layout);
    this.#addends = new Set(phase.instrs.flatMap(addendsOf));
  }

  /**
   * The statements of the instructions `ids` (default: all). They rely on `tile` (batch) or `at` (plain: which vec4 of rows).
   */
  statements(ids: readonly ValueId[] = this.#phase.instrs.map((_, id) => id)): string {
    const lines = this.#phase.lanes === "batch" ? this.#addresses() : [];
    for (const id of ids) lines.push(...this.#statement(id, this.#phase.instrs[id]!));
    return lines.map((line) => `  ${line}`).join("\n");
  }

  #addresses(): string[] {
    const { rows } = this.#phase;
    return [
      `let stateAt = (tile.panel * ${rows}u + tile.row) * ${this.#vecs}u + tile.sub;`,
      `let sampleAt = tile.panel * ${this.#vecs}u + tile.sub;`,
    ];
  }

  #statement(id: ValueId, instr: Instr): string[] {
    const given = this.#given.get(id);
    if (given !== undefined) return [`let v${id} = ${given};`];
    switch (instr.op) {
      case "store":
        return [this.#store(instr.binding, instr.value, instr.accumulate)];
      case "scatter":
        return this.#scatter(id, instr.table, instr.index, instr.value);
      case "reduceRows":
        return [`rowsValue${this.#rowReductions++} = v${instr.value};`];
      case "reduceLanes":
        return [`lanesValue${this.#laneReductions++} = v${instr.value};`];
      case "load":
        if (this.#memory.binding(instr.binding).kind === "table") return this.#sumOfTable(id, instr.binding);
        return [`let v${id} = ${this.#load(instr.binding)};`];
      default:
        return [`let v${id} = ${this.#roundedOnce(id, instr)};`];
    }
  }

  #expression(instr: Instr): string {
    switch (instr.op) {
      case "const":
        return constant(instr.value);
      case "rowIndex":
        return `vec4<f32>(${this.#rowNumbers()})`;
      case "lookup":
        return this.#lookup(instr.table, instr.index);
      case "random": {
        const word = (k: number): string => this.#word(instr.key, `${k}u`);
        return `uniformAt(vec2<u32>(${word(0)}, ${word(1)}), ${this.#rowNumbers()}, vec4<u32>(v${instr.sampleId}))`;
      }
      case "gather":
        return this.#gather(instr.source, instr.index);
      case "matmul":
      case "matmulT":
      case "segmentSum":
      case "gatherT":
        throw new BackendError("program", `webgpu: expected the result to be given, got ${instr.op}`);
      case "store":
      case "scatter":
      case "reduceRows":
      case "reduceLanes":
      case "load":
        throw new BackendError("program", `webgpu: expected a value, got ${instr.op}`);
      default:
        return POINTWISE_CODE[instr.op].wgsl(...instr.args.map((a) => `v${a}`));
    }
  }

  /** The expression of a value; rounded if it may end in a product to which something is added. */
  #roundedOnce(id: ValueId, instr: Instr): string {
    const expression = this.#expression(instr);
    return mayEndInProduct(instr) && this.#addends.has(id) ? `rounded(${expression})` : expression;
  }

  /** The numbers of the rows in a vec4, as vec4<u32>. */
  #rowNumbers(): string {
    return this.#phase.lanes === "batch" ? "vec4<u32>(tile.row)" : "(vec4<u32>(4u * at) + vec4<u32>(0u, 1u, 2u, 3u))";
  }

  #load(id: BindingId): string {
    const binding = this.#memory.binding(id);
    if (isPerLane(binding) || (this.#phase.lanes === "none" && rowsOf(binding) > 1)) {
      return `read${this.#memory.slab(id)}(${this.#address(id)})`;
    }
    const row = rowsOf(binding) > 1 ? "tile.row" : "0u";
    return `vec4<f32>(bitcast<f32>(${this.#word(id, row)}))`;
  }

  /** The vec4 of a tile in a state, sample or vector. */
  #address(id: BindingId): string {
    const binding = this.#memory.binding(id);
    if (!isPerLane(binding)) return `${this.#memory.at(id)} + at`;
    return `${this.#memory.at(id)} + ${rowsOf(binding) === this.#phase.rows ? "stateAt" : "sampleAt"}`;
  }

  /** The u32 at word `offset` of a binding. */
  #word(id: BindingId, offset: string): string {
    return `word${this.#memory.slab(id)}(4u * ${this.#memory.at(id)} + ${offset})`;
  }

  /** Four lanes, each at its own index of the table. */
  #lookup(table: BindingId, index: ValueId): string {
    const word = (k: number): string => {
      const at = this.#tableAddress(table, `u32(v${index}[${k}])`);
      return this.#word(table, `4u * (${at}) + ${k}u`);
    };
    return `bitcast<vec4<f32>>(vec4<u32>(${[0, 1, 2, 3].map(word).join(", ")}))`;
  }

  #tableAddress(table: BindingId, index: string): string {
    const { rows } = this.#memory.binding(table);
    return `${index} * (params.panels * ${rows * this.#vecs}u) + stateAt`;
  }

  #scatter(id: ValueId, table: BindingId, index: ValueId, value: ValueId): string[] {
    const slab = this.#memory.slab(table);
    return [0, 1, 2, 3].flatMap((k) => {
      const name = `target${id}_${k}`;
      const at = this.#tableAddress(table, `u32(v${index}[${k}])`);
      return [
        `let ${name} = 4u * (${this.#memory.at(table)} + ${at}) + ${k}u;`,
        `setWord${slab}(${name}, bitcast<u32>(bitcast<f32>(word${slab}(${name})) + v${value}[${k}]));`,
      ];
    });
  }

  #gather(source: BindingId, index: BindingId): string {
    const indices = `slab${this.#memory.slab(index)}[${this.#memory.at(index)} + at]`;
    const words = [0, 1, 2, 3].map((k) => this.#word(source, `${indices}[${k}]`));
    return `bitcast<vec4<f32>>(vec4<u32>(${words.join(", ")}))`;
  }

  /** The sum of the states of a table, in order, but read by groups: as many reads are under way at once. */
  #sumOfTable(id: ValueId, binding: BindingId): string[] {
    const count = this.#memory.binding(binding).cols ?? 1;
    const stride = `(params.panels * ${this.#phase.rows * this.#vecs}u)`;
    const read = (at: string): string =>
      `read${this.#memory.slab(binding)}(${this.#address(binding)} + (${at}) * ${stride})`;
    const group = (first: string, length: number): string[] => {
      const ids = Array.from({ length }, (_, k) => k);
      return [
        ...ids.map((k) => `let part${id}_${k} = ${read(`${first}${k}u`)};`),
        ...ids.map((k) => `v${id} += part${id}_${k};`),
      ];
    };
    const rest = count % PARTIALS_AT_ONCE;
    const loop = [
      `for (var i = ${rest}u; i < ${count}u; i += ${PARTIALS_AT_ONCE}u) {`,
      ...group("i + ", PARTIALS_AT_ONCE).map((line) => `  ${line}`),
      "}",
    ];
    return [`var v${id} = vec4<f32>(0.0);`, ...group("", rest), ...(count > rest ? loop : [])];
  }

  #store(id: BindingId, value: ValueId, accumulate: boolean): string {
    const slab = this.#memory.slab(id);
    if (this.#phase.lanes === "none" && this.#phase.rows === 1) {
      // One number: the rest of its vec4 is padding, but a wider store would race and gain nothing.
      const old = `bitcast<f32>(${this.#word(id, "0u")})`;
      const next = accumulate ? `${old} + v${value}.x` : `v${value}.x`;
      return `setWord${slab}(4u * ${this.#memory.at(id)}, bitcast<u32>(${next}));`;
    }
    const address = this.#address(id);
    return `write${slab}(${address}, ${accumulate ? `read${slab}(${address}) + v${value}` : `v${value}`});`;
  }
}

function mayEndInProduct(instr: Instr): boolean {
  return isPointwise(instr.op) && !NO_PRODUCTS.has(instr.op);
}

/** The operands of an instruction, but those that are only multiplied or stored. */
function addendsOf(instr: Instr): readonly ValueId[] {
  if (instr.op === "mul" || (instr.op === "store" && !instr.accumulate)) return [];
  return valuesOf(instr);
}
