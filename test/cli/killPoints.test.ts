// A run that is killed at any point, and resumed, leaves what one without a break leaves: parameters, moments and records to the bit,
// and in TensorBoard every step once. A kill is a copy of the folder between two lines of the record.

import { cpSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { Console } from "../../src/cli/console.ts";
import { executeRun } from "../../src/cli/run.ts";
import { RunFolder } from "../../src/cli/runFolder.ts";
import { describeStart } from "../../src/cli/summary.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";
import type { RunEvent } from "../../src/train/metrics.ts";
import { tempDir } from "../io/fixtures.ts";
import { shownByTensorBoard } from "../train/tensorboardReader.ts";
import { axograd, jsonLines } from "./process.ts";

const test = suite("a run that is killed at any point");
const dir = tempDir();

/** Diagnoses before, at and after checkpoints; an epoch that ends in between; dropout, a schedule, clipping, shifts. */
const SETTINGS: Settings = {
  generate: { neurons: 900, connections: 5000 },
  ...{ trainSamples: 40, validationSamples: 16, testSamples: 16, batchSize: 16, calibration: 32 },
  ...{ steps: 6, checkpointEvery: 2, diagnoseEvery: 2, evalEvery: 4, keepCheckpoints: 2 },
  ...{ fcDim: 8, dropout: 0.3, schedule: "one-cycle", weightDecay: 0.01, clipNorm: 1, shift: 1, seed: 3 },
  ...{ threads: 1, device: "wasm" },
};

/** Runs in `run`, and calls back before every event is recorded. */
async function train(run: string, before: (event: RunEvent) => void): Promise<void> {
  const config = resolveConfig([SETTINGS]);
  const inputs = await loadRunInputs(config);
  const backend = await createBackend({ device: "wasm", dtype: "f32", threads: 1 });
  const experiment = createExperiment(backend, config, inputs);
  const { trainer } = experiment;
  if (config.standardise) await trainer.calibrate(config.calibration);
  const start = describeStart(config, inputs, backend, trainer);
  class Watching extends Console {
    override event(event: RunEvent): void {
      before(event);
    }
  }
  const console = new Watching({ json: false, quiet: true });
  const folder = new RunFolder(run);
  const quietly = { resumed: null, page: null, profiler: null };
  await executeRun({ config, backend, inputs, experiment, folder, console, start, ...quietly });
  await folder.release();
  experiment.dispose();
  await backend.dispose();
}

/** Lines of metrics without what no two runs have in common. */
async function record(run: string): Promise<unknown[]> {
  const VARYING =
    /^(seconds|stepsPerSecond|eta|peakMemoryBytes|trainingPeakMemoryBytes|statedMemoryBytes|memory|deviceMemory|folder|file|files|device|environment)$/;
  return jsonLines(await readFile(join(run, "metrics.jsonl"), "utf8"))
    .filter(({ event }) => event !== "resumed")
    .map((line) => JSON.parse(JSON.stringify(line, (key, value) => (VARYING.test(key) ? undefined : value))));
}

async function curves(run: string): Promise<unknown[]> {
  return (await shownByTensorBoard(run)).map(({ step, scalars }) => {
    const { "speed/steps per second": _, ...same } = scalars;
    return [step, same];
  });
}

async function checkpoints(run: string): Promise<[string, Buffer][]> {
  const names = (await readdir(run)).filter((name) => name.endsWith(".safetensors")).sort();
  return Promise.all(names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(join(run, name))]));
}

test("ends as if it had not been", async () => {
  const whole = join(dir, "whole");
  const kills: [copy: string, event: string][] = [];
  await train(whole, ({ event }) => {
    const copy = join(dir, `killed ${kills.length}`);
    cpSync(whole, copy, { recursive: true });
    kills.push([copy, event]);
  });
  const expected = { record: await record(whole), curves: await curves(whole), checkpoints: await checkpoints(whole) };
  assert.ok(kills.length > 15, `${kills.length}`);
  for (const [copy, event] of kills) {
    await rm(join(copy, "run.lock"), { force: true });
    const { code, stderr } = await axograd(["train", "--resume", copy, "--no-report", "--quiet", "--set", "threads=1"]);
    assert.is(code, 0, stderr);
    assert.is(stderr, "");
    assert.equal(await record(copy), expected.record, `killed before "${event}", ${copy}`);
    assert.equal(await curves(copy), expected.curves, `TensorBoard, killed before "${event}", ${copy}`);
    assert.equal(await checkpoints(copy), expected.checkpoints, `killed before "${event}"`);
  }
});

test.run();
