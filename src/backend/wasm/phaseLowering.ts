// One phase of a program becomes machine code with virtual registers.
//
// Values are sorted by how much of a tile they fill. `scalar` and `sample` values are the same in every row: they are computed once
// per thread, in the prologue, and fill a register that all tiles read. `row` values have one number per row and are broadcast
// by the instruction that meets them. `full` values have their own numbers everywhere. In a phase over plain vectors a tile is one
// row of numbers after another, and every value that differs between them is `full`.
//
// Two things save memory traffic. A loaded state is read in place, unless the phase overwrites it before its last use; and the
// instruction whose result is stored writes it where it belongs. In the end the instructions are put in an order in which pointwise ones
// stand together, and each run of these becomes a function.

import { bytesOf } from "../../core/dtype.ts";
import { accessesOf, isWrite, valuesOf } from "../instr.ts";
import { phaseKind } from "../kinds.ts";
import { isPointwise, kernelOf } from "../pointwise.ts";
import type { Binding, BindingId, Instr, PanelLayout, Phase, Program, ValueId } from "../program.ts";
import { allocateRegisters } from "./allocate.ts";
import { type Functions, fuse } from "./fuse.ts";
import * as isa from "./isa.ts";
import {
  type ContractionCost,
  type MachineInstr,
  type MachinePhase,
  MODE_FULL,
  MODE_ROW_A,
  MODE_ROW_B,
  MOST_SWEEPS,
  machineInstr,
  NO_SLOT,
  type Reduction,
  registersRead,
  type Slot,
  TILE_NUMBERS,
  TILE_ROWS,
  vectorCost,
  WIDE_TILE_ROWS,
  type Word,
} from "./machine.ts";
import { PROFILE_KINDS } from "./profile.ts";
import { schedule } from "./schedule.ts";

/** How much of a tile a value fills; `none` for instructions without a value. */
type Extent = "none" | "scalar" | "sample" | "row" | "full";

type PointwiseInstr = Extract<Instr, { readonly args: readonly ValueId[] }>;
type StoreInstr = Extract<Instr, { op: "store" }>;

const HOW = { sum: isa.HOW_SUM, max: isa.HOW_MAX, min: isa.HOW_MIN } as const;

/** Machine code of one of the phases of `program`, which keeps the rules of program.ts. */
export function lowerPhase(program: Program, phase: Phase, layout: PanelLayout, functions: Functions): MachinePhase {
  return new PhaseLowering(program, phase, layout, functions).lower();
}

class PhaseLowering {
  readonly #program: Program;
  readonly #phase: Phase;
  readonly #batch: boolean;
  readonly #functions: Functions;
  /** Bytes of one number, and of one row of a full value. */
  readonly #size: number;
  readonly #width: number;
  readonly #tileRows: number;

  readonly #extents: Extent[] = [];
  readonly #lastUse: number[] = [];
  /** By value: the store whose place it is computed in. */
  readonly #forwarded = new Map<ValueId, StoreInstr>();
  /** By binding: the places in the instruction list that change it. */
  readonly #writes = new Map<BindingId, number[]>();

  readonly #prologue: MachineInstr[] = [];
  readonly #body: MachineInstr[] = [];
  readonly #slots: Slot[] = [];
  /** By row value: the register that holds it broadcast. */
  readonly #broadcasts = new Map<ValueId, Slot>();
  readonly #reductions: Reduction[] = [];
  readonly #contractions: ContractionCost[] = [];
  #nRegisters = 0;
  #perRow = 0;

  constructor(program: Program, phase: Phase, layout: PanelLayout, functions: Functions) {
    this.#functions = functions;
    this.#program = program;
    this.#phase = phase;
    this.#batch = phase.lanes === "batch";
    this.#size = bytesOf(functions.dtype);
    this.#width = this.#size * (this.#batch ? layout.panel : 1);
    this.#tileRows = !this.#batch ? this.#plainTile() : this.#walksDenseColumns() ? WIDE_TILE_ROWS : TILE_ROWS;
  }

