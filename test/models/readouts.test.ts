// Read-outs and penalties: gradients of every kind by central differences, then in single precision on both devices; times, averages,
// shared weights, and what is refused.

import { join } from "node:path";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { type Csr, csrFromCoo, withValues } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import type { TargetShape } from "../../src/core/targets.ts";
import { groupReadout } from "../../src/data/projection.ts";
import {
  ConnectomeModel,
  type ConnectomeModelOptions,
  ConnectomeODEModel,
  modelParameters,
} from "../../src/models/networkModel.ts";
import type { ConnectomeNetworkOptions } from "../../src/models/options.ts";
import { asInput, passThrough } from "../../src/models/passThrough.ts";
import type { ReadoutOptions } from "../../src/models/readout/layers.ts";
import { readTimesOf } from "../../src/models/readout/times.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import type { TaskGradients } from "../../src/models/task/passes.ts";
import { type ActivityPenalty, activityPenalty, rateL1, rateL2 } from "../../src/models/task/penalties.ts";
import type { TargetBatch } from "../../src/models/task/targets.ts";
import type { Task } from "../../src/models/task/task.ts";
import { loadCheckpoint, restoreCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { tempDir } from "../io/fixtures.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { boundedInSingle } from "../support/conditioned.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse } from "../support/matrices.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

/** 18 samples are two chunks on the CPU. */
const [N, INPUTS, FEATURES, WIDTH, STEPS, BATCH, CLASSES] = [8, 3, 6, 2, 4, 18, 3];

function positive(csr: Csr): Csr {
  return withValues(
    csr,
    csr.values.map((w) => Math.fround(0.05 + Math.abs(w))),
  );
}

/** Smooth dynamics: rates are above 0, where neither relu nor |·| has a kink. */
const RNN: ConnectomeNetworkOptions = {
  numNeurons: N,
  inputSize: INPUTS,
  connectome: positive(randomSparse(N, N, 0.4).csr),
  inputProjection: randomSparse(N, INPUTS, 0.6).csr,
  outputProjection: randomSparse(FEATURES, N, 0.6).csr,
  biasInit: normals("bias", N),
  neuronTau: 1.5,
  inputGradient: true,
};
const STATES: ConnectomeNetworkOptions = { ...RNN, outputProjection: null };
const VOLTAGES: ConnectomeNetworkOptions = {
  ...RNN,
  dynamics: "voltage",
  neuronType: ["a", "b", "a", "b", "a", "a", "b", "b"],
  neuronNonlinearity: ["Softplus", "Sigmoid"],
};

const numbers = (width: number, times: number | null): TargetShape => ({
  kind: "numbers",
  width,
  classes: null,
  times,
});
const classes = (times: number | null): TargetShape => ({ kind: "class", width: 1, classes: CLASSES, times });
const squared = (width: number, times: number | null): Task =>
  makeTask({ loss: "squared", target: numbers(width, times) });

/** A ring of places with two channels: entry (offset, from, to) shares a strength, as a convolution's kernel does. */
const RING = (() => {
  const entries = Array.from({ length: FEATURES / 2 }, (_, place) =>
    [-1, 0, 1].flatMap((offset, o) =>
      [0, 1].flatMap((from) =>
        [0, 1].map((to) => ({
          row: 2 * place + to,
          col: 2 * ((place + offset + FEATURES / 2) % (FEATURES / 2)) + from,
          group: 4 * o + 2 * from + to,
        })),
      ),
    ),
  )
    .flat()
    .sort((a, b) => a.row - b.row || a.col - b.col);
  const of = <T>(f: (e: (typeof entries)[number]) => T): T[] => entries.map(f);
  const values = entries.map(() => 1);
  return {
    matrix: csrFromCoo({ nRows: FEATURES, nCols: FEATURES, rows: of((e) => e.row), cols: of((e) => e.col), values }),
    group: of((e) => e.group),
  };
})();

