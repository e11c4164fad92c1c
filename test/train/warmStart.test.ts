// Parameters from the file of another model: what fits is taken, all else is told.

import { join } from "node:path";
import * as assert from "uvu/assert";
import { hashOf } from "../../src/io/hash.ts";
import { readSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { saveCheckpoint } from "../../src/train/checkpoint.ts";
import { exportStateDict } from "../../src/train/stateDict.ts";
import { describeWarmStart, initialiseFrom } from "../../src/train/warmStart.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { NEURONS, tinyClassifier, tinyTraining, train } from "./fixtures.ts";

const dir = tempDir();

forEachBackend("warm start", ["f32"], (test) => {
  test("a checkpoint and a state dictionary give all parameters of an equal model, and no steps", async ({
    backend,
  }) => {
    const trained = tinyTraining(backend);
    await train(trained.trainer, 3);
    const [checkpoint, dictionary] = [join(dir, "c.safetensors"), join(dir, "d.safetensors")];
    await saveCheckpoint(checkpoint, trained, { position: trained.trainer.position, seed: 0, config: null });
    await exportStateDict(trained.model, dictionary);
    for (const file of [checkpoint, dictionary]) {
      const fresh = tinyTraining(backend);
      const all = fresh.model.parameters.all().map(({ name }) => name);
      for (const { name, size } of fresh.model.parameters.all())
        fresh.model.parameters.set(name, new Float64Array(size).fill(1.5), { clamp: true });
      const report = await initialiseFrom(fresh.model, file);
      const { sha256, bytes } = await hashOf(file);
      assert.equal(report, { file, sha256, bytes, matched: all, unmatched: [], left: [], unused: [] });
      assert.equal(describeWarmStart(report), [`${all.length} of ${all.length} parameters from ${file}`]);
      for (const name of all)
        assert.equal(await fresh.model.parameters.values(name), await trained.model.parameters.values(name), name);
      assert.is(fresh.optimizer.stepCount, 0);
      assert.is(fresh.trainer.position.step, 0);
      fresh.dispose();
    }
    trained.dispose();
  });

  test("what has another size, other connections, or is missing stays as it is, with its reason", async ({
    backend,
  }) => {
    const trained = tinyClassifier(backend);
    const file = join(dir, "other.safetensors");
    await exportStateDict(trained, file);
    const { tensors } = await readSafetensors(file);
    const kept = new Map([...tensors].filter(([name]) => name !== "rnn.tau"));
    const one = { dtype: "F32", shape: [1], data: new Float32Array(1) } as const;
    await writeSafetensors(file, new Map([...kept, ["rnn.hh.bias", one], ["stranger", one]]));
    const model = tinyClassifier(backend, { connectomeSeed: 2 });
    const before = await model.parameters.values("rnn.hh.values");
    const { matched, unmatched, left, unused } = await initialiseFrom(model, file);
    assert.equal(left, []);
    const reasons = Object.fromEntries(unmatched.map(({ name, reason }) => [name, reason]));
    assert.match(reasons["rnn.hh.values"]!, /connections are others|expected \d+ numbers/);
    assert.is(reasons["rnn.hh.bias"], `expected ${NEURONS} numbers, got [1]`);
    assert.is(reasons["rnn.tau"], "not in the file");
    assert.is(unmatched.length, 3);
    assert.is(matched.length, model.parameters.all().length - 3);
    assert.equal(unused, ["stranger"]);
    assert.equal(await model.parameters.values("rnn.hh.values"), before);
    const lines = describeWarmStart({ file, matched, unmatched, left, unused });
    assert.is(lines.length, 5);
    assert.is(lines.at(-1), "not in the model: stranger");
    trained.dispose();
    model.dispose();
  });

  test("only the parameters that a pattern chooses; the others are left, and need not fit", async ({ backend }) => {
    const trained = tinyTraining(backend);
    await train(trained.trainer, 2);
    const file = join(dir, "only.safetensors");
    await exportStateDict(trained.model, file);
    const model = tinyClassifier(backend, { connectomeSeed: 2 });
    const before = await model.parameters.values("rnn.hh.bias");
    const report = await initialiseFrom(model, file, { only: "read-out" });
    const readout = model.parameters.all().flatMap(({ name, role }) => (role === "read-out" ? [name] : []));
    assert.equal(report.matched, readout);
    assert.equal(report.left, ["rnn.hh.values", "rnn.hh.bias", "rnn.ih.values", "rnn.tau"]);
    assert.equal([report.unmatched, report.unused], [[], []]);
    assert.match(describeWarmStart(report)[0]!, /^4 of 4 parameters from .*, without rnn\.hh\.values, rnn\.hh\.bias, /);
    for (const name of readout)
      assert.equal(await model.parameters.values(name), await trained.model.parameters.values(name));
    assert.equal(await model.parameters.values("rnn.hh.bias"), before);
    await fails(() => initialiseFrom(model, file, { only: "readout" }), "argument", /did you mean "read-out"\?/);
    await fails(() => initialiseFrom(model, file, { only: "weights" }), "file-format", /\(rnn\.hh\.values\), got none/);
    await fails(() => initialiseFrom(model, file, { omly: "*" } as object), "argument", /only/);
    trained.dispose();
    model.dispose();
  });

  test("the network of a classifier, and a classifier from a network", async ({ backend }) => {
    const classifier = tinyClassifier(backend);
    const network = new ConnectomeODERNN(backend, classifier.rnn.options);
    network.parameters.set("rnn.tau", new Float64Array(NEURONS).fill(2.5));
    const file = join(dir, "network.safetensors");
    await exportStateDict(network, file);
    const { matched } = await initialiseFrom(classifier, file);
    assert.equal(
      matched,
      network.parameters.all().map(({ name }) => name),
    );
    assert.equal([...new Set(await classifier.parameters.values("rnn.tau"))], [2.5]);
    network.dispose();
    classifier.dispose();
  });

  test("values that are not finite, and files in which nothing fits, change nothing", async ({ backend }) => {
    const model = tinyClassifier(backend);
    const before = await model.parameters.values("rnn.tau");
    const file = join(dir, "bad.safetensors");
    const tau = (value: number) =>
      ({ dtype: "F32", shape: [NEURONS, 1], data: new Float32Array(NEURONS).fill(value) }) as const;
    await writeSafetensors(
      file,
      new Map([
        ["rnn.tau", tau(2)],
        ["rnn.hh.bias", tau(Number.NaN)],
      ]),
    );
    await fails(() => initialiseFrom(model, file), "file-format", /finite values of rnn\.hh\.bias, got NaN at 0/);
    await writeSafetensors(file, new Map([["stranger", tau(1)]]));
    await fails(() => initialiseFrom(model, file), "file-format", /rnn\.tau.*none that fits/);
    assert.equal(await model.parameters.values("rnn.tau"), before);
    model.dispose();
  });
});
