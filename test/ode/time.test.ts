// Time far from 0: solves begin at the start of their interval, wherever that is.

import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { cotangents, type HostProblem, INTEGRAL, rateProblem, solveOnHost } from "./harness.ts";

/** The problem with every sample's times moved by its own offset; `direction` −1 mirrors time. */
function moved(problem: HostProblem, offsets: readonly number[], direction = 1): HostProblem {
  const move = (times: readonly number[]) => times.map((t, s) => offsets[s]! + direction * t);
  const { tStart, tEnd, tEval } = problem;
  return { ...problem, tStart: move(tStart), tEnd: move(tEnd), tEval: tEval.map(move) };
}

/** dy/dt = 2·time·y with the time since the start, or absolute time. */
function growth(absolute: boolean): OdeSystem {
  return { rows: 1, rhs: (g, t, y, { elapsed }) => g.ops.mul(g.ops.mul(2, absolute ? t : elapsed), y) };
}

function growthProblem(absolute: boolean, start: number, length: number): HostProblem {
  const tEnd = [start + length];
  return { system: growth(absolute), samples: 1, y0: [1], tStart: [start], tEnd, tEval: [tEnd] };
}

forEachBackend("time far from 0", ["f64", "f32"], (test) => {
  test("changes no bit of an autonomous problem, forwards and backwards, and each sample has its own", async ({
    backend,
  }) => {
    // Multiples of 1/4 are exact in double precision at all of these.
    const near = rateProblem(4, { tEnd: 1, tEval: [0, 0.25, 0.5, 1] });
    const cts = cotangents(near);
    for (const direction of [1, -1]) {
      const here = await solveOnHost(backend, moved(near, [0, 0, 0, 0], direction), {}, cts);
      const offsets = [1e6, 1e8, -1e8, 3e12];
      const far = moved(near, offsets, direction);
      const there = await solveOnHost(backend, far, {}, cts);
      assert.equal(there.stats.nSteps, here.stats.nSteps);
      assert.equal(there.stats.status, ["success", "success", "success", "success"]);
      assert.equal(there.stats.t, far.tEnd, "absolute, in double precision");
      here.ys.forEach((y, j) => {
        assertBitEqual(there.ys[j]!, y, `evaluation ${j}`);
      });
      for (const [name, g] of Object.entries(here.gradients)) assertBitEqual(there.gradients[name]!, g, name);
    }
  });

  test("is no matter for a right-hand side of the time since the start", async ({ backend }) => {
    const exact = Math.exp(1);
    for (const start of [0, 1e8, -1e8]) {
      const controller = { ...INTEGRAL, rtol: 1e-5 };
      const { ys } = await solveOnHost(backend, growthProblem(false, start, 1), { controller });
      assertClose(ys[0]!, [exact], 1e-4, `from ${start}`);
    }
  });

  test("is refused for a right-hand side of absolute time that the precision does not resolve", async ({ backend }) => {
    const refusal = async (start: number, length: number) => {
      try {
        await solveOnHost(backend, growthProblem(true, start, length), { maxSteps: 1 });
        return "";
      } catch (error) {
        assert.instance(error, ArgumentError);
        return (error as Error).message;
      }
    };
    const [far, further] = backend.dtype === "f32" ? [1e3, 1e5] : [1e10, 1e15];
    assert.is(await refusal(far, 1), "");
    for (const length of [1, -1]) {
      const message = await refusal(further, length);
      assert.match(message, /can distinguish 1024 times.*depends on t.*time\.elapsed/);
      assert.match(message, /where it can distinguish \d+ \(tStart\)/);
    }
  });

  test("of a sample that fails is absolute", async ({ backend }) => {
    const blowUp: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.mul(y, y) };
    const start = 2 ** 24;
    const problem = { system: blowUp, samples: 1, y0: [1], tStart: [start], tEnd: [start + 2], tEval: [[start + 2]] };
    const { stats } = await solveOnHost(backend, problem, { dt0: 0.125, controller: { type: "fixed" } });
    assert.equal(stats.status, ["nonFinite"]);
    assert.ok(stats.t[0]! >= start + 1 && stats.t[0]! < start + 2, `${stats.t[0]}`);
  });

  test("an interval that the device takes for a point or for endless is refused", async ({ backend }) => {
    const [tiny, huge] = backend.dtype === "f32" ? [1e-39, 1e39] : [1e-309, null];
    for (const length of [tiny, huge]) {
      if (length === null) continue;
      try {
        await solveOnHost(backend, growthProblem(false, 0, length));
        assert.unreachable(`${length}`);
      } catch (error) {
        assert.instance(error, ArgumentError);
        assert.match((error as Error).message, /distance from tStart that f\d\d can express/);
      }
    }
  });
});
