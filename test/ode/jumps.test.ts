// Jump times: steps end there, each side sees its own right-hand side, and what happens between them is as if nothing had been cut.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import type { Controller, OdeSystem } from "../../src/ode/method.ts";
import { euler, exponentialEuler, heun, tsit5 } from "../../src/ode/tableaus/index.ts";
import type { Value } from "../../src/ops/value.ts";
import { forEachBackend, variant } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { assertGradient } from "../support/gradcheck.ts";
import { rateSystem } from "../support/systems.ts";
import {
  cotangents,
  type HostOptions,
  type HostProblem,
  INTEGRAL,
  normals,
  pairing,
  rateProblem,
  sampleOf,
  solveOnHost,
} from "./harness.ts";

const PID: Controller = { ...INTEGRAL, type: "pid", pCoeff: 0.2, iCoeff: 0.5, dCoeff: 0.1 };
const FIXED: Controller = { type: "fixed" };

/** How a right-hand side may tell which side of a time it is on. */
const COMPARISONS = ["lt", "le", "elapsed", "count"] as const;

/** dy/dt = 1 before the jump and 3 after it. */
function ramp(jump: number, how: (typeof COMPARISONS)[number], start = 0): OdeSystem {
  return {
    rows: 1,
    rhs: (g, t, y, { elapsed, jumpsPassed }) => {
      const { ops } = g;
      const forwards = start < jump;
      const below = (comparison: Value) => (forwards ? ops.sub(1, comparison) : comparison);
      const isAfter = {
        lt: () => below(ops.lt(t, jump)),
        le: () => below(ops.le(t, jump)),
        elapsed: () => ops.le(Math.abs(jump - start), ops.abs(elapsed)),
        count: () => jumpsPassed,
      };
      return ops.add(ops.mul(0, y), ops.select(isAfter[how](), 3, 1));
    },
  };
}

/** Samples whose input changes at times of their own; the sequence of the test system lies over t from 0 to 1. */
function sequences(samples: number): HostProblem {
  const [n, steps] = [6, 4];
  const problem = rateProblem(samples, { tEnd: 1, tEval: [0.25, 0.6, 1] });
  const all = <T>(value: T) => Array.from({ length: samples }, () => value);
  const drive = normals("sequence drive", samples * n * steps).map((x) => 3 * x);
  return {
    ...problem,
    system: rateSystem(n, problem.matrices!.hh!.nnz, steps),
    tEnd: all(1),
    tEval: [0.25, 0.6, 1].map(all),
    states: { drive },
    jumpTimes: all([0.25, 0.5, 0.75]),
  };
}

/** Without the kinks of relu, at which the gradient through step-size control is as wrong as at jumps, only less so. */
function smooth(problem: HostProblem): HostProblem {
  const [n, steps] = [problem.system.rows, 4];
  const { nnz } = problem.matrices!.hh!;
  const rhs: OdeSystem["rhs"] = (g, t, h) => {
    const { ops } = g;
    const frame = ops.min(steps - 1, ops.floor(ops.mul(t, steps)));
    const drive = ops.lookup(g.table("drive", n, steps), frame);
    const input = ops.add(drive, ops.matmul(g.sparse("hh", n, n, nnz), h));
    return ops.div(ops.sub(ops.tanh(ops.add(input, g.row("bias", n))), h), g.row("tau", n));
  };
  return { ...problem, system: { rows: n, rhs } };
}

