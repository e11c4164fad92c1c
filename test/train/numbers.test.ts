// Targets that are numbers, with two metrics of which one is better when it is lower, through training and its files.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { createSparseProjection } from "../../src/data/projection.ts";
import type { SampleSet, SampleStream, Samples } from "../../src/data/sampleSet.ts";
import { ConnectomeODEModel } from "../../src/models/networkModel.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { loadCheckpoint, positionOf, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { evaluationRecord, jsonLine, parseEvent } from "../../src/train/metrics.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { describeTask } from "../../src/train/taskDescription.ts";
import { EventFile } from "../../src/train/tensorboard.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { NEURONS, sparseMatrix, stateOf } from "./fixtures.ts";
import { eventOf, records } from "./tensorboardReader.ts";

const dir = tempDir();
const INPUTS = 6;
const WIDTH = 2;
const TARGET = { kind: "numbers", width: WIDTH, classes: null, times: null } as const;
const SHAPE = { inputSize: INPUTS, steps: null, target: TARGET, weighted: true, source: "two sums" } as const;
const TASK = makeTask({ loss: "squared", metrics: ["mae", "r2"], target: TARGET });

/** Random inputs; the targets are the sums of both halves, and some have no weight and no value. */
function sums(count: number, seed = 1): { readonly set: SampleSet; readonly all: Samples } {
  const stream = new RandomStream(keyOfSeed(seed));
  const inputs = Float32Array.from({ length: count * INPUTS }, () => stream.normal());
  const targets = new Float32Array(count * WIDTH);
  for (let i = 0; i < count * WIDTH; i++) {
    const half = inputs.subarray(i * 3, i * 3 + 3);
    targets[i] = half[0]! + half[1]! + half[2]!;
  }
  const weights = targets.map((_, i) => (i % 7 === 3 ? 0 : 1));
  for (const [i, weight] of weights.entries()) if (weight === 0) targets[i] = Number.NaN;
  const part = (values: Float32Array, width: number, chosen: readonly number[]) =>
    Float32Array.from(chosen.flatMap((i) => [...values.subarray(i * width, (i + 1) * width)]));
  const read = (indices: ArrayLike<number>): Samples => {
    const chosen = Array.from(indices);
    return {
      size: chosen.length,
      inputs: part(inputs, INPUTS, chosen),
      targets: part(targets, WIDTH, chosen),
      weights: part(weights, WIDTH, chosen),
    };
  };
  return { set: { ...SHAPE, count, read }, all: { size: count, inputs, targets, weights } };
}

/** The set, read with a delay. */
function slow(set: SampleSet): SampleSet {
  return { ...set, read: async (indices, variation) => await set.read(indices, variation) };
}

function training(backend: Backend, train: SampleSet | SampleStream, options: Partial<TrainerOptions> = {}) {
  const model = new ConnectomeODEModel(backend, {
    rnn: {
      inputSize: INPUTS,
      numNeurons: NEURONS,
      connectome: sparseMatrix(),
      inputProjection: createSparseProjection({
        size: INPUTS,
        numNeurons: NEURONS,
        indices: [0, 3, 5, 9, 14, 20],
        mode: "ih",
      }),
      neuronNonlinearity: "Tanh",
      weightConstraint: "none",
    },
    task: TASK,
    readout: { fcDim: null },
  });
  const optimizer = new Adam(backend, model.parameters, { lr: 3e-2 });
  const trainer = new Trainer({
    model,
    optimizer,
    train,
    batchSize: 8,
    seed: 3,
    evaluation: { endTime: 1 },
    ...options,
  });
  const dispose = (): void => {
    optimizer.dispose();
    model.dispose();
  };
  return { model, optimizer, trainer, dispose };
}

async function steps(trainer: Trainer, until: number) {
  const all = [];
  for await (const metrics of trainer.fit({ steps: until })) all.push(metrics);
  return all;
}

