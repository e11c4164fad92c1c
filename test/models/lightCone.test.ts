// Networks in discrete time leave out what cannot matter for an output: the same bits as when nothing is left out, and correct gradients.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend, DeviceSparse } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, BackendError } from "../../src/core/errors.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN, type StepOptions } from "../../src/models/connectomeRnn.ts";
import { ConnectomeModel, type ConnectomeModelOptions } from "../../src/models/networkModel.ts";
import type { ModelInput } from "../../src/models/options.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import type { TaskGradients } from "../../src/models/task/passes.ts";
import { rateL2 } from "../../src/models/task/penalties.ts";
import type { TargetBatch } from "../../src/models/task/targets.ts";
import { Adam } from "../../src/train/optimizer/adam.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, variant, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { heavyRow, randomSparse } from "../support/matrices.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const hasAdapter = (await requireTestAdapter()) !== null;

/** 18 samples are two chunks on the CPU. */
const [N, INPUTS, READ, FRAMES, BATCH] = [60, 4, 3, 6, 18];

/** A chain with shortcuts, backwards too: neuron i hears i − 3, i − 1, i + 1 and another one, so cones grow slowly, by rows of several lengths. */
const CHAIN: Csr = (() => {
  const [rows, cols]: number[][] = [[], []];
  for (let i = 0; i < N; i++) {
    const senders = [i - 3, i - 1, i + 1, ...(i % 4 === 0 ? [(i * 7) % N] : [])].filter(
      (j) => j >= 0 && j < N && j !== i,
    );
    for (const j of new Set(senders)) {
      rows!.push(i);
      cols!.push(j);
    }
  }
  const values = normals("chain", rows!.length).map(Math.fround);
  return csrFromCoo({ nRows: N, nCols: N, rows: rows!, cols: cols!, values });
})();

const RNN: ConnectomeModelOptions["rnn"] = {
  numNeurons: N,
  inputSize: INPUTS,
  connectome: CHAIN,
  weightConstraint: "none",
  inputProjection: randomSparse(N, INPUTS, 0.5).csr,
  outputProjection: csrFromCoo({
    nRows: READ,
    nCols: N,
    rows: Uint32Array.of(0, 1, 2, 2),
    cols: Uint32Array.of(N - 1, N - 2, N - 1, N - 4),
    values: Float64Array.of(1, -0.5, 2, 1.5),
  }),
  biasInit: normals("bias", N),
  dynamics: "leaky",
  neuronAlpha: Array.from({ length: N }, (_, i) => 0.3 + 0.01 * i),
  neuronClass: Array.from({ length: N }, (_, i) => (i % 3 === 0 ? "inhibitory" : "excitatory")),
  inputGradient: true,
};

interface Case {
  readonly rnn?: Partial<ConnectomeModelOptions["rnn"]>;
  /** Options of RNN that it lacks. */
  readonly without?: readonly string[];
  readonly readout?: ConnectomeModelOptions["readout"];
  readonly penalties?: ConnectomeModelOptions["penalties"];
  readonly evaluation?: StepOptions;
  /** Whether the first step reads no connection. */
  readonly first: boolean;
  /** The last step whose state is read out; null: every neuron counts. */
  readonly lastRead: number | null;
}

/** Connections of the neurons that are read out, and of those 1, 2 and 3 steps before; those 4 steps before have more than 60 % of all. */
const CONE = [9, 22, 45, 84] as const;
const LAST = FRAMES - 1;

