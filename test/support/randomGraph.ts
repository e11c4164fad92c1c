// Random graphs over all ops, kinds and nestings. The values stay moderate: what would grow beyond a limit is not used further.

import { Graph } from "../../src/autodiff/graph.ts";
import { isPerLane } from "../../src/backend/layout.ts";
import type { UnaryOp } from "../../src/backend/program.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { isPerRow, type Matrix, type Value } from "../../src/ops/value.ts";
import { GraphInterpreter, lengthOf } from "./graphInterpreter.ts";
import { type GraphInput, LANES } from "./graphs.ts";
import { randomSparse } from "./matrices.ts";
import { POINTWISE_TESTS, UNARY_OPS } from "./pointwise.ts";

/** A graph, data for its inputs, and what was made in it. */
export interface RandomGraph {
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, GraphInput>>;
  /** Inputs that have a gradient. */
  readonly wrt: readonly string[];
  readonly made: readonly Value[];
}

const SIZES = [5, 7] as const;
const DEPTH = 3;
const SEGMENTS = 3;
/** Steps that try to make a value. */
const STEPS = 60;
/** Values beyond this are not used further. */
const LIMIT = 8;
const SPARSE = SIZES.flatMap((rows) =>
  SIZES.map((cols) => ({ name: `w ${rows} ${cols}`, csr: randomSparse(rows, cols, 0.4).csr })),
);

/** Functions of any number, and of numbers between 0.5 and 2.5. */
const isOfPositive = (op: UnaryOp): boolean => POINTWISE_TESTS[op].domain?.[0] === "positive";
const ANYWHERE = UNARY_OPS.filter((op) => !isOfPositive(op));
const POSITIVE = UNARY_OPS.filter(isOfPositive);
const BINARY = ["add", "sub", "mul", "min", "max", "lt", "le"] as const;
const EXPONENTS = [-9, -3, -2, -1, 0, 1, 2, 3, 4, 5, 9] as const;
const KINDS = ["state", "row", "sample", "scalar"] as const;

/** Always the same graph for a seed. */
export function randomGraph(seed: number): RandomGraph {
  return new Builder(seed).build();
}

class Builder {
  readonly #graph = new Graph();
  readonly #stream: RandomStream;
  readonly #inputs: Record<string, GraphInput> = {};
  readonly #wrt: string[] = [];
  readonly #made: Value[] = [];
  readonly #interpreter: GraphInterpreter;
  readonly #matrices: readonly Matrix[];

  constructor(seed: number) {
    this.#stream = new RandomStream(deriveKey(keyOfSeed(seed), "random graph"));
    this.#interpreter = new GraphInterpreter(this.#inputs);
    for (const rows of SIZES) {
      this.#leaf(`state ${rows}`, "state", rows);
      this.#leaf(`row ${rows}`, "row", rows);
      this.#normals(`table ${rows}`, DEPTH * rows * LANES);
      this.#made.push(this.#graph.rowIndex(rows));
    }
    this.#leaf("sample", "sample", 1);
    this.#leaf("scalar", "scalar", 1);
    this.#matrices = [...this.#sparseMatrices(), ...this.#denseMatrices()];
    const [few, many] = SIZES;
    this.#inputs.index = Uint32Array.from({ length: many }, () => this.#stream.below(few));
    this.#inputs.offsets = Uint32Array.of(0, 2, 2, 5);
    this.#inputs.members = Uint32Array.of(4, 1, 0, 3, 2);
    this.#inputs.key = Uint32Array.of(seed, 7);
    this.#inputs.ids = Float64Array.of(3, 1, 4, 1);
    this.#inputs.entry = Float64Array.from({ length: LANES }, () => this.#stream.below(DEPTH));
  }

  build(): RandomGraph {
    for (let n = 0; n < STEPS; n++) this.#keep(this.#pick(this.#steps)());
    const made = this.#made.filter(({ op }) => op.type !== "leaf" && op.type !== "const" && op.type !== "rowIndex");
    const wrt = this.#wrt.filter((name) => this.#graph.inputs.has(name));
    return { graph: this.#graph, inputs: this.#inputs, wrt, made };
  }

  /** Each makes a value of what there is, or finds that what it drew does not fit. */
  readonly #steps: readonly (() => Value | null)[] = [
    () => this.#graph.ops[this.#pick(ANYWHERE)](this.#any()),
    () => this.#graph.ops[this.#pick(ANYWHERE)](this.#any()),
    () => this.#graph.ops[this.#pick(ANYWHERE)](this.#any()),
    () => this.#graph.ops[this.#pick(POSITIVE)](this.#positive(this.#any())),
    () => this.#pair((a, b) => this.#graph.ops[this.#pick(BINARY)](a, b)),
    () => this.#pair((a, b) => this.#graph.ops.add(a, b)),
    () => this.#pair((a, b) => this.#graph.ops.mul(a, b)),
    () => this.#pair((a, b) => this.#graph.ops.div(a, this.#positive(b))),
    () => this.#pair((a, b) => this.#graph.ops.eq(this.#graph.ops.floor(a), this.#graph.ops.floor(b))),
    () => this.#pair((a, b) => this.#graph.ops.pow(this.#positive(a), b)),
    () => this.#pair((a, b) => this.#graph.ops.pow(a, this.#graph.ops.floor(this.#positive(b)))),
    () => this.#power(this.#any(), this.#pick(EXPONENTS)),
    () => this.#select(),
    () => this.#product(),
    () => this.#product(),
    () => this.#reduction(["sum", "max", "min"]),
    () => this.#laneSum(),
    () => this.#lookup(),
    () => this.#graph.random("key", this.#pick(SIZES), this.#graph.sample("ids")),
    () => this.#broadcast(),
    () => this.#gather(),
    () => this.#gather(),
    () => this.#segmentSum(),
    () => this.#segmentSum(),
  ];

