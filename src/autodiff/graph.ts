// A computation graph under construction: values are hash-consed (equal expressions are one value), constants are folded,
// shapes are checked as the graph grows. A graph says what is to be stored where; `lower` turns it into a program.

import { isPerLane } from "../backend/layout.ts";
import { POINTWISE_CODE, POINTWISE_OPS } from "../backend/pointwise.ts";
import type { BindingKind, Kind, PointwiseOp } from "../backend/program.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { isPerRow, type Matrix, type Op, type Shape, type Table, type Value } from "../ops/value.ts";
import type { Operand, Ops } from "../ops/vocabulary.ts";
import { isZero, simplify } from "./simplify.ts";

/** What an input of a graph is bound to. */
export interface GraphInput {
  readonly kind: BindingKind;
  /** For messages, with its size. */
  readonly what: string;
}

/** What a program does besides computing: write a named binding. */
export type Effect =
  /** `kind` and `rows` are the binding's; a narrower value is broadcast to it. */
  | {
      readonly type: "store";
      readonly name: string;
      readonly value: Value;
      readonly kind: Kind;
      readonly rows: number;
      readonly accumulate: boolean;
    }
  | {
      readonly type: "scatter";
      readonly grad: string;
      readonly table: Table;
      readonly index: Value;
      readonly value: Value;
    }
  /** A matmulT that is wanted for the matrix gradient it accumulates. */
  | { readonly type: "matrixGrad"; readonly value: Value };

/** The pointwise methods of Ops. */
function pointwiseMethods(make: (fn: PointwiseOp, args: readonly Operand[]) => Value): Pick<Ops, PointwiseOp> {
  const methods: Partial<Record<PointwiseOp, (...operands: Operand[]) => Value>> = {};
  for (const fn of POINTWISE_OPS) {
    const { arity } = POINTWISE_CODE[fn];
    methods[fn] = (...operands) => {
      if (operands.length < arity) throw new ArgumentError(fn, "operands", `${arity}`, `${operands.length}`);
      return make(fn, operands.slice(0, arity));
    };
  }
  return methods as Pick<Ops, PointwiseOp>;
}

/**
 * The graph as users and models see it: leaves by name, and every op as a method.
 *
 * A leaf is bound to a buffer when the program runs: `state` and `sample` values change from run to run, `row` and matrices
 * are usually parameters. Asking twice for one name gives the same value.
 */
export class Graph {
  readonly values: Value[] = [];
  readonly effects: Effect[] = [];
  readonly matrices: Map<string, Matrix> = new Map();
  readonly tables: Map<string, Table> = new Map();
  /** Values through which nothing flows back; see `detach`. */
  readonly detached: Set<Value> = new Set();
  readonly ops: Ops;
  readonly #interned = new Map<string, Value>();
  /** What each name is bound to: one thing only. */
  readonly #bound = new Map<string, GraphInput>();

