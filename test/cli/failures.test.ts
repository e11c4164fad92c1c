// Runs that fail: a loss that is not finite (stop, skip, rollback), and a full disk. Both are brought about from outside.

import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { Console } from "../../src/cli/console.ts";
import { executeRun } from "../../src/cli/run.ts";
import { RunFolder } from "../../src/cli/runFolder.ts";
import { describeStart } from "../../src/cli/summary.ts";
import { EngineError } from "../../src/core/errors.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs, type RunEvaluation } from "../../src/run/experiment.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import type { TrainableModel } from "../../src/train/trainable.ts";
import type { SolverMetrics } from "../../src/train/trainer.ts";
import { tempDir } from "../io/fixtures.ts";
import { jsonLines, type Line } from "./process.ts";

const test = suite("runs that fail");
const dir = tempDir();

const TINY: Settings = {
  generate: { neurons: 900, connections: 5000 },
  trainSamples: 64,
  validationSamples: 0,
  testSamples: 0,
  batchSize: 16,
  standardise: false,
  steps: 6,
  threads: 1,
  device: "wasm",
  checkpointEvery: 2,
};

/** What happens in a step: its loss may be made NaN. */
type Incident = (step: number) => Promise<boolean>;

/** Lets incidents happen; `seen` gets the recurrent weights that each step starts from. */
function sabotage(
  { model }: { model: TrainableModel<RunEvaluation> },
  incident: Incident,
  seen: Map<number, unknown>,
): void {
  const gradients = model.gradients.bind(model);
  model.gradients = async (input, labels, step, ...others) => {
    const result = await gradients(input, labels, step, ...others);
    seen.set(step, await model.parameters.values("rnn.hh.values"));
    return (await incident(step)) ? { ...result, loss: Number.NaN } : result;
  };
}

/** The loss of these steps is NaN. */
function lossless(...steps: readonly number[]): Incident {
  return async (step) => steps.includes(step);
}

interface Outcome {
  readonly error: unknown;
  readonly lines: readonly Line[];
  readonly seen: ReadonlyMap<number, unknown>;
}

async function run(out: string, settings: Settings, incident: Incident): Promise<Outcome> {
  const config = resolveConfig([TINY, settings]);
  const inputs = await loadRunInputs(config);
  const backend = await createBackend({ device: "wasm", dtype: "f32", threads: 1 });
  const experiment = createExperiment(backend, config, inputs);
  const seen = new Map<number, unknown>();
  sabotage(experiment, incident, seen);
  const folder = new RunFolder(join(dir, out));
  const start = describeStart(config, inputs, backend, experiment.trainer);
  // Warnings go to stderr, which is not looked at here.
  const console = new Console({ json: false, quiet: true });
  const quietly = { page: null, profiler: null };
  const parts = { config, backend, inputs, experiment, folder, console, start, resumed: null, ...quietly };
  const error = await executeRun(parts).then(
    () => null,
    (reason: unknown) => reason,
  );
  await folder.release();
  experiment.dispose();
  await backend.dispose();
  const lines = jsonLines(await readFile(folder.file("metrics"), "utf8"));
  return { error, lines, seen };
}

const steps = (lines: readonly Line[]): unknown[] =>
  lines.flatMap(({ event, step }) => (event === "step" ? [step] : event === "nonfinite" ? [`not ${step}`] : []));

