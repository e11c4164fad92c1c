// `axograd train` as several ranks, which run here in one process: the same bits, the same files, one voice, errors that all share.

import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { Interruption } from "../../src/cli/interruption.ts";
import { describeRanks, inRanks } from "../../src/cli/ranks.ts";
import { FollowedFolder, RunFolder } from "../../src/cli/runFolder.ts";
import { trainAs } from "../../src/cli/train.ts";
import type { GivenOptions } from "../../src/cli/trainOptions.ts";
import { type Communicator, SOLO } from "../../src/distributed/communicator.ts";
import { microBatchOf } from "../../src/run/microBatch.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { onRanks } from "../support/ranks.ts";
import { captured } from "./captured.ts";
import type { Line } from "./process.ts";
import * as trained from "./trained.ts";

const test = suite("train as several ranks");
const dir = tempDir();

/** Steps of 64 samples, the last of an epoch of 40. */
const SETTINGS: GivenOptions = {
  generate: { neurons: 300, connections: 900 },
  rtol: 0.1,
  atol: 0.01,
  trainSamples: 104,
  validationSamples: 20,
  testSamples: 24,
  batchSize: 64,
  calibration: 32,
  evalEvery: 3,
  diagnoseEvery: 0,
  threads: 1,
  device: "wasm",
  report: false,
};

interface Outcome {
  readonly codes: readonly number[];
  readonly stdout: string;
  readonly stderr: string;
}

/** @param given  of each rank */
async function train(ranks: number, given: (rank: number) => GivenOptions): Promise<Outcome> {
  let codes: readonly number[] = [];
  const one = (communicator: Communicator): Promise<number> =>
    inRanks(
      given(communicator.rank),
      (own) => trainAs(own, given(own.rank)),
      async () => communicator,
    );
  const texts = await captured(async () => {
    codes = ranks === 1 ? [await one(SOLO)] : await onRanks(ranks, one);
  });
  return { codes, ...texts };
}

const begin = (ranks: number, out: string, settings: GivenOptions = {}): Promise<Outcome> =>
  train(ranks, () => ({ ...SETTINGS, ...settings, out: join(dir, out) }));

const resume = (ranks: number, out: string, settings: GivenOptions = {}): Promise<Outcome> =>
  train(ranks, () => ({ report: false, ...settings, resume: join(dir, out) }));

const numbersOf = (out: string): Promise<string> => trained.numbersOf(join(dir, out));
const linesOf = (out: string): Promise<Line[]> => trained.linesOf(join(dir, out));
const metricsOf = (out: string): Promise<unknown[]> => trained.metricsOf(join(dir, out));

const startOf = async (out: string) => JSON.parse(await readFile(join(dir, out, "config.json"), "utf8"));

test("1, 3 and 4 ranks leave the same numbers and metrics, and print once; the record names ranks, hosts and library", async () => {
  const alone = await begin(1, "alone", { steps: 5, microBatch: 16 });
  assert.equal(alone.codes, [0], alone.stderr);
  for (const ranks of [3, 4]) {
    const out = `of${ranks}`;
    const { codes, stdout, stderr } = await begin(ranks, out, { steps: 5 });
    assert.equal(codes, Array(ranks).fill(0), stderr);
    assert.is(await numbersOf(out), await numbersOf("alone"), `${ranks} ranks`);
    assert.equal(await metricsOf(out), await metricsOf("alone"));
    assert.is(stdout.split("after step 5").length - 1, 2, "one validation, one test");
    const each = { 3: "1 or 2 micro-batches", 4: "1 micro-batch" }[ranks]!;
    assert.match(
      stdout,
      `ranks       ${ranks} on here (${ranks}), ranks in one process; ${each} each; 1 thread each\n`,
    );
    assert.match(stdout, "batches of 64, micro-batches of 16, 5 steps\n");
    const { config, ranks: recorded, environment } = await startOf(out);
    assert.is(config.microBatch, 16);
    assert.equal(recorded.hosts, Array(ranks).fill("here"));
    assert.equal(recorded.threads, Array(ranks).fill(1));
    assert.is(environment.ranks, describeRanks(recorded));
    const summary = JSON.parse(await readFile(join(dir, out, "summary.json"), "utf8"));
    assert.equal([summary.ranks.hosts.length, summary.microBatch], [ranks, 16]);
    const spent = (await linesOf(out)).flatMap(({ event, exchangeSeconds }) =>
      event === "step" ? [exchangeSeconds] : [],
    );
    assert.ok(spent.length === 5 && spent.every((seconds) => Number(seconds) > 0), `${spent}`);
    assert.match(stdout, /steps\/s, .*; \d+\.\d % of the time for exchange and waiting\n/);
  }
  assert.is((await startOf("alone")).ranks, undefined);
});

