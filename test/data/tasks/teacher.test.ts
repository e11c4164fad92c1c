import * as assert from "uvu/assert";
import type { Samples } from "../../../src/data/sampleSet.ts";
import type { TaskNetwork } from "../../../src/data/tasks/taskSet.ts";
import { teacher } from "../../../src/data/tasks/teacher.ts";
import { recovery } from "../../../src/data/tasks/teacherNetwork.ts";
import { ConnectomeODERNN } from "../../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../../src/models/connectomeRnn.ts";
import { fails } from "../../io/fixtures.ts";
import { forEachBackend } from "../../support/backends.ts";
import { suite } from "../../support/suite.ts";
import { ringNetwork } from "./ringNetwork.ts";

const N = 7;
const FRAMES = 12;
const samples = { train: 5, validation: 3, test: 4 };
const make = (change: Partial<TaskNetwork> = {}, options: Readonly<Record<string, number | string>> = {}) =>
  teacher.make({ seed: 2, samples, options: { frames: FRAMES, ...options }, network: ringNetwork(N, change) });

// The known answers: in the engine, a student with the teacher's parameters has the teacher's traces.
forEachBackend("teacher", ["f64", "f32"], (test) => {
  for (const dynamics of ["rate", "voltage"] as const) {
    for (const nonlinearity of ["Sigmoid", "Tanh", "ReLU", "Softplus"]) {
      test(`${dynamics}, ${nonlinearity}: a student with its parameters has its traces`, async ({ backend }) => {
        const { train, teacher: truth } = make({ dynamics, nonlinearity });
        const { inputs, targets, size } = (await train.read([0, 1, 2], null)) as Samples;
        const { weights, tau, bias } = truth!;
        const options = {
          inputSize: N,
          numNeurons: N,
          connectome: weights,
          inputProjection: null,
          dynamics,
          neuronNonlinearity: nonlinearity,
          neuronTau: tau,
          biasInit: bias,
          weightConstraint: "none",
        } as const;
        const input = { data: inputs, batch: size, steps: FRAMES };
        using discrete = new ConnectomeRNN(backend, options);
        using continuous = new ConnectomeODERNN(backend, { ...options, solve: { method: "euler", dt0: 1 } });
        const evaluation = { times: train.times! };
        const traces = [(await discrete.forward(input)).hs, (await continuous.forward(input, evaluation)).hs];
        // Targets are f32. A step with f32 adds a few roundings to a state and keeps those before it: |∂h'/∂h| ≤ 1 + Σ|w|/τ < 3.
        // The states are below 16, and 12 steps with a mean growth of less than 1.5 make 1.5^12·4 = 520 roundings of 16·2^-24.
        const scale = Math.max(1, ...targets.map(Math.abs));
        const bound = scale * (backend.dtype === "f64" ? 2 ** -24 : 520 * 2 ** -24);
        for (const hs of traces) {
          const worst = Float64Array.from(hs).reduce((most, h, i) => Math.max(most, Math.abs(h - targets[i]!)), 0);
          assert.ok(worst <= bound, `${worst} of ${bound}`);
        }
        // The test can fail: with another τ the traces are others.
        using other = new ConnectomeRNN(backend, { ...options, neuronTau: 2 });
        const { hs } = await other.forward(input);
        assert.ok(hs.some((h, i) => Math.abs(h - targets[i]!) > 10 * bound));
      });
    }
  }
});

const test = suite("teacher");

/** Which neurons count in a set, the same in every sample and frame. */
async function counted(set: {
  read(indices: number[], variation: null): Samples | Promise<Samples>;
}): Promise<number[]> {
  const { weights, size } = await set.read([0, 1, 2], null);
  const first = Array.from(weights!.subarray(0, N));
  for (let k = 0; k < size * FRAMES; k++) assert.equal(Array.from(weights!.subarray(k * N, (k + 1) * N)), first);
  return first;
}