  constructor() {
    this.ops = {
      ...pointwiseMethods((fn, args) => this.#pointwise(fn, args)),
      constant: (value) => this.#constant(value),
      matmul: (matrix, x) => this.#matmul(matrix, x),
      matmulT: (matrix, g, grad) => this.#matmulT(matrix, g, grad),
      reduceRows: (v, how = "sum") => this.#reduceRows(v, how),
      reduceLanes: (v) => this.#reduceLanes(v),
      lookup: (table, index) => this.#lookup(table, index),
      broadcast: (v, as) => this.#broadcast(this.#value(v), as),
      gather: (source, index, rows) => this.#gather(source, index, rows),
      segmentSum: (source, offsets, members, segments) => this.#segmentSum(source, offsets, members, segments),
      gatherT: (source, index, rows, offsets = null) => this.#gatherT(source, index, rows, offsets),
    };
  }

  // ---- leaves ----------------------------------------------------------------------------------------------------------

  /** A named input of the given kind; `rows` is 1 for samples and scalars. */
  leaf(name: string, kind: Kind, rows = 1): Value {
    this.#claim("leaf", name, kind, `${kind} of ${rows} rows`);
    return this.#intern(`leaf ${name}`, { type: "leaf", name }, [], kind, rows);
  }

  /** One number per neuron and sample. */
  state(name: string, rows: number): Value {
    return this.leaf(name, "state", rows);
  }

  /** One number per neuron (bias, tau). */
  row(name: string, rows: number): Value {
    return this.leaf(name, "row", rows);
  }

  /** One number per sample. */
  sample(name: string): Value {
    return this.leaf(name, "sample");
  }

  /** One number. */
  scalar(name: string): Value {
    return this.leaf(name, "scalar");
  }

  /** A sparse matrix by name; shape [rows, cols], row = target, column = source. */
  sparse(name: string, rows: number, cols: number, nnz: number): Matrix {
    return this.#matrix({ name, form: "sparse", rows, cols, stored: nnz });
  }

  /** A dense row-major [rows, cols] matrix by name. */
  dense(name: string, rows: number, cols: number): Matrix {
    return this.#matrix({ name, form: "dense", rows, cols, stored: rows * cols });
  }

  #matrix(matrix: Matrix): Matrix {
    const { name, form, rows, cols, stored } = matrix;
    this.#claim("matrix", name, form, `${form} [${rows}, ${cols}] with ${stored} entries`);
    const known = this.matrices.get(name) ?? matrix;
    this.matrices.set(name, known);
    return known;
  }

  /** `depth` states of `rows` rows behind one another. */
  table(name: string, rows: number, depth: number): Table {
    this.#claim("table", name, "table", `table [${depth}, ${rows}]`);
    const known = this.tables.get(name) ?? { name, rows, depth };
    this.tables.set(name, known);
    return known;
  }

  /** The row number, 0 … rows − 1. */
  rowIndex(rows: number): Value {
    return this.#intern(`rowIndex ${rows}`, { type: "rowIndex" }, [], "row", rows);
  }

  /**
   * Uniform in [0, 1) for every row and sample: a pure function of the key (two u32, bound), the row and the sample's id. Not
   * differentiated: ids are whole numbers.
   */
  random(key: string, rows: number, sampleId: Value): Value {
    if (isPerRow(sampleId)) throw new ShapeError("random", "sampleId", "a sample or scalar value", sampleId.kind);
    this.#claim("random", key, "key", "key");
    return this.#intern(`random ${key} ${rows} ${sampleId.id}`, { type: "random", key }, [sampleId], "state", rows);
  }

  /** `ops.gather`: source[index[row]] for each of `rows` rows. */
  gather(source: Value, index: string, rows: number): Value {
    return this.ops.gather(source, index, rows);
  }

  /** `ops.segmentSum`: sums of segments of a row vector. */
  segmentSum(source: Value, offsets: string, members: string, segments: number): Value {
    return this.ops.segmentSum(source, offsets, members, segments);
  }

  /** `v` as a constant of reverse mode: nothing flows back through it (torch's detach). */
  detach(v: Value): Value {
    const { kind, rows } = this.#value(v);
    const constant = this.#intern(`detach ${v.id}`, { type: "broadcast" }, [v], kind, rows);
    this.detached.add(constant);
    return constant;
  }

  /** What each input is bound to: a leaf, matrix or table, or an index or key of whole numbers. */
  get inputs(): ReadonlyMap<string, GraphInput> {
    return this.#bound;
  }

