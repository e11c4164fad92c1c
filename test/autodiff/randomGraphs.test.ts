// Random graphs over all kinds of values: what a program computes must not depend on what is fused, stored or computed twice, so the
// same graph with every value stored gives the same bits.

import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { PointwiseOp } from "../../src/backend/program.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { Value } from "../../src/ops/value.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { type GraphInput, LANES, runProgram } from "../support/graphs.ts";
import { DEFAULT_SEED, randomSparse } from "../support/matrices.ts";

const N_GRAPHS = 60;
const SIZES = [5, 7] as const;
const MATRICES = [
  [randomSparse(5, 7, 0.4).csr, randomSparse(5, 5, 0.4).csr],
  [randomSparse(7, 7, 0.4).csr, randomSparse(7, 5, 0.4).csr],
].flat();

/** Bounded functions, so that nothing overflows however they are combined. */
const UNARY = ["tanh", "sigmoid", "abs", "neg", "relu", "sign"] as const satisfies readonly PointwiseOp[];
const BINARY = ["add", "sub", "mul", "min", "max", "lt"] as const satisfies readonly PointwiseOp[];

interface Sample {
  readonly graph: Graph;
  readonly inputs: Record<string, GraphInput>;
  readonly made: readonly Value[];
}

/** Always the same graph for a seed. */
function randomGraph(seed: number): Sample {
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "random graph"));
  const pick = <T>(list: readonly T[]): T => list[stream.below(list.length)]!;
  const graph = new Graph();
  const { ops } = graph;
  const inputs: Record<string, GraphInput> = {};
  const made: Value[] = [];
  const leaf = (name: string, kind: Value["kind"], rows: number) => {
    const length =
      (kind === "state" || kind === "row" ? rows : 1) * (kind === "state" || kind === "sample" ? LANES : 1);
    inputs[name] = Float64Array.from({ length }, () => stream.normal());
    made.push(graph.leaf(name, kind, rows));
  };
  for (const rows of SIZES) {
    leaf(`state ${rows}`, "state", rows);
    leaf(`row ${rows}`, "row", rows);
  }
  leaf("sample", "sample", 1);
  leaf("scalar", "scalar", 1);
  MATRICES.forEach((csr, m) => {
    inputs[`w${m}`] = csr;
  });
  inputs.index = Uint32Array.from({ length: SIZES[1] }, () => stream.below(SIZES[0]));
  inputs.offsets = Uint32Array.of(0, 2, 2, 5);
  inputs.members = Uint32Array.of(4, 1, 0, 3, 2);

  const fits = (a: Value, b: Value) => !(a.rows > 1 && b.rows > 1 && a.rows !== b.rows);
  const steps: readonly (() => Value | null)[] = [
    () => ops[pick(UNARY)](pick(made)),
    () => {
      const [a, b] = [pick(made), pick(made)];
      return fits(a, b) ? ops[pick(BINARY)](a, b) : null;
    },
    () => {
      const [a, b, c] = [pick(made), pick(made), pick(made)];
      return fits(a, b) && fits(a, c) && fits(b, c) ? ops.select(ops.lt(0, a), b, c) : null;
    },
    () => {
      const m = stream.below(MATRICES.length);
      const { nRows, nCols, nnz } = MATRICES[m]!;
      const x = pick(made);
      const matrix = graph.sparse(`w${m}`, nRows, nCols, nnz);
      if (x.kind !== "state") return null;
      if (x.rows === nCols) return ops.tanh(ops.matmul(matrix, x));
      return x.rows === nRows ? ops.tanh(ops.matmulT(matrix, x)) : null;
    },
    () => {
      const v = pick(made);
      return v.kind === "state" || v.kind === "row"
        ? ops.tanh(ops.reduceRows(v, pick(["sum", "max", "min"] as const)))
        : null;
    },
    () => {
      const v = pick(made);
      return v.kind === "state" || v.kind === "sample" ? ops.tanh(ops.reduceLanes(v)) : null;
    },
    () => {
      const v = pick(made);
      return v.kind === "row" && v.rows === SIZES[0] ? graph.gather(v, "index", SIZES[1]) : null;
    },
    () => {
      const v = pick(made);
      return v.kind === "row" && v.rows === SIZES[0]
        ? ops.mul(graph.segmentSum(v, "offsets", "members", 3), 0.5)
        : null;
    },
  ];
  for (let n = 0; n < 30; n++) {
    const v = pick(steps)();
    // Rows of other sizes would only stand alone.
    if (v !== null && (v.rows === 1 || SIZES.some((rows) => rows === v.rows))) made.push(v);
  }
  return { graph, inputs, made: made.filter((v) => v.op.type !== "leaf" && v.op.type !== "const") };
}

forEachBackend("random graphs", ["f64", "f32"], (test) => {
  test("fused or stored value by value, programs give the same bits", async ({ backend }) => {
    let compared = 0;
    let temporaries = 0;
    for (let k = 0; k < N_GRAPHS; k++) {
      const seed = DEFAULT_SEED + k;
      const few = randomGraph(seed);
      const chosen = few.made.filter((_, i) => i % 4 === 0 || i === few.made.length - 1);
      for (const v of chosen) few.graph.store(`out.${v.id}`, v);
      const all = randomGraph(seed);
      for (const v of all.made) all.graph.store(`out.${v.id}`, v);
      const program = lower(few.graph, `graph ${seed}`);
      temporaries += program.bindings.filter((b) => b.temp).length;
      const [fused, stored] = [
        await runProgram(backend, program, few.inputs),
        await runProgram(backend, lower(all.graph, `graph ${seed}, stored`), all.inputs),
      ];
      for (const v of new Set(chosen)) {
        const name = `out.${v.id}`;
        assert.ok(fused[name]!.every(Number.isFinite), `seed ${seed}, ${name}`);
        assertBitEqual(fused[name]!, stored[name]!, `seed ${seed}, ${name} (${v.op.type})`);
        compared++;
      }
    }
    assert.ok(compared > 4 * N_GRAPHS && temporaries > 2 * N_GRAPHS, `${compared} values, ${temporaries} temporaries`);
  });
});
