// What is counted beforehand is what a run takes on its device, for every kind of model and option.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { rehearse } from "../../src/backend/rehearsal.ts";
import { createBackend } from "../../src/backend/select.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { BackendError } from "../../src/core/errors.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";
import { planMemory } from "../../src/run/memoryPlan.ts";
import { attemptsOf, rehearseRun } from "../../src/run/rehearsal.ts";
import { fails } from "../io/fixtures.ts";
import { randomSparse } from "../support/matrices.ts";
import { testAdapter } from "../support/softwareAdapter.ts";

const test = suite("rehearsal");

/** Large enough that calibration is rehearsed as well. */
const BASE: Settings = {
  ...{ generate: { neurons: 4500, connections: 30_000 }, trainSamples: 40, validationSamples: 0, testSamples: 0 },
  ...{ batchSize: 20, threads: 1, device: "wasm", diagnoseEvery: 0, steps: 2, epochs: null },
};

const CASES: readonly (readonly [name: string, settings: Settings])[] = [
  ["adaptive", {}],
  ["adaptive, small budget", { memoryBudget: 1 }],
  ["fixed steps, f64", { solver: "heun", dt: 0.25, dtype: "f64", batchSize: 4 }],
  ["discrete, all read out", { time: "discrete", recurrences: 6, readout: "all", nonlinearity: "Tanh" }],
  ["discrete, few read out", { time: "discrete", recurrences: 6, readout: "index=4400-4430", nonlinearity: "Tanh" }],
  [
    "parameters of neurons",
    {
      ...{ time: "discrete", recurrences: 6, nonlinearity: "Tanh" },
      lrOf: { "weights[pre: index=0-999]": 1e-4 },
      freeze: ["weights[index=0-9]", "biases[index=0-9]"],
    },
  ],
  ["SGD without moments, frozen input", { optimizer: "sgd", fcDim: 16, dropout: 0.5 }],
  ["frozen weights, penalty with start values", { freeze: ["rnn.tau"], penalty: { "l2:rnn.hh.values": 0.1 } }],
  ["signs kept, accumulated batches", { weights: "signed", keepSigns: true, accumulate: 2, clipNorm: 1 }],
  ["micro-batches", { batchSize: 10, accumulate: 2, microBatch: 8 }],
  ["a task on sequences", { preset: "addition", generate: null, columns: 3, groupSize: 2, trainSamples: 40 }],
];

/** The device's memory after two steps of a run, and the attempts of its solves. */
async function takenBy(backend: Backend, settings: Settings) {
  const config = resolveConfig([BASE, settings]);
  const inputs = await loadRunInputs(config, { hashes: false });
  const experiment = createExperiment(backend, config, inputs);
  const { model, trainer } = experiment;
  if (model.standardised) await trainer.calibrate(config.calibration);
  for await (const _ of trainer.fit({ steps: 2 }));
  const attempts = trainer.tapePlan!.attempts;
  const { peakBytes, takenBytes } = backend.memory();
  experiment.dispose();
  return { config, inputs, attempts, peakBytes, takenBytes };
}

for (const [name, settings] of CASES) {
  test(`what is counted is what is taken: ${name}`, async () => {
    const { dtype = "f32" } = settings;
    const [used, fresh] = [
      await createBackend({ device: "wasm", threads: 1, dtype }),
      await createWasmBackend({ threads: 1, dtype }),
    ];
    const { config, inputs, attempts, peakBytes, takenBytes } = await takenBy(used, settings);
    const { peak, parts } = await rehearseRun(fresh, config, inputs, attempts);
    for (const [what, counted, taken] of [
      ["held", peak.bytes, peakBytes],
      ["taken", peak.takenBytes, takenBytes],
    ] as const) {
      // Solves of other batches may take an attempt more or less.
      const slack = config.time === "discrete" || config.dt !== null ? 0.005 : 0.05;
      assert.ok(Math.abs(counted / taken - 1) <= slack, `${what}: ${counted} of ${taken}`);
    }
    const sum = Object.values(parts).reduce((total, bytes) => total + bytes, 0);
    assert.ok(Math.abs(sum - peak.takenBytes) < 1);
    assert.is(parts.moments > 0, config.optimizer !== "sgd");
    assert.is(fresh.memory().liveBuffers, 0, "a rehearsal leaves nothing");
    assert.ok(fresh.memory().bytes < 2 ** 16, "and takes nothing");
    await used.dispose();
    await fresh.dispose();
  });
}

test("a rehearsal counts buffers by label at the moment when most is held, and forgets those that were released before", async () => {
  const device = await createWasmBackend({ threads: 1 });
  const { backend, peak } = rehearse(device);
  const first = backend.buffer("first", 1000);
  first.release();
  first.release();
  backend.buffer("kept", 500);
  const second = backend.buffer("second", 2000);
  second.release();
  backend.buffer("later", 100);
  const { byLabel, bytes, largest, programs } = peak();
  // Blocks are whole cache lines.
  assert.equal(
    [...byLabel],
    [
      ["kept", 2048],
      ["second", 8000],
    ],
  );
  assert.is(bytes - programs, 10_048);
  assert.is(largest[0]!.label, "second");
  await backend.dispose();
  await device.dispose();
});