  #pick<T>(list: readonly T[]): T {
    return list[this.#stream.below(list.length)]!;
  }

  /** Later values more often: graphs grow deep. */
  #any(): Value {
    const recent = this.#made.slice(-8);
    return this.#stream.uniform() < 0.5 ? this.#pick(recent) : this.#pick(this.#made);
  }

  #row(): Value {
    return this.#pick(this.#made.filter(({ kind }) => kind === "row"));
  }

  #keep(v: Value | null): void {
    if (v === null || this.#made.includes(v)) return;
    if (this.#interpreter.valueOf(v).every((x) => Math.abs(x) <= LIMIT)) this.#made.push(v);
  }

  #normals(name: string, length: number): void {
    this.#inputs[name] = Float64Array.from({ length }, () => this.#stream.normal());
    this.#wrt.push(name);
  }

  #leaf(name: string, kind: Value["kind"], rows: number): void {
    this.#normals(name, lengthOf({ kind, rows }));
    this.#made.push(this.#graph.leaf(name, kind, rows));
  }

  #sparseMatrices(): Matrix[] {
    return SPARSE.map(({ name, csr }) => {
      this.#inputs[name] = csr;
      this.#wrt.push(name);
      return { name, form: "sparse", rows: csr.nRows, cols: csr.nCols, stored: csr.nnz };
    });
  }

  #denseMatrices(): Matrix[] {
    const [few, many] = SIZES;
    this.#normals("dense", few * many);
    return [{ name: "dense", form: "dense", rows: few, cols: many, stored: few * many }];
  }

  /** Between 0.5 and 2.5. */
  #positive(v: Value): Value {
    return this.#graph.ops.add(1.5, this.#graph.ops.tanh(v));
  }

  #power(a: Value, exponent: number): Value {
    return this.#graph.ops.pow(exponent < 0 ? this.#positive(a) : a, exponent);
  }

  #fit(...values: readonly Value[]): boolean {
    return new Set(values.filter(isPerRow).map(({ rows }) => rows)).size <= 1;
  }

  #pair(make: (a: Value, b: Value) => Value): Value | null {
    const [a, b] = [this.#any(), this.#any()];
    return this.#fit(a, b) ? make(a, b) : null;
  }

  #select(): Value | null {
    const { ops } = this.#graph;
    const [a, b, c] = [this.#any(), this.#any(), this.#any()];
    const other = this.#stream.uniform() < 0.3 ? b : c;
    return this.#fit(a, b, other) ? ops.select(ops.lt(0, a), b, other) : null;
  }

  #product(): Value | null {
    const { ops } = this.#graph;
    const matrix = this.#pick(this.#matrices);
    const x = this.#pick(this.#made.filter(({ kind }) => kind === "state"));
    if (x.rows === matrix.cols && this.#stream.uniform() < 0.6) return ops.matmul(matrix, x);
    return x.rows === matrix.rows ? ops.matmulT(matrix, x) : null;
  }

  #reduction(hows: readonly ("sum" | "max" | "min")[]): Value | null {
    const v = this.#any();
    return isPerRow(v) ? this.#graph.ops.reduceRows(v, this.#pick(hows)) : null;
  }

  #laneSum(): Value | null {
    const v = this.#any();
    return isPerLane(v) ? this.#graph.ops.reduceLanes(v) : null;
  }

  #lookup(): Value {
    const rows = this.#pick(SIZES);
    return this.#graph.ops.lookup(this.#graph.table(`table ${rows}`, rows, DEPTH), this.#graph.sample("entry"));
  }

  #broadcast(): Value | null {
    const v = this.#any();
    const kind = this.#pick(KINDS);
    const rows = isPerRow(v) ? v.rows : isPerRow({ kind }) ? this.#pick(SIZES) : 1;
    const fits = (isPerRow({ kind }) || !isPerRow(v)) && (isPerLane({ kind }) || !isPerLane(v));
    return fits ? this.#graph.ops.broadcast(v, { kind, rows }) : null;
  }

  /** By an index of as many entries as the larger size has rows: forth or back. */
  #gather(): Value | null {
    const v = this.#row();
    const [few, many] = SIZES;
    if (v.rows === few) return this.#graph.ops.gather(v, "index", many);
    return v.rows === many ? this.#graph.ops.gatherT(v, "index", few) : null;
  }

  #segmentSum(): Value | null {
    const { ops } = this.#graph;
    const v = this.#row();
    if (v.rows === SIZES[0]) return ops.segmentSum(v, "offsets", "members", SEGMENTS);
    return v.rows === SEGMENTS ? ops.gatherT(v, "members", SIZES[0], "offsets") : null;
  }
}
