// Connectome networks and their classifiers: gradients by everything, batches, layouts, constraints, dropout, and bad input.

import * as assert from "uvu/assert";
import { type Csr, csrFromCoo, withValues } from "../../src/core/csr.ts";
import { ArgumentError, type EngineError, ShapeError, SolverError } from "../../src/core/errors.ts";
import {
  ConnectomeClassifier,
  ConnectomeODEClassifier,
  type ConnectomeODEClassifierOptions,
  type GradientResult,
} from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { InitialStateOptions } from "../../src/models/initialState.ts";
import type { ModelInput } from "../../src/models/options.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse } from "../support/matrices.ts";

const N = 9;
const N_INPUTS = 4;
const N_OUTPUTS = 5;

function positive(csr: Csr): Csr {
  return withValues(
    csr,
    csr.values.map((w) => 0.05 + Math.abs(w)),
  );
}

/** A network that uses many options at once. */
const RNN: ConnectomeODERNNOptions = {
  numNeurons: N,
  inputSize: N_INPUTS,
  connectome: positive(randomSparse(N, N, 0.4).csr),
  inputProjection: randomSparse(N, N_INPUTS, 0.5).csr,
  outputProjection: randomSparse(N_OUTPUTS, N, 0.5).csr,
  neuronType: ["b", "a", "b", "c", "a", "c", "b", "a", "c"],
  neuronNonlinearity: ["Tanh", "Sigmoid", "Softplus"],
  neuronClass: ["excitatory", "inhibitory", "excitatory"],
  neuronClassMode: "perNeuronType",
  neuronTau: [1.5, 2, 3],
  neuronTauMode: "perNeuronType",
  biasInit: normals("bias", N),
  inputGradient: true,
};

const CLASSIFIER: ConnectomeODEClassifierOptions = { rnn: RNN, numClasses: 3, fcDim: 6, dropout: 0.3, seed: 5 };

function inputOf(batch: number, steps?: number): ModelInput {
  const data = normals(`input ${batch} ${steps}`, batch * (steps ?? 1) * N_INPUTS);
  return steps === undefined ? { data, batch } : { data, batch, steps };
}

const labelsOf = (batch: number) => Array.from({ length: batch }, (_, i) => (i * 7) % 3);

type Gradients = (input: ModelInput, labels: ArrayLike<number>) => Promise<GradientResult>;

/** Checks all gradients of a classifier's loss, dropout included: its mask depends on seed and step only. */
async function check(label: string, parameters: ParameterSet, gradients: Gradients, input: ModelInput): Promise<void> {
  const labels = labelsOf(input.batch);
  const { x } = await gradients(input, labels);
  const names = parameters.trainable().map((p) => p.name);
  const point: Record<string, ArrayLike<number>> = { x: input.data };
  const gradient: Record<string, ArrayLike<number>> = { x: x! };
  for (const name of names) {
    gradient[name] = await parameters.gradient(name);
    point[name] = await parameters.values(name);
  }
  const loss = async (p: Point) => {
    for (const name of names) parameters.set(name, p[name]!);
    return (await gradients({ ...input, data: p.x! }, labels)).loss;
  };
  await assertGradient(label, loss, point, gradient, { directions: 2, roundings: 3000, stepScale: 8 });
}

