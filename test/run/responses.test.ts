// Responses of networks whose activity is known: a chain of three neurons in discrete time, a leaky neuron in continuous time.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import { type SampleSet, subsetOfSamples } from "../../src/data/sampleSet.ts";
import { ConnectomeModel, ConnectomeODEModel } from "../../src/models/networkModel.ts";
import type { Dynamics } from "../../src/models/options.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import type { OpenedRun } from "../../src/run/openRun.ts";
import { type ResponsesOptions, responsesOf } from "../../src/run/responses.ts";
import { forEachBackend } from "../support/backends.ts";

const TARGET = { kind: "class", width: 1, classes: 2, times: null } as const;
const TASK = makeTask({ loss: "cross-entropy", target: TARGET });
const FRAMES = 3;
/** A pulse x in the first frame, at the first neuron: 1 and 3 in class 0, 5 and 7 in class 1. */
const PULSES = [1, 5, 3, 7];
const CHAIN = arraySamples({
  inputs: {
    shape: [4, FRAMES, 3],
    data: Float32Array.from(PULSES.flatMap((x) => [x, 0, 0, 0, 0, 0, 0, 0, 0])),
  },
  targets: { shape: [4], data: Int32Array.of(0, 1, 0, 1) },
}).train;
const GROUPS = [
  { name: "first", neurons: Uint32Array.of(0) },
  { name: "others", neurons: Uint32Array.of(2, 1) },
];

type Run = Parameters<typeof responsesOf>[0];

function runOf(model: OpenedRun["model"], samples: SampleSet, settings: Settings): Run {
  const config = resolveConfig([settings]);
  const data = { train: samples, validation: null, test: null } as unknown as OpenedRun["data"];
  const types = { types: ["a", "b"], typeIdx: Uint32Array.of(0, 1, 1) };
  return { model, config, data, selectable: { count: 3, ...types } };
}

/** h₀ = x, h₁ = 2·h₀ and h₂ = −h₀ of the step before, without a nonlinearity; of voltages logistic rates. */
function chain(backend: Backend, dynamics: Dynamics = "plain"): ConnectomeModel {
  const connectome = csrFromCoo({ nRows: 3, nCols: 3, rows: [1, 2], cols: [0, 0], values: [2, -1] });
  return new ConnectomeModel(backend, {
    rnn: {
      ...{ numNeurons: 3, inputSize: 3, connectome, dynamics, connectomeBias: false },
      weightConstraint: "none",
      neuronNonlinearity: dynamics === "plain" ? null : "Sigmoid",
    },
    task: TASK,
  });
}

