// What is disposed of leaves nothing behind: after a thousand parameter sets, hundreds of optimisers and layers, and some models,
// memory, buffers and bound programs are as they were. A software adapter takes its time, and gets fewer of each.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseLinear } from "../../src/models/sparse.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { Adam, SGD } from "../../src/train/optimizer.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const RING = csrFromCoo({ nRows: 4, nCols: 4, rows: [1, 2, 3, 0], cols: [0, 1, 2, 3], values: [1, 2, 3, 4] });
const NETWORK = { inputSize: 4, numNeurons: 4, connectome: RING };
const INPUT = { data: [1, 2, 3, 4, 5, 6, 7, 8], batch: 2 };

function parametersOf(backend: Backend): ParameterSet {
  const parameters = new ParameterSet(backend);
  const trainable = true;
  parameters.addVector("least", [1, 2, 3], { trainable, constraint: { min: 0 } });
  parameters.addVector("spread", [1, -2], { trainable, constraint: "sign", spreadBy: [0, 1, 1, 0] });
  parameters.addDrawn("drawn", 3, () => 0.5, { trainable });
  parameters.addSparse("sparse", RING, { trainable });
  parameters.addSharedSparse("shared", RING, [1, 2], [0, 0, 1, 1], { trainable });
  return parameters;
}

/** Makes something, uses it and disposes of it. */
type Life = (backend: Backend) => Promise<void> | void;

const LIVES: Readonly<Record<string, readonly [count: number, life: Life]>> = {
  "parameter sets": [
    1000,
    (backend) => {
      const parameters = parametersOf(backend);
      parameters.refresh();
      parameters.foldGradients();
      parameters.dispose();
    },
  ],
  optimisers: [
    200,
    (backend) => {
      const parameters = parametersOf(backend);
      for (const optimizer of [
        new Adam(backend, parameters, { clipNorm: 1 }),
        new SGD(backend, parameters, { momentum: 0.9 }),
      ]) {
        optimizer.step();
        optimizer.dispose();
      }
      parameters.dispose();
    },
  ],
  layers: [
    200,
    async (backend) => {
      const layer = new SparseLinear(backend, { inFeatures: 4, outFeatures: 4, connectivity: RING });
      await layer.vjp([1, 2, 3, 4], [1, 1, 1, 1]);
      layer.dispose();
    },
  ],
  "models in discrete time": [
    50,
    async (backend) => {
      const model = new ConnectomeRNN(backend, NETWORK);
      await model.vjp(INPUT, new Float32Array(8).fill(1), { numSteps: 1 });
      model.dispose();
    },
  ],
  "models in continuous time": [
    10,
    async (backend) => {
      const model = new ConnectomeODERNN(backend, NETWORK);
      await model.vjp(INPUT, new Float32Array(16).fill(1));
      model.dispose();
    },
  ],
  classifiers: [
    10,
    async (backend) => {
      const model = new ConnectomeODEClassifier(backend, { rnn: NETWORK, numClasses: 3, fcDim: 4, dropout: 0.5 });
      const optimizer = new Adam(backend, model.parameters);
      await model.gradients(INPUT, [0, 1], 1);
      optimizer.step();
      await model.evaluate(INPUT, [0, 1]);
      optimizer.dispose();
      model.dispose();
    },
  ],
  "solves backwards": [
    10,
    async (backend) => {
      const controller = {
        type: "integral",
        atol: 1e-3,
        rtol: 1e-2,
        safety: 0.9,
        factorMin: 0.2,
        factorMax: 10,
      } as const;
      const system: OdeSystem = { rows: 2, rhs: (g, _, y) => g.ops.mul(g.row("rate", 2), y) };
      const options = { tableau: dopri5, controller, maxSteps: 100, wrt: ["rate"], joint: false };
      const backsolve = new Backsolve(backend, system, options);
      const rate = backend.buffer("rate", 2);
      backend.upload(rate, [-1, -2]);
      const times = { tStart: [0], tEnd: [1], tEval: null };
      await backsolve.forward({ samples: 1, y0: [1, 2], states: {}, parameters: { rate }, ...times });
      await backsolve.reverse([[1, 1]]);
      backsolve.dispose();
      rate.release();
    },
  ],
};

/** Everything that a backend counts as held. */
function held(backend: Backend): Readonly<Record<string, number>> {
  const { bytes, liveBuffers, livePrograms } = backend.memory();
  const gpu = backend.name === "webgpu" ? { gpuBuffers: (backend as WebGpuBackend).counts().liveBuffers } : {};
  return { bytes, liveBuffers, livePrograms, ...gpu };
}

function leakTests(name: string, share: number, open: () => Promise<Backend>): void {
  const test = suite<{ backend: Backend }>(`leaks, ${name}`);
  test.before(async (context) => {
    context.backend = await open();
  });
  for (const [what, [most, life]] of Object.entries(LIVES)) {
    const count = Math.ceil(share * most);
    test(`${count} ${what} leave nothing behind`, async ({ backend }) => {
      // The first of a kind makes what programs of the backend share.
      await life(backend);
      await backend.finish();
      const before = held(backend);
      assert.is(before.livePrograms, 0);
      assert.is(before.liveBuffers, 0);
      for (let i = 0; i < count; i++) await life(backend);
      await backend.finish();
      assert.equal(held(backend), before);
    });
  }
  test("what is not disposed of is seen", async ({ backend }) => {
    const before = held(backend);
    const parameters = parametersOf(backend);
    const { livePrograms, liveBuffers, bytes } = held(backend);
    assert.ok(livePrograms! > 0 && liveBuffers! > 0 && bytes! > before.bytes!);
    parameters.dispose();
    assert.equal(held(backend), before);
  });
  test.after(({ backend }) => backend.dispose());
  test.run();
}

const adapter = await requireTestAdapter();
leakTests("wasm", 1, () => createWasmBackend({ threads: 1 }));
if (adapter) leakTests("webgpu", 0.05, () => createWebGpuBackend({ adapter: adapter.index }));
