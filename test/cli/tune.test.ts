// The command line with trials of sparse kernels: axograd tune, and trainings whose results must not depend on where they resume.

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { SPARSE_TUNING, type SparseTuning } from "../../src/backend/webgpu/sparseTuning.ts";
import type { TuneOptions, TuningResult, TuningTools } from "../../src/backend/webgpu/tuneSparse.ts";
import { tuningReport } from "../../src/cli/doctor.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { register as registerTune } from "../../src/cli/tune.ts";
import { ArgumentError, BackendError, FileFormatError } from "../../src/core/errors.ts";
import { openRun } from "../../src/run/openRun.ts";
import { TUNER, type Tuner } from "../../src/run/tuning.ts";
import { readTuningFile, tuningCacheFile } from "../../src/run/tuningFile.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { runCommand } from "./command.ts";
import { jsonLines } from "./process.ts";

const dir = tempDir();
process.env.XDG_CACHE_HOME = join(dir, "cache");

const FAST: SparseTuning = { ...SPARSE_TUNING, panels: 2, window: 64 };
/** Sums of few terms, as these networks have, are grouped otherwise. */
const REGROUPED: SparseTuning = { ...FAST, limits: [1, 2, 4], gradPanels: 1 };

/** Tries nothing. */
class FakeTuner implements Tuner {
  readonly asked: (TuneOptions & TuningTools)[] = [];
  readonly key = TUNER.key;

  async tune(_: WebGpuBackend, __: unknown, options: TuneOptions, tools: TuningTools = {}): Promise<TuningResult> {
    this.asked.push({ ...options, ...tools });
    const tuning = options.regroup ? REGROUPED : FAST;
    return {
      tuning,
      trials: [
        { tuning: SPARSE_TUNING, kernel: "spmm", us: 30, problem: null },
        { tuning, kernel: "spmm", us: 20, problem: null },
        { tuning: { ...SPARSE_TUNING, panels: 8 }, kernel: "spmm", us: null, problem: "other bits" },
      ],
      untried: 1,
      ms: 1234,
      skipped: null,
    };
  }
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite("axograd tune");

  const tune = (tuner: Tuner, ...args: readonly string[]): Promise<string> =>
    runCommand((program: Command) => registerTune(program, undefined, tuner), "tune", ...args);

  test("tune tries each number of samples, shows its trials, and writes a file that train takes", async () => {
    const tuner = new FakeTuner();
    const out = join(dir, "own.json");
    const args = ["--generate", "60x300", "--batch", "8,64", "--budget", "2.5", "--software", "--out", out];
    const text = await tune(tuner, ...args);
    assert.match(text, /60 neurons, 300 connections/);
    assert.match(text, /^8 samples at once$/m);
    assert.match(text, /^kernel {2}choice +µs +gain {2}dropped because$/m);
    assert.match(text, /^spmm {4}default +30\.0 +-/m);
    assert.match(text, /^spmm {4}window 64, panels 2 +20\.0 +\+50\.0 %/m);
    assert.match(text, /^spmm {4}panels 8 +- +- {2}other bits$/m);
    assert.match(text, /^choice: window 64, panels 2, the best of 3 trials in 1\.2 s, 1 not tried for lack of time$/m);
    assert.match(text, /own\.json: 2 choices/);
    assert.equal(
      tuner.asked,
      [8, 64].map((lanes) => ({ lanes, regroup: false, budgetMs: 2500, force: true })),
    );
    const entries = await readTuningFile(out);
    assert.equal(
      entries.map(({ lanes, tuning, regroup }) => [lanes, tuning, regroup]),
      [8, 64].map((lanes) => [lanes, FAST, false]),
    );
    const again = await tune(tuner, ...args).catch((e: unknown) => e);
    assert.instance(again, FileFormatError);
    assert.match((again as Error).message, /own\.json.*--overwrite/);
    const facts = JSON.parse((await tune(tuner, ...args, "--overwrite", "--regroup", "--json")).trim());
    assert.equal([facts.regroup, facts.batches.length, facts.batches[0].trials.length], [true, 2, 3]);
    assert.is((await readTuningFile(out))[0]!.regroup, true);
  });

  test("what cannot be tuned, and a place that is not there, are refused before any trial", async () => {
    const tuner = new FakeTuner();
    const refusal = async (...args: readonly string[]): Promise<string> => {
      const error = await tune(tuner, "--generate", "60x300", "--software", ...args).catch((e: unknown) => e);
      assert.instance(error, Error);
      return (error as Error).message;
    };
    assert.match(await refusal("--out", join(dir, "nowhere", "own.json")), /own\.json: .*no such folder/);
    assert.match(await refusal("--wiring", "gru", "--out", join(dir, "gru.json")), /--wiring/);
    assert.equal(tuner.asked, []);
  });

  test("tune takes the wiring and the gathers that train will have", async () => {
    const keys = async (...args: readonly string[]): Promise<readonly string[]> => {
      const out = join(dir, `like${args.join("")}.json`);
      await tune(new FakeTuner(), "--generate", "60x300", "--batch", "8", "--software", "--out", out, ...args);
      return (await readTuningFile(out)).map(({ key }) => key);
    };
    const plain = await keys();
    assert.not.equal(await keys("--wiring", "random"), plain);
    assert.not.equal(await keys("--gather", "f16"), plain);
  });