  lower(): MachinePhase {
    const { instrs, rows } = this.#phase;
    this.#findExtents();
    this.#findLastUses();
    this.#findWrites();
    this.#forwardStores();
    instrs.forEach((instr, i) => {
      this.#slots.push(this.#emit(instr, i));
    });
    const registerBytes = Math.ceil((this.#tileRows * this.#width) / 64) * 64;
    const readByTiles = new Set(this.#body.flatMap(registersRead));
    const { prologue, body, scratchBytes } = allocateRegisters(
      fuse(schedule(this.#prologue), readByTiles, this.#functions),
      fuse(schedule(this.#body), new Set(), this.#functions),
      registerBytes,
    );
    return {
      profile: PROFILE_KINDS.indexOf(phaseKind(this.#program, this.#phase)),
      rows,
      tileRows: this.#tileRows,
      prologue,
      body,
      scratchBytes,
      reductions: this.#reductions,
      perRow: this.#perRow,
      contractions: this.#contractions,
    };
  }

  /** Whether a tile is some columns of a dense matrix, which lie far apart in its rows. */
  #walksDenseColumns(): boolean {
    const { bindings } = this.#program;
    return this.#phase.instrs.some((i) => i.op === "matmulT" && bindings[i.matrix]?.kind === "dense");
  }

  /** Numbers of a tile of a plain vector. A tile of a gatherT goes through the whole index, so there are few of them. */
  #plainTile(): number {
    const { instrs, rows } = this.#phase;
    const sweeps = instrs.some(({ op }) => op === "gatherT");
    return TILE_NUMBERS * (sweeps ? Math.ceil(rows / (MOST_SWEEPS * TILE_NUMBERS)) : 1);
  }

  // ---- analysis ------------------------------------------------------------------------------------------------------------

  #findExtents(): void {
    for (const instr of this.#phase.instrs) this.#extents.push(this.#extentOf(instr));
  }

  #extentOf(instr: Instr): Extent {
    switch (instr.op) {
      case "load":
        return this.#extentOfLoad(this.#binding(instr.binding));
      case "const":
        return "scalar";
      case "rowIndex":
        return this.#batch ? "row" : "full";
      case "lookup":
      case "random":
      case "gather":
      case "segmentSum":
      case "gatherT":
      case "matmul":
        return "full";
      case "matmulT":
        return instr.needCt ? "full" : "none";
      case "store":
      case "scatter":
      case "reduceRows":
      case "reduceLanes":
        return "none";
      default:
        return this.#extentOfPointwise(instr);
    }
  }

  /** A loaded value. In a phase of one row a sample is the tile itself: it may be stored and read again. */
  #extentOfLoad({ kind }: Binding): Extent {
    const { rows } = this.#phase;
    if (kind === "scalar") return !this.#batch && rows === 1 ? "full" : "scalar";
    if (kind === "sample") return rows === 1 ? "full" : "sample";
    return kind === "row" && this.#batch ? "row" : "full";
  }

  #extentOfPointwise({ args }: PointwiseInstr): Extent {
    const extents = args.map((a) => this.#extents[a]!);
    if (extents.includes("full")) return "full";
    const [row, sample] = [extents.includes("row"), extents.includes("sample")];
    return row && sample ? "full" : row ? "row" : sample ? "sample" : "scalar";
  }

  /** Where each value is read for the last time. */
  #findLastUses(): void {
    for (const [i, instr] of this.#phase.instrs.entries()) {
      this.#lastUse.push(i);
      for (const v of valuesOf(instr)) this.#lastUse[v] = i;
    }
  }

  #findWrites(): void {
    for (const [i, instr] of this.#phase.instrs.entries()) {
      for (const { binding } of accessesOf(instr).filter(isWrite)) {
        const places = this.#writes.get(binding) ?? [];
        places.push(i);
        this.#writes.set(binding, places);
      }
    }
  }

  /** Lets a value be computed where it is stored, if the old content is no longer needed. */
  #forwardStores(): void {
    for (const [i, instr] of this.#phase.instrs.entries()) {
      if (instr.op !== "store" || instr.accumulate) continue;
      const maker = this.#phase.instrs[instr.value]!;
      const sole = this.#writes.get(instr.binding)!.length === 1;
      if (!sole || maker.op === "load" || this.#extents[instr.value] !== "full") continue;
      if (this.#forwarded.has(instr.value)) continue;
      const oldLoads = this.#loadsBefore(instr.binding, i);
      const safe = oldLoads.every((load) => load < instr.value && this.#lastUse[load]! <= lastRead(maker, instr.value));
      if (!safe) continue;
      this.#forwarded.set(instr.value, instr);
      this.#writes.set(instr.binding, [instr.value]);
    }
  }

  #loadsBefore(binding: BindingId, end: number): readonly number[] {
    const loads: number[] = [];
    this.#phase.instrs.forEach((instr, i) => {
      if (i < end && instr.op === "load" && instr.binding === binding) loads.push(i);
    });
    return loads;
  }

  // ---- emission ------------------------------------------------------------------------------------------------------------

  /** Emits the code of one instruction and returns where its value is. */
  #emit(instr: Instr, i: number): Slot {
    const extent = this.#extents[i]!;
    const width = extent === "row" ? this.#size : this.#width;
    switch (instr.op) {
      case "load":
        return this.#emitLoad(instr.binding, extent, i);
      case "const":
        return this.#define(i, { op: isa.OP_CONST, a: bitsOf(instr.value) });
      case "rowIndex":
        return this.#define(i, { op: isa.OP_ROW_INDEX }, width);
      case "gather": {
        const { rows } = this.#binding(instr.source);
        return this.#define(i, { op: isa.OP_GATHER, a: data(instr.source), b: data(instr.index), e: rows });
      }
      case "segmentSum": {
        const b: Slot = [data(instr.offsets)[0], data(instr.members)[0]];
        const { rows } = this.#binding(instr.source);
        // About a nanosecond per member.
        this.#perRow += this.#binding(instr.members).rows / this.#phase.rows;
        return this.#define(i, { op: isa.OP_SEGMENT_SUM, a: data(instr.source), b, e: rows });
      }
      case "gatherT": {
        const b: Slot = [data(instr.index)[0], instr.offsets === null ? 0 : data(instr.offsets)[0]];
        const { rows } = this.#binding(instr.source);
        // About a nanosecond per entry, in every tile.
        this.#perRow += this.#binding(instr.index).rows / this.#tileRows;
        return this.#define(i, { op: isa.OP_GATHER_T, a: data(instr.source), b, e: rows, f: this.#phase.rows });
      }
      case "lookup": {
        const table = this.#table(instr.table);
        return this.#define(i, { op: isa.OP_LOOKUP, a: data(instr.table), b: this.#full(instr.index), ...table });
      }
      case "random":
        return this.#define(i, { op: isa.OP_RANDOM, a: data(instr.key), b: this.#full(instr.sampleId) });
      case "matmul":
        return this.#emitMatmul(instr, i);
      case "matmulT":
        return this.#emitMatmulT(instr, i);
      case "store":
        return this.#emitStore(instr);
      case "scatter": {
        const table = { a: this.#tiled(instr.table, this.#width), ...this.#table(instr.table) };
        const b = this.#full(instr.index);
        return this.#effect({ op: isa.OP_SCATTER, d: this.#full(instr.value), b, ...table });
      }
      case "reduceRows":
        return this.#emitReduceRows(instr);
      case "reduceLanes": {
        const e = instr.accumulate ? 1 : 0;
        const d = this.#tiled(instr.binding, this.#size);
        return this.#effect({ op: isa.OP_REDUCE_LANES, d, a: this.#full(instr.value), e });
      }
      default:
        return this.#emitPointwise(instr, i, width);
    }
  }

  #emitLoad(binding: BindingId, extent: Extent, i: number): Slot {
    if (extent === "scalar") return this.#define(i, { op: isa.OP_SPLAT_SCALAR, a: data(binding) });
    if (extent === "sample") return this.#define(i, { op: isa.OP_SPLAT_SAMPLE, a: data(binding) });
    const width = extent === "row" ? this.#size : this.#width;
    const inPlace = this.#tiled(binding, width);
    const overwrittenAt = this.#writes.get(binding)?.find((w) => w > i) ?? Number.POSITIVE_INFINITY;
    const writer = this.#phase.instrs[overwrittenAt];
    if (!writer || this.#lastUse[i]! <= lastRead(writer, overwrittenAt)) return inPlace;
    return this.#define(i, { op: "copy", a: inPlace }, width);
  }

  #emitPointwise(instr: PointwiseInstr, i: number, width: number): Slot {
    const { op } = instr;
    if (instr.args.length !== 2 || kernelOf(op)) {
      const [a, b, c] = instr.args.map((v) => this.#operand(v, width));
      return this.#define(i, { op, a: a!, ...(b ? { b } : {}), ...(c ? { c } : {}) }, width);
    }
    const { a, b, e } = this.#operandPair(instr.args[0]!, instr.args[1]!, width);
    return this.#define(i, { op, a, b, e }, width);
  }

  /** Both operands of a binary instruction, at most one of them broadcast by the instruction itself. */
  #operandPair(x: ValueId, y: ValueId, width: number): { a: Slot; b: Slot; e: number } {
    const broadcast = (v: ValueId): boolean => width !== this.#size && this.#extents[v] === "row";
    if (broadcast(y)) return { a: this.#operand(x, width), b: this.#slots[y]!, e: MODE_ROW_B };
    if (broadcast(x)) return { a: this.#slots[x]!, b: this.#operand(y, width), e: MODE_ROW_A };
    return { a: this.#operand(x, width), b: this.#operand(y, width), e: MODE_FULL };
  }

  #emitStore(instr: StoreInstr): Slot {
    if (this.#forwarded.get(instr.value) === instr) return NO_SLOT;
    const d = this.#tiled(instr.binding, this.#width);
    const row = this.#batch && this.#extents[instr.value] === "row";
    const value = this.#slots[instr.value]!;
    if (instr.accumulate) {
      return this.#effect({ op: "add", d, a: d, b: value, e: row ? MODE_ROW_B : MODE_FULL });
    }
    return this.#effect({ op: row ? "splatRow" : "copy", d, a: value });
  }

  #emitMatmul(instr: Extract<Instr, { op: "matmul" }>, i: number): Slot {
    const { kind, cols = 1 } = this.#binding(instr.matrix);
    this.#addContractionCost(instr.matrix, kind, "rowPtr", 1, cols);
    const a = data(instr.x);
    if (kind === "dense") {
      return this.#define(i, { op: isa.OP_GEMM, a, b: [{ binding: instr.matrix, part: "data" }, cols] });
    }
    const w = sparseParts(instr.matrix, "rowPtr", "colIdx", "valuesCsr");
    return this.#define(i, { op: isa.OP_SPMM, a, ...w, e: cols, g: { binding: instr.matrix, part: "rowEnd" } });
  }

  #emitMatmulT(instr: Extract<Instr, { op: "matmulT" }>, i: number): Slot {
    const { kind, rows, cols = 1 } = this.#binding(instr.matrix);
    this.#addContractionCost(instr.matrix, kind, "colPtr", (instr.needCt ? 1 : 0) + (instr.grad ? 1 : 0), rows);
    const a = instr.grad ? this.#full(instr.grad.x) : NO_SLOT;
    if (kind === "dense") {
      if (instr.grad) {
        const grad: Slot = [{ binding: instr.grad.binding, part: "data" }, rows];
        const room = this.#newRegister();
        this.#append(
          this.#body,
          { op: isa.OP_GEMM_GRAD, d: room, a, b: grad, c: [cols, { binding: instr.g, part: "data" }] },
          this.#width,
        );
      }
      if (!instr.needCt) return NO_SLOT;
      const w: Slot = [{ binding: instr.matrix, part: "data" }, rows];
      return this.#define(i, { op: isa.OP_GEMM_T, a: data(instr.g), b: w, c: [cols, 0] });
    }
    const f: Word = instr.grad ? { binding: instr.grad.binding, part: "data" } : 0;
    const w = sparseParts(instr.matrix, "colPtr", "rowIdx", "valuesCsc");
    const places: Word = { binding: instr.matrix, part: "places" };
    const fields = { a, ...w, e: { binding: instr.g, part: "data" }, f, g: places } as const;
    if (!instr.needCt) return this.#effect({ op: isa.OP_SPMM_T_GRAD, ...fields });
    return this.#define(i, { op: instr.grad ? isa.OP_SPMM_T : isa.OP_SPMM_T_CT, ...fields });
  }

  /** Adds the time of `products` contractions: sparse by stored entries, dense by the `terms` of each row. */
  #addContractionCost(
    matrix: BindingId,
    kind: string,
    ptr: "rowPtr" | "colPtr",
    products: number,
    terms: number,
  ): void {
    const nVectors = (products * this.#width) / 16;
    if (kind === "sparse") this.#contractions.push({ matrix, ptr, perEntry: nVectors * VECTOR_COST.sparse });
    else this.#perRow += nVectors * VECTOR_COST.dense * terms;
  }

  #emitReduceRows(instr: Extract<Instr, { op: "reduceRows" }>): Slot {
    const how = HOW[instr.how];
    const partials = this.#reductions.length;
    this.#reductions.push({ binding: instr.binding, width: this.#width, how, accumulate: instr.accumulate });
    return this.#effect({ op: isa.OP_REDUCE_ROWS, d: [{ partials }, this.#width], a: this.#full(instr.value), e: how });
  }

