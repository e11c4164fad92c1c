// `axograd simulate` on fresh and trained networks, small ones.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerSimulate } from "../../src/cli/simulate.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { writeNpy } from "../../src/io/npy.ts";
import { openNpz, readNpz, writeNpz } from "../../src/io/npz.ts";
import { runCommand } from "./command.ts";
import { TINY } from "./process.ts";

interface Context {
  folder: string;
  run: string;
  out: string;
}

const test = suite<Context>("axograd simulate");
const FRESH = ["--generate", "900x5000", "--train-samples", "64", "--test-samples", "24", "--threads", "1"];
const WASM = ["--device", "wasm"];

test.before(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), "axograd-simulate-"));
  context.run = join(context.folder, "run");
  context.out = join(context.folder, "out.npz");
  await runCommand(registerTrain, "train", "--out", context.run, ...TINY, "--quiet", "--no-report");
});

test.after(async ({ folder }) => {
  await rm(folder, { recursive: true });
});

/** Runs the command and reads what it wrote. */
async function simulate(
  out: string,
  ...args: readonly string[]
): Promise<Record<string, { shape: number[]; data: number[] }>> {
  await runCommand(registerSimulate, "simulate", ...args, "--out", out, "--overwrite");
  const arrays = await readNpz(out);
  return Object.fromEntries(
    [...arrays].map(([name, { shape, data }]) => [name, { shape: [...shape], data: Array.from(data, Number) }]),
  );
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.unreachable("expected an error");
}

test("a trained network sees digits: states by sample, time and neuron, with times and labels", async ({
  run,
  out,
}) => {
  const { hs, ts, labels, neurons } = await simulate(out, run, "--input", "digits:2-4", "--times", "5");
  assert.equal(hs!.shape, [3, 5, 900]);
  assert.equal(
    neurons!.data,
    Array.from({ length: 900 }, (_, i) => i),
  );
  assert.is(labels!.data.length, 3);
  assert.equal(ts!.data, [0, 0.75, 1.5, 2.25, 3]);
  assert.ok(
    hs!.data.slice(0, 900).every((h) => h === 0),
    "networks start at rest",
  );
  assert.ok(hs!.data.slice(4 * 900, 5 * 900).some((h) => h > 0));
});

test("a trained network and a fresh one do not do the same", async ({ run, out }) => {
  const args = ["--input", "digits:0", "--times", "2"];
  const trained = await simulate(out, run, ...args);
  const fresh = await simulate(out, ...FRESH, ...WASM, ...args);
  assert.equal(trained.hs!.shape, fresh.hs!.shape);
  assert.not.equal(trained.hs!.data, fresh.hs!.data);
});

test("a trained network sees other images than it was trained on", async ({ run, out }) => {
  const args = [run, "--input", "digits:0", "--times", "2"];
  const same = await simulate(out, ...args);
  const fewer = await simulate(out, ...args, "--train-samples", "32");
  assert.equal(fewer.hs!.data, same.hs!.data);
});

test("chosen neurons are those columns of all of them", async ({ run, out }) => {
  const all = await simulate(out, run, "--input", "digits:0", "--times", "3");
  const some = await simulate(out, run, "--input", "digits:0", "--times", "3", "--neurons", "7,100-102,7");
  assert.equal(some.neurons!.data, [7, 100, 101, 102]);
  const expected = [0, 1, 2].flatMap((time) => some.neurons!.data.map((i) => all.hs!.data[time * 900 + i]!));
  assert.equal(some.hs!.data, expected);
  const inputs = await simulate(out, run, "--input", "digits:0", "--times", "2", "--neurons", "input");
  assert.ok(inputs.neurons!.data.length > 0 && inputs.neurons!.data.length < 900);
});

