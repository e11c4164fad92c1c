// Baselines in place of the connectome: their size, their wiring, what they refuse; that they train, resume to the same bits, and have a record.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { configOf } from "../../src/cli/trainOptions.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { denseRecurrence } from "../../src/data/completeMatrix.ts";
import { baselineParameters } from "../../src/run/baseline.ts";
import { BASELINES } from "../../src/run/config.ts";
import type { Settings } from "../../src/run/configLayers.ts";
import { type Experiment, experimentAt, loadRunInputs, restoreExperiment } from "../../src/run/experiment.ts";
import { neuronsOfRun } from "../../src/run/projections.ts";
import { saveCheckpoint } from "../../src/train/checkpoint.ts";
import { axograd } from "../cli/process.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { assertBitEqual } from "../support/close.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const test = suite("baselines");
const dir = tempDir();
const hasAdapter = (await requireTestAdapter()) !== null;

/** A run on few samples. */
const few = (settings: Settings): Settings => ({
  ...{ trainSamples: 64, validationSamples: 0, testSamples: 0, evalEvery: 0, threads: 1, device: "wasm" },
  ...settings,
});

async function withRun<T>(backend: Backend, settings: Settings, use: (run: Run) => T | Promise<T>): Promise<T> {
  const config = await configOf(few(settings));
  const inputs = await loadRunInputs(config);
  const experiment = await experimentAt(null, backend, config, inputs);
  try {
    return await use({ experiment, config, inputs });
  } finally {
    experiment.dispose();
    await inputs.samples.release();
  }
}

interface Run {
  readonly experiment: Experiment;
  readonly config: Awaited<ReturnType<typeof configOf>>;
  readonly inputs: Awaited<ReturnType<typeof loadRunInputs>>;
}

const CASES: readonly (readonly [string, Settings])[] = [
  ["groups that are read out as they are", { data: "addition", columns: 4, groupSize: 2 }],
  ["trained inputs", { data: "decision", columns: 4 }],
  ["frozen time constants", { data: "match", columns: 4, trainTau: false }],
  ["time constants", { data: "decision", columns: 4, dynamics: "leaky" }],
  ["hidden units", { data: "decision", columns: 4, fcDim: 8 }],
  ["shared parameters", { data: "addition", columns: 4, groupSize: 2, share: "types" }],
];

test("a baseline has as many trained numbers as the connectome's run, but for less than those of one unit", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  for (const [name, settings] of CASES) {
    const limit = await withRun(backend, settings, ({ experiment }) => experiment.optimizer.trainedNumbers);
    for (const wiring of BASELINES) {
      await withRun(backend, { ...settings, wiring }, ({ experiment, config, inputs }) => {
        const { baseline, weights, samples, task, projections } = inputs;
        const { units, parameters, connectome } = baseline!;
        const label = `${name}, ${wiring}: ${units} units`;
        assert.is(experiment.optimizer.trainedNumbers, parameters, label);
        assert.is(connectome.parameters, limit, label);
        assert.ok(parameters <= limit, label);
        const ends = { inputSize: samples.train.inputSize, outputs: task.loss.outputs(task.target) };
        assert.ok(baselineParameters(config, ends, units + 1) > limit, label);
        assert.equal([weights.nRows, weights.nnz], [units, units * units], label);
        assert.is(projections.inputProjection!.nnz, units * ends.inputSize, label);
        assert.is(projections.outputProjection, null, label);
        assert.equal([experiment.model.rnn.nOutputs, experiment.model.rnn.types], [units, null], label);
        // Selectors name its units, not neurons of the connectome: each gets input.
        const { count, types, role } = neuronsOfRun(inputs.connectome, projections);
        assert.equal([count, types, new Set(role)], [units, undefined, new Set(["input"])], label);
      });
    }
  }
});

test("in continuous time the dense network is solved", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  await withRun(backend, { columns: 3, data: "digits", wiring: "dense" }, async ({ experiment }) => {
    for await (const { loss, solver } of experiment.trainer.fit({ steps: 1 }))
      assert.ok(Number.isFinite(loss) && solver!.rhsEvaluations > 0);
  });
});

test("samples are those of the run with the connectome, also where they come from a teacher on it", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  const task: Settings = { data: "teacher", columns: 2, share: "none", trainSamples: 8 };
  const first = ({ inputs }: Run) => inputs.samples.train.read([3, 0], null);
  const [real, dense] = [
    await withRun(backend, task, first),
    await withRun(backend, { ...task, wiring: "dense" }, first),
  ];
  assertBitEqual(dense.inputs, real.inputs, "inputs");
  assertBitEqual(dense.targets!, real.targets!, "traces");
});

test("recurrent weights are N(0, 1/n)", () => {
  const n = 200;
  const values = Array.from(denseRecurrence(n, new RandomStream(keyOfSeed(1))).values);
  const squares = values.reduce((sum, w) => sum + w * w, 0);
  // n² squares of mean 1/n and variance 2/n²: their sum is n ± √2.
  assert.ok(Math.abs(squares - n) < 5 * Math.SQRT2, `${squares}`);
  const sum = values.reduce((total, w) => total + w, 0);
  assert.ok(Math.abs(sum) < 5 * Math.sqrt(n), `${sum}`);
});

