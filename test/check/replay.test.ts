// Replay of accepted steps: what makes runs on different devices comparable.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { cotangents, INTEGRAL, rateProblem, solveOnHost } from "../ode/harness.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";

const test = suite("replay");

/** Solves with rejected steps, so that attempts and accepted steps differ. */
const ADAPTIVE = { dt0: 0.9, controller: { ...INTEGRAL, rtol: 1e-5 } };

async function recorded(samples: number) {
  const backend = await createWasmBackend({ dtype: "f64", threads: 1 });
  const problem = rateProblem(samples);
  const solution = await solveOnHost(backend, problem, ADAPTIVE);
  return { backend, problem, solution, steps: solution.stats.steps! };
}

test("a solve tells the steps that each sample accepted, and no others", async () => {
  const { backend, problem, solution, steps } = await recorded(3);
  steps.forEach((ofSample, s) => {
    assert.is(ofSample.length, solution.stats.nAccepted[s]);
    assert.ok(solution.stats.nSteps[s]! > ofSample.length, "some step was rejected");
    const length = ofSample.reduce((sum, dt) => sum + dt, 0);
    assert.ok(Math.abs(length - (problem.tEnd[s]! - problem.tStart[s]!)) < 1e-12);
  });
  await backend.dispose();
});

test("replaying a run's own steps gives its numbers, bit for bit", async () => {
  const { backend, problem, solution, steps } = await recorded(3);
  const again = await solveOnHost(backend, problem, { controller: { type: "replay", steps } });
  for (const [j, ys] of solution.ys.entries()) assertBitEqual(again.ys[j]!, ys, `evaluation ${j}`);
  assert.equal(again.stats.nSteps, solution.stats.nAccepted);
  assert.equal(again.stats.steps, steps);
  await backend.dispose();
});

test("its gradient is that of the recorded steps without step-size control", async () => {
  const { backend, problem, steps } = await recorded(3);
  const cts = cotangents(problem);
  const cut = { throughStepSizeControl: false };
  const { gradients } = await solveOnHost(backend, problem, { ...ADAPTIVE, ...cut }, cts);
  const replay = await solveOnHost(backend, problem, { controller: { type: "replay", steps }, ...cut }, cts);
  for (const [name, gradient] of Object.entries(gradients)) {
    // The same operations but for the order in which programs add: a few roundings of the largest entry.
    const size = Math.max(...gradient.map(Math.abs));
    assertClose(replay.gradients[name]!, gradient, 1e-13 * size, name);
  }
  await backend.dispose();
});

test("another precision takes exactly the same number of steps", async () => {
  const { backend, problem, steps } = await recorded(2);
  const single = await createWasmBackend({ dtype: "f32", threads: 1 });
  const { stats } = await solveOnHost(single, problem, { controller: { type: "replay", steps } });
  assert.equal(stats.status, ["success", "success"]);
  for (const [s, n] of stats.nSteps.entries()) assert.ok(Math.abs(n - steps[s]!.length) <= 1);
  await backend.dispose();
  await single.dispose();
});

test("steps of another number of samples are refused", async () => {
  const { backend, steps } = await recorded(2);
  try {
    await solveOnHost(backend, rateProblem(3), { controller: { type: "replay", steps } });
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /steps of 3 samples/);
  }
  await backend.dispose();
});

test.run();