test("a constant and an array of the same values drive the network alike, a sequence in time too", async ({
  folder,
  out,
}) => {
  const times = [...FRESH, ...WASM, "--times", "3", "--neurons", "0-99"];
  const constant = await simulate(out, "--input", "constant:0.5", ...times);
  const file = join(folder, "input.npy");
  await writeNpy(file, { shape: [2, 784], data: new Float32Array(2 * 784).fill(0.5) });
  const array = await simulate(out, "--input", file, ...times);
  assert.equal(array.hs!.shape, [2, 3, 100]);
  assert.equal(array.hs!.data.slice(0, 300), constant.hs!.data);
  assert.is(array.labels, undefined);
  await writeNpy(file, { shape: [1, 4, 784], data: new Float64Array(4 * 784).fill(0.5) });
  const sequence = await simulate(out, "--input", file, ...times);
  assert.ok(sequence.hs!.data.every((h, k) => Math.abs(h - constant.hs!.data[k]!) < 0.05));
});

test("--plot draws the activity, --json says what was written", async ({ folder, run, out }) => {
  const plot = join(folder, "activity.svg");
  const args = ["simulate", run, "--input", "digits:0-1", "--out", out, "--plot", plot, "--json", "--overwrite"];
  const said = JSON.parse(await runCommand(registerSimulate, ...args));
  const recorded = { neurons: 900, types: null };
  assert.equal(said, {
    ...{ out, plot, samples: 2, times: 25, neurons: 900 },
    ...{ recorded, interventions: [], comparison: null },
  });
  const svg = await readFile(plot, "utf8");
  assert.match(svg, /^<svg/);
  assert.not.match(svg, /NaN|undefined/);
});

test("neurons are silenced, clamped and driven, and the accuracy of the intact run stands beside", async ({
  folder,
  run,
  out,
}) => {
  const args = [run, "--input", "digits:0-9", "--times", "3"];
  const intact = await simulate(out, ...args);
  const acts = ["--silence", "0-9", "--silence", "5-19", "--clamp", "20=0.5", "--clamp", "21,22=0.25"];
  const acted = await simulate(out, ...args, ...acts, "--drive", "input & !0-22=0.5");
  const at = (arrays: typeof acted, s: number, t: number, i: number) => arrays.hs!.data[(s * 3 + t) * 900 + i]!;
  for (let s = 0; s < 10; s++) {
    for (let t = 0; t < 3; t++) {
      for (let i = 0; i < 20; i++) assert.is(at(acted, s, t, i), 0);
      assert.equal([at(acted, s, t, 20), at(acted, s, t, 21), at(acted, s, t, 22)], [0.5, 0.25, 0.25]);
    }
  }
  const driven = Array.from({ length: 877 }, (_, k) => 23 + k).filter((i) => at(acted, 0, 2, i) > at(intact, 0, 2, i));
  assert.ok(driven.length > 300, `a current raises states: ${driven.length}`);
  // A course in time needs a sequence; a number per sample does not.
  const file = join(folder, "currents.npy");
  await writeNpy(file, { shape: [10], data: Float64Array.from({ length: 10 }, (_, s) => (s === 3 ? 1 : 0)) });
  const one = await simulate(out, ...args, "--drive", `input=${file}`);
  const same = (s: number) =>
    Array.from({ length: 2700 }, (_, k) => k).every(
      (k) => one.hs!.data[s * 2700 + k] === intact.hs!.data[s * 2700 + k],
    );
  assert.equal(
    Array.from({ length: 10 }, (_, s) => same(s)),
    Array.from({ length: 10 }, (_, s) => s !== 3),
  );
  const command = ["simulate", ...args, "--silence", "output", "--record", "0-9", "--out", out, "--overwrite"];
  const text = await runCommand(registerSimulate, ...command);
  assert.match(text, /^silenced \d+ neurons\naccuracy \d+\.\d % → \d+\.\d % of 10 samples, .*\nrecorded 10 neurons\n/);
  const said = JSON.parse(await runCommand(registerSimulate, ...command, "--json"));
  assert.is(said.interventions[0].kind, "silence");
  assert.is(said.comparison.samples, 10);
  const { intact: before, intervened: after } = said.comparison.metrics.accuracy;
  assert.ok(after <= before);
});

