// Solves of problems on host arrays: chunks of a batch, kinds of inputs, cotangents as arrays and by sample, and what is refused.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Bindable } from "../../src/backend/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import type { HostInput, HostProblem } from "../../src/ode/hostProblem.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend, variant, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { INTEGRAL, normals } from "./harness.ts";

const ROWS = 3;
const DEPTH = 2;
/** When the second frame begins. */
const JUMP = 1;
/** Roundings on the longest path through a few dozen stages, for sums without much cancellation. */
const ROUNDINGS = 500;
const W = csrFromCoo({ nRows: ROWS, nCols: ROWS, rows: [0, 1, 2, 2], cols: [1, 2, 0, 1], values: [0.5, -1, 0.25, 2] });
const DENSE = [0.1, 0, 0.3, 0, -0.2, 0, 0.5, 0, 0];

/** Reads an input of every kind. */
const SYSTEM: OdeSystem = {
  rows: ROWS,
  rhs: (g, t, y) => {
    const { ops } = g;
    const frame = ops.lookup(g.table("frames", ROWS, DEPTH), ops.lt(JUMP, t));
    const drive = ops.mul(g.sample("gain"), ops.add(g.state("input", ROWS), frame));
    const products = ops.add(ops.matmul(g.sparse("W", ROWS, ROWS, W.nnz), y), ops.matmul(g.dense("D", ROWS, ROWS), y));
    const own = ops.add(ops.gather(g.row("b", 2), "type", ROWS), g.scalar("shift"));
    return ops.sub(ops.tanh(ops.add(ops.add(products, drive), own)), y);
  },
};
const WRT = ["frames", "gain", "input", "W", "D", "b", "shift"];

function inputsOf(batch: number): Record<string, HostInput> {
  return {
    frames: normals("frames", batch * DEPTH * ROWS),
    gain: normals("gain", batch),
    input: normals("input", batch * ROWS),
    W,
    D: DENSE,
    b: [0.3, -0.2],
    shift: [0.1],
    type: [0, 1, 0],
  };
}

function problemOf(batch: number): HostProblem {
  const jumpTimes = Array.from({ length: batch }, () => [JUMP]);
  return { y0: normals("y0", batch * ROWS), inputs: inputsOf(batch), tEval: [0, 0.4, 2], jumpTimes };
}

/** Samples first … first + count − 1 of a problem of `batch`. */
function part(problem: HostProblem, batch: number, first: number, count: number): HostProblem {
  const of = (data: ArrayLike<number>) => {
    const width = data.length / batch;
    return Array.from(data).slice(first * width, (first + count) * width);
  };
  const inputs = { ...problem.inputs };
  for (const name of ["frames", "gain", "input"]) inputs[name] = of(inputs[name] as ArrayLike<number>);
  return { ...problem, y0: of(problem.y0), inputs, jumpTimes: problem.jumpTimes!.slice(first, first + count) };
}

function solverOf(backend: Backend): OdeSolver {
  const method = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000 };
  return new OdeSolver(backend, SYSTEM, { ...method, reverse: { wrt: WRT, throughStepSizeControl: true } });
}

