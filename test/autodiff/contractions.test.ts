// The VJP of products, reductions and lookups, with the gradient of matrices at their stored entries only.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { checkWrt, type GradTarget, reverseGraph } from "../../src/autodiff/vjp.ts";
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

  test("a transposed sparse product: state and stored values", ({ backend }) => {
    const build = (g: Graph) => g.ops.matmulT(g.sparse("w", nRows, nCols, nnz), g.ops.tanh(g.state("x", nRows)));
    const lengths = { w: nnz, x: nRows * LANES };
    return check(backend, "matmulT", { matrix: csr, lengths, build }, nCols * LANES);
  });

  test("a transposed dense product: state and all entries", ({ backend }) => {
    const build = (g: Graph) => g.ops.matmulT(g.dense("w", 5, 3), g.ops.tanh(g.state("x", 5)));
    return check(backend, "matmulT dense", { lengths: { w: 15, x: 5 * LANES }, build }, 3 * LANES);
  });

  test("⟨z, W·x⟩ + ⟨x, Wᵀ·z⟩: the same gradient of W twice counts twice", ({ backend }) => {
    const build = (g: Graph) => {
      const w = g.sparse("w", nRows, nCols, nnz);
      const [x, z] = [g.state("x", nCols), g.state("z", nRows)];
      const product = g.ops.reduceRows(g.ops.mul(z, g.ops.matmul(w, x)));
      return g.ops.add(product, g.ops.reduceRows(g.ops.mul(x, g.ops.matmulT(w, z))));
    };
    const lengths = { w: nnz, x: nCols * LANES, z: nRows * LANES };
    return check(backend, "twice", { matrix: csr, lengths, build }, LANES);
  });

  for (const form of ["sparse", "dense"] as const) {
    for (const transposed of [false, true]) {
      test(`a sum over the rows of a ${transposed ? "transposed " : ""}${form} product`, ({ backend }) => {
        const build = (g: Graph) => {
          const w = form === "sparse" ? g.sparse("w", nRows, nCols, nnz) : g.dense("w", nRows, nCols);
          const x = g.state("x", transposed ? nRows : nCols);
          return g.ops.reduceRows(transposed ? g.ops.matmulT(w, x) : g.ops.matmul(w, x));
        };
        const lengths = { w: form === "sparse" ? nnz : nRows * nCols, x: (transposed ? nRows : nCols) * LANES };
        const problem: Problem = form === "sparse" ? { matrix: csr, lengths, build } : { lengths, build };
        return check(backend, `sum of ${form} ${transposed}`, problem, LANES);
      });
    }
  }

  test("a sum over the lanes of a product", ({ backend }) => {
    const build = (g: Graph) => g.ops.reduceLanes(g.ops.matmul(g.sparse("w", nRows, nCols, nnz), g.state("x", nCols)));
    return check(backend, "lanes", { matrix: csr, lengths: { w: nnz, x: nCols * LANES }, build }, nRows);
  });

  test("a sum over the lanes of what has none", ({ backend }) => {
    const build = (g: Graph) => g.ops.reduceLanes(g.ops.add(g.state("x", 6), g.row("a", 6)));
    return check(backend, "lanes of a row", { lengths: { x: 6 * LANES, a: 6 }, build }, 6);
  });

  test("a product of select with equal branches that are narrower than the condition", ({ backend }) => {
    const build = (g: Graph) => {
      const a = g.row("a", nCols);
      const chosen = g.ops.select(g.ops.lt(g.state("x", nCols), 0.5), a, a);
      return g.ops.matmul(g.sparse("w", nRows, nCols, nnz), chosen);
    };
    return check(
      backend,
      "equal",
      { matrix: csr, lengths: { w: nnz, a: nCols }, build, inputs: { x: normals("x", nCols * LANES) } },
      nRows * LANES,
    );
  });

  for (const how of ["max", "min"] as const) {
    for (const kind of ["state", "row"] as const) {
      test(`the ${how} over the rows of a ${kind} gives its cotangent to the row that has it`, ({ backend }) => {
        const build = (g: Graph) => {
          const x = g.ops.mul(g.leaf("x", kind, 6), g.row("a", 6));
          return g.ops.mul(g.row("a", 6), g.ops.reduceRows(x, how));
        };
        const lanes = kind === "state" ? LANES : 1;
        return check(backend, `${how} ${kind}`, { lengths: { x: 6 * lanes, a: 6 }, build }, 6 * lanes);
      });
    }

    test(`rows that tie share the cotangent of a ${how} equally`, async ({ backend }) => {
      const sign = how === "max" ? 1 : -1;
      const x = [3, 1, 3, 3, 2, 1].flatMap((v) => new Array<number>(LANES).fill(sign * v));
      const build = (g: Graph) => g.ops.reduceRows(g.state("x", 6), how);
      const { x: g } = await gradient(backend, { lengths: { x: x.length }, build }, { x }, [3, 6, 9, -3]);
      const expected = [1, 0, 1, 1, 0, 0].flatMap((share) => [1, 2, 3, -1].map((part) => share * part));
      assert.equal(Array.from(g!), expected);
    });
  }

  const index = Uint32Array.of(4, 0, 4, 4, 2, 0, 1);
  const inputs = { index, offsets: Uint32Array.of(0, 2, 2, 5), members: Uint32Array.of(4, 1, 0, 3, 2) };

  test("gather sends cotangents back to the numbers that were read", ({ backend }) => {
    const build = (g: Graph) => g.ops.mul(g.gather(g.ops.tanh(g.row("a", 5)), "index", 7), g.state("x", 7));
    return check(backend, "gather", { lengths: { a: 5, x: 7 * LANES }, build, inputs }, 7 * LANES);
  });

  test("a sum over segments gives every member the cotangent of its segment", ({ backend }) => {
    const build = (g: Graph) => g.ops.tanh(g.segmentSum(g.ops.tanh(g.row("a", 5)), "offsets", "members", 3));
    return check(backend, "segmentSum", { lengths: { a: 5 }, build, inputs }, 3);
  });

  test("transposed gathers have a reverse of their own", ({ backend }) => {
    const build = (g: Graph) => {
      const counted = g.ops.gatherT(g.ops.tanh(g.row("a", 7)), "index", 5);
      return g.ops.mul(counted, g.ops.tanh(g.ops.gatherT(g.ops.tanh(g.row("b", 3)), "members", 5, "offsets")));
    };
    return check(backend, "gatherT", { lengths: { a: 7, b: 3 }, build, inputs }, 5);
  });

  test("row numbers can be gathered, and stand in a condition", async ({ backend }) => {
    const graph = new Graph();
    const number = graph.gather(graph.rowIndex(5), "index", 7);
    graph.store("y", graph.ops.select(graph.ops.lt(number, 2), number, -1));
    const { y } = await runGraph(backend, graph, inputs);
    assert.equal(Array.from(y!), [-1, 0, -1, -1, -1, 0, 1]);
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
  const uses: readonly (() => unknown)[] = [
    () => g.ops.neg(foreign),
    () => g.ops.matmul(g.sparse("w", 4, 3, 5), foreign),
    () => g.ops.reduceRows(foreign),
    () => g.ops.broadcast(foreign, { kind: "state", rows: 3 }),
  ];
  for (const use of uses) assert.throws(use, (e: unknown) => e instanceof ArgumentError);
});

