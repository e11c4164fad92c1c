// Conformance cases of products with sparse and dense matrices, forward and in reverse.

import {
  describe,
  heavyCol,
  heavyRow,
  longestCol,
  longestRow,
  oneByOne,
  randomSparse,
  type SampleMatrix,
  sampleMatrices,
  tall,
} from "../matrices.ts";
import { ProgramBuilder } from "../programBuilder.ts";
import type { ConformanceCase, Tolerance } from "./case.ts";
import { countLanes, csr, normal, uniform } from "./case.ts";

/** Shapes of dense matrices: 1 × 1, projections in and out, one row, one column; sums in several pieces, whole tiles and rests. */
const DENSE_SHAPES = [
  [1, 1],
  [10, 301],
  [301, 10],
  [1, 77],
  [77, 1],
  [70, 1100],
  [1100, 70],
  [128, 640],
] as const;

export function contractionCases(lanes: readonly number[]): readonly ConformanceCase[] {
  const usual = Math.max(...lanes.filter((n) => n <= 8));
  const big = randomSparse(150, 150, 0.05);
  const grown = [big, randomSparse(37, 11, 0.15)];
  const withEntries = sampleMatrices().filter((m) => m.csr.nnz > 0);
  return [
    ...sampleMatrices().map((m) => sparseMatmul(m, usual)),
    ...withEntries.map((m) => sparseMatmulT(m, usual)),
    ...lanes.flatMap((n) => [
      ...grown.flatMap((m) => [sparseMatmul(m, n), sparseMatmulT(m, n)]),
      ...DENSE_SHAPES.flatMap(([rows, cols]) => [denseMatmul(rows, cols, n), denseMatmulT(rows, cols, n)]),
      rightHandSide(big, n),
      rightHandSideReverse(big, n),
      gradientOnly(big, n),
      gradientOfProduct(big, n),
      twoProducts(randomSparse(40, 25, 0.2), n),
    ]),
    ...[oneByOne(), heavyRow(), heavyCol(), tall()].map((m) => gradientOnly(m, usual)),
  ].filter(isFirstOfItsName);
}

function isFirstOfItsName(c: ConformanceCase, at: number, cases: readonly ConformanceCase[]): boolean {
  return cases.findIndex((other) => other.name === c.name) === at;
}

function sum(terms: number): Tolerance {
  return { kind: "sum", terms };
}

/** One rounding per lane, padding included: elements of a gradient sum over the lanes of a run. */
function lanesSummed(lanes: number): number {
  return Math.ceil(lanes / 16) * 16;
}

function sparseMatmul(m: SampleMatrix, lanes: number): ConformanceCase {
  const { nRows, nCols } = m.csr;
  const b = new ProgramBuilder("matmul, sparse");
  const w = b.input("w", "sparse", { rows: nRows, cols: nCols });
  const x = b.input("x", "state", { rows: nCols });
  const y = b.output("y", "state", { rows: nRows });
  b.phase(nRows, (p) => p.store(y, p.matmul(w, x)));
  return {
    name: `matmul by a sparse matrix sums over the stored entries of each row (${describe(m)}; ${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), x: normal },
    outputs: { y: sum(longestRow(m.csr)) },
  };
}

function sparseMatmulT(m: SampleMatrix, lanes: number): ConformanceCase {
  const { nRows, nCols, nnz } = m.csr;
  const b = new ProgramBuilder("matmulT, sparse");
  const w = b.input("w", "sparse", { rows: nRows, cols: nCols });
  const g = b.input("g", "state", { rows: nRows });
  const x = b.input("x", "state", { rows: nCols });
  const ct = b.output("ct", "state", { rows: nCols });
  const ctOnly = b.output("ct only", "state", { rows: nCols });
  const grad = b.inout("grad", "nnz", { rows: nnz });
  b.phase(nCols, (p) => {
    const grown = { x: p.load(x), binding: grad };
    p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: grown }));
  }).phase(nCols, (p) => p.store(ctOnly, p.push({ op: "matmulT", matrix: w, g, needCt: true })));
  return {
    name: `matmulT by a sparse matrix gives Wᵀ·G and adds the gradient of each entry (${describe(m)}; ${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), g: normal, x: normal, grad: normal },
    outputs: { ct: sum(longestCol(m.csr)), "ct only": sum(longestCol(m.csr)), grad: sum(lanesSummed(lanes) + 1) },
  };
}

