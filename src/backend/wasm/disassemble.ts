// Generated functions as WebAssembly text: one folded expression a line. It knows the instructions that codegen.ts emits, no others,
// and the order in which a function declares its variables.

import type { DType } from "../../core/dtype.ts";

/** An instruction: its name, how many values it takes from the stack, and what follows its opcode. */
type Known = readonly [name: string, takes: number, follows?: "local" | "memory" | "number" | "zero"];

const PLAIN: Readonly<Record<number, Known>> = {
  0: ["unreachable", 0],
  32: ["local.get", 0, "local"],
  33: ["local.set", 1, "local"],
  34: ["local.tee", 1, "local"],
  40: ["i32.load", 1, "memory"],
  63: ["memory.size", 0, "zero"],
  65: ["i32.const", 0, "number"],
  66: ["i64.const", 0, "number"],
  73: ["i32.lt_u", 2],
  86: ["i64.gt_u", 2],
  106: ["i32.add", 2],
  108: ["i32.mul", 2],
  116: ["i32.shl", 2],
  118: ["i32.shr_u", 2],
  124: ["i64.add", 2],
  134: ["i64.shl", 2],
  173: ["i64.extend_i32_u", 1],
};
const V128: Readonly<Record<number, Known>> = {
  0: ["v128.load", 1, "memory"],
  9: ["v128.load32_splat", 1, "memory"],
  10: ["v128.load64_splat", 1, "memory"],
  11: ["v128.store", 2, "memory"],
  78: ["v128.and", 2],
  82: ["v128.bitselect", 3],
  ...lanes("f32x4", { compare: 0x41, arithmetic: 0xe0, floor: 0x68 }),
  ...lanes("f64x2", { compare: 0x47, arithmetic: 0xec, floor: 0x75 }),
};
const V128_CONST = 0x0c;
const SIMD = 0xfd;
const LOOP = 0x03;
const IF = 0x04;
const END = 0x0b;
const BR_IF = 0x0d;

/** Instructions on lanes, which lie in the same order for both precisions. */
function lanes(
  shape: string,
  first: { readonly compare: number; readonly arithmetic: number; readonly floor: number },
) {
  const table: Record<number, Known> = { [first.floor]: [`${shape}.floor`, 1] };
  const put = (at: number, names: readonly (string | null)[], takes: number): void => {
    for (const [i, name] of names.entries()) if (name !== null) table[at + i] = [`${shape}.${name}`, takes];
  };
  put(first.compare, ["eq", "ne", "lt", "gt", "le", "ge"], 2);
  put(first.arithmetic, ["abs", "neg", null, "sqrt"], 1);
  put(first.arithmetic + 4, ["add", "sub", "mul", "div", "min", "max", "pmin", "pmax"], 2);
  return table;
}

/**
 * The text of a function, `$name`, as codegen.ts puts it into a code section. `$a…` are addresses of operands, `$v…` values.
 *
 * @throws {TypeError} an instruction that is not known here
 */
export function disassemble(code: Uint8Array, name: string, dtype: DType): string {
  return new Disassembler(code, dtype).text(name);
}

class Disassembler {
  readonly #code: Uint8Array;
  readonly #view: DataView;
  readonly #dtype: DType;
  readonly #stack: string[] = [];
  readonly #lines: string[] = [];
  /** What closes the blocks that are open. */
  readonly #closers: string[] = [];
  #at = 0;
  #names: readonly string[] = [];

  constructor(code: Uint8Array, dtype: DType) {
    this.#code = code;
    this.#view = new DataView(code.buffer, code.byteOffset, code.byteLength);
    this.#dtype = dtype;
  }