  if (adapter.isSoftware) {
    test("tune refuses a software adapter unless it is wanted, and writes nothing then", async () => {
      const error = await tune(new FakeTuner(), "--generate", "60x300", "--out", join(dir, "no.json")).catch(
        (e: unknown) => e,
      );
      assert.instance(error, BackendError);
      assert.match((error as Error).message, /expected a GPU, got .*--software/);
      await readFile(join(dir, "no.json")).then(
        () => assert.unreachable("written"),
        () => {},
      );
    });
  }

  const SHORT: readonly string[] = [
    ...["--generate", "900x5000", "--time", "discrete", "--train-samples", "16", "--validation-samples", "0"],
    ...["--test-samples", "0", "--batch-size", "8", "--threads", "1", "--device", "webgpu", "--diagnose-every", "0"],
    ...["--recurrences", "3", "--no-standardise", "--no-report", "--json"],
  ];

  const train = async (tuner: Tuner, ...args: readonly string[]) => {
    const out = await runCommand((program: Command) => registerTrain(program, tuner), "train", ...args);
    return jsonLines(out);
  };
  const configOf = async (run: string) => JSON.parse(await readFile(join(dir, run, "config.json"), "utf8"));
  /** The numbers of the last checkpoint. */
  const tensorsOf = async (run: string) =>
    Object.fromEntries((await loadCheckpoint(join(dir, run, "checkpoint.safetensors"))).tensors);

  test("a run tries once, and has its choices in its first event, its record, checkpoints and summary", async () => {
    const tuner = new FakeTuner();
    const [first, ...rest] = await train(tuner, ...SHORT, "--steps", "2", "--out", join(dir, "first"));
    assert.is(first!.event, "config");
    const { tuning, source, adapter: name, lanes } = first!.tuning as Record<string, unknown>;
    assert.equal([source, name, lanes], ["trial", adapter.name, 8]);
    assert.equal(tuning, FAST);
    const recorded = (await configOf("first")).tuning;
    assert.equal(recorded, first!.tuning);
    assert.equal((await loadCheckpoint(join(dir, "first", "checkpoint.safetensors"))).tuning, recorded);
    assert.equal(rest.at(-1)!.tuning, recorded);
    const [second] = await train(tuner, ...SHORT, "--steps", "2", "--out", join(dir, "second"));
    assert.is((second!.tuning as { source: string }).source, "cache");
    assert.is(tuner.asked.length, 1);
    assert.equal(await tensorsOf("second"), await tensorsOf("first"));
    const { choices, error } = await tuningReport();
    assert.equal([choices, error], [{ [adapter.name]: 1 }, null]);
  });

  test("a run with regrouped sums resumes with its bits, whatever is remembered or has become of its file", async () => {
    const [own, moved] = [join(dir, "regrouped.json"), join(dir, "moved.json")];
    await tune(new FakeTuner(), ...["--generate", "900x5000", "--batch", "8", "--regroup", "--software", "--out", own]);
    await writeFile(
      moved,
      (await readFile(own, "utf8")).replaceAll(adapter.name, "Old GPU").replace(/"key":"./, '"key":"0'),
    );
    const whole = await train(new FakeTuner(), ...SHORT, "--tune", own, "--steps", "2", "--out", join(dir, "whole"));
    assert.ok(whole.every(({ event }) => event !== "warning"));
    const parts = await train(new FakeTuner(), ...SHORT, "--tune", moved, "--steps", "1", "--out", join(dir, "parts"));
    assert.is(parts[1]!.event, "warning");
    assert.match(String(parts[1]!.message), /moved\.json was made on Old GPU/);
    await rm(moved);
    await train(new FakeTuner(), "--resume", join(dir, "parts"), "--steps", "2", "--no-report", "--json");
    assert.equal(await tensorsOf("parts"), await tensorsOf("whole"));
    assert.equal((await configOf("parts")).tuning, (await configOf("whole")).tuning);
    assert.not.equal(await tensorsOf("first"), await tensorsOf("whole"), "the choices matter");
    const { tuning } = await configOf("parts");
    await train(new FakeTuner(), "--resume", join(dir, "parts"), "--device", "wasm", "--no-report", "--json");
    assert.equal((await configOf("parts")).tuning, tuning, "kept where the run goes on without a GPU");
  });

  test("a run is opened with its choices; one of an earlier version with the default ones", async () => {
    const open = async (run: string): Promise<SparseTuning> => {
      await using opened = await openRun(join(dir, run));
      return (opened.backend as WebGpuBackend).sparseTuning;
    };
    assert.equal(await open("whole"), REGROUPED);
    const { tuning: _, ...earlier } = await configOf("first");
    await writeFile(join(dir, "first", "config.json"), JSON.stringify(earlier));
    assert.equal(await open("first"), SPARSE_TUNING);
  });

  test("--tune with the CPU is refused by name, but for what asks nothing", async () => {
    for (const value of ["again", join(dir, "own.json")]) {
      const error = await train(new FakeTuner(), "--device", "wasm", "--tune", value).catch((e: unknown) => e);
      assert.instance(error, ArgumentError, value);
      assert.match((error as Error).message, /--device webgpu or auto.*got --device wasm \(--tune\)/);
    }
  });

  test("a damaged file of what is remembered is part of doctor's answer", async () => {
    await writeFile(tuningCacheFile(), "{");
    assert.match((await tuningReport()).error!, /tuning\.json.*expected/);
  });

  test.run();
}
