// Linear-scan register allocation (Poletto and Sarkar 1999) for straight-line code: without branches a single walk is optimal.

import { type MachineInstr, registerOf, registersRead, registersWritten, type Slot } from "./machine.ts";

/** Code whose registers are offsets into the scratch memory. */
export interface AllocatedCode {
  readonly prologue: readonly MachineInstr[];
  readonly body: readonly MachineInstr[];
  readonly scratchBytes: number;
}

/**
 * Replaces virtual registers by offsets, multiples of `registerBytes`. Registers of the prologue that the body reads keep their place:
 * every tile reads them again.
 */
export function allocateRegisters(
  prologue: readonly MachineInstr[],
  body: readonly MachineInstr[],
  registerBytes: number,
): AllocatedCode {
  const code = [...prologue, ...body];
  const lastRead = lastReads(code, prologue.length);
  const offsets = new Map<number, number>();
  const free: number[] = [];
  let nUsed = 0;
  const place = (slot: Slot): Slot => {
    const register = registerOf(slot);
    return register === null ? slot : [{ register: offsets.get(register)! }, 0];
  };
  const allocated = code.map((instr, at) => {
    // The result may take the place of an operand that is read for the last time.
    const reusable = instr.inPlace ? registersRead(instr).find((r) => lastRead.get(r) === at) : undefined;
    for (const register of registersWritten(instr)) {
      const spare = reusable === undefined ? free.pop() : undefined;
      offsets.set(register, reusable === undefined ? (spare ?? nUsed++ * registerBytes) : offsets.get(reusable)!);
    }
    const operands = instr.operands.map((operand) => ({ ...operand, slot: place(operand.slot) }));
    const placed = { ...instr, d: place(instr.d), a: place(instr.a), b: place(instr.b), c: place(instr.c), operands };
    for (const register of new Set([...registersRead(instr), ...registersWritten(instr)])) {
      const dead = (lastRead.get(register) ?? at) === at;
      if (dead && register !== reusable) free.push(offsets.get(register)!);
    }
    return placed;
  });
  return {
    prologue: allocated.slice(0, prologue.length),
    body: allocated.slice(prologue.length),
    scratchBytes: nUsed * registerBytes,
  };
}

/** By register: the place of its last read; infinite if the prologue makes it for the body. */
function lastReads(code: readonly MachineInstr[], prologueLength: number): Map<number, number> {
  const lastRead = new Map<number, number>();
  const hoisted = new Set(code.slice(0, prologueLength).flatMap(registersWritten));
  code.forEach((instr, at) => {
    for (const register of registersRead(instr)) {
      const kept = at >= prologueLength && hoisted.has(register);
      lastRead.set(register, kept ? Number.POSITIVE_INFINITY : at);
    }
  });
  return lastRead;
}