interface Case {
  readonly rnn: ConnectomeNetworkOptions;
  readonly task: Task;
  readonly readout?: ReadoutOptions;
  readonly penalties?: readonly ActivityPenalty[];
  /** Some targets do not count. */
  readonly masked?: boolean;
}

const CASES: Readonly<Record<string, Case>> = {
  "linear, last time": { rnn: RNN, task: squared(WIDTH, null), readout: { fcDim: null } },
  "linear, all times, targets at each, masked": {
    rnn: RNN,
    task: squared(WIDTH, STEPS),
    readout: { fcDim: null, times: "all" },
    masked: true,
  },
  "hidden layer with dropout, some times, classes at each, masked": {
    rnn: RNN,
    task: makeTask({ loss: "cross-entropy", target: classes(2) }),
    readout: { fcDim: 5, dropout: 0.3, times: [1, 3] },
    masked: true,
  },
  "mean of the last three times": {
    rnn: RNN,
    task: makeTask({ loss: "cross-entropy", target: classes(null) }),
    readout: { fcDim: null, times: { last: 3 }, average: true },
  },
  "states themselves, masked": {
    rnn: STATES,
    task: squared(N, STEPS),
    readout: { layers: [], times: "all" },
    masked: true,
  },
  "outputs of the network": { rnn: RNN, task: squared(FEATURES, null), readout: { layers: [] } },
  "two hidden layers with dropout": {
    rnn: RNN,
    task: squared(WIDTH, null),
    readout: {
      layers: [
        { type: "linear", units: 7 },
        { type: "relu" },
        { type: "dropout", p: 0.25 },
        { type: "linear", units: 5 },
        { type: "relu" },
        { type: "dropout", p: 0.25 },
        { type: "linear" },
      ],
    },
  },
  "shared weights, then linear": {
    rnn: RNN,
    task: squared(WIDTH, null),
    readout: {
      layers: [
        {
          type: "sparse",
          matrix: RING.matrix,
          sharedWeights: { group: RING.group, nGroups: 12, strengthInit: normals("strengths", 12).map(Math.fround) },
          bias: Array.from({ length: FEATURES }, (_, i) => i % 2),
        },
        { type: "relu" },
        { type: "linear" },
      ],
      times: { last: 2 },
      average: true,
    },
  },
  "sparse weights without bias": {
    rnn: RNN,
    task: squared(WIDTH, null),
    readout: { layers: [{ type: "sparse", matrix: randomSparse(WIDTH, FEATURES, 0.5).csr, bias: false }] },
  },
  "means over groups": {
    rnn: {
      ...RNN,
      outputProjection: groupReadout(N, [
        [0, 2, 6, 7],
        [1, 3, 5],
      ]),
      outputProjectionBias: false,
      trainOutputProjection: false,
    },
    task: squared(WIDTH, null),
    readout: { layers: [], times: { last: 2 }, average: true },
  },
  "penalties on rates of voltages": {
    rnn: VOLTAGES,
    task: squared(WIDTH, null),
    readout: { fcDim: null, times: "all" },
    penalties: [
      activityPenalty({ weight: 0.5, baseline: 0.2, neurons: [1, 4, 6] }),
      rateL1({ weight: 0.25 }),
      rateL2({ weight: 2, neurons: [0] }),
    ],
  },
  "a penalty of the user, with an average": {
    rnn: RNN,
    task: makeTask({ loss: "cross-entropy", target: classes(null) }),
    readout: { fcDim: null, times: { last: 2 }, average: true },
    penalties: [{ name: "total", weight: 0.3, graph: ({ ops }, { h }) => ops.pow(ops.reduceRows(h), 2) }],
  },
};

const INPUT = { data: normals("input", BATCH * INPUTS).map(Math.fround), batch: BATCH };
const EVALUATION = { numSteps: STEPS };

function modelOf(backend: Backend, { rnn, task, readout, penalties }: Case): ConnectomeModel {
  const options: ConnectomeModelOptions = { rnn, task, ...(readout && { readout }), ...(penalties && { penalties }) };
  return new ConnectomeModel(backend, options);
}

