// `axograd predict`: outputs of trained runs for samples of every kind, in files of every format.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerPredict } from "../../src/cli/predict.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { openNpz, readNpz } from "../../src/io/npz.ts";
import { readSafetensors } from "../../src/io/safetensors.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { openRun } from "../../src/run/openRun.ts";
import { predict, predictAll, probabilitiesOf } from "../../src/run/predict.ts";
import { samplesFor } from "../../src/run/samplesFor.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { axograd, TINY } from "./process.ts";

const test = suite("axograd predict");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const MADE = [
  "--time",
  "discrete",
  "--generate",
  "300x1500",
  "--batch-size",
  "16",
  "--threads",
  "1",
  "--device",
  "wasm",
];
const SMALL = [...MADE, "--steps", "4", "--no-report", "--quiet", "--calibration", "32", "--nonlinearity", "Tanh"];

/** Sequences of 6 frames of 3 numbers around 50, and two means of them; 20 of 60 are test samples. */
const COUNT = 60;
const inputs = Float32Array.from({ length: COUNT * 18 }, (_, i) => 50 + 10 * Math.sin(i * i));
const targets = Float32Array.from({ length: COUNT * 2 }, (_, i) => {
  const own = inputs.subarray(Math.floor(i / 2) * 18, (Math.floor(i / 2) + 1) * 18);
  return (i % 2 === 0 ? 1 : -2) * (own.reduce((sum, x) => sum + x, 0) / 18);
});
const split = Array.from({ length: COUNT }, (_, i) => (i < 30 ? "train" : i < 40 ? "validation" : "test"));
const part = (array: Float32Array, width: number): Float32Array => array.slice(40 * width);

async function predicted(...args: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await runCommand(registerPredict, "predict", ...args, "--json", "--overwrite"));
}

async function arraysOf(file: string): Promise<Record<string, { shape: readonly number[]; data: number[] }>> {
  const npz = await openNpz(file);
  const names = npz.names.filter((name) => !name.endsWith("Names"));
  npz.close();
  const all = [...(await readNpz(file, names))];
  return Object.fromEntries(all.map(([name, { shape, data }]) => [name, { shape, data: Array.from(data, Number) }]));
}

const testOf = async (run: string): Promise<Record<string, number>> => {
  const { test: of } = JSON.parse(await readFile(join(run, "summary.json"), "utf8"));
  return { loss: of.loss, ...of.metrics };
};

test.before(async () => {
  const shape = [COUNT, 6, 3];
  await writeArrays(at("data.npz"), {
    ...{ inputs: { shape, data: inputs }, targets: { shape: [COUNT, 2], data: targets }, split },
    outputNames: ["left", "right, too"],
  });
  await writeArrays(at("bare.npz"), { inputs: { shape: [20, 6, 3], data: part(inputs, 18) } });
  await runCommand(
    registerTrain,
    "train",
    "--data",
    at("data.npz"),
    "--scale-inputs",
    "standardise",
    ...SMALL,
    "--out",
    at("run"),
  );
  await runCommand(registerTrain, "train", "--out", at("digits"), ...TINY, "--quiet", "--no-report");
});

test("the run's own test part by default: loss and metrics are those of the training's evaluation", async () => {
  const report = await predicted(at("run"), "--out", at("own.npz"));
  const { loss, ...metrics } = await testOf(at("run"));
  const { evaluation } = report as { evaluation: { loss: number; metrics: Record<string, number>; count: number } };
  assert.equal([evaluation.loss, evaluation.metrics, evaluation.count], [loss, metrics, 20]);
  assert.equal([report.part, report.samples, report.times, report.rows, report.failed], ["test", 20, 1, 2, 0]);
  const { outputs, samples, failed } = await arraysOf(at("own.npz"));
  assert.equal([outputs!.shape, samples!.data.length, failed!.shape], [[20, 1, 2], 20, [0]]);
  const text = await runCommand(registerPredict, "predict", at("run"), "--out", at("own.csv"));
  assert.match(text, /^r2 .*, mse .*, loss .* on 20 samples of .*data\.npz \(test\)\n.*own\.csv: outputs \[20, 1, 2\]/);
});

test("samples of a file, without targets: the same bits as in the run, standardised with its record", async () => {
  const report = await predicted(at("run"), "--data", at("bare.npz"), "--out", at("bare.out.npz"));
  assert.equal([report.evaluation, report.part], [null, null]);
  assert.equal((await arraysOf(at("bare.out.npz"))).outputs, (await arraysOf(at("own.npz"))).outputs);
  // Other statistics would give other outputs.
  const start = JSON.parse(await readFile(join(at("run"), "config.json"), "utf8"));
  const mean = start.data.normalisation.mean as number[];
  assert.ok(mean.length === 3 && mean.every((x) => Math.abs(x - 50) < 5));
});

