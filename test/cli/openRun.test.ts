// A run of the command line in a program: it predicts what the run recorded, and goes on as --resume does.

import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { type OpenedRun, openRun } from "../../src/run/openRun.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { axograd, jsonLines, type Line, TINY } from "./process.ts";

const test = suite("openRun");
const dir = tempDir();
const run = join(dir, "run");
const ARGS = [...TINY, "--eval-every", "2", "--checkpoint-every", "2", "--no-report", "--json"];

const recorded = async (): Promise<Line[]> => jsonLines(await readFile(join(run, "metrics.jsonl"), "utf8"));

/** Names, sizes and times of the files in the folder of the run. */
async function state(): Promise<unknown> {
  const names = (await readdir(run)).sort();
  return Promise.all(names.map(async (name) => [name, await stat(join(run, name))] as const)).then((all) =>
    all.map(([name, { size, mtimeMs }]) => [name, size, mtimeMs]),
  );
}

async function lossOf(opened: OpenedRun): Promise<readonly [loss: number, accuracy: number]> {
  const { loss, metrics } = await opened.trainer.evaluate(opened.data.test!);
  return [loss, metrics.accuracy!];
}

test.before(async () => {
  const { code, stderr } = await axograd(["train", ...ARGS, "--out", "run"], { cwd: dir });
  assert.is(code, 0, stderr);
});

test("the last checkpoint gives the test result of the run; nothing in its folder changes", async () => {
  const before = await state();
  await using opened = await openRun(run);
  const { loss, metrics } = (await recorded()).findLast(({ set }) => set === "test")!;
  assert.equal(await lossOf(opened), [loss, (metrics as Record<string, number>).accuracy]);
  assert.is(opened.step, 5);
  assert.is(opened.optimizer.stepCount, 5);
  assert.is(opened.checkpoint, join(run, "checkpoint.safetensors"));
  assert.is(opened.config.batchSize, 16);
  assert.is(opened.connectome.nRows, 900);
  assert.is(opened.neurons, null);
  assert.equal(opened.evaluation, { numEvals: 2, endTime: 3 });
  assert.equal([opened.data.train.count, opened.data.validation?.count, opened.data.test?.count], [64, 16, 24]);
  assert.equal(await state(), before);
});

test("without its samples, a run that standardises features opens at a checkpoint, and not at its beginning", async () => {
  await using opened = await openRun(run, { samples: "none" });
  assert.is(opened.step, 5);
  const atStart = () => openRun(run, { checkpoint: "none", samples: "none" });
  await fails(atStart, "argument", /got --standardise, without a checkpoint \(samples\)/);
});

test("training goes on with the numbers of --resume", async () => {
  const losses = async (trainer: OpenedRun["trainer"]): Promise<number[]> => {
    const all: number[] = [];
    for await (const { loss } of trainer.fit({ steps: 8 })) all.push(loss);
    return all;
  };
  await using opened = await openRun(run);
  const here = await losses(opened.trainer);
  const file = join(dir, "later.safetensors");
  await opened.save(file);
  const { position, config } = await loadCheckpoint(file);
  assert.is(position.step, 8);
  assert.equal(config, opened.config);
  const copy = join(dir, "copy");
  assert.is((await axograd(["train", ...ARGS, "--out", "copy"], { cwd: dir })).code, 0);
  const { code, stdout, stderr } = await axograd(["train", "--resume", copy, "--steps", "8", "--no-report", "--json"]);
  assert.is(code, 0, stderr);
  assert.equal(
    jsonLines(stdout).flatMap(({ event, loss }) => (event === "step" ? [loss] : [])),
    here,
  );
  await using again = await openRun(run, { checkpoint: { file } });
  assert.is(again.step, 8);
});

test("the best checkpoint, the beginning, and a device that stays its owner's", async () => {
  const backend = await createBackend({ device: "wasm", threads: 2 });
  const best = await openRun(run, { checkpoint: "best", backend });
  assert.ok((await lossOf(best))[0] > 0);
  assert.is(best.backend, backend);
  await best.dispose();
  const first = await openRun(run, { checkpoint: "none", backend });
  assert.is(first.step, 0);
  assert.is(first.checkpoint, null);
  const losses: number[] = [];
  for await (const { loss } of first.trainer.fit({ steps: 2 })) losses.push(loss);
  const steps = (await recorded()).filter(({ event }) => event === "step");
  assert.equal(
    losses,
    steps.slice(0, 2).map(({ loss }) => loss),
  );
  await first.dispose();
  assert.is(backend.memory().liveBuffers, 0);
  assert.is(backend.memory().livePrograms, 0);
  await backend.dispose();
});

test("what is wrong is named: folders, checkpoints, options, places, precision", async () => {
  const empty = join(dir, "empty");
  await mkdir(empty);
  await fails(() => openRun(empty), "argument", /folder of a run/);
  await fails(() => openRun(run, { checkpoint: "bset" as "best" }), "argument", /"last", "best", "none".*"bset"/);
  await fails(() => openRun(run, { checkpoint: {} as "best" }), "argument", /"last", "best", "none".*got \{\}/);
  await fails(
    () => openRun(run, { checkpoint: { file: join(dir, "absent") } }),
    "argument",
    /no .*absent \(checkpoint\)/,
  );
  await fails(() => openRun(run, { chekpoint: "best" } as object), "argument", /checkpoint, or another option/);
  await fails(() => openRun(run, { threads: 0 }), "argument", /threads/);
  await fails(() => openRun(run, { threads: 1e6 }), "argument", /threads/);
  const doubled = join(dir, "doubled");
  const args = ["train", ...ARGS, "--dtype", "f64", "--steps", "1", "--out", doubled];
  assert.is((await axograd(args)).code, 0);
  const backend = await createBackend({ device: "wasm", threads: 1 });
  await fails(() => openRun(doubled, { backend }), "argument", /f64, the precision of the run.*f32 \(backend\)/);
  assert.is(backend.memory().liveBuffers, 0);
  await backend.dispose();
});

const adapter = await requireTestAdapter();
if (adapter) {
  test("a run of the CPU on WebGPU: the same answers, up to rounding", async () => {
    await using cpu = await openRun(run);
    const backend = await createWebGpuBackend({ adapter: adapter.index });
    const gpu = await openRun(run, { backend });
    const [a, b] = [await lossOf(cpu), await lossOf(gpu)];
    assert.ok(Math.abs(a[0] - b[0]) < 1e-3 * a[0], `${a} ${b}`);
    await gpu.dispose();
    await backend.dispose();
  });
}

test.run();