  text(name: string): string {
    this.#leb();
    this.#declare();
    while (this.#at < this.#code.length) this.#instruction();
    const params = ["table", "tile", "registers", "bytes"].map((p) => ` (param $${p} i32)`).join("");
    return [`(func $${name}${params}`, ...this.#lines, ")", ""].join("\n");
  }

  #declare(): void {
    const counts: Record<number, number> = {};
    for (let groups = this.#leb(); groups > 0; groups--) {
      const count = this.#leb();
      counts[this.#code[this.#at++]!] = count;
    }
    const [nI32 = 0, nV128 = 0] = [counts[0x7f], counts[0x7b]];
    const numbered = (prefix: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${prefix}${i}`);
    const addresses = [...numbered("a", nI32 - 2), "offset", "row"];
    const vectors = [...numbered("v", nV128 - 2), "one", "minusOne"];
    this.#names = ["table", "tile", "registers", "bytes", ...addresses, ...vectors];
    const declared = [...addresses.map((n) => `(local $${n} i32)`), ...vectors.map((n) => `(local $${n} v128)`)];
    this.#lines.push(...declared.map((line) => `  ${line}`));
  }

  #instruction(): void {
    const opcode = this.#code[this.#at++]!;
    switch (opcode) {
      case LOOP:
        this.#at++;
        this.#open("(loop $next", ")");
        return;
      case IF:
        this.#at++;
        this.#open(`(if ${this.#stack.pop()} (then`, "))");
        return;
      case END:
        this.#close();
        return;
      case BR_IF:
        this.#leb();
        this.#statement(`(br_if $next ${this.#stack.pop()})`);
        return;
      case SIMD:
        this.#vector(this.#leb());
        return;
      default:
        this.#apply(PLAIN[opcode], opcode);
    }
  }

  #vector(opcode: number): void {
    if (opcode !== V128_CONST) {
      this.#apply(V128[opcode], opcode);
      return;
    }
    const isSingle = this.#dtype === "f32";
    const numbers = Array.from({ length: isSingle ? 4 : 2 }, (_, i) =>
      isSingle ? this.#view.getFloat32(this.#at + 4 * i, true) : this.#view.getFloat64(this.#at + 8 * i, true),
    );
    this.#at += 16;
    this.#stack.push(`(v128.const ${isSingle ? "f32x4" : "f64x2"} ${numbers.join(" ")})`);
  }

  #apply(known: Known | undefined, opcode: number): void {
    if (!known) throw new TypeError(`disassemble: unknown instruction 0x${opcode.toString(16)} at byte ${this.#at}`);
    const [name, takes, follows] = known;
    const operands = this.#stack.splice(this.#stack.length - takes, takes);
    if (operands.length < takes) throw new TypeError(`disassemble: ${name} lacks operands at byte ${this.#at}`);
    const text = `(${[name, ...this.#immediates(follows), ...operands].join(" ")})`;
    if (name === "local.set" || name === "v128.store" || name === "unreachable") this.#statement(text);
    else this.#stack.push(text);
  }

  #immediates(follows: Known[2]): readonly string[] {
    switch (follows) {
      case "local":
        return [`$${this.#names[this.#leb()]}`];
      case "memory": {
        this.#leb();
        const offset = this.#leb();
        return offset === 0 ? [] : [`offset=${offset}`];
      }
      case "number":
        return [`${this.#signedLeb()}`];
      case "zero":
        this.#at++;
        return [];
      default:
        return [];
    }
  }

  #statement(text: string): void {
    this.#lines.push(`${"  ".repeat(this.#closers.length + 1)}${text}`);
  }

  #open(text: string, closer: string): void {
    this.#statement(text);
    this.#closers.push(closer);
  }

  #close(): void {
    if (this.#stack.length > 0) throw new TypeError(`disassemble: values are left at byte ${this.#at}`);
    const closer = this.#closers.pop();
    // The last one is that of the function, which `text` closes.
    if (closer !== undefined) this.#statement(closer);
  }

  #leb(): number {
    let x = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#code[this.#at++]!;
      x += (byte & 0x7f) * factor;
      if ((byte & 0x80) === 0) return x;
    }
  }

  #signedLeb(): number {
    let x = 0;
    for (let shift = 0; ; ) {
      const byte = this.#code[this.#at++]!;
      x |= (byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) === 0) return shift < 32 && (byte & 0x40) !== 0 ? x | (-1 << shift) : x;
    }
  }
}
