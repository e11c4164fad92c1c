// Calls that overlap in time give the bits that the same calls give one after another, on every backend; what makes no sense during
// another call is refused by name; nothing is released under a call.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { EngineError } from "../../src/core/errors.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { ModelInput } from "../../src/models/options.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseLinear } from "../../src/models/sparse.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { tinyTraining } from "../train/fixtures.ts";

const [N, INPUTS, CLASSES] = [8, 3, 3];
const EVALUATION = { numEvals: 3, endTime: 2 };

const NETWORK: ConnectomeODERNNOptions = {
  numNeurons: N,
  inputSize: INPUTS,
  connectome: absolute(randomSparse(N, N, 0.5).csr),
  inputProjection: randomSparse(N, INPUTS, 0.6).csr,
  biasInit: normals("bias", N),
  neuronTau: 1.5,
  inputGradient: true,
};

/** More than the CPU takes at once. */
const BATCH = 18;

function inputOf(name: string, batch = BATCH): ModelInput {
  return { data: normals(name, batch * INPUTS), batch };
}

const labelsOf = (batch: number) => Array.from({ length: batch }, (_, s) => s % CLASSES);

const cotangentOf = (name: string) => normals(name, BATCH * EVALUATION.numEvals * N);

const classifier = (backend: Backend) =>
  new ConnectomeODEClassifier(backend, { rnn: NETWORK, numClasses: CLASSES, fcDim: 6, dropout: 0.3 });

async function gradientsOf(parameters: ParameterSet): Promise<Float64Array> {
  const all: number[] = [];
  for (const { name } of parameters.trainable()) all.push(...(await parameters.gradient(name)));
  return Float64Array.from(all);
}

function refuses(code: string, body: () => unknown): void {
  assert.throws(body, (e: unknown) => e instanceof EngineError && e.code === code);
}

/** Calls, each of which yields numbers, one after another and all at once. */
async function compare<M extends { dispose(): void }>(
  make: () => M,
  calls: readonly ((model: M) => Promise<ArrayLike<number>>)[],
): Promise<void> {
  const [single, shared] = [make(), make()];
  const expected: ArrayLike<number>[] = [];
  for (const call of calls) expected.push(await call(single));
  const got = await Promise.all(calls.map((call) => call(shared)));
  for (const [i, values] of expected.entries()) assertBitEqual(got[i]!, values, `call ${i}`);
  single.dispose();
  shared.dispose();
}