misuse("missing operands are refused, further arguments are none", () => {
  const g = new Graph();
  const add = g.ops.add as (...operands: Value[]) => Value;
  const [a, b] = [g.sample("a"), g.sample("b")];
  assert.throws(
    () => add(a),
    (e: unknown) => e instanceof ArgumentError && e.message === "add: expected 2, got 1 (operands)",
  );
  assert.is(add(a, b, a), add(a, b));
});

misuse("a name stands for one binding, whatever asks for it", () => {
  const g = new Graph();
  const source = g.row("a", 5);
  g.gather(source, "index", 7);
  const clashes: readonly (() => unknown)[] = [
    () => g.gather(source, "index", 6),
    () => g.gather(source, "a", 5),
    () => g.segmentSum(source, "index", "members", 3),
    () => g.row("index", 7),
    () => g.sparse("a", 5, 5, 3),
    () => g.table("a", 5, 2),
    () => g.random("a", 5, g.sample("ids")),
    () => g.ops.gatherT(source, "index", 5),
  ];
  for (const clash of clashes)
    assert.throws(clash, (e: unknown) => e instanceof ShapeError && /as before/.test(e.message));
  g.segmentSum(source, "index of five", "more", 4);
  g.gather(g.row("b", 2), "more", 5);
});

misuse("a value is broadcast to what has all its rows and lanes, and to nothing else", () => {
  const g = new Graph();
  const { ops } = g;
  const x = g.state("x", 3);
  assert.is(ops.broadcast(x, x), x);
  assert.is(ops.broadcast(ops.broadcast(1, { kind: "state", rows: 3 }), x).kind, "state");
  for (const [v, kind, rows] of [
    [x, "row", 3],
    [x, "state", 4],
    [g.row("a", 3), "sample", 1],
    [g.sample("t"), "row", 3],
  ] as const) {
    assert.throws(
      () => ops.broadcast(v, { kind, rows }),
      (e: unknown) => e instanceof ShapeError,
    );
  }
});

misuse("what has no gradient, or is not there, is refused by name with what has one", () => {
  const g = new Graph();
  g.gather(g.row("a", 5), "index", 7);
  g.random("key", 3, g.sample("ids"));
  checkWrt("here", ["a", "ids"], g.inputs);
  for (const name of ["index", "key", "A"]) {
    assert.throws(
      () => checkWrt("here", ["a", name], g.inputs),
      (e: unknown) => e instanceof ArgumentError && e.message.includes(`"${name}"`) && e.message.includes("(a, ids)"),
    );
  }
  const target = new Map([["index", { binding: "grad", accumulate: true }]]);
  const y = g.gather(g.row("a", 5), "index", 7);
  assert.throws(
    () => reverseGraph(g, new Map([[y, "ct"]]), target),
    (e: unknown) => e instanceof ArgumentError && /"index", index of 7 numbers/.test(e.message),
  );
  assert.throws(
    () => g.random("key", 3, g.state("x", 3)),
    (e: unknown) => e instanceof ShapeError,
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