forEachBackend("responses of a network", ["f32", "f64"], (test) => {
  test("a pulse passes down a chain: activity, responses and selectivity are known", async ({ backend }) => {
    using model = chain(backend);
    const run = runOf(model, CHAIN, { time: "discrete" });
    const got = await responsesOf(run, CHAIN, { groups: GROUPS });
    assert.equal([[...got.times], got.timeUnit, got.conditions.by], [[1, 2, 3], "step", "class"]);
    assert.equal(
      [[...got.samples], [...got.baseline]],
      [
        [2, 2],
        [0, 0],
      ],
    );
    // After a step h = (x, 0, 0), after two (0, 2x, −x): the others are x/2 on average, ± 3x/2. Class 0 has x = 1 and 3, class 1 x = 5 and 7.
    assert.equal([...got.mean], [2, 0, 0, 6, 0, 0, 0, 1, 0, 0, 3, 0]);
    const [sd, half] = [Math.SQRT2, Math.SQRT1_2];
    const spread = (xs: readonly number[]) => Math.sqrt(xs.reduce((sum, x) => sum + (1.5 * x) ** 2 / 2, 0));
    const close = (a: ArrayLike<number>, b: readonly number[]) => {
      assert.is(a.length, b.length);
      for (const [i, x] of b.entries()) assert.ok(Math.abs(a[i]! - x) <= 4 * Number.EPSILON * x, `${a[i]}, ${x}`);
    };
    close(got.sdSamples, [sd, 0, 0, sd, 0, 0, 0, half, 0, 0, half, 0]);
    close(got.sdNeurons, [0, 0, 0, 0, 0, 0, 0, spread([1, 3]), 0, 0, spread([5, 7]), 0]);
    close(got.response, [2, 6, 1, 3]);
    // Of x: m = 4, SSB = 16, SSW = 4, MSW = 2; those of x/2 have the same shares.
    for (const { etaSquared, epsilonSquared, preferred, index } of got.selectivity) {
      close([etaSquared, epsilonSquared], [0.8, 0.7]);
      assert.equal([preferred, index], [1, 0.5]);
    }
    const last = await responsesOf(run, CHAIN, { at: [2], measure: "last" });
    assert.equal(
      last.groups.map(({ name, neurons }) => [name, ...neurons]),
      [
        ["a", 0],
        ["b", 1, 2],
      ],
    );
    assert.equal([...last.mean], [0, 0, 1, 3]);
  });

  test("interventions, currents per sample and frame among them; the baseline is that of the network acted upon", async ({
    backend,
  }) => {
    using model = chain(backend);
    const run = runOf(model, CHAIN, { time: "discrete" });
    const at = (interventions: ResponsesOptions["interventions"]) =>
      responsesOf(run, CHAIN, { groups: GROUPS, ...(interventions && { interventions }) });
    const silenced = await at({ silence: [0] });
    assert.ok(silenced.mean.every((x) => x === 0));
    assert.ok(silenced.selectivity.every(({ etaSquared, preferred }) => Number.isNaN(etaSquared) && preferred === -1));
    const clamped = await at({ clamp: [{ neurons: [1], value: 4 }] });
    // Held at 4, and the other one at 0, −x, 0.
    assert.equal(
      [[...clamped.baseline], [...clamped.mean.subarray(6)]],
      [
        [0, 2],
        [2, 1, 2, 2, -1, 2],
      ],
    );
    assert.equal([...clamped.response.subarray(2)], [-1, -3]);
    const current = PULSES.flatMap((x) => [-x, 0, 0]);
    const cancelled = await at({ drive: [{ neurons: [0], current }] });
    assert.ok(cancelled.mean.every((x) => x === 0));
    const error = await at({ drive: [{ neurons: [0], current: current.slice(1) }] }).catch((e: unknown) => e);
    assert.ok(error instanceof ShapeError);
  });

  test("the activity before the input: at rest, and what neurons send in a state of zero", async ({ backend }) => {
    using model = chain(backend);
    // Input ½ to all: ½ after a step; after two ½, ½ + 2·½ and ½ − ½.
    const rested = await responsesOf(runOf(model, CHAIN, { time: "discrete", rest: 0.5, restTime: 2 }), CHAIN, {
      groups: GROUPS,
    });
    assert.equal([...rested.baseline], [0.5, 0.75]);
    using voltages = chain(backend, "voltage");
    const run = runOf(voltages, CHAIN, { time: "discrete" });
    const sent = await responsesOf(run, CHAIN, { groups: GROUPS, rates: true, interventions: { silence: [1] } });
    assert.equal([...sent.baseline], [0.5, 0.25]);
    const states = await responsesOf(run, CHAIN, { groups: GROUPS });
    assert.equal([...states.baseline], [0, 0]);
  });

  test("samples, times, groups and conditions that do not fit are refused", async ({ backend }) => {
    using model = chain(backend);
    const run = runOf(model, CHAIN, { time: "discrete" });
    const oneSample = { by: "", names: ["all"], values: null, ofSample: new Int32Array(1) };
    const wrong: readonly (readonly [ResponsesOptions, new (...args: never) => Error])[] = [
      [{ groups: [] }, ArgumentError],
      [{ at: [0.5] }, ArgumentError],
      [{ at: [1], numTimes: 2 }, ArgumentError],
      [{ conditions: oneSample }, ShapeError],
      [{ conditions: { ...oneSample, ofSample: new Int32Array(4).fill(-1) } }, ArgumentError],
      [{ measures: "peak" } as never, ArgumentError],
    ];
    for (const [options, kind] of wrong) {
      const error = await responsesOf(run, CHAIN, options).catch((e: unknown) => e);
      assert.instance(error, kind, JSON.stringify(options));
    }
  });
});

