// Files of earlier versions are read as those of today: before 0.2.0 connections were called synapses; before 0.3.0 accuracy was the only
// metric, and no file described the task.

import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readConfigFile } from "../../src/cli/configFile.ts";
import { SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { readRunRecord } from "../../src/report/runRecord.ts";
import { openRun } from "../../src/run/openRun.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines, TINY } from "./process.ts";

const test = suite("older files");
const dir = tempDir();
const at = (...names: readonly string[]): string => join(dir, ...names);

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  return stdout;
}

/** A copy of a folder in which connections are called synapses; fails where none are. */
async function older(name: string): Promise<string> {
  const copy = `older-${name}`;
  await cp(at(name), at(copy), { recursive: true });
  let replaced = 0;
  for (const file of await readdir(at(copy), { recursive: true })) {
    if (!/\.(json|jsonl|yaml)$/.test(file)) continue;
    const text = await readFile(at(copy, file), "utf8");
    const old = text.replaceAll(/\bconnections\b(?="?:)/g, "synapses");
    if (old === text) continue;
    await writeFile(at(copy, file), old);
    replaced++;
  }
  assert.ok(replaced >= 3, `${replaced} files`);
  return copy;
}

/** Facts as 0.2 wrote them: the accuracy beside the loss, and no description of the task. */
function withAccuracy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withAccuracy);
  if (typeof value !== "object" || value === null) return value;
  const names = { metrics: "accuracy", meanMetrics: "meanAccuracy", trainingMetrics: "trainingAccuracy" };
  const parts = Object.entries(value).flatMap(([name, part]) => {
    if (name === "task") return [];
    if (name === "version") return [[name, "0.2.0"]];
    if (name === "config") {
      const { metrics: _, ...settings } = part as Record<string, unknown>;
      return [[name, settings]];
    }
    const before = names[name as keyof typeof names];
    return [before ? [before, (part as { accuracy: number } | null)?.accuracy ?? null] : [name, withAccuracy(part)]];
  });
  return Object.fromEntries(parts);
}

/** A copy of a folder in which accuracy is the only metric. */
async function withoutTask(name: string): Promise<string> {
  const copy = `accuracy-${name}`;
  await cp(at(name), at(copy), { recursive: true });
  for (const file of await readdir(at(copy), { recursive: true })) {
    if (!/(config|summary|metrics)\.jsonl?$/.test(file)) continue;
    const text = await readFile(at(copy, file), "utf8");
    const objects = file.endsWith("l") ? text.trim().split("\n") : [text];
    const old = objects.map((object) => `${JSON.stringify(withAccuracy(JSON.parse(object)))}\n`).join("");
    assert.match(old, file.includes("config") ? /"classes"/ : /"accuracy":/);
    assert.not.match(old, /"(task|metrics|meanMetrics)":/);
    await writeFile(at(copy, file), old);
  }
  return copy;
}

async function file(text: string): Promise<string> {
  await writeFile(at("settings.yaml"), text);
  return at("settings.yaml");
}

test("a configuration may say synapses; both names, or neither, are refused", async () => {
  const read = async (generate: string) => readConfigFile(await file(`generate: ${generate}\n`));
  const size = { generate: { neurons: 3, connections: 4 } };
  assert.equal(await read("{neurons: 3, synapses: 4}"), size);
  assert.equal(await read("{neurons: 3, connections: 4}"), size);
  for (const wrong of [
    "{neurons: 3, synapses: 4, connections: 4}",
    "{neurons: 3}",
    "{neurons: 3, synapses: 0}",
    "{neurons: 3, synapses: 4, size: 1}",
  ]) {
    await fails(() => read(wrong), "argument", /expected NEURONSxCONNECTIONS, like .*generate/);
  }
});

