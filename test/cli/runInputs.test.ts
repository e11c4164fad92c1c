// The input of a run: parts of sample files, and settings that do not go with the samples, by their flags.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { SampleSet } from "../../src/data/sampleSet.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs, type RunInputs } from "../../src/run/experiment.ts";
import { type Arrays, all, array, labels, normals } from "../data/sampleFixtures.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("input of a run");
const dir = tempDir();
const COUNT = 40;
const INPUTS = 3;

async function file(name: string, arrays: Arrays): Promise<string> {
  const path = join(dir, `${name}.npz`);
  await writeArrays(path, arrays);
  return path;
}

const classes = await file("classes", { inputs: normals(1, COUNT, INPUTS), targets: labels(COUNT, 4) });
const numbers = await file("numbers", { inputs: normals(1, COUNT, INPUTS), targets: normals(2, COUNT, 2) });
const sequences = await file("sequences", { inputs: normals(1, COUNT, 5, INPUTS), targets: labels(COUNT, 4) });
const series = await file("series", { inputs: normals(1, COUNT, 5, INPUTS), targets: normals(2, COUNT, 5, 2) });
const timed = await file("timed", {
  inputs: normals(1, COUNT, 5, INPUTS),
  targets: normals(2, COUNT, 2, 1),
  times: array([2], Float64Array.of(1, 2)),
});
/** 24 samples to train on, of classes 0 and 1; 10 for validation, of class 2; 6 to test. */
const split = await file("split", {
  inputs: normals(1, COUNT, INPUTS),
  targets: array(
    [COUNT],
    Int32Array.from({ length: COUNT }, (_, i) => (i < 24 ? +(i % 3 === 0) : i < 34 ? 2 : i % 3)),
  ),
  split: array(
    [COUNT],
    Int32Array.from({ length: COUNT }, (_, i) => (i < 24 ? 0 : i < 34 ? 1 : 2)),
  ),
});

const SMALL = { generate: { neurons: 40, connections: 100 }, device: "wasm", threads: 1, batchSize: 8 } as const;

function load(data: string, settings: Settings = {}): Promise<RunInputs> {
  return loadRunInputs(resolveConfig([{ ...SMALL, data, ...settings }]));
}

const sizes = ({ samples: { train, validation, test } }: RunInputs) =>
  [train, validation, test].map((set) => set?.count ?? 0);

test("validation is the part of the file or the first of its samples, else drawn; with 0 there is none", async () => {
  assert.equal(sizes(await load(split)), [24, 10, 6]);
  assert.equal(sizes(await load(split, { validationSamples: 7, testSamples: 2, trainSamples: 5 })), [5, 7, 2]);
  assert.equal(sizes(await load(split, { validationSamples: 0, testSamples: 0 })), [24, 0, 0]);
  await fails(
    () => load(split, { validationSamples: 11 }),
    "argument",
    /at most 10, .*got 11 \(--validation-samples\)/,
  );
  assert.equal(sizes(await load(classes, { validationSamples: 12 })), [28, 12, 0]);
  assert.equal(sizes(await load(classes, { validationSamples: 0 })), [40, 0, 0]);
  const { samples } = await load(classes, { validationSamples: 21 });
  assert.equal([samples.train.count, samples.validation?.count], [36, 4]);
  assert.match(
    samples.notes.join("\n"),
    /4 samples of 40 are set aside for validation, a tenth: --validation-samples 21/,
  );
});

test("inputs are standardised with the samples that are left to train on", async () => {
  const { samples } = await load(classes, { scaleInputs: "standardise", validationSamples: 12 });
  const column = async (set: SampleSet, j: number) => {
    const { inputs } = await all(set);
    return Array.from({ length: set.count }, (_, i) => inputs[i * INPUTS + j]!);
  };
  const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  for (let j = 0; j < INPUTS; j++) {
    const values = await column(samples.train, j);
    // 28 roundings to f32 of numbers below 4.
    assert.ok(Math.abs(mean(values)) < 2 ** -22, `${mean(values)}`);
    assert.ok(Math.abs(mean(values.map((x) => x * x)) - 1) < 2 ** -19);
    assert.ok(Math.abs(mean(await column(samples.validation!, j))) > 1e-3);
  }
});