function targetsOf({ task, masked = false }: Case): TargetBatch {
  const { width, times, kind } = task.target;
  const n = BATCH * (times ?? 1) * width;
  const drawn = normals(`targets ${n}`, n).map(Math.fround);
  const counts = (i: number) => !masked || (i * 5) % 7 < 4;
  const value = (i: number) => (kind === "class" ? (i * 7) % CLASSES : drawn[i]!);
  const each = (f: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => f(i));
  if (!masked) return { values: each(value), weights: null };
  const weights = each((i) => (counts(i) ? 1 + (i % 2) / 2 : 0));
  return { values: each((i) => (counts(i) ? value(i) : Number.NaN)), weights };
}

/** The parameters where a case is checked, by name, and its input: numbers of f32. */
function pointOf({ rnn, task, readout }: Case): Point {
  const specs = modelParameters({ rnn, task, ...(readout && { readout }) }).filter((spec) => spec.trainable);
  const values = specs.map((spec) => {
    if (!("draw" in spec)) return Float64Array.from(spec.values, Math.fround);
    return Float64Array.from({ length: spec.size }, spec.draw).map(Math.fround);
  });
  return { ...Object.fromEntries(specs.map(({ name }, i) => [name, values[i]!])), input: INPUT.data };
}

/** Gradients of a case at a point, and its loss. */
async function gradientsAt(
  model: ConnectomeModel,
  point: Point,
  targets: TargetBatch,
): Promise<{ readonly result: TaskGradients; readonly gradients: Point }> {
  const { input: data, ...parameters } = point;
  model.parameters.setAll(Object.entries(parameters), { clamp: true });
  const result = await model.gradients({ data: data!, batch: BATCH }, targets, 3, EVALUATION);
  const gradients: Record<string, ArrayLike<number>> = { input: result.x! };
  for (const name of Object.keys(parameters)) gradients[name] = await model.parameters.gradient(name);
  return { result, gradients };
}

const hasAdapter = (await requireTestAdapter()) !== null;

forEachBackend("read-outs and differences", ["f64"], (test) => {
  for (const [name, of] of Object.entries(CASES)) {
    test(`${name}: the gradient is that of central differences`, async ({ backend }) => {
      const model = modelOf(backend, of);
      const targets = targetsOf(of);
      const point = pointOf(of);
      const { gradients } = await gradientsAt(model, point, targets);
      const f = async (p: Point) => (await gradientsAt(model, p, targets)).result.loss;
      await assertGradient(name, f, point, gradients, { roundings: 1000 });
      model.dispose();
    });
  }

  test("an ODE with penalties at several times: the gradient is that of central differences", async ({ backend }) => {
    const of = CASES["penalties on rates of voltages"]!;
    const solve = { controller: { type: "fixed" }, dt0: 0.25 } as const;
    const { penalties = [], task } = of;
    const readout = { fcDim: null, times: "all" } as const;
    const model = new ConnectomeODEModel(backend, { rnn: { ...of.rnn, solve }, task, readout, penalties });
    const targets = targetsOf(of);
    const run = async (bias: ArrayLike<number>) => {
      model.parameters.set("rnn.hh.bias", bias);
      return model.gradients(INPUT, targets, 0, { numEvals: 3, endTime: 1.5 });
    };
    const bias = normals("bias", N);
    const { loss, penalties: parts, count } = await run(bias);
    assert.is(count, 3 * BATCH);
    assert.equal(Object.keys(parts), ["activity", "rate-l1", "rate-l2"]);
    const gradient = await model.parameters.gradient("rnn.hh.bias");
    assert.ok(loss > Object.values(parts).reduce((sum, p) => sum + p, 0));
    await assertGradient(
      "ode",
      async (p) => (await run(p.bias!)).loss,
      { bias },
      { bias: gradient },
      { roundings: 1000 },
    );
    model.dispose();
  });
});

/** Along the longest path of one step: the sums of a row, an elementary function (6) and the arithmetic around it. */
const ROUNDINGS = { perStep: N + 20, additions: BATCH * STEPS * 2 };

