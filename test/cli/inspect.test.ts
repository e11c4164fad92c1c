import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { register } from "../../src/cli/inspect.ts";
import { binsOf, type Inspection } from "../../src/cli/inspection.ts";
import { type MemoryOptions, memoryPlan } from "../../src/cli/memoryPlan.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import type { DType } from "../../src/core/dtype.ts";
import { createSparseProjection, logNormalConnectome } from "../../src/data/connectomes.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import { ConnectomeClassifier, ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { tableauByName } from "../../src/ode/tableaus/index.ts";
import type { TapePlan } from "../../src/ode/tape.ts";
import { Adam } from "../../src/train/optimizer.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("inspect");
const dir = tempDir();
const file = join(dir, "w.npz");

const matrix = (n: number, ...entries: readonly (readonly [post: number, pre: number, weight: number])[]): Csr =>
  csrFromCoo({
    nRows: n,
    nCols: n,
    rows: entries.map((e) => e[0]),
    cols: entries.map((e) => e[1]),
    values: entries.map((e) => e[2]),
  });

/** A ring 0 → 1 → 2 → 0 of weight 2, one connection −8 from 3 to 0, a self loop at 4, neuron 5 alone. */
const small = matrix(6, [1, 0, 2], [2, 1, 2], [0, 2, 2], [0, 3, -8], [4, 4, 1]);

async function inspected(csr: Csr, ...args: readonly string[]): Promise<Inspection> {
  await writeConnectome(file, csr);
  return JSON.parse(await runCommand(register, "inspect", file, "--json", ...args)) as Inspection;
}

test("sizes, degrees, weights and signs are counted", async () => {
  const it = await inspected(small);
  assert.equal(it.neurons, [6, 6]);
  assert.is(it.connections, 5);
  assert.is(it.density, 5 / 36);
  assert.is(it.selfLoops, 1);
  assert.is(it.emptyRows, 2);
  assert.is(it.emptyColumns, 1);
  assert.equal([it.inDegree.min, it.inDegree.median, it.inDegree.mean, it.inDegree.max], [0, 1, 5 / 6, 2]);
  assert.equal([it.weights.min, it.weights.median, it.weights.max], [-8, 2, 2]);
  assert.is(it.weights.shareInhibitory, 0.2);
  assert.equal(it.columnSigns, { excitatory: 4, inhibitory: 1, mixed: 0 });
});

test("components are those with and without directions", async () => {
  const { components } = await inspected(small);
  assert.equal(components, { weak: 3, largestWeak: 4, strong: 4, largestStrong: 3 });
});

test("spectral radii are found for rings, rotations and networks without cycles", async () => {
  const ring = await inspected(small);
  assert.ok(Math.abs(ring.spectralRadius!.absolute - 2) < 1e-6);
  assert.ok(Math.abs(ring.spectralRadius!.signedEstimate - 2) < 0.05);
  // Eigenvalues ±3i: signed, the norm of a vector goes up and down.
  const rotation = await inspected(matrix(2, [0, 1, -9], [1, 0, 1]));
  assert.ok(Math.abs(rotation.spectralRadius!.absolute - 3) < 1e-6);
  assert.ok(Math.abs(rotation.spectralRadius!.signedEstimate - 3) < 0.1);
  const chain = await inspected(matrix(3, [1, 0, 5], [2, 1, 5]));
  assert.equal([chain.spectralRadius!.absolute, chain.spectralRadius!.signedEstimate], [0, 0]);
});

test("saturation counts the neurons far out on a bounded nonlinearity", async () => {
  const { saturation } = await inspected(small, "--nonlinearity", "tanh", "--rate", "1");
  assert.equal(saturation, { nonlinearity: "tanh", rate: 1, threshold: 4, share: 1 / 6 });
  assert.is((await inspected(small, "--nonlinearity", "relu")).saturation.share, null);
});