forEachBackend("gradients of classifiers", ["f64"], (test) => {
  test("continuous time, many options at once, a batch of more than one chunk", async ({ backend }) => {
    const model = new ConnectomeODEClassifier(backend, CLASSIFIER);
    const gradients: Gradients = (input, labels) => model.gradients(input, labels, 4, { endTime: 2 });
    await check("ode", model.parameters, gradients, inputOf(backend.maxLanes + 3));
    model.dispose();
  });

  test("a linear read-out of the states, the loss over all times", async ({ backend }) => {
    const rnn = { ...RNN, outputProjection: null, solve: { dt0: 0.1 } };
    const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn, fcDim: null });
    const evaluation = { numEvals: 4, lossAllTimesteps: true };
    const gradients: Gradients = (input, labels) => model.gradients(input, labels, 0, evaluation);
    await check("all times", model.parameters, gradients, inputOf(3));
    model.dispose();
  });

  test("a sequence as input, with fixed steps", async ({ backend }) => {
    const rnn = { ...RNN, solve: { dt0: 0.09, fixedStep: true } };
    const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn });
    const gradients: Gradients = (input, labels) => model.gradients(input, labels, 0);
    await check("sequence", model.parameters, gradients, inputOf(3, 4));
    model.dispose();
  });

  test("weights shared by groups of connections, dense projections", async ({ backend }) => {
    const dense = (nRows: number, nCols: number) => ({
      nRows,
      nCols,
      values: normals(`dense ${nRows}`, nRows * nCols),
    });
    const group = Array.from({ length: RNN.connectome.nnz }, (_, k) => k % 4);
    const rnn = {
      ...RNN,
      sharedWeights: { group, nGroups: 4, strengthInit: [0.5, 1, 1.5, 0.8] },
      inputProjection: dense(N, N_INPUTS),
      outputProjection: dense(N_OUTPUTS, N),
    };
    const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn });
    const gradients: Gradients = (input, labels) => model.gradients(input, labels, 0);
    await check("shared", model.parameters, gradients, inputOf(3));
    model.dispose();
  });

  test("voltages in continuous and discrete time, a bias per type", async ({ backend }) => {
    const voltage = { dynamics: "voltage", biasInit: { a: 0.2, b: -0.1, c: 0.4 }, biasMode: "perNeuronType" } as const;
    const rnn = { ...RNN, ...voltage, neuronNonlinearity: ["Softplus", "Sigmoid", "Tanh"] };
    const continuous = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn });
    assert.is(continuous.parameters.get("rnn.hh.bias").size, 3);
    const inTime: Gradients = (input, labels) => continuous.gradients(input, labels, 0);
    await check("voltage", continuous.parameters, inTime, inputOf(3));
    continuous.dispose();
    const discrete = new ConnectomeClassifier(backend, { ...CLASSIFIER, rnn });
    const inSteps: Gradients = (input, labels) => discrete.gradients(input, labels, 0);
    await check("voltage steps", discrete.parameters, inSteps, inputOf(3, 4));
    discrete.dispose();
  });

  test("discrete time, a sequence", async ({ backend }) => {
    const model = new ConnectomeClassifier(backend, CLASSIFIER);
    const gradients: Gradients = (input, labels) => model.gradients(input, labels, 1, { lossAllTimesteps: true });
    await check("discrete", model.parameters, gradients, inputOf(3, 4));
    model.dispose();
  });
});

async function allGradients(parameters: ParameterSet): Promise<Record<string, ArrayLike<number>>> {
  const named: Record<string, ArrayLike<number>> = {};
  for (const { name } of parameters.trainable()) named[name] = await parameters.gradient(name);
  return named;
}

