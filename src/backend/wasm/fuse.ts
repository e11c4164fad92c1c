// Pointwise instructions become calls: of a kernel each, or, for a block of others in a row, of a generated function. Within a block a value
// is a local variable; it passes through memory only where an instruction outside reads it.

import type { DType } from "../../core/dtype.ts";
import { POINTWISE_CODE } from "../pointwise.ts";
import type { PointwiseOp } from "../program.ts";
import { type BlockValue, type FusedBlock, functionOf } from "./codegen.ts";
import * as isa from "./isa.ts";
import {
  isFusable,
  type MachineInstr,
  MODE_ROW_A,
  MODE_ROW_B,
  machineInstr,
  type Operand,
  registerOf,
  registersRead,
  type Slot,
} from "./machine.ts";

/** What functions are made for, and where they are kept: in the table of OP_CALL. */
export interface Functions {
  readonly dtype: DType;
  /** Lowest address of an operand where functions check them, else null. */
  readonly firstAddress: number | null;
  /** The place of a generated function. */
  place(code: Uint8Array): number;
  /** The place of a kernel. */
  kernel(op: PointwiseOp): number;
}

/**
 * The code with calls in place of pointwise instructions.
 *
 * @param kept registers that code elsewhere reads
 */
export function fuse(
  code: readonly MachineInstr[],
  kept: ReadonlySet<number>,
  functions: Functions,
): readonly MachineInstr[] {
  const fused: MachineInstr[] = [];
  for (let begin = 0; begin < code.length; ) {
    const end = endOfBlock(code, begin);
    if (end === begin) fused.push(withKernel(code[begin++]!, functions));
    else {
      const later = new Set(code.slice(end).flatMap(registersRead));
      const live = (register: number): boolean => kept.has(register) || later.has(register);
      fused.push(call(code.slice(begin, end), live, functions));
      begin = end;
    }
  }
  return fused;
}

function endOfBlock(code: readonly MachineInstr[], begin: number): number {
  let end = begin;
  while (end < code.length && isFusable(code[end]!) && code[end]!.width === code[begin]!.width) end++;
  return end;
}

/** The instruction itself, or the call of its kernel, which goes number by number. */
function withKernel(instr: MachineInstr, functions: Functions): MachineInstr {
  const { op, width, d, a, b, c } = instr;
  if (typeof op === "number") return instr;
  const read = [a, b, c].slice(0, POINTWISE_CODE[op as PointwiseOp].arity).map((slot) => ({ slot, written: false }));
  const operands = [...read, { slot: d, written: true }];
  return machineInstr(isa.OP_CALL, width, { e: functions.kernel(op as PointwiseOp), operands, inPlace: true });
}

function call(code: readonly MachineInstr[], live: (register: number) => boolean, functions: Functions): MachineInstr {
  const { dtype, firstAddress } = functions;
  const { width } = code[0]!;
  const builder = new BlockBuilder();
  for (const instr of code) builder.add(instr);
  const { operands, values, stores } = builder.finish(live);
  const places = operands.map(({ slot }) => ({ register: registerOf(slot) !== null }));
  const block: FusedBlock = { dtype, width, operands: places, values, stores };
  return machineInstr(isa.OP_CALL, width, { e: functions.place(functionOf(block, firstAddress)), operands });
}

class BlockBuilder {
  readonly #operands: { readonly slot: Slot; written: boolean }[] = [];
  readonly #operandOf = new Map<string, number>();
  readonly #values: BlockValue[] = [];
  /** By place: the value that is (or will be) there. */
  readonly #known = new Map<string, number>();
  /** By place: the number of its row. */
  readonly #splats = new Map<string, number>();
  /** By place: what is computed for it. */
  readonly #results = new Map<string, { readonly slot: Slot; readonly value: number }>();

  add(instr: MachineInstr): void {
    const { d } = instr;
    const value = this.#compute(instr);
    this.#known.set(keyOf(d), value);
    this.#results.set(keyOf(d), { slot: d, value });
  }

  finish(
    live: (register: number) => boolean,
  ): Pick<FusedBlock, "values" | "stores"> & { readonly operands: readonly Operand[] } {
    const stores: { operand: number; value: number }[] = [];
    for (const { slot, value } of this.#results.values()) {
      const register = registerOf(slot);
      if (register !== null && !live(register)) continue;
      const operand = this.#operand(slot);
      this.#operands[operand]!.written = true;
      stores.push({ operand, value });
    }
    return { operands: this.#operands, values: this.#values, stores };
  }

  #compute({ op, a, b, c, e }: MachineInstr): number {
    if (op === "copy") return this.#load(a);
    if (op === "splatRow") return this.#splat(a);
    const fn = op as PointwiseOp;
    const row = e === MODE_ROW_A ? 0 : e === MODE_ROW_B ? 1 : null;
    const operands = [a, b, c].slice(0, POINTWISE_CODE[fn].arity);
    return this.#value({ op: fn, args: operands.map((slot, i) => (i === row ? this.#splat(slot) : this.#load(slot))) });
  }

  #load(slot: Slot): number {
    return this.#read("load", slot, this.#known);
  }

  #splat(slot: Slot): number {
    return this.#read("splat", slot, this.#splats);
  }

  #read(op: "load" | "splat", slot: Slot, known: Map<string, number>): number {
    const key = keyOf(slot);
    const before = known.get(key);
    if (before !== undefined) return before;
    const value = this.#value({ op, operand: this.#operand(slot) });
    known.set(key, value);
    return value;
  }

  #value(value: BlockValue): number {
    return this.#values.push(value) - 1;
  }

  #operand(slot: Slot): number {
    const key = keyOf(slot);
    const known = this.#operandOf.get(key);
    if (known !== undefined) return known;
    const operand = this.#operands.push({ slot, written: false }) - 1;
    this.#operandOf.set(key, operand);
    return operand;
  }
}

/** Equal for equal slots. */
function keyOf(slot: Slot): string {
  return JSON.stringify(slot);
}
