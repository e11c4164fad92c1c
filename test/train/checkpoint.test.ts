import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { FloatArray } from "../../src/core/dtype.ts";
import { FileFormatError } from "../../src/core/errors.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import {
  type Checkpoint,
  loadCheckpoint,
  positionOf,
  restoreCheckpoint,
  restoreFrom,
  saveCheckpoint,
} from "../../src/train/checkpoint.ts";
import { Adam, type AdamOptions, AdamW, type Optimizer } from "../../src/train/optimizer.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { patchSamples, sparseMatrix, stateOf, type Tiny, tinyTraining, train } from "./fixtures.ts";

const dir = tempDir();

const save = (file: string, tiny: Tiny): Promise<string[]> =>
  saveCheckpoint(file, tiny, { position: tiny.trainer.position, seed: 3, config: { name: "tiny" } });

forEachBackend("checkpoint", ["f32", "f64"], (test) => {
  test("a run resumed from a checkpoint has the bits of one that was never stopped", async ({ backend }) => {
    const whole = tinyTraining(backend, { standardise: true });
    await whole.trainer.calibrate(20);
    const expected = await train(whole.trainer, 9);

    const first = tinyTraining(backend, { standardise: true });
    await first.trainer.calibrate(20);
    const losses = await train(first.trainer, 5);
    const file = join(dir, "resume.safetensors");
    await save(file, first);
    first.dispose();

    // Other initial values, so that only the checkpoint can make the difference.
    const second = tinyTraining(backend, { standardise: true });
    for (const { name, size } of second.model.parameters.all()) {
      second.model.parameters.set(name, new Float64Array(size).fill(1.5), { clamp: true });
    }
    const checkpoint = await loadCheckpoint(file);
    restoreCheckpoint(checkpoint, second);
    second.trainer.seek(checkpoint.position);
    losses.push(...(await train(second.trainer, 9)));
    assert.equal(losses, expected);
    assert.equal(await stateOf(second), await stateOf(whole));
    assert.equal(await second.model.featureStatistics(), await whole.model.featureStatistics());
    whole.dispose();
    second.dispose();
  });

  test("saving does not disturb training", async ({ backend }) => {
    const plain = tinyTraining(backend);
    const saved = tinyTraining(backend);
    const expected = await train(plain.trainer, 5);
    const losses = [];
    for (let step = 1; step <= 5; step++) {
      losses.push(...(await train(saved.trainer, step)));
      await save(join(dir, "often.safetensors"), saved);
    }
    assert.equal(losses, expected);
    plain.dispose();
    saved.dispose();
  });

  test("a run with groups resumes to the bit; a checkpoint knows its optimiser, and what it trained", async ({
    backend,
  }) => {
    const options: AdamOptions = {
      lr: 2e-2,
      groups: [
        { parameters: "*", weightDecay: 0.1 },
        { parameters: "read-out", lr: 0.1 },
        { parameters: "biases", frozen: true },
      ],
    };
    const open = (make: (model: Tiny["model"]) => Optimizer) => {
      const { model, optimizer: usual, dispose } = tinyTraining(backend);
      usual.dispose();
      const optimizer = make(model);
      const trainer = new Trainer({
        model,
        optimizer,
        train: patchSamples(40),
        batchSize: 12,
        evaluation: { endTime: 0.5 },
      });
      const end = () => {
        optimizer.dispose();
        dispose();
      };
      return { model, optimizer, trainer, dispose: end };
    };
    const grouped = ({ parameters }: Tiny["model"]) => new AdamW(backend, parameters, options);
    const whole = open(grouped);
    await train(whole.trainer, 4);
    const first = open(grouped);
    await train(first.trainer, 2);
    const file = join(dir, "groups.safetensors");
    await saveCheckpoint(file, first, { position: first.trainer.position, seed: 3, config: null });
    const checkpoint = await loadCheckpoint(file);
    assert.is(checkpoint.optimizer, "AdamW");
    assert.not.ok([...checkpoint.tensors.keys()].some((name) => /^optimizer\..*hh\.bias/.test(name)));
    const rest = open(grouped);
    restoreCheckpoint(checkpoint, rest);
    rest.trainer.seek(checkpoint.position);
    await train(rest.trainer, 4);
    assert.equal(await stateOf(rest), await stateOf(whole));

    const others: [Optimizer, RegExp][] = [
      [new Adam(backend, rest.model.parameters, options), /Adam: expected the state of Adam, got that of AdamW/],
      [new AdamW(backend, rest.model.parameters), /exp_avg\.rnn\.hh\.bias/],
      [
        new AdamW(backend, rest.model.parameters, { groups: [{ parameters: "rnn.*", frozen: true }] }),
        /only moments of parameters that it trains.*rnn/,
      ],
    ];
    for (const [optimizer, message] of others) {
      await fails(async () => restoreCheckpoint(checkpoint, { model: rest.model, optimizer }), "argument", message);
      optimizer.dispose();
    }
    // Earlier versions did not name the optimiser.
    const old = open(grouped);
    restoreCheckpoint({ ...checkpoint, optimizer: null }, old);
    assert.is(old.optimizer.stepCount, 2);
    for (const each of [whole, first, rest, old]) each.dispose();
  });

  test("a network by itself goes on from its checkpoint, to the bit; one without an optimiser is restored, too", async ({
    backend,
  }) => {
    const options = { inputSize: 24, numNeurons: 24, connectome: sparseMatrix(), weightConstraint: "none" as const };
    const open = () => {
      const model = new ConnectomeODERNN(backend, options);
      return { model, optimizer: new Adam(backend, model.parameters) };
    };
    const input = { data: Float64Array.from({ length: 48 }, (_, i) => Math.sin(i)), batch: 2 };
    const step = async ({ model, optimizer }: ReturnType<typeof open>): Promise<FloatArray> => {
      model.parameters.zeroGradients();
      const { trajectory } = await model.vjp(input, new Float64Array(96).fill(1));
      optimizer.step();
      return trajectory.hs;
    };
    const whole = open();
    await step(whole);
    const file = join(dir, "network.safetensors");
    assert.equal(await saveCheckpoint(file, whole), [file, join(dir, "network.json")]);
    const expected = [await step(whole), await step(whole)];

    const second = open();
    second.model.parameters.set("rnn.tau", new Float64Array(24).fill(3));
    const checkpoint = await loadCheckpoint(file);
    assert.equal(checkpoint.position, { epoch: 0, batch: 0, step: 1 });
    restoreCheckpoint(checkpoint, second);
    assert.is(second.optimizer.stepCount, 1);
    assert.equal([await step(second), await step(second)], expected);

    // Parameters alone, from what has moments, and into what has none.
    const bare = open();
    restoreCheckpoint(checkpoint, { model: bare.model });
    assert.is(bare.optimizer.stepCount, 0);
    assert.equal((await bare.model.forward(input)).hs, expected[0]);
    const other = new ConnectomeODERNN(backend, { ...options, connectome: sparseMatrix(2) });
    await fails(async () => restoreCheckpoint(checkpoint, { model: other }), "file-format", /connections|numbers/);
    for (const { model, optimizer } of [whole, second, bare]) {
      optimizer.dispose();
      model.dispose();
    }
    other.dispose();
  });

  test("tensors have torch-biopl's names, shapes and row-major order", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    const file = join(dir, "names.safetensors");
    assert.equal(await save(file, tiny), [file, join(dir, "names.json")]);
    const { tensors } = await readSafetensors(file);
    const { nnz, rowPtr, colIdx } = sparseMatrix();
    const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
    const parameters = Object.fromEntries(Object.entries(shapes).filter(([name]) => !name.startsWith("optimizer.")));
    assert.equal(parameters, {
      "rnn.hh.values": [nnz],
      "rnn.hh.indices": [2, nnz],
      "rnn.hh.bias": [24, 1],
      "rnn.ih.values": [4],
      "rnn.ih.indices": [2, 4],
      "rnn.tau": [24, 1],
      "out_layer.1.weight": [8, 24],
      "out_layer.1.bias": [8],
      "out_layer.4.weight": [3, 8],
      "out_layer.4.bias": [3],
    });
    assert.equal(shapes["optimizer.exp_avg.out_layer.1.weight"], [8, 24]);
    const indices = tensors.get("rnn.hh.indices")!;
    assert.is(indices.dtype, "I64");
    assert.equal(Array.from(indices.data.slice(nnz)), Array.from(colIdx));
    assert.equal(indices.data[0], rowPtr.findIndex((p) => p > 0) - 1);
    const values = Array.from(sparseMatrix().values, (v) => (backend.dtype === "f32" ? Math.fround(v) : v));
    assert.equal(Array.from(tensors.get("rnn.hh.values")!.data), values);
    tiny.dispose();
  });

  test("moments are in the order of the weights they belong to", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 1);
    const file = join(dir, "moments.safetensors");
    await save(file, tiny);
    const { tensors } = await readSafetensors(file);
    // After one step the first moment is (1 − β₁)·gradient.
    const gradient = await tiny.model.parameters.gradient("rnn.hh.values");
    const moment = tensors.get("optimizer.exp_avg.rnn.hh.values")!.data;
    assert.ok(gradient.some((g) => g !== 0));
    gradient.forEach((g, k) => {
      assert.ok(Math.abs(moment[k]! - 0.1 * g) <= 1e-6 * Math.abs(g), `${k}: ${moment[k]} for gradient ${g}`);
    });
    tiny.dispose();
  });

  test("position, seed, configuration and version are in the file and readable beside it", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 5);
    const file = join(dir, "state.safetensors");
    await save(file, tiny);
    const { position, seed, config, version, optimizerStep } = await loadCheckpoint(file);
    assert.equal(position, { epoch: 1, batch: 1, step: 5 });
    assert.equal([seed, config, optimizerStep], [3, { name: "tiny" }, 5]);
    assert.match(version, /^\d+\.\d+\.\d+/);
    const readable = JSON.parse(await readFile(join(dir, "state.json"), "utf8"));
    assert.equal(readable.position, position);
    assert.equal(
      (await readdir(dir)).filter((name) => name.endsWith(".tmp")),
      [],
    );
    tiny.dispose();
  });

  test("a checkpoint of another network is refused and changes nothing", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    const file = join(dir, "other.safetensors");
    await save(file, tiny);
    const other = tinyTraining(backend, { connectomeSeed: 2 });
    const before = await stateOf(other);
    await fails(async () => restoreCheckpoint(await loadCheckpoint(file), other), "file-format", /rnn\.hh/);
    const { tensors, metadata } = await readSafetensors(file);
    const without = new Map([...tensors].filter(([name]) => name !== "out_layer.4.bias"));
    await writeSafetensors(file, without, metadata);
    await fails(async () => restoreCheckpoint(await loadCheckpoint(file), tiny), "file-format", /out_layer\.4\.bias/);
    assert.equal(await stateOf(other), before);
    tiny.dispose();
    other.dispose();
  });

  test("restored tensor by tensor, everything is as if it had been loaded whole", async ({ backend }) => {
    const tiny = tinyTraining(backend, { standardise: true });
    await tiny.trainer.calibrate(20);
    await train(tiny.trainer, 3);
    const file = join(dir, "streamed.safetensors");
    await save(file, tiny);
    const [streamed, whole, bare] = [1, 2, 3].map(() => tinyTraining(backend, { standardise: true })) as [
      Tiny,
      Tiny,
      Tiny,
    ];
    const facts = await restoreFrom(file, streamed);
    const { tensors: _, ...expected } = await loadCheckpoint(file);
    assert.equal(facts, expected);
    restoreCheckpoint(await loadCheckpoint(file), whole);
    assert.equal(await stateOf(streamed), await stateOf(whole));
    // Without an optimiser, its moments are checked, but not taken.
    const untrained = bare.optimizer.stepCount;
    await restoreFrom(file, { model: bare.model });
    assert.is(bare.optimizer.stepCount, untrained);
    assert.equal(
      await bare.model.parameters.values("rnn.hh.values"),
      await tiny.model.parameters.values("rnn.hh.values"),
    );
    for (const each of [tiny, streamed, whole, bare]) each.dispose();
  });

  test("tensor by tensor, other connections, missing ones and refusals change nothing", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    const file = join(dir, "streamed-other.safetensors");
    await save(file, tiny);
    const other = tinyTraining(backend, { connectomeSeed: 2 });
    const before = await stateOf(other);
    await fails(
      () => restoreFrom(file, other),
      "file-format",
      /connections of rnn\.hh|"rnn\.hh\.indices" of \d+ numbers/,
    );
    const { tensors, metadata } = await readSafetensors(file);
    const indices = tensors.get("rnn.hh.indices")!;
    const moved = { ...indices, data: indices.data.map((index, k) => (k === 5 ? index + 1 : index)) as FloatArray };
    await writeSafetensors(file, new Map(tensors).set("rnn.hh.indices", moved), metadata);
    await fails(() => restoreFrom(file, tiny), "file-format", /the connections of rnn\.hh\.values/);
    const without = new Map([...tensors].filter(([name]) => name !== "rnn.hh.indices"));
    await writeSafetensors(file, without, metadata);
    await fails(() => restoreFrom(file, tiny), "file-format", /rnn\.hh\.indices", got no such tensor/);
    const refuse = (): void => {
      throw new FileFormatError(file, "another", "this");
    };
    await fails(() => restoreFrom(file, other, refuse), "file-format", /another/);
    assert.equal(await stateOf(other), before);
    tiny.dispose();
    other.dispose();
  });

  test("a byte that is changed anywhere in the file is found", async ({ backend }) => {
    const tiny = tinyTraining(backend, { standardise: true });
    await tiny.trainer.calibrate(20);
    await train(tiny.trainer, 2);
    const file = join(dir, "flipped.safetensors");
    await save(file, tiny);
    assert.ok((await loadCheckpoint(file)).verified);
    const bytes = await readFile(file);
    const header = Number(bytes.readBigUInt64LE(0));
    const stream = new RandomStream(keyOfSeed(7));
    for (let k = 0; k < 60; k++) {
      // Half of them in the header; the spaces that fill it up mean nothing.
      const begin = k % 2 === 0 ? 8 : 8 + header;
      const end = k % 2 === 0 ? bytes.lastIndexOf("}", 8 + header) : bytes.length;
      const at = begin + stream.below(end - begin);
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << stream.below(8);
      await writeFile(file, flipped);
      const outcome = await loadCheckpoint(file).then(
        ({ verified }) => (verified ? "taken for whole" : "said to have no checksums"),
        (error: unknown) => (error instanceof FileFormatError ? "refused" : String(error)),
      );
      // What makes the checksums unreadable by name makes it a file without them.
      assert.ok(
        outcome === "refused" || (outcome === "said to have no checksums" && at < 8 + header),
        `${at}: ${outcome}`,
      );
      // Tensors that are not taken are checked, too.
      const restored = await restoreFrom(file, { model: tiny.model }).then(
        ({ verified }) => (verified ? "taken for whole" : "said to have no checksums"),
        (error: unknown) => (error instanceof FileFormatError ? "refused" : String(error)),
      );
      assert.ok(restored === "refused" || restored === outcome, `${at}: ${restored}, ${outcome}`);
    }
    await writeFile(file, Buffer.from(bytes).fill(0x55, 8 + header + 64, 8 + header + 68));
    await fails(
      () => loadCheckpoint(file),
      "file-damaged",
      /"\S+" with the checksum [0-9a-f]{8}, got [0-9a-f]{8}: the file is damaged/,
    );
    tiny.dispose();
  });

  test("a checkpoint of an earlier version, without checksums, is read and told apart", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    const file = join(dir, "earlier.safetensors");
    await save(file, tiny);
    const { tensors, metadata } = await readSafetensors(file);
    await writeSafetensors(file, tensors, metadata);
    const checkpoint = await loadCheckpoint(file);
    assert.is(checkpoint.verified, false);
    restoreCheckpoint(checkpoint, tiny);
    tiny.dispose();
  });

  test("numbers that no training leaves, and other shapes, are refused by name, and change nothing", async ({
    backend,
  }) => {
    const tiny = tinyTraining(backend, { standardise: true });
    await tiny.trainer.calibrate(20);
    await train(tiny.trainer, 2);
    const file = join(dir, "numbers.safetensors");
    await save(file, tiny);
    const checkpoint = await loadCheckpoint(file);
    const before = await stateOf(tiny);
    const refused = async (name: string, change: (tensor: SafeTensor) => Partial<SafeTensor>, pattern: RegExp) => {
      const tensor = checkpoint.tensors.get(name)!;
      const tensors = new Map(checkpoint.tensors).set(name, { ...tensor, ...change(tensor) });
      await fails(() => restoreCheckpoint({ ...checkpoint, tensors }, tiny), "file-format", pattern);
    };
    const at3 =
      (value: number) =>
      ({ data }: SafeTensor) => ({ data: data.map((v, i) => (i === 3 ? value : v)) as FloatArray });
    const squares = "optimizer.exp_avg_sq.rnn.hh.values";
    await refused(
      squares,
      at3(-1e-30),
      /finite values of "optimizer\.exp_avg_sq\.rnn\.hh\.values", 0 or above, got -\S+ at 3/,
    );
    await refused(squares, at3(Number.NaN), /exp_avg_sq\.rnn\.hh\.values", 0 or above, got NaN at 3/);
    await refused(
      "optimizer.exp_avg.out_layer.1.bias",
      at3(Number.NEGATIVE_INFINITY),
      /exp_avg\.out_layer\.1\.bias", got -Infinity at 3/,
    );
    await refused("rnn.tau", at3(Number.NaN), /finite values of "rnn\.tau", got NaN at 3/);
    await refused("features.scale", at3(Number.POSITIVE_INFINITY), /"features\.scale", got Infinity/);
    await refused(
      "out_layer.1.weight",
      () => ({ shape: [24, 8] }),
      /"out_layer\.1\.weight" of shape \[8, 24\], got \[24, 8\]/,
    );
    assert.equal(await stateOf(tiny), before);
    tiny.dispose();
  });

  test("a position that contradicts the step or the optimiser is refused", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 5);
    const file = join(dir, "position.safetensors");
    await save(file, tiny);
    const checkpoint = await loadCheckpoint(file);
    const { stepsPerEpoch } = tiny.trainer;
    assert.equal(positionOf(checkpoint, stepsPerEpoch), { epoch: 1, batch: 1, step: 5 });
    const refused = (change: Partial<Checkpoint>, pattern: RegExp) =>
      fails(() => positionOf({ ...checkpoint, ...change }, stepsPerEpoch), "file-format", pattern);
    await refused(
      { position: { epoch: 0, batch: 1, step: 5 } },
      /step 5 as the position, in epochs of 4 steps, got batch 1 of epoch 0/,
    );
    await refused({ position: { epoch: 0, batch: 5, step: 5 } }, /batch 5 of epoch 0/);
    await refused({ optimizerStep: 6 }, /at most 5 steps of the optimiser, got 6/);
    tiny.dispose();
  });

  test("moments that are not finite are not saved: they would not be read", async ({ backend }) => {
    const tiny = tinyTraining(backend);
    await train(tiny.trainer, 1);
    const file = join(dir, "moment.safetensors");
    await save(file, tiny);
    const before = await readFile(file);
    for (const [name, buffer] of tiny.optimizer.moments()) {
      if (name === "exp_avg_sq.rnn.tau") backend.fill(buffer, Number.POSITIVE_INFINITY);
    }
    await fails(
      () => save(file, tiny),
      "non-finite-parameter",
      /optimizer\.exp_avg_sq\.rnn\.tau after step 1, got Infinity at 0/,
    );
    assert.equal(await readFile(file), before);
    tiny.dispose();
  });

  test("files that are no checkpoints say so", async () => {
    const file = join(dir, "no.safetensors");
    await fails(() => loadCheckpoint(join(dir, "missing.safetensors")), "file-missing");
    await writeSafetensors(file, new Map());
    await fails(() => loadCheckpoint(file), "file-format", /checkpoint of axograd/);
    await writeSafetensors(file, new Map(), { axograd: "{" });
    await fails(() => loadCheckpoint(file), "file-format", /state/);
    await writeSafetensors(file, new Map(), { axograd: JSON.stringify({ format: 99, version: "9.0.0" }) });
    await fails(() => loadCheckpoint(file), "file-format", /format 1/, /9\.0\.0/);
    await writeSafetensors(file, new Map(), { axograd: JSON.stringify({ format: 1, seed: -1 }) });
    await fails(() => loadCheckpoint(file), "file-format", /whole numbers/);
    await writeFile(file, "short");
    await fails(() => loadCheckpoint(file), "file-truncated");
  });
});
