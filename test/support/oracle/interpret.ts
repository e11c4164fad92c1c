// Runs a program phase by phase in double precision: each instruction over the whole space at once, one plain array per value.

import type { Instr, PanelLayout, Phase, PointwiseOp, Program } from "../../../src/backend/program.ts";
import { uniformAt } from "../../../src/core/random.ts";
import { POINTWISE_TESTS } from "../pointwise.ts";
import { lanesOf, stateOffset, vectorShape } from "./shapes.ts";

/** A matrix as its stored entries. Products read the CSR values, transposed products the CSC values: they are separate copies. */
export interface SparseEntries {
  /** Row and column of the k-th entry in CSR order. */
  readonly rowOf: Uint32Array;
  readonly colOf: Uint32Array;
  readonly cscOfCsr: Uint32Array;
  readonly valuesCsr: Float64Array;
  readonly valuesCsc: Float64Array;
}

/** What is bound to a program's binding, by position. */
export type Operand = Float64Array | Uint32Array | SparseEntries;

/** One stored entry of a matrix, with the two places its value (and its gradient) may lie. */
type VisitEntry = (row: number, col: number, valuesIdx: number, transposedIdx: number) => void;

/** Runs every phase in order; `operands[i]` belongs to `program.bindings[i]`. The program has passed `checkProgram`. */
export function runProgram(program: Program, layout: PanelLayout, operands: readonly Operand[]): void {
  program.phases.forEach((phase, phaseIdx) => {
    program.bindings.forEach((b, id) => {
      // The memory of a temporary may have belonged to another one: nobody may count on what it holds at first.
      if (b.temp?.firstPhase === phaseIdx) (operands[id] as Float64Array).fill(Number.NaN);
    });
    new PhaseRun(program, phase, layout, operands).run();
  });
}

/** One phase. Values are [rows][lanes] arrays, whatever their kind: what is broadcast is written out. */
class PhaseRun {
  readonly #program: Program;
  readonly #phase: Phase;
  readonly #layout: PanelLayout;
  readonly #operands: readonly Operand[];
  readonly #rows: number;
  readonly #lanes: number;
  readonly #values: Float64Array[] = [];

  constructor(program: Program, phase: Phase, layout: PanelLayout, operands: readonly Operand[]) {
    this.#program = program;
    this.#phase = phase;
    this.#layout = layout;
    this.#operands = operands;
    this.#rows = phase.rows;
    this.#lanes = phase.lanes === "batch" ? lanesOf(layout) : 1;
  }

