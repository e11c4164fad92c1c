// Trial steps that leave the domain of the right-hand side are rejected and tried shorter; only a state that is not finite, or a step
// that cannot become shorter, is a failure. The reverse pass goes through such a rejection as through any other.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { Desk } from "../../src/backend/desk.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import type { Controller, OdeSystem } from "../../src/ode/method.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { dopri5, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { forEachBackend, variant } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { cotangents, type HostOptions, type HostProblem, INTEGRAL, pairing, sampleOf, solveOnHost } from "./harness.ts";

const PID: Controller = { ...INTEGRAL, type: "pid", pCoeff: 0.2, iCoeff: 0.5, dCoeff: 0.1 };

/** A tank that empties, dy/dt = inflow − √y: never empty, but too long a step is. */
const TANK: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.sub(g.row("inflow", 1), g.ops.sqrt(y)) };

/** dy/dt = −rate·(y − 3.99), which is no number below 3.985; the trial step of the step-size heuristic goes there. */
const CLIFF: OdeSystem = {
  rows: 1,
  rhs: (g, _, y) => {
    const { ops } = g;
    const fall = ops.mul(g.row("rate", 1), ops.sub(3.99, y));
    return ops.add(fall, ops.mul(0, ops.sqrt(ops.sub(y, 3.985))));
  },
};

function tank(y0: readonly number[], tEnd = 60): HostProblem {
  const all = (t: number) => y0.map(() => t);
  const [tStart, tEval] = [all(0), [all(tEnd / 60), all(tEnd)]];
  return { system: TANK, samples: y0.length, y0, rows: { inflow: [0.05] }, tStart, tEnd: all(tEnd), tEval };
}

function cliff(): HostProblem {
  const rows = { rate: [100] };
  return { system: CLIFF, samples: 2, y0: [4, 4.5], rows, tStart: [0, 0], tEnd: [0.02, 0.03], tEval: [[0.02, 0.03]] };
}

