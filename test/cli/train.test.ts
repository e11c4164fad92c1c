import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Interruption } from "../../src/cli/interruption.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { writeNetwork } from "./network.ts";
import { axograd, jsonLines, start, TINY, TINY_RAW } from "./process.ts";

const test = suite("axograd train");
const dir = tempDir();
const FILES = [
  "best.json",
  "best.safetensors",
  "checkpoint.json",
  "checkpoint.safetensors",
  "config.json",
  "curves.svg",
  "events.out.tfevents.0000000000.axograd",
  "metrics.jsonl",
  "summary.json",
];
const REPORT = ["plots", "report.html"];

test("a run says what it does, reports the test, and leaves its files", async () => {
  const { code, stdout, stderr } = await axograd(["train", ...TINY, "--out", "plain"], { cwd: dir });
  assert.is(code, 0, stderr);
  for (const label of ["network", "weights", "input", "read-out", "data", "device", "solver", "training", "memory"]) {
    assert.match(stdout, new RegExp(`^${label} `, "m"));
  }
  assert.match(stdout, /900 neurons, 5,000 connections/);
  assert.match(stdout, /^test {2,}accuracy \d+\.\d\d %, loss \d\.\d{4} on 24 images after step /m);
  assert.match(stderr, /^making a network of 900 neurons/m);
  assert.match(stderr, /^step 5\/5 {2}loss \d/m);
  assert.equal((await readdir(join(dir, "plain"))).sort(), [...FILES, ...REPORT].sort());
  assert.match(await readFile(join(dir, "plain", "curves.svg"), "utf8"), /^<svg/);
});

