// `axograd simulate` on fresh and trained networks, small ones.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerSimulate } from "../../src/cli/simulate.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { writeNpy } from "../../src/io/npy.ts";
import { readNpz } from "../../src/io/npz.ts";
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
  await runCommand(registerSimulate, "simulate", ...args, "--out", out);
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
  const args = ["simulate", run, "--input", "digits:0-1", "--out", out, "--plot", plot, "--json"];
  const said = JSON.parse(await runCommand(registerSimulate, ...args));
  assert.equal(said, { out, plot, samples: 2, times: 25, neurons: 900 });
  const svg = await readFile(plot, "utf8");
  assert.match(svg, /^<svg/);
  assert.not.match(svg, /NaN|undefined/);
});

test("wrong inputs are refused with what is possible", async ({ folder, run, out }) => {
  const wrong = (...args: string[]) => errorOf(simulate(out, run, ...args));
  assert.match(String(await wrong("--input", "digits:20-99")), /images from 0 to 23/);
  assert.match(String(await wrong("--input", "digit")), /digits:A-B, constant:X or FILE\.npy/);
  assert.instance(await wrong("--input", "constant:x"), ArgumentError);
  assert.match(String(await wrong("--input", "digits:0", "--neurons", "T4")), /cell types, roles, or indices/);
  const file = join(folder, "wrong.npy");
  await writeNpy(file, { shape: [1, 3], data: new Float32Array(3) });
  assert.instance(await wrong("--input", file), ShapeError);
});

test.run();