test("a run goes on with other numbers of ranks, and with the same numbers as without a break", async () => {
  await begin(2, "moves", { steps: 2 });
  assert.equal((await resume(4, "moves", { steps: 4 })).codes, [0, 0, 0, 0]);
  assert.equal((await resume(1, "moves", { steps: 5 })).codes, [0]);
  assert.is(await numbersOf("moves"), await numbersOf("alone"));
  const { config, ranks } = await startOf("moves");
  assert.equal([config.microBatch, ranks], [16, undefined]);
});

test("a run of one process that goes on on several ones says from which step on sums are grouped differently", async () => {
  await begin(1, "joined", { steps: 2 });
  const { codes, stderr } = await resume(2, "joined", { steps: 4 });
  assert.equal(codes, [0, 0], stderr);
  const said = /from step 3 on, gradients are added in micro-batches of 16: the last bits/;
  assert.match(stderr, said);
  const warnings = (await linesOf("joined")).filter(({ event }) => event === "warning");
  assert.match(`${warnings[0]?.message}`, said);
  assert.is((await startOf("joined")).config.microBatch, 16);
  const again = await resume(2, "joined", { steps: 5 });
  assert.not.match(again.stderr, /from step/, "once");
});

test("settings that differ are refused, with the option and the rank", async () => {
  const differ = (rank: number): GivenOptions => ({
    ...SETTINGS,
    lr: rank === 2 ? 0.5 : 0.25,
    out: join(dir, "differ"),
  });
  const { codes, stderr } = await train(3, differ);
  assert.equal(codes, [2, 2, 2]);
  const expected =
    "axograd: train: expected the same on all ranks, 0.25 as rank 0 on here, got 0.5 on rank 2 on here (--lr)\n";
  assert.is(stderr, expected);
});

test("each rank gets an adapter of its own: one that is not there is refused with the rank that lacks it", async () => {
  const { AXOGRAD_ADAPTER: before } = process.env;
  process.env.AXOGRAD_ADAPTER = "Voodoo";
  try {
    const { codes, stderr } = await begin(2, "adapters", { device: "webgpu" });
    assert.equal(codes, [1, 1]);
    assert.match(stderr, /^axograd: rank 0 on here: .*$/m);
  } finally {
    if (before === undefined) delete process.env.AXOGRAD_ADAPTER;
    else process.env.AXOGRAD_ADAPTER = before;
  }
});

test("an error of all ranks, and one of a single rank, ends all with one message and one code", async () => {
  const all = await begin(3, "of3");
  assert.equal(all.codes, [2, 2, 2]);
  assert.match(
    all.stderr,
    /^axograd: rank 0 \(here\): train: expected a new or empty folder .*, which has files \(--out\)\n$/,
  );
  const one = await train(2, (rank) => ({
    ...SETTINGS,
    ...(rank === 1 && { data: join(dir, "gone.npz") }),
    out: join(dir, "one"),
  }));
  assert.equal(one.codes, [2, 2]);
  const config = join(dir, "gone.yaml");
  const file = await train(2, (rank) => ({ ...SETTINGS, ...(rank === 1 && { config }), out: join(dir, "one") }));
  assert.equal(file.codes, [2, 2]);
  assert.match(file.stderr, /^axograd: rank 1 \(here\): .*gone\.yaml.*\n$/);
  const many = await begin(5, "many");
  assert.equal(many.codes, Array(5).fill(2));
  assert.match(
    many.stderr,
    /expected at most 4 ranks, as the 64 samples of a step are 4 micro-batches of 16 \(a larger --batch-size makes more, or --micro-batch 12\), got 5 \(ranks\)\n$/,
  );
});

