// Adjoint equations solved backwards: at tight tolerance they give the gradient of the exact solution, as the direct reverse pass does.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ArgumentError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { Backsolve, type BacksolveProblem } from "../../src/ode/backsolve.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { cotangents, type HostProblem, INTEGRAL, rateProblem, sampleOf, solveOnHost } from "./harness.ts";

const TIGHT = { tableau: dopri5, controller: { ...INTEGRAL, atol: 1e-9, rtol: 1e-8 }, maxSteps: 1000 } as const;
/** Far above the tolerance of the solves, far below what a wrong term would make. */
const AGREEMENT = 1e-5;

/** The rate problem without the kinks of relu, where the two gradients differ by how a step meets a kink. */
function smoothProblem(samples: number): HostProblem {
  const problem = rateProblem(samples, { tEnd: 1, tEval: [0, 0.4, 1] });
  const { rows } = problem.system;
  const { nnz } = problem.matrices!.hh!;
  const rhs: OdeSystem["rhs"] = (g, _, h) => {
    const { ops } = g;
    const input = ops.add(g.state("drive", rows), ops.matmul(g.sparse("hh", rows, rows, nnz), h));
    return ops.div(ops.sub(ops.tanh(ops.add(input, g.row("bias", rows))), h), g.row("tau", rows));
  };
  return { ...problem, system: { rows, rhs } };
}

function onDevice(
  backend: Backend,
  { rows, matrices, ...problem }: HostProblem,
): { problem: BacksolveProblem; release: () => void } {
  const vectors = Object.entries(rows!).map(([name, data]) => {
    const buffer = backend.buffer(name, data.length);
    backend.upload(buffer, data);
    return [name, buffer] as const;
  });
  const sparse = Object.entries(matrices!).map(([name, csr]) => [name, backend.sparse(name, csr)] as const);
  const parameters = Object.fromEntries([...vectors, ...sparse]);
  const release = () => {
    for (const [, p] of [...vectors, ...sparse]) p.release();
  };
  const { samples, y0, states = {}, tStart, tEnd, tEval } = problem;
  return { problem: { samples, y0, states, parameters, tStart, tEnd, tEval }, release };
}

/** States and gradients by the direct reverse pass, sample after sample. */
async function eachAlone(
  backend: Backend,
  problem: HostProblem,
  cts: readonly Float64Array[],
): Promise<Record<"y" | "y0" | "hh" | "tau" | "bias", number[]>> {
  const { samples, system } = problem;
  const { rows } = system;
  const sums: Record<"hh" | "tau" | "bias", number[]> = { hh: [], tau: [], bias: [] };
  const y0: number[] = [];
  const y: number[] = new Array<number>(cts.length * samples * rows);
  for (let s = 0; s < samples; s++) {
    const own = cts.map((ct) => ct.slice(s * rows, (s + 1) * rows));
    const { ys, gradients } = await solveOnHost(backend, sampleOf(problem, s), TIGHT, own);
    ys.forEach((state, j) => {
      state.forEach((value, row) => {
        y[(j * samples + s) * rows + row] = value;
      });
    });
    y0.push(...gradients.y0!);
    for (const name of ["hh", "tau", "bias"] as const) {
      sums[name] = Array.from(gradients[name]!, (g, i) => (sums[name][i] ?? 0) + g);
    }
  }
  return { y, y0, ...sums };
}