test("the memory plan follows the batch, the method and the precision", async () => {
  const plan = (await inspected(small, "--batch-size", "20", "--method", "dopri5")).memory!;
  assert.is(plan.state, 6 * 16 * 4);
  assert.is(plan.chunks, 2);
  // Dopri5 is FSAL with 7 stages: starts hold the state and a stage, saves 6 contraction outputs.
  assert.is(plan.tapePerAttempt, 8 * plan.state);
  const exponential = (await inspected(small, "--method", "exponential-euler")).memory!;
  assert.is(exponential.tapePerAttempt, 2 * exponential.state, "one starting state, one product");
  const euler = (await inspected(small, "--batch-size", "3", "--method", "euler", "--dtype", "f64")).memory!;
  assert.is(euler.state, 6 * 4 * 8);
  assert.is(euler.tapePerAttempt, 2 * euler.state);
});

/** What training a network for one step takes on the device, and the attempts that its solve took. */
async function measured(
  csr: Csr,
  batch: number,
  dtype: DType,
  method: string,
  memoryBudgetBytes: number,
): Promise<readonly [number, TapePlan]> {
  const backend = await createBackend({ device: "wasm", dtype, threads: 1 });
  const { nRows: numNeurons } = csr;
  const tableau = tableauByName(method);
  const fixed = tableau.bErr === null ? { controller: { type: "fixed" as const }, dt0: 0.25 } : {};
  const solve = { tableau, ...fixed, memoryBudgetBytes };
  const options = { inputSize: numNeurons, numNeurons, connectome: csr, weightConstraint: "none" as const, solve };
  const model = new ConnectomeODERNN(backend, options);
  const optimizer = new Adam(backend, model.parameters);
  const data = new Float32Array(numNeurons * batch).fill(0.1);
  const { trajectory } = await model.vjp({ data, batch }, new Float32Array(2 * numNeurons * batch).fill(1), {
    numEvals: 2,
    endTime: 1,
  });
  optimizer.step(1);
  const { peakBytes } = backend.memory();
  optimizer.dispose();
  model.dispose();
  await backend.dispose();
  return [peakBytes, trajectory.stats.at(-1)!.plan!];
}

test("the memory that is planned for the device is what training takes, and host and device are all", async () => {
  const csr = logNormalConnectome({ neurons: 6000, connections: 120_000, seed: 1 });
  const cases: readonly (readonly [method: string, batch: number, dtype: DType, budget?: number])[] = [
    ["dopri5", 16, "f32"],
    ["dopri5", 16, "f32", 9e6],
    ["rk4", 16, "f32", 4e6],
    ["tsit5", 8, "f64"],
    ["bosh3", 20, "f32"],
    ["heun", 16, "f32"],
    ["euler", 16, "f32"],
    ["rk4", 4, "f32"],
    ["exponentialEuler", 16, "f32"],
  ];
  for (const [method, batchSize, dtype, tapeBudgetBytes = 384 * 2 ** 20] of cases) {
    const [bytes, tape] = await measured(csr, batchSize, dtype, method, tapeBudgetBytes);
    const { attempts } = tape;
    const budget = { tapeBudgetBytes };
    const plan = memoryPlan(csr, { batchSize, tableau: tableauByName(method), dtype, attempts, ...budget });
    const ratio = plan.device / bytes;
    assert.ok(ratio > 0.9 && ratio < 1.1, `${method}, ${batchSize}, ${dtype}: ${ratio}`);
    assert.is(plan.attemptsStored, tape.attemptsStored, method);
    assert.is(tape.attemptsRecomputed > 0, tapeBudgetBytes < 1e7);
    assert.is(plan.device, plan.matrix + plan.matrixTraining + plan.working + plan.tape);
    assert.is(plan.total, plan.device + plan.host);
    assert.ok(plan.host > csr.values.byteLength + csr.colIdx.byteLength);
    // Were the estimate blind to its parts, it would not see another batch.
    const other = memoryPlan(csr, {
      batchSize: batchSize > 4 ? 4 : 16,
      tableau: tableauByName(method),
      dtype,
      attempts,
      ...budget,
    });
    assert.ok(Math.abs(other.device / bytes - 1) > 0.1, method);
  }
});