test("a run is opened, resumed and reported, and its numbers are the same", async () => {
  await done("train", ...TINY, "--no-report", "--out", "run");
  const old = await older("run");
  const { network } = (await readRunRecord(at(old))).start;
  assert.equal([network.connections, network.synapses], [5000, undefined]);
  {
    await using opened = await openRun(at(old));
    assert.equal(opened.config.generate, { neurons: 900, connections: 5000 });
  }
  for (const folder of ["run", old]) await done("train", "--resume", folder, "--steps", "8", "--no-report");
  const losses = async (folder: string) =>
    jsonLines(await readFile(at(folder, "metrics.jsonl"), "utf8")).flatMap((line) => line.loss ?? []);
  assert.ok((await losses(old)).length > 8);
  assert.equal(await losses(old), await losses("run"));
  await done("report", old);
  const page = await readFile(at(old, "report.html"), "utf8");
  assert.match(page, /5,000[^a-z]*(<[^>]*>[^a-z<]*)*connections/);
});

test("a network with other connections than the old record's is refused", async () => {
  const start = JSON.parse(await readFile(at("run", "config.json"), "utf8"));
  const network = { ...start.network, connections: undefined, synapses: 4999 };
  await writeFile(at("older-run", "config.json"), JSON.stringify({ ...start, network }));
  await fails(
    () => openRun(at("older-run")),
    "argument",
    /4999, as the run began with, got 5000 \(network\.connections\)/,
  );
});

test("a run whose files have accuracies is resumed, reported and opened, and its numbers are the same", async () => {
  await done("train", ...TINY, "--no-report", "--out", "judged");
  const old = await withoutTask("judged");
  const [before, now] = [await readRunRecord(at(old)), await readRunRecord(at("judged"))];
  assert.equal(before.start.task, now.start.task);
  assert.equal([before.steps, before.evaluations], [now.steps, now.evaluations]);
  assert.ok(before.steps[0]!.metrics.accuracy! >= 0);
  assert.equal(before.summary!.test!.metrics, now.summary!.test!.metrics);
  for (const folder of ["judged", old]) await done("train", "--resume", folder, "--steps", "8", "--no-report");
  const record = async (folder: string) => {
    const { steps, evaluations } = await readRunRecord(at(folder));
    const bits = steps.map(({ step, loss, meanLoss, metrics, meanMetrics }) => ({
      ...{ step, loss, meanLoss, metrics, meanMetrics },
    }));
    return [bits, evaluations.map(({ seconds: _, ...evaluation }) => evaluation)];
  };
  assert.equal(await record(old), await record("judged"));
  await done("report", old);
  assert.match(await readFile(at(old, "report.html"), "utf8"), /id="figure-accuracy"/);
  await using opened = await openRun(at(old));
  assert.is(opened.step, 8);
});

test("a sweep whose runs have accuracies is collected with the same results", async () => {
  await writeFile(
    at("rates.yaml"),
    `base:\n  generate: 900x5000\n  trainSamples: 64\n  validationSamples: 16\n  testSamples: 16\n  batchSize: 16\n  calibration: 32\n  device: wasm\n  threads: 1\n  steps: 2\ngrid:\n  lr: [1e-3, 1e-2]\n`,
  );
  await done("sweep", "rates.yaml", "--out", "rates");
  const old = await withoutTask("rates");
  const { measures, runs, groups } = JSON.parse(await done("collect", old, "--json"));
  const results = JSON.parse(await done("collect", "rates", "--json"));
  assert.equal([measures, runs, groups], [results.measures, results.runs, results.groups]);
  assert.ok(runs[0].testAccuracy >= 0 && groups[0].measures.testAccuracy.mean === runs[0].testAccuracy);
});

test("a sweep is collected with the same results", async () => {
  await writeFile(
    at("sizes.yaml"),
    `base:\n  trainSamples: 64\n  validationSamples: 16\n  testSamples: 0\n  batchSize: 16\n  calibration: 32\n  device: wasm\n  threads: 1\n  steps: 2\ngrid:\n  generate: [900x5000, 900x4000]\n`,
  );
  await done("sweep", "sizes.yaml", "--out", "sweep");
  const old = await older("sweep");
  assert.equal(await new SweepFolder(at(old)).runs(), await new SweepFolder(at("sweep")).runs());
  const { runs, groups } = JSON.parse(await done("collect", old, "--json"));
  const results = JSON.parse(await done("collect", "sweep", "--json"));
  assert.equal([runs, groups], [results.runs, results.groups]);
  assert.equal(runs[0].options, { generate: { neurons: 900, connections: 5000 } });
});

test.run();