  run(): void {
    for (const instr of this.#phase.instrs) this.#values.push(this.#execute(instr));
  }

  #execute(instr: Instr): Float64Array {
    switch (instr.op) {
      case "load": {
        const data = this.#floats(instr.binding);
        return this.#tabulate((row, lane) => data[this.#offset(instr.binding, row, lane)]!);
      }
      case "const":
        return this.#tabulate(() => instr.value);
      case "rowIndex":
        return this.#tabulate((row) => row);
      case "lookup": {
        const table = this.#floats(instr.table);
        return this.#tabulate((row, lane) => table[this.#tableOffset(instr.table, instr.index, row, lane)]!);
      }
      case "random": {
        const key = this.#operands[instr.key] as Uint32Array;
        const sampleId = this.#values[instr.sampleId]!;
        return this.#tabulate((row, lane) => uniformAt([key[0]!, key[1]!], row, sampleId[row * this.#lanes + lane]!));
      }
      case "gather": {
        const source = this.#floats(instr.source);
        const index = this.#operands[instr.index] as Uint32Array;
        return this.#tabulate((row) => {
          if (index[row]! >= source.length) throw new RangeError(`gather: index ${index[row]} of ${source.length}`);
          return source[index[row]!]!;
        });
      }
      case "segmentSum": {
        const source = this.#floats(instr.source);
        const offsets = this.#operands[instr.offsets] as Uint32Array;
        const members = this.#operands[instr.members] as Uint32Array;
        return this.#tabulate((row) => {
          let sum = 0;
          for (let k = offsets[row]!; k < offsets[row + 1]!; k++) sum += source[members[k]!]!;
          return sum;
        });
      }
      case "gatherT":
        return this.#gatherT(instr);
      case "matmul":
        return this.#matmul(instr);
      case "matmulT":
        return this.#matmulT(instr);
      case "store":
        return this.#store(instr);
      case "scatter": {
        const table = this.#floats(instr.table);
        const value = this.#values[instr.value]!;
        return this.#forEach((row, lane, at) => {
          table[this.#tableOffset(instr.table, instr.index, row, lane)]! += value[at]!;
        });
      }
      case "reduceRows":
        return this.#reduceRows(instr);
      case "reduceLanes":
        return this.#reduceLanes(instr);
      default:
        return this.#pointwise(instr.op, instr.args);
    }
  }

  #pointwise(op: PointwiseOp, args: readonly number[]): Float64Array {
    const { f } = POINTWISE_TESTS[op];
    const [a, b, c] = args.map((id) => this.#values[id]!);
    return a!.map((x, at) => f(x, b?.[at] ?? 0, c?.[at] ?? 0));
  }

  #gatherT(instr: Extract<Instr, { op: "gatherT" }>): Float64Array {
    const source = this.#floats(instr.source);
    const index = this.#operands[instr.index] as Uint32Array;
    const offsets = instr.offsets === null ? null : (this.#operands[instr.offsets] as Uint32Array);
    const sums = new Float64Array(this.#rows);
    source.forEach((x, j) => {
      for (let k = offsets ? offsets[j]! : j; k < (offsets ? offsets[j + 1]! : j + 1); k++) {
        if (index[k]! >= sums.length) throw new RangeError(`gatherT: index ${index[k]} of ${sums.length}`);
        sums[index[k]!]! += x;
      }
    });
    return sums;
  }

  #matmul(instr: Extract<Instr, { op: "matmul" }>): Float64Array {
    const x = this.#floats(instr.x);
    const { cols = 1 } = this.#program.bindings[instr.matrix]!;
    const y = new Float64Array(this.#rows * this.#lanes);
    const weights = this.#weights(instr.matrix, "forward");
    this.#forEachEntry(instr.matrix, (row, col, valuesIdx) => {
      for (let lane = 0; lane < this.#lanes; lane++) {
        y[row * this.#lanes + lane]! += weights[valuesIdx]! * x[stateOffset(this.#layout, cols, col, lane)]!;
      }
    });
    return y;
  }

  #matmulT(instr: Extract<Instr, { op: "matmulT" }>): Float64Array {
    const g = this.#floats(instr.g);
    const gRows = this.#program.bindings[instr.matrix]!.rows;
    const weights = this.#weights(instr.matrix, "transposed");
    const ct = new Float64Array(this.#rows * this.#lanes);
    const x = instr.grad && this.#values[instr.grad.x]!;
    const grad = instr.grad && this.#floats(instr.grad.binding);
    this.#forEachEntry(instr.matrix, (row, col, _, transposedIdx) => {
      for (let lane = 0; lane < this.#lanes; lane++) {
        const gValue = g[stateOffset(this.#layout, gRows, row, lane)]!;
        ct[col * this.#lanes + lane]! += weights[transposedIdx]! * gValue;
        if (grad && x) grad[transposedIdx]! += gValue * x[col * this.#lanes + lane]!;
      }
    });
    return ct;
  }

  #store(instr: Extract<Instr, { op: "store" }>): Float64Array {
    const data = this.#floats(instr.binding);
    const value = this.#values[instr.value]!;
    return this.#forEach((row, lane, at) => {
      const target = this.#offset(instr.binding, row, lane);
      data[target] = instr.accumulate ? data[target]! + value[at]! : value[at]!;
    });
  }

  #reduceRows(instr: Extract<Instr, { op: "reduceRows" }>): Float64Array {
    const combine = POINTWISE_TESTS[instr.how === "sum" ? "add" : instr.how].f;
    const data = this.#floats(instr.binding);
    const value = this.#values[instr.value]!;
    return this.#forEach((row, lane, at) => {
      const first = row === 0 && !instr.accumulate;
      data[lane] = first ? value[at]! : combine(data[lane]!, value[at]!);
    });
  }

  #reduceLanes(instr: Extract<Instr, { op: "reduceLanes" }>): Float64Array {
    const data = this.#floats(instr.binding);
    const value = this.#values[instr.value]!;
    return this.#forEach((row, lane, at) => {
      const first = lane === 0 && !instr.accumulate;
      data[row] = first ? value[at]! : data[row]! + value[at]!;
    });
  }

  /** Address of the tile's (row, lane) in a state, row, sample, scalar or nnz binding, broadcasting what it lacks. */
  #offset(binding: number, row: number, lane: number): number {
    const shape = vectorShape(this.#program.bindings[binding]!)!;
    const ownRow = shape.rows === 1 ? 0 : row;
    return shape.perLane ? stateOffset(this.#layout, shape.rows, ownRow, lane) : ownRow;
  }

  #tableOffset(table: number, index: number, row: number, lane: number): number {
    const { cols: depth = 1 } = this.#program.bindings[table]!;
    const at = this.#values[index]![row * this.#lanes + lane]!;
    if (!Number.isInteger(at) || at < 0 || at >= depth) throw new RangeError(`table index ${at} of ${depth}`);
    return at * this.#rows * this.#lanes + stateOffset(this.#layout, this.#rows, row, lane);
  }

  /** Calls `visit` for the stored entries of a sparse matrix, row by row, or for all entries of a dense one. */
  #forEachEntry(matrix: number, visit: VisitEntry): void {
    const operand = this.#operands[matrix]!;
    if ("rowOf" in operand) {
      operand.rowOf.forEach((row, k) => {
        visit(row, operand.colOf[k]!, k, operand.cscOfCsr[k]!);
      });
      return;
    }
    const { rows, cols = 1 } = this.#program.bindings[matrix]!;
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) visit(row, col, row * cols + col, row * cols + col);
    }
  }

  #weights(matrix: number, direction: "forward" | "transposed"): Float64Array {
    const operand = this.#operands[matrix]!;
    if ("rowOf" in operand) return direction === "forward" ? operand.valuesCsr : operand.valuesCsc;
    return operand as Float64Array;
  }

  #floats(binding: number): Float64Array {
    return this.#operands[binding] as Float64Array;
  }

  #tabulate(f: (row: number, lane: number) => number): Float64Array {
    const out = new Float64Array(this.#rows * this.#lanes);
    this.#forEach((row, lane, at) => {
      out[at] = f(row, lane);
    });
    return out;
  }

  /** Visits the space row by row; returns the empty value of an instruction that is run for its effect. */
  #forEach(visit: (row: number, lane: number, at: number) => void): Float64Array {
    for (let row = 0; row < this.#rows; row++) {
      for (let lane = 0; lane < this.#lanes; lane++) visit(row, lane, row * this.#lanes + lane);
    }
    return NO_VALUE;
  }
}

const NO_VALUE = new Float64Array(0);
