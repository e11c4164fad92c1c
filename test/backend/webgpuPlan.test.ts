// Which dispatches a program becomes on WebGPU, without a device.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { BindingId, Program } from "../../src/backend/program.ts";
import { planOf } from "../../src/backend/webgpu/plan.ts";
import { type PhaseBuilder, ProgramBuilder } from "../support/programBuilder.ts";

const test = suite("plan of a program on webgpu");

/** More than one workgroup of a map has, so that reductions leave partial results. */
const ROWS = 300;

function kernelsOf(program: Program): string {
  return planOf(program, "f32")
    .dispatches.map(({ kernel }) => kernel)
    .join(" ");
}

/** Two sparse products, one after another, each with a sum over rows; `between` may add phases before the last one, which reads the sums. */
function twoSums(between: (b: ProgramBuilder, sums: readonly BindingId[]) => void = () => {}): Program {
  const b = new ProgramBuilder("two sums");
  const w = b.input("w", "sparse", { rows: ROWS, cols: ROWS });
  const x = b.input("x", "state", { rows: ROWS });
  const y = b.output("y", "state", { rows: ROWS });
  const z = b.output("z", "state", { rows: ROWS });
  const sums = [b.output("sum of y", "sample"), b.output("sum of z", "sample")];
  const total = b.output("total", "sample");
  const product = (p: PhaseBuilder, source: BindingId, target: BindingId, sum: BindingId): void => {
    const value = p.matmul(w, source);
    p.store(target, value);
    p.push({ op: "reduceRows", binding: sum, value: p.op("mul", value, value), how: "sum", accumulate: false });
  };
  b.phase(ROWS, (p) => product(p, x, y, sums[0]!));
  between(b, sums);
  b.phase(ROWS, (p) => product(p, y, z, sums[1]!));
  b.phase(1, (p) => p.store(total, p.op("add", p.load(sums[0]!), p.load(sums[1]!))));
  return b.build();
}

test("sums over rows after sparse products wait for each other and share a kernel and a last step", () => {
  const plan = planOf(twoSums(), "f32");
  assert.is(plan.dispatches.map(({ kernel }) => kernel).join(" "), "spmm spmm map tail");
  const names = [...plan.deferredTargets].map((id) => plan.bindings[id]!.name);
  assert.equal(names, ["sum of y"], "what is written after dispatches that follow it must not have a second name");
});

test("a sum does not wait where a phase reads or writes its result", () => {
  const scaled = twoSums((b, [sum]) => {
    const other = b.output("other", "sample");
    b.phase(1, (p) => p.store(other, p.load(sum!)));
  });
  assert.is(kernelsOf(scaled), "spmm map tail spmm map tail");
  const added = twoSums((b, [sum]) => {
    b.phase(1, (p) => p.accumulate(sum!, p.const(1)));
  });
  assert.is(kernelsOf(added), "spmm map tail spmm map tail");
});

test("a waiting sum keeps its rows when a product of other rows, without sums, comes in between", () => {
  const b = new ProgramBuilder("products of different rows");
  const [w, v] = [b.input("w", "sparse", { rows: ROWS, cols: ROWS }), b.input("v", "sparse", { rows: 8, cols: ROWS })];
  const x = b.input("x", "state", { rows: ROWS });
  const [y, z] = [b.output("y", "state", { rows: ROWS }), b.output("z", "state", { rows: 8 })];
  const [sum, total] = [b.output("sum", "sample"), b.output("total", "sample")];
  b.phase(ROWS, (p) => {
    const value = p.matmul(w, x);
    p.store(y, value);
    p.push({ op: "reduceRows", binding: sum, value, how: "sum", accumulate: false });
  });
  b.phase(8, (p) => p.store(z, p.matmul(v, y)));
  b.phase(1, (p) => p.store(total, p.load(sum)));
  const reductions = planOf(b.build(), "f32").dispatches.filter(({ kernel }) => kernel === "map");
  assert.equal(
    reductions.map((plan) => plan.kernel === "map" && plan.phase.rows),
    [ROWS],
  );
});

test("temporaries that hold a waiting sum and its operand live until the last step", () => {
  const { bindings, dispatches } = planOf(twoSums(), "f32");
  const operands = bindings.filter(({ temp, kind }) => temp && kind === "state");
  assert.equal(
    operands.map(({ temp }) => temp),
    [
      { firstPhase: 0, lastPhase: 2 },
      { firstPhase: 1, lastPhase: 2 },
    ],
  );
  assert.is(dispatches.length, 4);
});

test("the pointwise work after a product that grows a gradient has a kernel of its own, plain stores have none", () => {
  const kernels = (work: (p: PhaseBuilder, walk: number, x: number) => number): string => {
    const b = new ProgramBuilder("reverse");
    const w = b.input("w", "sparse", { rows: ROWS, cols: ROWS });
    const g = b.input("g", "state", { rows: ROWS });
    const x = b.input("x", "state", { rows: ROWS });
    const ct = b.output("ct", "state", { rows: ROWS });
    const grad = b.inout("grad", "nnz", { rows: 5 * ROWS });
    b.phase(ROWS, (p) => {
      const value = p.load(x);
      const walk = p.push({ op: "matmulT", matrix: w, g, needCt: true, grad: { x: value, binding: grad } });
      p.store(ct, work(p, walk, value));
    });
    return kernelsOf(b.build());
  };
  assert.is(
    kernels((_, walk) => walk),
    "spmmGrad",
  );
  assert.is(
    kernels((p, walk, x) => p.op("mul", walk, x)),
    "spmmGrad map",
  );
  assert.is(
    kernels((_, __, x) => x),
    "spmmGrad map",
  );
});

test.run();
