// Work and traffic of a program by formula: what profiles and benchmarks divide by time.
//
// Lanes are those of the panels (a batch of 5 runs as 8); s = bytes of a number, i = bytes of an index (2 where they fit).
//   sparse matmul       2·nnz·lanes FLOP; reads nnz·(s + i) + 4·rows in order, gathers nnz·lanes·s of X
//   sparse matmulT      2·nnz·lanes FLOP for Wᵀ·G and as many for the gradient; reads nnz·i, nnz·s for Wᵀ·G, reads and writes
//                       nnz·s for the gradient, in order; gathers nnz·lanes·s of G, once for both
//   dense matmul        2·rows·cols·lanes FLOP; reads rows·cols·s and cols·lanes·s (a perfect cache)
//   dense matmulT       the same for each of Wᵀ·G and the gradient; the gradient is read and written
//   pointwise           the cost of the op in additions (ops/pointwise.ts) per element; no traffic: values live in a tile
//   load, store         rows·lanes·s of a state, rows·s of a row, lanes·s of a sample; += is a read and a write
//   reductions          one addition per element
//   lookup, scatter     rows·lanes·s read; read and written
//   gather              rows·(s gathered + 4 of indices); segmentSum: members·(s gathered + 4) + 4·rows of offsets
//   gatherT             4·entries of indices and the source
// A value that two instructions of one phase load is counted once, as lower.ts makes it.

import type { Bindable } from "../backend/backend.ts";
import { elementTypeOf, lanesOf, lengthOf } from "../backend/layout.ts";
import type { Binding, Instr, PanelLayout, Phase, Program } from "../backend/program.ts";
import { POINTWISE } from "../ops/pointwise.ts";

/** Bytes that come from a working set, whose size determines which cache can hold it. */
export interface Traffic {
  readonly bytes: number;
  readonly workingSet: number;
}

export interface Cost {
  readonly flops: number;
  readonly traffic: readonly Traffic[];
}

export const NO_COST: Cost = { flops: 0, traffic: [] };

/** Stored entries of a matrix that is bound to a program. */
export interface StoredEntries {
  readonly nnz: number;
  /** Those that a product goes through, and its reverse; default: all. */
  readonly walked?: { readonly product: number; readonly reverse: number };
  readonly indexBytes: 2 | 4;
}

/** The sum of costs; traffic of equal working sets is merged. */
export function addCosts(costs: readonly Cost[]): Cost {
  const bySet = new Map<number, number>();
  for (const { traffic } of costs) {
    for (const { bytes, workingSet } of traffic) bySet.set(workingSet, (bySet.get(workingSet) ?? 0) + bytes);
  }
  return {
    flops: costs.reduce((sum, c) => sum + c.flops, 0),
    traffic: [...bySet].map(([workingSet, bytes]) => ({ bytes, workingSet })),
  };
}