forEachBackend("responses in continuous time", ["f64"], (test) => {
  test("a leaky neuron nears its input: h = x·(1 − e^−t)", async ({ backend }) => {
    const inputs = { shape: [4, 1], data: Float32Array.from(PULSES) };
    const samples = arraySamples({ inputs, targets: { shape: [4], data: Int32Array.of(0, 1, 0, 1) } }).train;
    const connectome = csrFromCoo({ nRows: 1, nCols: 1, rows: [0], cols: [0], values: [0] });
    const tolerance = 1e-9;
    using model = new ConnectomeODEModel(backend, {
      rnn: {
        ...{ numNeurons: 1, inputSize: 1, connectome, dynamics: "leaky", connectomeBias: false },
        ...{ neuronNonlinearity: null, neuronTau: [1], solve: { rtol: tolerance, atol: tolerance } },
      },
      task: TASK,
    });
    const run = {
      ...runOf(model, samples, { endTime: 2 }),
      selectable: { count: 1, types: ["a"], typeIdx: new Uint32Array(1) },
    };
    const { times, mean, baseline, response, timeUnit } = await responsesOf(run, samples, { at: [1, 2] });
    assert.equal([[...times], [...baseline], timeUnit], [[1, 2], [0], "t"]);
    // Each step adds an error of up to the tolerance, and those before it decay: less than 1,000 steps, inputs up to 7.
    const near = (x: number, expected: number) =>
      assert.ok(Math.abs(x - expected) < 8e3 * tolerance, `${x}, ${expected}`);
    const share = (t: number) => 1 - Math.exp(-t);
    [2 * share(1), 2 * share(2), 6 * share(1), 6 * share(2)].forEach((x, i) => {
      near(mean[i]!, x);
    });
    [2 * share(2), 6 * share(2)].forEach((x, i) => {
      near(response[i]!, x);
    });
    const evenly = await responsesOf(run, samples);
    assert.equal([evenly.times.length, evenly.times[0], evenly.times.at(-1)], [25, 0, 2]);
  });

  test("samples that cannot be solved are left out and counted; where none can be, that is an error", async ({
    backend,
  }) => {
    // dh/dt = 399·h + x leaves the range of numbers before t = 2, unless x is 0.
    const inputs = { shape: [4, 1], data: Float32Array.of(0, 1, 0, 1) };
    const samples = arraySamples({ inputs, targets: { shape: [4], data: Int32Array.of(0, 1, 0, 1) } }).train;
    const connectome = csrFromCoo({ nRows: 1, nCols: 1, rows: [0], cols: [0], values: [400] });
    using model = new ConnectomeODEModel(backend, {
      rnn: {
        ...{ numNeurons: 1, inputSize: 1, connectome, dynamics: "leaky", connectomeBias: false },
        ...{ neuronNonlinearity: null, neuronTau: [1], solve: { maxSteps: 64, onFailure: "mask" } },
      },
      task: TASK,
    });
    const run = {
      ...runOf(model, samples, { endTime: 2 }),
      selectable: { count: 1, types: ["a"], typeIdx: new Uint32Array(1) },
    };
    const got = await responsesOf(run, samples, { numTimes: 2 });
    assert.equal([got.failed, [...got.samples], [...got.mean]], [2, [2, 0], [0, 0, Number.NaN, Number.NaN]]);
    const error = await responsesOf(run, subsetOfSamples(samples, [1, 3])).catch((e: unknown) => e);
    assert.ok(error instanceof SolverError && error.code === "all-failed", `${error}`);
  });
});
