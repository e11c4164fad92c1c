// Evaluates the values of a graph in double precision, one array per value: nothing of lowering, programs or devices, so it says what a
// graph means. It also tells where the function is not smooth: the outcomes of all comparisons, and how near any of them was to another.

import { isPerLane } from "../../src/backend/layout.ts";
import type { PointwiseOp } from "../../src/backend/program.ts";
import { uniformAt } from "../../src/core/random.ts";
import { isPerRow, type Matrix, type Value } from "../../src/ops/value.ts";
import { type GraphInput, LANES } from "./graphs.ts";
import { POINTWISE_TESTS } from "./pointwise.ts";

/** Calls `visit` for every stored entry. */
type Entries = (visit: (row: number, col: number, weight: number) => void) => void;

export class GraphInterpreter {
  readonly #inputs: Readonly<Record<string, GraphInput>>;
  readonly #known = new Map<number, Float64Array>();
  #outcomes = 0;
  #margin = Number.POSITIVE_INFINITY;

  constructor(inputs: Readonly<Record<string, GraphInput>>) {
    this.#inputs = inputs;
  }

  /** A number for the outcomes of all comparisons so far: where two points have the same, the function between them is smooth. */
  get outcomes(): number {
    return this.#outcomes;
  }

  /** The smallest distance of any comparison so far from having another outcome. What is equal to the bit has no distance. */
  get margin(): number {
    return this.#margin;
  }

  /** The numbers of `v`, [rows][lanes] without what its kind lacks. */
  valueOf(v: Value): Float64Array {
    const known = this.#known.get(v.id);
    if (known) return known;
    const made = this.#evaluate(v);
    this.#known.set(v.id, made);
    return made;
  }