  /** Emits an instruction with a result: in a new register, or where the value is stored. */
  #define(i: number, fields: Fields, width: number = this.#width): Slot {
    const store = this.#forwarded.get(i);
    const d: Slot = store ? this.#tiled(store.binding, this.#width) : this.#newRegister();
    const extent = this.#extents[i];
    this.#append(extent === "scalar" || extent === "sample" ? this.#prologue : this.#body, { ...fields, d }, width);
    return d;
  }

  #effect(fields: Fields): Slot {
    this.#append(this.#body, fields, this.#width);
    return NO_SLOT;
  }

  #append(to: MachineInstr[], { op, ...fields }: Fields, width: number): void {
    const instr = machineInstr(op, width, fields);
    to.push(instr);
    if (to === this.#body) this.#perRow += (vectorCost(instr) * width) / 16;
  }

  #newRegister(): Slot {
    return [{ register: this.#nRegisters++ }, 0];
  }

  /** A value as an operand of an instruction whose rows have `width` bytes. */
  #operand(v: ValueId, width: number): Slot {
    return width === this.#width ? this.#full(v) : this.#slots[v]!;
  }

  /** A value with its own number for every lane: a row value is broadcast into a register. */
  #full(v: ValueId): Slot {
    if (!this.#batch || this.#extents[v] !== "row") return this.#slots[v]!;
    const known = this.#broadcasts.get(v);
    if (known) return known;
    const d = this.#newRegister();
    this.#broadcasts.set(v, d);
    this.#append(this.#body, { op: "splatRow", d, a: this.#slots[v]! }, this.#width);
    return d;
  }

  /** The tile's part of an array with `width` bytes per row. */
  #tiled(binding: BindingId, width: number): Slot {
    return [{ binding, part: "data" }, width * this.#tileRows];
  }

  #table(id: BindingId): { e: number; f: number } {
    const { rows, cols = 1 } = this.#binding(id);
    return { e: rows * this.#width, f: cols };
  }

  #binding(id: BindingId): Binding {
    return this.#program.bindings[id]!;
  }
}