test("the samples of the run need not be there", async () => {
  await writeArrays(at("gone.npz"), {
    ...{ inputs: { shape: [COUNT, 6, 3], data: inputs }, targets: { shape: [COUNT, 2], data: targets }, split },
  });
  const args = ["--data", at("gone.npz"), "--scale-inputs", "standardise", ...SMALL, "--out", at("gone")];
  await runCommand(registerTrain, "train", ...args);
  await rm(at("gone.npz"));
  await predicted(at("gone"), "--data", at("bare.npz"), "--out", at("gone.out.npz"));
  assert.equal((await arraysOf(at("gone.out.npz"))).outputs, (await arraysOf(at("own.npz"))).outputs);
  await fails(() => predicted(at("gone"), "--out", at("gone.out.npz")), "file-missing", /gone\.npz/);
});

test("three formats have the same numbers", async () => {
  const args = [at("digits"), "--probabilities", "--out"];
  for (const name of ["d.npz", "d.safetensors", "d.csv"]) await predicted(...args, at(name));
  const npz = await arraysOf(at("d.npz"));
  const { tensors } = await readSafetensors(at("d.safetensors"));
  assert.equal([...tensors.keys()].sort(), Object.keys(npz).sort());
  for (const [name, { shape, data }] of tensors)
    assert.equal([shape, Array.from(data, Number)], [npz[name]!.shape, npz[name]!.data], name);
  const [head, ...lines] = (await readFile(at("d.csv"), "utf8")).trim().split("\n");
  assert.is(
    head,
    `sample,class,${[...Array(10).keys()].map((c) => `output_${c}`)},${[...Array(10).keys()].map((c) => `p_${c}`)}`,
  );
  const rows = lines.map((line) => line.split(",").map(Number));
  assert.is(rows.length, 24);
  assert.equal(
    rows.map(([sample]) => sample),
    npz.samples!.data,
  );
  assert.equal(
    rows.map(([, c]) => c),
    npz.classes!.data,
  );
  assert.equal(rows.flatMap((row) => row.slice(2, 12)).map(Math.fround), npz.outputs!.data);
  assert.equal(rows.flatMap((row) => row.slice(12)).map(Math.fround), npz.probabilities!.data);
  rows.forEach((row) => {
    const [logits, shares] = [row.slice(2, 12), row.slice(12)];
    assert.is(row[1], logits.indexOf(Math.max(...logits)));
    assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 1) < 1e-6);
  });
  assert.equal(
    (await readdir(dir)).filter((name) => name.includes(".tmp")),
    [],
  );
});

test("an output at each time: a line for each, with names; generated samples with other options", async () => {
  const args = [
    "--data",
    "decision",
    "--preset",
    "demo",
    "--data-options",
    "stimulus=3",
    ...SMALL,
    "--train-samples",
    "40",
  ];
  await runCommand(
    registerTrain,
    "train",
    ...args,
    "--test-samples",
    "8",
    "--validation-samples",
    "8",
    "--out",
    at("times"),
  );
  await predicted(at("times"), "--out", at("times.csv"), "--samples", "5");
  const lines = (await readFile(at("times.csv"), "utf8")).trim().split("\n");
  assert.is(lines[0], "sample,time,class,className,output_negative,output_positive");
  // Fixation 2, stimulus 3, answer 4.
  assert.is(lines.length, 1 + 5 * 9);
  assert.match(lines.at(-1)!, /^4,8,(0,negative|1,positive),/);
  const other = ["--data", "decision", "--data-options", "stimulus=3,strength=5", "--samples", "300"];
  assert.is((await predicted(at("times"), ...other, "--out", at("times.npz"))).samples, 300);
  await fails(
    () => predicted(at("times"), "--data", "decision", "--data-options", "stimulus=4", "--out", at("times.npz")),
    "argument",
    /9.*got 10 \(samples\.target\.times\)/,
  );
});

test("a program gets batches, or arrays; f64 stays f64; batches do not matter", async () => {
  const args = ["train", "--data", at("data.npz"), ...SMALL, "--dtype", "f64", "--out", at("double")];
  await runCommand(registerTrain, ...args);
  await using run = await openRun(at("double"), { samples: "none" });
  const { samples, part: of, release } = await samplesFor(run, at("bare.npz"));
  assert.is(of, null);
  const all = await predictAll(run, samples);
  assert.instance(all.outputs, Float64Array);
  assert.equal([all.shape, all.classes, all.failed, all.evaluation], [[20, 1, 2], null, [], null]);
  const seen: number[] = [];
  const done: number[] = [];
  for await (const { indices, outputs, shape } of predict(run, samples, {
    batchSize: 7,
    onProgress: (n) => done.push(n),
  })) {
    assert.equal(outputs, all.outputs.subarray(2 * indices[0]!, 2 * indices[0]! + 2 * shape[0]));
    seen.push(...indices);
  }
  assert.equal([seen, done], [[...Array(20).keys()], [7, 14, 20]]);
  await predicted(at("double"), "--data", at("bare.npz"), "--out", at("double.npz"));
  assert.equal((await arraysOf(at("double.npz"))).outputs!.data, [...all.outputs]);
  const stop = new AbortController();
  const batches = predict(run, samples, { batchSize: 7, signal: stop.signal });
  await batches.next();
  stop.abort();
  let reason: unknown = null;
  await batches.next().catch((error: unknown) => {
    reason = error;
  });
  assert.is(reason, stop.signal.reason);
  await release();
  await fails(() => run.data.test!.read([0], null), "argument", /opened with its samples/);
});