/** What training on sequences takes on the device, and its tape. */
async function measuredSequences(csr: Csr, time: "continuous" | "discrete", frames: number, inputSize: number | null) {
  const backend = await createWasmBackend({ threads: 1 });
  const numNeurons = csr.nRows;
  const size = inputSize ?? numNeurons;
  const indices = Array.from({ length: size }, (_, i) => (7 * i) % numNeurons);
  const rnn = {
    ...{ inputSize: size, numNeurons, connectome: csr, weightConstraint: "none" as const },
    ...(inputSize !== null && {
      inputProjection: createSparseProjection({ size, numNeurons, indices, mode: "ih" }),
    }),
  };
  const classes = { numClasses: 2, fcDim: null };
  const model =
    time === "discrete"
      ? new ConnectomeClassifier(backend, { ...classes, rnn: { ...rnn, memoryBudgetBytes: 4e6 } })
      : new ConnectomeODEClassifier(backend, { ...classes, rnn: { ...rnn, solve: { memoryBudgetBytes: 4e6 } } });
  const optimizer = new Adam(backend, model.parameters);
  const data = new Float32Array(size * frames * 16).fill(0.1);
  const labels = Array.from({ length: 16 }, (_, i) => i % 2);
  const { stats } = await model.gradients({ data, batch: 16, steps: frames }, labels, 0);
  optimizer.step(1);
  const { peakBytes } = backend.memory();
  optimizer.dispose();
  model.dispose();
  await backend.dispose();
  return { bytes: peakBytes, plan: stats[0]!.plan! };
}

test("the memory of sequences is planned, too, in continuous and in discrete time", async () => {
  const csr = logNormalConnectome({ neurons: 6000, connections: 120_000, seed: 1 });
  for (const [time, frames, inputs] of [
    ["discrete", 1, null],
    ["discrete", 40, 500],
    ["discrete", 12, null],
    ["continuous", 12, 500],
    ["continuous", 12, null],
  ] as const) {
    const { bytes, plan: tape } = await measuredSequences(csr, time, frames, inputs);
    const options: MemoryOptions = {
      ...{ batchSize: 16, tableau: time === "discrete" ? null : tableauByName("dopri5"), dtype: "f32" },
      ...{ attempts: tape.attempts, tapeBudgetBytes: 4e6, frames, ...(inputs !== null && { inputs }) },
    };
    const plan = memoryPlan(csr, options);
    const ratio = plan.device / bytes;
    assert.ok(ratio > 0.9 && ratio < 1.1, `${time}, ${frames} × ${inputs}: ${ratio}`);
    assert.is(plan.attemptsStored, tape.attemptsStored);
    assert.is(plan.device, plan.matrix + plan.matrixTraining + plan.working + plan.input + plan.tape);
    // Were the estimate blind to its frames, it would be too small.
    const blind = (plan.device - plan.input) / bytes;
    if (frames > 1) assert.ok(blind < 0.96, `${time}, ${frames} × ${inputs}: ${blind}`);
    const held = memoryPlan(csr, { ...options, samples: 1000 });
    assert.is(held.host - plan.host, 1000 * frames * (inputs ?? 6000) * 4);
  }
});

test("a tape beyond its budget is planned to fit, with the attempts that are run again", async () => {
  const options: MemoryOptions = {
    batchSize: 16,
    tableau: tableauByName("euler"),
    dtype: "f32",
    attempts: 1e5,
    tapeBudgetBytes: 2 ** 20,
  };
  const { tape, attemptsStored } = memoryPlan(small, options);
  assert.ok(tape <= 2 ** 20 && tape > 2 ** 19, `${tape} bytes`);
  assert.ok(attemptsStored > 0 && attemptsStored < 1e5, `${attemptsStored} stored`);
  await writeConnectome(file, small);
  const report = (...more: string[]) => runCommand(register, "inspect", file, ...more);
  assert.match(await report(), /tape .* 10 attempts of dopri5: all stored \(budget 384 MiB\)\n/);
  const tight = await report("--memory-budget", "0.01");
  assert.match(tight, /10 attempts of dopri5: 0 stored and 10 run again in the reverse pass \(budget 10\.2 KiB\)\n/);
});

