// Numbers that are not finite, and labels that are none, are refused by name before anything on the device changes.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError, EngineError, ShapeError, SolverError } from "../../src/core/errors.ts";
import { absolute } from "../../src/data/connectomes.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseLinear } from "../../src/models/sparse.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const [N, INPUTS, BATCH] = [6, 2, 3];
const DATA = normals("input", BATCH * INPUTS);
const CT = normals("ct", BATCH * 2 * N);
const LABELS = [0, 2, 1];
const INPUT = { data: DATA, batch: BATCH };

const NETWORK: ConnectomeODERNNOptions = {
  numNeurons: N,
  inputSize: INPUTS,
  connectome: absolute(randomSparse(N, N, 0.5).csr),
  inputProjection: randomSparse(N, INPUTS, 0.8).csr,
};

/** `values` with another number at `at`. */
function with_(values: ArrayLike<number>, at: number, value: number): Float64Array {
  const changed = Float64Array.from(values);
  changed[at] = value;
  return changed;
}

type Kind = new (...args: never[]) => EngineError;

async function rejects(promise: Promise<unknown>, kind: Kind, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  assert.instance(error, kind, String(error));
  assert.match((error as Error).message, pattern);
}

/** Values and gradients of all parameters. */
async function stateOf(parameters: ParameterSet): Promise<Float64Array> {
  const all: number[] = [];
  for (const { name } of parameters.trainable())
    all.push(...(await parameters.values(name)), ...(await parameters.gradient(name)));
  return Float64Array.from(all);
}

async function assertUntouched(
  parameters: ParameterSet,
  cases: readonly (readonly [() => Promise<unknown>, Kind, RegExp])[],
): Promise<void> {
  const before = await stateOf(parameters);
  assert.ok(
    before.some((x) => x !== 0),
    "there are gradients",
  );
  for (const [call, kind, pattern] of cases) {
    await rejects(call(), kind, pattern);
    assertBitEqual(await stateOf(parameters), before, `${pattern}`);
  }
}

