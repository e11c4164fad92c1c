// The VJP of products, reductions and lookups, with the gradient of matrices at their stored entries only.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { type GradTarget, reverseGraph } from "../../src/autodiff/vjp.ts";
import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, cscOf, withValues } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { Value } from "../../src/ops/value.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { type GraphInput, LANES, runGraph } from "../support/graphs.ts";
import { DEFAULT_SEED, describe, randomSparse, sampleMatrices, toDense } from "../support/matrices.ts";

/** A graph whose inputs are named arrays; `matrix` is the sparse matrix whose values are the array "w", in CSR order. */
interface Problem {
  readonly matrix?: Csr;
  readonly lengths: Readonly<Record<string, number>>;
  readonly build: (g: Graph) => Value;
  readonly inputs?: Readonly<Record<string, GraphInput>>;
}

function normals(label: string, length: number): Float64Array {
  const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), label));
  return Float64Array.from({ length }, () => stream.normal());
}

/** Host arrays → what the programs bind: the values of a sparse matrix become the matrix. */
function bindingsOf({ matrix, inputs = {} }: Problem, point: Point): Record<string, GraphInput> {
  const { w, ...rest } = point;
  if (!matrix) return { ...inputs, ...point };
  return { ...inputs, ...rest, w: withValues(matrix, Float64Array.from(w!)) };
}

async function value(backend: Backend, problem: Problem, point: Point, ct: ArrayLike<number>): Promise<number> {
  const graph = new Graph();
  graph.store("y", problem.build(graph));
  const { y } = await runGraph(backend, graph, bindingsOf(problem, point));
  let sum = 0;
  for (let i = 0; i < ct.length; i++) sum += y![i]! * ct[i]!;
  return sum;
}

async function gradient(backend: Backend, problem: Problem, point: Point, ct: ArrayLike<number>): Promise<Point> {
  const names = Object.keys(problem.lengths);
  const wrt = new Map(names.map((n): [string, GradTarget] => [n, { binding: `grad.${n}`, accumulate: n === "w" }]));
  const forward = new Graph();
  const y = problem.build(forward);
  const { graph: reverse, saves } = reverseGraph(forward, new Map([[y, "ct"]]), wrt);
  for (const [name, v] of saves) forward.store(name, v);
  const bindings = bindingsOf(problem, point);
  const saved = saves.size > 0 ? await runGraph(backend, forward, bindings) : {};
  const results = await runGraph(backend, reverse, { ...bindings, ...saved, ct });
  const perm = problem.matrix && cscOf(problem.matrix).cscOfCsr;
  return Object.fromEntries(
    names.map((name) => {
      const g = results[`grad.${name}`]!;
      return [name, name === "w" && perm ? Float64Array.from(perm, (at) => g[at]!) : g];
    }),
  );
}

async function check(backend: Backend, label: string, problem: Problem, outputLength: number): Promise<void> {
  const point = Object.fromEntries(
    Object.entries(problem.lengths).map(([n, length]) => [n, normals(`${label} ${n}`, length)]),
  );
  const ct = normals(`${label} ct`, outputLength);
  const g = await gradient(backend, problem, point, ct);
  await assertGradient(label, (p) => value(backend, problem, p, ct), point, g);
}

