// Event files are read back with a reader of their own: TFRecord framing with its checksums, and protobuf by wire types.

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
  accuracy: 0.5,
  meanLoss: 2,
  meanAccuracy: 0.5,
  learningRate: 1e-3,
  solver: { rhsEvaluations: 44, steps: { min: 6, mean: 7, max: 8 }, rejected: 0, failed: 0 },
  seconds: 1,
  stepsPerSecond: 1,
  eta: 0,
  lastStep: 1,
};

type Fields = Map<number, (Buffer | number)[]>;

/** The bit-by-bit definition of CRC-32C. */
function slowCrc(bytes: Uint8Array): number {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let bit = 0; bit < 8; bit++) c = (c >>> 1) ^ (-(c & 1) & 0x82f63b78);
  }
  return ~c >>> 0;
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    assert.is(unmask(file.readUInt32LE(at + 8)), slowCrc(file.subarray(at, at + 8)), "checksum of the length");
    const data = file.subarray(at + 12, at + 12 + length);
    assert.is(unmask(file.readUInt32LE(at + 12 + length)), slowCrc(data), "checksum of the data");
    found.push(data);
    at += 16 + length;
  }
  return found;
}

function message(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const read = (wireType: number): Buffer | number => {
    if (wireType === 0) return varint();
    if (wireType === 1) return take(8).readDoubleLE();
    if (wireType === 5) return take(4).readFloatLE();
    return take(varint());
  };
  while (at < bytes.length) {
    const tag = varint();
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), read(tag & 7)]);
  }
  return fields;
}

function eventOf(record: Buffer): { wallTime: number; step: number; scalars: Record<string, number> } {
  const event = message(record);
  const values = message(event.get(5)![0] as Buffer)
    .get(1)!
    .map((value) => message(value as Buffer));
  return {
    wallTime: event.get(1)![0] as number,
    step: event.get(2)![0] as number,
    scalars: Object.fromEntries(values.map((v) => [String(v.get(1)![0]), v.get(2)![0] as number])),
  };
}

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
    accuracy: 0.75,
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

test("a step of training has loss, accuracy, learning rate, speed and the solver's work", () => {
  assert.equal(Object.keys(stepScalars(METRICS)), [
    "training/loss",
    "training/accuracy",
    "training/learning rate",
    "speed/steps per second",
    "solver/RHS evaluations per step",
    "solver/attempts per image",
    "solver/failed images",
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