test("the memory of steps in discrete time is reported without a solver", async () => {
  await writeConnectome(file, small);
  const report = (...more: string[]) => runCommand(register, "inspect", file, ...more);
  const text = await report("--time", "discrete", "--frames", "20", "--inputs", "8", "--samples", "100");
  assert.match(text, /tape .* for 20 steps: all stored/);
  assert.match(text, /inputs .* of frames and their drives\n/);
  assert.match(text, /samples .* in memory\n/);
  assert.match(text, /Node\.js, the file's content and samples/);
  assert.not.match(text, /dopri5|solver|attempt/);
  await fails(() => report("--time", "discrete", "--method", "heun"), "argument", /--time continuous.*--method/);
});

test("bins of powers of two hold every value once, zeros apart", () => {
  assert.equal(binsOf([0, 1, 1, 3, 8]), [
    { from: 0, to: 0, count: 1 },
    { from: 1, to: 2, count: 2 },
    { from: 2, to: 4, count: 1 },
    { from: 4, to: 8, count: 0 },
    { from: 8, to: 16, count: 1 },
  ]);
  assert.equal(binsOf([]), []);
});

test("the report for people has every line and aligned columns", async () => {
  await writeConnectome(file, small);
  const text = await runCommand(register, "inspect", file);
  for (const part of [
    "neurons",
    "connections",
    "Dale's law",
    "strongly",
    "radius of |W|",
    "tape",
    "in all",
    "in-degree",
    "█",
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.match(text, /holds: 4 excitatory, 1 inhibitory/);
});

test("degenerate matrices have a report too", async () => {
  const empty = await inspected(matrix(3));
  assert.is(empty.connections, 0);
  assert.is(empty.spectralRadius!.absolute, 0);
  await writeConnectome(file, { ...matrix(2, [0, 1, 1]), nCols: 9 });
  const wide = await runCommand(register, "inspect", file);
  assert.match(wide, /2 post × 9 pre/);
  await writeConnectome(file, matrix(3));
  assert.match(await runCommand(register, "inspect", file), /connections/);
});

test("wrong options are named", async () => {
  await fails(() => inspected(small, "--method", "rk5"), "argument", /--method/, /rk4/);
  await fails(() => inspected(small, "--nonlinearity", "tahn"), "argument", /--nonlinearity/, /tanh/);
  await fails(() => runCommand(register, "inspect", join(dir, "absent.npz")), "file-missing");
});

testWithData(test, ["flyvis/flyvis_e2_csr.npz"], "the fly's connectome is as its table says", async (path) => {
  const it = JSON.parse(await runCommand(register, "inspect", path, "--json")) as Inspection;
  assert.equal([it.neurons[0], it.connections], [1203, 28904]);
  assert.ok(Math.abs(it.weights.shareInhibitory - 0.3524) < 5e-5);
  assert.is(it.columnSigns.excitatory + it.columnSigns.inhibitory + it.columnSigns.mixed + it.emptyColumns, 1203);
});

test("--select counts neurons by type and writes their ids, which a selector reads", async () => {
  const edges = join(dir, "edges.csv");
  const table = join(dir, "neurons.csv");
  const ids = join(dir, "ids.txt");
  await writeFile(edges, "pre,post,weight\nA7,B2,1\nB2,C1,2\n");
  await writeFile(table, "id,cell_type,side\nC1,T5,left\nB2,T4,left\nA7,T4,right\n");
  const select = (...args: readonly string[]) =>
    runCommand(register, "inspect", edges, "--neuron-table", table, "--select", ...args);
  assert.is(await select("all"), "all: 3 neurons: 2 T4, 1 T5, of 3\n");
  const said = JSON.parse(await select("side:left", "--out", ids, "--json"));
  assert.equal(said, {
    ...{ file: edges, selector: "side:left", of: 3 },
    ...{ neurons: 2, types: { T4: 1, T5: 1 }, out: ids },
  });
  assert.is(await readFile(ids, "utf8"), "B2\nC1\n");
  assert.match(await select(`!@"${ids}"`), /1 neuron: 1 T4, of 3/);
  await fails(() => select("all", "--out", ids), "file-exists", /--overwrite, got an existing one/);
  await fails(() => select("type:T6"), "argument", /nearest "T4".*\(--select\)/);
  await fails(
    () => runCommand(register, "inspect", edges, "--out", ids),
    "argument",
    /expected --select, got none \(--out\)/,
  );
});

test.run();
