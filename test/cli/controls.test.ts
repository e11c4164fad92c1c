// axograd controls: what it trains and takes up again; and that without connections nothing comes through.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONTROLS, planControls } from "../../src/cli/controls.ts";
import { normaliseRows } from "../../src/data/connectomes.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { writeNetwork } from "./network.ts";
import { axograd, TINY } from "./process.ts";

const test = suite("axograd controls");
const dir = tempDir();

const LEARNS: readonly string[] = [
  ...["--train-samples", "1024", "--validation-samples", "0", "--test-samples", "200", "--batch-size", "32"],
  ...["--steps", "60", "--lr", "5e-3", "--solver", "euler", "--dt", "0.5", "--threads", "1", "--device", "wasm"],
];

interface Results {
  readonly runs: readonly { readonly run: string; readonly status: string; readonly testAccuracy: number }[];
  readonly groups: readonly { readonly options: (typeof CONTROLS)[number]; readonly finished: number }[];
}

test("without connections the read-out of output neurons is at chance, with the real ones it is not", async () => {
  const { csr } = await writeNetwork(dir, 6);
  const args = ["controls", "--connectome", "net_csr.npz", ...LEARNS, "--seeds", "1", "--json", "--out", "chance"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  const { runs } = JSON.parse(stdout) as Results;
  const accuracy = Object.fromEntries(runs.map(({ run, testAccuracy }) => [run, testAccuracy]));
  const of = (wiring: string, trained: boolean): string => `wiring=${wiring}_trainConnectome=${trained}_seed=0`;
  // No image can be told from another: all are taken for the same class.
  const none = of("none", false);
  const summary = JSON.parse(await readFile(join(dir, "chance", "runs", none, "summary.json"), "utf8"));
  const { confusion } = summary.test as { confusion: number[][] };
  const predicted = confusion[0]!.map((_, c) => confusion.reduce((sum, row) => sum + row[c]!, 0));
  assert.is(predicted.filter((n) => n > 0).length, 1, `${predicted}`);
  // 200 test images: chance is 10 %, with a standard deviation of 2.1 %.
  assert.ok(accuracy[none]! < 0.2, `${accuracy[none]}`);
  for (const run of [of("real", true), of("real", false)]) assert.ok(accuracy[run]! > 0.4, `${run} ${accuracy[run]}`);
  const weights = async (run: string): Promise<Float64Array> => {
    const { tensors } = await loadCheckpoint(join(dir, "chance", "runs", run, "checkpoint.safetensors"));
    return Float64Array.from(tensors.get("rnn.hh.values")!.data as Float32Array);
  };
  const initial = Float64Array.from(normaliseRows(csr, 2).values, Math.fround);
  assert.equal(await weights(of("real", false)), initial);
  assert.not.equal(await weights(of("real", true)), initial);
  assert.ok((await weights(none)).every((w) => w === 0));
  for (const wiring of ["shuffled", "random"]) assert.is((await weights(of(wiring, true))).length, csr.nnz);
});

test("every network is trained for every seed; a run that failed loses no other, and is tried again", async () => {
  const args = ["controls", ...TINY, "--seeds", "2", "--seed", "5", "--json", "--out", "again"];
  const lost = join(dir, "again", "runs", "wiring=shuffled_trainConnectome=true_seed=6");
  const first = await axograd(args, { cwd: dir });
  assert.is(first.code, 0, first.stderr);
  const { runs, groups } = JSON.parse(first.stdout) as Results;
  assert.equal(
    groups.map(({ options, finished }) => ({ ...options, finished })),
    CONTROLS.map((control) => ({ ...control, finished: 2 })),
  );
  assert.is(runs.length, 10);
  await rm(lost, { recursive: true });
  await writeFile(lost, "in the way");
  const failed = await axograd(args, { cwd: dir });
  assert.is(failed.code, 1);
  assert.match(failed.stderr, /got 1 that failed.*shuffled/s);
  await rm(lost);
  const again = await axograd(args, { cwd: dir });
  assert.is(again.code, 0, again.stderr);
  const accuracies = (text: string): unknown =>
    JSON.parse(text).runs.map((run: Results["runs"][number]) => run.testAccuracy);
  assert.equal(accuracies(again.stdout), accuracies(first.stdout));
  const files = await readdir(join(dir, "again"));
  for (const file of ["results.csv", "results.json", "results.md", "results.svg"])
    assert.ok(files.includes(file), file);
});

test("seeds count from the one that is given; what leaves nothing to judge by is refused", async () => {
  const seeds = planControls([{ steps: 3, seed: 7 }], 2).map(({ config }) => config.seed);
  assert.equal([...new Set(seeds)], [7, 8]);
  await fails(() => planControls([{ validationSamples: 0, testSamples: 0 }], 1), "argument", /--test-samples/);
  const { code, stderr } = await axograd(["controls", "--seeds", "0"], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /1 to 1000/);
});

test.run();
