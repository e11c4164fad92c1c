// How a run is evaluated: names of options, a list of times, a loss of one's own in one pass.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError, type EngineError, ShapeError } from "../../src/core/errors.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { SampleLoss } from "../../src/models/lossCotangents.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const [N, INPUTS, OUTPUTS, BATCH] = [8, 3, 2, 18];
const INPUT = { data: normals("input", BATCH * INPUTS), batch: BATCH };

function network(more: Partial<ConnectomeODERNNOptions> = {}): ConnectomeODERNNOptions {
  return {
    numNeurons: N,
    inputSize: INPUTS,
    connectome: absolute(randomSparse(N, N, 0.5).csr),
    inputProjection: randomSparse(N, INPUTS, 0.6).csr,
    outputProjection: randomSparse(OUTPUTS, N, 0.6).csr,
    biasInit: normals("bias", N),
    neuronTau: 1.5,
    inputGradient: true,
    ...more,
  };
}

async function gradientsOf(parameters: ParameterSet): Promise<Map<string, ArrayLike<number>>> {
  const all = new Map<string, ArrayLike<number>>();
  for (const { name } of parameters.trainable()) all.set(name, await parameters.gradient(name));
  return all;
}

async function rejects<E extends Error>(
  promise: Promise<unknown>,
  kind: new (...args: never[]) => E,
  pattern: RegExp,
): Promise<void> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  assert.instance(error, kind, String(error));
  assert.match((error as Error).message, pattern);
}

/** Σ (w·outs)²/2 over samples and times, and its derivative. */
const squares: SampleLoss = ({ outs }) => ({ loss: sumOf(outs, (x) => (x * x) / 2), ctOuts: outs });

function sumOf(values: ArrayLike<number>, f: (x: number, i: number) => number): number {
  return Array.from(values, f).reduce((sum, x) => sum + x, 0);
}

function defineNames(test: Test<WithBackend>): void {
  test("names of options are checked", async ({ backend }) => {
    const ode = new ConnectomeODERNN(backend, network());
    await rejects(ode.forward(INPUT, { numEval: 3 } as never), ArgumentError, /numEvals, or another option/);
    await rejects(ode.forward(INPUT, { lossAllTimesteps: true } as never), ArgumentError, /lossAllTimesteps/);
    const rnn = new ConnectomeRNN(backend, network());
    await rejects(rnn.forward(INPUT, { numStep: 3 } as never), ArgumentError, /numSteps, or another option/);
    const classifier = new ConnectomeODEClassifier(backend, { rnn: network(), numClasses: 3 });
    const labels = new Uint8Array(BATCH);
    await rejects(classifier.evaluate(INPUT, labels, { endTimes: 3 } as never), ArgumentError, /endTime, or another/);
    await rejects(classifier.gradients(INPUT, labels, 0, { H0: [] } as never), ArgumentError, /h0/);
    const wrong = { lossAllTimesteps: "yes" } as never;
    await rejects(classifier.evaluate(INPUT, labels, wrong), ArgumentError, /true or false, got yes/);
    await classifier.evaluate(INPUT, labels, { lossAllTimesteps: true, h0Seed: 1 });
    for (const model of [ode, rnn, classifier]) model.dispose();
  });

  test("times that are out of order, outside or not finite are refused by name", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, network());
    const cases: [object, RegExp][] = [
      [{ times: [] }, /at least one time, got none \(times\)/],
      [{ times: [0, 2, 1] }, /distinct ascending times, got 1 after 2 at 2/],
      [{ times: [0, 1, 1] }, /got 1 after 1 at 2/],
      [{ times: [1, 2], startTime: 3 }, /descending times.*got 2 after 1/],
      [{ times: [0, Number.NaN] }, /finite numbers, got NaN at 1 \(times\)/],
      [{ times: [1, 2], endTime: 1.5 }, /times from 0 to 1\.5, got 2 at 1/],
      [{ times: [0.5, 2], startTime: 1 }, /times from 1 to 2, got 0\.5 at 0/],
      [{ times: [0] }, /a finite time other than startTime = 0, got 0/],
      [{ times: [1], numEvals: 2 }, /it dropped, or no times, got both \(numEvals\)/],
    ];
    for (const [evaluation, pattern] of cases) await rejects(model.forward(INPUT, evaluation), ArgumentError, pattern);
    model.dispose();
  });
}

