// The solver on WebGPU: every method against WASM in double precision, forward and back, and what a budget of memory changes (nothing).

import * as assert from "uvu/assert";
import type { Backend, BoundProgram } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { GpuBound } from "../../src/backend/webgpu/dispatches.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { dopri5, exponentialEuler, heun, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { variant } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { rateSystem } from "../support/systems.ts";
import {
  cotangents,
  countingAttempts,
  type HostOptions,
  type HostProblem,
  kindProblem,
  leakyProblem,
  normals,
  RHS_KINDS,
  rateProblem,
  sharingProblem,
  solveOnHost,
} from "./harness.ts";

const SAMPLES = 5;
/** Roundings on the longest path through a few dozen stages, for sums without much cancellation. */
const ROUNDINGS = 500;

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ gpu: Backend; f64: Backend }>("solver on webgpu", {} as { gpu: Backend; f64: Backend });
  test.before(async (context) => {
    context.gpu = await createWebGpuBackend();
    context.f64 = await createWasmBackend({ dtype: "f64", threads: 1 });
  });
  test.after(async ({ gpu, f64 }) => {
    await gpu.dispose();
    await f64.dispose();
  });

  const methods = [...TABLEAUS, exponentialEuler].map((tableau) => {
    const problem = (tableau.exponential ? leakyProblem : rateProblem)(SAMPLES);
    return { tableau, problem, what: "" };
  });
  const kinds = Object.entries(RHS_KINDS).map(([kind, rhs]) => {
    return { tableau: dopri5, problem: kindProblem(rhs, false), what: ` of a right-hand side of kind ${kind}` };
  });
  const sharing = { tableau: dopri5, problem: sharingProblem(SAMPLES), what: " of a system that shares parameters" };
  for (const { tableau, problem, what } of [...methods, sharing, ...kinds]) {
    test(`${tableau.name}: states and gradients${what} are those of double precision, but for rounding`, async (context) => {
      const options: HostOptions = { tableau, controller: { type: "fixed" }, dt0: 0.5 };
      const cts = cotangents(problem);
      const expected = await solveOnHost(context.f64, problem, options, cts);
      const got = await solveOnHost(context.gpu, problem, options, cts);
      assert.equal(got.stats.nSteps, expected.stats.nSteps);
      const close = (actual: Float64Array, reference: Float64Array, label: string) =>
        assertClose(actual, reference, gamma(ROUNDINGS, "f32") * Math.max(...reference.map(Math.abs)), label);
      expected.ys.forEach((y, j) => {
        close(got.ys[j]!, y, `evaluation ${j}`);
      });
      for (const [name, g] of Object.entries(expected.gradients)) {
        assert.ok(g.some((x) => x !== 0));
        close(got.gradients[name]!, g, `gradient of ${name}`);
      }
    });
  }

  test("an attempt of Dopri5 takes a dispatch per product and 5 more, its reverse two per walk and 3 more", async ({
    gpu,
  }) => {
    const PRODUCTS = 6;
    /** Dispatches of each program that a solve runs. */
    const dispatchesOf = async (tEval: readonly number[]): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      const run = (bound: BoundProgram): void => {
        counts[bound.executable.program.name] = (bound as GpuBound).dispatches.length;
        gpu.run(bound);
      };
      const problem = rateProblem(SAMPLES, { tEval });
      await solveOnHost(variant(gpu, { run }), problem, {}, cotangents(problem));
      return counts;
    };
    const attempt = { "attempt.recorded": PRODUCTS + 5, dense: 2 };
    const one = Object.entries(await dispatchesOf([1.1])).filter(([name]) => /attempt|dense|stages/i.test(name));
    assert.equal(Object.fromEntries(one), { ...attempt, "attempt.reverse.dense": 2 * PRODUCTS + 3 });
    const several = await dispatchesOf([0.4, 1.1]);
    assert.is(several["attempt.reverse.stages"], 2 * PRODUCTS + 3);
    assert.is(several["dense.reverse"], 3);
    assert.is(several["attempt.reverse.dense"], undefined);
  });

  test("a budget of memory changes what is stored and no bit of the result", async ({ gpu }) => {
    const problem = rateProblem(SAMPLES, { tEnd: 12, tEval: [0, 2.5, 2.6, 12] });
    const cts = cotangents(problem);
    const whole = await solveOnHost(gpu, problem, {}, cts);
    const { attempts, bytesPerSaves, bytesPerStart } = whole.stats.plan!;
    const budgets = {
      recompute: 0.9 * (attempts * bytesPerSaves + (attempts + 1) * bytesPerStart),
      checkpoint: 3 * bytesPerStart,
    };
    for (const [strategy, memoryBudgetBytes] of Object.entries(budgets)) {
      const counting = countingAttempts(gpu);
      const tight = await solveOnHost(counting.backend, problem, { memoryBudgetBytes }, cts);
      const plan = tight.stats.plan!;
      assert.is(plan.strategy, strategy);
      assert.ok(plan.attemptsRecomputed > 0);
      // A solve expects 8 attempts at first, and enqueues a quarter more at a time.
      const enqueued = counting.attempts() - plan.attemptsRecomputed;
      assert.ok(enqueued >= attempts && enqueued < attempts + 8, `${enqueued} attempts, ${attempts} of use`);
      for (const [name, g] of Object.entries(whole.gradients))
        assertBitEqual(tight.gradients[name]!, g, `${strategy}, gradient of ${name}`);
    }
  });

  test("what the backend's memory has no room for is recomputed, and no bit of the result changes", async ({ gpu }) => {
    // 2000 neurons, 16 lanes: a state takes 128 KB, an attempt of Heun three of them, and 24 attempts 9 MB.
    const rows = 2000;
    const hh = randomSparse(rows, rows, 0.001).csr;
    const problem: HostProblem = {
      system: rateSystem(rows, hh.nnz),
      samples: 16,
      y0: normals("y0", 16 * rows),
      states: { drive: normals("drive", 16 * rows) },
      rows: { tau: new Float64Array(rows).fill(1), bias: new Float64Array(rows) },
      matrices: { hh },
      tStart: new Array<number>(16).fill(0),
      tEnd: new Array<number>(16).fill(12),
      tEval: [new Array<number>(16).fill(12)],
    };
    const cts = cotangents(problem);
    const options = { tableau: heun, controller: { type: "fixed" as const }, dt0: 0.5 };
    const whole = await solveOnHost(gpu, problem, options, cts);
    assert.equal([whole.stats.plan!.strategy, whole.stats.plan!.attempts], ["store", 24]);
    const small = await createWebGpuBackend({ memoryBudgetBytes: 12 * 2 ** 20 });
    const got = await solveOnHost(small, problem, { ...options, ahead: true }, cts);
    await small.dispose();
    const { limitedBy, attemptsStored, attemptsRecomputed } = got.stats.plan!;
    assert.is(limitedBy, "device");
    assert.ok(attemptsStored > 0 && attemptsRecomputed > 0, `${attemptsStored} stored`);
    for (const [name, g] of Object.entries(whole.gradients))
      assertBitEqual(got.gradients[name]!, g, `gradient of ${name}`);
  });

  test("trial steps outside of the domain, jump times and a start far away: as in double precision, also ahead of the device", async ({
    gpu,
    f64,
  }) => {
    // A tank whose inflow changes; too long a step empties it.
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, _t, y, { jumpsPassed }) => {
        const { ops } = g;
        return ops.sub(ops.mul(g.row("inflow", 1), ops.sub(1, ops.mul(0.25, jumpsPassed))), ops.sqrt(y));
      },
    };
    const tStart = [1e8, -1e8, 0];
    const at = (t: number) => tStart.map((start) => start + t);
    const problem: HostProblem = {
      system,
      samples: 3,
      y0: [4, 9, 1],
      rows: { inflow: [0.5] },
      tStart,
      tEnd: at(6),
      tEval: [at(1), at(4), at(6)],
      jumpTimes: tStart.map((start, s) => (s === 1 ? [start + 2] : [start + 2, start + 3])),
    };
    const cts = cotangents(problem);
    const options = { dt0: 8, throughStepSizeControl: false };
    const expected = await solveOnHost(f64, problem, options, cts);
    assert.equal(expected.stats.status, ["success", "success", "success"]);
    assert.ok(expected.stats.nSteps.every((n, s) => n > expected.stats.nAccepted[s]!));
    for (const ahead of [false, true]) {
      const got = await solveOnHost(gpu, problem, { ...options, ahead }, cts);
      assert.equal(got.stats.status, expected.stats.status);
      assert.equal(got.stats.t, problem.tEnd);
      expected.ys.forEach((y, j) => {
        assertClose(got.ys[j]!, y, 1e-3, `evaluation ${j}`);
      });
      for (const [name, g] of Object.entries(expected.gradients)) assertClose(got.gradients[name]!, g, 2e-2, name);
    }
  });

  test.run();
}
