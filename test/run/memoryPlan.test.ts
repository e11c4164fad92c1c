// The memory that a run states beforehand is what its process takes, and a run that cannot fit is refused.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { freeMemory, hostUse, machineMemory } from "../../src/backend/hostMemory.ts";
import type { RunSummary } from "../../src/cli/summary.ts";
import { register } from "../../src/cli/train.ts";
import { describeMemory, type MemoryPlan, memoryLimits, refuseBeyond } from "../../src/run/memoryPlan.ts";
import { runCommand } from "../cli/command.ts";
import { axograd, jsonLines } from "../cli/process.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { testAdapter } from "../support/softwareAdapter.ts";

const test = suite("memory plan");
const MIB = 2 ** 20;

const PLAN: MemoryPlan = {
  ...{ device: "wasm f32", isShared: true, time: "continuous", method: "dopri5", batchSize: 32, lanes: 16 },
  ...{ attempts: 8, attemptsStored: 8, attemptsKnown: false, trainedParameters: 5, tapeBudgetBytes: 384 * MIB },
  parts: [
    { name: "matrix", bytes: 600 * MIB, where: "device" },
    { name: "tape", bytes: 100 * MIB, where: "device" },
    { name: "states", bytes: 2 * MIB, where: "device" },
    { name: "node", bytes: 298 * MIB, where: "host" },
  ],
  ...{ deviceBytes: 702 * MIB, hostBytes: 298 * MIB, processBytes: 1000 * MIB, pageBytes: 1500 * MIB },
  ...{ mostProcessBytes: 1284 * MIB, largest: null, maxArrayBytes: 4096 * MIB },
};

test("a run is refused where the machine is too small, or has too little left, with what would help", async () => {
  const refusal = (machine: number, now: number) => async () =>
    refuseBeyond(PLAN, { machine: machine * MIB, now: now * MIB });
  await refusal(1000, 1000)();
  const helps =
    /--batch-size.*--memory-budget.*--dtype f32.*--no-memory-check.*about 1000 MiB \(matrix 600 MiB, node 298 MiB, tape/;
  await fails(refusal(999, 999), "argument", /at most 999 MiB, all there is;/, helps);
  await fails(refusal(4000, 900), "argument", /at most 900 MiB, which are free;/, helps);
});

test("the plan in words has the large parts, largest first, what more attempts would take, and the page", () => {
  assert.is(
    describeMemory(PLAN),
    "about 1000 MiB at the peak: matrix 600 MiB, node 298 MiB, tape 100 MiB; solves of more than 8 attempts take up to 1.25 GiB; the page about it takes 1.46 GiB in the end",
  );
  const onCard = { ...PLAN, isShared: false, attemptsKnown: true, processBytes: 298 * MIB, pageBytes: 300 * MIB };
  assert.match(
    describeMemory(onCard),
    /^about 298 MiB at the peak and 702 MiB on the device, whose memory is unknown: matrix/,
  );
});

test("what is free is the least of the limit and of what the system has available", () => {
  const available = () => "MemTotal: 100 kB\nMemAvailable:  2048 kB\n";
  assert.is(freeMemory(1e15, available), 2 * MIB);
  const used = process.memoryUsage.rss();
  assert.ok(freeMemory(used + MIB, available) < 2 * MIB);
  const unknown = () => {
    throw new Error("no such file");
  };
  assert.ok(freeMemory(1e15, unknown) > 9e14);
  const { machine, now } = memoryLimits();
  assert.is(machine, machineMemory());
  assert.ok(now > 0 && now <= machine + used);
});

test("garbage does not count as memory in use", async () => {
  const litter = (): number => {
    const garbage = new Float64Array(8 * MIB).fill(1);
    assert.is(garbage[0], 1);
    return process.memoryUsage().arrayBuffers;
  };
  const before = litter();
  await new Promise((resolve) => setTimeout(resolve, 0));
  const { arrays, resident } = hostUse();
  assert.ok(before - arrays >= 60 * MIB, `${before} to ${arrays}`);
  assert.ok(resident > 0);
});

test("a process takes what was stated, within a tenth: 2 million connections", async () => {
  const out = join(tempDir(), "run");
  const args = ["--generate", "40000x2000000", "--time", "discrete", "--recurrences", "6", "--batch-size", "16"];
  const few = ["--train-samples", "32", "--validation-samples", "16", "--test-samples", "0", "--steps", "2"];
  const quick = ["--threads", "1", "--device", "wasm", "--diagnose-every", "0", "--no-report", "--json"];
  const { code, stdout, stderr } = await axograd(["train", ...args, ...few, ...quick, "--out", out]);
  assert.is(code, 0, stderr);
  const summary = JSON.parse(await readFile(join(out, "summary.json"), "utf8")) as RunSummary;
  const plan = jsonLines(stdout).find(({ event }) => event === "memory") as unknown as MemoryPlan;
  assert.is(summary.statedMemoryBytes, plan.processBytes);
  const ratio = plan.processBytes / summary.trainingPeakMemoryBytes;
  assert.ok(ratio > 0.9 && ratio < 1.1, `${plan.processBytes / MIB} MiB of ${summary.trainingPeakMemoryBytes / MIB}`);
  const onDevice = plan.deviceBytes / summary.deviceMemory.peakBytes;
  assert.ok(onDevice > 0.99 && onDevice < 1.02, `${onDevice} on the device`);
  const sum = plan.parts.reduce((total, { bytes }) => total + bytes, 0);
  assert.ok(Math.abs(sum - plan.processBytes) < 1, "the parts are all");
});

if (await testAdapter()) {
  test("train refuses a run beyond the machine's memory before anything of it is made", async () => {
    const out = join(tempDir(), "run");
    // A step records two states of 20,000 neurons × 256 samples; software adapters compute in the machine's memory.
    const perStep = 2 * 20_000 * 256 * 4;
    const steps = Math.ceil((1.2 * machineMemory()) / perStep);
    const sizes = ["--generate", "20000x40000", "--batch-size", "256", "--train-samples", "256"];
    const none = ["--validation-samples", "0", "--test-samples", "0", "--steps", "1", "--diagnose-every", "0"];
    const time = ["--time", "discrete", "--recurrences", `${steps}`, "--no-standardise"];
    const budget = ["--memory-budget", `${Math.ceil((2 * machineMemory()) / MIB)}`, "--device", "webgpu"];
    const train = () => runCommand(register, "train", ...sizes, ...none, ...time, ...budget, "--quiet", "--out", out);
    await fails(
      train,
      "argument",
      /train: expected at most .*, all there is; .*got a run that takes about .*tape .*\(memory\)/,
    );
    assert.not.ok(existsSync(out), "no folder was made");
  });
}

test.run();
