// Steps, order and dense output of the methods on problems with known solutions.

import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import type { Tableau } from "../../src/ode/tableau.ts";
import { dopri5, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { type HostProblem, INTEGRAL, solveOnHost } from "./harness.ts";
import { adaptiveSteps, dopri5At, type HostRhs, step } from "./reference.ts";

interface Known {
  readonly name: string;
  readonly system: OdeSystem;
  readonly rhs: HostRhs;
  readonly y0: readonly number[];
  readonly solution: (t: number) => number[];
  readonly matrices?: NonNullable<HostProblem["matrices"]>;
}

const ROTATION = csrFromCoo({ nRows: 2, nCols: 2, rows: [0, 1], cols: [1, 0], values: [3, -3] });

const KNOWN: readonly Known[] = [
  {
    name: "growth that depends on time",
    system: { rows: 1, rhs: (g, t, y) => g.ops.mul(g.ops.sub(3, g.ops.mul(4, t)), y) },
    rhs: (t, [y]) => [(3 - 4 * t) * y!],
    y0: [1.5],
    solution: (t) => [1.5 * Math.exp(3 * t - 2 * t * t)],
  },
  {
    name: "logistic growth",
    system: { rows: 1, rhs: (g, _, y) => g.ops.mul(4, g.ops.mul(y, g.ops.sub(1, y))) },
    rhs: (_, [y]) => [4 * y! * (1 - y!)],
    y0: [0.1],
    solution: (t) => [1 / (1 + 9 * Math.exp(-4 * t))],
  },
  {
    name: "rotation",
    system: { rows: 2, rhs: (g, _, y) => g.ops.matmul(g.sparse("rotation", 2, 2, 2), y) },
    rhs: (_, [x, v]) => [3 * v!, -3 * x!],
    y0: [1, 0],
    solution: (t) => [Math.cos(3 * t), -Math.sin(3 * t)],
    matrices: { rotation: ROTATION },
  },
];

function hostProblem({ system, y0, matrices = {} }: Known, tEval: readonly number[]): HostProblem {
  return { system, samples: 1, y0, matrices, tStart: [0], tEnd: [tEval.at(-1)!], tEval: tEval.map((t) => [t]) };
}

/** Order seen between the two finest grids whose errors still stand clear of rounding. */
function fittedOrder(counts: readonly number[], errors: readonly number[]): number {
  const clear = errors.filter((e) => e > 1e-13).length;
  assert.ok(clear >= 2, `errors stand clear of rounding: ${errors}`);
  return Math.log(errors[clear - 2]! / errors[clear - 1]!) / Math.log(counts[clear - 1]! / counts[clear - 2]!);
}

/** Steps per unit of time at which the leading error term rules, for orders 1, 2, …; for higher ones as for the last. */
const COUNTS: readonly (readonly number[])[] = [
  [64, 128, 256],
  [32, 64, 128],
  [16, 32, 64],
  [12, 24, 48],
  [16, 32, 64, 128],
];

forEachBackend("methods", ["f64"], (test) => {
  const fixed = (tableau: Tableau, dt0: number) => ({ tableau, dt0, controller: { type: "fixed" } as const });

  for (const tableau of TABLEAUS) {
    test(`one step of ${tableau.name} is the step of its tableau`, async ({ backend }) => {
      for (const known of KNOWN) {
        const dt = 0.3;
        const { ys } = await solveOnHost(backend, hostProblem(known, [dt]), fixed(tableau, dt));
        assertClose(ys[0]!, step(tableau, known.rhs, 0, dt, known.y0).y1, 2e-14, known.name);
      }
    });

    // Between grid points the error of one step, of order denseOrder + 1, adds to that of the grid.
    const denseOrder = Math.min(tableau.order, tableau.denseOrder + 1);
    test(`${tableau.name} converges with order ${tableau.order}, and between grid points with ${denseOrder}`, async ({
      backend,
    }) => {
      const counts = COUNTS[Math.min(tableau.order, COUNTS.length) - 1]!;
      for (const known of KNOWN) {
        const errors: { readonly dense: number[]; readonly grid: number[] } = { dense: [], grid: [] };
        for (const n of counts) {
          // The same abscissa inside a step for every n; the largest of several errors, lest one passes through zero.
          const times = [0.25, 0.5, 0.75].flatMap((t) => [t, t + 0.37 / n]);
          const options = { ...fixed(tableau, 1 / n), maxSteps: 10_000 };
          const { ys } = await solveOnHost(backend, hostProblem(known, [...times, 1]), options);
          const error = (j: number) => Math.max(...known.solution(times[j]!).map((y, i) => Math.abs(ys[j]![i]! - y)));
          errors.grid.push(Math.max(error(0), error(2), error(4)));
          errors.dense.push(Math.max(error(1), error(3), error(5)));
        }
        const grid = fittedOrder(counts, errors.grid);
        const dense = fittedOrder(counts, errors.dense);
        assert.ok(Math.abs(grid - tableau.order) < 0.2, `${known.name}: ${grid} on grid points`);
        assert.ok(dense > denseOrder - 0.2, `${known.name}: ${dense} between grid points`);
      }
    });
  }

  test("adaptive Dopri5 takes the steps of the textbook and interpolates as it says", async ({ backend }) => {
    for (const known of KNOWN) {
      const times = [0.01, 0.5, 1.3, 1.31, 4];
      const host = adaptiveSteps(dopri5, INTEGRAL, known.rhs, known.y0, [0, 4], 0.02);
      const { ys, stats } = await solveOnHost(backend, hostProblem(known, times), { dt0: 0.02 });
      assert.equal(stats.nAccepted, [host.length], known.name);
      times.forEach((t, j) => {
        assertClose(ys[j]!, dopri5At(host, t), 1e-13, `${known.name} at ${t}`);
      });
    }
  });

  test("tighter tolerances give smaller errors and more steps", async ({ backend }) => {
    for (const known of KNOWN) {
      let [lastError, lastSteps] = [Number.POSITIVE_INFINITY, 0];
      for (const tolerance of [1e-4, 1e-6, 1e-8, 1e-10]) {
        const controller = { ...INTEGRAL, atol: tolerance, rtol: tolerance };
        const { ys, stats } = await solveOnHost(backend, hostProblem(known, [3]), { controller });
        const error = Math.max(...known.solution(3).map((y, i) => Math.abs(ys[0]![i]! - y)));
        assert.ok(error < 100 * tolerance && error < lastError, `${known.name}: ${error} at ${tolerance}`);
        assert.ok(stats.nSteps[0]! > lastSteps, `${known.name}: ${stats.nSteps[0]} steps at ${tolerance}`);
        [lastError, lastSteps] = [error, stats.nSteps[0]!];
      }
    }
  });

  test("without a first step the heuristic finds one that is accepted", async ({ backend }) => {
    for (const known of KNOWN) {
      const { stats } = await solveOnHost(backend, hostProblem(known, [2]), { maxSteps: 1 });
      assert.equal(stats.nAccepted, [1], known.name);
      assert.ok(stats.t[0]! > 1e-5, `${known.name}: a step of ${stats.t[0]}`);
    }
  });

  test("asking for more evaluation times changes neither steps nor values", async ({ backend }) => {
    const known = KNOWN[1]!;
    const few = await solveOnHost(backend, hostProblem(known, [2, 5]));
    const many = await solveOnHost(backend, hostProblem(known, [0, 0.001, 1.999, 2, 2.0001, 4.9, 5]));
    assert.equal(many.stats.nSteps, few.stats.nSteps);
    assertBitEqual(many.ys[3]!, few.ys[0]!, "at 2");
    assertBitEqual(many.ys[6]!, few.ys[1]!, "at 5");
  });
});
