// Right-hand sides of every kind: one that is the same for all rows, samples or both is broadcast, with the bits of one that writes it out.

import * as assert from "uvu/assert";
import type { Graph } from "../../src/autodiff/graph.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import type { Controller, OdeSystem } from "../../src/ode/method.ts";
import { solverPrograms, systemInputs } from "../../src/ode/programs.ts";
import type { Tableau } from "../../src/ode/tableau.ts";
import { exponentialEuler, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import type { Value } from "../../src/ops/value.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { cotangents, type HostOptions, type HostProblem, normals, solveOnHost } from "./harness.ts";

const ROWS = 4;
const SAMPLES = 3;
const INTEGRAL: Controller = { type: "integral", atol: 1e-6, rtol: 1e-4, safety: 0.9, factorMin: 0.2, factorMax: 10 };

/** dy/dt by kind; all of them read the row `a` as far as they can. */
const KINDS: Readonly<Record<string, (g: Graph, t: Value) => Value>> = {
  row: (g) => g.ops.tanh(g.row("a", ROWS)),
  "row leaf": (g) => g.row("a", ROWS),
  sample: (g, t) => g.ops.mul(t, g.ops.reduceRows(g.row("a", ROWS))),
  time: (_, t) => t,
  scalar: (g) => g.ops.reduceRows(g.row("a", ROWS), "max"),
  constant: (g) => g.ops.constant(0.5),
};

/** With the inputs that it reads. */
function problemOf(rhs: OdeSystem["rhs"], leaky: boolean): HostProblem {
  const leak: OdeSystem["leak"] = (g) => g.row("leak", ROWS);
  const system: OdeSystem = { rows: ROWS, rhs, ...(leaky ? { leak } : {}) };
  const reads = systemInputs(system);
  const rows = { a: normals("kinds a", ROWS), leak: Float64Array.from({ length: ROWS }, (_, i) => 1 + i) };
  const all = (t: number) => Array.from({ length: SAMPLES }, (_, s) => t * (1 + s));
  return {
    system,
    samples: SAMPLES,
    y0: normals("kinds y0", SAMPLES * ROWS),
    rows: Object.fromEntries(Object.entries(rows).filter(([name]) => reads.has(name))),
    tStart: all(0),
    tEnd: all(1),
    tEval: [0.3, 0.55, 1].map(all),
  };
}

/** Fixed steps, and, where the method estimates its error, steps by an integral controller with a first step of its own choice. */
function optionsOf(tableau: Tableau): HostOptions[] {
  const fixed: HostOptions = { tableau, controller: { type: "fixed" }, dt0: 0.125 };
  return tableau.bErr ? [fixed, { tableau, controller: INTEGRAL }] : [fixed];
}

forEachBackend("right-hand sides", ["f64"], (test) => {
  for (const tableau of [...TABLEAUS, exponentialEuler]) {
    for (const [kind, rhs] of Object.entries(KINDS)) {
      test(`${tableau.name}: ${kind}`, async ({ backend }) => {
        const leaky = tableau.exponential ?? false;
        const narrow = problemOf(rhs, leaky);
        // The sum with 0·y is a state, and exact.
        const full = problemOf((g, t, y) => g.ops.add(g.ops.mul(0, y), rhs(g, t)), leaky);
        for (const options of optionsOf(tableau)) {
          const cts = cotangents(narrow);
          const got = await solveOnHost(backend, narrow, options, cts);
          const expected = await solveOnHost(backend, full, options, cts);
          assert.equal(got.stats, expected.stats);
          expected.ys.forEach((y, j) => {
            assertBitEqual(got.ys[j]!, y, `evaluation ${j}`);
          });
          for (const name of Object.keys(expected.gradients)) {
            assert.ok(
              expected.gradients[name]!.some((x) => x !== 0),
              name,
            );
            const bound = 1e-13 * Math.max(...expected.gradients[name]!.map(Math.abs));
            const worst = got.gradients[name]!.map((x, i) => Math.abs(x - expected.gradients[name]![i]!));
            assert.ok(
              worst.every((e) => e <= bound),
              `gradient of ${name}: ${worst}`,
            );
          }
        }
      });
    }
  }

  test("one of other rows is refused, and so is a gradient of what it does not read", () => {
    const method = { tableau: TABLEAUS[0]!, controller: { type: "fixed" } as const, maxSteps: 10 };
    const wide: OdeSystem = { rows: 3, rhs: (g) => g.row("a", 4) };
    assert.throws(
      () => solverPrograms(wide, method, true, null),
      (e: unknown) => e instanceof ShapeError,
    );
    const reads: OdeSystem = { rows: 4, rhs: (g, _, y) => g.ops.mul(g.gather(g.row("a", 2), "index", 4), y) };
    for (const name of ["A", "index"]) {
      assert.throws(
        () => solverPrograms(reads, method, true, { wrt: [name], throughStepSizeControl: true }),
        (e: unknown) => e instanceof ArgumentError && e.message.includes(`"${name}"`),
      );
    }
  });
});
