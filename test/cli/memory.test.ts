// The most memory that a run has taken, the page at its end included.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { Console } from "../../src/cli/console.ts";
import { describeSummary, describeTape } from "../../src/cli/describe.ts";
import { executeRun } from "../../src/cli/run.ts";
import { RunFolder } from "../../src/cli/runFolder.ts";
import { describeStart, type RunSummary } from "../../src/cli/summary.ts";
import { exists } from "../../src/io/files.ts";
import type { TapePlan } from "../../src/ode/tape.ts";
import { StepProfiler } from "../../src/profile/stepProfile.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";
import { RUN_FILES } from "../../src/run/runFiles.ts";
import type { RunEvent } from "../../src/train/metrics.ts";
import { tempDir } from "../io/fixtures.ts";
import { jsonLines } from "./process.ts";

const test = suite("memory of a run");
const PAGE_BYTES = 96 * 2 ** 20;

test("what the page takes counts, on the device and in the process, in summary.json and in the metrics", async () => {
  const config = resolveConfig([
    { generate: { neurons: 900, connections: 5000 }, trainSamples: 32, validationSamples: 0, testSamples: 0 },
    { batchSize: 16, standardise: false, steps: 1, threads: 1, device: "wasm", diagnoseEvery: 0 },
  ]);
  const inputs = await loadRunInputs(config);
  const backend = await createBackend({ device: "wasm", threads: 1 });
  const experiment = createExperiment(backend, config, inputs);
  const folder = new RunFolder(join(tempDir(), "run"));
  const start = describeStart(config, inputs, backend, experiment.trainer);
  const console = new Console({ json: false, quiet: true });
  let found = false;
  const page = async (): Promise<void> => {
    found = await exists(folder.file("summary"));
    const buffer = backend.buffer("page", PAGE_BYTES / 4);
    backend.fill(buffer, 1);
    buffer.release();
  };
  const rest = { folder, console, start, resumed: null, profiler: null, page };
  assert.is(await executeRun({ config, backend, inputs, experiment, ...rest }), 0);
  assert.ok(found, "the page has the summary to show");
  const summary = JSON.parse(await readFile(folder.file("summary"), "utf8")) as RunSummary;
  assert.ok(summary.deviceMemory.peakBytes >= PAGE_BYTES, `${summary.deviceMemory.peakBytes}`);
  const more = summary.peakMemoryBytes - summary.trainingPeakMemoryBytes;
  assert.ok(more >= PAGE_BYTES / 2, `${more}`);
  assert.ok(summary.files.includes(RUN_FILES.report));
  const { event, ...last } = jsonLines(await readFile(folder.file("metrics"), "utf8")).at(-1)!;
  assert.is(event, "summary");
  assert.equal(last, summary);
  const line = describeSummary(summary).find((text) => text.startsWith("memory"))!;
  assert.match(line, /^memory +\d+ MiB at most \(\d+ MiB before the page about it\), \d+ MiB of it on the device$/);
  experiment.dispose();
  await backend.dispose();
});

/** The events of a run of two steps on the CPU, and what it says. */
async function runWithBudget(memoryBudget: number | null): Promise<{ events: readonly RunEvent[]; said: string }> {
  const config = resolveConfig([
    { generate: { neurons: 900, connections: 5000 }, trainSamples: 32, validationSamples: 0, testSamples: 0 },
    { batchSize: 16, standardise: false, steps: 2, threads: 1, device: "wasm", diagnoseEvery: 0, memoryBudget },
  ]);
  const inputs = await loadRunInputs(config);
  const opened = await createBackend({ device: "wasm", threads: 1, profile: true });
  const profiler = new StepProfiler(opened);
  const { backend } = profiler;
  const experiment = createExperiment(backend, config, inputs);
  const folder = new RunFolder(join(tempDir(), "run"));
  const start = describeStart(config, inputs, backend, experiment.trainer);
  const console = new Console({ json: false, quiet: true });
  const said: string[] = [];
  console.info = (line) => said.push(line);
  const rest = { folder, console, start, resumed: null, profiler, page: async () => {} };
  assert.is(await executeRun({ config, backend, inputs, experiment, ...rest }), 0);
  const events = jsonLines(await readFile(folder.file("metrics"), "utf8")) as unknown as RunEvent[];
  experiment.dispose();
  await backend.dispose();
  return { events, said: said.join("\n") };
}

test("a run says how many attempts its reverse pass runs again, in the events of the tape and the profile, and what to do", async () => {
  const of = (events: readonly RunEvent[], name: string) =>
    events.find(({ event }) => event === name) as unknown as TapePlan;
  const whole = await runWithBudget(null);
  for (const name of ["tape", "profile"]) assert.is(of(whole.events, name).attemptsRecomputed, 0, name);
  assert.is(of(whole.events, "tape").budgetBytes, 384 * 2 ** 20);
  assert.match(whole.said, /^memory +stores all \d+ attempts for the reverse pass \(\d+ MiB of 384 MiB\)$/m);
  assert.not.match(whole.said, /again/);
  const tight = await runWithBudget(1);
  const { attempts, attemptsStored, attemptsRecomputed } = of(tight.events, "tape");
  assert.is(attemptsStored + attemptsRecomputed, attempts);
  assert.ok(attemptsRecomputed > 0);
  assert.is(of(tight.events, "profile").attemptsRecomputed, attemptsRecomputed);
  const again = `the reverse pass runs ${attemptsRecomputed} attempts again: raise --memory-budget to save that time`;
  const stored = `^memory +stores ${attemptsStored} of ${attempts} attempts.* \\(\\d+ MiB, budget 1 MiB\\); ${again}$`;
  assert.match(tight.said, new RegExp(stored, "m"));
  assert.is(tight.said.split(again).length, 3, "with the tape and with the profile");
});

test("a plan in words: what is kept, what is run again, and whose memory it is that ends", () => {
  const plan: TapePlan = {
    strategy: "checkpoint",
    attempts: 20,
    attemptsStored: 3,
    attemptsRecomputed: 17,
    stride: 4,
    bytesPerStart: 2 ** 20,
    bytesPerSaves: 3 * 2 ** 20,
    budgetBytes: 40 * 2 ** 20,
    limitedBy: "device",
  };
  assert.is(
    describeTape(plan, "continuous"),
    "memory      stores 3 of 20 attempts and one in 4 starting states of the others (33 MiB, budget 40 MiB); the reverse pass runs 17 attempts again: " +
      "the device has no memory for more; a smaller batch needs less",
  );
  assert.match(
    describeTape({ ...plan, attemptsRecomputed: 1, limitedBy: "budget" }, "continuous"),
    /runs 1 attempt again: raise --memory-budget/,
  );
  assert.match(
    describeTape({ ...plan, limitedBy: "budget" }, "discrete"),
    /stores 3 of 20 steps .* runs 17 steps again: raise --memory-budget/,
  );
});

test.run();