forEachBackend("trial steps outside of the domain", ["f64", "f32"], (test) => {
  test("are rejected by every method, controller and norm, whatever the first step", async ({ backend }) => {
    const options: HostOptions[] = [undefined, 10].flatMap((dt0) => {
      const first = dt0 === undefined ? {} : { dt0 };
      const methods = TABLEAUS.filter(({ bErr }) => bErr).map((tableau) => ({ tableau, ...first }));
      return [
        ...methods,
        { controller: PID, ...first },
        { controller: { ...INTEGRAL, norm: "max" } as const, ...first },
      ];
    });
    for (const option of options) {
      const { stats, ys } = await solveOnHost(backend, tank([4, 9]), option);
      const label = JSON.stringify({ ...option, tableau: option.tableau?.name });
      assert.equal(stats.status, ["success", "success"], label);
      assertClose(ys[1]!, [0.0025, 0.0025], 1e-3, label);
    }
  });

  test("are rejected where the right-hand side is infinite rather than NaN", async ({ backend }) => {
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, _, y) => g.ops.select(g.ops.lt(1, y), Number.POSITIVE_INFINITY, g.ops.sub(1, y)),
    };
    const problem = { system, samples: 1, y0: [0], tStart: [0], tEnd: [5], tEval: [[5]] };
    const { stats, ys } = await solveOnHost(backend, problem, { dt0: 4 });
    assert.equal(stats.status, ["success"]);
    assertClose(ys[0]!, [1 - Math.exp(-5)], 1e-3, "y at 5");
  });

  test("leave batch mates alone, to the bit", async ({ backend }) => {
    const batch = tank([4, 0.04, 9]);
    const cts = cotangents(batch);
    const options = { dt0: 3 };
    const together = await solveOnHost(backend, batch, options, cts);
    for (let s = 0; s < batch.samples; s++) {
      const own = cts.map((ct) => ct.slice(s, s + 1));
      const alone = await solveOnHost(backend, sampleOf(batch, s), options, own);
      assert.is(together.stats.nSteps[s], alone.stats.nSteps[0]);
      together.ys.forEach((y, j) => {
        assertBitEqual(y.slice(s, s + 1), alone.ys[j]!, `evaluation ${j} of sample ${s}`);
      });
      assertBitEqual(together.gradients.y0!.slice(s, s + 1), alone.gradients.y0!, `gradient of sample ${s}`);
    }
  });

  test("give the same gradient where the host runs ahead, and for every budget of memory", async ({ backend }) => {
    for (const [problem, dt0] of [
      [tank([4, 9]), { dt0: 10 }],
      [cliff(), {}],
    ] as const) {
      const cts = cotangents(problem);
      const every = await solveOnHost(backend, problem, dt0, cts);
      for (const g of Object.values(every.gradients))
        assert.ok(
          g.every((x) => Number.isFinite(x) && x !== 0),
          `${g}`,
        );
      for (const memoryBudgetBytes of [2 ** 28, 3 * every.stats.plan!.bytesPerStart]) {
        for (const ahead of [false, true]) {
          const backendAhead = variant(backend, { isAsynchronous: ahead });
          const result = await solveOnHost(backendAhead, problem, { ...dt0, ahead, memoryBudgetBytes }, cts);
          assert.equal(result.stats.status, every.stats.status);
          for (const [name, g] of Object.entries(every.gradients)) assertBitEqual(result.gradients[name]!, g, name);
        }
      }
    }
  });

  test("an initial state that is not finite fails at once and alone", async ({ backend }) => {
    const all = (t: number) => [t, t, t];
    const desk = new Desk(backend, backend.layoutFor(3), "test");
    const method = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000, reverse: null };
    using solver = new OdeSolver(backend, TANK, method);
    const [inflow, ys] = [desk.vector("inflow", 1), [desk.state("y", 1)]];
    backend.fill(inflow, 0.05);
    const y0 = desk.put(desk.state("y0", 1), [Number.NaN, 4, Number.POSITIVE_INFINITY], { count: 3 });
    const times = { tStart: all(0), tEnd: all(60), tEval: [all(60)] };
    const request = { layout: desk.layout, samples: 3, inputs: { inflow }, y0, ys, ...times, record: false };
    const stats = await solver.forward(request);
    assert.equal(stats.status, ["nonFinite", "success", "nonFinite"]);
    assert.equal([stats.nSteps[0], stats.nSteps[2]], [0, 0]);
    assertClose((await desk.read(ys[0]!, 3)).slice(1, 2), [0.0025], 1e-3, "the other");
    desk.release();
  });

  test("a state that overflows is no result, though its error is 0", async ({ backend }) => {
    const most = backend.dtype === "f32" ? (2 - 2 ** -23) * 2 ** 127 : Number.MAX_VALUE;
    const system: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.add(g.ops.mul(0, g.ops.min(y, 1)), most / 32) };
    const problem = { system, samples: 1, y0: [0], tStart: [0], tEnd: [100], tEval: [[100]] };
    const { stats } = await solveOnHost(backend, problem, { controller: { ...INTEGRAL, atol: 1, rtol: 1e-3 }, dt0: 1 });
    assert.equal(stats.status, ["nonFinite"]);
    assert.ok(stats.t[0]! > 31 && stats.t[0]! <= 32, `as far as numbers go: ${stats.t[0]}`);
  });

  test("a step that cannot become shorter fails by what stands in its way", async ({ backend }) => {
    const problem = (after: number): HostProblem => {
      const system: OdeSystem = {
        rows: 1,
        rhs: (g, t, y) => g.ops.add(g.ops.mul(0, y), g.ops.select(g.ops.lt(0.5, t), after, 1)),
      };
      return { system, samples: 1, y0: [0], tStart: [0], tEnd: [1], tEval: [[1]] };
    };
    const strict = { ...INTEGRAL, atol: 1e-6, rtol: 1e-6 };
    const status = async (after: number, controller: Controller = strict) =>
      (await solveOnHost(backend, problem(after), { dt0: 0.3, controller })).stats.status[0];
    assert.is(await status(1e20), "dtMin", "an error that no step is short enough for");
    assert.is(await status(Number.NaN), "nonFinite", "no numbers behind");
    const limited = { ...strict, dtMin: 1e-3 };
    assert.is(await status(1e20, limited), "dtMin");
    assert.is(await status(Number.NaN, limited), "nonFinite");
  });

  test("a PID controller retries rejected steps shorter, whatever it remembers", async ({ backend }) => {
    // Constant, then suddenly steep: the ratios of accepted steps are as small as they get.
    const system: OdeSystem = {
      rows: 1,
      rhs: (g, t, y) => g.ops.mul(g.ops.select(g.ops.lt(0.5, t), -100, 0), y),
    };
    const problem = { system, samples: 1, y0: [1], tStart: [0], tEnd: [1], tEval: [[1]] };
    const controller: Controller = { ...PID, pCoeff: -0.4, iCoeff: 0.5, dCoeff: 0.2 };
    const { stats } = await solveOnHost(backend, problem, { controller, dt0: 0.1 });
    assert.equal(stats.status, ["success"]);
  });
});