  #evaluate(v: Value): Float64Array {
    const { op } = v;
    switch (op.type) {
      case "leaf":
        return Float64Array.from(this.#inputs[op.name] as ArrayLike<number>);
      case "const":
        return Float64Array.of(op.value);
      case "rowIndex":
        return tabulate(v, (row) => row);
      case "broadcast": {
        const a = this.#reader(v.args[0]!);
        return tabulate(v, a);
      }
      case "random": {
        const [k0, k1] = this.#indices(op.key);
        const id = this.#reader(v.args[0]!);
        return tabulate(v, (row, lane) => uniformAt([k0!, k1!], row, id(row, lane)));
      }
      case "lookup": {
        const table = this.#inputs[op.table.name] as ArrayLike<number>;
        const index = this.#reader(v.args[0]!);
        return tabulate(v, (row, lane) => table[(index(row, lane) * v.rows + row) * LANES + lane]!);
      }
      case "gather": {
        const index = this.#indices(op.index);
        const source = this.valueOf(v.args[0]!);
        return tabulate(v, (row) => source[index[row]!]!);
      }
      case "segmentSum":
        return this.#segments(v, op.members, op.offsets, (sums, source, member, j) => {
          sums[j]! += source[member]!;
        });
      case "gatherT":
        return this.#segments(v, op.index, op.offsets, (sums, source, member, j) => {
          sums[member]! += source[j]!;
        });
      case "matmul":
        return this.#product(v, op.matrix, false);
      case "matmulT":
        return this.#product(v, op.matrix, true);
      case "reduceRows":
        return op.how === "sum" ? this.#sum(v) : this.#extremum(v, op.how);
      case "reduceLanes":
        return this.#sum(v);
      case "pointwise":
        return this.#pointwise(v, op.fn);
    }
  }

  #pointwise(v: Value, fn: PointwiseOp): Float64Array {
    const [a, b, c] = v.args.map((arg) => this.#reader(arg));
    return tabulate(v, (row, lane) => {
      const [x, y, z] = [a!(row, lane), b?.(row, lane) ?? 0, c?.(row, lane) ?? 0];
      if (fn === "abs" || fn === "sign" || fn === "relu") this.#decide(Math.sign(x), Math.abs(x));
      if (fn === "floor") this.#decide(Math.floor(x), Math.abs(x - Math.round(x)));
      if (["lt", "le", "eq", "min", "max"].includes(fn)) this.#decide(Math.sign(x - y), Math.abs(x - y));
      return POINTWISE_TESTS[fn].f(x, y, z);
    });
  }

  #decide(outcome: number, distance: number): void {
    this.#outcomes = (Math.imul(this.#outcomes, 16777619) ^ (outcome + 1000)) >>> 0;
    if (distance > 0) this.#margin = Math.min(this.#margin, distance);
  }

  #sum(v: Value): Float64Array {
    const source = v.args[0]!;
    const sums = new Float64Array(lengthOf(v));
    const values = this.#reader(source);
    forEach(source, (row, lane) => {
      sums[offset(v, row, lane)]! += values(row, lane);
    });
    return sums;
  }

  #extremum(v: Value, how: "max" | "min"): Float64Array {
    const source = v.args[0]!;
    const values = this.#reader(source);
    const best = new Float64Array(lengthOf(v)).fill(how === "max" ? -Infinity : Infinity);
    forEach(source, (row, lane) => {
      const at = offset(v, row, lane);
      best[at] = POINTWISE_TESTS[how].f(best[at]!, values(row, lane));
    });
    forEach(source, (row, lane) => {
      const distance = Math.abs(values(row, lane) - best[offset(v, row, lane)]!);
      this.#decide(distance === 0 ? 1 : 0, distance);
    });
    return best;
  }

  /** Calls `add` for every entry of every segment: the sums, the source, what the entry names, the segment's number. */
  #segments(
    v: Value,
    index: string,
    offsets: string | null,
    add: (sums: Float64Array, source: Float64Array, member: number, j: number) => void,
  ): Float64Array {
    const source = this.valueOf(v.args[0]!);
    const members = this.#indices(index);
    const starts =
      offsets === null ? Uint32Array.from({ length: members.length + 1 }, (_, j) => j) : this.#indices(offsets);
    const sums = new Float64Array(v.rows);
    for (let j = 0; j < starts.length - 1; j++) {
      for (let k = starts[j]!; k < starts[j + 1]!; k++) add(sums, source, members[k]!, j);
    }
    return sums;
  }

  #product(v: Value, matrix: Matrix, transposed: boolean): Float64Array {
    const x = this.valueOf(v.args[0]!);
    const y = new Float64Array(lengthOf(v));
    this.#entriesOf(matrix)((row, col, weight) => {
      const [to, from] = transposed ? [col, row] : [row, col];
      for (let lane = 0; lane < LANES; lane++) y[to * LANES + lane]! += weight * x[from * LANES + lane]!;
    });
    return y;
  }

  #entriesOf({ name, cols }: Matrix): Entries {
    const input = this.#inputs[name]!;
    if ("rowPtr" in input) {
      return (visit) => {
        for (let row = 0; row < input.nRows; row++)
          for (let k = input.rowPtr[row]!; k < input.rowPtr[row + 1]!; k++)
            visit(row, input.colIdx[k]!, input.values[k]!);
      };
    }
    return (visit) => {
      for (let k = 0; k < input.length; k++) visit(Math.floor(k / cols), k % cols, input[k]!);
    };
  }

  #indices(name: string): Uint32Array {
    return this.#inputs[name] as Uint32Array;
  }

  #reader(v: Value): (row: number, lane: number) => number {
    const values = this.valueOf(v);
    return (row, lane) => values[offset(v, row, lane)]!;
  }
}

/** Numbers of a value in one run. */
export function lengthOf(v: Pick<Value, "kind" | "rows">): number {
  return (isPerRow(v) ? v.rows : 1) * (isPerLane(v) ? LANES : 1);
}

function offset(v: Value, row: number, lane: number): number {
  return (isPerRow(v) ? row : 0) * (isPerLane(v) ? LANES : 1) + (isPerLane(v) ? lane : 0);
}

function forEach(v: Value, visit: (row: number, lane: number) => void): void {
  const [rows, lanes] = [isPerRow(v) ? v.rows : 1, isPerLane(v) ? LANES : 1];
  for (let row = 0; row < rows; row++) for (let lane = 0; lane < lanes; lane++) visit(row, lane);
}

function tabulate(v: Value, f: (row: number, lane: number) => number): Float64Array {
  const made = new Float64Array(lengthOf(v));
  forEach(v, (row, lane) => {
    made[offset(v, row, lane)] = f(row, lane);
  });
  return made;
}