function define(test: Test<WithBackend>): void {
  test("a list of evenly spaced times gives the bits of their number", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, network());
    const spaced = await model.forward(INPUT, { numEvals: 5, endTime: 2 });
    const listed = await model.forward(INPUT, { times: [0, 0.5, 1, 1.5, 2] });
    assertBitEqual(listed.ts, spaced.ts, "times");
    assertBitEqual(listed.hs, spaced.hs, "states");
    assertBitEqual(listed.outs, spaced.outs, "outputs");
    // Uneven, without the start, ending before the solve does; one; and backwards.
    const part = await model.forward(
      { ...INPUT, batch: 1, data: INPUT.data.subarray(0, INPUTS) },
      { times: [0.5, 1.5], endTime: 2 },
    );
    assertBitEqual(part.ts, [0.5, 1.5], "some times");
    assertBitEqual(part.hs.subarray(0, N), spaced.hs.subarray(N, 2 * N), "at 0.5");
    assertBitEqual(part.hs.subarray(N), spaced.hs.subarray(3 * N, 4 * N), "at 1.5");
    const end = await model.forward(INPUT, { times: [2] });
    assertBitEqual(end.hs.subarray(0, N), spaced.hs.subarray(4 * N, 5 * N), "at the end");
    const back = await model.forward(INPUT, { times: [1, 0.25, 0], startTime: 1 });
    const spacedBack = await model.forward(INPUT, { numEvals: 2, startTime: 1, endTime: 0 });
    assertBitEqual(back.hs.subarray(2 * N, 3 * N), spacedBack.hs.subarray(N, 2 * N), "at the end, backwards");
    assertBitEqual(back.ts, [1, 0.25, 0], "times backwards");
    model.dispose();
  });

  test("times of a classifier: the loss takes the last, or all", async ({ backend }) => {
    const model = new ConnectomeODEClassifier(backend, { rnn: network(), numClasses: 3, fcDim: null });
    const labels = Array.from({ length: BATCH }, (_, s) => s % 3);
    const spaced = await model.gradients(INPUT, labels, 0, { numEvals: 3, lossAllTimesteps: true });
    const listed = await model.gradients(INPUT, labels, 0, { times: [0, 0.5, 1], lossAllTimesteps: true });
    assert.equal([listed.loss, listed.count], [spaced.loss, 3 * BATCH]);
    const last = await model.evaluate(INPUT, labels, { times: [1] });
    assert.is(last.loss, (await model.evaluate(INPUT, labels, {})).loss);
    model.dispose();
  });

  test("the gradients of a loss are those of its cotangents, in one pass", async ({ backend }) => {
    const evaluation = { times: [0.5, 2] };
    for (const batchFirst of [true, false]) {
      const model = new ConnectomeODERNN(backend, network({ batchFirst }));
      const { outs } = await model.forward(INPUT, evaluation);
      const expected = await model.vjp(INPUT, outs, evaluation);
      const parameters = await gradientsOf(model.parameters);
      const seen: number[] = [];
      const got = await model.gradients(
        INPUT,
        (of) => {
          seen.push(of.sample);
          return squares(of);
        },
        evaluation,
      );
      assert.equal(
        seen,
        Array.from({ length: BATCH }, (_, s) => s),
      );
      const loss = sumOf(outs, (x) => (x * x) / 2);
      assert.ok(Math.abs(got.loss - loss) <= 1e-5 * loss);
      assertBitEqual(got.trajectory.hs, expected.trajectory.hs, "states");
      assertBitEqual(got.gradients.x!, expected.gradients.x!, "input");
      assertBitEqual(got.gradients.h0, expected.gradients.h0, "initial state");
      for (const [name, g] of await gradientsOf(model.parameters)) assertBitEqual(g, parameters.get(name)!, name);
      model.dispose();
    }
  });

  test("cotangents of states and outputs add up, in discrete time, too", async ({ backend }) => {
    const states = new ConnectomeODERNN(backend, network({ outputProjection: null }));
    const ct = normals("ct", BATCH * 2 * N);
    const of = (sample: number) => ct.subarray(2 * N * sample, 2 * N * (sample + 1));
    const expected = await states.vjp(INPUT, ct);
    const both = await states.gradients(INPUT, ({ sample }) => ({
      loss: 0,
      ctOuts: of(sample).map((x) => x / 2),
      ctHs: of(sample).map((x) => x / 2),
    }));
    assertClose(both.gradients.x!, expected.gradients.x!, 1e-5, "half and half");
    const alone = await states.gradients(INPUT, ({ sample }) => ({ loss: 0, ctHs: of(sample) }));
    assertBitEqual(alone.gradients.x!, expected.gradients.x!, "states");
    const none = await states.gradients(INPUT, () => ({ loss: 2 }));
    assert.is(none.loss, 2 * BATCH);
    assert.ok(none.gradients.x!.every((x) => x === 0));
    const steps = new ConnectomeRNN(backend, network());
    const { outs } = await steps.forward(INPUT, { numSteps: 2 });
    const discrete = await steps.vjp(INPUT, outs, { numSteps: 2 });
    const got = await steps.gradients(INPUT, squares, { numSteps: 2 });
    assertBitEqual(got.gradients.x!, discrete.gradients.x!, "discrete");
    states.dispose();
    steps.dispose();
  });

  test("gradients of a loss agree with central differences", async ({ backend }) => {
    if (backend.dtype === "f32") return;
    const solve = { rtol: 1e-9, atol: 1e-10 };
    const model = new ConnectomeODERNN(backend, network({ solve, neuronNonlinearity: "Tanh", dynamics: "voltage" }));
    const weights = normals("of states", 2 * N);
    const loss: SampleLoss = ({ outs, hs }) => ({
      loss: sumOf(outs, (x) => x ** 3 / 3) + sumOf(hs, (h, i) => weights[i]! * h),
      ctOuts: outs.map((x) => x * x),
      ctHs: weights,
    });
    const at = async (bias: Float64Array): Promise<number> => {
      model.parameters.set("rnn.hh.bias", bias);
      return (await model.gradients(INPUT, loss)).loss;
    };
    const bias = normals("bias", N);
    await at(bias);
    const gradient = await model.parameters.gradient("rnn.hh.bias");
    const h = 1e-5;
    for (const i of [0, N - 1]) {
      const moved = (step: number) => at(bias.map((b, k) => (k === i ? b + step : b)));
      const difference = ((await moved(h)) - (await moved(-h))) / (2 * h);
      assert.ok(Math.abs(difference - gradient[i]!) < 1e-6 * Math.abs(difference), `${difference}, ${gradient[i]}`);
    }
    model.dispose();
  });

  test("what a loss says wrongly is refused by name, and no gradient is left", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, network());
    const with_ = (result: unknown): SampleLoss => (() => result) as never;
    await model.gradients(INPUT, squares);
    const cases: [SampleLoss, typeof ArgumentError | typeof ShapeError, RegExp][] = [
      [with_(1), ArgumentError, /\{ loss, ctOuts, ctHs \} at once, got 1 for sample 0/],
      [with_(Promise.resolve({ loss: 1 })), ArgumentError, /got a promise for sample 0/],
      [with_({ loss: Number.NaN }), ArgumentError, /a finite number, got NaN for sample 0 \(loss\)/],
      [with_({ loss: 1, ctOut: [] }), ArgumentError, /ctOuts, or another option/],
      [with_({ loss: 1, ctOuts: [1] }), ShapeError, /2 × 2 numbers, got 1 for sample 0 \(ctOuts\)/],
      [
        ({ sample, outs }) => ({ loss: 1, ctOuts: sample === 17 ? outs.fill(Number.POSITIVE_INFINITY) : outs }),
        ArgumentError,
        /finite numbers, got Infinity at 0 of sample 17 \(ctOuts\)/,
      ],
    ];
    for (const [loss, kind, pattern] of cases) {
      await rejects(model.gradients(INPUT, loss), kind, pattern);
      assert.ok((await model.parameters.gradient("rnn.hh.values")).every((g) => g === 0));
    }
    let inner: Promise<unknown> = Promise.resolve();
    await model.gradients(INPUT, (of) => {
      if (of.sample === 0) inner = model.forward(INPUT).catch((e: unknown) => (e as EngineError).code);
      return squares(of);
    });
    assert.is(await inner, "reentrant");
    model.dispose();
  });
}

forEachBackend("evaluation", ["f64", "f32"], (test) => {
  defineNames(test);
  define(test);
});
onWebGpu("evaluation", define);
