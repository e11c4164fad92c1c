// What a run says about its time, read-out and activity before the first step.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { describeRun, describeSummary, describeTime } from "../../src/cli/describe.ts";
import type { RunSummary } from "../../src/cli/summary.ts";
import type { SampleShape } from "../../src/data/sampleSet.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { loadRunInputs } from "../../src/run/experiment.ts";

const test = suite("describe");

const NUMBERS = { kind: "numbers", width: 2, classes: null } as const;
const STILL: SampleShape = { inputSize: 3, steps: null, target: { ...NUMBERS, times: null }, weighted: false };
const SEQUENCE: SampleShape = { ...STILL, steps: 12 };
const TRACES: SampleShape = { ...STILL, target: { ...NUMBERS, times: 5 } };

const timeOf = (config: Parameters<typeof resolveConfig>[0][number], shape: SampleShape): string =>
  describeTime(resolveConfig([config]), shape);

test("a solver with its output times: those of the settings, or of the targets", () => {
  assert.is(timeOf({}, STILL), "dopri5 from t = 0 to 3, rtol 0.01, atol 0.001, read out at the last of 2 times");
  assert.match(timeOf({ readoutTimes: "all" }, STILL), /, read out at all 2 times$/);
  assert.match(timeOf({}, TRACES), /, read out at all 5 times$/);
  assert.match(timeOf({ readoutTimes: "last:2" }, TRACES), /, read out at the last 2 of 5 times$/);
  assert.match(
    timeOf({ rest: 0.5, restTime: 4, window: 3 }, SEQUENCE),
    /, from rest under input 0.5 \(time 4\), gradients within windows of 3 frames, read out at the last of 2 times$/,
  );
});

test("steps in discrete time, and no word of a solver", () => {
  const discrete = { time: "discrete" } as const;
  assert.is(
    timeOf({ ...discrete, recurrences: 5 }, STILL),
    "discrete, 5 steps with a constant input, read out at the end",
  );
  assert.is(
    timeOf({ ...discrete, readoutTimes: "last:4", readoutAverage: true }, SEQUENCE),
    "discrete, 1 step per frame, 12 frames, read out as the mean of the last 4 of 12 times",
  );
  assert.match(timeOf({ ...discrete, rest: 0, restTime: 8 }, SEQUENCE), /from rest under input 0 \(steps 8\)/);
});

test("the first lines of a run name its dynamics, its time, how groups answer, and penalties on activity", async () => {
  const config = resolveConfig([
    { data: "addition", time: "discrete", dynamics: "leaky", nonlinearity: "Tanh", tau: 2, standardise: false },
    { generate: { neurons: 3000, connections: 9000 }, input: "groups", head: "groups", activityPenalty: 0.1 },
    { trainSamples: 4, validationSamples: 0, testSamples: 0 },
  ]);
  const lines = describeRun(config, await loadRunInputs(config), "device", 7).join("\n");
  assert.match(lines, /^weights .*; leaky dynamics, Tanh, tau 2$/m);
  assert.match(lines, /^read-out .* their means, to \d+ classes: as they are$/m);
  assert.match(lines, /^time +discrete, 1 step per frame, \d+ frames, /m);
  assert.match(lines, /^training .*penalty 0.1 on activity away from 0/m);
  assert.not.match(lines, /solver|dopri5/);
});

test("the speed of a run counts evaluations of a right-hand side where one was solved", () => {
  const summary = {
    ...{ stepsPerSecond: 2, rhsEvaluationsPerStep: 44, seconds: 5, steps: 10, failedSamples: 0 },
    ...{ peakMemoryBytes: 1e8, trainingPeakMemoryBytes: 1e8, deviceMemory: { peakBytes: 1e7, largestBytes: 1e6 } },
    ...{ folder: "runs/a", files: ["config.json"] },
  } as unknown as RunSummary;
  assert.match(describeSummary(summary)[0]!, /2.00 steps\/s, 44.0 RHS evaluations per step$/);
  assert.match(describeSummary({ ...summary, rhsEvaluationsPerStep: null })[0]!, /2.00 steps\/s$/);
});

test.run();
