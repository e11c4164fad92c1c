// Right-hand sides of every kind: one that is the same for all rows, samples or both is broadcast, with the bits of one that writes it out.

import * as assert from "uvu/assert";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { solverPrograms } from "../../src/ode/programs.ts";
import type { Tableau } from "../../src/ode/tableau.ts";
import { exponentialEuler, TABLEAUS } from "../../src/ode/tableaus/index.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { cotangents, type HostOptions, INTEGRAL, kindProblem, RHS_KINDS, solveOnHost } from "./harness.ts";

/** Fixed steps, and, where the method estimates its error, steps by an integral controller with a first step of its own choice. */
function optionsOf(tableau: Tableau): HostOptions[] {
  const fixed: HostOptions = { tableau, controller: { type: "fixed" }, dt0: 0.125 };
  return tableau.bErr ? [fixed, { tableau, controller: INTEGRAL }] : [fixed];
}

forEachBackend("right-hand sides", ["f64"], (test) => {
  for (const tableau of [...TABLEAUS, exponentialEuler]) {
    for (const [kind, rhs] of Object.entries(RHS_KINDS)) {
      test(`${tableau.name}: ${kind}`, async ({ backend }) => {
        const leaky = tableau.exponential ?? false;
        const narrow = kindProblem(rhs, leaky);
        // The sum with 0·y is a state, and exact.
        const full = kindProblem((g, t, y) => g.ops.add(g.ops.mul(0, y), rhs(g, t)), leaky);
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