test("what is written to imagined memory goes nowhere, least of all to where the device has its numbers", async () => {
  const device = await createWasmBackend({ threads: 1 });
  const own = device.buffer("own", 5000);
  device.fill(own, 3);
  const imagined = device.imagined();
  const csr = randomSparse(40, 40, 0.2).csr;
  const matrix = imagined.sparse("matrix", csr);
  const rows = imagined.sparseRows(
    matrix,
    csr.rowPtr.subarray(0, 40).map((_, i) => Number(i < 3)),
  )!;
  const [a, b] = [imagined.buffer("a", 5000), imagined.buffer("b", 5000)];
  imagined.fill(a, 7);
  imagined.upload(b, new Float32Array(5000).fill(8));
  imagined.copy(b, a);
  assert.equal(await imagined.download(b), new Float32Array(5000));
  assert.equal(await device.download(own), new Float32Array(5000).fill(3));
  for (const thing of [rows, matrix, a, b]) thing.release();
  assert.is(imagined.memory().liveBuffers, 0);
  await imagined.dispose();
  await device.dispose();
});

test("a device without room for a run says so before anything is built", async () => {
  const config = resolveConfig([BASE, { time: "discrete" }]);
  const inputs = await loadRunInputs(config, { hashes: false });
  const small = await createWasmBackend({ threads: 1, memoryLimitBytes: 1.5 * 2 ** 20 });
  await fails(() => planMemory(small, config, inputs), "out-of-memory", /rnn\.|state|of .* in use/);
  assert.is(small.memory().liveBuffers, 0);
  await small.dispose();
});

test("attempts follow from step size and interval, frame by frame; tolerances leave a guess", () => {
  const shape = {
    inputSize: 2,
    steps: 4,
    target: { kind: "class", width: 1, classes: 2, times: null },
    weighted: false,
  } as const;
  const of = (settings: Settings, steps: number | null = 4) =>
    attemptsOf(resolveConfig([BASE, settings]), { ...shape, steps });
  assert.equal(of({ time: "discrete", recurrences: 3 }), { attempts: 12, attemptsKnown: true });
  assert.equal(of({ solver: "heun", dt: 0.5, endTime: 3 }, null), { attempts: 6, attemptsKnown: true });
  // Steps end at the frames: two for each 0.75.
  assert.equal(of({ solver: "heun", dt: 0.5, endTime: 3 }), { attempts: 8, attemptsKnown: true });
  assert.equal(of({}), { attempts: 8, attemptsKnown: false });
  assert.equal(of({ maxSteps: 5 }), { attempts: 5, attemptsKnown: false });
});

if (await testAdapter()) {
  test("on WebGPU as well: buffers, slabs and lanes, with the adapter's limits and with lower ones", async () => {
    for (const limits of [{}, { limits: "default" }, { maxArrayBytes: 16 * 4 * 4500 * 8 }] as const) {
      const [used, fresh] = [await createWebGpuBackend(limits), await createWebGpuBackend(limits)];
      const settings: Settings = {
        device: "webgpu",
        time: "discrete",
        recurrences: 3,
        batchSize: 24,
        standardise: false,
      };
      const { config, inputs, attempts, peakBytes, takenBytes } = await takenBy(used, settings);
      const { peak, lanes } = await rehearseRun(fresh, config, inputs, attempts);
      assert.ok(Math.abs(peak.bytes / peakBytes - 1) < 0.005, `${peak.bytes} of ${peakBytes}`);
      assert.ok(Math.abs(peak.takenBytes / takenBytes - 1) < 0.005, `${peak.takenBytes} of ${takenBytes}`);
      assert.is(lanes, "maxArrayBytes" in limits ? 8 : 32);
      const plan = await planMemory(fresh, config, inputs);
      assert.is(plan.maxArrayBytes, fresh.maxArrayBytes);
      assert.ok(plan.largest!.bytes <= plan.maxArrayBytes);
      assert.is(fresh.counts().liveBuffers, 0, "nothing was made on the device");
      await used.dispose();
      await fresh.dispose();
    }
  });

  test("a device opened with the default limits has them", async () => {
    const backend = await createWebGpuBackend({ limits: "default" });
    assert.is(backend.maxArrayBytes, 128 * 2 ** 20);
    assert.is(backend.device.limits.maxBufferSize, 256 * 2 ** 20);
    // A whole fly: 166,700 neurons run eight samples at once, and its 25.6 million weights fit into one binding.
    assert.is(backend.lanesFor(166_700), 8);
    await backend.dispose();
  });

  test("weights that no binding can hold are refused beforehand, with the number that it can", async () => {
    const limited = await createWebGpuBackend({ maxArrayBytes: 100_096 });
    const config = resolveConfig([BASE, { device: "webgpu", time: "discrete" }]);
    const inputs = await loadRunInputs(config, { hashes: false });
    const error = await planMemory(limited, config, inputs).then(
      () => null,
      (cause: unknown) => cause as BackendError,
    );
    assert.instance(error, BackendError);
    assert.is(error!.code, "limit");
    assert.match(error!.message, /at most 100096 bytes in one array .*25,024 numbers, got .*rnn\.hh/);
    assert.is(limited.counts().liveBuffers, 0);
    await limited.dispose();
  });
}

test.run();