function define(test: Test<WithBackend>): void {
  test("a batch of several chunks has the bits of its samples alone, and sums the gradients of what they share", async ({
    backend,
  }) => {
    const BATCH = 5;
    const lanesFor = () => 4;
    using chunked = solverOf(variant(backend, { lanesFor }));
    using single = solverOf(backend);
    const problem = problemOf(BATCH);
    const cts = problem.tEval.map((_, j) => normals(`ct ${j}`, BATCH * ROWS));
    const { ys, stats, gradients } = await chunked.vjp(problem, cts);
    assert.equal([stats.status.length, stats.nSteps.length], [BATCH, BATCH]);
    const sums: Record<string, number[]> = {};
    const sizes: Record<string, number> = {};
    for (let s = 0; s < BATCH; s++) {
      const own = <T extends ArrayLike<number>>(data: T) =>
        Array.from(data).slice((s * data.length) / BATCH, ((s + 1) * data.length) / BATCH);
      const alone = await single.vjp(part(problem, BATCH, s, 1), cts.map(own));
      alone.ys.forEach((y, j) => {
        assertBitEqual(own(ys[j]!), y, `states of sample ${s}`);
      });
      assert.is(alone.stats.nSteps[0], stats.nSteps[s]);
      assertBitEqual(own(gradients.y0), alone.gradients.y0, `y0 of sample ${s}`);
      for (const [name, g] of Object.entries(alone.gradients.inputs)) {
        if (["frames", "gain", "input"].includes(name)) assertBitEqual(own(gradients.inputs[name]!), g, name);
        else {
          sums[name] = Array.from(g, (x, i) => x + (sums[name]?.[i] ?? 0));
          sizes[name] = (sizes[name] ?? 0) + Math.max(...g.map(Math.abs));
        }
      }
    }
    for (const [name, sum] of Object.entries(sums)) {
      assert.ok(sizes[name]! > 0);
      assertClose(gradients.inputs[name]!, sum, gamma(ROUNDINGS, backend.dtype) * sizes[name]!, name);
    }
    const plain = await chunked.solve(problem);
    plain.ys.forEach((y, j) => {
      assertBitEqual(y, ys[j]!, "without gradients");
    });
  });

  test("cotangents by sample are those of arrays, to the bit", async ({ backend }) => {
    using solver = solverOf(variant(backend, { lanesFor: () => 4 }));
    const problem = problemOf(5);
    const seen: number[] = [];
    // L = ½ Σ y², so the cotangent is y.
    const bySample = await solver.vjp(problem, (sample, ys) => {
      seen.push(sample);
      assert.equal([ys.length, ys[0]!.length], [3, ROWS]);
      return [null, ...ys.slice(1)];
    });
    assert.equal(seen, [0, 1, 2, 3, 4]);
    const { gradients } = await solver.vjp(problem, [null, ...bySample.ys.slice(1)]);
    assertBitEqual(bySample.gradients.y0, gradients.y0, "y0");
    for (const name of WRT) assertBitEqual(bySample.gradients.inputs[name]!, gradients.inputs[name]!, name);
    const reentrant = solver.vjp(problem, (_, ys) => {
      void solver.solve(problem).catch((error: { code: string }) => assert.is(error.code, "reentrant"));
      return ys;
    });
    await reentrant;
  });

  test("the gradient of a sparse matrix is row-major, and inputs may be on the device", async ({ backend }) => {
    using solver = solverOf(backend);
    const problem = problemOf(2);
    const ct = [null, null, normals("ct", 2 * ROWS)];
    const { gradients, ys } = await solver.vjp(problem, ct);
    const device: Record<string, Bindable> = { W: backend.sparse("W", W), b: backend.buffer("b", 2) };
    backend.upload(device.b as ReturnType<Backend["buffer"]>, [0.3, -0.2]);
    const other = await solver.vjp({ ...problem, inputs: { ...problem.inputs, ...device } }, ct);
    for (const name of WRT) assertBitEqual(other.gradients.inputs[name]!, gradients.inputs[name]!, name);
    for (const buffer of Object.values(device)) buffer.release();
    // A change of the third stored value moves L = ct·y by the third number of the gradient.
    const loss = (y: FloatArray) => Array.from(y).reduce((sum, x, i) => sum + x * ct[2]![i]!, 0);
    const step = backend.dtype === "f32" ? 1e-2 : 1e-5;
    const values = W.values.map((w, k) => (k === 2 ? w + step : w));
    const moved = await solver.solve({ ...problem, inputs: { ...problem.inputs, W: { ...W, values } } });
    const slope = (loss(moved.ys[2]!) - loss(ys[2]!)) / step;
    const expected = gradients.inputs.W![2]!;
    // The steps adapt, so that the difference sees their tolerance.
    assert.ok(Math.abs(slope - expected) < 2e-2 * Math.max(1, Math.abs(expected)), `${slope} ${expected}`);
  });

  test("times are numbers for all samples or one per sample; without an end the last point is it", async ({
    backend,
  }) => {
    using solver = solverOf(backend);
    const problem = problemOf(2);
    const all = await solver.solve({ ...problem, tStart: 0, tEnd: 2 });
    const each = await solver.solve({ ...problem, tStart: [0, 0], tEnd: [2, 2], tEval: [0, [0.4, 0.4], [2, 2]] });
    const short = await solver.solve(problem);
    for (const [j, y] of all.ys.entries())
      for (const other of [each, short]) assertBitEqual(other.ys[j]!, y, `point ${j}`);
    assert.equal(each.stats.t, [2, 2]);
  });

  test("solving again makes nothing new on the device, and disposal leaves nothing", async ({ backend }) => {
    const held = () => {
      const { bytes, liveBuffers, livePrograms } = backend.memory();
      return { bytes, liveBuffers, livePrograms };
    };
    const before = held();
    const solver = solverOf(backend);
    const device = { W: backend.sparse("W", W) };
    const problem = { ...problemOf(2), inputs: { ...inputsOf(2), ...device } };
    const again = () => solver.vjp(problem, (_, ys) => ys);
    for (let k = 0; k < 3; k++) await again();
    const after = held();
    for (let k = 0; k < 3; k++) await again();
    assert.equal(held(), after);
    solver.dispose();
    device.W.release();
    assert.equal(held(), before);
  });

  test("wrong arguments are refused by name", async ({ backend }) => {
    using solver = solverOf(backend);
    const problem = problemOf(2);
    const with_ = (inputs: Record<string, HostInput>) =>
      solver.solve({ ...problem, inputs: { ...problem.inputs, ...inputs } });
    await fails(() => solver.solve({ ...problem, y0: [1, 2] }), "shape", /samples of 3 numbers, got 2 \(y0\)/);
    await fails(() => solver.solve({ ...problem, y0: [1, 2, Number.NaN, 1, 1, 1] }), "argument", /NaN at 2 \(y0\)/);
    const { b: _, ...rest } = problem.inputs!;
    await fails(() => solver.solve({ ...problem, inputs: rest }), "argument", /a row .* got nothing \(b\)/);
    await fails(() => with_({ inptu: [1] }), "argument", /\(input\?\), got "inptu"/);
    await fails(() => with_({ shift: 1 as never }), "argument", /a scalar .* got 1 \(shift\)/);
    await fails(() => with_({ input: [1, 2] }), "shape", /6 numbers \(state for 2 samples\), got 2 \(input\)/);
    await fails(() => with_({ frames: new Float64Array(6) }), "shape", /12 numbers .*\(frames\)/);
    await fails(() => with_({ gain: [1, Number.POSITIVE_INFINITY] }), "argument", /Infinity at 1 \(gain\)/);
    await fails(() => with_({ b: [1, Number.NaN] }), "argument", /NaN at 1 \(b\)/);
    await fails(() => with_({ b: W }), "argument", /array of numbers .*got a matrix \(b\)/);
    await fails(() => with_({ type: [0, 1.5, 0] }), "argument", /whole numbers .*1\.5 at 1 \(type\)/);
    await fails(() => with_({ W: { ...W, nRows: 4 } }), "shape", /3 × 3 .* got 4 × 3 .*\(W\)/);
    const fewer = csrFromCoo({ nRows: ROWS, nCols: ROWS, rows: [0], cols: [1], values: [1] });
    await fails(() => with_({ W: fewer }), "shape", /with 4 entries, got .* with 1 entries \(W\)/);
    await fails(() => with_({ W: [1, 2, 3, 4] }), "shape", /got an array \(W\)/);
    await fails(() => solver.solve({ ...problem, tEval: [] }), "argument", /tEnd/);
    await fails(() => solver.solve({ ...problem, tEnd: [1] }), "shape", /tEnd/);
    await fails(() => solver.vjp(problem, [null]), "shape", /3 cotangents, one per evaluation point, got 1/);
    await fails(() => solver.vjp(problem, [null, null, [1]]), "shape", /2 × 3 numbers, got 1 \(cotangents\[2\]\)/);
    const nan = new Float64Array(6).fill(Number.NaN);
    await fails(() => solver.vjp(problem, [null, null, nan]), "argument", /NaN at 0 \(cotangents\[2\]\)/);
    await fails(() => solver.vjp(problem, () => [null]), "shape", /cotangents of sample 0/);
    using plain = new OdeSolver(backend, SYSTEM, { tableau: dopri5, controller: INTEGRAL, maxSteps: 9, reverse: null });
    await fails(() => plain.vjp(problem, [null, null, null]), "argument", /vjp: .*reverse/);
    const { stats } = await solver.solve(problem);
    assert.equal(stats.status, ["success", "success"], "the solver stays usable");
  });

  test("times and first steps are checked for the whole batch, before any chunk", async ({ backend }) => {
    const options = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000, dt0: "perSample", reverse: null } as const;
    const idle = () => assert.unreachable("nothing is solved");
    using solver = new OdeSolver(variant(backend, { lanesFor: () => 4, run: idle }), SYSTEM, options);
    const batch = 6;
    const dt0 = new Array<number>(batch).fill(0.1);
    const refused = (wrong: Partial<HostProblem>, code: "argument" | "shape", message: RegExp) =>
      fails(() => solver.solve({ ...problemOf(batch), dt0, ...wrong }), code, message);
    for (const n of [batch - 1, batch + 1]) {
      const times = new Array<number>(n).fill(0);
      await refused({ tStart: times }, "shape", new RegExp(`6 times, one per sample, got ${n} \\(tStart`));
      await refused({ tEval: [times, 2] }, "shape", new RegExp(`got ${n} \\(tEval\\[0\\]`));
      await refused(
        { dt0: times.map(() => 0.1) },
        "shape",
        new RegExp(`6 step sizes, one per sample, got ${n} \\(dt0`),
      );
      await refused(
        { jumpTimes: times.map(() => []) },
        "shape",
        new RegExp(`each of 6 samples, got ${n} \\(jumpTimes`),
      );
    }
    const last = (value: number) => dt0.map((x, s) => (s === batch - 1 ? value : x));
    await refused({ dt0: last(0) }, "argument", /0 for sample 5 \(dt0\)/);
    await refused({ tEnd: last(0).map((t) => 20 * t) }, "argument", /for sample 5, got 0 \(tEnd\)/);
    await refused({ tStart: last(Number.NaN) }, "argument", /NaN for sample 5 \(tStart\)/);
  });

  test("an input cannot have the name of a result of the solver, but that of a result which the solver lacks", async ({
    backend,
  }) => {
    const method = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000 };
    const named = (name: string): OdeSystem => ({ rows: 1, rhs: (g, _, y) => g.ops.mul(g.sample(name), y) });
    const reverse = { wrt: [], throughStepSizeControl: true };
    for (const name of ["accept", "errorRatio", "stage.k2", "next.t", "ys"])
      await fails(
        () => new OdeSolver(backend, named(name), { ...method, reverse: null }),
        "argument",
        new RegExp(name),
      );
    for (const name of ["isVoid", "ct.y"])
      await fails(() => new OdeSolver(backend, named(name), { ...method, reverse }), "argument", new RegExp(name));
    const gradient = { ...method, reverse: { ...reverse, wrt: ["grad.a"] } };
    const twice: OdeSystem = { rows: 1, rhs: (g) => g.ops.add(g.row("grad.grad.a", 1), g.row("grad.a", 1)) };
    await fails(() => new OdeSolver(backend, twice, gradient), "argument", /grad\.grad\.a/);
    const backsolve = { ...method, wrt: [], joint: false };
    for (const name of ["k", "ct.y"])
      await fails(() => new Backsolve(backend, named(name), backsolve), "argument", new RegExp(name));
    const ys: FloatArray[] = [];
    for (const name of ["rate", "voids", "steps"]) {
      using solver = new OdeSolver(backend, named(name), { ...method, reverse: null });
      const solution = await solver.solve({ y0: [1], inputs: { [name]: [-0.5] }, tEval: [1] });
      ys.push(solution.ys[0]!);
    }
    for (const y of ys) assertBitEqual(y, ys[0]!, "the name of an input does not matter");
  });

  test("gradients of a sample that is not finite are refused, counted from the start of the batch", async ({
    backend,
  }) => {
    const system: OdeSystem = { rows: 1, rhs: (g, t, y) => g.ops.div(y, g.ops.sub(g.sample("pole"), t)) };
    using solver = new OdeSolver(variant(backend, { lanesFor: () => 4 }), system, {
      tableau: dopri5,
      controller: { type: "fixed" },
      dt0: 0.25,
      maxSteps: 100,
      reverse: { wrt: ["pole"], throughStepSizeControl: true },
    });
    const problem = { y0: new Float64Array(6).fill(1), inputs: { pole: [9, 9, 9, 9, 9, 0.25] }, tEval: [1] };
    const cts = [new Float64Array(6).fill(1)];
    await fails(() => solver.vjp(problem, cts), "nonFinite", /sample 5/);
    await fails(() => solver.vjp(problem, () => [[1]]), "nonFinite", /sample 5/);
  });
}

forEachBackend("solves on host arrays", ["f64", "f32"], define);

onWebGpu("solves on host arrays", define);