export function totalBytes(cost: Cost): number {
  return cost.traffic.reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * @param elementBytes of a number
 * @param entriesOf    the matrix bound to a sparse binding
 */
export function programCost(
  program: Program,
  layout: PanelLayout,
  elementBytes: number,
  entriesOf: (binding: Binding) => StoredEntries,
): Cost {
  return costOf(program, program.phases, layout, elementBytes, entriesOf);
}

/** Cost of each phase alone. */
export function phaseCosts(
  program: Program,
  layout: PanelLayout,
  elementBytes: number,
  entriesOf: (binding: Binding) => StoredEntries,
): readonly Cost[] {
  return program.phases.map((phase) => costOf(program, [phase], layout, elementBytes, entriesOf));
}

/** `entriesOf` of programCost, for the operands of a bound program. */
export function storedEntriesOf(bindings: Readonly<Record<string, Bindable>>): (binding: Binding) => StoredEntries {
  return ({ name }) => {
    const bound = bindings[name];
    if (!bound || !("nnz" in bound)) throw new TypeError(`cost: expected a sparse matrix (${name})`);
    const stored = storedEntries(bound.nnz, bound.nRows, bound.nCols);
    return bound.walked ? { ...stored, walked: bound.walked } : stored;
  };
}

/** Of a matrix [rows, cols] with `nnz` entries. */
export function storedEntries(nnz: number, rows: number, cols: number): StoredEntries {
  return { nnz, indexBytes: Math.max(rows, cols) <= 65536 ? 2 : 4 };
}

function costOf(
  program: Program,
  phases: readonly Phase[],
  layout: PanelLayout,
  elementBytes: number,
  entriesOf: (binding: Binding) => StoredEntries,
): Cost {
  const counter = new Counter(program, layout, elementBytes, entriesOf);
  for (const phase of phases) for (const instr of phase.instrs) counter.add(phase, instr);
  return counter.cost();
}

class Counter {
  readonly #bindings: readonly Binding[];
  readonly #layout: PanelLayout;
  readonly #lanes: number;
  readonly #element: number;
  readonly #entriesOf: (binding: Binding) => StoredEntries;
  readonly #gathers: Traffic[] = [];
  #flops = 0;
  #streamed = 0;

  constructor(program: Program, layout: PanelLayout, element: number, entriesOf: (binding: Binding) => StoredEntries) {
    this.#bindings = program.bindings;
    this.#layout = layout;
    this.#lanes = lanesOf(layout);
    this.#element = element;
    this.#entriesOf = entriesOf;
  }

  /** The working set of reads in order is all bindings of the program: all of them pass before the next run. */
  cost(): Cost {
    const workingSet = this.#bindings.reduce((sum, b) => sum + this.#bytesOf(b), 0);
    return addCosts([
      { flops: this.#flops, traffic: [{ bytes: this.#streamed, workingSet }] },
      { flops: 0, traffic: this.#gathers },
    ]);
  }

  add(phase: Phase, instr: Instr): void {
    const elements = phase.rows * (phase.lanes === "batch" ? this.#lanes : 1);
    const s = this.#element;
    switch (instr.op) {
      case "load":
        this.#streamed += this.#bytesOf(this.#bindings[instr.binding]!);
        return;
      case "const":
      case "rowIndex":
      case "random":
        return;
      case "lookup":
        this.#streamed += elements * s;
        return;
      case "scatter":
        this.#streamed += 2 * elements * s;
        return;
      case "gather":
        this.#streamed += 4 * elements;
        this.#gather(instr.source, elements * s);
        return;
      case "segmentSum": {
        const members = this.#bindings[instr.members]!.rows;
        this.#flops += members;
        this.#streamed += 4 * (members + elements);
        this.#gather(instr.source, members * s);
        return;
      }
      case "gatherT": {
        const entries = this.#bindings[instr.index]!.rows;
        this.#flops += entries;
        this.#streamed += 4 * entries + this.#bytesOf(this.#bindings[instr.source]!);
        return;
      }
      case "matmul":
        this.#matmul(this.#bindings[instr.matrix]!, instr.x);
        return;
      case "matmulT":
        this.#matmulT(this.#bindings[instr.matrix]!, instr);
        return;
      case "store":
        this.#streamed += (instr.accumulate ? 2 : 1) * this.#bytesOf(this.#bindings[instr.binding]!);
        return;
      case "reduceRows":
      case "reduceLanes":
        this.#flops += elements;
        this.#streamed += (instr.accumulate ? 2 : 1) * this.#bytesOf(this.#bindings[instr.binding]!);
        return;
      default:
        this.#flops += POINTWISE[instr.op].cost * elements;
    }
  }

  #matmul(matrix: Binding, x: number): void {
    const lanes = this.#lanes;
    if (matrix.kind === "dense") {
      this.#flops += 2 * matrix.rows * matrix.cols! * lanes;
      this.#streamed += this.#bytesOf(matrix) + this.#bytesOf(this.#bindings[x]!);
      return;
    }
    const { walked, indexBytes, ...all } = this.#entriesOf(matrix);
    const nnz = walked?.product ?? all.nnz;
    this.#flops += 2 * nnz * lanes;
    this.#streamed += nnz * (this.#element + indexBytes) + 4 * matrix.rows;
    this.#gather(x, nnz * lanes * this.#element);
  }

  #matmulT(matrix: Binding, { g, needCt, grad }: Extract<Instr, { op: "matmulT" }>): void {
    const lanes = this.#lanes;
    const products = (needCt ? 1 : 0) + (grad ? 1 : 0);
    if (matrix.kind === "dense") {
      this.#flops += 2 * products * matrix.rows * matrix.cols! * lanes;
      this.#streamed += ((needCt ? 1 : 0) + (grad ? 2 : 0)) * this.#bytesOf(matrix) + this.#bytesOf(this.#bindings[g]!);
      return;
    }
    const { walked, indexBytes, ...all } = this.#entriesOf(matrix);
    const nnz = walked?.reverse ?? all.nnz;
    this.#flops += 2 * products * nnz * lanes;
    this.#streamed += nnz * (indexBytes + ((needCt ? 1 : 0) + (grad ? 2 : 0)) * this.#element) + 4 * matrix.cols!;
    this.#gather(g, nnz * lanes * this.#element);
  }

  #gather(source: number, bytes: number): void {
    this.#gathers.push({ bytes, workingSet: this.#bytesOf(this.#bindings[source]!) });
  }

  /** Bytes of all that a binding holds; of a sparse matrix one of its two orders. */
  #bytesOf(b: Binding): number {
    if (b.kind !== "sparse") return lengthOf(b, this.#layout) * (elementTypeOf(b) === "u32" ? 4 : this.#element);
    const { nnz, indexBytes } = this.#entriesOf(b);
    return nnz * (this.#element + indexBytes) + 4 * b.rows;
  }
}