forEachBackend("networks", ["f64", "f32"], (test) => {
  test("time first is batch first with the axes swapped", async ({ backend }) => {
    const [batch, steps, numEvals] = [3, 4, 3];
    const input = inputOf(batch, steps);
    const swapped = new Float64Array(input.data.length);
    for (let s = 0; s < batch; s++) {
      for (let k = 0; k < steps; k++) {
        for (let i = 0; i < N_INPUTS; i++)
          swapped[(k * batch + s) * N_INPUTS + i] = input.data[(s * steps + k) * N_INPUTS + i]!;
      }
    }
    const first = new ConnectomeODERNN(backend, RNN);
    const second = new ConnectomeODERNN(backend, { ...RNN, batchFirst: false });
    const a = await first.forward(input, { numEvals });
    const b = await second.forward({ ...input, data: swapped }, { numEvals });
    for (let s = 0; s < batch; s++) {
      for (let j = 0; j < numEvals; j++) {
        const [at, swappedAt] = [(s * numEvals + j) * N, (j * batch + s) * N];
        assertBitEqual(b.hs.slice(swappedAt, swappedAt + N), a.hs.slice(at, at + N), `sample ${s}, time ${j}`);
      }
    }
    first.dispose();
    second.dispose();
  });

  test("evaluation times are equally spaced and end exactly at the end", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, RNN);
    const { ts } = await model.forward(inputOf(1), { numEvals: 7, startTime: 0.1, endTime: 0.7 });
    assert.is(ts[0], 0.1, "in double precision");
    assert.is(ts[6], 0.7);
    assertClose(ts, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 1e-15, "ts");
    model.dispose();
  });

  test("the gradient of a batch is the mean over its samples", async ({ backend }) => {
    const batch = backend.maxLanes + 2;
    // Without the step-size control, whose gradients magnify rounding.
    const rnn = { ...RNN, solve: { backpropThroughStepSizeControl: false } };
    const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn, dropout: 0 });
    const input = inputOf(batch);
    const labels = labelsOf(batch);
    const whole = await model.gradients(input, labels, 0);
    const gradients = await allGradients(model.parameters);
    let loss = 0;
    const mean: Record<string, Float64Array> = {};
    for (let s = 0; s < batch; s++) {
      const data = Float64Array.from(input.data).slice(s * N_INPUTS, (s + 1) * N_INPUTS);
      loss += (await model.gradients({ data, batch: 1 }, [labels[s]!], 0)).loss / batch;
      for (const [name, g] of Object.entries(await allGradients(model.parameters))) {
        mean[name] ??= new Float64Array(g.length);
        for (let i = 0; i < g.length; i++) mean[name][i]! += g[i]! / batch;
      }
    }
    const tolerance = backend.dtype === "f32" ? 1e-5 : 1e-13;
    assertClose([whole.loss], [loss], tolerance, "loss");
    for (const [name, g] of Object.entries(gradients)) {
      const size = Math.max(...Array.from(mean[name]!, Math.abs));
      assertClose(g, mean[name]!, tolerance * Math.max(size, 1e-3), name);
    }
    model.dispose();
  });

  test("values per type may come from a function, which is told how many; types are in the order of code points", async ({
    backend,
  }) => {
    // In units of UTF-16 the last one would come first.
    const labels = ["\u{ff5e}", "a", "\u{1f9e0}"];
    const counts: number[] = [];
    const model = new ConnectomeODERNN(backend, {
      ...RNN,
      neuronType: Array.from({ length: N }, (_, i) => labels[i % 3]!),
      neuronTau: (count) => Array.from({ length: count }, (_, type) => 2 + type),
      biasInit: (count) => {
        counts.push(count);
        return new Float64Array(count).fill(0.5);
      },
    });
    assert.equal(model.types?.types, ["a", "\u{ff5e}", "\u{1f9e0}"]);
    assertBitEqual(await model.parameters.values("rnn.tau"), [2, 3, 4], "tau of the types");
    assert.equal(counts, [N], "biases are of neurons");
    model.dispose();
  });

  test("negative weights are 0 in the forward pass, and tau at least 1; gradients are those at the limits, not masked", async ({
    backend,
  }) => {
    const { neuronTauMode: _, neuronTau: __, ...rest } = RNN;
    const model = new ConnectomeODERNN(backend, { ...rest, neuronTau: 1.5 });
    const p = model.parameters;
    const weights = await p.values("rnn.hh.values");
    const set = Float64Array.from(weights, (w, i) => (i % 2 === 0 ? -w : w));
    p.set("rnn.hh.values", set, { clamp: true });
    p.set("rnn.tau", new Float64Array(N).fill(0.25), { clamp: true });
    const ct = normals("ct", 2 * 2 * N_OUTPUTS);
    await model.vjp(inputOf(2), ct);
    assertBitEqual(
      await p.values("rnn.hh.values"),
      set.map((w) => Math.max(w, 0)),
      "weights after the pass",
    );
    assertBitEqual(await p.values("rnn.tau"), new Float64Array(N).fill(1), "tau after the pass");
    const gradient = await p.gradient("rnn.hh.values");
    assert.ok(
      set.some((w, i) => w < 0 && gradient[i] !== 0),
      "weights at 0 have gradients",
    );
    model.dispose();
  });

  test('with the constraint "sign" no weight changes the sign it started with', async ({ backend }) => {
    const connectome = randomSparse(N, N, 0.4).csr;
    const model = new ConnectomeODERNN(backend, { ...RNN, connectome, weightConstraint: "sign" });
    const flipped = connectome.values.map((w, i) => (i % 3 === 0 ? -w : 2 * w));
    model.parameters.set("rnn.hh.values", flipped, { clamp: true });
    await model.forward(inputOf(1));
    const expected = flipped.map((w, i) => (i % 3 === 0 ? 0 : w));
    assertClose(await model.parameters.values("rnn.hh.values"), expected, 1e-6, "weights");
    model.dispose();
  });

  test("frozen parts have no gradient and keep their values", async ({ backend }) => {
    const frozen = {
      trainConnectome: false,
      trainInputProjection: false,
      trainOutputProjection: false,
      trainTau: false,
    };
    for (const inputGradient of [false, true]) {
      const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn: { ...RNN, ...frozen, inputGradient } });
      const { x } = await model.gradients(inputOf(2), [0, 1], 0);
      assert.is(x !== null, inputGradient);
      const names = model.parameters.trainable().map((q) => q.name);
      assert.ok(
        names.every((name) => name.startsWith("out_layer")),
        `${names}`,
      );
      model.dispose();
    }
  });

  test("biases are trained as the weights are, or as trainBias says", ({ backend }) => {
    const trained = (options: { readonly trainConnectome?: boolean; readonly trainBias?: boolean }): string[] => {
      using model = new ConnectomeODERNN(backend, { ...RNN, ...options });
      const names = model.parameters.trainable().map(({ name }) => name);
      return names.filter((name) => name.startsWith("rnn.hh."));
    };
    assert.equal(trained({}), ["rnn.hh.values", "rnn.hh.bias"]);
    assert.equal(trained({ trainConnectome: false }), []);
    assert.equal(trained({ trainConnectome: false, trainBias: true }), ["rnn.hh.bias"]);
    assert.equal(trained({ trainBias: false }), ["rnn.hh.values"]);
  });

  test("dropout depends on seed, step and sample: the same again, others otherwise, about p of the units", async ({
    backend,
  }) => {
    const run = async (seed: number, step: number) => {
      const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, fcDim: 400, dropout: 0.25, seed });
      await model.gradients(inputOf(1), [1], step);
      const bias = Array.from(await model.parameters.gradient("out_layer.1.bias"));
      const all = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, fcDim: 400, dropout: 0, seed });
      await all.gradients(inputOf(1), [1], step);
      const active = Array.from(await all.parameters.gradient("out_layer.1.bias")).map((g) => g !== 0);
      model.dispose();
      all.dispose();
      // Units that relu lets through and dropout does not.
      return { bias, dropped: bias.filter((g, i) => active[i] && g === 0).length / active.filter(Boolean).length };
    };
    const first = await run(1, 7);
    assert.equal((await run(1, 7)).bias, first.bias);
    assert.not.equal((await run(1, 8)).bias, first.bias);
    // Four standard deviations of a binomial share of some 200 units.
    assert.ok(Math.abs(first.dropped - 0.25) < 0.13, `${first.dropped}`);
  });

  test("linear layers start within ±1/√fan-in, differently for every seed", async ({ backend }) => {
    const weights = async (seed: number) => {
      const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, fcDim: 64, seed });
      const w = await model.parameters.values("out_layer.4.weight");
      model.dispose();
      return w;
    };
    const w = await weights(1);
    const most = Math.max(...Array.from(w, Math.abs));
    assert.ok(most <= 1 / 8 && most > 0.9 / 8, `${most}`);
    assertBitEqual(await weights(1), w, "the same seed");
    assert.not.equal(await weights(2), w);
  });

  test("calibrated features have mean 0 and the promised scale; without calibration training is refused", async ({
    backend,
  }) => {
    const rnn = { ...RNN, outputProjection: null };
    const model = new ConnectomeODEClassifier(backend, { ...CLASSIFIER, rnn, standardise: true });
    const input = inputOf(20);
    await rejects(() => model.gradients(input, labelsOf(20), 0), ArgumentError, /calibrate/);
    const { mean, std } = await model.calibrate(input);
    const { hs } = await model.rnn.forward(input);
    const expected = new Float64Array(N);
    for (let s = 0; s < 20; s++) for (let i = 0; i < N; i++) expected[i]! += hs[(s * 2 + 1) * N + i]! / 20;
    assertClose(mean, expected, 1e-6, "means of the features");
    assert.ok(std.every((x) => x >= 0));
    await model.gradients(input, labelsOf(20), 0);
    model.dispose();
  });

  test("voltages: a step of the discrete model by hand, rectified unless another nonlinearity is asked for", async ({
    backend,
  }) => {
    const connectome = csrFromCoo({ nRows: 2, nCols: 2, rows: [0, 1], cols: [1, 0], values: [3, -2] });
    const options = { numNeurons: 2, inputSize: 2, connectome, dynamics: "voltage", weightConstraint: "none" } as const;
    const model = new ConnectomeRNN(backend, { ...options, biasInit: [0.5, 0.25], neuronTau: 2 });
    const { hs } = await model.forward({ data: [1, 2], batch: 1 }, { numSteps: 1, h0: [4, -1] });
    // v ← v/2 + (x + W·relu(v) + b)/2 with relu(v) = (4, 0).
    assertClose(hs, [4 / 2 + (1 + 0 + 0.5) / 2, -1 / 2 + (2 - 8 + 0.25) / 2], 1e-6, "state");
    model.dispose();
  });

  test("a bias by type is the same as that bias for each of its neurons", async ({ backend }) => {
    const typed = new ConnectomeODERNN(backend, { ...RNN, biasInit: [0.1, 0.2, 0.3], biasMode: "perNeuronType" });
    const byLabel: Readonly<Record<string, number>> = { a: 0.1, b: 0.2, c: 0.3 };
    const labels = RNN.neuronType as readonly string[];
    const single = new ConnectomeODERNN(backend, { ...RNN, biasInit: labels.map((label) => byLabel[label]!) });
    const [a, b] = [await typed.forward(inputOf(2)), await single.forward(inputOf(2))];
    assertBitEqual(a.hs, b.hs, "states");
    typed.dispose();
    single.dispose();
  });

  test("an initial state of zeros is the default, and other ones count", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, RNN);
    const input = inputOf(2);
    const standard = await model.forward(input);
    const zeros = await model.forward(input, { h0: new Float32Array(2 * N) });
    const ones = await model.forward(input, { h0: new Float32Array(2 * N).fill(1) });
    assertBitEqual(zeros.hs, standard.hs, "zeros");
    assert.not.equal(Array.from(ones.hs), Array.from(standard.hs));
    assertBitEqual(ones.hs.slice(0, N), new Float64Array(N).fill(1), "the first evaluation is the initial state");
    model.dispose();
  });

  test("initial states by name and by function, random ones the same for the same seed", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, RNN);
    const discrete = new ConnectomeRNN(backend, RNN);
    const input = inputOf(3);
    const size = 3 * N;
    const first = async (evaluation: InitialStateOptions) => {
      const { hs } = await model.forward(input, evaluation);
      return Float64Array.from({ length: size }, (_, i) => hs[Math.floor(i / N) * 2 * N + (i % N)]!);
    };
    assertBitEqual(await first({ h0: "zeros" }), new Float64Array(size), "zeros");
    assertBitEqual(await first({ h0: "ones" }), new Float64Array(size).fill(1), "ones");
    const made = (batch: number, n: number) => Float64Array.from({ length: batch * n }, (_, i) => i / 4);
    assertBitEqual(await first({ h0: made }), made(3, N), "by a function");
    const uniform = await first({ h0: "rand" });
    assert.ok(uniform.every((x) => x >= 0 && x < 1) && new Set(uniform).size > size / 2);
    assertBitEqual(await first({ h0: "rand", h0Seed: 0 }), uniform, "the default seed");
    assert.not.equal(Array.from(await first({ h0: "rand", h0Seed: 1 })), Array.from(uniform));
    assert.ok((await first({ h0: "randn" })).some((x) => x < 0));
    const [named, given] = [{ h0: "ones" as const }, { h0: new Float64Array(size).fill(1) }];
    const steps = async (evaluation: InitialStateOptions) =>
      (await discrete.forward(input, { ...evaluation, numSteps: 2 })).hs;
    assertBitEqual(await steps(named), await steps(given), "in discrete time");
    model.dispose();
    discrete.dispose();
  });

  test("a solve that fails is an error of the batch's sample, with advice", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, { ...RNN, solve: { maxSteps: 3 } });
    await rejects(() => model.forward(inputOf(backend.maxLanes + 1)), SolverError, /sample 0 stopped .*raise maxSteps/);
    const byFrames = new ConnectomeODERNN(backend, { ...RNN, solve: { maxSteps: (frames) => 3 * frames } });
    await rejects(() => byFrames.forward(inputOf(1)), SolverError, /maxSteps = 3\)/);
    byFrames.dispose();
    model.dispose();
  });
});