const CASES: Readonly<Record<string, Case>> = {
  "leaky, last frame": { first: true, lastRead: LAST },
  "rates of a rectified network": {
    rnn: { dynamics: "rate", neuronNonlinearity: "Tanh" },
    first: true,
    lastRead: LAST,
  },
  "plain, without biases": {
    rnn: { dynamics: "plain", neuronNonlinearity: "Tanh", connectomeBias: false },
    without: ["biasInit", "neuronAlpha"],
    first: true,
    lastRead: LAST,
  },
  "voltages that send 0 at 0": { rnn: { dynamics: "voltage" }, first: true, lastRead: LAST },
  "voltages that send φ(0) ≠ 0": {
    rnn: { dynamics: "voltage", neuronNonlinearity: "Sigmoid" },
    first: false,
    lastRead: LAST,
  },
  "the mean of the last frames": {
    readout: { times: { last: 3 }, average: true },
    first: true,
    lastRead: LAST,
  },
  "all frames": { readout: { times: "all", average: true }, first: true, lastRead: LAST },
  "an earlier frame": { readout: { times: [1, 3], average: true }, first: true, lastRead: 3 },
  "several steps per frame, windows": {
    evaluation: { recurrences: 3, window: 2 },
    first: true,
    lastRead: 3 * FRAMES - 1,
  },
  "a tape with no room": {
    rnn: { memoryBudgetBytes: 0 },
    evaluation: { recurrences: 2 },
    first: true,
    lastRead: 2 * FRAMES - 1,
  },
  "from a resting state": {
    evaluation: { h0: { rest: 0.3, steps: 4 } },
    first: false,
    lastRead: LAST,
  },
  interventions: {
    evaluation: {
      interventions: {
        silence: [N - 6],
        clamp: [{ neurons: [N - 3], value: 0.4 }],
        drive: [{ neurons: [N - 2], current: 0.7 }],
      },
    },
    first: false,
    lastRead: LAST,
  },
  "a driven neuron": {
    evaluation: { interventions: { drive: [{ neurons: [N - 2], current: 0.7 }] } },
    first: true,
    lastRead: LAST,
  },
  "shared weights": {
    rnn: {
      sharedWeights: {
        group: Uint32Array.from(CHAIN.colIdx, (j) => j % 5),
        nGroups: 5,
        strengthInit: Float64Array.of(0.5, 1, 1.5, 0.8, 0.3),
      },
    },
    first: true,
    lastRead: LAST,
  },
  "fixed weights with trained biases": {
    rnn: { trainConnectome: false, trainBias: true },
    first: true,
    lastRead: LAST,
  },
  "a penalty on all activity": { penalties: [rateL2({ weight: 0.1 })], first: false, lastRead: null },
  "every neuron read out": { rnn: { outputProjection: null }, first: true, lastRead: null },
};

const INPUT: ModelInput = {
  data: normals("frames", BATCH * FRAMES * INPUTS).map(Math.fround),
  batch: BATCH,
  steps: FRAMES,
};
const TARGETS: TargetBatch = { values: normals("targets", BATCH * 2).map(Math.fround), weights: null };

function modelOf(backend: Backend, of: Case, lightCone: boolean): ConnectomeModel {
  const { rnn, without = [], readout, penalties } = of;
  const base = Object.fromEntries(Object.entries(RNN).filter(([name]) => !without.includes(name)));
  return new ConnectomeModel(backend, {
    rnn: { ...(base as typeof RNN), ...rnn, lightCone },
    task: makeTask({ loss: "squared", target: { kind: "numbers", width: 2, classes: null, times: null } }),
    readout: { fcDim: null, ...readout },
    ...(penalties && { penalties }),
  });
}

/** Everything that training leaves: losses, gradients, outputs, and parameters after three steps. */
async function trained(backend: Backend, of: Case, lightCone: boolean) {
  using model = modelOf(backend, of, lightCone);
  using adam = new Adam(backend, model.parameters, { lr: 0.01 });
  const numbers: [string, ArrayLike<number>][] = [];
  let stats: TaskGradients["stats"] = [];
  for (let step = 0; step < 3; step++) {
    const result = await model.gradients(INPUT, TARGETS, step, of.evaluation);
    stats = result.stats;
    numbers.push([`loss ${step}`, [result.loss]], [`input ${step}`, result.x!]);
    for (const { name } of model.parameters.trainable())
      numbers.push([`gradient ${step} of ${name}`, await model.parameters.gradient(name)]);
    adam.step();
  }
  for (const { name } of model.parameters.all()) numbers.push([name, await model.parameters.values(name)]);
  const { loss, outputs } = await model.evaluate(INPUT, TARGETS, of.evaluation);
  numbers.push(["loss", [loss]], ["outputs", outputs]);
  return { numbers, connections: stats.map(({ connections }) => connections!) };
}