test("balanced weights are inverse to the classes' samples, and 1 for a class without any", async () => {
  const { task } = await load(split, { classWeights: "balanced" });
  // 16 samples of class 0, 8 of class 1.
  assert.equal(
    [0, 1, 2].map((c) => task.loss.weightOf!(c)),
    [24 / (2 * 16), 24 / (2 * 8), 1],
  );
  await load(split, { classWeights: "balanced", labelSmoothing: 0.1 });
});

test("a preset's shift is left out where there are no images; the user's is refused", async () => {
  for (const data of [classes, "text"]) {
    await load(data, { preset: "retina" });
    await fails(() => load(data, { shift: 1 }), "argument", /only images can be shifted, got 1 \(--shift\)/);
  }
});

test("settings that do not go with the samples are refused by their flags", async () => {
  const discrete = { time: "discrete" } as const;
  const refusals: readonly (readonly [string, Settings, RegExp])[] = [
    [numbers, { labelSmoothing: 0.1 }, /classes.*\(--label-smoothing\)/],
    [numbers, { classWeights: "balanced" }, /\(--class-weights\)/],
    [numbers, { loss: "cross-entropy" }, /\(--loss\)/],
    [classes, { metrics: ["r2"] }, /got r2.*\(--metrics\)/],
    [sequences, { ...discrete, readoutTimes: "last:6" }, /at most 5, .*got 6 \(--readout-times\)/],
    [sequences, { readoutTimes: "last:3" }, /at most 2, .*\(--readout-times\)/],
    [sequences, { ...discrete, readoutAverage: true }, /several times .*, got one \(--readout-average\)/],
    [series, { ...discrete, readoutTimes: "last" }, /each of the 5 times .*got 1 time \(--readout-times\)/],
    [series, { ...discrete, readoutAverage: true }, /got their mean \(--readout-average\)/],
    [series, { numEvals: 4 }, /5 times, got 4 \(--num-evals\)/],
    [timed, { endTime: 4 }, /output times, got 4 \(--end-time\)/],
  ];
  for (const [data, settings, message] of refusals) await fails(() => load(data, settings), "argument", message);
  await load(sequences, { ...discrete, readoutTimes: "last:5", readoutAverage: true });
  await load(series, { readoutTimes: "last:5" });
});

test("errors about patterns, and a rest of parts of steps, name their settings", async () => {
  const refusals: readonly (readonly [Settings, RegExp])[] = [
    [{ lrOf: { weights: 0.1, nothing: 0.1 } }, /got "nothing" \(--lr-of\)/],
    [{ decayOf: { nothing: 0.1 } }, /\(--decay-of\)/],
    [{ lrOf: { weights: 0.1 }, freeze: ["nothing"] }, /\(--freeze\)/],
    [{ freeze: ["*"] }, /all frozen \(--freeze\)/],
    [{ penalty: { "l2:nothing": 0.1 } }, /\(--penalty\)/],
    [{ penalty: { "l2:weights": 0.1 }, freeze: ["weights"] }, /l2:weights, all frozen \(--penalty\)/],
    [{ time: "discrete", rest: 0, restTime: 2.5 }, /whole number of steps .*got 2\.5 \(--rest-time\)/],
  ];
  const backend = await createWasmBackend({ dtype: "f32", threads: 1 });
  for (const [settings, message] of refusals) {
    const config = resolveConfig([{ ...SMALL, data: classes, ...settings }]);
    const inputs = await loadRunInputs(config);
    await fails(() => createExperiment(backend, config, inputs), "argument", message);
  }
  await backend.dispose();
});

test.run();