function define(test: Test<WithBackend>): void {
  test("forward, reverse and questions of a network", async ({ backend }) => {
    await compare(
      () => new ConnectomeODERNN(backend, NETWORK),
      [
        async (m) => (await m.forward(inputOf("a"), EVALUATION)).hs,
        async (m) => (await m.forward(inputOf("b"), EVALUATION)).hs,
        async (m) => (await m.vjp(inputOf("a"), cotangentOf("ct a"), EVALUATION)).gradients.x!,
        async (m) => (await m.forward(inputOf("c", 2), EVALUATION)).hs,
        async (m) => (await m.vjp(inputOf("b"), cotangentOf("ct b"), EVALUATION)).gradients.h0,
        (m) => m.parameters.gradient("rnn.hh.values"),
        async (m) => (await m.gradients(inputOf("b"), ({ hs }) => ({ loss: 1, ctHs: hs }), EVALUATION)).gradients.h0,
        (m) => m.parameters.gradient("rnn.hh.values"),
      ],
    );
  });

  test("a network in discrete time, and a layer", async ({ backend }) => {
    await compare(
      () => new ConnectomeRNN(backend, NETWORK),
      ["a", "b", "c"].map((name) => async (m) => (await m.forward(inputOf(name), { numSteps: 3 })).hs),
    );
    const connectivity = randomSparse(N, INPUTS, 0.6).csr;
    await compare(
      () => new SparseLinear(backend, { inFeatures: INPUTS, outFeatures: N, connectivity }),
      ["a", "b", "c"].map((name) => async (m) => (await m.vjp(inputOf(name).data, normals("ct", BATCH * N))).x),
    );
  });

  test("loss, gradients and network of a classifier", async ({ backend }) => {
    const labels = labelsOf(BATCH);
    await compare(
      () => classifier(backend),
      [
        (m) => m.forward(inputOf("a"), EVALUATION),
        async (m) => (await m.gradients(inputOf("a"), labels, 1, EVALUATION)).x!,
        (m) => m.parameters.gradient("rnn.hh.values"),
        async (m) => (await m.rnn.forward(inputOf("b"), EVALUATION)).hs,
        async (m) => (await m.evaluate(inputOf("b"), labels, EVALUATION)).logits,
        async (m) => (await m.gradients(inputOf("b"), labels, 2, EVALUATION)).x!,
        (m) => m.parameters.gradient("rnn.hh.values"),
        async (m) => [(await m.probe(inputOf("b"), EVALUATION)).featureSpread!],
      ],
    );
  });

  test("statistics of features are those after the calibration before", async ({ backend }) => {
    await compare(
      () => new ConnectomeODEClassifier(backend, { rnn: NETWORK, numClasses: CLASSES, standardise: true }),
      [
        async (m) => (await m.calibrate(inputOf("a"), EVALUATION)).mean,
        async (m) => (await m.featureStatistics())!.mean,
      ],
    );
  });

  test("two models on one backend", async ({ backend }) => {
    const labels = labelsOf(BATCH);
    const run = (model: ConnectomeODEClassifier, name: string) =>
      model.gradients(inputOf(name), labels, 1, EVALUATION).then(() => gradientsOf(model.parameters));
    const [alone, a, b] = [classifier(backend), classifier(backend), classifier(backend)];
    const expected = [await run(alone, "a"), await run(alone, "b")];
    const got = await Promise.all([run(a, "a"), run(b, "b")]);
    for (const [i, values] of expected.entries()) assertBitEqual(got[i]!, values, `model ${i}`);
    for (const model of [alone, a, b]) model.dispose();
  });

  test("training beside evaluations", async ({ backend }) => {
    const [alone, beside] = [tinyTraining(backend), tinyTraining(backend)];
    const images = { data: normals("images", 20 * alone.model.rnn.options.inputSize), batch: 20 };
    const expected: ArrayLike<number>[] = [];
    const losses: number[] = [];
    for await (const { loss } of alone.trainer.fit({ steps: 4 })) {
      losses.push(loss);
      expected.push(await alone.model.forward(images, { endTime: 2 }));
    }
    const evaluations: Promise<ArrayLike<number>>[] = [];
    const besideLosses: number[] = [];
    for await (const { loss } of beside.trainer.fit({ steps: 4 })) {
      besideLosses.push(loss);
      evaluations.push(beside.model.forward(images, { endTime: 2 }));
    }
    assert.equal(besideLosses, losses);
    for (const [i, values] of (await Promise.all(evaluations)).entries())
      assertBitEqual(values, expected[i]!, `evaluation after step ${i + 1}`);
    alone.dispose();
    beside.dispose();
  });

  test("a step takes its turn behind an evaluation, and is refused while gradients are computed", async ({
    backend,
  }) => {
    const labels = labelsOf(BATCH);
    const run = async (awaits: boolean): Promise<[ArrayLike<number>, ArrayLike<number>]> => {
      const model = classifier(backend);
      const adam = new Adam(backend, model.parameters, { lr: 0.1 });
      await model.gradients(inputOf("a"), labels, 1, EVALUATION);
      const before = model.forward(inputOf("b"), EVALUATION);
      if (awaits) await before;
      adam.step();
      const after = model.forward(inputOf("b"), EVALUATION);
      const logits = [await before, await after] as const;
      adam.dispose();
      model.dispose();
      return [...logits];
    };
    const [expected, got] = [await run(true), await run(false)];
    assertBitEqual(got[0], expected[0], "before the step");
    assertBitEqual(got[1], expected[1], "after the step");
    assert.ok(Array.from(got[0]).some((x, i) => x !== got[1][i]));

    const model = classifier(backend);
    const adam = new Adam(backend, model.parameters);
    const pending = model.gradients(inputOf("a"), labels, 1, EVALUATION);
    refuses("busy", () => adam.step());
    assert.is(adam.stepCount, 0);
    await pending;
    adam.step();
    adam.dispose();
    refuses("disposed", () => adam.step());
    model.dispose();
  });

  test("new values take their turn", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, NETWORK);
    const old = await model.forward(inputOf("a"), EVALUATION);
    const bias = normals("other bias", N);
    const pending = model.forward(inputOf("a"), EVALUATION);
    const read = model.parameters.values("rnn.hh.bias");
    model.parameters.set("rnn.hh.bias", bias);
    const after = model.forward(inputOf("a"), EVALUATION);
    bias.fill(0);
    assertBitEqual((await pending).hs, old.hs, "with the old values");
    const round = backend.dtype === "f32" ? Math.fround : (x: number) => x;
    assertBitEqual(await read, normals("bias", N).map(round), "values before");
    model.parameters.set("rnn.hh.bias", normals("other bias", N));
    assertBitEqual((await after).hs, (await model.forward(inputOf("a"), EVALUATION)).hs, "with the new values");
    model.dispose();
  });

  test("a call that fails blocks no other", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, NETWORK);
    const { hs } = await model.forward(inputOf("a"), EVALUATION);
    const aborted = new AbortController();
    aborted.abort(new Error("enough"));
    const all = await Promise.allSettled([
      model.forward(inputOf("a"), { numEvals: 1 }),
      model.forward({ ...inputOf("a"), data: [Number.NaN] }, EVALUATION),
      model.forward(inputOf("b"), { ...EVALUATION, signal: aborted.signal }),
      model.forward(inputOf("a"), EVALUATION),
    ]);
    assert.equal(
      all.map(({ status }) => status),
      ["rejected", "rejected", "rejected", "fulfilled"],
    );
    assertBitEqual((all[3] as PromiseFulfilledResult<{ hs: ArrayLike<number> }>).value.hs, hs, "the last");
    model.dispose();
  });

  test("disposal waits for the calls before it, and later ones are refused", async ({ backend }) => {
    const { liveBuffers } = backend.memory();
    const model = classifier(backend);
    const adam = new Adam(backend, model.parameters);
    const input = inputOf("a");
    const expected = await model.forward(input, EVALUATION);
    const pending = [model.forward(input, EVALUATION), model.forward(input, EVALUATION)];
    adam.dispose();
    model.dispose();
    const later = await Promise.allSettled([
      model.forward(input, EVALUATION),
      model.rnn.forward(input, EVALUATION),
      model.gradients(input, labelsOf(BATCH), 1, EVALUATION),
      model.parameters.values("rnn.hh.bias"),
      adam.gradientNorm(),
    ]);
    for (const logits of await Promise.all(pending)) assertBitEqual(logits, expected, "pending call");
    for (const call of later) assert.is(((call as PromiseRejectedResult).reason as EngineError).code, "disposed");
    refuses("disposed", () => model.parameters.set("rnn.hh.bias", new Float64Array(N)));
    assert.is(backend.memory().liveBuffers, liveBuffers);
    model.dispose();
  });
}

forEachBackend("overlapping calls", ["f64", "f32"], define);
// As many lanes as the CPU has, so that batches run in as many parts.
onWebGpu("overlapping calls", define, () => createWebGpuBackend({ maxLanes: 16 }));
