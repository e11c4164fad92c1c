// A program as text, as the CPU runs it: the interpreter's instructions phase by phase, and the functions that they call. Needs no device.

import type { DType } from "../../core/dtype.ts";
import { KERNEL_OPS } from "../pointwise.ts";
import type { PanelLayout, PointwiseOp, Program } from "../program.ts";
import { WasmExecutable } from "./compile.ts";
import { disassemble } from "./disassemble.ts";
import * as isa from "./isa.ts";
import { isEffect, type MachineInstr, NO_SLOT, nameOfOpcode, type Slot, type Word } from "./machine.ts";

/** The code of a program for the CPU. */
export interface PrintedCode {
  /** Instructions of the interpreter. */
  readonly steps: string;
  /** WebAssembly text of the generated functions. */
  readonly functions: readonly string[];
  /** Bytes of temporaries and partial results, which all programs share, and of one thread's registers. */
  readonly temporaryBytes: number;
  readonly registerBytes: number;
}

export function printCode(program: Program, layout: PanelLayout, dtype: DType): PrintedCode {
  const codes: Uint8Array[] = [];
  const places = new Map<string, number>();
  const place = (code: Uint8Array): number => {
    const key = code.join();
    const known = places.get(key) ?? codes.push(code) - 1;
    places.set(key, known);
    return known;
  };
  // Kernels have places below 0.
  const kernel = (op: PointwiseOp): number => -1 - KERNEL_OPS.indexOf(op);
  const executable = new WasmExecutable(program, layout, { dtype, firstAddress: null, place, kernel });
  const printer = new StepPrinter(program);
  const steps = executable.phases.flatMap(({ prologue, body, rows, tileRows }, i) => [
    `phase ${i}: ${Math.ceil(rows / tileRows)} tiles of ${tileRows} rows`,
    ...prologue.map((instr) => `  once  ${printer.textOf(instr)}`),
    ...body.map((instr) => `  tile  ${printer.textOf(instr)}`),
    "",
  ]);
  return {
    steps: steps.join("\n"),
    functions: codes.map((code, i) => disassemble(code, `f${i}`, dtype)),
    temporaryBytes: executable.sharedBytes,
    registerBytes: executable.scratchBytes,
  };
}

class StepPrinter {
  readonly #program: Program;

  constructor(program: Program) {
    this.#program = program;
  }

  /** A result, and in brackets what the instruction uses, in the order of its fields; a register is r and its offset in bytes. */
  textOf(instr: MachineInstr): string {
    const { op, d, a, b, c, e, f, operands } = instr;
    if (op === isa.OP_CALL) {
      const place = Number(e);
      if (place >= 0) {
        const named = operands.map(({ slot, written }) => `${written ? "→ " : ""}${this.#slot(slot)}`);
        return `call $f${place}(${named.join(", ")})`;
      }
      const places = operands.map(({ slot }) => this.#slot(slot));
      return `${places.at(-1)} = ${KERNEL_OPS[-1 - place]}(${places.slice(0, -1).join(", ")})`;
    }
    if (op === isa.OP_CONST) return `${this.#slot(d)} = ${numberOf(a)}`;
    const words = [...a, ...b, ...c, e, f].flatMap((word) => (typeof word === "object" ? [this.#word(word)] : []));
    const text = `${nameOfOpcode(Number(op))}(${words.join(", ")})`;
    return d === NO_SLOT ? text : `${this.#slot(d)} ${isEffect(instr) ? "→" : "="} ${text}`;
  }

  #slot([word]: Slot): string {
    return typeof word === "number" ? `${word}` : this.#word(word);
  }

  #word(word: Exclude<Word, number>): string {
    if ("binding" in word) {
      const { name } = this.#program.bindings[word.binding]!;
      return word.part === "data" ? name : `${name}.${word.part}`;
    }
    if ("indexBytes" in word) return `bytes of ${this.#program.bindings[word.indexBytes]!.name}.${word.part}`;
    if ("partials" in word) return `partial results ${word.partials}`;
    return `r${word.register}`;
  }
}

/** A constant: the bits of a double, low word first. */
function numberOf([low, high]: Slot): number {
  return new Float64Array(new Uint32Array([Number(low), Number(high)]).buffer)[0]!;
}
