// Which bindings the instructions of a phase touch: what decides its slabs, and whether they are bound for writing.

import { operandsOf, accessesOf as programAccessesOf } from "../instr.ts";
import type { BindingId, Instr, ValueId } from "../program.ts";

/**
 * Instructions after `legalize`: those of programs, and the sum of the partial products that a dense product left in a table of `count`
 * states.
 */
export type LegalInstr = Instr | { readonly op: "sumPartials"; readonly binding: BindingId; readonly count: number };

export interface Access {
  readonly binding: BindingId;
  readonly writes: boolean;
}

/** The memory one instruction touches, in a fixed order. */
export function accessesOf(instr: LegalInstr): readonly Access[] {
  if (instr.op === "sumPartials") return [{ binding: instr.binding, writes: false }];
  const { reads, gathers, writes } = programAccessesOf(instr);
  return [
    ...[...reads, ...gathers].map((binding) => ({ binding, writes: false })),
    ...writes.map((binding) => ({ binding, writes: true })),
  ];
}

/** The values one instruction uses. */
export function argumentsOf(instr: LegalInstr): readonly ValueId[] {
  return instr.op === "sumPartials" ? [] : operandsOf(instr);
}

/** The same instruction with every argument replaced by `rename(argument)`. */
export function withArguments(instr: LegalInstr, rename: (id: ValueId) => ValueId): LegalInstr {
  switch (instr.op) {
    case "load":
    case "const":
    case "rowIndex":
    case "gather":
    case "segmentSum":
    case "gatherT":
    case "matmul":
    case "sumPartials":
      return instr;
    case "lookup":
      return { ...instr, index: rename(instr.index) };
    case "random":
      return { ...instr, sampleId: rename(instr.sampleId) };
    case "matmulT":
      return instr.grad ? { ...instr, grad: { ...instr.grad, x: rename(instr.grad.x) } } : instr;
    case "store":
    case "reduceRows":
    case "reduceLanes":
      return { ...instr, value: rename(instr.value) };
    case "scatter":
      return { ...instr, index: rename(instr.index), value: rename(instr.value) };
    default:
      return { ...instr, args: instr.args.map(rename) };
  }
}

/** Effects change memory; everything else only makes values. */
export function hasEffect(instr: LegalInstr): boolean {
  return accessesOf(instr).some((a) => a.writes);
}

/** Indices of `roots` and of every instruction they depend on, ascending. */
export function closureOf(instrs: readonly LegalInstr[], roots: readonly ValueId[]): readonly ValueId[] {
  const needed = new Set<ValueId>();
  const visit = (id: ValueId): void => {
    if (needed.has(id)) return;
    needed.add(id);
    argumentsOf(instrs[id]!).forEach(visit);
  };
  roots.forEach(visit);
  return [...needed].sort((a, b) => a - b);
}