forEachBackend("vjp of contractions", ["f64"], (test) => {
  const csr = randomSparse(7, 5, 0.4).csr;
  const { nRows, nCols, nnz } = csr;

  test("a sparse product: state and stored values", ({ backend }) => {
    const build = (g: Graph) => g.ops.matmul(g.sparse("w", nRows, nCols, nnz), g.ops.tanh(g.state("x", nCols)));
    return check(
      backend,
      "matmul sparse",
      { matrix: csr, lengths: { w: nnz, x: nCols * LANES }, build },
      nRows * LANES,
    );
  });

  test("two sparse products with one matrix add up their gradients of it", ({ backend }) => {
    const { csr: square } = randomSparse(6, 6, 0.4);
    const build = (g: Graph) => {
      const w = g.sparse("w", 6, 6, square.nnz);
      return g.ops.matmul(w, g.ops.sigmoid(g.ops.matmul(w, g.state("x", 6))));
    };
    return check(
      backend,
      "matmul twice",
      { matrix: square, lengths: { w: square.nnz, x: 6 * LANES }, build },
      6 * LANES,
    );
  });

  test("a dense product: state and all entries", ({ backend }) => {
    const build = (g: Graph) => g.ops.matmul(g.dense("w", 3, 5), g.ops.tanh(g.state("x", 5)));
    return check(backend, "matmul dense", { lengths: { w: 15, x: 5 * LANES }, build }, 3 * LANES);
  });

  test("a transposed product", ({ backend }) => {
    const build = (g: Graph) => g.ops.matmulT(g.sparse("w", nRows, nCols, nnz), g.ops.tanh(g.state("x", nRows)));
    const inputs = { w: csr };
    return check(backend, "matmulT", { lengths: { x: nRows * LANES }, build, inputs }, nCols * LANES);
  });

  test("a sum over rows, broadcast back", ({ backend }) => {
    const build = (g: Graph) => {
      const x = g.state("x", 6);
      return g.ops.div(x, g.ops.add(3, g.ops.reduceRows(g.ops.mul(x, x))));
    };
    return check(backend, "reduceRows", { lengths: { x: 6 * LANES }, build }, 6 * LANES);
  });

  test("a sum over lanes", ({ backend }) => {
    const build = (g: Graph) => g.ops.tanh(g.ops.reduceLanes(g.ops.mul(g.state("x", 6), g.row("a", 6))));
    return check(backend, "reduceLanes", { lengths: { x: 6 * LANES, a: 6 }, build }, 6);
  });

  test("a lookup scatters its cotangent to the entry each lane took", async ({ backend }) => {
    const [rows, depth] = [5, 3];
    const build = (g: Graph) => {
      return g.ops.mul(g.ops.lookup(g.table("x", rows, depth), g.sample("index")), g.state("a", rows));
    };
    const graph = new Graph();
    const y = build(graph);
    const wrt = new Map([["x", { binding: "grad.x", accumulate: true }]]);
    const { graph: reverse } = reverseGraph(graph, new Map([[y, "ct"]]), wrt);
    const a = normals("lookup a", rows * LANES);
    const ct = normals("lookup ct", rows * LANES);
    const index = [2, 0, 2, 1];
    const { "grad.x": g } = await runGraph(backend, reverse, { a, ct, index });
    const expected = new Float64Array(depth * rows * LANES);
    for (let i = 0; i < rows * LANES; i++) expected[index[i % LANES]! * rows * LANES + i] = a[i]! * ct[i]!;
    assertBitEqual(g!, expected, "gradient of the table");
  });

  test("the gradient of every kind of sparse matrix is (G·Xᵀ) at its stored entries", async ({ backend }) => {
    for (const sample of sampleMatrices()) {
      const { csr: m } = sample;
      const build = (g: Graph) => g.ops.matmul(g.sparse("w", m.nRows, m.nCols, m.nnz), g.state("x", m.nCols));
      if (m.nnz === 0) continue;
      const problem: Problem = { matrix: m, lengths: { w: m.nnz, x: m.nCols * LANES }, build };
      const x = normals("sddmm x", m.nCols * LANES);
      const ct = normals("sddmm ct", m.nRows * LANES);
      const g = await gradient(backend, problem, { w: m.values, x }, ct);
      const expected = new Float64Array(m.nnz);
      const bounds = new Float64Array(m.nnz);
      for (let row = 0; row < m.nRows; row++) {
        for (let k = m.rowPtr[row]!; k < m.rowPtr[row + 1]!; k++) {
          for (let lane = 0; lane < LANES; lane++) {
            const term = ct[row * LANES + lane]! * x[m.colIdx[k]! * LANES + lane]!;
            expected[k]! += term;
            // Two roundings per term, one per sum, of which both sides have some.
            bounds[k]! += 2 * LANES * 2 ** -52 * Math.abs(term);
          }
        }
      }
      assertClose(g.w!, expected, bounds, describe(sample));
    }
  });

  test("a product agrees with the dense one for a matrix with empty rows and columns", async ({ backend }) => {
    const sample = randomSparse(9, 8, 0.15);
    const dense = toDense(sample.csr);
    const x = normals("dense x", 8 * LANES);
    const graph = new Graph();
    graph.store("y", graph.ops.matmul(graph.sparse("w", 9, 8, sample.csr.nnz), graph.state("x", 8)));
    const { y } = await runGraph(backend, graph, { w: sample.csr, x });
    const expected = Float64Array.from({ length: 9 * LANES }, (_, i) => {
      let sum = 0;
      for (let col = 0; col < 8; col++) sum += dense[Math.floor(i / LANES) * 8 + col]! * x[col * LANES + (i % LANES)]!;
      return sum;
    });
    assertClose(y!, expected, 1e-14, describe(sample));
  });
});

const misuse = suite("misuse of graphs");

misuse("shapes that do not fit are refused as the graph grows", () => {
  const g = new Graph();
  const w = g.sparse("w", 4, 3, 5);
  assert.throws(
    () => g.ops.matmul(w, g.state("x", 4)),
    (e: unknown) => e instanceof ShapeError,
  );
  assert.throws(
    () => g.ops.matmulT(w, g.state("y", 3)),
    (e: unknown) => e instanceof ShapeError,
  );
  assert.throws(
    () => g.ops.add(g.state("a", 3), g.row("b", 4)),
    (e: unknown) => e instanceof ShapeError,
  );
  assert.throws(
    () => g.state("a", 5),
    (e: unknown) => e instanceof ShapeError,
  );
  assert.throws(
    () => g.ops.lookup(g.table("t", 3, 2), g.state("a", 3)),
    (e: unknown) => e instanceof ShapeError,
  );
});

misuse("values of another graph are refused", () => {
  const [g, other] = [new Graph(), new Graph()];
  other.sample("first");
  const foreign = other.state("x", 3);
  assert.throws(
    () => g.ops.neg(foreign),
    (e: unknown) => e instanceof ArgumentError,
  );
});

misuse("equal expressions are one value, and constants are folded", () => {
  const g = new Graph();
  const x = g.state("x", 3);
  assert.is(g.ops.tanh(g.ops.mul(2, x)), g.ops.tanh(g.ops.mul(2, x)));
  assert.is(g.ops.mul(1, x), x);
  assert.is(g.ops.add(g.ops.sub(2, 2), x), x);
  assert.is(g.ops.neg(g.ops.neg(x)), x);
  assert.is(g.ops.select(g.ops.constant(1), x, 7), x);
});

misuse.run();