function assertSame(actual: Awaited<ReturnType<typeof trained>>, expected: Awaited<ReturnType<typeof trained>>): void {
  assert.is(actual.numbers.length, expected.numbers.length);
  for (const [i, [name, values]] of expected.numbers.entries()) assertBitEqual(actual.numbers[i]![1], values, name);
}

function assertCounts({ first, lastRead }: Case, { all, read }: { all: number; read: readonly number[] }): void {
  const expected = read.map((_, k) => {
    if (k === 0 && first) return 0;
    return lastRead === null ? CHAIN.nnz : (CONE[Math.max(0, lastRead - k)] ?? CHAIN.nnz);
  });
  assert.equal(read, expected);
  assert.is(all, CHAIN.nnz);
}

function defineSameBits(test: Test<WithBackend>, names = Object.keys(CASES)): void {
  for (const name of names) {
    const of = CASES[name]!;
    test(`${name}: the same bits as with nothing left out`, async ({ backend }) => {
      const [spared, whole] = [await trained(backend, of, true), await trained(backend, of, false)];
      assertSame(spared, whole);
      for (const connections of spared.connections) assertCounts(of, connections);
      for (const { all, read } of whole.connections) assert.ok(read.every((n) => n === all));
    });
  }
}

for (const [dtype, threads] of [
  ["f32", 2],
  ["f64", 1],
] as const) {
  const context: Partial<WithBackend> = {};
  const test = suite<WithBackend>(`light cone, wasm ${dtype}, threads ${threads}`, context as WithBackend);
  test.before(async (state) => {
    state.backend = await createWasmBackend({ dtype, threads });
  });
  defineSameBits(test);
  test.after((state) => state.backend.dispose());
  test.run();
}

if (hasAdapter) {
  const context: Partial<WithBackend> = {};
  const test = suite<WithBackend>("light cone, webgpu", context as WithBackend);
  test.before(async (state) => {
    state.backend = await createWebGpuBackend();
  });
  // Their programs are compiled one after another, which takes long on a software adapter.
  defineSameBits(test, ["leaky, last frame", "voltages that send φ(0) ≠ 0", "several steps per frame, windows"]);
  test.after((state) => state.backend.dispose());
  test.run();
}

// ---- gradients, and what is not left out ------------------------------------------------------------------------------------------------

