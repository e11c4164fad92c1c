// The table of control numbers, and what the graphs of a method pass on.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONTROL, controlNumbers, GRADIENT_NUMBERS, REPORTED_NUMBERS } from "../../src/ode/control.ts";
import { attemptGraph, type Controller, initGraph, type OdeSystem } from "../../src/ode/method.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { INTEGRAL } from "./harness.ts";

const test = suite("control numbers");

const DECAY: OdeSystem = { rows: 2, rhs: (g, _, y) => g.ops.neg(y) };
const PID: Controller = { ...INTEGRAL, type: "pid", pCoeff: 0.2, iCoeff: 0.5, dCoeff: 0.1 };
/** Only a PID controller changes these. */
const RATIOS = ["ratio1", "ratio2"];

for (const segments of [0, 2]) {
  for (const tracksVoids of [false, true]) {
    test(`every number has a start and a next value: ${segments} segments, void steps ${tracksVoids}`, () => {
      const names = controlNumbers(segments > 0, tracksVoids).map(({ name }) => name);
      const passedOn = ({ next }: { readonly next: object }) =>
        Object.keys(next).filter((name) => name !== "y" && name !== "k1");
      const options = { segments, tracksVoids };
      const graphs = (controller: Controller) => {
        const method = { tableau: dopri5, controller, maxSteps: 10 };
        return [initGraph(DECAY, method, false, options), attemptGraph(DECAY, method, options)].map(passedOn);
      };
      const [start, next] = graphs(PID);
      assert.equal(start, names, "in the order of the table");
      assert.equal([...next!].sort(), [...names].sort());
      const [, integral] = graphs(INTEGRAL);
      assert.equal([...integral!, ...RATIOS].sort(), [...names].sort());
    });
  }
}

test("names occur once, and the lists that are read by name are part of the table", () => {
  const names = CONTROL.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  assert.equal(GRADIENT_NUMBERS, ["t", "dt", "ratio1", "ratio2", "asked"]);
  for (const name of ["t", "dt", "running", "status", "nSteps", "nAccepted"] as const)
    assert.ok(REPORTED_NUMBERS.includes(name), name);
});

test.run();