  /** A name means one binding: what is asked for twice must be the same. */
  #claim(where: string, name: string, kind: BindingKind, what: string): void {
    const known = this.#bound.get(name) ?? { kind, what };
    if (known.what !== what) throw new ShapeError(where, name, `${known.what}, as before`, what);
    this.#bound.set(name, known);
  }

  #index(where: string, name: string, length: number): void {
    this.#claim(where, name, "index", `index of ${length} numbers`);
  }

  // ---- effects ---------------------------------------------------------------------------------------------------------

  /**
   * Writes (or adds) `value` to the binding `name` when the program runs; `as` widens it by broadcasting. `name` may be that of a
   * leaf, which is then updated in place: each number is written after it was read (what a contraction gathers must not be).
   */
  store(name: string, value: Operand, options: { accumulate?: boolean; as?: { kind: Kind; rows: number } } = {}): void {
    const stored = this.#value(value);
    const { kind, rows } = options.as ?? stored;
    if (stored.op.type === "leaf" && stored.op.name === name)
      throw new ArgumentError("store", name, "a new name", "an input's");
    this.effects.push({ type: "store", name, value: stored, kind, rows, accumulate: options.accumulate ?? false });
  }

  /** Adds `value` to state number `index[lane]` of the table bound as `grad`. */
  scatter(grad: string, table: Table, index: Value, value: Value): void {
    this.effects.push({ type: "scatter", grad, table, index, value });
  }

  // ---- building --------------------------------------------------------------------------------------------------------

  #intern(key: string, op: Op, args: readonly Value[], kind: Kind, rows: number): Value {
    const known = this.#interned.get(key);
    if (known) return known;
    for (const a of args) this.#value(a);
    const value: Value = { id: this.values.length, op, args, kind, rows };
    this.values.push(value);
    this.#interned.set(key, value);
    return value;
  }

  #constant(value: number): Value {
    return this.#intern(`const ${Object.is(value, -0) ? "-0" : value}`, { type: "const", value }, [], "scalar", 1);
  }

  #value(a: Operand): Value {
    if (typeof a === "number") return this.#constant(a);
    if (this.values[a.id] !== a)
      throw new ArgumentError("graph", "operand", "a value of this graph", "one of another graph");
    return a;
  }

  #pointwise(fn: PointwiseOp, operands: readonly Operand[]): Value {
    const args = operands.map((a) => this.#value(a));
    const { kind, rows } = broadcast(fn, args);
    const simpler = simplify(this.ops, fn, args);
    if (simpler !== null) return this.#broadcast(this.#value(simpler), { kind, rows });
    return this.#intern(`${fn} ${args.map((a) => a.id).join(" ")}`, { type: "pointwise", fn }, args, kind, rows);
  }

  #matmul(matrix: Matrix, x: Value): Value {
    if (x.kind !== "state" || x.rows !== matrix.cols) {
      throw new ShapeError(
        "matmul",
        "x",
        `a state of ${matrix.cols} rows, the columns of ${matrix.name}`,
        `${x.kind} of ${x.rows}`,
      );
    }
    this.#matrix(matrix);
    if (isZero(x)) return this.#zeros(matrix.rows);
    return this.#intern(`matmul ${matrix.name} ${x.id}`, { type: "matmul", matrix }, [x], "state", matrix.rows);
  }

  #matmulT(matrix: Matrix, g: Value, grad?: { readonly x: Value; readonly binding: string }): Value {
    if (g.kind !== "state" || g.rows !== matrix.rows) {
      throw new ShapeError(
        "matmulT",
        "g",
        `a state of ${matrix.rows} rows, the rows of ${matrix.name}`,
        `${g.kind} of ${g.rows}`,
      );
    }
    this.#matrix(matrix);
    if (isZero(g)) return this.#zeros(matrix.cols);
    if (!grad || isZero(grad.x)) {
      return this.#intern(
        `matmulT ${matrix.name} ${g.id}`,
        { type: "matmulT", matrix, grad: null },
        [g],
        "state",
        matrix.cols,
      );
    }
    const { x, binding } = grad;
    if (x.kind !== "state" || x.rows !== matrix.cols) {
      const columns = `a state of ${matrix.cols} rows, the columns of ${matrix.name}`;
      throw new ShapeError("matmulT", "grad.x", columns, `${x.kind} of ${x.rows}`);
    }
    // Never an earlier value: two equal contributions to a gradient count twice.
    const key = `matmulT ${this.values.length}`;
    const value = this.#intern(key, { type: "matmulT", matrix, grad: binding }, [g, x], "state", matrix.cols);
    this.effects.push({ type: "matrixGrad", value });
    return value;
  }

  /** A state of zeros. It is no constant, so that sums with it round −0 to 0 like any other. */
  #zeros(rows: number): Value {
    return this.#broadcast(this.#constant(0), { kind: "state", rows });
  }

  #reduceRows(v: Value, how: "sum" | "max" | "min"): Value {
    if (v.kind === "sample" || v.kind === "scalar")
      throw new ShapeError("reduceRows", "v", "a state or row value", v.kind);
    const kind = v.kind === "state" ? "sample" : "scalar";
    return this.#intern(`reduceRows ${how} ${v.id}`, { type: "reduceRows", how }, [v], kind, 1);
  }

  #reduceLanes(v: Value): Value {
    if (v.kind === "row" || v.kind === "scalar")
      throw new ShapeError("reduceLanes", "v", "a state or sample value", v.kind);
    return this.#intern(
      `reduceLanes ${v.id}`,
      { type: "reduceLanes" },
      [v],
      v.kind === "state" ? "row" : "scalar",
      v.rows,
    );
  }

  #lookup(table: Table, index: Value): Value {
    if (index.kind !== "sample") throw new ShapeError("lookup", "index", "a sample value", index.kind);
    this.table(table.name, table.rows, table.depth);
    return this.#intern(`lookup ${table.name} ${index.id}`, { type: "lookup", table }, [index], "state", table.rows);
  }

  #broadcast(v: Value, { kind, rows }: Shape): Value {
    const as = { kind, rows };
    const lacks = (isPerRow(v) && !(isPerRow(as) && v.rows === rows)) || (isPerLane(v) && !isPerLane(as));
    if (lacks)
      throw new ShapeError("broadcast", "v", `what fits a ${kind} of ${rows} rows`, `${v.kind} of ${v.rows} rows`);
    return v.kind === kind ? v : this.#copy(v, as);
  }

  /** A value of its own that is `v`, or `v` broadcast. */
  #copy(v: Value, { kind, rows }: Shape): Value {
    return this.#intern(`broadcast ${v.id} ${kind} ${rows}`, { type: "broadcast" }, [v], kind, rows);
  }

  #gather(source: Value, index: string, rows: number): Value {
    const from = this.#vector("gather", source);
    this.#index("gather", index, rows);
    return this.#intern(`gather ${from.id} ${index}`, { type: "gather", index }, [from], "row", rows);
  }

  #segmentSum(source: Value, offsets: string, members: string, segments: number): Value {
    const from = this.#vector("segmentSum", source);
    this.#index("segmentSum", offsets, segments + 1);
    this.#index("segmentSum", members, source.rows);
    const op: Op = { type: "segmentSum", offsets, members };
    return this.#intern(`segmentSum ${from.id} ${offsets} ${members}`, op, [from], "row", segments);
  }

  #gatherT(source: Value, index: string, rows: number, offsets: string | null): Value {
    const from = this.#vector("gatherT", source);
    if (offsets !== null) this.#index("gatherT", offsets, source.rows + 1);
    this.#index("gatherT", index, offsets === null ? source.rows : rows);
    const op: Op = { type: "gatherT", index, offsets };
    return this.#intern(`gatherT ${from.id} ${index} ${rows} ${offsets}`, op, [from], "row", rows);
  }

  /** A row vector that can lie in memory, to be read at any row. */
  #vector(where: string, source: Value): Value {
    if (source.kind !== "row") throw new ShapeError(where, "source", "a row value", source.kind);
    return source.op.type === "rowIndex" ? this.#copy(source, source) : source;
  }
}

/** Kind and rows of a pointwise result. */
function broadcast(fn: string, args: readonly Value[]): { kind: Kind; rows: number } {
  let rows = 1;
  let perRow = false;
  let perLane = false;
  for (const a of args) {
    if (isPerRow(a)) {
      if (perRow && a.rows !== rows) throw new ShapeError(fn, "operands", `${rows} rows`, `${a.rows}`);
      perRow = true;
      rows = a.rows;
    }
    perLane ||= isPerLane(a);
  }
  return { kind: perRow ? (perLane ? "state" : "row") : perLane ? "sample" : "scalar", rows };
}