function defineSingle(test: Test<WithBackend & { reference: Backend }>): void {
  for (const [name, of] of Object.entries(CASES)) {
    test(`${name}: the gradient is that of f64 within its bounds`, async ({ backend, reference }) => {
      const exact = modelOf(reference, of);
      const targets = targetsOf(of);
      const point = pointOf(of);
      const results = async (at: Point): Promise<Point> => {
        const { result, gradients } = await gradientsAt(exact, at, targets);
        return { ...gradients, loss: [result.loss] };
      };
      const { reference: expected, bounds } = await boundedInSingle(name, results, point, ROUNDINGS);
      const model = modelOf(backend, of);
      const { result, gradients } = await gradientsAt(model, point, targets);
      const got: Point = { ...gradients, loss: [result.loss] };
      for (const part of Object.keys(expected)) assertClose(got[part]!, expected[part]!, bounds[part]!, part);
      // Negative control: a hundredth of the loss less would be seen.
      assert.throws(() => assertClose([0.99 * result.loss], expected.loss!, bounds.loss!, "loss"), /differ/);
      exact.dispose();
      model.dispose();
    });
  }

  test("an ODE: the gradient is that of f64 within its bounds", async ({ backend, reference }) => {
    const targets = { values: Float64Array.from({ length: BATCH * WIDTH }, (_, i) => i % 2), weights: null };
    const evaluation = { numEvals: 3, endTime: 1.5 };
    const run = async (model: ConnectomeODEModel, point: Point): Promise<Point> => {
      model.parameters.setAll(Object.entries(point));
      const { loss, x } = await model.gradients(INPUT, targets, 0, evaluation);
      const gradients: Record<string, ArrayLike<number>> = { loss: [loss], x: x! };
      for (const name of Object.keys(point)) gradients[name] = await model.parameters.gradient(name);
      return gradients;
    };
    const exact = odeOf(reference);
    const model = odeOf(backend);
    const point: Record<string, Float64Array> = {};
    for (const { name } of exact.parameters.trainable())
      point[name] = Float64Array.from(await exact.parameters.values(name), Math.fround);
    // Six steps of seven stages each: their roundings are those of the state, which the bias moves.
    const roundings = { perStep: 6 * 7 + N + 20, additions: 6 * 7 * BATCH };
    const bounded = await boundedInSingle("ode", (p) => run(exact, p), point, roundings);
    const got = await run(model, point);
    for (const [part, expected] of Object.entries(bounded.reference))
      assertClose(got[part]!, expected, bounded.bounds[part]!, part);
    exact.dispose();
    model.dispose();
  });
}

/** A mean over two of three times, a hidden layer and a penalty, on an ODE in fixed steps. */
function odeOf(backend: Backend): ConnectomeODEModel {
  const solve = { controller: { type: "fixed" }, dt0: 0.25 } as const;
  return new ConnectomeODEModel(backend, {
    rnn: { ...VOLTAGES, solve },
    task: makeTask({ loss: "binary-cross-entropy", target: numbers(WIDTH, null) }),
    readout: { fcDim: 5, times: { last: 2 }, average: true },
    penalties: [activityPenalty({ weight: 0.5, baseline: 0.2 })],
  });
}

const SINGLE = {
  "wasm f32": () => createWasmBackend({ dtype: "f32", threads: 2 }),
  ...(hasAdapter && { webgpu: () => createWebGpuBackend() }),
};
for (const [name, open] of Object.entries(SINGLE)) {
  const test = suite<WithBackend & { reference: Backend }>(`read-outs, ${name}`, {} as never);
  test.before(async (context) => {
    context.backend = await open();
    context.reference = await createWasmBackend({ dtype: "f64", threads: 1 });
  });
  defineSingle(test);
  test.after(async ({ backend, reference }) => {
    await backend.dispose();
    await reference.dispose();
  });
  test.run();
}