test("an existing file is replaced on request only", async ({ run, out }) => {
  const args = ["simulate", run, "--input", "digits:0", "--out", out, "--record", "0"];
  await runCommand(registerSimulate, ...args, "--overwrite");
  assert.match(String(await errorOf(runCommand(registerSimulate, ...args))), /--overwrite, got an existing one/);
});

test("a table has a line for each sample, time and neuron, with what is known of them", async ({
  folder,
  run,
  out,
}) => {
  const file = join(folder, "activity.csv");
  const args = [run, "--input", "digits:1-2", "--at", "0.5,3", "--record", "3,7", "--rates"];
  await runCommand(registerSimulate, "simulate", ...args, "--out", file);
  const { rates, labels } = await simulate(out, ...args);
  const rows = (await readFile(file, "utf8")).trimEnd().split("\n");
  assert.is(rows[0], "sample,label,time [tau],neuron,rate");
  const expected = rates!.data.map((rate, k) => {
    const [s, t, c] = [Math.floor(k / 4), Math.floor(k / 2) % 2, k % 2];
    return [s, labels!.data[s], [0.5, 3][t], [3, 7][c], rate].join(",");
  });
  assert.equal(rows.slice(1), expected.map(String));
});

test("types and ids of a table stand in both files, and select", async ({ folder, out }) => {
  const edges = join(folder, "edges.csv");
  const table = join(folder, "edges_neurons.csv");
  const ids = ["720575940621039145", "720575940621039146", "720575940621039147"];
  await writeFile(edges, `pre,post,weight\n${ids[0]},${ids[1]},1\n${ids[1]},${ids[2]},1\n`);
  const rows = ids.map((id, i) => `${id},${["R1", '"L 1"', "T4"][i]},${["left", "left", "right"][i]}\n`);
  await writeFile(table, `id,cell_type,side\n${rows.join("")}`);
  const model = ["--connectome", edges, "--input", "constant:1", "--times", "2", "--train-samples", "64", ...WASM];
  const config = join(folder, "config.yaml");
  await writeFile(config, "readout: all\n");
  const args = [...model, "--config", config, "--record", "side:left"];
  await runCommand(registerSimulate, "simulate", ...args, "--out", out, "--overwrite");
  const npz = await openNpz(out);
  try {
    const texts = async (name: string) => {
      const { bytes, label } = await npz.readRaw(name);
      return { bytes: bytes.length, label };
    };
    assert.is((await texts("types")).bytes, 2 * 3 * 4);
    assert.is((await texts("ids")).bytes, 2 * 18 * 4);
  } finally {
    npz.close();
  }
  const csv = join(folder, "typed.csv");
  await runCommand(registerSimulate, "simulate", ...args, "--clamp", `id:${ids[0]}=2`, "--out", csv);
  const lines = (await readFile(csv, "utf8")).split("\n");
  assert.is(lines[0], "sample,time [tau],neuron,id,type,state");
  assert.is(lines[1], `0,0,0,${ids[0]},R1,2`);
  assert.is(lines[2], `0,0,1,${ids[1]},L 1,0`);
});

/** Trains for a step and returns the folder. */
async function trained(folder: string, name: string, ...args: readonly string[]): Promise<string> {
  const run = join(folder, name);
  const common = ["--steps", "1", "--batch-size", "8", "--threads", "1", "--eval-every", "1", "--quiet", "--no-report"];
  await runCommand(registerTrain, "train", "--out", run, ...common, ...WASM, ...args);
  return run;
}