async function rejects(
  body: () => unknown,
  type: new (...args: never[]) => EngineError,
  message: RegExp,
): Promise<void> {
  try {
    await body();
  } catch (error) {
    assert.instance(error, type, String(error));
    assert.match((error as EngineError).message, message);
    return;
  }
  assert.unreachable(`expected an error like ${message}, got none`);
}

/** The network without its types and what refers to them. */
const UNTYPED = {
  neuronType: undefined as unknown as [],
  neuronNonlinearity: "Tanh",
  neuronClass: "excitatory",
  neuronTau: 1,
  neuronTauMode: "perNeuron",
} as const;

/** Each names the argument. */
const BAD_NETWORKS: readonly (readonly [
  RegExp,
  new (...args: never[]) => EngineError,
  Partial<ConnectomeODERNNOptions>,
])[] = [
  [/connectome/, ShapeError, { connectome: randomSparse(N, N + 1, 0.3).csr }],
  [/inputProjection/, ShapeError, { inputProjection: randomSparse(N, N_INPUTS + 1, 0.3).csr }],
  [/outputProjection/, ShapeError, { outputProjection: randomSparse(2, N - 1, 0.3).csr }],
  [/inputSize/, ShapeError, { inputProjection: null }],
  [/9 labels, one per neuron, got 1 labels \(neuronType\)/, ShapeError, { neuronType: ["a"] }],
  [/3 values, one per neuron type, got 2 \(neuronNonlinearity\)/, ShapeError, { neuronNonlinearity: ["Tanh", "ReLU"] }],
  [
    /a value for type "c", got values for a, b \(neuronNonlinearity\)/,
    ArgumentError,
    { neuronNonlinearity: { a: "Tanh", b: null } },
  ],
  [/neuronType labels .* \(neuronNonlinearity\)/, ArgumentError, { ...UNTYPED, neuronNonlinearity: ["Tanh", "ReLU"] }],
  [/time constants of at least 1, got 0.5 at neuron 1 \(neuronTau\)/, ArgumentError, { neuronTau: [0.5, 2, 2] }],
  [/time constants of at least 1, got 0 at neuron 0 \(neuronTau\)/, ArgumentError, { neuronTau: 0 }],
  [/neuronTau/, ArgumentError, { neuronTau: [Number.NaN, 2, 2] }],
  [/at least 1, got 0.5 at neuron 0 \(neuronTau\)/, ArgumentError, { neuronTau: (count) => Array(count).fill(0.5) }],
  [/neuronTau/, ShapeError, { neuronTau: [1, 2] }],
  [/neuronClass/, ArgumentError, { neuronClass: [2 as 1, 1, 1] }],
  [/9 values.*got 1 \(biasInit\)/, ShapeError, { biasInit: [1] }],
  [
    /9 values, one per neuron; for one per type say so by the mode, got 3 \(biasInit\)/,
    ShapeError,
    { biasInit: [1, 2, 3] },
  ],
  [/3 values, one per neuron type, got 2 \(biasInit\)/, ShapeError, { biasInit: [1, 2], biasMode: "perNeuronType" }],
  [/biasMode/, ArgumentError, { ...UNTYPED, biasInit: 0, biasMode: "perNeuronType" }],
  [/biasInit/, ArgumentError, { biasInit: Number.POSITIVE_INFINITY }],
  [
    /rnn\.hh\.values/,
    ArgumentError,
    {
      connectome: withValues(
        RNN.connectome,
        RNN.connectome.values.map(() => Number.NaN),
      ),
    },
  ],
];