forEachBackend("jump times", ["f64", "f32"], (test) => {
  test("each side of a jump sees its own right-hand side, with every method, controller and comparison", async ({
    backend,
  }) => {
    const options: HostOptions[] = [
      {},
      { tableau: tsit5 },
      { tableau: heun },
      { controller: PID },
      { controller: FIXED, dt0: 0.125 },
      { controller: FIXED, dt0: 0.125, tableau: heun },
      { controller: FIXED, dt0: 0.125, tableau: euler },
    ];
    for (const how of COMPARISONS) {
      for (const [start, jump, end] of [
        [0, 0.3, 1],
        [0.1, 0.3, 1],
        [1, 0.3, -0.5],
      ] as const) {
        for (const option of options) {
          const problem = {
            system: ramp(jump, how, start),
            samples: 1,
            y0: [0],
            tStart: [start],
            tEnd: [end],
            tEval: [[jump], [(jump + end) / 2], [end]],
            jumpTimes: [[jump]],
          };
          const { ys, stats } = await solveOnHost(backend, problem, option);
          const label = `${how} from ${start}, ${JSON.stringify({ ...option, tableau: option.tableau?.name })}`;
          const [before, after] = [jump - start, end - jump];
          const exact = [before, before + 1.5 * after, before + 3 * after];
          assertClose(
            ys.map((y) => y[0]!),
            exact,
            backend.dtype === "f32" ? 2e-6 : 1e-14,
            label,
          );
          assert.equal(stats.nSteps, stats.nAccepted, `${label}: nothing is rejected`);
          assert.equal(stats.t, [end], label);
        }
      }
    }
  });

  test("the step after a jump is as long as the one that was asked for before the cut", async ({ backend }) => {
    const problem = { system: ramp(0.25, "lt"), samples: 1, y0: [0], tStart: [0], tEnd: [1], tEval: [[1]] };
    const jumpTimes = [[0.25, 0.5]];
    const fixed = await solveOnHost(backend, { ...problem, jumpTimes }, { controller: FIXED, dt0: 0.1 });
    const expected = [0.1, 0.1, 0.05, 0.1, 0.1, 0.05, 0.1, 0.1, 0.1, 0.1, 0.1];
    assertClose(fixed.stats.steps![0]!, expected, 1e-6, "fixed steps");
    const adaptive = await solveOnHost(backend, { ...problem, jumpTimes }, { dt0: 0.2 });
    assertClose(adaptive.stats.steps![0]!, [0.2, 0.05, 0.25, 0.5], 1e-6, "a first step that grows");
  });

  test("steps that meet jump times but for rounding leave no tiny ones between", async ({ backend }) => {
    const problem = { system: ramp(0.3, "lt"), samples: 1, y0: [0], tStart: [0], tEnd: [3], tEval: [[3]] };
    const jumpTimes = [Array.from({ length: 9 }, (_, k) => 0.3 * (k + 1))];
    const { stats } = await solveOnHost(
      backend,
      { ...problem, jumpTimes },
      { controller: FIXED, dt0: 0.01, maxSteps: 2000 },
    );
    assert.equal(stats.nSteps, [300]);
  });

  test("samples with lists of their own get bit for bit what they get alone", async ({ backend }) => {
    const batch = {
      ...sequences(4),
      jumpTimes: [[0.75, 0.25, 0.5, 0.5, 7], [0.25, 0.5, 0.75], [0.1, 0.2, 0.25, 0.5, 0.75], []],
    };
    const cts = cotangents(batch);
    const together = await solveOnHost(backend, batch, {}, cts);
    for (let s = 0; s < 4; s++) {
      const own = <T extends Float64Array>(data: T) => data.slice((s * data.length) / 4, ((s + 1) * data.length) / 4);
      const alone = await solveOnHost(backend, sampleOf(batch, s), {}, cts.map(own));
      assert.is(together.stats.nSteps[s], alone.stats.nSteps[0], `sample ${s}`);
      together.ys.forEach((y, j) => {
        assertBitEqual(own(y), alone.ys[j]!, `sample ${s}, evaluation ${j}`);
      });
      assertBitEqual(own(together.gradients.y0!), alone.gradients.y0!, `gradient of sample ${s}`);
    }
  });

  test("outside of the interval they have no effect", async ({ backend }) => {
    const plain = rateProblem(2);
    const without = await solveOnHost(backend, plain);
    const with_ = await solveOnHost(backend, { ...plain, jumpTimes: [[-1, 100], []] });
    assert.equal(with_.stats.nSteps, without.stats.nSteps);
    with_.ys.forEach((y, j) => {
      assertBitEqual(y, without.ys[j]!, `evaluation ${j}`);
    });
  });

  test("running ahead, and a budget of memory, change no bit", async ({ backend }) => {
    const batch = sequences(3);
    const cts = cotangents(batch);
    for (const options of [{}, { controller: FIXED, dt0: 0.05 }]) {
      const every = await solveOnHost(backend, batch, options, cts);
      // A first solve with these jump times is expected to take 12 attempts.
      assert.is(Math.max(...every.stats.nSteps) > 12, "dt0" in options, `${every.stats.nSteps}`);
      for (const memoryBudgetBytes of [2 ** 28, 3 * every.stats.plan!.bytesPerStart]) {
        for (const ahead of [false, true]) {
          const host = variant(backend, { isAsynchronous: ahead });
          const result = await solveOnHost(host, batch, { ...options, ahead, memoryBudgetBytes }, cts);
          assert.equal(result.stats.nSteps, every.stats.nSteps);
          assert.is(result.stats.nFEvals, every.stats.nFEvals);
          every.ys.forEach((y, j) => {
            assertBitEqual(result.ys[j]!, y, `evaluation ${j}`);
          });
          for (const [name, g] of Object.entries(every.gradients)) assertBitEqual(result.gradients[name]!, g, name);
        }
      }
    }
  });

  test("steps of another run are replayed with their cuts", async ({ backend }) => {
    const batch = sequences(2);
    const free = await solveOnHost(backend, batch, {});
    const steps = free.stats.steps!.map((ofSample) => ofSample.map(Math.fround));
    const again = await solveOnHost(backend, batch, { controller: { type: "replay", steps } });
    assert.equal(again.stats.nSteps, free.stats.nAccepted);
    again.ys.forEach((y, j) => {
      assertClose(y, free.ys[j]!, 1e-5, `evaluation ${j}`);
    });
  });

  test("an exponential method takes them", async ({ backend }) => {
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, t, y) => g.ops.mul(g.row("leak", 1), g.ops.sub(g.ops.select(g.ops.lt(t, 0.3), 1, -1), y)),
      leak: (g) => g.row("leak", 1),
    };
    const problem = { system, samples: 1, y0: [0], rows: { leak: [2] }, tStart: [0], tEnd: [1], tEval: [[1]] };
    const options = { tableau: exponentialEuler, controller: FIXED, dt0: 0.25 };
    const { ys } = await solveOnHost(backend, { ...problem, jumpTimes: [[0.3]] }, options);
    const atJump = 1 - Math.exp(-0.6);
    assertClose(ys[0]!, [-1 + (atJump + 1) * Math.exp(-1.4)], 1e-6, "exact between jumps");
  });

  test("lists that make no sense are refused by name", async ({ backend }) => {
    const refused = async (jumpTimes: number[][], words: RegExp) => {
      try {
        await solveOnHost(backend, { ...rateProblem(2), jumpTimes });
        assert.unreachable(`${words}`);
      } catch (error) {
        assert.ok(error instanceof ArgumentError || error instanceof ShapeError, `${error}`);
        assert.match((error as Error).message, words);
      }
    };
    await refused([[0.5]], /a list for each of 2 samples, got 1 \(jumpTimes\)/);
    await refused([[0.5], [Number.NaN]], /finite times, got \[NaN\] for sample 1 \(jumpTimes\)/);
  });
});