forEachBackend("gradient through trial steps outside of the domain", ["f64"], (test) => {
  const check = async (backend: Backend, label: string, problem: HostProblem, options: HostOptions) => {
    const cts = cotangents(problem);
    const { gradients, stats } = await solveOnHost(backend, problem, options, cts);
    assert.ok(
      stats.nSteps.some((n, s) => n > stats.nAccepted[s]!),
      `${label}: a step was rejected`,
    );
    const at = (p: Point): HostProblem => ({ ...problem, y0: p.y0!, rows: { [name]: Array.from(p[name]!) } });
    const name = Object.keys(problem.rows!)[0]!;
    const f = async (p: Point) => pairing((await solveOnHost(backend, at(p), options)).ys, cts);
    const point = { y0: Float64Array.from(problem.y0), [name]: Float64Array.from(problem.rows![name]!) };
    await assertGradient(label, f, point, gradients, { roundings: 3000, stepScale: 8 });
  };

  test("is that of the adaptive solve", async ({ backend }) => {
    await check(backend, "tank", tank([4, 9], 6), { dt0: 10 });
    await check(backend, "tank, PID", tank([4, 9], 6), { dt0: 10, controller: PID });
    await check(backend, "cliff", cliff(), {});
  });

  test("tends to that of the solution with step sizes held fixed", async ({ backend }) => {
    const problem = { ...tank([4], 3), tEval: [[3]] };
    const strict = { ...INTEGRAL, atol: 1e-12, rtol: 1e-10 };
    const options = { dt0: 10, controller: strict, throughStepSizeControl: false };
    const { gradients } = await solveOnHost(backend, problem, options, [[1]]);
    const [h, end] = [
      1e-4,
      async (y0: number) => (await solveOnHost(backend, { ...problem, y0: [y0] }, options)).ys[0]![0]!,
    ];
    const expected = ((await end(4 + h)) - (await end(4 - h))) / (2 * h);
    assertClose(gradients.y0!, [expected], 1e-5, "gradient by y0");
  });

  test("the adjoint equations start from such a solve as well", async ({ backend }) => {
    const strict = { tableau: dopri5, controller: { ...INTEGRAL, atol: 1e-10, rtol: 1e-8 }, maxSteps: 1000 };
    const problem = { ...tank([4], 3), tEval: [[3]] };
    const direct = await solveOnHost(backend, problem, { ...strict, dt0: 10 }, [[1]]);
    const inflow = backend.buffer("inflow", 1);
    backend.upload(inflow, [0.05]);
    const adjoint = new Backsolve(backend, TANK, { ...strict, wrt: ["inflow"], joint: false });
    const { samples, y0, tStart, tEnd } = problem;
    const { ys } = await adjoint.forward({
      samples,
      y0,
      tStart,
      tEnd,
      tEval: null,
      states: {},
      parameters: { inflow },
      dt0: 10,
    });
    const gradients = await adjoint.reverse([[1]]);
    adjoint.dispose();
    inflow.release();
    assertBitEqual(ys[0]!, direct.ys[0]!, "the same steps");
    assertClose(gradients.y0, direct.gradients.y0!, 1e-6, "y0");
    assertClose(gradients.parameters.inflow!, direct.gradients.inflow!, 1e-6, "inflow");
  });
});
