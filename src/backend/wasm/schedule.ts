// Reorders the instructions of a phase so that those which can become one function (fuse.ts) are adjacent. Two instructions keep their order
// if one needs the other's result, or if both access the same array and one of them writes it.

import type { BindingId } from "../program.ts";
import * as isa from "./isa.ts";
import { isEffect, isFusable, type MachineInstr, registerOf, registersRead, type Slot, type Word } from "./machine.ts";

/** Level of effects on which nothing in the phase depends. */
const LAST = Number.POSITIVE_INFINITY;

/**
 * Assigns levels and sorts by them. An instruction gets the level of the instructions it needs, or the next level if they are of another
 * kind. Then each fusable instruction moves as late as its first user allows, so that fewer values pass between functions through memory.
 */
export function schedule(code: readonly MachineInstr[]): readonly MachineInstr[] {
  const needs = dependencies(code);
  const needed = new Set(needs.flat());
  const kind = code.map((instr) => (isFusable(instr) ? instr.width : isEffect(instr) ? -1 : 0));
  const step = (from: number, to: number): number => (kind[from] === kind[to] ? 0 : 1);
  const levels: number[] = [];
  code.forEach((_, i) => {
    const earliest = needs[i]!.reduce((level, n) => Math.max(level, levels[n]! + step(n, i)), 0);
    levels.push(kind[i] === -1 && !needed.has(i) ? LAST : earliest);
  });
  const latest = levels.map(() => LAST);
  for (let i = code.length - 1; i >= 0; i--) {
    if (kind[i]! > 0 && latest[i] !== LAST) levels[i] = Math.max(levels[i]!, latest[i]!);
    for (const n of needs[i]!) latest[n] = Math.min(latest[n]!, levels[i]! - step(n, i));
  }
  return code
    .map((instr, i) => ({ instr, i, level: levels[i]!, kind: kind[i]! }))
    .sort((a, b) => (a.level === b.level ? a.kind - b.kind || a.i - b.i : a.level - b.level))
    .map(({ instr }) => instr);
}

/** By instruction: the earlier ones that must stay before it. */
function dependencies(code: readonly MachineInstr[]): readonly (readonly number[])[] {
  const makers = new Map<number, number>();
  const writers = new Map<BindingId, number>();
  const readers = new Map<BindingId, number[]>();
  return code.map((instr, i) => {
    const needs = new Set<number>();
    const need = (at: number | undefined): void => {
      if (at !== undefined) needs.add(at);
    };
    for (const register of registersRead(instr)) need(makers.get(register));
    const { reads, writes } = bindingsOf(instr);
    for (const binding of [...reads, ...writes]) need(writers.get(binding));
    for (const binding of writes) for (const reader of readers.get(binding) ?? []) need(reader);
    for (const binding of reads) readers.set(binding, [...(readers.get(binding) ?? []), i]);
    for (const binding of writes) {
      writers.set(binding, i);
      readers.delete(binding);
    }
    const made = registerOf(instr.d);
    if (made !== null && !isEffect(instr)) makers.set(made, i);
    needs.delete(i);
    return [...needs];
  });
}

/** Arrays that an instruction reads, and arrays that it writes (some of these are read, too). */
function bindingsOf(instr: MachineInstr): {
  readonly reads: readonly BindingId[];
  readonly writes: readonly BindingId[];
} {
  const { op, d, a, b, c, e, f } = instr;
  const inWords = (words: readonly Word[]): BindingId[] =>
    words.flatMap((word) => (typeof word === "object" && "binding" in word ? [word.binding] : []));
  const all = inWords([...d, ...a, ...b, ...c, e, f]);
  const written: Slot = op === isa.OP_SCATTER ? a : op === isa.OP_GEMM_GRAD ? b : d;
  // Where F names an array, it is a gradient.
  const writes = inWords([...written, f]);
  return { reads: all.filter((binding) => !writes.includes(binding)), writes };
}