test("probabilities: softmax without overflow, labels one by one, none of other losses", () => {
  const of = (name: string, ...outputs: number[]) => [
    ...probabilitiesOf(Float64Array.from(outputs), 2, { loss: { name } } as Parameters<typeof probabilitiesOf>[2]),
  ];
  assert.equal(
    of("cross-entropy", 1000, 1000, 0, Math.log(3)).map((p) => Number(p.toFixed(12))),
    [0.5, 0.5, 0.25, 0.75],
  );
  assert.equal(
    of("binary-cross-entropy", 0, -Math.log(3)).map((p) => Number(p.toFixed(12))),
    [0.5, 0.25],
  );
  assert.throws(() => of("squared", 1, 2), /cross-entropy/);
});

test("samples that do not fit are refused by name; nothing is written", async () => {
  const out = at("refused.npz");
  const refused = (data: string, pattern: RegExp, code = "argument") =>
    fails(() => predicted(at("run"), "--data", data, "--out", out), code, pattern);
  const write = (name: string, arrays: Parameters<typeof writeArrays>[1]) => writeArrays(at(name), arrays);
  await write("wide.npz", { inputs: { shape: [2, 6, 4], data: new Float32Array(48) } });
  await refused(at("wide.npz"), /wide\.npz\[inputs\]: expected 3 numbers.*got 4/, "file-format");
  await write("vectors.npz", { inputs: { shape: [2, 3], data: new Float32Array(6) } });
  await refused(at("vectors.npz"), /6 frames.*got one vector.*samples\.steps/);
  await write("three.npz", {
    inputs: { shape: [2, 6, 3], data: new Float32Array(36) },
    targets: { shape: [2, 3], data: new Float32Array(6) },
  });
  await refused(at("three.npz"), /got 3 \(samples\.target\.width\)/);
  await write("nan.npz", { inputs: { shape: [2, 6, 3], data: new Float32Array(36).fill(Number.NaN) } });
  await refused(at("nan.npz"), /finite/, "file-format");
  await fails(() => predicted(at("run"), "--out", at("x.txt")), "argument", /\.npz, \.safetensors, \.csv/);
  await fails(() => predicted(at("run"), "--out", out, "--probabilities"), "argument", /logits.*squared/);
  await fails(() => predicted(at("run"), "--out", out, "--checkpoint", at("no")), "argument", /no .*no/);
  await fails(
    () => predicted(at("run"), "--data", at("bare.npz"), "--part", "test", "--out", out),
    "argument",
    /one of train/,
  );
  await fails(() => predicted(at("run"), "--samples", "21", "--out", out), "argument", /at most 20/);
  await writeFile(out, "mine");
  await fails(() => runCommand(registerPredict, "predict", at("run"), "--out", out), "file-exists", /--overwrite/);
  assert.is(await readFile(out, "utf8"), "mine");
  assert.equal(
    (await readdir(dir)).filter((name) => name.includes(".tmp")),
    [],
  );
});

test("samples that cannot be solved have NaN and class -1, and are counted", async () => {
  const args = [
    "--data",
    "decision",
    "--preset",
    "demo",
    "--generate",
    "300x1500",
    "--batch-size",
    "8",
    "--steps",
    "1",
    "--threads",
    "1",
  ];
  const rest = ["--device", "wasm", "--no-report", "--quiet", "--no-standardise", "--on-failure", "mask"];
  const sizes = ["--train-samples", "8", "--validation-samples", "2", "--test-samples", "2", "--gain", "8"];
  await runCommand(registerTrain, "train", ...args, ...rest, ...sizes, "--out", at("masked"));
  await using run = await openRun(at("masked"));
  const set = run.data.test!;
  const broken = {
    ...set,
    count: 3,
    // Sample 1 has inputs beyond the range of f32.
    read: async (indices: ArrayLike<number>) => {
      const samples = await set.read(
        Array.from(indices, () => 0),
        null,
      );
      const width = samples.inputs.length / samples.size;
      Array.from(indices).forEach((index, k) => {
        if (index === 1) samples.inputs.fill(3e38, k * width, (k + 1) * width);
      });
      return samples;
    },
  };
  for (const batchSize of [3, 1]) {
    const { outputs, classes, failed, shape, evaluation } = await predictAll(run, broken, { batchSize });
    assert.equal(failed, [1]);
    const [, times, rows] = shape;
    assert.ok(outputs.subarray(times * rows, 2 * times * rows).every(Number.isNaN));
    assert.ok(outputs.subarray(0, times * rows).every(Number.isFinite));
    assert.ok(classes!.subarray(times, 2 * times).every((c) => c === -1));
    assert.is(evaluation!.count, 2);
  }
});

test("as a process: exit codes, and an error of the input is one line", async () => {
  const { code, stderr } = await axograd(["predict", at("nowhere"), "--out", at("p.npz")]);
  assert.is(code, 2);
  assert.match(stderr, /^axograd: run: expected the folder of a run/);
});

test.run();