test("a network in discrete time sees sequences: steps are recorded, targets written, every metric compared", async ({
  folder,
  out,
}) => {
  const network = ["--generate", "300x2000", "--dynamics", "leaky", "--tau", "2", "--nonlinearity", "Tanh"];
  const ends = ["--input", "groups", "--head", "groups", "--group-size", "8", "--readout-times", "last:4"];
  const time = ["--time", "discrete", "--recurrences", "2", "--rest", "0.1", "--rest-time", "3"];
  const data = ["--data", "addition", "--train-samples", "16", "--test-samples", "8", "--validation-samples", "4"];
  const metrics = ["--metrics", "accuracy,balanced-accuracy", "--no-standardise"];
  const run = await trained(folder, "addition", ...network, ...ends, ...time, ...data, ...metrics);
  const { hs, ts, targets, labels } = await simulate(out, run, "--input", "test:2-4", "--times", "1000");
  const steps = ts!.data.length;
  assert.equal(hs!.shape, [3, steps, 300]);
  assert.equal(
    ts!.data,
    Array.from({ length: steps }, (_, k) => k + 1),
  );
  assert.equal([labels!.shape, targets], [[3], undefined]);
  const some = await simulate(out, run, "--input", "test:2-4", "--at", `2,${steps}`, "--record", "5,7");
  const expected = [0, 1, 2].flatMap((s) =>
    [1, steps - 1].flatMap((k) => [5, 7].map((i) => hs!.data[(s * steps + k) * 300 + i])),
  );
  assert.equal(some.hs!.data, expected);
  assert.equal(some.ts!.data, [2, steps]);
  const few = await simulate(out, run, "--input", "test:2-4", "--times", "4");
  assert.equal(
    few.ts!.data,
    [1, 2, 3, 4].map((k) => (k * steps) / 4),
  );
  const args = ["simulate", run, "--input", "test:0-7", "--record", "0", "--out", out, "--overwrite"];
  const acts = ["--silence", "output", "--drive", "input=0.5"];
  const text = await runCommand(registerSimulate, ...args, ...acts);
  assert.match(text, /\naccuracy \S+ % → \S+ % of 8 samples, intact → with interventions\nbalanced-accuracy \S+ % → /);
  const { comparison } = JSON.parse(await runCommand(registerSimulate, ...args, ...acts, "--json"));
  assert.equal(Object.keys(comparison.metrics), ["accuracy", "balanced-accuracy"]);
  // Outputs are means over silenced neurons: all are 0, and the first class is the answer.
  const { labels: all } = await simulate(out, run, "--input", "test:0-7", "--record", "0");
  const share = all!.data.filter((label) => label === 0).length / 8;
  assert.ok(Math.abs(comparison.metrics.accuracy.intervened - share) < 1e-6);
  const wrong = (...more: string[]) => errorOf(simulate(out, run, ...more));
  assert.match(String(await wrong("--input", "test:0", "--at", "0,4")), /numbers of steps from 1 to \d+, got 0 at 0/);
  // A constant input lasts as long as a sequence.
  const constant = await simulate(out, run, "--input", "constant:0.2", "--times", "2");
  assert.equal(constant.ts!.data, [steps / 2, steps]);
  const csv = join(folder, "steps.csv");
  await runCommand(registerSimulate, "simulate", run, "--input", "train:0", "--at", "3", "--record", "0", "--out", csv);
  assert.match(await readFile(csv, "utf8"), /^sample,label,step,neuron,state\n0,\d+,3,0,/);
});

