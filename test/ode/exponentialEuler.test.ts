// Exponential Euler: the leak is exact, the rest of order 1, any step is stable, and the gradient is that of its numbers.

import * as assert from "uvu/assert";
import { type Csr, withValues } from "../../src/core/csr.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { exponentialEuler } from "../../src/ode/tableaus/index.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse } from "../support/matrices.ts";
import {
  cotangents,
  type HostProblem,
  INTEGRAL,
  leakyProblem,
  normals,
  pairing,
  rateProblem,
  solveOnHost,
} from "./harness.ts";

const OPTIONS = (dt0: number) => ({ tableau: exponentialEuler, dt0, controller: { type: "fixed" } }) as const;

/** dy/dt = (input − y)/τ, with one number per neuron. */
function linearProblem(tau: readonly number[], tEnd: number, tEval: readonly number[]): HostProblem {
  const rows = tau.length;
  const system: OdeSystem = {
    rows,
    rhs: (g, _, y) => g.ops.div(g.ops.sub(g.state("input", rows), y), g.row("tau", rows)),
    leak: (g) => g.ops.div(1, g.row("tau", rows)),
  };
  return {
    system,
    samples: 1,
    y0: normals("linear y0", rows),
    states: { input: normals("linear input", rows) },
    rows: { tau },
    tStart: [0],
    tEnd: [tEnd],
    tEval: tEval.map((t) => [t]),
  };
}

forEachBackend("exponential Euler", ["f64", "f32"], (test) => {
  test("is exact for a leak towards a constant input, at every time and for any step", async ({ backend }) => {
    const tau = [0.01, 0.5, 1, 7, 1e4];
    const times = [0.03, 1, 2.5];
    for (const dt0 of [0.1, 0.7, 5]) {
      const problem = linearProblem(tau, 2.5, times);
      const { ys } = await solveOnHost(backend, problem, OPTIONS(dt0));
      const { y0, states } = problem;
      times.forEach((t, j) => {
        const exact = tau.map((x, i) => {
          const input = states!.input![i]!;
          return input + (y0[i]! - input) * Math.exp(-t / x);
        });
        assertClose(ys[j]!, exact, backend.dtype === "f32" ? 2e-5 : 1e-13, `dt ${dt0}, t = ${t}`);
      });
    }
  });

  test("does not blow up with steps of 50 time constants", async ({ backend }) => {
    const problem = { ...leakyProblem(2), rows: { ...leakyProblem(2).rows!, tau: new Float64Array(6).fill(0.1) } };
    const { ys, stats } = await solveOnHost(backend, problem, OPTIONS(5));
    assert.equal(stats.status, ["success", "success"]);
    // relu(tanh(…)) lies in [0, 1]: so does every mean of such values.
    for (const v of ys.at(-1)!) assert.ok(v >= -1e-6 && v <= 1 + 1e-6, `${v}`);
  });

  test("evaluates once per step, and needs a leak", async ({ backend }) => {
    const { stats } = await solveOnHost(backend, leakyProblem(1), OPTIONS(0.5));
    assert.is(stats.nFEvals, stats.nSteps[0]!);
    try {
      await solveOnHost(backend, rateProblem(1), OPTIONS(0.5));
      assert.unreachable();
    } catch (e) {
      assert.match((e as Error).message, /a system with a leak, or a method that needs none, got exponentialEuler/);
    }
  });
});

forEachBackend("exponential Euler, gradient", ["f64"], (test) => {
  test("has order 1", async ({ backend }) => {
    const problem = leakyProblem(1);
    const exact = await solveOnHost(backend, problem, {
      tableau: dopri5,
      controller: { ...INTEGRAL, atol: 1e-10, rtol: 1e-9 },
    });
    const errors: number[] = [];
    for (const dt0 of [0.04, 0.02, 0.01]) {
      const { ys } = await solveOnHost(backend, problem, OPTIONS(dt0));
      errors.push(Math.max(...ys.at(-1)!.map((v, i) => Math.abs(v - exact.ys.at(-1)![i]!))));
    }
    for (const i of [1, 2]) {
      const order = Math.log2(errors[i - 1]! / errors[i]!);
      assert.ok(Math.abs(order - 1) < 0.1, `errors ${errors}: order ${order}`);
    }
  });

  test("is that of the numbers it computes, dense output included", async ({ backend }) => {
    const problem = leakyProblem(2);
    const cts = cotangents(problem);
    const { gradients } = await solveOnHost(backend, problem, OPTIONS(0.3), cts);
    const f = async (p: Point) => pairing((await solveOnHost(backend, at(problem, p), OPTIONS(0.3))).ys, cts);
    const { y0, states, rows, matrices } = problem;
    const point = { y0, ...states, ...rows, hh: matrices!.hh!.values };
    await assertGradient("exponential Euler", f, point, gradients, { roundings: 3000, stepScale: 8 });
  });

  test("is a method of ConnectomeODERNN by its name", async ({ backend }) => {
    const n = 6;
    const connectome = absolute(randomSparse(n, n, 0.5).csr);
    const tau = normals("tau", n).map((x) => 1.5 + Math.abs(x));
    const model = (solve: object) =>
      new ConnectomeODERNN(backend, { numNeurons: n, inputSize: n, connectome, neuronTau: tau, solve });
    const input = { data: normals("x", 2 * n), batch: 2 };
    const ct = normals("ct", 2 * 3 * n);
    const evaluation = { numEvals: 3, endTime: 2 };
    const run = async (solve: object) => {
      const network = model(solve);
      const { trajectory } = await network.vjp(input, ct, evaluation);
      const gradient = await network.parameters.gradient("rnn.tau");
      network.dispose();
      return { ...trajectory, gradient };
    };
    const exact = await run({ rtol: 1e-8, atol: 1e-9 });
    const ours = await run({ method: "exponentialEuler", dt0: 0.002 });
    assert.equal(ours.stats[0]!.nSteps, [1000, 1000]);
    assertClose(ours.outs, exact.outs, 2e-3, "states");
    assertClose(ours.gradient, exact.gradient, 5e-3, "gradient of tau");
    const rejects = async (solve: object, message: RegExp) => {
      try {
        await run(solve);
      } catch (e) {
        assert.match((e as Error).message, message);
        return;
      }
      assert.unreachable(`${message}`);
    };
    await rejects({ method: "exponentialEuler" }, /expected a first step size/);
    await rejects({ method: "exponentialEular" }, /exponentialEuler\?/);
    await rejects({ method: "euler", tableau: dopri5 }, /a method or a tableau/);
  });
});

function at(problem: HostProblem, point: Point): HostProblem {
  const { drive, tau, bias, hh, y0 } = point;
  const matrices = { hh: withValues(problem.matrices!.hh!, Float64Array.from(hh!)) };
  return { ...problem, y0: y0!, states: { drive: drive! }, rows: { tau: tau!, bias: bias! }, matrices };
}

function absolute(csr: Csr): Csr {
  return withValues(csr, csr.values.map(Math.abs));
}