test("a file that rank 0 cannot write stops all ranks, with one message", async () => {
  await begin(2, "blocked", { steps: 2 });
  // Where the readable copy of the next checkpoint goes.
  const copy = join(dir, "blocked", "checkpoint.json");
  await rm(copy);
  await mkdir(copy);
  const { codes, stderr } = await resume(2, "blocked", { steps: 100, checkpointEvery: 3 });
  assert.equal(codes, [1, 1], stderr);
  assert.match(
    stderr,
    /axograd: rank 0 \(here\): \S*checkpoint\.json: expected a place to write to, got .*; the last good checkpoint is/,
  );
  assert.is(stderr.split("a place to write to").length, 2, "once");
  const lines = await linesOf("blocked");
  assert.is(lines.filter(({ event }) => event === "step").at(-1)!.step, 3);
  assert.is(lines.at(-1)!.code, "file-write");
});

test("a run that may roll back is refused where a host does not see its folder", async () => {
  const { file } = RunFolder.prototype;
  FollowedFolder.prototype.file = function (name) {
    return `${file.call(this, name)}.elsewhere`;
  };
  try {
    const { codes, stderr } = await begin(2, "unseen", { onNonfinite: "rollback", steps: 2 });
    assert.equal(codes, [1, 1]);
    assert.match(stderr, /axograd: rank 1 \(here\): train: expected a folder that all hosts see, got .*rollback\)/);
  } finally {
    FollowedFolder.prototype.file = file;
  }
  assert.equal((await begin(2, "seen", { onNonfinite: "rollback", steps: 2 })).codes, [0, 0]);
});

test("micro-batches: a panel on a CPU, a share on a GPU, and none alone", () => {
  const config = { batchSize: 64, accumulate: 2, microBatch: null };
  const device = (name: Backend["name"]): Backend => ({ name, maxLanes: 64 }) as unknown as Backend;
  const [cpu, gpu] = [device("wasm"), device("webgpu")];
  const of = (size: number): Pick<Communicator, "size" | "description"> => ({ size, description: "some" });
  assert.is(microBatchOf(config, { count: 1000 }, cpu, SOLO), null);
  assert.is(microBatchOf(config, { count: 1000 }, cpu, of(1)), 16);
  assert.is(microBatchOf(config, { count: 1000 }, cpu, of(3)), 16);
  assert.is(microBatchOf(config, { count: 1000 }, gpu, of(3)), 43);
  assert.is(microBatchOf({ ...config, microBatch: 5 }, { count: 1000 }, gpu, of(3)), 5);
  // Ranks follow from the samples that there are.
  return fails(
    async () => microBatchOf(config, { count: 30 }, cpu, of(3)),
    "argument",
    /at most 2 ranks.*--micro-batch 10\)/,
  );
});

test("a request to one rank is one to all, with its cause; the first signal to another one ends it in order, too", async () => {
  const requests = new Map<number, Interruption>();
  const causes = await onRanks(3, async (communicator) => {
    // Signals are the process's: only those that exist get this one.
    if (communicator.rank !== 1) await communicator.exchange(null);
    const own = new Interruption(communicator);
    requests.set(communicator.rank, own);
    if (communicator.rank === 1) {
      process.emit("SIGUSR1", "SIGUSR1");
      await communicator.exchange(null);
    }
    const before = own.signal.aborted;
    assert.is(await own.isAgreed(), true);
    return [before, own.signal.aborted, own.cause, own.exitCode(0)];
  });
  const code = causes[1]![3];
  assert.equal(causes, [
    [false, true, "SIGUSR1", code],
    [true, true, "SIGUSR1", code],
    [false, true, "SIGUSR1", code],
  ]);
  // A launcher passes one signal on to all ranks, some a little later.
  requests.get(1)!.dispose();
  process.emit("SIGTERM", "SIGTERM");
  assert.is(requests.get(0)!.cause, "SIGUSR1");
  for (const request of requests.values()) request.dispose();
});

test.run();