forEachBackend("read-outs", ["f64", "f32"], (test) => {
  test("outputs are those of the chosen times, batch first", async ({ backend }) => {
    const outputs = normals("outputs", BATCH * STEPS * WIDTH).map(Math.fround);
    const [input, evaluation] = asInput(outputs, BATCH, STEPS);
    for (const [times, chosen] of [
      ["last", [3]],
      ["all", [0, 1, 2, 3]],
      [{ last: 2 }, [2, 3]],
      [
        [0, 2],
        [0, 2],
      ],
    ] as const) {
      const model = passThrough(backend, squared(WIDTH, null), { readout: { times } });
      const expected = Float64Array.from({ length: BATCH * chosen.length * WIDTH }, (_, i) => {
        const [sample, k] = [Math.floor(i / (chosen.length * WIDTH)), Math.floor(i / WIDTH) % chosen.length];
        return outputs[(sample * STEPS + chosen[k]!) * WIDTH + (i % WIDTH)]!;
      });
      assertBitEqual(await model.forward(input, evaluation), expected, JSON.stringify(times));
      model.dispose();
    }
    const mean = passThrough(backend, squared(WIDTH, null), { readout: { times: "all", average: true } });
    const expected = Float64Array.from({ length: BATCH * WIDTH }, (_, i) => {
      const at = (k: number) => outputs[(Math.floor(i / WIDTH) * STEPS + k) * WIDTH + (i % WIDTH)]!;
      return (at(0) + at(1) + at(2) + at(3)) / 4;
    });
    // Four products and additions of numbers below 4.
    assertClose(await mean.forward(input, evaluation), expected, backend.dtype === "f64" ? 1e-14 : 8e-7, "mean");
    mean.dispose();
  });

  test("penalties follow their formulas and count samples alike", async ({ backend }) => {
    const outputs = normals("activity", BATCH * STEPS * N).map(Math.fround);
    const [input, evaluation] = asInput(outputs, BATCH, STEPS);
    const penalties = [
      activityPenalty({ weight: 0.5, baseline: 0.25, neurons: [1, 5] }),
      rateL1({ weight: 2 }),
      rateL2({ weight: 1, name: "size" }),
    ];
    const task = squared(N, STEPS);
    const model = passThrough(backend, task, { penalties });
    const of = { rnn: STATES, task, masked: true };
    const targets = targetsOf(of);
    const got = await model.gradients(input, targets, 0, evaluation);
    const mean = (f: (x: number, neuron: number) => number) =>
      outputs.reduce((sum, x, i) => sum + f(x, i % N), 0) / (BATCH * STEPS);
    const expected = {
      activity: 0.5 * mean((x, n) => (n === 1 || n === 5 ? (x - 0.25) ** 2 / 2 : 0)),
      "rate-l1": 2 * mean((x) => Math.abs(x) / N),
      size: mean((x) => x ** 2 / N),
    };
    const tolerance = backend.dtype === "f64" ? 1e-13 : 1e-5;
    assert.equal(Object.keys(got.penalties), Object.keys(expected));
    assertClose(Object.values(got.penalties), Object.values(expected), tolerance, "penalties");
    const without = passThrough(backend, task);
    const alone = await without.gradients(input, targets, 0, evaluation);
    const total = Object.values(got.penalties).reduce((sum, p) => sum + p, alone.loss);
    assertClose([got.loss], [total], 1e-12, "loss with penalties");
    const slope = (x: number, n: number) =>
      (n === 1 || n === 5 ? 0.5 * (x - 0.25) : 0) + (2 * Math.sign(x) + 2 * x) / N;
    const added = outputs.map((x, i) => slope(x, i % N) / (BATCH * STEPS));
    assertClose(
      got.x!,
      alone.x!.map((g, i) => g + added[i]!),
      tolerance,
      "gradient",
    );
    model.dispose();
    without.dispose();
  });

  test("a batch with samples that fail is the batch without them, to the bit", async ({ backend }) => {
    const of = CASES["linear, all times, targets at each, masked"]!;
    const rnn = { ...RNN, solve: { onFailure: "mask" } } as const;
    const task = squared(WIDTH, 2);
    const penalties = [rateL2({ weight: 0.5 })];
    const model = new ConnectomeODEModel(backend, { rnn, task, readout: of.readout!, penalties });
    const { values, weights } = targetsOf({ ...of, task });
    const failing = [2, 17];
    const data = INPUT.data.slice();
    for (const s of failing) data[s * INPUTS] = Number.NaN;
    const kept = Array.from({ length: BATCH }, (_, s) => s).filter((s) => !failing.includes(s));
    const rowsOf = (all: ArrayLike<number>, width: number) =>
      Float64Array.from(kept.flatMap((s) => Array.from({ length: width }, (_, i) => all[s * width + i]!)));
    const state = async () => ({ bias: await model.parameters.gradient("rnn.hh.bias") });
    const part = { values: rowsOf(values, 2 * WIDTH), weights: rowsOf(weights!, 2 * WIDTH) };
    const expected = await model.gradients({ data: rowsOf(data, INPUTS), batch: kept.length }, part, 0);
    const expectedBias = (await state()).bias;
    const got = await model.gradients({ data, batch: BATCH }, { values, weights }, 0);
    assert.equal([...got.failed], failing);
    assert.equal([got.loss, got.count, got.lossWeight], [expected.loss, expected.count, expected.lossWeight]);
    assert.equal(got.penalties, expected.penalties);
    assert.equal(got.metrics, expected.metrics);
    assertBitEqual((await state()).bias, expectedBias, "gradient");
    const { outputs } = await model.evaluate({ data, batch: BATCH }, null);
    assert.ok(outputs.subarray(2 * 2 * WIDTH, 3 * 2 * WIDTH).every(Number.isNaN));
    assert.ok(outputs.subarray(0, 2 * 2 * WIDTH).every(Number.isFinite));
    // Where only those count that fail, there is no loss.
    const only = Float64Array.from(weights!, (_, i) => (failing.includes(Math.floor(i / (2 * WIDTH))) ? 1 : 0));
    const all = Float64Array.from(values, (v) => (Number.isNaN(v) ? 0 : v));
    const none = await model.gradients({ data, batch: BATCH }, { values: all, weights: only }, 0);
    assert.equal([...none.failed], failing);
    assert.equal([none.lossWeight, Number.isNaN(none.loss)], [0, true]);
    assert.equal([...none.metrics.weights], [0, 0]);
    assert.ok((await model.parameters.gradient("out_layer.1.weight")).every((slope) => slope === 0));
    assert.ok((await state()).bias.some((slope) => slope !== 0));
    model.dispose();
  });

  test("shared weights are a convolution; their parameters have names", async ({ backend }) => {
    const of = CASES["shared weights, then linear"]!;
    const model = modelOf(backend, of);
    assert.equal(
      model.parameters
        .all()
        .filter(({ role }) => role === "read-out")
        .map(({ name, size }) => `${name} ${size}`),
      ["out_layer.1.strength 12", "out_layer.1.bias 2", "out_layer.3.weight 12", "out_layer.3.bias 2"],
    );
    model.dispose();
    // The same ring at two places: turned inputs give turned outputs.
    const task = squared(FEATURES, null);
    const sharedWeights = { group: RING.group, nGroups: 12, strengthInit: normals("strengths", 12).map(Math.fround) };
    const layer = { type: "sparse", matrix: RING.matrix, sharedWeights, bias: false } as const;
    const ring = passThrough(backend, task, { readout: { layers: [layer], times: "last" } });
    const data = normals("ring", FEATURES).map(Math.fround);
    const turned = data.map((_, i) => data[(i + 2) % FEATURES]!);
    const [a] = asInput(data, 1, 1);
    const [b] = asInput(turned, 1, 1);
    const [one, other] = [await ring.forward(a, { numSteps: 1 }), await ring.forward(b, { numSteps: 1 })];
    const expected = one.map((_, i) => one[(i + 2) % FEATURES]!);
    assertClose(other, expected, backend.dtype === "f64" ? 1e-14 : 4e-6, "turned");
    ring.dispose();
  });
});