test("settings that a baseline cannot follow are refused by name", async () => {
  const task = { data: "addition" } as const;
  const refusals: readonly (readonly [Settings, RegExp])[] = [
    [{ gain: 3, wiring: "dense" }, /draws its own weights.*got --wiring dense \(--gain\)/],
    [{ normalise: "none", wiring: "gru", ...task }, /\(--normalise\)/],
    [{ weights: "abs", wiring: "dense" }, /\(--weights\)/],
    [{ keepSigns: true, wiring: "dense" }, /of the connectome .*got --wiring dense \(--keep-signs\)/],
    [{ inputScale: 2, wiring: "dense" }, /\(--input-scale\)/],
    [{ nonlinearity: "ReLU", wiring: "gru", ...task }, /sigmoid and tanh .*\(--nonlinearity\)/],
    [{ tau: 3, wiring: "gru", ...task }, /got --wiring gru \(--tau\)/],
    [{ freeze: ["biases"], wiring: "dense" }, /all its parameters count.*got biases \(--freeze\)/],
    [{ trainConnectome: false, wiring: "dense" }, /a network that is trained .*\(--train-connectome\)/],
    [{ wiring: "gru" }, /discrete.* with --wiring gru, got continuous .*\(--time\)/],
  ];
  for (const [settings, message] of refusals) await fails(() => configOf(settings), "argument", message);
});

test("a connectome that trains fewer numbers than one unit needs is refused", async () => {
  const config = await configOf(few({ data: "teacher", columns: 2, wiring: "dense", trainSamples: 8 }));
  await fails(() => loadRunInputs(config), "argument", /trains at least .* numbers, as a dense network .*\(--wiring\)/);
});

const DECISION: Settings = { data: "decision", columns: 4 };

test("both learn to decide in forty steps", async () => {
  await using backend = await createWasmBackend({ threads: 1 });
  for (const wiring of BASELINES) {
    await withRun(backend, { ...DECISION, wiring, trainSamples: 2000, testSamples: 500 }, async (run) => {
      const { trainer } = run.experiment;
      for await (const _ of trainer.fit({ steps: 40 }));
      const { metrics } = await trainer.evaluate(run.inputs.samples.test!);
      assert.ok(metrics.accuracy! > 0.7, `${wiring}: ${metrics.accuracy}`);
    });
  }
});

/** Parameters after `steps` steps, from a checkpoint or the start; `then` may write one. */
async function after(
  backend: Backend,
  settings: Settings,
  steps: number,
  from: string | null,
  to: string | null,
): Promise<readonly (readonly [string, ArrayLike<number>])[]> {
  return withRun(backend, settings, async ({ experiment, config }) => {
    const { model, trainer } = experiment;
    if (from) await restoreExperiment(experiment, from);
    for await (const _ of trainer.fit({ steps }));
    if (to) await saveCheckpoint(to, experiment, { position: trainer.position, seed: config.seed, config });
    const names = model.parameters.all().map(({ name }) => name);
    return Promise.all(names.map(async (name) => [name, await model.parameters.values(name)] as const));
  });
}

const DEVICES: readonly (readonly [string, () => Promise<Backend>])[] = [
  ["wasm", () => createWasmBackend({ threads: 2 })],
  ...(hasAdapter ? [["webgpu", () => createWebGpuBackend()] as const] : []),
];
for (const [device, open] of DEVICES) {
  test(`runs continue from a checkpoint to the same bits, ${device}`, async () => {
    await using backend = await open();
    for (const wiring of BASELINES) {
      const settings: Settings = { ...DECISION, columns: 2, groupSize: 4, wiring };
      const file = join(dir, `${device} ${wiring}.safetensors`);
      const whole = await after(backend, settings, 3, null, null);
      await after(backend, settings, 2, null, file);
      const continued = await after(backend, settings, 3, file, null);
      assert.ok(whole.some(([name]) => name === "rnn.hh_update.values") === (wiring === "gru"));
      for (const [i, [name, values]] of whole.entries()) assertBitEqual(continued[i]![1], values, `${wiring}, ${name}`);
    }
  });
}

test("a run says what it trains, and its record has both sides", async () => {
  const common = ["--threads", "1", "--device", "wasm", "--columns", "3", "--group-size", "2", "--test-samples", "8"];
  const args = ["--data", "addition", "--steps", "2", "--validation-samples", "0", "--eval-every", "0", ...common];
  for (const wiring of BASELINES) {
    const { code, stderr, stdout } = await axograd(["train", ...args, "--wiring", wiring, "--out", wiring], {
      cwd: dir,
    });
    assert.is(code, 0, stderr);
    const json = async (file: string) => JSON.parse(await readFile(join(dir, wiring, file), "utf8"));
    const { network, trainedParameters } = await json("config.json");
    const { units, parameters, connectome } = network.baseline;
    assert.is(network.baseline.name, wiring);
    assert.equal([trainedParameters, (await json("summary.json")).trainedParameters], [parameters, parameters]);
    const sizes = `of ${units} units with ${parameters} trained .* ${connectome.neurons} neurons.* ${connectome.parameters}$`;
    assert.match(stdout.replaceAll(",", ""), new RegExp(`^network .*${sizes}`, "m"));
    assert.match(await readFile(join(dir, wiring, "report.html"), "utf8"), /trained parameters/);
  }
});

test.run();
