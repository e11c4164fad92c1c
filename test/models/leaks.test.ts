// Disposal leaves nothing behind: after a thousand parameter sets, hundreds of optimisers and layers, and some models, memory, buffers and
// bound programs are as they were; so they are after a constructor that fails half-way. A software adapter is slow, and gets fewer of each.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, BackendError } from "../../src/core/errors.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseLinear } from "../../src/models/sparse.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { dopri5 } from "../../src/ode/tableaus/index.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";
import { Adam, RMSprop, SGD } from "../../src/train/optimizer.ts";
import { ParameterPenalties } from "../../src/train/parameterPenalties.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

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
        new RMSprop(backend, parameters, { groups: [{ parameters: "s*", lr: 1, frozen: false }] }),
      ]) {
        optimizer.step();
        optimizer.dispose();
      }
      const penalties = new ParameterPenalties(backend, parameters, [
        { name: "stay", parameters: "*", kind: "distance", weight: 1 },
      ]);
      penalties.add();
      penalties.dispose();
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

const SHARED = { group: [0, 0, 1, 1], nGroups: 2 };
const TYPED = { neuronType: ["a", "b", "b", "a"], neuronTauMode: "perNeuronType", biasMode: "perNeuronType" } as const;
const PROJECTED = {
  ...NETWORK,
  ...TYPED,
  sharedWeights: SHARED,
  inputProjection: RING,
  outputProjection: { nRows: 2, nCols: 4, values: [1, 2, 3, 4, 5, 6, 7, 8] },
  neuronNonlinearity: ["Sigmoid", "Tanh"],
  neuronClass: [1, -1, 1, 1],
} as const;

const RUN = resolveConfig([
  { generate: { neurons: 16, connections: 40 }, trainSamples: 4, validationSamples: 0, testSamples: 0 },
  { batchSize: 2, fcDim: 4, weightDecay: 0.1, clipNorm: 1, readout: "all" },
]);
const RUN_INPUTS = await loadRunInputs(RUN);

/** Makes something that has to be disposed of. */
type Maker = (backend: Backend) => { dispose(): void };

const MAKERS: Readonly<Record<string, Maker>> = {
  "a parameter set": (backend) => new ParameterSet(backend),
  "a layer": (backend) => new SparseLinear(backend, { inFeatures: 4, outFeatures: 4, connectivity: RING }),
  "a network in discrete time": (backend) => new ConnectomeRNN(backend, PROJECTED),
  "a network in continuous time": (backend) => new ConnectomeODERNN(backend, PROJECTED),
  "a classifier": (backend) =>
    new ConnectomeODEClassifier(backend, { rnn: PROJECTED, numClasses: 3, fcDim: 4, standardise: true }),
  "an experiment": (backend) => createExperiment(backend, RUN, RUN_INPUTS),
};

/** Calls that take memory, or use it. */
const CALLS: readonly string[] = ["buffer", "sparse", "upload", "fill", "bind"];

/** The same backend, whose call number `last` (from 0) of those above fails; and how many there have been. */
function failing(backend: Backend, last: number): { readonly backend: Backend; readonly calls: () => number } {
  let calls = 0;
  const proxy = new Proxy(backend, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      if (!CALLS.includes(String(key))) return value.bind(target);
      return (...given: readonly unknown[]) => {
        if (calls++ === last) throw new BackendError("limit", "no memory left");
        return value.apply(target, given);
      };
    },
  });
  return { backend: proxy, calls: () => calls };
}

/** Makes something once for each call that it takes, which fails. @returns how many calls it takes */
function failAtEach(backend: Backend, make: Maker, check: (at: number) => void): number {
  for (let at = 0; ; at++) {
    const flawed = failing(backend, at);
    let made: { dispose(): void } | null = null;
    try {
      made = make(flawed.backend);
    } catch (error) {
      assert.instance(error, BackendError);
    }
    made?.dispose();
    if (made) return flawed.calls();
    check(at);
  }
}

/** More than the uniforms of 256 bytes in a slab of 4 MiB. */
const MANY_PROGRAMS = 16_500;

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
  for (const [what, make] of Object.entries(MAKERS)) {
    test(`${what} that cannot be made leaves nothing behind, wherever it fails`, async ({ backend }) => {
      make(backend).dispose();
      await backend.finish();
      const before = held(backend);
      const calls = failAtEach(backend, make, (at) => assert.equal(held(backend), before, `call ${at}`));
      assert.ok(calls >= 2, `${calls} calls`);
      assert.equal(held(backend), before);
    });
  }
  test(`${MANY_PROGRAMS} programs, bound one after another, take no second slab of uniforms`, async ({ backend }) => {
    const life = (): void => {
      const parameters = new ParameterSet(backend);
      parameters.addVector("least", [1, 2, 3], { trainable: true, constraint: { min: 0 } });
      parameters.refresh();
      parameters.dispose();
    };
    life();
    await backend.finish();
    const before = held(backend);
    for (let i = 1; i < MANY_PROGRAMS; i++) life();
    await backend.finish();
    assert.equal(held(backend), before);
  });
  test("an optimiser that cannot be made leaves the parameters as they are", async ({ backend }) => {
    const parameters = parametersOf(backend);
    const make: Maker = (flawed) => new Adam(flawed, parameters, { clipNorm: 1 });
    make(backend).dispose();
    const before = held(backend);
    const calls = failAtEach(backend, make, (at) => assert.equal(held(backend), before, `call ${at}`));
    assert.ok(calls > 20, `${calls} calls`);
    parameters.dispose();
  });
  test("an experiment whose optimiser or trainer refuses its options leaves nothing behind", ({ backend }) => {
    const before = held(backend);
    for (const wrong of [{ lr: -1 }, { batchSize: 0 }]) {
      assert.throws(
        () => createExperiment(backend, { ...RUN, ...wrong }, RUN_INPUTS),
        (error: unknown) => error instanceof ArgumentError && error.message.includes(Object.keys(wrong)[0]!),
      );
      assert.equal(held(backend), before);
    }
  });
  test("sums of shared gradients keep no program for solves that are over", async ({ backend }) => {
    const parameters = parametersOf(backend);
    const fold = (times: number): number => {
      for (let i = 0; i < times; i++) {
        const complete = backend.buffer("complete", 1);
        parameters.foldGradients(complete);
        complete.release();
      }
      return held(backend).livePrograms!;
    };
    const [early, late] = [fold(256), fold(256)];
    assert.is(late, early);
    parameters.dispose();
    assert.is(held(backend).livePrograms, 0);
  });
  test("what is not disposed of is seen", async ({ backend }) => {
    const before = held(backend);
    const parameters = parametersOf(backend);
    parameters.refresh();
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
