// The gradient of a whole solve: with step-size control against differences of the whole adaptive solve; without it against
// differences of a replay, in plain numbers, of the steps that were taken.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, withValues } from "../../src/core/csr.ts";
import type { SolverOptions } from "../../src/ode/request.ts";
import { bosh3, dopri5, heun, TABLEAUS, tsit5 } from "../../src/ode/tableaus/index.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { toDense } from "../support/matrices.ts";
import { rateSystem } from "../support/systems.ts";
import {
  cotangents,
  type HostProblem,
  INTEGRAL,
  normals,
  pairing,
  rateProblem,
  sharingProblem,
  solveOnHost,
} from "./harness.ts";
import { adaptiveSteps, dopri5At, type HostRhs, replay } from "./reference.ts";

type Options = Partial<SolverOptions> & { readonly throughStepSizeControl?: boolean };

/** All that a solve may be differentiated by, as one point. */
function pointOf({ y0, states, rows, matrices }: HostProblem): Point {
  const values = Object.entries(matrices ?? {}).map(([name, csr]) => [name, csr.values] as const);
  return { y0, ...states, ...rows, ...Object.fromEntries(values) };
}

function at(problem: HostProblem, point: Point): HostProblem {
  const pick = (part: Readonly<Record<string, unknown>> = {}) =>
    Object.fromEntries(Object.keys(part).map((name) => [name, point[name]!]));
  const matrices = Object.entries(problem.matrices ?? {}).map(([name, csr]): [string, Csr] => [
    name,
    withValues(csr, Float64Array.from(point[name]!)),
  ]);
  return {
    ...problem,
    y0: point.y0!,
    states: pick(problem.states),
    rows: pick(problem.rows),
    matrices: Object.fromEntries(matrices),
  };
}

/** Checks the gradient of Σ ct·ys by everything. */
async function check(backend: Backend, label: string, problem: HostProblem, options: Options): Promise<void> {
  const cts = cotangents(problem);
  const { gradients, stats } = await solveOnHost(backend, problem, options, cts);
  assert.ok(Math.min(...stats.nSteps) >= 3, `${label}: several steps`);
  const f = async (point: Point) => pairing((await solveOnHost(backend, at(problem, point), options)).ys, cts);
  // A solve has thousands of operations: its rounding error is that many roundings, its step as much longer.
  await assertGradient(label, f, pointOf(problem), gradients, { roundings: 3000, stepScale: 8 });
}

/** The rate problem with a sequence input, smooth in nothing but t itself. */
function sequenceProblem(samples: number): HostProblem {
  const problem = rateProblem(samples, { tEnd: 1, tEval: [0.3, 1] });
  const [n, steps] = [6, 4];
  return {
    ...problem,
    system: rateSystem(n, problem.matrices!.hh!.nnz, steps),
    tEnd: new Array<number>(samples).fill(1),
    tEval: [new Array<number>(samples).fill(0.3), new Array<number>(samples).fill(1)],
    states: { drive: normals("sequence drive", samples * n * steps) },
  };
}

