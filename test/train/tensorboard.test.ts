// Event files are read back with a reader of their own.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  crc32c,
  diagnosisScalars,
  EventFile,
  eventFileName,
  eventFiles,
  stepScalars,
} from "../../src/train/tensorboard.ts";
import type { StepMetrics } from "../../src/train/trainer.ts";
import { eventOf, message, records, shownByTensorBoard } from "./tensorboardReader.ts";

const test = suite<{ folder: string }>("TensorBoard event files");

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), "axograd-events-"));
});

test.after.each(async ({ folder }) => {
  await rm(folder, { recursive: true });
});

const METRICS: StepMetrics = {
  step: 1,
  epoch: 0,
  loss: 2,
  metrics: { accuracy: 0.5 },
  meanLoss: 2,
  meanMetrics: { accuracy: 0.5 },
  learningRate: 1e-3,
  solver: { rhsEvaluations: 44, steps: { min: 6, mean: 7, max: 8 }, rejected: 0, failed: 0 },
  seconds: 1,
  stepsPerSecond: 1,
  eta: 0,
  lastStep: 1,
};

test("CRC-32C of the check string and of zeros is that of RFC 3720", () => {
  assert.is(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
});

test("a file begins with its version and holds steps, tags and values", async ({ folder }) => {
  const before = Date.now() / 1000;
  const events = await EventFile.create(folder);
  await events.write(1, { "training/loss": 2.25, "training/accuracy": 0.125 });
  await events.write(3_000_000_000, { "test/loss": -0.5 });
  await events.close();
  const [version, ...rest] = records(await readFile(events.file));
  assert.is(String(message(version!).get(3)![0]), "brain.Event:2");
  const [first, second] = rest.map(eventOf);
  assert.equal(first!.scalars, { "training/loss": 2.25, "training/accuracy": 0.125 });
  assert.is(first!.step, 1);
  assert.equal([second!.step, second!.scalars], [3_000_000_000, { "test/loss": -0.5 }]);
  assert.ok(first!.wallTime >= before && first!.wallTime <= Date.now() / 1000);
});

test("what is written can be read while the run goes on", async ({ folder }) => {
  const events = await EventFile.create(folder);
  await events.write(1, { loss: 1 });
  assert.is(records(await readFile(events.file)).length, 2);
  await events.close();
});

test("of the events of a run, steps and evaluations are written", async ({ folder }) => {
  const events = await EventFile.create(folder);
  await events.record({ event: "step", ...METRICS });
  await events.record({ event: "warning", message: "beware" });
  const evaluation = {
    set: "test",
    step: 1,
    loss: 0.5,
    metrics: { accuracy: 0.75 },
    count: 4,
    failed: 0,
    seconds: 1,
    confusion: [],
  } as const;
  await events.record({ event: "evaluation", ...evaluation });
  await events.close();
  const [, ...rest] = records(await readFile(events.file));
  assert.equal(rest.map(eventOf)[1]!.scalars, { "test/loss": 0.5, "test/accuracy": 0.75 });
  assert.is(rest.length, 2);
});

test("values that are not finite are left out", async ({ folder }) => {
  const events = await EventFile.create(folder);
  await events.write(1, { loss: Number.NaN });
  await events.write(2, { loss: Number.POSITIVE_INFINITY, accuracy: 1 });
  await events.close();
  const [, ...rest] = records(await readFile(events.file));
  assert.equal(
    rest.map(eventOf).map(({ step, scalars }) => [step, scalars]),
    [[2, { accuracy: 1 }]],
  );
});

test("a new run replaces the event files of an earlier one, a continued one adds to them", async ({ folder }) => {
  const earlier = join(folder, eventFileName());
  await writeFile(earlier, "");
  const second = await EventFile.create(folder, { continued: true });
  await second.close();
  assert.equal((await eventFiles(folder)).sort(), [earlier, second.file].sort());
  const third = await EventFile.create(folder);
  await third.close();
  assert.equal(
    (await eventFiles(folder)).map((f) => basename(f)),
    [basename(third.file)],
  );
});

test("a continued run says from which step on: what earlier files have of it is not shown", async ({ folder }) => {
  const write = async (from: number | null, ...steps: readonly number[]): Promise<void> => {
    const events = await EventFile.create(folder, from === null ? {} : { continued: true, from });
    for (const step of steps) await events.write(step, { loss: step + 10 * (from ?? 0) });
    await events.close();
  };
  const shown = async () => (await shownByTensorBoard(folder)).map(({ step, scalars }) => [step, scalars.loss]);
  await write(null, 1, 2, 3, 4);
  await write(3, 3, 4, 5);
  assert.equal(await shown(), [
    [1, 1],
    [2, 2],
    [3, 33],
    [4, 34],
    [5, 35],
  ]);
  await write(5, 5);
  assert.equal(await shown(), [
    [1, 1],
    [2, 2],
    [3, 33],
    [4, 34],
    [5, 55],
  ]);
  const [, start] = records(await readFile(join(folder, eventFileName(2))));
  const event = message(start!);
  assert.equal([event.get(2), message(event.get(7)![0] as Buffer).get(1)], [[5], [1]]);
  await write(0, 1);
  assert.equal(await shown(), [[1, 1]], "it begins again");
});

test("a file that is missing among those of a continued run is not taken for the last one", async ({ folder }) => {
  for (const continued of [false, true, true]) await (await EventFile.create(folder, { continued })).close();
  await rm(join(folder, eventFileName(0)));
  const next = await EventFile.create(folder, { continued: true });
  await next.close();
  assert.is(basename(next.file), eventFileName(3));
});

test("a step of training has loss, accuracy, learning rate, speed and the solver's work", () => {
  assert.equal(Object.keys(stepScalars(METRICS)), [
    "training/loss",
    "training/accuracy",
    "training/learning rate",
    "speed/steps per second",
    "solver/RHS evaluations per step",
    "solver/attempts per sample",
    "solver/failed samples",
  ]);
  assert.is(Object.keys(stepScalars({ ...METRICS, solver: null })).length, 4);
});

test("diagnoses have their measures, without those that there are none of", () => {
  const diagnosis = {
    ...{ step: 10, saturated: 0.5, silent: 0.1, featureSpread: 0.2, constantFeatures: 0, deadUnits: 0.3 },
    ...{ gradients: { weights: 2, input: 1 }, solver: null, findings: [] },
  };
  assert.equal(diagnosisScalars(diagnosis), {
    "diagnosis/saturated neurons": 0.5,
    "diagnosis/silent neurons": 0.1,
    "diagnosis/spread of features": 0.2,
    "diagnosis/dead hidden units": 0.3,
    "gradient norm/weights": 2,
    "gradient norm/input": 1,
  });
  const none = { ...diagnosis, featureSpread: null, deadUnits: null, gradients: null };
  assert.equal(Object.keys(diagnosisScalars(none)), ["diagnosis/saturated neurons", "diagnosis/silent neurons"]);
});

test.run();