/** So small that the bound of a sum of a thousand products is narrow. */
const half = uniform(-0.5, 0.5);

function denseMatmul(rows: number, cols: number, lanes: number): ConformanceCase {
  const b = new ProgramBuilder("matmul, dense");
  const w = b.input("w", "dense", { rows, cols });
  const x = b.input("x", "state", { rows: cols });
  const y = b.output("y", "state", { rows });
  b.phase(rows, (p) => p.store(y, p.matmul(w, x)));
  return {
    name: `matmul by a dense ${rows} × ${cols} matrix (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: half, x: half },
    outputs: { y: sum(cols) },
  };
}

function denseMatmulT(rows: number, cols: number, lanes: number): ConformanceCase {
  const b = new ProgramBuilder("matmulT, dense");
  const w = b.input("w", "dense", { rows, cols });
  const g = b.input("g", "state", { rows });
  const x = b.input("x", "state", { rows: cols });
  const ct = b.output("ct", "state", { rows: cols });
  const grad = b.inout("grad", "dense", { rows, cols });
  const gradOnly = b.inout("grad only", "dense", { rows, cols });
  b.phase(cols, (p) => {
    const grown = { x: p.load(x), binding: grad };
    p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: grown }));
  }).phase(cols, (p) => {
    const grown = { x: p.load(x), binding: gradOnly };
    p.push({ op: "matmulT", matrix: w, g, needCt: false, grad: grown });
  });
  const perLane = sum(lanesSummed(lanes) + 1);
  return {
    name: `matmulT by a dense ${rows} × ${cols} matrix gives Wᵀ·G and adds the gradient of every entry (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: half, g: half, x: half, grad: half, "grad only": half },
    outputs: { ct: sum(rows), grad: perLane, "grad only": perLane },
  };
}

/** The rate model: (−s + tanh(W·r + b) + u)/τ, with a prologue-free product and a pointwise epilogue of every operand kind. */
function rightHandSide(m: SampleMatrix, lanes: number): ConformanceCase {
  const rows = m.csr.nRows;
  const b = new ProgramBuilder("right-hand side");
  const w = b.input("w", "sparse", { rows, cols: rows });
  const rate = b.input("rate", "state", { rows });
  const state = b.input("state", "state", { rows });
  const input = b.input("input", "state", { rows });
  const bias = b.input("bias", "row", { rows });
  const tau = b.input("tau", "row", { rows });
  const running = b.input("running", "sample");
  const out = b.inout("out", "state", { rows });
  b.phase(rows, (p) => {
    const drive = p.op("tanh", p.op("add", p.matmul(w, rate), p.load(bias)));
    const change = p.op("add", p.op("sub", drive, p.load(state)), p.load(input));
    p.accumulate(out, p.op("mul", p.load(running), p.op("div", change, p.load(tau))));
  });
  return {
    name: `a product takes its epilogue along: bias, tanh, leak, input, time constant (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: {
      w: csr(m.csr),
      rate: normal,
      state: normal,
      input: normal,
      bias: normal,
      tau: uniform(1, 20),
      running: uniform(0, 1, [0, 1]),
      out: normal,
    },
    // The row, the bias, 8 for tanh (4 units in the last place), then leak, input, mul, accumulate, and 5 for the division.
    outputs: { out: sum(longestRow(m.csr) + 1 + 8 + 4 + 5) },
  };
}

/** Its reverse: the operand of the gradient is computed in the phase, the cotangent has an epilogue. */
function rightHandSideReverse(m: SampleMatrix, lanes: number): ConformanceCase {
  const rows = m.csr.nRows;
  const b = new ProgramBuilder("right-hand side, reverse");
  const w = b.input("w", "sparse", { rows, cols: rows });
  const g = b.input("g", "state", { rows });
  const state = b.input("state", "state", { rows });
  const ct = b.inout("ct", "state", { rows });
  const grad = b.inout("grad", "nnz", { rows: m.csr.nnz });
  const biasGrad = b.inout("bias grad", "row", { rows });
  b.phase(rows, (p) => {
    const rate = p.op("tanh", p.load(state));
    const pulled = p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x: rate, binding: grad } });
    const slope = p.op("sub", p.const(1), p.op("mul", rate, rate));
    p.accumulate(ct, p.op("mul", pulled, slope));
    p.push({ op: "reduceLanes", binding: biasGrad, value: p.load(g), accumulate: true });
  });
  const tanhTerms = 8;
  return {
    name: `the reverse of a product takes a computed operand, an epilogue and a reduction along (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), g: normal, state: normal, ct: normal, grad: normal, "bias grad": normal },
    outputs: {
      ct: sum(longestCol(m.csr) + 2 * tanhTerms + 4),
      grad: sum(lanesSummed(lanes) + tanhTerms + 1),
      "bias grad": sum(lanesSummed(lanes) + 1),
    },
  };
}

