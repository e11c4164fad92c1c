// Sequences of another length than the samples of a run.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { solveOptionsOf } from "../../src/run/solver.ts";
import { odeFramesOf } from "../../src/run/trajectory.ts";

const test = suite("trajectory");
const target = { kind: "numbers", width: 1, classes: null, times: null } as const;
const samples = { inputSize: 1, steps: 10, target, weighted: false };

test("frames last as long as in training, with an output after each", () => {
  const config = resolveConfig([{ time: "continuous", endTime: 5, rest: 0.5, restTime: 7 }]);
  const { times, h0 } = odeFramesOf(config, samples, 4);
  assert.equal(Array.from(times!), [0.5, 1, 1.5, 2]);
  assert.equal(h0, { rest: 0.5, time: 7 });
  // Samples with output times of their own end at the last one.
  assert.equal(Array.from(odeFramesOf(config, { ...samples, times: Float64Array.of(1, 20) }, 2).times!), [2, 4]);
});

test("longer sequences than those of the run may take more steps, in proportion; shorter ones as many", () => {
  const config = resolveConfig([{ time: "continuous", maxSteps: 30 }]);
  const limits = (steps: number | null): number[] => {
    const { maxSteps } = solveOptionsOf(config, steps);
    assert.ok(typeof maxSteps === "function");
    return [5, 10, 25].map(maxSteps);
  };
  assert.equal(limits(10), [30, 30, 75]);
  assert.equal(limits(null), [150, 300, 750]);
});

test("samples that are constant in time have no frames", () => {
  assert.throws(
    () => odeFramesOf(resolveConfig([{}]), { ...samples, steps: null }, 4),
    (error: unknown) => error instanceof ArgumentError && error.message.includes("sequences"),
  );
});

test.run();