test("training counts observed neurons, evaluation the others, or those that were asked for", async () => {
  const options = { masked: 0.45 };
  const { train, validation, test: held } = make({}, options);
  const observed = await counted(train);
  // floor(0.45·7) neurons are masked.
  assert.is(
    observed.reduce((a, b) => a + b),
    4,
  );
  const others = observed.map((w) => 1 - w);
  assert.equal(await counted(validation), others);
  assert.equal(await counted(held), others);
  assert.equal(await counted(make({}, { ...options, held: "observed" }).test), observed);
  assert.equal(await counted(make({}, { ...options, held: "all" }).test), new Array(N).fill(1));
});

test("parameters are shared where the network shares them, else each has its own", () => {
  const typeIdx = [0, 1, 0, 1, 0, 1, 0];
  const group = Array.from({ length: 2 * N }, (_, e) => e % 3);
  const network = ringNetwork(N, { typeIdx, group });
  const { teacher: truth } = make({ typeIdx, group });
  const factors = truth!.weights.values.map((w, e) => w / network.weights.values[e]!);
  const distinct = (values: ArrayLike<number>) => new Set(Array.from(values, (x) => x.toFixed(12))).size;
  assert.equal([distinct(factors), distinct(truth!.tau), distinct(truth!.bias)], [3, 2, 2]);
  for (const e of group.keys()) assert.ok(Math.abs(factors[e]! - factors[group[e]!]!) < 1e-12);
  for (const i of typeIdx.keys()) assert.is(truth!.tau[i], truth!.tau[typeIdx[i]!]);
  assert.ok(factors.every((f) => f > 0));
  const own = make().teacher!;
  assert.equal([distinct(own.weights.values), distinct(own.tau), distinct(own.bias)], [2 * N, N, N]);
  assert.ok(own.tau.every((t) => t >= 2 && t <= 10));
  assert.equal(make().teacher, own);
});

test("inputs are smooth and have the standard deviation that was asked for", async () => {
  const drive = 3;
  const { train } = teacher.make({
    seed: 2,
    samples: { ...samples, train: 200 },
    options: { frames: 200, drive },
    network: ringNetwork(N),
  });
  const { inputs } = await train.read(
    Array.from({ length: 200 }, (_, i) => i),
    null,
  );
  let [square, change] = [0, 0];
  for (let i = 0; i < inputs.length; i++) {
    square += inputs[i]! ** 2;
    if (i % (200 * N) >= N) change += (inputs[i]! - inputs[i - N]!) ** 2;
  }
  // 1400 independent inputs, each with a mean square that varies by less than itself.
  assert.ok(Math.abs(square / inputs.length / drive ** 2 - 1) < 5 / Math.sqrt(1400));
  // A period of 6 frames or more changes by at most 2·sin(π/6) = 1 standard deviation per frame.
  assert.ok(change < square);
});

test("recovery is 1 for the teacher's parameters and 0 for their mean", async () => {
  const truth = make().teacher!;
  const { weights, tau, bias } = truth;
  assert.equal(recovery(truth, { weights: weights.values, tau, bias }), { weights: 1, tau: 1, bias: 1 });
  const means = [weights.values, tau, bias].map((values) => {
    const mean = Float64Array.from(values).reduce((a, b) => a + b, 0) / values.length;
    return Array.from(values, () => mean);
  });
  const none = recovery(truth, { weights: means[0]!, tau: means[1]!, bias: means[2]! });
  for (const r2 of Object.values(none)) assert.ok(Math.abs(r2) < 1e-12);
  await fails(() => recovery(truth, { weights: [1], tau, bias }), "shape", /weights/);
});

test("networks that it cannot be are refused by name", async () => {
  await fails(() => teacher.make({ seed: 1, samples }), "argument", /network/);
  await fails(() => make({ dynamics: "plain" }), "argument", /dynamics/);
  await fails(() => make({ nonlinearity: "GELU" }), "argument", /nonlinearity/, /Sigmoid/);
  await fails(() => make({ nonlinearity: null }), "argument", /nonlinearity/);
  await fails(() => make({ group: [0] }), "shape", /group/);
  await fails(() => make({ typeIdx: [0] }), "shape", /typeIdx/);
  await fails(() => make({}, { fastest: 5, slowest: 4 }), "argument", /fastest/);
  await fails(() => make({}, { masked: 0.1 }), "argument", /masked/);
  assert.is(make({}, { masked: 0.1, held: "all" }).test.count, 4);
});

test.run();