forEachBackend("gradient of a solve", ["f64"], (test) => {
  test("through step-size control it is that of the adaptive solve, by every input and parameter", ({ backend }) => {
    return check(backend, "adaptive", rateProblem(3), {});
  });

  for (const tableau of [heun, dopri5]) {
    test(`with one evaluation point, inside a step of ${tableau.name}, which its attempt's reverse goes back through`, ({
      backend,
    }) => {
      return check(backend, `one point, ${tableau.name}`, rateProblem(2, { tEnd: 1.5, tEval: [0.7] }), { tableau });
    });
  }

  test("with an evaluation point at which some samples start and others do not", async ({ backend }) => {
    const later = rateProblem(3, { tEnd: 1.5, tEval: [0.5, 1.2] });
    const [first, second] = later.tEval;
    const problem = { ...later, tEval: [[first![0]!, later.tStart[1]!, first![2]!], second!] };
    const { ys } = await solveOnHost(backend, problem);
    assert.equal(ys[0]!.slice(6, 12), Float64Array.from(problem.y0).slice(6, 12), "the initial state");
    assert.equal(ys[0]!.slice(12), (await solveOnHost(backend, later)).ys[0]!.slice(12), "the others as ever");
    return check(backend, "some start", problem, {});
  });

  test("with a given first step as well", ({ backend }) => check(backend, "first step", rateProblem(3), { dt0: 0.05 }));

  test("through gathers, segments, transposed products, maxima and sums over products", ({ backend }) => {
    return check(backend, "sharing", sharingProblem(3), { dt0: 0.15, controller: { type: "fixed" } });
  });

  test("with rejected steps in between", async ({ backend }) => {
    const options = { dt0: 0.9, controller: { ...INTEGRAL, rtol: 1e-5 } };
    const { stats } = await solveOnHost(backend, rateProblem(3), options);
    assert.ok(
      stats.nSteps.every((n, s) => n > stats.nAccepted[s]!),
      "every sample rejects a step",
    );
    await check(backend, "rejections", rateProblem(3), options);
  });

  test("when time runs backwards", async ({ backend }) => {
    const forward = rateProblem(2);
    const tEval = [...forward.tEval].reverse();
    await check(backend, "backwards", { ...forward, tStart: forward.tEnd, tEnd: forward.tStart, tEval }, {});
  });

  for (const tableau of TABLEAUS) {
    test(`with ${tableau.name} and fixed steps`, ({ backend }) => {
      return check(backend, `fixed ${tableau.name}`, rateProblem(2), {
        tableau,
        dt0: 0.11,
        controller: { type: "fixed" },
      });
    });
    if (tableau.bErr === null) continue;
    test(`with ${tableau.name} and PID control`, ({ backend }) => {
      const controller = { ...INTEGRAL, type: "pid", pCoeff: 0.3, iCoeff: 0.4, dCoeff: 0.1 } as const;
      return check(backend, `pid ${tableau.name}`, rateProblem(2), { tableau, controller });
    });
  }

  // Norm and limits belong to the controller, so a few methods show them. The maximum has kinks, and another method may meet one: hence
  // not all of TABLEAUS.
  for (const tableau of [heun, bosh3, tsit5, dopri5]) {
    test(`with ${tableau.name}, the maximum norm and limited steps`, ({ backend }) => {
      const controller = { ...INTEGRAL, norm: "max", dtMin: 1e-5, dtMax: 0.5 } as const;
      return check(backend, `limits ${tableau.name}`, rateProblem(2), { tableau, controller });
    });
  }

  test("a sequence input gets its gradient at each of its steps", ({ backend }) => {
    // Fixed steps: under error control the solve is not differentiable where a stage's time meets a jump of the input.
    return check(backend, "sequence", sequenceProblem(2), { dt0: 0.08, controller: { type: "fixed" } });
  });

  test("without step-size control it is that of the steps taken, held fixed", async ({ backend }) => {
    const problem = { ...rateProblem(1), tEnd: [3], tEval: [[0.4], [1.1], [3]] };
    const [dt0, controller] = [0.05, { ...INTEGRAL, rtol: 1e-4 }];
    const cts = cotangents(problem);
    const options = { dt0, controller, throughStepSizeControl: false };
    const { gradients, ys, stats } = await solveOnHost(backend, problem, options, cts);
    const point = pointOf(problem);
    const y0 = Array.from(problem.y0);
    const steps = adaptiveSteps(dopri5, controller, hostRhs(problem, point), y0, [0, 3], dt0);
    assert.equal(stats.nAccepted, [steps.length], "the reference takes the same steps");
    const times = problem.tEval.map(([t]) => t!);
    times.forEach((t, j) => {
      assertClose(ys[j]!, dopri5At(steps, t), 1e-13, `at ${t}`);
    });
    const replayed = async (p: Point) => {
      const again = replay(dopri5, hostRhs(problem, p), Array.from(p.y0!), steps);
      return pairing(
        times.map((t) => dopri5At(again, t)),
        cts,
      );
    };
    await assertGradient("replay", replayed, point, gradients, { roundings: 1000, stepScale: 8 });
  });

  test("the two gradients differ where step sizes depend on parameters, and agree where they do not", async ({
    backend,
  }) => {
    const problem = rateProblem(2);
    const cts = cotangents(problem);
    const both = async (options: Options) => {
      const through = await solveOnHost(backend, problem, options, cts);
      const cut = await solveOnHost(backend, problem, { ...options, throughStepSizeControl: false }, cts);
      assert.equal(through.stats.nSteps, cut.stats.nSteps);
      const [a, b] = [through.gradients.tau!, cut.gradients.tau!];
      const size = Math.max(...a.map(Math.abs));
      return Math.max(...a.map((x, i) => Math.abs(x - b[i]!))) / size;
    };
    assert.ok((await both({})) > 1e-8, "adaptive");
    assert.ok((await both({ dt0: 0.1, controller: { type: "fixed" } })) < 1e-13, "fixed");
  });

  test("a sample at rest takes finite gradients: the unused quotient of the first step does not count", async ({
    backend,
  }) => {
    const base = rateProblem(3);
    const y0 = Float64Array.from(base.y0);
    const drive = Float64Array.from(base.states!.drive!);
    y0.fill(0, 6, 12);
    drive.fill(0, 6, 12);
    const problem = { ...base, y0, states: { drive }, rows: { ...base.rows!, bias: new Float64Array(6) } };
    const { gradients, stats } = await solveOnHost(backend, problem, {}, cotangents(problem));
    assert.equal(stats.status, ["success", "success", "success"]);
    for (const [name, g] of Object.entries(gradients)) assert.ok(g.every(Number.isFinite), name);
  });
});

/** rateSystem in plain numbers, for one sample. */
function hostRhs({ matrices }: HostProblem, point: Point): HostRhs {
  const { drive, tau, bias } = point;
  const n = tau!.length;
  const w = toDense(withValues(matrices!.hh!, Float64Array.from(point.hh!)));
  return (_, h) =>
    h.map((x, i) => {
      let u = drive![i]!;
      for (let j = 0; j < n; j++) u += w[i * n + j]! * h[j]!;
      return (Math.max(Math.tanh(u + bias![i]!), 0) - x) / tau![i]!;
    });
}
