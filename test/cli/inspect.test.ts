import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/inspect.ts";
import { binsOf, type Inspection } from "../../src/cli/inspection.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import type { MemoryPlan } from "../../src/run/memoryPlan.ts";
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

test("the memory plan follows the batch, the method, the precision and the budget", async () => {
  const csr = logNormalConnectome({ neurons: 2000, connections: 20_000, seed: 1 });
  await writeConnectome(file, csr);
  const planOf = async (...more: string[]) => {
    const { memory } = JSON.parse(await runCommand(register, "inspect", file, "--json", ...more)) as Inspection;
    return memory as MemoryPlan;
  };
  const bytesOf = ({ parts }: MemoryPlan, part: string) => parts.find(({ name }) => name === part)?.bytes ?? 0;
  const plan = await planOf("--batch-size", "20");
  assert.is(plan.lanes, 16);
  assert.is(plan.attemptsKnown, false);
  const sum = plan.parts.reduce((total, { bytes }) => total + bytes, 0);
  assert.ok(Math.abs(sum - plan.processBytes) < 1, "the parts are all");
  const double = await planOf("--batch-size", "20", "--dtype", "f64");
  assert.is(bytesOf(double, "gradients"), 2 * bytesOf(plan, "gradients"));
  const moments = bytesOf(plan, "moments") / bytesOf(plan, "gradients");
  assert.ok(moments > 1.99 && moments < 2.01, "Adam has two");
  const euler = await planOf("--method", "euler", "--attempts", "4");
  assert.is(euler.attemptsKnown, true);
  assert.ok(bytesOf(euler, "tape") < bytesOf(plan, "tape") / 4);
  const tight = await planOf("--attempts", "10", "--memory-budget", "1");
  assert.ok(tight.attemptsStored < 10 && bytesOf(tight, "tape") < bytesOf(plan, "tape"));
  const held = await planOf("--batch-size", "20", "--samples", "1000");
  const data = bytesOf(held, "data") - 1000 * 2000 * 4;
  assert.ok(data >= 0 && data < 2e7, `${data}`);
});

test("the memory of training is a table by part, of solvers and of steps in discrete time", async () => {
  await writeConnectome(file, small);
  const report = (...more: string[]) => runCommand(register, "inspect", file, ...more);
  const continuous = await report("--attempts", "10");
  assert.match(continuous, /memory +to train it on wasm f32.*, in batches of 32, 16 at once, 10 attempts of dopri5\n/);
  assert.match(continuous, /- tape .*: all 10 attempts stored \(budget 384 MiB\)\n/);
  assert.match(continuous, /in all +about \d+ MiB, .* of it on the device; \d+ MiB while the page is made\n/);
  const tight = await report("--attempts", "10", "--memory-budget", "0.001");
  assert.match(tight, /- tape .*: 0 stored and 10 run again in the reverse pass \(budget 1\.02 KiB\)\n/);
  const discrete = await report("--time", "discrete", "--frames", "20", "--inputs", "3");
  assert.match(discrete, /32, 16 at once, 20 steps\n/);
  assert.match(discrete, /- tape .*: all 20 steps stored/);
  assert.not.match(discrete, /dopri5|solver|attempt/);
  await fails(() => report("--time", "discrete", "--method", "heun"), "argument", /--time continuous.*--method/);
});

test("the memory of a run's settings is that of train", async () => {
  const set = [
    "--set",
    "steps=1",
    "--set",
    "trainSamples=64",
    "--set",
    "validationSamples=0",
    "--set",
    "testSamples=0",
  ];
  const said = await runCommand(register, "inspect", "--preset", "demo", "--batch-size", "16", ...set);
  assert.match(said, /memory +to train it on .*, in batches of 16, about 8 attempts of dopri5\n/);
  const { memory } = JSON.parse(await runCommand(register, "inspect", "--preset", "demo", "--json", ...set));
  assert.is(memory.batchSize, 64);
  const inspectWith = (...more: string[]) => runCommand(register, "inspect", ...more);
  await fails(() => inspectWith(), "argument", /a file, --preset or --config/);
  await fails(() => inspectWith("--set", "steps=1"), "argument", /--preset or --config with it/);
  await fails(() => inspectWith("--preset", "demo", "--frames", "3"), "argument", /--frames/);
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
    "- tape",
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
