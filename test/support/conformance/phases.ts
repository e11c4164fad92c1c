// Conformance cases of programs with several phases: their order, temporaries, an optimiser step that refreshes a matrix.

import { longestCol, longestRow, randomSparse } from "../matrices.ts";
import { ProgramBuilder } from "../programBuilder.ts";
import type { CaseFamily, ConformanceCase } from "./case.ts";
import { countLanes, csr, normal, uniform } from "./case.ts";

export function phaseCases(lanes: readonly number[]): readonly ConformanceCase[] {
  const perWidth: readonly CaseFamily[] = [temporaries, twoProductsInTurn, softmax, errorRatio, optimizerStep];
  return lanes.flatMap((n) => perWidth.map((family) => family(n)));
}

/** A chain of states that each live for two phases, and samples that all live to the end. */
function temporaries(lanes: number): ConformanceCase {
  const rows = 53;
  const steps = 6;
  const b = new ProgramBuilder("temporaries");
  const x = b.input("x", "state", { rows });
  const y = b.output("y", "state", { rows });
  const states = Array.from({ length: steps }, (_, k) => b.temp(`state ${k}`, "state", rows, k, k + 1));
  const largest = Array.from({ length: steps }, (_, k) => b.temp(`largest ${k}`, "sample", 1, k, steps));
  for (let k = 0; k < steps; k++) {
    b.phase(rows, (p) => {
      const value = p.op("add", p.load(k === 0 ? x : states[k - 1]!), p.const(1));
      p.store(states[k]!, value);
      p.push({ op: "reduceRows", binding: largest[k]!, value, how: "max", accumulate: false });
    });
  }
  b.phase(rows, (p) => {
    const last = p.load(states[steps - 1]!);
    p.store(
      y,
      largest.reduce((sum, m) => p.op("add", sum, p.load(m)), last),
    );
  });
  return {
    name: `temporaries that live at the same time do not share memory (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { x: normal },
    outputs: { y: { kind: "sum", terms: 2 * steps } },
  };
}

/** V·tanh(W·x): the second product gathers what the phase before it stored. */
function twoProductsInTurn(lanes: number): ConformanceCase {
  const { csr: matrix } = randomSparse(60, 45, 0.1);
  const classes = 10;
  const b = new ProgramBuilder("read-out");
  const w = b.input("w", "sparse", { rows: matrix.nRows, cols: matrix.nCols });
  const v = b.input("v", "dense", { rows: classes, cols: matrix.nRows });
  const x = b.input("x", "state", { rows: matrix.nCols });
  const hidden = b.temp("hidden", "state", matrix.nRows, 0, 1);
  const y = b.output("y", "state", { rows: classes });
  b.phase(matrix.nRows, (p) => p.store(hidden, p.op("tanh", p.matmul(w, x)))).phase(classes, (p) =>
    p.store(y, p.matmul(v, hidden)),
  );
  return {
    name: `a product reads what the phase before it stored, whatever the tiles (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { w: csr(matrix), v: normal, x: normal },
    outputs: { y: { kind: "sum", terms: longestRow(matrix) + 8 + matrix.nRows } },
  };
}

function softmax(lanes: number): ConformanceCase {
  const classes = 10;
  const b = new ProgramBuilder("softmax");
  const logits = b.input("logits", "state", { rows: classes });
  const largest = b.temp("largest", "sample", 1, 0, 1);
  const total = b.temp("total", "sample", 1, 1, 2);
  const y = b.output("y", "state", { rows: classes });
  b.phase(classes, (p) => {
    p.push({ op: "reduceRows", binding: largest, value: p.load(logits), how: "max", accumulate: false });
  })
    .phase(classes, (p) => {
      const e = p.op("exp", p.op("sub", p.load(logits), p.load(largest)));
      p.store(y, e);
      p.push({ op: "reduceRows", binding: total, value: e, how: "sum", accumulate: false });
    })
    .phase(classes, (p) => p.store(y, p.op("div", p.load(y), p.load(total))));
  // Logits lie within 8 of each other, so rounding their difference changes e^x by 8u; exp itself adds 4 ulp = 8u. Numerator and
  // denominator have that error, then come the sum and the division (WGSL: 2.5 ulp).
  const terms = 2 * (8 + 8) + classes + 5;
  return {
    name: `a softmax takes three phases, each after the reductions of the one before (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { logits: uniform(-4, 4) },
    outputs: { y: { kind: "relative", terms } },
  };
}

/** sqrt(mean((err/(atol + rtol·max(|y0|, |y1|)))²)), Hairer, Nørsett, Wanner, Solving ODEs I, eq. II.4.11. */
function errorRatio(lanes: number): ConformanceCase {
  const rows = 301;
  const b = new ProgramBuilder("error ratio");
  const [err, y0, y1] = ["err", "y0", "y1"].map((name) => b.input(name, "state", { rows }));
  const sumOfSquares = b.temp("sum of squares", "sample", 1, 0, 1);
  const ratio = b.output("ratio", "sample");
  b.phase(rows, (p) => {
    const largest = p.op("max", p.op("abs", p.load(y0!)), p.op("abs", p.load(y1!)));
    const scaled = p.op("div", p.load(err!), p.op("add", p.const(2 ** -20), p.op("mul", p.const(2 ** -10), largest)));
    const value = p.op("mul", scaled, scaled);
    p.push({ op: "reduceRows", binding: sumOfSquares, value, how: "sum", accumulate: false });
  }).phase(1, (p) => p.store(ratio, p.op("sqrt", p.op("div", p.load(sumOfSquares), p.const(rows)))));
  // Scale 2, division 5, squared and rounded; the sum; the mean 5 and the root 8.
  const terms = 2 * (2 + 5) + 1 + rows + 5 + 8;
  return {
    name: `a scaled error norm reduces to one number per sample (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: { err: normal, y0: normal, y1: normal },
    outputs: { ratio: { kind: "relative", terms } },
  };
}

function optimizerStep(lanes: number): ConformanceCase {
  const { csr: matrix } = randomSparse(70, 50, 0.1);
  const { nRows, nCols, nnz } = matrix;
  const b = new ProgramBuilder("optimizer step");
  const w = b.input("w", "sparse", { rows: nRows, cols: nCols });
  const valuesCsc = b.inout("values csc", "nnz", { rows: nnz });
  const valuesCsr = b.output("values csr", "nnz", { rows: nnz });
  const cscOfCsr = b.input("csc of csr", "index", { rows: nnz });
  const grad = b.input("grad", "nnz", { rows: nnz });
  const rate = b.input("learning rate", "scalar");
  const x = b.input("x", "state", { rows: nCols });
  const g = b.input("g", "state", { rows: nRows });
  const y = b.output("y", "state", { rows: nRows });
  const ct = b.output("ct", "state", { rows: nCols });
  b.plainPhase(nnz, (p) => {
    const moved = p.op("sub", p.load(valuesCsc), p.op("mul", p.load(rate), p.load(grad)));
    p.store(valuesCsc, p.op("relu", moved));
  })
    .plainPhase(nnz, (p) => p.store(valuesCsr, p.push({ op: "gather", source: valuesCsc, index: cscOfCsr })))
    .phase(nRows, (p) => p.store(y, p.matmul(w, x)))
    .phase(nCols, (p) => p.store(ct, p.push({ op: "matmulT", matrix: w, g, needCt: true })));
  return {
    name: `updated values of a matrix, gathered into row order, take effect in both products (${countLanes(lanes)})`,
    lanes,
    program: b.build(),
    inputs: {
      w: csr(matrix),
      "values csc": { from: "sparse", matrix: "w", part: "valuesCsc" },
      "values csr": { from: "sparse", matrix: "w", part: "valuesCsr" },
      "csc of csr": { from: "sparse", matrix: "w", part: "cscOfCsr" },
      grad: normal,
      "learning rate": uniform(0.1, 0.2),
      x: normal,
      g: normal,
    },
    outputs: {
      "values csc": { kind: "sum", terms: 2 },
      "values csr": { kind: "sum", terms: 2 },
      y: { kind: "sum", terms: 2 + longestRow(matrix) },
      ct: { kind: "sum", terms: 2 + longestCol(matrix) },
    },
  };
}