test("--profile tells where the time of the second step went, as a table and as an event", async () => {
  const args = ["train", ...TINY, "--no-report", "--profile", "--out", "profiled"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  assert.match(stdout, /^profile of one step, wasm f32, 1 thread/m);
  for (const name of ["spmm", "fused backward", "host", "whole step"])
    assert.match(stdout, new RegExp(`^${name} `, "m"));
  const lines = jsonLines(await readFile(join(dir, "profiled", "metrics.jsonl"), "utf8"));
  const [profile, ...more] = lines.filter(({ event }) => event === "profile");
  assert.is(more.length, 0);
  assert.is(profile!.step, 2);
  const { ms, rows } = profile as unknown as { ms: number; rows: { ms: number }[] };
  const second = lines.find(({ event, step }) => event === "step" && step === 2)!;
  assert.is(ms, 1000 * (second.seconds as number));
  assert.ok(Math.abs(rows.reduce((sum, row) => sum + row.ms, 0) - ms) < 1e-9 * ms);
});

test("--profile of a run of one step tells of that one", async () => {
  const args = ["train", ...TINY, "--steps", "1", "--no-report", "--profile", "--json", "--out", "profiled one"];
  const { stdout } = await axograd(args, { cwd: dir });
  assert.equal(
    jsonLines(stdout).flatMap(({ event, step }) => (event === "profile" ? [step] : [])),
    [1],
  );
});

/** Lines of a record: the memory that a process states is measured, so it is in no record. */
function withoutMemory(stdout: string): string {
  return stdout
    .split(/(?<=\n)/)
    .filter((line) => !line.startsWith('{"event":"memory"'))
    .join("");
}

test("with --json stdout is JSON lines and nothing else, and the file of metrics has the same lines, the memory stated aside", async () => {
  const args = ["train", ...TINY, "--json", "--eval-every", "2", "--checkpoint-every", "4", "--out", "json"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  assert.is(stderr, "");
  const lines = jsonLines(stdout);
  assert.equal(
    lines.map(({ event, step }) => (step === undefined ? event : `${event} ${step}`)),
    [
      ...[
        "config",
        "memory",
        "diagnosis 0",
        "step 1",
        "tape",
        "step 2",
        "evaluation 2",
        "step 3",
        "step 4",
        "checkpoint 4",
        "evaluation 4",
      ],
      ...["step 5", "checkpoint 5", "evaluation 5", "evaluation 5", "summary"],
    ],
  );
  assert.is(await readFile(join(dir, "json", "metrics.jsonl"), "utf8"), withoutMemory(stdout));
  const { event: _, ...summary } = lines.at(-1)!;
  assert.equal(JSON.parse(await readFile(join(dir, "json", "summary.json"), "utf8")), summary);
  assert.is(summary.steps, 5);
  assert.is(summary.threads, 1);
  assert.is(summary.interrupted, null);
  assert.ok((summary.peakMemoryBytes as number) > 2 ** 20);
  assert.ok((summary.rhsEvaluationsPerStep as number) >= 7);
  const test = summary.test as { count: number; metrics: { accuracy: number }; confusion: number[][] };
  assert.is(test.count, 24);
  assert.is(
    test.confusion.flat().reduce((a, b) => a + b),
    24,
  );
});

test("the same seed gives the same numbers, in f32 and for any number of threads", async () => {
  const losses = async (...more: string[]): Promise<unknown[]> => {
    const { code, stdout, stderr } = await axograd(["train", ...TINY, "--json", ...more], { cwd: dir });
    assert.is(code, 0, stderr);
    return jsonLines(stdout).flatMap(({ event, loss }) => (event === "step" ? [loss] : []));
  };
  const first = await losses("--out", "seed-a");
  assert.equal(await losses("--out", "seed-b", "--threads", "2"), first);
  assert.not.equal(await losses("--out", "seed-c", "--seed", "1"), first);
});

test("solver, schedule, weight decay and shifts are those that were asked for", async () => {
  const chosen = ["--solver", "heun", "--dt", "0.5", "--schedule", "cosine", "--weight-decay", "0.1", "--shift", "1"];
  const { code, stdout, stderr } = await axograd(["train", ...TINY, ...chosen, "--out", "chosen"], { cwd: dir });
  assert.is(code, 0, stderr);
  assert.match(stdout, /^solver {6}heun from t = 0 to 3, steps of 0\.5, /m);
  assert.match(stdout, /AdamW, weight decay 0\.1, .*, cosine schedule, .*, shifted by up to 1 pixel, 5 steps/);
  const lines = jsonLines(await readFile(join(dir, "chosen", "metrics.jsonl"), "utf8"));
  const steps = lines.filter(({ event }) => event === "step");
  // Two evaluations in each of six steps.
  for (const { solver } of steps) assert.is((solver as { rhsEvaluations: number }).rhsEvaluations, 12);
  const rates = steps.map(({ learningRate }) => learningRate as number);
  assert.is(rates[0], 1e-3);
  for (let k = 1; k < 5; k++) assert.ok(rates[k]! < rates[k - 1]!);
});

test("the learning rate falls in steps, and gradients are clipped, where that is asked for", async () => {
  const run = async (
    out: string,
    ...chosen: string[]
  ): Promise<{ stdout: string; losses: number[]; rates: number[] }> => {
    const args = ["train", ...TINY, "--no-report", "--out", out, ...chosen];
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 0, stderr);
    const lines = jsonLines(await readFile(join(dir, out, "metrics.jsonl"), "utf8"));
    const steps = lines.filter(({ event }) => event === "step");
    const rates = steps.map(({ learningRate }) => learningRate as number);
    return { stdout, losses: steps.map(({ loss }) => loss as number), rates };
  };
  const every = await run("decays", "--schedule", "step", "--decay-every", "2", "--decay-factor", "0.5");
  assert.match(every.stdout, /Adam, learning rate 0\.001, times 0\.5 every 2 steps, batches of 16/);
  assert.equal(every.rates, [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]);
  const thirds = await run("thirds", "--schedule", "step");
  assert.match(thirds.stdout, /times 0\.1 every third of the run/);
  const close = (a: number, b: number): boolean => Math.abs(a - b) < 1e-18;
  assert.ok(
    thirds.rates.every((rate, k) => close(rate, k < 2 ? 1e-3 : k < 4 ? 1e-4 : 1e-5)),
    `${thirds.rates}`,
  );
  // Adam does not see the scale of gradients, but for epsilon (1e-8): gradients as small as that take smaller steps.
  const free = await run("free");
  const clipped = await run("clipped", "--clip-norm", "1e-7");
  assert.match(clipped.stdout, /gradients of norm 1e-7 at most/);
  assert.is(clipped.losses[0], free.losses[0]);
  assert.not.equal(clipped.losses.slice(1), free.losses.slice(1));
});

test("the tutorial's preset trains and warns that it will not learn, naming the preset that does", async () => {
  const args = ["train", "--preset", "tutorial", ...TINY_RAW, "--out", "tutorial", "--quiet"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  assert.match(stderr, /^axograd: warning: .*ln 10 = 2\.303.*--preset retina/m);
  assert.match(stdout, /^test .*\n$/);
  const { config } = JSON.parse(await readFile(join(dir, "tutorial", "config.json"), "utf8"));
  assert.equal([config.weights, config.nonlinearity, config.fcDim, config.dropout], ["abs", "Sigmoid", 256, 0.5]);
});

test("a connectome from a file is read with the table beside it, and wired by the neurons' roles", async () => {
  const { csr, count } = await writeNetwork(dir, 6);
  const tiny = TINY.slice(2);
  const args = ["train", "--connectome", "net_csr.npz", ...tiny, "--json", "--out", "file"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  const start = jsonLines(stdout)[0]!;
  assert.is((start.config as { preset: string }).preset, "retina");
  assert.equal(start.network, {
    source: "net_csr.npz",
    neuronTable: "net_neurons.csv",
    neurons: count,
    connections: csr.nnz,
    duplicatesSummed: 0,
    input: "retinotopic",
    inputNeurons: 72,
    readout: "output",
    readoutNeurons: 180,
  });
});

test("a folder with files is refused and kept; --overwrite replaces the run's files only", async () => {
  const folder = join(dir, "kept");
  await mkdir(folder);
  await writeFile(join(folder, "notes.txt"), "mine");
  await writeFile(join(folder, "summary.json"), "old");
  const refused = await axograd(["train", ...TINY, "--out", "kept"], { cwd: dir });
  assert.is(refused.code, 2);
  assert.match(refused.stderr, /^axograd: .*--overwrite.*kept.*\(--out\)\n$/);
  assert.equal((await readdir(folder)).sort(), ["notes.txt", "summary.json"]);
  const replaced = await axograd(["train", ...TINY, "--out", "kept", "--overwrite", "--quiet"], { cwd: dir });
  assert.is(replaced.code, 0, replaced.stderr);
  assert.equal((await readdir(folder)).sort(), [...FILES, ...REPORT, "notes.txt"].sort());
  assert.is(await readFile(join(folder, "notes.txt"), "utf8"), "mine");
  assert.is(JSON.parse(await readFile(join(folder, "summary.json"), "utf8")).steps, 5);
});

test("a solver that cannot finish fails the run with advice and exit code 1", async () => {
  const args = ["train", ...TINY_RAW, "--no-standardise", "--max-steps", "2", "--json", "--out", "stuck"];
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 1);
  assert.match(stderr, /^axograd: .*maxSteps.*raise maxSteps/);
  const last = jsonLines(stdout).at(-1)!;
  assert.equal([last.event, last.code], ["error", "maxSteps"]);
  const recorded = jsonLines(await readFile(join(dir, "stuck", "metrics.jsonl"), "utf8"));
  assert.equal(recorded.at(-1), last);
});

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} ends the run after its step, with a checkpoint, whole metrics and exit code ${exitCode}`, async () => {
    const out = signal.toLowerCase();
    const endless = ["train", ...TINY, "--steps", "1000000", "--json", "--out", out];
    const { child, finished } = start(endless, { cwd: dir });
    // Once: a second signal ends the process without waiting for the step.
    let sent = false;
    child.stdout!.on("data", (text: string) => {
      if (sent || !text.includes('"event":"step"')) return;
      sent = child.kill(signal);
    });
    const { code, stdout, stderr } = await finished;
    assert.is(code, exitCode, stderr);
    const lines = jsonLines(stdout);
    const steps = lines.filter(({ event }) => event === "step").length;
    assert.equal(
      lines.slice(-3).map(({ event }) => event),
      ["checkpoint", "interrupted", "summary"],
    );
    assert.is(lines.at(-1)!.interrupted, signal);
    const { position } = await loadCheckpoint(join(dir, out, "checkpoint.safetensors"));
    assert.is(position.step, steps);
    assert.is(await readFile(join(dir, out, "metrics.jsonl"), "utf8"), withoutMemory(stdout));
    const withoutBest = FILES.filter((name) => !name.startsWith("best."));
    assert.equal((await readdir(join(dir, out))).sort(), withoutBest);
  });
}

test("a reader that goes away ends other commands quietly, and a terminal that was closed ends no run", async () => {
  const { child, finished } = start(["train", "--help"], { cwd: dir });
  child.stdout!.destroy();
  const { code, stderr } = await finished;
  assert.is(code, 141, stderr);
  assert.is(stderr, "");
  const interruption = new Interruption();
  const fail = (stream: NodeJS.WriteStream, code: string) =>
    stream.emit("error", Object.assign(new Error(code), { code }));
  try {
    fail(process.stdout, "EIO");
    fail(process.stderr, "EIO");
    assert.is(interruption.cause, null);
    fail(process.stderr, "EPIPE");
    assert.is(interruption.cause, "SIGPIPE");
    assert.ok(interruption.signal.aborted);
    assert.is(interruption.exitCode(0), 141);
  } finally {
    interruption.dispose();
  }
});

test("a reader that closes stdout ends the run cleanly", async () => {
  const { child, finished } = start(["train", ...TINY, "--steps", "1000000", "--json", "--out", "pipe"], { cwd: dir });
  child.stdout!.once("data", () => child.stdout!.destroy());
  const { code, stderr } = await finished;
  assert.is(code, 141, stderr);
  assert.is(stderr, "");
  await loadCheckpoint(join(dir, "pipe", "checkpoint.safetensors"));
});

test.run();
