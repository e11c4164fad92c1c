// Sweeps whose runs are divided among ranks: each run goes to one of them, what one is asked all do, and the results are those of one process.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { divided, type Ranks } from "../../src/cli/sweep/divided.ts";
import { Meeting, type RunEnd, undivided } from "../../src/cli/sweep/division.ts";
import { planRuns } from "../../src/cli/sweep/plan.ts";
import { runSweep } from "../../src/cli/sweep/sweep.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { hasMpirun, IMPLEMENTATIONS, mpirun, mpirunMissing, startMpirun } from "../support/mpirun.ts";
import { onRanks } from "../support/ranks.ts";
import { testOrSkip } from "../support/skip.ts";
import { captured, type Texts } from "./captured.ts";
import { axograd, MAIN, TINY } from "./process.ts";
import { SMALL_BASE } from "./sweepBase.ts";

const test = suite("divided sweeps");
const dir = tempDir();

const DONE: RunEnd = { status: "finished", outcome: "well" };
const NOBODY = { ended: () => {}, stopped: () => {} };

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
    // Two at a time on each rank.
    await Promise.all(
      [...ranks, ...ranks].map(async (rank) => {
        for (let run = await rank.next(); run !== null; run = await rank.next()) taken.push(run);
      }),
    );
    assert.equal(
      taken.sort((a, b) => a - b),
      [...Array(count).keys()],
    );
  }
  // A rank that is done early takes what others have not begun.
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
  let hasLeft = false;
  const leaving = first.leave(listener).then(() => {
    hasLeft = true;
  });
  await pause(50);
  assert.not.ok(hasLeft);
  assert.equal(heard, [[1, DONE, 1], "stop"]);
  await Promise.all([leaving, second.leave(NOBODY)]);
  assert.is(heard.length, 2);
});

test("a folder that another command has taken over, or that a host cannot see, is an error", async () => {
  const [rank] = (await meetings(1, 3)) as [Meeting];
  assert.is(await rank.next(), 0);
  await Meeting.prepare(dir, "other");
  await fails(() => rank.next(), "lock-lost", /removed by another command, which took the sweep over/);
  await fails(() => rank.leave(NOBODY), "lock-lost");
  assert.is(await rank.isShared(1), false);
  const [blind, sees] = await onRanks(2, async (communicator) => {
    const path = communicator.rank === 0 ? join(dir, "ranks-other") : join(dir, "nowhere");
    return new Meeting(path, 1, communicator).isShared(1);
  });
  assert.equal([blind, sees], [true, false]);
});

const SWEEP = `${SMALL_BASE}  steps: 3
  threads: 1
seeds: 2
`;

const sweepFile = join(dir, "sweep.yaml");

test.before(async () => {
  await writeFile(sweepFile, SWEEP);
  const { code, stderr } = await axograd(["sweep", "sweep.yaml", "--parallel", "2", "--out", "alone"], { cwd: dir });
  assert.is(code, 0, stderr);
});

/** The results of a sweep, without what clocks say. */
async function results(out: string): Promise<string> {
  const { runs } = JSON.parse(await readFile(join(dir, out, "results.json"), "utf8"));
  return JSON.stringify(runs.map(({ seconds: _, ...run }: { readonly seconds: number }) => run));
}

/** The sweep on ranks within this process: what each came to, and what they printed. */
async function sweepOn(size: number, out: string): Promise<Texts & { readonly outcomes: readonly unknown[] }> {
  let outcomes: readonly unknown[] = [];
  const lead = async (ranks: Ranks): Promise<number> =>
    runSweep(ranks, planRuns(await readSweepFile(sweepFile, 10)), join(dir, out), { launcher: "local" });
  const texts = await captured(async () => {
    outcomes = await onRanks(size, async (communicator) => divided(communicator, lead).catch((error) => error));
  });
  return { ...texts, outcomes };
}