forEachBackend("light cone", ["f64"], (test) => {
  test("the gradient is that of central differences", async ({ backend }) => {
    using model = modelOf(backend, CASES["leaky, last frame"]!, true);
    const run = async ({ input: data, ...parameters }: Point): Promise<TaskGradients> => {
      model.parameters.setAll(Object.entries(parameters));
      return model.gradients({ ...INPUT, data: data! }, TARGETS, 0);
    };
    const point: Record<string, ArrayLike<number>> = { input: INPUT.data };
    for (const { name, role } of model.parameters.trainable())
      if (role !== "time constants") point[name] = await model.parameters.values(name);
    const gradient: Record<string, ArrayLike<number>> = { input: (await run(point)).x! };
    for (const name of Object.keys(point)) if (name !== "input") gradient[name] = await model.parameters.gradient(name);
    await assertGradient("cone", async (p) => (await run(p)).loss, point, gradient, { roundings: 1000 });
  });

  test("states that are asked for are whole, and so is the cotangent of the initial state", async ({ backend }) => {
    const run = async (lightCone: boolean) => {
      using model = new ConnectomeRNN(backend, { ...RNN, lightCone });
      const ct = normals("ct", BATCH * FRAMES * READ);
      const { outputs, gradients } = await model.vjp(INPUT, ct);
      const states = await model.forward(INPUT);
      return { outputs, gradients, states, weights: await model.parameters.gradient("rnn.hh.values") };
    };
    const [spared, whole] = [await run(true), await run(false)];
    assertBitEqual(spared.states.hs, whole.states.hs, "states");
    assertBitEqual(spared.outputs.hs, whole.outputs.hs, "states of a recorded run");
    assertBitEqual(spared.gradients.h0, whole.gradients.h0, "initial state");
    assertBitEqual(spared.weights, whole.weights, "weights");
    assert.ok(Array.from(whole.gradients.h0).some((g) => g !== 0));
    const { all, read } = spared.states.stats[0]!.connections!;
    assert.equal(read, [0, ...new Array<number>(FRAMES - 1).fill(all)]);
    assert.equal(spared.outputs.stats[0]!.connections!.read, new Array<number>(FRAMES).fill(all));
  });

  test("the reverse skips steps to which nothing flows back", async ({ backend }) => {
    const reversed = async (lightCone: boolean, name: string): Promise<number> => {
      let runs = 0;
      const counting = variant(backend, {
        run: (bound) => {
          if (bound.executable.program.name.endsWith(".reverse") && bound.executable.program.name.startsWith("step"))
            runs++;
          backend.run(bound);
        },
      });
      using model = modelOf(counting, CASES[name]!, lightCone);
      await model.gradients(INPUT, TARGETS, 0, CASES[name]!.evaluation);
      return runs / Math.ceil(BATCH / backend.lanesFor(N));
    };
    assert.is(await reversed(true, "several steps per frame, windows"), 2 * 3, "the last window");
    assert.is(await reversed(false, "several steps per frame, windows"), 3 * FRAMES);
    assert.is(await reversed(true, "an earlier frame"), 4, "up to that frame");
    assert.is(await reversed(false, "an earlier frame"), FRAMES);
  });

  test("a switch that is none is refused", ({ backend }) => {
    const refused = (make: () => void) =>
      assert.throws(make, (e: unknown) => e instanceof ArgumentError && /lightCone/.test(e.message));
    refused(() => new ConnectomeRNN(backend, { ...RNN, lightCone: 1 as never }));
    const { neuronAlpha: _, ...rest } = RNN;
    refused(() => new ConnectomeODERNN(backend, { ...rest, lightCone: true } as never));
  });
});

// ---- rows of a matrix -------------------------------------------------------------------------------------------------------------------

const LANES = 8;

/** W·x, and Wᵀ·g with the gradient of W. */
function products({ nRows, nCols, nnz }: Csr) {
  const g = new Graph();
  const w = g.sparse("w", nRows, nCols, nnz);
  const x = g.state("x", nCols);
  g.store("y", g.ops.matmul(w, x));
  g.store("ct", g.ops.matmulT(w, g.state("g", nRows), { x, binding: "grad" }));
  return lower(g, "products");
}

/** Devices, and whether Wᵀ·G with few rows goes through these only. */
const DEVICES: readonly (readonly [name: string, make: () => Promise<Backend>, sparesReverse: boolean])[] = [
  ["wasm f32", () => createWasmBackend({ dtype: "f32", threads: 1 }), true],
  ["wasm f64", () => createWasmBackend({ dtype: "f64", threads: 1 }), true],
  ...(hasAdapter ? [["webgpu", () => createWebGpuBackend(), false] as const] : []),
];