function define(test: Test<WithBackend>): void {
  test("cotangents, inputs and initial states of a network", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, NETWORK);
    await model.vjp(INPUT, CT);
    const nan = { ...INPUT, data: with_(DATA, 3, Number.NaN) };
    const h0 = with_(normals("h0", BATCH * N), N, Number.NEGATIVE_INFINITY);
    await assertUntouched(model.parameters, [
      [() => model.vjp(INPUT, with_(CT, 13, Number.NaN)), ArgumentError, /got NaN at 13, in sample 1 \(ctOuts\)/],
      [() => model.vjp(INPUT, with_(CT, 0, Number.POSITIVE_INFINITY)), ArgumentError, /got Infinity at 0/],
      [() => model.vjp(INPUT, CT.subarray(1)), ShapeError, /ctOuts/],
      [() => model.vjp(nan, CT), SolverError, /finite numbers, got NaN at 3, in sample 1 \(data\)/],
      [() => model.forward(nan), SolverError, /got NaN at 3, in sample 1 \(data\)/],
      [() => model.forward(INPUT, { h0 }), SolverError, /got -Infinity at 6, in sample 1 \(h0\)/],
      [() => model.gradients(nan, () => ({ loss: 0 })), SolverError, /in sample 1 \(data\)/],
    ]);
    if (backend.dtype === "f32") {
      await rejects(
        model.forward({ ...INPUT, data: with_(DATA, 5, 1e39) }),
        SolverError,
        /got 1e\+39 at 5, in sample 2/,
      );
      await rejects(
        model.vjp(INPUT, with_(CT, 1, 1e39)),
        ArgumentError,
        /in the range of f32, up to 3\.4e38, got 1e\+39 at 1/,
      );
    }
    model.dispose();
  });

  test("where time comes first, the sample is the one that the number belongs to", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, { ...NETWORK, batchFirst: false });
    await rejects(model.vjp(INPUT, with_(CT, 13, Number.NaN)), ArgumentError, /got NaN at 13, in sample 2 \(ctOuts\)/);
    model.dispose();
  });

  test("networks in discrete time and layers refuse them as well", async ({ backend }) => {
    const rnn = new ConnectomeRNN(backend, NETWORK);
    await rnn.vjp(INPUT, CT, { numSteps: 2 });
    const nan = { ...INPUT, data: with_(DATA, 0, Number.NaN) };
    await assertUntouched(rnn.parameters, [
      [() => rnn.forward(nan, { numSteps: 2 }), SolverError, /got NaN at 0, in sample 0 \(data\)/],
      [() => rnn.vjp(INPUT, with_(CT, 1, Number.NaN), { numSteps: 2 }), ArgumentError, /ctOuts/],
    ]);
    const layer = new SparseLinear(backend, {
      inFeatures: INPUTS,
      outFeatures: N,
      connectivity: NETWORK.inputProjection as never,
    });
    const ct = normals("ct", BATCH * N);
    await layer.vjp(DATA, ct);
    await assertUntouched(layer.parameters, [
      [() => layer.forward(with_(DATA, 4, Number.NaN)), ArgumentError, /got NaN at 4 \(x\)/],
      [() => layer.vjp(DATA, with_(ct, 2, Number.NaN)), ArgumentError, /got NaN at 2 \(ctY\)/],
    ]);
    rnn.dispose();
    layer.dispose();
  });

  test("labels, inputs and numbers of steps of a classifier", async ({ backend }) => {
    const model = new ConnectomeODEClassifier(backend, { rnn: NETWORK, numClasses: 3, fcDim: 4, standardise: true });
    await model.calibrate(INPUT);
    await model.gradients(INPUT, LABELS, 0);
    const nan = { ...INPUT, data: with_(DATA, 2, Number.NaN) };
    const gradients = (labels: ArrayLike<number>) => () => model.gradients(INPUT, labels, 0);
    await assertUntouched(model.parameters, [
      [gradients([0, Number.NaN, 1]), ArgumentError, /classes 0 to 2, got NaN for sample 1 \(labels\)/],
      [gradients([0, 1, 3]), ArgumentError, /got 3 for sample 2/],
      [gradients([0.5, 1, 2]), ArgumentError, /got 0\.5 for sample 0/],
      [gradients([-1, 1, 2]), ArgumentError, /got -1 for sample 0/],
      [gradients([0, 1]), ShapeError, /labels/],
      [() => model.gradients(nan, LABELS, 0), SolverError, /in sample 1 \(data\)/],
      [() => model.gradients(INPUT, LABELS, 0, { numEvals: 1 }), ArgumentError, /numEvals/],
      [() => model.gradients(INPUT, LABELS, Number.NaN), ArgumentError, /whole number of at least 0, got NaN \(step\)/],
      [() => model.evaluate(nan, LABELS), SolverError, /in sample 1 \(data\)/],
    ]);
    const features = await model.featureStatistics();
    const ones = new Float64Array(N).fill(1);
    for (const [mean, scale] of [
      [with_(ones, 2, Number.NaN), ones],
      [ones, ones.subarray(1)],
    ] as const)
      assert.throws(
        () => model.setFeatureStatistics(mean, scale),
        (e: unknown) => e instanceof EngineError,
      );
    assert.equal(await model.featureStatistics(), features);
    model.dispose();
  });
}

forEachBackend("refused numbers", ["f64", "f32"], (test) => {
  define(test);

  test("options of a solve are checked when the model is made", ({ backend }) => {
    const cases: [object, RegExp][] = [
      [{ maxSteps: Number.NaN }, /solve\.maxSteps/],
      [{ maxSteps: 0 }, /solve\.maxSteps/],
      [{ dt0: Number.NaN }, /solve\.dt0/],
      [{ dt0: 0 }, /solve\.dt0/],
      [{ memoryBudgetBytes: Number.NaN }, /solve\.memoryBudgetBytes/],
    ];
    for (const [solve, pattern] of cases) {
      assert.throws(
        () => new ConnectomeODERNN(backend, { ...NETWORK, solve }),
        (e: unknown) => e instanceof ArgumentError && pattern.test(e.message),
      );
    }
  });
});
onWebGpu("refused numbers", define);