const bitsOf = (all: Awaited<ReturnType<typeof steps>>) =>
  all.map(({ step, loss, metrics }) => ({ step, loss, metrics }));

forEachBackend("training on numbers", ["f32"], (test) => {
  test("batches that are accumulated are one step: the bits of one large batch, of a set and of a stream", async ({
    backend,
  }) => {
    // 5 batches of 8, the last one with 4 samples: steps of 24 and 12 samples, with weights of 0 in them.
    const { set } = sums(36);
    const large = training(backend, set, { batchSize: 24 });
    const expected = bitsOf(await steps(large.trainer, 5));
    const accumulated = training(backend, set, { batchSize: 8, accumulate: 3 });
    assert.is(accumulated.trainer.stepsPerEpoch, 2);
    assert.is(accumulated.trainer.lastStep({ epochs: 3 }), 6);
    assert.equal(bitsOf(await steps(accumulated.trainer, 5)), expected);
    assert.equal(accumulated.trainer.position, { epoch: 2, batch: 1, step: 5 });
    assert.equal(await stateOf(accumulated), await stateOf(large));

    const asked: number[] = [];
    const streamOf = (size: number): SampleStream => ({
      ...SHAPE,
      *batches(first) {
        asked.push(first);
        for (let k = first; ; k++)
          yield set.read(
            Uint32Array.from({ length: size }, (_, i) => (k * size + i) % 36),
            null,
          ) as Samples;
      },
    });
    const whole = training(backend, streamOf(24));
    const joined = training(backend, streamOf(8), { accumulate: 3 });
    const wanted = bitsOf(await steps(whole.trainer, 3));
    assert.equal(bitsOf(await steps(joined.trainer, 2)), wanted.slice(0, 2));
    assert.equal(bitsOf(await steps(joined.trainer, 3)), wanted.slice(2));
    assert.is(asked.at(-1), 6);
    const wrong = { accumulate: 0 };
    await fails(() => training(backend, set, wrong), "argument", /whole number of at least 1, got 0 \(accumulate\)/);
    for (const each of [large, accumulated, whole, joined]) each.dispose();
  });

  test("loss and metrics improve, each its own way, and an evaluation is that of all samples at once", async ({
    backend,
  }) => {
    const { trainer, model, dispose } = training(backend, sums(32).set);
    const [first, ...rest] = await steps(trainer, 40);
    const last = rest.at(-1)!;
    assert.equal(Object.keys(last.metrics), ["mae", "r2"]);
    assert.ok(last.meanLoss < first!.loss && last.meanMetrics.mae! < first!.metrics.mae!);
    assert.ok(last.meanMetrics.r2! > first!.metrics.r2!);
    const { set, all } = sums(300, 2);
    const { loss, metrics, perOutput, count, failed, confusion } = await trainer.evaluate(set);
    assert.equal([count, failed, confusion], [300, 0, undefined]);
    const outputs = await model.forward({ data: all.inputs, batch: 300 }, { endTime: 1 });
    const errors = Array.from(outputs, (o, i) => (all.weights![i] === 0 ? null : o - all.targets[i]!));
    const known = errors.filter((e) => e !== null);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    // Sums of some hundred numbers in single precision.
    const near = (got: number, expected: number) =>
      assert.ok(Math.abs(got - expected) < 1e-4 * Math.abs(expected), `${got}, ${expected}`);
    near(loss, mean(known.map((e) => e * e)));
    near(metrics.mae!, mean(known.map(Math.abs)));
    for (const k of [0, 1]) {
      const own = errors.flatMap((e, i) => (i % WIDTH === k && e !== null ? [Math.abs(e)] : []));
      near(perOutput!.mae![k]!, mean(own));
    }
    assert.is(perOutput!.r2!.length, WIDTH);
    dispose();
  });

  test("reading ahead changes no bits, whether a set is read at once or takes time", async ({ backend }) => {
    const { set } = sums(32);
    const [one, two] = [training(backend, set), training(backend, slow(set))];
    assert.equal(bitsOf(await steps(two.trainer, 9)), bitsOf(await steps(one.trainer, 9)));
    assert.equal(await stateOf(two), await stateOf(one));
    one.dispose();
    two.dispose();
  });

  test("a stream trains like the set that it is made of, resumes at any batch, and has no end", async ({ backend }) => {
    const { set } = sums(80);
    const asked: number[] = [];
    const stream: SampleStream = {
      ...SHAPE,
      async *batches(first) {
        asked.push(first);
        for (let k = first; ; k++)
          yield await set.read(
            Array.from({ length: 8 }, (_, b) => (8 * k + b) % 80),
            null,
          );
      },
    };
    const whole = training(backend, stream);
    const expected = await steps(whole.trainer, 6);
    assert.is(expected[0]!.lastStep, 6);
    assert.is(whole.trainer.stepsPerEpoch, Number.POSITIVE_INFINITY);
    assert.is(whole.trainer.lastStep({ epochs: 1 }), Number.POSITIVE_INFINITY);
    assert.equal(whole.trainer.position, { epoch: 0, batch: 6, step: 6 });
    assert.equal(asked, [0]);
    // The same batches, one after the other.
    const parts = training(backend, stream);
    const got = [...(await steps(parts.trainer, 2)), ...(await steps(parts.trainer, 6))];
    assert.equal(bitsOf(got), bitsOf(expected));
    assert.equal(asked, [0, 0, 2]);
    const file = join(dir, "stream.safetensors");
    await saveCheckpoint(file, whole, { position: whole.trainer.position, seed: 3, config: null });
    assert.equal(positionOf(await loadCheckpoint(file), whole.trainer.stepsPerEpoch), whole.trainer.position);
    assert.ok((await whole.trainer.diagnose(null))!.step === 6);
    for await (const { lastStep, eta } of whole.trainer.fit()) {
      assert.equal([lastStep, eta], [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
      break;
    }
    whole.dispose();
    parts.dispose();
  });

  test("samples that do not fit are named before the first step", async ({ backend }) => {
    const { set } = sums(8);
    const { trainer, dispose } = training(backend, set);
    const wrong = (change: Partial<SampleSet>) => () => training(backend, { ...set, ...change });
    const target = (change: object) => wrong({ target: { ...TARGET, ...change } as SampleSet["target"] });
    await fails(wrong({ inputSize: 5 }), "argument", /expected 6 numbers.* got 5 \(train\.inputSize\)/);
    await fails(wrong({ steps: 0 }), "argument", /\(train\.steps\)/);
    await fails(wrong({ count: 0 }), "argument", /\(train\.count\)/);
    await fails(target({ kind: "class" }), "argument", /expected numbers.* got class \(train\.target\.kind\)/);
    await fails(target({ width: 3 }), "argument", /expected 2.* got 3 \(train\.target\.width\)/);
    await fails(target({ classes: 4 }), "argument", /\(train\.target\.classes\)/);
    await fails(target({ times: 2 }), "argument", /\(train\.target\.times\)/);
    await fails(() => trainer.evaluate({ ...set, inputSize: 7 }), "argument", /\(set\.inputSize\)/);
    const without =
      (from: number): SampleSet["read"] =>
      (indices) => {
        const samples = set.read(
          Array.from(indices, (i) => i % 8),
          null,
        ) as Samples;
        const weights = samples.weights!.map((w, k) => (indices[Math.floor(k / WIDTH)]! >= from ? 0 : w));
        return { ...samples, weights };
      };
    await fails(() => trainer.evaluate({ ...set, read: without(0) }), "argument", /at least one target.*set\.weights/);
    // The second batch of an evaluation has nothing to judge.
    const { count, loss } = await trainer.evaluate({ ...set, count: 264, read: without(256) });
    assert.is(count, 256);
    assert.is(loss, (await trainer.evaluate({ ...set, count: 256, read: without(256) })).loss);
    dispose();
  });

  test("a batch without a target that counts is a step that changes nothing", async ({ backend }) => {
    const { set } = sums(24);
    const blank: SampleSet = {
      ...set,
      read: (indices) => {
        const samples = set.read(indices, null) as Samples;
        return { ...samples, weights: samples.weights!.map((w, k) => (k % 8 === 0 && w === 1 ? 1 : 0)) };
      },
    };
    const none: SampleSet = {
      ...set,
      read: (indices) => ({
        ...(set.read(indices, null) as Samples),
        weights: new Float32Array(indices.length * WIDTH),
      }),
    };
    const one = training(backend, blank);
    const losses = (await steps(one.trainer, 2)).map(({ loss }) => loss);
    assert.ok(losses.every(Number.isFinite));
    const two = training(backend, none);
    const before = await stateOf(two);
    const [first, second] = await steps(two.trainer, 2);
    assert.equal(
      [first!.loss, first!.metrics.mae, first!.meanLoss, second!.step],
      [Number.NaN, Number.NaN, Number.NaN, 2],
    );
    assert.equal(await stateOf(two), before);
    assert.equal(two.trainer.position, { epoch: 0, batch: 2, step: 2 });
    one.dispose();
    two.dispose();
  });

  test("output times are those of the samples, instead of the evaluation's number of them", async ({ backend }) => {
    const { set } = sums(8);
    const asked: (ArrayLike<number> | undefined)[] = [];
    const { trainer, model, dispose } = training(backend, set, { evaluation: { endTime: 2, numEvals: 3 } });
    const evaluate = model.evaluate.bind(model);
    model.evaluate = (input, targets, evaluation) => {
      asked.push(evaluation?.times);
      return evaluate(input, targets, evaluation);
    };
    const at = await trainer.evaluate({ ...set, times: Float64Array.of(0.5, 2) });
    const plain = await trainer.evaluate(set);
    assert.equal(asked, [Float64Array.of(0.5, 2), undefined]);
    // The last time is the same, and the solver steps over the others.
    assert.is(at.loss, plain.loss);
    dispose();
  });

  test("events, event files and checkpoints have the metrics by name", async ({ backend }) => {
    const { trainer, model, optimizer, dispose } = training(backend, sums(16).set);
    const [step] = await steps(trainer, 1);
    const record = evaluationRecord("validation", 1, await trainer.evaluate(sums(8, 4).set));
    for (const event of [
      { event: "step", ...step! },
      { event: "evaluation", ...record },
    ] as const) {
      assert.equal(parseEvent("", jsonLine(event), trainer.task), event);
    }
    const outOfRange = jsonLine({ event: "evaluation", ...record, metrics: { ...record.metrics, r2: 2 } });
    await fails(
      () => parseEvent("line 3", outOfRange, trainer.task),
      "file-format",
      /line 3.*at most 1 at metrics\.r2/,
    );
    await fails(() => parseEvent("", outOfRange.replace('"metrics"', '"values"')), "file-format", /metrics/);

    const events = await EventFile.create(dir);
    await events.record({ event: "step", ...step! });
    await events.record({ event: "evaluation", ...record });
    await events.close();
    const [, ...written] = records(await readFile(events.file));
    const [training1, validation] = written.map((bytes) => eventOf(bytes).scalars);
    assert.is(training1!["training/mae"], Math.fround(step!.metrics.mae!));
    assert.equal(Object.keys(validation!), ["validation/loss", "validation/mae", "validation/r2"]);

    const file = join(dir, "numbers.safetensors");
    await saveCheckpoint(file, { model, optimizer });
    const { task } = await loadCheckpoint(file);
    assert.equal(task, describeTask(TASK));
    assert.equal(
      task!.metrics.map(({ name, better, format, range, chance }) => [name, better, format, range, chance]),
      [
        ["mae", "lower", "number", [0, null], null],
        ["r2", "higher", "number", [null, 1], 0],
      ],
    );
    dispose();
  });
});
