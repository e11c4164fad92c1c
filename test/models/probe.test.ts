// What a network and its read-out do with some inputs, against formulas evaluated neuron by neuron.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import type { ModelInput } from "../../src/models/options.ts";
import { featureSpread, ResponseCount } from "../../src/models/readout/responses.ts";
import { definePlantedDetector } from "../analysis/plantedDetector.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const N = 9;
const BATCH = 5;
const SPARSE = randomSparse(N, N, 0.4);
const RNN: ConnectomeODERNNOptions = {
  numNeurons: N,
  inputSize: N,
  connectome: SPARSE.csr,
  neuronNonlinearity: "Tanh",
  biasInit: normals("bias", N),
  weightConstraint: "none",
};

/** Σ w·x for neuron i. */
function current(i: number, x: (j: number) => number): number {
  const { rowPtr, colIdx, values } = SPARSE.csr;
  let sum = 0;
  for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) sum += values[k]! * x(colIdx[k]!);
  return sum;
}

forEachBackend("probe", ["f32", "f64"], defineProbes);

onWebGpu("probe", (gpu) => {
  defineProbes(gpu);
  definePlantedDetector(gpu);
});

function defineProbes(test: Test<WithBackend>): void {
  // Sums of ten terms of size 1 in f32, read back from states that were rounded once.
  const close = (actual: number, expected: number, label: string): void =>
    assert.ok(Math.abs(actual - expected) < 1e-5, `${label}: ${actual}, expected ${expected}`);

  for (const [dynamics, steps] of [
    ["rate", 1],
    ["rate", 3],
    ["voltage", 1],
  ] as const) {
    test(`rates and slopes follow the formulas: ${dynamics}, ${steps} input steps`, async ({ backend }) => {
      const rnn = new ConnectomeODERNN(backend, { ...RNN, dynamics });
      const data = normals(`input ${steps}`, BATCH * steps * N);
      const input: ModelInput = steps === 1 ? { data, batch: BATCH } : { data, batch: BATCH, steps };
      const { hs } = await rnn.forward(input);
      for await (const chunk of rnn.network.chunks({ input, evaluation: {} }, "states")) {
        const { rate, slope } = await rnn.network.responsesOf(chunk);
        for (let s = 0; s < chunk.count; s++) {
          const sample = chunk.first + s;
          const h = (j: number): number => hs[(sample * 2 + 1) * N + j]!;
          for (let i = 0; i < N; i++) {
            const drive = data[(sample * steps + steps - 1) * N + i]!;
            const u = dynamics === "voltage" ? h(i) : drive + current(i, h) + RNN.biasInit![i as never];
            const phi = Math.tanh(u);
            const isOff = dynamics === "rate" && phi <= 0;
            close(rate[s * N + i]!, isOff ? 0 : phi, `rate of ${i}`);
            close(slope[s * N + i]!, isOff ? 0 : 1 - phi * phi, `slope of ${i}`);
          }
        }
      }
      rnn.dispose();
    });
  }

  test("a probe finds dead hidden units, constant features and saturated neurons, and changes nothing", async ({
    backend,
  }) => {
    const options = { numClasses: 3, fcDim: 4, dropout: 0.5 };
    const model = new ConnectomeODEClassifier(backend, { ...options, rnn: RNN });
    const input = { data: normals("input", BATCH * N), batch: BATCH };
    const before = await model.forward(input);
    const healthy = await model.probe(input);
    assert.ok(healthy.deadUnits! < 1);
    assert.ok(healthy.featureSpread! > 0.1);
    assert.is(healthy.saturated, 0);
    assert.is(healthy.stats.length > 0, true);
    assert.equal(await model.forward(input), before);
    // Two of four units are off for any input, the others on; features are rates, which are not negative.
    model.parameters.set("out_layer.1.weight", new Float32Array(4 * N));
    model.parameters.set("out_layer.1.bias", Float32Array.of(-1, 1, -2, 2));
    assert.is((await model.probe(input)).deadUnits, 0.5);
    // tanh′ < 0.01 beyond ±3: all are driven far above it.
    const loud = await model.probe({ data: new Float64Array(BATCH * N).fill(1e3), batch: BATCH });
    assert.is(loud.saturated, 1);
    assert.is(loud.constantFeatures, 1);
    const quiet = await model.probe({ data: new Float64Array(BATCH * N).fill(-1e3), batch: BATCH });
    assert.equal([quiet.silent, quiet.saturated, quiet.featureSpread], [1, 0, null]);
    model.dispose();
    const linear = new ConnectomeODEClassifier(backend, { rnn: RNN, numClasses: 3, fcDim: null });
    assert.is((await linear.probe(input)).deadUnits, null);
    linear.dispose();
  });
}

forEachBackend("probe, measures", ["f64"], (test) => {
  test("a neuron counts as saturated if it fires and is flat for all inputs, as silent if it never fires", () => {
    const count = new ResponseCount(4);
    // Neurons: flat and firing, flat for one input only, never firing, alive.
    count.add(Float64Array.of(1, 1, 0, 1), Float64Array.of(0.001, 0.001, 0, 0.2));
    count.add(Float64Array.of(0, 1, 0, 1), Float64Array.of(0, 0.5, 0, -0.2));
    assert.equal(count.shares(), { saturated: 0.25, silent: 0.25 });
  });

  test("the spread of features is relative to their mean; what only rounding tells apart is constant", () => {
    const spread = featureSpread({ mean: Float64Array.of(3, 4), std: Float64Array.of(0, 1) });
    assert.ok(Math.abs(spread.featureSpread! - 0.2) < 1e-12);
    assert.is(spread.constantFeatures, 0.5);
    const same = featureSpread({ mean: Float64Array.of(3, 4), std: Float64Array.of(1e-8, 1e-9) });
    assert.is(same.constantFeatures, 1);
    assert.equal(featureSpread({ mean: Float64Array.of(0), std: Float64Array.of(0) }), {
      featureSpread: null,
      constantFeatures: 1,
    });
  });
});