test("samples of a file are standardised as those of the run, and their metrics compared", async ({ folder, out }) => {
  const [count, width] = [12, 3];
  const inputs = Float32Array.from({ length: count * width }, (_, k) => 5 + 3 * Math.sin(k));
  const targets = Float32Array.from({ length: count }, (_, s) => inputs[s * width]! / 4);
  const split = Int32Array.from({ length: count }, (_, s) => (s < 8 ? 0 : 2));
  const file = join(folder, "samples.npz");
  await writeNpz(file, {
    inputs: { shape: [count, width], data: inputs },
    targets: { shape: [count, 1], data: targets },
    split: { shape: [count], data: split },
  });
  const data = ["--data", file, "--scale-inputs", "standardise", "--generate", "300x2000", "--no-standardise"];
  const run = await trained(folder, "numbers", ...data);
  const args = ["--times", "3", "--record", "0-99"];
  const own = await simulate(out, run, "--input", "test:1-3", ...args);
  assert.equal(own.targets!.data, [...targets.subarray(9)]);
  const ofFile = await simulate(out, run, "--input", `${file}:1-3`, ...args);
  assert.equal(ofFile, own);
  const whole = await simulate(out, run, "--input", file, ...args);
  assert.is(whole.hs!.shape[0], 4);
  assert.equal(whole.hs!.data.slice(300), own.hs!.data);
  const train = await simulate(out, run, "--input", `${file}:train:0`, ...args);
  assert.equal(train.hs!.data, (await simulate(out, run, "--input", "train:0", ...args)).hs!.data);
  const other = join(folder, "unlabelled.npz");
  await writeNpz(other, { inputs: { shape: [3, width], data: inputs.slice(9 * width) } });
  const unlabelled = await simulate(out, run, "--input", other, ...args);
  assert.equal(unlabelled.hs, own.hs);
  assert.is(unlabelled.targets, undefined);
  const acts = ["simulate", run, "--silence", "input", "--record", "0", "--out", out, "--overwrite", "--json"];
  const compared = async (input: string) => JSON.parse(await runCommand(registerSimulate, ...acts, "--input", input));
  assert.equal((await compared(file)).comparison, (await compared("test:0-3")).comparison);
  assert.is((await compared(other)).comparison, null);
  const wrong = (input: string) => errorOf(simulate(out, run, "--input", input));
  assert.match(String(await wrong(`${file}:4`)), /samples from 0 to 3/);
  assert.match(String(await wrong(`${file}:validation:0`)), /a part that there is: train, test, got validation/);
  await writeNpz(other, { inputs: { shape: [3, 2], data: inputs.slice(0, 6) } });
  assert.match(String(await wrong(other)), /expected 3 numbers, as `normalise` has, got 2/);
});

test("wrong inputs are refused with what is possible", async ({ folder, run, out }) => {
  const wrong = (...args: string[]) => errorOf(simulate(out, run, ...args));
  assert.match(String(await wrong("--input", "digits:20-99")), /images from 0 to 23/);
  assert.match(
    String(await wrong("--input", "digit")),
    /train, validation, test, digits:A-B, constant:X, FILE\.npy, or a file or folder of samples/,
  );
  assert.instance(await wrong("--input", "constant:x"), ArgumentError);
  assert.match(
    String(await wrong("--input", "digits:0", "--neurons", "T4")),
    /a column that the neurons have .*\(--neurons\)/,
  );
  assert.match(String(await wrong("--input", "digits:0", "--record", "0-900")), /from 0 to 899, .*\(--record\)/);
  assert.match(String(await wrong("--input", "digits:0", "--clamp", "0-3")), /NEURONS=STATE/);
  assert.match(String(await wrong("--input", "digits:0", "--clamp", "0-3=x")), /a number behind the last =, got "x"/);
  assert.match(String(await wrong("--input", "digits:0", "--drive", "0-3=x")), /a number or FILE\.npy/);
  assert.match(String(await wrong("--input", "digits:0", "--silence", "5", "--clamp", "5=1")), /held once/);
  assert.match(String(await wrong("--input", "digits:0", "--at", "0,x")), /times like 0\.5,1,3, got "x"/);
  assert.match(String(await wrong("--input", "digits:0", "--at", "1", "--times", "3")), /no --times, got both/);
  assert.match(String(await wrong("--input", "digits:0", "--at", "9")), /times from 0 to 3, got 9/);
  const file = join(folder, "wrong.npy");
  await writeNpy(file, { shape: [1, 3], data: new Float32Array(3) });
  assert.instance(await wrong("--input", file), ShapeError);
});

test.run();