test("three ranks share two runs, and leave what one process leaves", async () => {
  const { outcomes, stderr } = await sweepOn(3, "three");
  assert.equal(outcomes, [0, 0, 0], stderr);
  assert.match(stderr, /\[2\/2\] seed=\d {2}rank \d on here {2}finished {2}test accuracy/);
  assert.is(await results("three"), await results("alone"));
  assert.equal((await readdir(join(dir, "three"))).sort(), (await readdir(join(dir, "alone"))).sort());
  const again = await sweepOn(3, "three");
  assert.equal(again.outcomes, [0, 0, 0]);
  assert.not.match(again.stderr, /\[1\//, "nothing was left to do");
});

test("what rank 0 refuses ends all; one run that fails loses no other", async () => {
  await writeFile(join(dir, "no folder"), "");
  const refused = await sweepOn(2, "no folder");
  assert.match(`${refused.outcomes[0]}`, /expected a folder/);
  assert.is(refused.outcomes[1], 0);
  await rm(join(dir, "three", "runs", "seed=0"), { recursive: true });
  await writeFile(join(dir, "three", "runs", "seed=0"), "in the way");
  const { outcomes, stderr } = await sweepOn(2, "three");
  assert.match(`${outcomes[0]}`, /got 1 that failed.*\n {2}seed=0: /);
  assert.is(outcomes[1], 0, stderr);
});

/** The process that holds a folder, once it does, and the one that has started it. */
async function holderOf(folder: string): Promise<{ readonly pid: number; readonly parent: number }> {
  const text = await readFile(join(dir, folder, "run.lock"), "utf8").catch(() => null);
  if (text === null) {
    await pause(50);
    return holderOf(folder);
  }
  const { pid } = JSON.parse(text);
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return { pid, parent: Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]) };
}

/** Each command with another library, if there are two. */
const [first = "openmpi", second = first] = IMPLEMENTATIONS.filter(hasMpirun);

testOrSkip(
  test,
  hasMpirun(first),
  mpirunMissing(first),
  "sweep under mpirun has the results of one process",
  async () => {
    const command = ["node", MAIN, "sweep", sweepFile, "--out", "mpirun"] as const;
    const { code, stdout, stderr } = await mpirun({ implementation: first, ranks: 2, command, cwd: dir });
    assert.is(code, 0, stderr);
    assert.match(stdout, /2 runs\n/);
    assert.is(await results("mpirun"), await results("alone"));
  },
);

testOrSkip(
  test,
  hasMpirun(second) && process.platform === "linux",
  mpirunMissing(second),
  "a rank that is killed ends the sweep, and the same command continues its runs",
  async () => {
    const file = join(dir, "killed.yaml");
    await writeFile(file, SWEEP.replace("steps: 3", "steps: 40"));
    const launch = { implementation: second, ranks: 2, cwd: dir, timeoutS: 120 } as const;
    const command = ["node", MAIN, "sweep", file, "--out", "killed"] as const;
    const { finished } = startMpirun({ ...launch, command });
    const runs = await Promise.all([0, 1].map((seed) => holderOf(join("killed", "runs", `seed=${seed}`))));
    const { pid: leader } = await holderOf("killed");
    process.kill(runs.find(({ parent }) => parent !== leader)!.parent, "SIGKILL");
    assert.is.not((await finished).code, 0);
    const again = await mpirun({ ...launch, command });
    assert.is(again.code, 0, again.stderr);
    assert.match(again.stdout, /: 2 runs \((1 interrupted, 1 running|2 interrupted|2 running)\)\n/);
    assert.match(again.stderr, /\[2\/2\] seed=\d .*finished/);
  },
);

testOrSkip(
  test,
  hasMpirun(second),
  mpirunMissing(second),
  "controls under mpirun come to the verdict of one process",
  async () => {
    const args = ["controls", ...TINY, "--controls", "none", "--seeds", "1", "--quiet"];
    const alone = await axograd([...args, "--out", "controls"], { cwd: dir });
    assert.is(alone.code, 0, alone.stderr);
    const command = ["node", MAIN, ...args, "--out", "shared"] as const;
    const { code, stderr } = await mpirun({ implementation: second, ranks: 2, command, cwd: dir });
    assert.is(code, 0, stderr);
    const outcome = async (out: string): Promise<unknown> =>
      JSON.parse(await readFile(join(dir, out, "results.json"), "utf8")).outcome;
    assert.equal(await outcome("shared"), await outcome("controls"));
    assert.is(await results("shared"), await results("controls"));
  },
);

test.run();