forEachBackend("read-outs in files", ["f32"], (test) => {
  test("shared weights go through checkpoints and state dictionaries", async ({ backend }) => {
    const of = CASES["shared weights, then linear"]!;
    const model = modelOf(backend, of);
    const other = () => modelOf(backend, { ...of, readout: { ...of.readout, seed: 9 } });
    const [restored, imported] = [other(), other()];
    model.parameters.set("out_layer.1.strength", normals("trained", 12));
    const folder = tempDir();
    await saveCheckpoint(join(folder, "model.safetensors"), { model });
    restoreCheckpoint(await loadCheckpoint(join(folder, "model.safetensors")), { model: restored });
    await exportStateDict(model, join(folder, "state.safetensors"));
    await importStateDict(imported, join(folder, "state.safetensors"));
    const expected = await model.forward(INPUT, EVALUATION);
    const untouched = other();
    assert.not.equal([...(await untouched.forward(INPUT, EVALUATION))], [...expected]);
    assertBitEqual(await restored.forward(INPUT, EVALUATION), expected, "checkpoint");
    assertBitEqual(await imported.forward(INPUT, EVALUATION), expected, "state dictionary");
    for (const m of [model, restored, imported, untouched]) m.dispose();
  });
});

forEachBackend("read-outs, bad input", ["f64"], (test) => {
  test("options of read-outs and penalties are refused by name, and nothing is left behind", async ({ backend }) => {
    const before = backend.memory().liveBuffers;
    const task = squared(WIDTH, null);
    const make = (readout: object, penalties?: object) => () =>
      new ConnectomeModel(backend, { rnn: RNN, task, readout, ...(penalties && { penalties }) } as never);
    const cases: [() => unknown, RegExp][] = [
      [make({ times: "first" }), /"last", "all", \{ last: k \} or a list of indices, got first \(times\)/],
      [make({ times: { last: 0 } }), /at least 1, got 0 \(times\.last\)/],
      [make({ times: [1, 1] }), /ascending order, got 1 at 1 \(times\)/],
      [make({ times: [] }), /got none \(times\)/],
      [make({ average: 1 }), /true or false, got 1 \(average\)/],
      [make({ layers: [], fcDim: 3 }), /it dropped, or no layers, got both \(fcDim\)/],
      [make({ layers: [] }), /2 outputs, as the loss needs, got 6 features, without layers \(layers\)/],
      [make({ layers: [{ type: "linear", units: 3 }] }), /got 3 of the last layer/],
      [make({ layers: [{ type: "convolution" }] }), /one of linear, sparse, relu, dropout, got convolution/],
      [make({ layers: [{ type: "dropout", p: 1 }] }), /below 1, got 1 \(layers\[0\]\.p\)/],
      [make({ layers: [{ type: "sparse", matrix: RNN.connectome }] }), /\[any, 6\], got \[8, 8\]/],
      [make({ fcDims: 3 }), /fcDim, or another option/],
      [make({}, [rateL1({ weight: -1 })]), /at least 0, got -1 \(rate-l1\.weight\)/],
      [make({}, [rateL1({ weight: 1, neurons: [8] })]), /0 to 7, got 8/],
      [make({}, [rateL1({ weight: 1, neurons: [] })]), /neurons, each once, got none/],
      [make({}, [rateL1({ weight: 1 }), rateL1({ weight: 2 })]), /another name for each penalty, got "rate-l1" twice/],
    ];
    for (const [action, pattern] of cases) assert.throws(action, pattern);
    assert.throws(make({ layers: [] }), (e: unknown) => e instanceof ShapeError);
    assert.is(backend.memory().liveBuffers, before);
    assert.throws(
      () => readTimesOf({ last: 3 }, 2),
      (e: unknown) => e instanceof ArgumentError && /at most 2/.test(e.message),
    );
    assert.throws(() => readTimesOf([0, 2], 2), /indices 0 to 1, the output times of the run, got 2/);
  });
});