/** `needCt: false`: the walk over the columns for the gradient alone, twice onto the same one. */
function gradientOnly(m: SampleMatrix, lanes: number): ConformanceCase {
  const { nRows, nCols, nnz } = m.csr;
  const b = new ProgramBuilder("matmulT, gradient only");
  const w = b.input("w", "sparse", { rows: nRows, cols: nCols });
  const g = b.input("g", "state", { rows: nRows });
  const x = b.input("x", "state", { rows: nCols });
  const grad = b.inout("grad", "nnz", { rows: nnz });
  for (let times = 0; times < 2; times++) {
    b.phase(nCols, (p) => {
      const grown = { x: p.load(x), binding: grad };
      p.push({ op: "matmulT", matrix: w, g, needCt: false, grad: grown });
    });
  }
  return {
    name: `matmulT without a cotangent grows the gradient, phase after phase (${describe(m)}; ${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), g: normal, x: normal, grad: normal },
    outputs: { grad: sum(2 * lanesSummed(lanes) + 2) },
  };
}

/** Gradients of a dense and of a sparse matrix whose operand is another product of the phase. */
function gradientOfProduct(m: SampleMatrix, lanes: number): ConformanceCase {
  const rows = m.csr.nRows;
  const b = new ProgramBuilder("gradient by a product");
  const w = b.input("w", "sparse", { rows, cols: rows });
  const d = b.input("d", "dense", { rows: 3, cols: rows });
  const x = b.input("x", "state", { rows });
  const g = b.input("g", "state", { rows: 3 });
  const dense = b.inout("dense", "dense", { rows: 3, cols: rows });
  const sparse = b.inout("sparse", "nnz", { rows: m.csr.nnz });
  b.phase(rows, (p) => {
    const product = p.matmul(w, x);
    p.push({ op: "matmulT", matrix: d, g, needCt: false, grad: { x: product, binding: dense } });
    p.push({ op: "matmulT", matrix: w, g: x, needCt: false, grad: { x: product, binding: sparse } });
  });
  const terms = sum(longestRow(m.csr) + lanesSummed(lanes) + 1);
  return {
    name: `matmulT takes a product of its own phase for the gradient (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), d: normal, x: normal, g: normal, dense: normal, sparse: normal },
    outputs: { dense: terms, sparse: terms },
  };
}

function twoProducts(m: SampleMatrix, lanes: number): ConformanceCase {
  const { nRows, nCols } = m.csr;
  const features = 9;
  const b = new ProgramBuilder("two products");
  const w = b.input("w", "sparse", { rows: nRows, cols: nCols });
  const v = b.input("v", "dense", { rows: nRows, cols: features });
  const x = b.input("x", "state", { rows: nCols });
  const y = b.input("y", "state", { rows: features });
  const both = b.output("both", "state", { rows: nRows });
  b.phase(nRows, (p) => p.store(both, p.op("add", p.matmul(w, x), p.matmul(v, y))));
  return {
    name: `two products, sparse and dense, share a phase (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(m.csr), v: normal, x: normal, y: normal },
    outputs: { both: sum(longestRow(m.csr) + features + 1) },
  };
}