forEachBackend("gradient at jump times", ["f64"], (test) => {
  const gradientOf = async (backend: Backend, problem: HostProblem, options: HostOptions) =>
    (await solveOnHost(backend, problem, options, cotangents(problem))).gradients;

  test("through step-size control it is that of the adaptive solve", async ({ backend }) => {
    const problem = sequences(2);
    const cts = cotangents(problem);
    for (const options of [{}, { tableau: tsit5, controller: PID }] as const) {
      const { gradients } = await solveOnHost(backend, problem, options, cts);
      const { y0, states, rows, matrices } = problem;
      const point = {
        y0: Float64Array.from(y0),
        drive: Float64Array.from(states!.drive!),
        tau: Float64Array.from(rows!.tau!),
      };
      const at = (p: typeof point): HostProblem => ({
        ...problem,
        y0: p.y0,
        states: { drive: p.drive },
        rows: { ...rows, tau: p.tau },
        matrices: matrices!,
      });
      const f = async (p: Readonly<Record<string, ArrayLike<number>>>) =>
        pairing((await solveOnHost(backend, at(p as typeof point), options)).ys, cts);
      await assertGradient("sequence", f, point, gradients, { roundings: 3000, stepScale: 8 });
    }
  });

  test("it tends to that of the solution with the tolerance, either way; without jump times it does not", async ({
    backend,
  }) => {
    const problem = smooth(sequences(2));
    const strict = { controller: { ...INTEGRAL, atol: 1e-13, rtol: 1e-11 }, maxSteps: 20_000 };
    const exact = await gradientOf(backend, problem, { ...strict, throughStepSizeControl: false });
    const error = async (tolerance: number, options: HostOptions, of = problem) => {
      const controller = { ...INTEGRAL, atol: tolerance / 1000, rtol: tolerance };
      const got = await gradientOf(backend, of, { maxSteps: 20_000, ...options, controller });
      const [distance, size] = [got, exact].map((g) => {
        const all = Object.keys(exact).flatMap((name) =>
          Array.from(g[name]!, (x, i) => x - (g === got ? exact[name]![i]! : 0)),
        );
        return Math.hypot(...all);
      });
      return distance! / size!;
    };
    for (const throughStepSizeControl of [true, false]) {
      for (const tolerance of [1e-4, 1e-6, 1e-8]) {
        const distance = await error(tolerance, { throughStepSizeControl });
        assert.ok(distance < 10 * tolerance, `${tolerance}, through control ${throughStepSizeControl}: ${distance}`);
      }
    }
    const { jumpTimes: _, ...across } = problem;
    const wrong = await error(1e-8, { throughStepSizeControl: true }, across);
    assert.ok(wrong > 1e-2, `without jump times: ${wrong}`);
  });
});
