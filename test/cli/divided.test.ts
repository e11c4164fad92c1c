// Sweeps whose runs are divided among ranks: each run goes to one of them, requests to stop and errors of one are those of all, and the results
// are those of one process.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { divided } from "../../src/cli/sweep/divided.ts";
import { Meeting, type RunEnd, undivided } from "../../src/cli/sweep/division.ts";
import { planRuns } from "../../src/cli/sweep/plan.ts";
import { runSweep } from "../../src/cli/sweep/sweep.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { onRanks } from "../support/ranks.ts";
import { captured } from "./captured.ts";
import { axograd } from "./process.ts";

const test = suite("divided sweeps");
const dir = tempDir();

const SWEEP = `base:
  generate: 900x5000
  trainSamples: 64
  validationSamples: 16
  testSamples: 24
  batchSize: 16
  calibration: 32
  steps: 3
  device: wasm
  threads: 1
seeds: 2
grid:
  lr: [1e-3, 1e38]
`;

const DONE: RunEnd = { status: "finished", outcome: "well" };

async function meetings(size: number, count: number): Promise<Meeting[]> {
  const path = await Meeting.prepare(dir, `${size}-${count}`);
  return Array.from({ length: size }, (_, rank) => new Meeting(path, count, { rank, size }));
}

test("every run is given out once, to the rank that asks", async () => {
  const alone = undivided(2);
  assert.equal([await alone.next(), await alone.next(), await alone.next()], [0, 1, null]);
  for (const [size, count] of [
    [1, 3],
    [2, 7],
    [3, 2],
    [4, 0],
  ] as const) {
    const taken: number[] = [];
    const ranks = await meetings(size, count);
    await Promise.all(
      ranks.map(async (rank) => {
        for (let run = await rank.next(); run !== null; run = await rank.next()) taken.push(run);
      }),
    );
    assert.equal(
      taken.sort((a, b) => a - b),
      [...Array(count).keys()],
    );
  }
  // A rank that is quick takes what others have not begun.
  const [quick, slow] = (await meetings(2, 4)) as [Meeting, Meeting];
  assert.is(await slow.next(), 1);
  assert.equal([await quick.next(), await quick.next(), await quick.next()], [0, 2, 3]);
  assert.is(await slow.next(), null);
});

test("ranks hear of each other's runs and of a request to stop, and leave together", async () => {
  const [first, second] = (await meetings(2, 2)) as [Meeting, Meeting];
  const heard: unknown[] = [];
  const listener = {
    ended: (...facts: readonly unknown[]) => heard.push(facts),
    stopped: () => heard.push("stop"),
  };
  await second.ended(1, DONE);
  await first.ended(0, DONE);
  await second.stop();
  const silent = { ended: () => {}, stopped: () => {} };
  let hasLeft = false;
  const leaving = first.leave(listener).then(() => {
    hasLeft = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.not.ok(hasLeft);
  await Promise.all([leaving, second.leave(silent)]);
  assert.equal(heard, [[1, DONE, 1], "stop"]);
});

test("a folder that another command has taken over, or that a host cannot see, is an error", async () => {
  const [rank] = (await meetings(1, 3)) as [Meeting];
  assert.is(await rank.next(), 0);
  await Meeting.clear(dir);
  await fails(() => rank.next(), "lock-lost", /another command, which took the sweep over/);
  assert.is(await rank.isShared(1), false);
});

/** The same sweep command on each of several ranks, within this process. */
async function sweepOn(size: number, out: string): Promise<readonly [PromiseSettledResult<number>[], string]> {
  const file = join(dir, "sweep.yaml");
  await writeFile(file, SWEEP);
  let outcomes: PromiseSettledResult<number>[] = [];
  const { stdout, stderr } = await captured(async () => {
    [outcomes] = (await onRanks(1, async () => {
      const lead = (ranks: Parameters<typeof runSweep>[0]) =>
        readSweepFile(file, 10).then((sweep) => runSweep(ranks, planRuns(sweep), join(dir, out), { launcher: "local" }));
      const results: PromiseSettledResult<number>[] = [];
      await onRanks(size, async (communicator) => {
        const [result] = await Promise.allSettled([divided(communicator, lead)]);
        results[communicator.rank] = result!;
      });
      return results;
    })) as [PromiseSettledResult<number>[]];
  });
  return [outcomes, stdout + stderr];
}

test("three ranks share the runs and leave what one process leaves", async () => {
  const [outcomes, text] = await sweepOn(3, "three");
  console.log(text, outcomes);
});

test.run();
void [mkdir, readdir, readFile, rm, axograd];