for (const [device, make, sparesReverse] of DEVICES) {
  const test = suite(`rows of a matrix, ${device}`);

  for (const [name, csr] of [
    ["rectangular", randomSparse(50, 30, 0.3).csr],
    ["the chain", CHAIN],
    ["a row of 5,000", heavyRow().csr],
  ] as const) {
    for (const [kind, isTaken] of [
      ["few rows", (row: number) => row % 9 === 8],
      ["most rows", (row: number) => row % 9 !== 8],
      ["no row", () => false],
    ] as const) {
      test(`${name}, ${kind}: products with it are those with the matrix`, async () => {
        await using backend = await make();
        const marks = Uint8Array.from({ length: csr.nRows }, (_, row) => Number(isTaken(row)));
        const { liveBuffers } = backend.memory();
        const whole = backend.sparse("w", csr);
        const rows = backend.sparseRows(whole, marks)!;
        const executable = backend.compile(products(csr), backend.layoutFor(LANES));
        const run = async (w: DeviceSparse) => {
          const input = (label: string, n: number, value: (i: number) => number) => {
            const buffer = backend.buffer(label, n * LANES);
            backend.upload(
              buffer,
              normals(label, n * LANES).map((v, i) => v * value(Math.floor(i / LANES))),
            );
            return buffer;
          };
          const x = input("x", csr.nCols, () => 1);
          const g = input("g", csr.nRows, (row) => marks[row]!);
          const grad = backend.buffer("grad", csr.nnz);
          backend.upload(grad, normals("grad", csr.nnz));
          const [y, ct] = [backend.buffer("y", csr.nRows * LANES), backend.buffer("ct", csr.nCols * LANES)];
          const buffers = { x, g, grad, y, ct };
          const bound = backend.bind(executable, { w, ...buffers });
          backend.run(bound);
          const all = await backend.downloadAll([y, ct, grad]);
          bound.release();
          for (const b of Object.values(buffers)) b.release();
          return { y: all[0]!, ct: all[1]!, grad: all[2]! };
        };
        const [part, all] = [await run(rows), await run(whole)];
        assertBitEqual(
          part.y,
          all.y.map((v, i) => (marks[Math.floor(i / LANES)] ? v : 0)),
          "W·x",
        );
        assertBitEqual(part.ct, all.ct, "Wᵀ·g");
        assertBitEqual(part.grad, all.grad, "the gradient of W");
        const taken = csr.rowPtr.reduce((sum, end, row) => sum + (marks[row - 1] ? end - csr.rowPtr[row - 1]! : 0), 0);
        const reverse = sparesReverse && taken <= csr.nnz / 4 ? taken : csr.nnz;
        assert.equal(rows.walked, { product: taken, reverse }, "entries that are walked");
        rows.release();
        whole.release();
        assert.is(backend.memory().liveBuffers, liveBuffers);
      });
    }
  }

  test("a set of rows that is released makes room for another one, and leaves the others as they are", async () => {
    await using backend = await make();
    const matrix = backend.sparse("w", CHAIN);
    const taken = (row: number) => Uint8Array.from({ length: N }, (_, i) => Number(i === row));
    const rowLength = (row: number) => CHAIN.rowPtr[row + 1]! - CHAIN.rowPtr[row]!;
    const kept = backend.sparseRows(matrix, taken(7))!;
    for (let row = 0; row < N; row++) {
      const rows = backend.sparseRows(matrix, taken(row))!;
      assert.is(rows.walked!.product, rowLength(row));
      rows.release();
      rows.release();
    }
    const executable = backend.compile(products(CHAIN), backend.layoutFor(LANES));
    const state = (label: string) => backend.buffer(label, N * LANES);
    const buffers = {
      x: state("x"),
      g: state("g"),
      grad: backend.buffer("grad", CHAIN.nnz),
      y: state("y"),
      ct: state("ct"),
    };
    backend.fill(buffers.x, 1);
    backend.run(backend.bind(executable, { w: kept, ...buffers }));
    const y = await backend.download(buffers.y);
    const isLeft = Array.from({ length: N }, (_, row) =>
      y.subarray(row * LANES, (row + 1) * LANES).some((v) => v !== 0),
    );
    assert.equal(
      isLeft,
      Array.from({ length: N }, (_, row) => row === 7),
    );
  });

  test("rows of another matrix are refused", async () => {
    await using backend = await make();
    await using other = await make();
    const matrix = backend.sparse("w", CHAIN);
    const refused = (make: () => void, code: string) =>
      assert.throws(make, (e: unknown) => e instanceof BackendError && e.code === code);
    refused(() => backend.sparseRows(matrix, [1, 0]), "length");
    refused(() => other.sparseRows(matrix, new Uint8Array(N)), "foreign");
    matrix.release();
    refused(() => backend.sparseRows(matrix, new Uint8Array(N)), "released");
  });

  test.run();
}
