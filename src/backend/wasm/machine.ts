// Machine code of the interpreter before its addresses are known: what phaseLowering.ts makes, allocate.ts completes and link.ts places.

import { isPointwise, type Kernel, kernelOf } from "../pointwise.ts";
import type { BindingId, PointwiseOp } from "../program.ts";
import * as isa from "./isa.ts";

/** Rows of a tile of a state phase. Not a function of the panel: reductions must not depend on it. */
export const TILE_ROWS = 32;
/** The same where a tile is some columns of a dense matrix: a few cache lines of each of its rows. */
export const WIDE_TILE_ROWS = 256;
/** Numbers of a tile of a plain vector. */
export const TILE_NUMBERS = 256;
/** Most tiles of a plain vector where each of them goes through all entries of an index. */
export const MOST_SWEEPS = 16;

/** The arrays a binding may stand for: a buffer has only "data". */
export type Part = "data" | "rowPtr" | "rowEnd" | "colIdx" | "valuesCsr" | "colPtr" | "rowIdx" | "places" | "valuesCsc";

/** A 32-bit word of an instruction: a number, or something that becomes one. */
export type Word =
  | number
  /** A register; after allocation, its offset in the scratch memory. */
  | { readonly register: number }
  /** Address of an array. */
  | { readonly binding: BindingId; readonly part: Part }
  /** Bytes of one index of a sparse matrix, 2 or 4. */
  | { readonly indexBytes: BindingId; readonly part: "colIdx" | "rowIdx" }
  /** Address of the partial results of the phase's reduction with this number. */
  | { readonly partials: number };

/** Two words: an address and its stride in bytes per tile (0 for a register), or whatever the instruction has there. */
export type Slot = readonly [Word, Word];

/** Of an instruction without this operand, and of what has no value. */
export const NO_SLOT: Slot = [0, 0];

/**
 * What the interpreter has no opcode for: fuse.ts makes calls of it. D = f(A), f(A, B) with E a MODE_…, or f(A, B, C). "copy": A itself;
 * "splatRow": A has one number per row, repeated for every lane.
 */
export type CalledOp = PointwiseOp | "copy" | "splatRow";

/** How a CalledOp of two operands reads them: both full; the second, or the first, one number per row. */
export const MODE_FULL = 0;
export const MODE_ROW_B = 1;
export const MODE_ROW_A = 2;

/** A place that a called function reads or writes. */
export interface Operand {
  readonly slot: Slot;
  readonly written: boolean;
}

/** One record; field by field as in isa.ts. */
export interface MachineInstr {
  /** An opcode, or what becomes a call. */
  readonly op: number | CalledOp;
  readonly width: number;
  readonly d: Slot;
  readonly a: Slot;
  readonly b: Slot;
  readonly c: Slot;
  readonly e: Word;
  readonly f: Word;
  readonly g: Word;
  /** OP_CALL: its operand table. */
  readonly operands: readonly Operand[];
  /** Whether the result may lie where an operand was: the instruction reads each number before it writes the one in its place. */
  readonly inPlace: boolean;
}

/** A reduction over rows: every tile leaves `width` bytes, folded into the binding after the phase. */
export interface Reduction {
  readonly binding: BindingId;
  readonly width: number;
  readonly how: number;
  readonly accumulate: boolean;
}

/** What determines how long a tile takes, besides its number of rows. */
export interface ContractionCost {
  readonly matrix: BindingId;
  readonly ptr: "rowPtr" | "colPtr";
  /** Nanoseconds per stored entry. */
  readonly perEntry: number;
}

/** A phase as machine code. */
export interface MachinePhase {
  /** Row of the profile table. */
  readonly profile: number;
  readonly rows: number;
  readonly tileRows: number;
  /** Runs once per thread: values that are the same in every row. */
  readonly prologue: readonly MachineInstr[];
  /** Runs for every tile. */
  readonly body: readonly MachineInstr[];
  /** Bytes of scratch memory that the registers take. */
  readonly scratchBytes: number;
  readonly reductions: readonly Reduction[];
  /** Nanoseconds per row, without the contractions. */
  readonly perRow: number;
  readonly contractions: readonly ContractionCost[];
}

/** The instruction `op` with what is given and zeros elsewhere. */
export function machineInstr(
  op: MachineInstr["op"],
  width: number,
  fields: Partial<Omit<MachineInstr, "op" | "width">>,
): MachineInstr {
  const nothing = { d: NO_SLOT, a: NO_SLOT, b: NO_SLOT, c: NO_SLOT, e: 0, f: 0, g: 0, operands: [], inPlace: false };
  return { op, width, ...nothing, ...fields };
}

const OPCODE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(isa).flatMap(([name, code]) => (name.startsWith("OP_") ? [[code, name.slice(3).toLowerCase()]] : [])),
);

/** "gemm_t" for OP_GEMM_T. */
export function nameOfOpcode(op: number): string | undefined {
  return OPCODE_NAMES.get(op);
}

/** The kernel that an instruction calls, or null. */
function kernelCalled({ op }: MachineInstr): Kernel | null {
  return typeof op === "string" && isPointwise(op) ? kernelOf(op) : null;
}

/** Whether fuse.ts makes generated code of the instruction. */
export function isFusable(instr: MachineInstr): boolean {
  return typeof instr.op === "string" && kernelCalled(instr) === null;
}

const EFFECTS: ReadonlySet<MachineInstr["op"]> = new Set([isa.OP_SCATTER, isa.OP_REDUCE_LANES, isa.OP_REDUCE_ROWS]);

/** Whether the value in D goes out; other instructions leave their result there. */
export function isEffect({ op }: MachineInstr): boolean {
  return EFFECTS.has(op);
}

/** Nanoseconds per 16 bytes of the slow instructions, and of any other one. */
const SLOW: Readonly<Record<number, number>> = {
  [isa.OP_RANDOM]: 10,
  [isa.OP_LOOKUP]: 4,
  [isa.OP_SCATTER]: 4,
  [isa.OP_GATHER]: 4,
};
const FAST = 0.25;

/** Nanoseconds per 16 bytes: good enough to share work among threads, not to predict times. */
export function vectorCost(instr: MachineInstr): number {
  return (typeof instr.op === "number" ? SLOW[instr.op] : kernelCalled(instr)?.nsPerVector) ?? FAST;
}

/** Registers that an instruction reads; effects read the value that goes out. */
export function registersRead(instr: MachineInstr): readonly number[] {
  const { d, a, b, c, operands } = instr;
  const read = operands.flatMap(({ slot, written }) => (written ? [] : [slot]));
  return [a, b, c, ...(isEffect(instr) ? [d] : []), ...read].map(registerOf).filter((r) => r !== null);
}

/** Registers that an instruction writes. */
export function registersWritten(instr: MachineInstr): readonly number[] {
  const { d, operands } = instr;
  const written = operands.flatMap((operand) => (operand.written ? [operand.slot] : []));
  return [...(isEffect(instr) ? [] : [d]), ...written].map(registerOf).filter((r) => r !== null);
}

/** The register a slot names, or null. */
export function registerOf(slot: Slot): number | null {
  const [word] = slot;
  return typeof word === "object" && "register" in word ? word.register : null;
}