test("stop: the error names step, parameter, rows and the last good checkpoint, which is that of the step before", async () => {
  const { error, lines } = await run("stop", {}, lossless(4));
  assert.instance(error, EngineError);
  const { code, message, facts } = error as EngineError;
  assert.is(code, "non-finite-loss");
  assert.match(message, /loss of step 4 is NaN; worst gradients: [a-z_.]+\S*, all are finite, at rows \d+ \(/);
  assert.match(message, /the last good checkpoint is .*checkpoint\.safetensors, of step 3$/);
  assert.is((facts.checkpoint as { step: number }).step, 3);
  assert.equal(steps(lines), [1, 2, 3]);
  assert.is(lines.at(-1)!.code, "non-finite-loss");
  assert.is((await loadCheckpoint(join(dir, "stop", "checkpoint.safetensors"))).position.step, 3);
});

test("skip: the run goes on with the next batch and the same parameters", async () => {
  const { error, lines, seen } = await run("skip", { onNonfinite: "skip" }, lossless(4));
  assert.is(error, null);
  assert.equal(steps(lines), [1, 2, 3, "not 4", 5, 6]);
  assert.equal(seen.get(5), seen.get(4));
});

test("rollback: the run goes on with the next batch and the parameters of the last checkpoint", async () => {
  const { error, lines, seen } = await run("rollback", { onNonfinite: "rollback" }, lossless(1, 4));
  assert.is(error, null);
  assert.equal(steps(lines), ["not 1", 2, 3, "not 4", 5, 6]);
  assert.equal(seen.get(2), seen.get(1));
  assert.equal(seen.get(5), seen.get(3), "the checkpoint of step 2 is what step 3 started from");
  assert.not.equal(seen.get(5), seen.get(4));
});

test("ten steps in a row that fail end a run that skips them", async () => {
  const { error, lines } = await run("hopeless", { onNonfinite: "skip", steps: 30 }, async () => true);
  assert.is((error as EngineError).code, "non-finite-loss");
  assert.is(steps(lines).length, 9);
});

test("a full disk ends the run with a clear error, and the last checkpoint stays as it was", async () => {
  if (process.platform !== "linux") return;
  const checkpoint = join(dir, "full", "checkpoint.safetensors");
  // Writes to /dev/full fail as those to a full disk do. Here it is the file that becomes the checkpoint of step 4.
  const { error, lines } = await run("full", {}, async (step) => {
    if (step === 3) await symlink("/dev/full", `${checkpoint}.${process.pid}.tmp`);
    return false;
  });
  assert.is((error as EngineError).code, "file-write");
  assert.match(
    (error as EngineError).message,
    /checkpoint\.safetensors: expected a place to write to, got a full disk; the last good checkpoint is .*, of step/,
  );
  assert.equal(steps(lines), [1, 2, 3, 4]);
  assert.is(lines.find(({ event }) => event === "checkpoint")!.step, 2);
  await loadCheckpoint(checkpoint);
});

test("--on-failure mask: a run goes on without the images whose solve fails, and counts them; else it fails", async () => {
  const solvers = (lines: readonly Line[]) =>
    lines.flatMap((line) => (line.event === "step" ? [line.solver as SolverMetrics] : []));
  const settings = { steps: 2, testSamples: 24 };
  const free = await run(join(dir, "free"), settings, lossless());
  const most = solvers(free.lines).map(({ steps }) => steps.max);
  assert.equal(
    solvers(free.lines).map(({ failed }) => failed),
    [0, 0],
  );
  // One step too few for some images of the first batch.
  const maxSteps = most[0]! - 1;
  const masked = await run(join(dir, "masked"), { ...settings, maxSteps, onFailure: "mask" }, lossless());
  assert.is(masked.error, null);
  const counts = solvers(masked.lines).map(({ failed }) => failed);
  assert.ok(counts[0]! > 0 && counts.every((failed) => failed < 16), `${counts}`);
  const summary = masked.lines.find((line) => line.event === "summary")!;
  assert.is(summary.failedSamples, counts[0]! + counts[1]!);
  const evaluation = masked.lines.find((line) => line.event === "evaluation")!;
  assert.is((evaluation.count as number) + (evaluation.failed as number), 24);
  const thrown = await run(join(dir, "thrown"), { ...settings, maxSteps }, lossless());
  assert.match((thrown.error as Error).message, /after \d+ attempts \(maxSteps = \d+\)/);
});

test.run();
