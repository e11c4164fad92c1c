// The solver's promises about samples, time and failures: nothing depends on batch mates, on the width of panels or on how often the
// host looks; a failure names its sample and leaves the others alone.

import * as assert from "uvu/assert";
import { ArgumentError, SolverError } from "../../src/core/errors.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { assertSolved } from "../../src/ode/solveStats.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { forEachBackend, variant } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import {
  cotangents,
  countingAttempts,
  type HostProblem,
  INTEGRAL,
  pairing,
  rateProblem,
  refusingAfter,
  sampleOf,
  solveOnHost,
} from "./harness.ts";

/** dy/dt = −2ty, so y = y₀·e^(t₀² − t²). */
const GAUSSIAN: OdeSystem = { rows: 2, rhs: (g, t, y) => g.ops.mul(g.ops.mul(-2, t), y) };

/** dy/dt = y², which reaches infinity at t = 1/y₀. */
const BLOW_UP: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.mul(y, y) };

function problem(
  system: OdeSystem,
  y0: readonly number[],
  tStart: number[],
  tEnd: number[],
  tEval?: number[][],
): HostProblem {
  return { system, samples: tStart.length, y0, tStart, tEnd, tEval: tEval ?? [tEnd] };
}

forEachBackend("solver", ["f64", "f32"], (test) => {
  test("a batch gives bit for bit what its members give alone, states, counts and gradients", async ({ backend }) => {
    const batch = rateProblem(11);
    const cts = cotangents(batch);
    const together = await solveOnHost(backend, batch, {}, cts);
    assert.ok(new Set(together.stats.nSteps).size > 1, `samples differ in steps: ${together.stats.nSteps}`);
    for (let s = 0; s < batch.samples; s++) {
      const own = <T extends Float64Array>(data: T) => data.slice((s * data.length) / 11, ((s + 1) * data.length) / 11);
      const alone = await solveOnHost(backend, sampleOf(batch, s), {}, cts.map(own));
      alone.ys.forEach((y, j) => {
        assertBitEqual(own(together.ys[j]!), y, `sample ${s}, evaluation ${j}`);
      });
      assert.is(together.stats.nSteps[s], alone.stats.nSteps[0]);
      assert.is(together.stats.nAccepted[s], alone.stats.nAccepted[0]);
      for (const name of ["y0", "drive"]) {
        assertBitEqual(own(together.gradients[name]!), alone.gradients[name]!, `gradient of ${name}, sample ${s}`);
      }
    }
  });

  test("running ahead of the device changes no bit, whether too many attempts are enqueued or too few", async ({
    backend,
  }) => {
    // A solver expects its first solve to take 8 attempts.
    const few = rateProblem(5, { tEnd: 0.5, tEval: [0, 0.2, 0.5] });
    const many = rateProblem(5, { tEnd: 12, tEval: [0, 2.5, 12] });
    for (const [batch, isShort] of [
      [few, true],
      [many, false],
    ] as const) {
      const cts = cotangents(batch);
      const every = await solveOnHost(backend, batch, {}, cts);
      assert.is(Math.max(...every.stats.nSteps) < 8, isShort, `${every.stats.nSteps}`);
      for (const memoryBudgetBytes of [2 ** 28, 8 * every.stats.plan!.bytesPerStart]) {
        for (const ahead of [false, true]) {
          const options = { ahead, memoryBudgetBytes };
          const result = await solveOnHost(variant(backend, { isAsynchronous: true }), batch, options, cts);
          assert.equal(result.stats.nSteps, every.stats.nSteps);
          assert.is(result.stats.nFEvals, every.stats.nFEvals);
          every.ys.forEach((y, j) => {
            assertBitEqual(result.ys[j]!, y, `evaluation ${j}`);
          });
          for (const [name, g] of Object.entries(every.gradients))
            assertBitEqual(result.gradients[name]!, g, `gradient of ${name}`);
        }
      }
    }
  });

  test("a budget of memory changes what is stored and no bit of the result", async ({ backend }) => {
    const batch = rateProblem(3, { tEnd: 12, tEval: [0, 2.5, 2.6, 12] });
    const cts = cotangents(batch);
    const whole = await solveOnHost(backend, batch, {}, cts);
    const { attempts, bytesPerSaves, bytesPerStart, strategy } = whole.stats.plan!;
    assert.is(strategy, "store");
    assert.is(whole.stats.plan!.attemptsStored, attempts);
    assert.is(whole.stats.plan!.attemptsRecomputed, 0);
    assert.is(whole.stats.plan!.budgetBytes, backend.tapeBudgetBytes);
    const budgets = {
      // Not quite enough to keep everything, and next to nothing.
      recompute: 0.9 * (attempts * bytesPerSaves + (attempts + 1) * bytesPerStart),
      checkpoint: 3 * bytesPerStart,
    };
    for (const [expected, memoryBudgetBytes] of Object.entries(budgets)) {
      const counting = countingAttempts(backend);
      const tight = await solveOnHost(counting.backend, batch, { memoryBudgetBytes }, cts);
      const plan = tight.stats.plan!;
      assert.is(plan.strategy, expected, JSON.stringify(plan));
      assert.is(plan.attemptsStored + plan.attemptsRecomputed, attempts);
      assert.ok(plan.attemptsRecomputed > 0);
      assert.is(plan.attemptsRecomputed, counting.attempts() - attempts, "what the reverse pass ran again");
      assert.equal([plan.budgetBytes, plan.limitedBy], [memoryBudgetBytes, "budget"]);
      for (const [name, g] of Object.entries(whole.gradients)) {
        assertBitEqual(tight.gradients[name]!, g, `${expected}, gradient of ${name}`);
      }
    }
  });

  test("what the device has no memory for is recomputed, and no bit of the result changes", async ({ backend }) => {
    const batch = rateProblem(3, { tEnd: 12, tEval: [0, 2.5, 2.6, 12] });
    const cts = cotangents(batch);
    const whole = await solveOnHost(backend, batch, {}, cts);
    const { attempts } = whole.stats.plan!;
    for (const ahead of [false, true]) {
      for (const count of [0, 5, 12, 20]) {
        const counting = countingAttempts(refusingAfter(backend, count));
        const options = { ahead };
        const full = await solveOnHost(variant(counting.backend, { isAsynchronous: ahead }), batch, options, cts);
        const { attemptsRecomputed, limitedBy, budgetBytes } = full.stats.plan!;
        const where = `${count} sets${ahead ? ", ahead" : ""}`;
        assert.is(limitedBy, "device", where);
        assert.ok(attemptsRecomputed > 0 && budgetBytes < backend.tapeBudgetBytes, where);
        if (!ahead) assert.is(attemptsRecomputed, counting.attempts() - attempts, where);
        for (const [name, g] of Object.entries(whole.gradients))
          assertBitEqual(full.gradients[name]!, g, `${where}, gradient of ${name}`);
      }
    }
  });

  test("times are per sample, and an evaluation at the start is the initial state", async ({ backend }) => {
    const tStart = [0, 0.5, -1];
    const tEnd = [1, 1.5, 0.25];
    const y0 = [1, 2, 3, -1, 0.5, 4];
    const middle = tStart.map((t, s) => (t + tEnd[s]!) / 2);
    const host = problem(GAUSSIAN, y0, tStart, tEnd, [tStart, middle, tEnd]);
    const { ys, stats } = await solveOnHost(backend, host, { controller: { ...INTEGRAL, rtol: 1e-5 } });
    assert.equal(stats.status, ["success", "success", "success"]);
    assertBitEqual(ys[0]!, y0, "at the start");
    [tStart, middle, tEnd].forEach((times, j) => {
      const expected = y0.map((y, i) => y * Math.exp(tStart[i >> 1]! ** 2 - times[i >> 1]! ** 2));
      assertClose(ys[j]!, expected, 1e-4, `evaluation ${j}`);
    });
    assertClose(stats.t, tEnd, 1e-6, "every sample is at its end");
  });

  test("time may run backwards", async ({ backend }) => {
    const controller = { ...INTEGRAL, atol: 1e-6, rtol: 1e-5 };
    const there = await solveOnHost(backend, problem(GAUSSIAN, [1, 2], [0], [1]), { controller });
    const back = await solveOnHost(backend, problem(GAUSSIAN, [...there.ys[0]!], [1], [0], [[0.5], [0]]), {
      controller,
    });
    assertClose(back.ys[1]!, [1, 2], 1e-4, "back at the start");
    assertClose(back.ys[0]!, [Math.exp(-0.25), 2 * Math.exp(-0.25)], 1e-4, "halfway");
    assert.ok(back.stats.dt[0]! <= 0, "steps are negative");
  });

  test("evaluations of the right-hand side are counted: two at the start and six per attempt", async ({ backend }) => {
    const host = problem(GAUSSIAN, [1, 2, 3, 4], [0, 0], [1, 2]);
    const { stats } = await solveOnHost(backend, host);
    assert.is(stats.nFEvals, 2 + 6 * Math.max(...stats.nSteps));
    const given = await solveOnHost(backend, host, { dt0: 0.01 });
    assert.is(given.stats.nFEvals, 1 + 6 * Math.max(...given.stats.nSteps));
  });

  test("maxSteps stops the sample that needs more, names it, and leaves the others alone", async ({ backend }) => {
    const [slow, fast] = [3, 0.25];
    const host = problem(GAUSSIAN, [1, 1, 1, 1, 1, 1], [0, 0, 0], [fast, slow, fast]);
    const free = await solveOnHost(backend, host);
    const maxSteps = free.stats.nSteps[0]! + 1;
    assert.ok(free.stats.nSteps[1]! > maxSteps);
    const { stats, ys } = await solveOnHost(backend, host, { maxSteps });
    assert.equal(stats.status, ["success", "maxSteps", "success"]);
    assert.is(stats.nSteps[1], maxSteps);
    assertBitEqual(
      [...ys[0]!.slice(0, 2), ...ys[0]!.slice(4)],
      [...free.ys[0]!.slice(0, 2), ...free.ys[0]!.slice(4)],
      "the others",
    );
    const error = thrown(() => assertSolved(stats, 16));
    assert.is(error.code, "maxSteps");
    assert.is(error.facts.sample, 17, "counted from the first sample of the chunk");
    assert.is(error.facts.nSteps, maxSteps);
    assert.ok((error.facts.t as number) > 0 && (error.facts.t as number) < slow);
    assert.match(error.message, /sample 17 stopped at t = .* with step .*maxSteps = \d+.*raise maxSteps/);
  });

  test("a sample whose steps all finish in time succeeds even with its last permitted attempt", async ({ backend }) => {
    const host = problem(GAUSSIAN, [1, 2], [0], [1]);
    const { stats } = await solveOnHost(backend, host);
    const exact = await solveOnHost(backend, host, { maxSteps: stats.nSteps[0]! });
    assert.equal(exact.stats.status, ["success"]);
    const short = await solveOnHost(backend, host, { maxSteps: stats.nSteps[0]! - 1 });
    assert.equal(short.stats.status, ["maxSteps"]);
  });

  test("a state that is not finite stops its sample, names it, and leaves the others alone", async ({ backend }) => {
    const tEnd = [0.5, 2, 0.5];
    const host = problem(BLOW_UP, [1, 1, 0.5], [0, 0, 0], tEnd);
    const { stats, ys } = await solveOnHost(backend, host, { dt0: 0.125, controller: { type: "fixed" } });
    assert.equal(stats.status, ["success", "nonFinite", "success"]);
    assertClose([ys[0]![0]!, ys[0]![2]!], [2, 2 / 3], 1e-4, "the others");
    assert.ok(stats.t[1]! >= 1 && stats.t[1]! < 2, `it stands where it failed: ${stats.t[1]}`);
    const error = thrown(() => assertSolved(stats));
    assert.is(error.code, "nonFinite");
    assert.is(error.facts.sample, 1);
  });

  test("there is no reverse through numbers that are not finite; one through too many steps is of the others", async ({
    backend,
  }) => {
    const fixed = { dt0: 0.125, controller: { type: "fixed" } } as const;
    const host = problem(BLOW_UP, [1, 1, 0.5], [0, 0, 0], [0.5, 2, 0.5]);
    const ct = [Float64Array.of(1, 0, 1)];
    let message = "";
    try {
      await solveOnHost(backend, host, fixed, ct);
    } catch (error) {
      message = (error as Error).message;
    }
    assert.match(message, /sample 1 stopped .*nonFinite/);
    const short = await solveOnHost(backend, host, { ...fixed, maxSteps: 6 }, ct);
    assert.equal(short.stats.status, ["success", "maxSteps", "success"]);
    const alone = await solveOnHost(backend, problem(BLOW_UP, [1, 0.5], [0, 0], [0.5, 0.5]), fixed, [
      Float64Array.of(1, 1),
    ]);
    const [first, failed, last] = short.gradients.y0!;
    assertBitEqual([first!, last!], alone.gradients.y0!, "gradients of the others");
    assert.is(failed, 0);
  });

  test("a right-hand side that gives NaN fails there, also under error control", async ({ backend }) => {
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, t, y) => g.ops.select(g.ops.lt(0.5, t), g.ops.log(g.ops.sub(y, 10)), 1),
    };
    const host = problem(system, [0, 0], [0, 0], [0.4, 1]);
    const { stats } = await solveOnHost(backend, host);
    assert.equal(stats.status, ["success", "nonFinite"]);
    assert.ok(stats.t[1]! > 0.499 && stats.t[1]! <= 0.5, `as far as it goes: ${stats.t[1]}`);
    const start = await solveOnHost(backend, problem(system, [0], [0.6], [1]));
    assert.equal(start.stats.status, ["nonFinite"]);
    assert.ok(start.stats.nSteps[0]! <= 1);
  });

  test("cotangents may be absent, and those at the start go straight to the initial state", async ({ backend }) => {
    const host = rateProblem(2);
    const cts = cotangents(host);
    const { gradients } = await solveOnHost(backend, host, {}, [cts[0]!, null, null, null]);
    assertBitEqual(
      gradients.y0!,
      Float64Array.from(cts[0]!, (x) => (backend.dtype === "f32" ? Math.fround(x) : x)),
      "y0",
    );
    for (const name of ["hh", "tau", "bias", "drive"])
      assert.ok(
        gradients[name]!.every((g) => g === 0),
        name,
      );
  });

  test("solving again with the same solver gives the same bits", async ({ backend }) => {
    const host = rateProblem(3);
    const cts = cotangents(host);
    const [first, second] = [await solveOnHost(backend, host, {}, cts), await solveOnHost(backend, host, {}, cts)];
    assert.is(pairing(first.ys, cts), pairing(second.ys, cts));
    for (const [name, g] of Object.entries(first.gradients)) assertBitEqual(second.gradients[name]!, g, name);
  });

  test("requests that make no sense are refused by name", async ({ backend }) => {
    const refused = async (what: string, host: HostProblem) => {
      try {
        await solveOnHost(backend, host);
      } catch (error) {
        assert.instance(error, ArgumentError);
        assert.match((error as ArgumentError).message, what);
        return;
      }
      assert.unreachable(what);
    };
    await refused("tEnd", problem(GAUSSIAN, [1, 1], [1], [1]));
    await refused("tEval[0]", problem(GAUSSIAN, [1, 1], [0], [1], [[1.5]]));
    await refused("tEval[1]", problem(GAUSSIAN, [1, 1], [0], [1], [[0.5], [0.25]]));
    await refused("tStart", problem(GAUSSIAN, [1, 1], [Number.NaN], [1]));
    const options = { tableau: dopri5, controller: { type: "fixed" } as const, maxSteps: 10, reverse: null };
    assert.throws(() => new OdeSolver(backend, GAUSSIAN, options), /dt0/);
    assert.throws(() => new OdeSolver(backend, GAUSSIAN, { ...options, dt0: 0.1, maxSteps: 0 }), /maxSteps/);
  });
});

function thrown(body: () => void): SolverError {
  try {
    body();
  } catch (error) {
    assert.instance(error, SolverError);
    return error as SolverError;
  }
  return assert.unreachable("expected an error, got none") as never;
}