/** What an instruction is made of, without its width. */
type Fields = Pick<MachineInstr, "op"> & Partial<Omit<MachineInstr, "op" | "width">>;

/** Nanoseconds for multiplying one vector of 16 bytes: gathered by a sparse product, or streamed by a dense one. */
const VECTOR_COST = { sparse: 0.8, dense: 0.25 } as const;

/** The address of a whole array, as the first word of a slot. */
function data(binding: BindingId): Slot {
  return [{ binding, part: "data" }, 0];
}

function sparseParts(
  matrix: BindingId,
  ptr: "rowPtr" | "colPtr",
  idx: "colIdx" | "rowIdx",
  values: "valuesCsr" | "valuesCsc",
): { readonly b: Slot; readonly c: Slot } {
  return {
    b: [
      { binding: matrix, part: ptr },
      { binding: matrix, part: idx },
    ],
    c: [
      { binding: matrix, part: values },
      { indexBytes: matrix, part: idx },
    ],
  };
}

/** The bits of a double as two words. */
function bitsOf(value: number): Slot {
  const [low, high] = new Uint32Array(Float64Array.of(value).buffer);
  return [low!, high!];
}

/**
 * The last place at which memory that the instruction at `i` overwrites may still be read: `i` itself if it goes number by number,
 * reading before it writes, else the place before.
 */
function lastRead(instr: Instr, i: number): number {
  const pointwise = isPointwise(instr.op) || instr.op === "store";
  return pointwise ? i : i - 1;
}