forEachBackend("backsolve", ["f64"], (test) => {
  for (const joint of [false, true]) {
    const name = joint ? "joint" : "separate";
    test(`${name} adjoint equations give the direct gradient`, async ({ backend }) => {
      // More samples than a panel holds, each with its own times.
      const host = smoothProblem(17);
      const cts = cotangents(host);
      const direct = await eachAlone(backend, host, cts);
      const { problem, release } = onDevice(backend, host);
      const adjoint = new Backsolve(backend, host.system, { ...TIGHT, joint, wrt: ["hh", "tau", "bias"] });
      const { ys, stats } = await adjoint.forward(problem);
      const { y0, parameters, stats: backward } = await adjoint.reverse(cts);
      adjoint.dispose();
      release();
      assert.is(stats.nSteps.length, joint ? 1 : 17, "one step count per step size");
      assert.is(backward.length, host.tEval.length - 1, "one solve per interval");
      const computed = { y: ys.flatMap((y) => Array.from(y)), y0, ...parameters };
      for (const [name, expected] of Object.entries(direct)) {
        const size = Math.max(...expected.map(Math.abs));
        assertClose(computed[name as keyof typeof computed]!, expected, AGREEMENT * size, name);
      }
    });
  }

  test("equal evaluation points count each, for some samples or all, at the start, in between and at the end", async ({
    backend,
  }) => {
    const host = smoothProblem(3);
    const { rows } = host.system;
    const [start, middle, end] = [host.tStart, host.tEval[1]!, host.tEnd];
    const some = middle.map((t, s) => (s === 1 ? t : t + 0.1));
    for (const joint of [false, true]) {
      const times = joint ? [start, start, middle, middle, end, end] : [start, middle, some, some, end];
      const cts = times.map((_, j) => cotangents(host)[0]!.map((x) => x * (1 + j)));
      const { problem, release } = onDevice(backend, { ...host, tEval: times });
      const adjoint = new Backsolve(backend, host.system, { ...TIGHT, joint, wrt: ["hh", "tau", "bias"] });
      const { ys } = await adjoint.forward(problem);
      const { y0, parameters } = await adjoint.reverse(cts);
      adjoint.dispose();
      release();
      // The solver takes points at the start for all samples or none, and equal ones as they come.
      const direct = await eachAlone(backend, { ...host, tEval: times }, cts);
      const computed = { y: ys.flatMap((y) => Array.from(y)), y0, ...parameters };
      for (const [name, expected] of Object.entries(direct)) {
        const size = Math.max(...expected.map(Math.abs));
        assertClose(computed[name as keyof typeof computed]!, expected, AGREEMENT * size, `${joint} ${name} ${rows}`);
      }
    }
  });

  test("time since the start has all digits far from 0", async ({ backend }) => {
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, _, y, { elapsed }) => g.ops.mul(g.ops.mul(g.row("rate", 1), elapsed), y),
    };
    const from = async (start: number) => {
      const times = [start, start + 0.25, start + 1];
      const solver = new Backsolve(backend, system, { ...TIGHT, joint: false, wrt: ["rate"] });
      const tEval = times.map((t) => [t]);
      const host = { system, samples: 1, y0: [1], tStart: [start], tEnd: [start + 1], tEval };
      const { problem, release } = onDevice(backend, { ...host, rows: { rate: [2] }, matrices: {} });
      const { ys } = await solver.forward(problem);
      const { parameters } = await solver.reverse([[0], [1], [1]]);
      solver.dispose();
      release();
      return Float64Array.from([...ys.flatMap((y) => [...y]), ...parameters.rate!]);
    };
    const tolerance = backend.dtype === "f32" ? 1e-6 : 1e-12;
    assertClose(await from(3e12), await from(0), tolerance, "states and gradient");
  });

  test("a given first step is taken, for all or per sample", async ({ backend }) => {
    const host = smoothProblem(2);
    const { problem, release } = onDevice(backend, host);
    const adjoint = new Backsolve(backend, host.system, { ...TIGHT, joint: false, wrt: ["tau"] });
    const direct = async (dt0: number) => (await solveOnHost(backend, host, { ...TIGHT, dt0 })).stats.nSteps;
    for (const dt0 of [1e-9, 0.5]) {
      const expected = await direct(dt0);
      assert.equal((await adjoint.forward({ ...problem, dt0 })).stats.nSteps, expected);
      assert.equal((await adjoint.forward({ ...problem, dt0: [dt0, dt0] })).stats.nSteps, expected);
    }
    assert.not.equal(await direct(1e-9), await direct(0.5));
    adjoint.dispose();
    release();
  });

  test("without evaluation points there is one output, at the end", async ({ backend }) => {
    const { problem, release } = onDevice(backend, smoothProblem(2));
    const adjoint = new Backsolve(backend, smoothProblem(2).system, { ...TIGHT, joint: false, wrt: ["tau"] });
    const all = await adjoint.forward(problem);
    const end = await adjoint.forward({ ...problem, tEval: null });
    const { stats } = await adjoint.reverse(end.ys);
    try {
      await adjoint.reverse(all.ys);
      assert.unreachable();
    } catch (e) {
      assert.match((e as Error).message, /1 cotangents, one per output, got 3/);
    }
    adjoint.dispose();
    release();
    assert.is(end.ys.length, 1);
    assertClose(end.ys[0]!, all.ys.at(-1)!, 1e-12, "y at the end");
    assert.is(stats.length, 1, "one backward solve");
  });

  test("an abort rejects with the signal's reason, forward and backward, and leaves the solver usable", async ({
    backend,
  }) => {
    const { problem, release } = onDevice(backend, smoothProblem(2));
    const before = backend.memory().liveBuffers;
    const adjoint = new Backsolve(backend, smoothProblem(2).system, { ...TIGHT, joint: false, wrt: ["tau"] });
    const late = (): AbortSignal => {
      const controller = new AbortController();
      setImmediate(() => controller.abort("enough"));
      return controller.signal;
    };
    const reasonOf = (promise: Promise<unknown>) =>
      promise.then(
        () => "none",
        (reason: unknown) => reason,
      );
    assert.is(await reasonOf(adjoint.forward({ ...problem, signal: late() })), "enough");
    assert.is(backend.memory().liveBuffers, before);
    const { ys } = await adjoint.forward(problem);
    const { y0 } = await adjoint.reverse(ys);
    await adjoint.forward(problem);
    assert.is(await reasonOf(adjoint.reverse(ys, { signal: late() })), "enough");
    assert.is(backend.memory().liveBuffers, before);
    await adjoint.forward(problem);
    assert.equal((await adjoint.reverse(ys)).y0, y0);
    adjoint.dispose();
    release();
  });

  test("a right-hand side that is the same for all samples has the gradient of the straight line it makes", async ({
    backend,
  }) => {
    const { problem, release } = onDevice(backend, smoothProblem(2));
    const system: OdeSystem = { rows: 6, rhs: (g) => g.row("bias", 6) };
    const adjoint = new Backsolve(backend, system, { ...TIGHT, joint: false, wrt: ["bias"] });
    const { ys } = await adjoint.forward(problem);
    const { y0, parameters } = await adjoint.reverse(ys.map((y, j) => y.map(() => (j === ys.length - 1 ? 1 : 0))));
    const span = problem.tEnd.reduce((sum, t, s) => sum + t - problem.tStart[s]!, 0);
    assertClose(y0, new Array(12).fill(1), 1e-12, "by y0");
    assertClose(parameters.bias!, new Array(6).fill(span), 1e-12 * span, "by the slope");
    adjoint.dispose();
    release();
  });

  test("says what does not fit", async ({ backend }) => {
    const { system } = smoothProblem(2);
    const { problem, release } = onDevice(backend, smoothProblem(2));
    const options = { ...TIGHT, joint: true, wrt: ["tau"] };
    const adjoint = new Backsolve(backend, system, options);
    const rejects = async (
      change: Partial<BacksolveProblem>,
      error: new (...args: never[]) => Error,
      words: RegExp,
    ) => {
      try {
        await adjoint.forward({ ...problem, ...change });
      } catch (e) {
        assert.ok(e instanceof error && words.test(e.message), String(e));
        return;
      }
      assert.unreachable(`${words}`);
    };
    await rejects({ y0: [1, 2, 3] }, ShapeError, /2 × 6 numbers, got 3 \(y0\)/);
    await rejects({ parameters: {} }, ArgumentError, /"tau" of wrt/);
    await rejects({ dt0: [0.1] }, ShapeError, /2 step sizes, one per sample, got 1/);
    await rejects({ dt0: 0 }, ArgumentError, /finite steps other than 0/);
    const [start, middle, end] = [problem.tStart, problem.tEval![1]!, problem.tEnd];
    await rejects({ tEval: [start, end, middle, end] }, ArgumentError, /order of integration/);
    await rejects({ tEval: [problem.tEnd] }, ArgumentError, /at least 2/);
    await rejects({ tEval: [problem.tStart, problem.tStart] }, ArgumentError, /last point at tEnd/);
    const skewed = [problem.tStart, [0.4, 0.5], problem.tEnd];
    await rejects({ tEval: skewed }, ArgumentError, /proportional to those of sample 0/);
    assert.throws(
      () => new Backsolve(backend, system, { ...options, controller: { type: "fixed" } }),
      /integral or pid/,
    );
    try {
      await adjoint.reverse([]);
      assert.unreachable();
    } catch (e) {
      assert.instance(e, SolverError);
    }
    adjoint.dispose();
    release();
  });
});
