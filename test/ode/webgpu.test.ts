// The solver on WebGPU: every method against WASM in double precision, forward and back, and what a budget of memory changes (nothing).

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, BoundProgram } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import type { GpuBoundProgram } from "../../src/backend/webgpu/bind.ts";
import { dopri5, exponentialEuler, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { variant } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import {
  cotangents,
  type HostOptions,
  kindProblem,
  leakyProblem,
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

  test("an attempt of Dopri5 takes a dispatch per product and 5 more, its reverse one per walk and 9 more", async ({
    gpu,
  }) => {
    const PRODUCTS = 6;
    const counts: Record<string, number> = {};
    const run = (bound: BoundProgram): void => {
      counts[bound.executable.program.name] = (bound as GpuBoundProgram).dispatches.length;
      gpu.run(bound);
    };
    const problem = rateProblem(SAMPLES);
    await solveOnHost(variant(gpu, { run }), problem, {}, cotangents(problem));
    assert.is(counts["attempt.recorded"], PRODUCTS + 5);
    assert.is(counts["attempt.reverse.dense"], PRODUCTS + 9);
    assert.is(counts.dense, 2);
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
      const tight = await solveOnHost(gpu, problem, { memoryBudgetBytes }, cts);
      assert.is(tight.stats.plan!.strategy, strategy);
      for (const [name, g] of Object.entries(whole.gradients))
        assertBitEqual(tight.gradients[name]!, g, `${strategy}, gradient of ${name}`);
    }
  });

  test.run();
}