const DENSE = { nRows: N, nCols: N_INPUTS, values: new Float32Array(N * N_INPUTS) };
const { outputProjection: _, ...WITHOUT_OUTPUT } = RNN;
const { biasInit: __, ...WITHOUT_BIAS } = RNN;

/** Options that contradict each other, and such that there are not; as plain JavaScript may have them. */
const CONFLICTS: readonly (readonly [RegExp, object])[] = [
  [
    /one matrix, sparse or dense \(drop the others\), got several \(inputProjection\)/,
    { ...RNN, inputProjection: [RNN.inputProjection, DENSE] },
  ],
  [/no useDenseInputProjection \(drop it: a dense matrix/, { ...RNN, useDenseInputProjection: true }],
  [
    /no outputSize \(drop it: outputs are the rows of outputProjection, or the neurons\)/,
    { ...WITHOUT_OUTPUT, outputSize: 5 },
  ],
  [
    /it dropped, or an outputProjection, got .* \(outputProjectionBias\)/,
    { ...WITHOUT_OUTPUT, outputProjectionBias: true },
  ],
  [/it dropped, or connectomeBias: true, got connectomeBias: false \(biasInit\)/, { ...RNN, connectomeBias: false }],
  [/connectomeBias: false \(biasMode\)/, { ...WITHOUT_BIAS, connectomeBias: false, biasMode: "perNeuronType" }],
  [/it dropped, or other dynamics than "plain".* \(neuronTau\)/, { ...RNN, dynamics: "plain" }],
  [/neuronTau, or another option, got "neuronTaus" \(neuronTaus\)/, { ...RNN, neuronTaus: 2 }],
  [/one of inputSize, numNeurons, .*, got "xyz"/, { ...RNN, xyz: 1 }],
  [/a matrix, sparse or dense, got undefined \(connectome\)/, { ...RNN, connectome: undefined }],
  [/one of rate, leaky, voltage, plain, gru, got "rates" \(dynamics\)/, { ...RNN, dynamics: "rates" }],
  [
    /"none", "sign" or \{ min: a number \}, got "positive" \(weightConstraint\)/,
    { ...RNN, weightConstraint: "positive" },
  ],
  [/\{ min: a number \}, got \{\} \(weightConstraint\)/, { ...RNN, weightConstraint: {} }],
  [/solve\.rtol, or another option, got "rtoll" \(solve\.rtoll\)/, { ...RNN, solve: { rtoll: 1 } }],
  [/at least 0, got -1 \(solve\.atol\)/, { ...RNN, solve: { atol: -1 } }],
  [/at least 0, got NaN \(solve\.rtol\)/, { ...RNN, solve: { rtol: Number.NaN } }],
  [/throw or mask or stop, got "ignore" \(solve\.onFailure\)/, { ...RNN, solve: { onFailure: "ignore" } }],
  [/dopri5\?.*got "dopri" \(method\)/, { ...RNN, solve: { method: "dopri" } }],
];

forEachBackend("bad input", ["f64"], (test) => {
  test("options that contradict each other: which to drop; unknown ones: the nearest", async ({ backend }) => {
    for (const [message, options] of CONFLICTS) {
      await rejects(() => new ConnectomeODERNN(backend, options as ConnectomeODERNNOptions), ArgumentError, message);
    }
    const solve = { controller: { type: "fixed" }, dt0: 0.1 } as const;
    for (const given of [{ atol: 1e-6 }, { rtol: 1e-3 }, { fixedStep: true }]) {
      const model = () => new ConnectomeODERNN(backend, { ...RNN, solve: { ...solve, ...given } });
      const [name] = Object.keys(given);
      const message = new RegExp(`it dropped, or no solve\\.controller, got both \\(solve\\.${name}\\)`);
      await rejects(model, ArgumentError, message);
    }
  });

  test("options of a network are checked by name, and nothing is left behind", async ({ backend }) => {
    for (const [message, type, options] of BAD_NETWORKS) {
      await rejects(() => new ConnectomeODERNN(backend, { ...RNN, ...options }), type, message);
    }
  });

  test("an unknown nonlinearity suggests the nearest", async ({ backend }) => {
    const model = () => new ConnectomeODERNN(backend, { ...RNN, neuronNonlinearity: "Sigmod" });
    await rejects(model, ArgumentError, /did you mean "sigmoid"/);
  });

  test("batches are checked by name", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, RNN);
    const input = inputOf(2);
    await rejects(() => model.forward({ ...input, data: new Float32Array(7) }), ShapeError, /data/);
    await rejects(() => model.forward({ ...input, batch: 0 }), ArgumentError, /batch/);
    await rejects(() => model.forward({ ...input, steps: 1.5 }), ArgumentError, /steps/);
    await rejects(() => model.forward(input, { numEvals: 1 }), ArgumentError, /numEvals/);
    await rejects(() => model.forward(input, { endTime: 0 }), ArgumentError, /endTime/);
    await rejects(() => model.forward(input, { startTime: Number.NaN }), ArgumentError, /Time/);
    await rejects(() => model.forward(input, { h0: new Float32Array(3) }), ShapeError, /2 × 9 numbers, got 3 \(h0\)/);
    await rejects(() => model.forward(input, { h0: () => [1] }), ShapeError, /2 × 9 numbers, got 1 \(h0\)/);
    await rejects(
      () => model.forward(input, { h0: "random" as "rand" }),
      ArgumentError,
      /one of zeros, ones, rand, randn/,
    );
    await rejects(() => model.vjp(input, new Float32Array(3)), ShapeError, /ctOuts/);
    model.dispose();
  });

  test("classifiers check their options and labels", async ({ backend }) => {
    const make = (options: Partial<ConnectomeODEClassifierOptions>) =>
      new ConnectomeODEClassifier(backend, { ...CLASSIFIER, ...options });
    await rejects(() => make({ numClasses: 1 }), ArgumentError, /numClasses/);
    await rejects(() => make({ fcDim: 0 }), ArgumentError, /fcDim/);
    await rejects(() => make({ dropout: 1 }), ArgumentError, /dropout/);
    await rejects(() => make({ fcdim: 1 } as object), ArgumentError, /fcDim, or another option, got "fcdim" \(fcdim\)/);
    const model = make({});
    await rejects(() => model.gradients(inputOf(2), [0], 0), ShapeError, /labels/);
    await rejects(() => model.gradients(inputOf(2), [0, 3], 0), ArgumentError, /3 for sample 1 \(labels\)/);
    await rejects(() => model.gradients(inputOf(2), [0, 0.5], 0), ArgumentError, /labels/);
    model.dispose();
  });

  test("parameters are found by name, of the right size and finite", async ({ backend }) => {
    const model = new ConnectomeODERNN(backend, RNN);
    const { parameters } = model;
    await rejects(() => parameters.set("rnn.hh.value", []), ArgumentError, /rnn\.hh\.values\?/);
    await rejects(() => parameters.set("rnn.hh.bias", [1, 2]), ShapeError, /rnn\.hh\.bias/);
    await rejects(() => parameters.set("rnn.hh.bias", new Float64Array(N).fill(Number.NaN)), ArgumentError, /finite/);
    model.dispose();
  });

  test("a discrete network needs a number of steps or a sequence", async ({ backend }) => {
    const model = new ConnectomeRNN(backend, RNN);
    await rejects(() => model.forward(inputOf(1)), ArgumentError, /numSteps/);
    await rejects(() => model.forward(inputOf(1, 3), { numSteps: 2 }), ArgumentError, /numSteps/);
    model.dispose();
  });
});
