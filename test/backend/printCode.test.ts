// The interpreter's instructions as text: each names what it uses, register 0 like any other.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { printCode } from "../../src/backend/wasm/printCode.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";

const test = suite("printed code");

test("instructions name the registers and arrays that they use, and no others", () => {
  const [rows, cols, nnz] = [3, 6, 5];
  const b = new ProgramBuilder("gradients");
  const [w, s] = (["dense", "sparse"] as const).map((kind) => b.input(kind, kind, { rows, cols })) as [number, number];
  const [g, h] = [b.input("g", "state", { rows }), b.input("h", "state", { rows: cols })];
  const [gradW, gradS] = [b.inout("gradW", "dense", { rows, cols }), b.inout("gradS", "nnz", { rows: nnz })];
  const [sum, out] = [b.output("sum", "row", { rows: cols }), b.output("out", "state", { rows: cols })];
  b.phase(cols, (p) => {
    const x = p.op("tanh", p.load(h));
    const y = p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x, binding: gradW } });
    p.push({ op: "reduceLanes", binding: sum, value: y, accumulate: false });
    p.store(out, p.op("sigmoid", y));
  });
  b.phase(cols, (p) => {
    const x = p.op("tanh", p.load(h));
    p.push({ op: "matmulT", matrix: s, g, needCt: false, grad: { x, binding: gradS } });
  });
  const { steps } = printCode(b.build(), { panel: 4, panels: 1 }, "f32");
  const lines = steps.split("\n").filter((line) => line.startsWith("  tile"));
  assert.equal(
    lines.map((line) => line.slice(8)),
    [
      "r0 = tanh(h)",
      "r4096 = gemm_grad(r0, gradW, g)",
      "r4096 = gemm_t(g, dense)",
      "out = sigmoid(r4096)",
      "sum → reduce_lanes(r4096)",
      "r0 = tanh(h)",
      "spmm_t_grad(r0, sparse.colPtr, sparse.rowIdx, sparse.valuesCsc, bytes of sparse.rowIdx, g, gradS)",
    ],
  );
});

test.run();
