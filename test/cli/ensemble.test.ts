// `axograd ensemble` and `openEnsemble`: which runs are members, what is written, and that averaged predictions are what they say.

import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeAnalysis } from "../../src/analysis/record.ts";
import { register } from "../../src/cli/analyses/ensemble.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { measureEnsemble } from "../../src/run/ensemble/measureEnsemble.ts";
import { openEnsemble } from "../../src/run/ensemble/openEnsemble.ts";
import { openRun } from "../../src/run/openRun.ts";
import { predictAll, probabilitiesOf } from "../../src/run/predict.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { TINY } from "./process.ts";

const test = suite("ensemble");
const dir = tempDir();
const runs = ["a", "b", "c"].map((name) => join(dir, name));
const [a, b] = runs as [string, string, string];

async function train(out: string, ...args: readonly string[]): Promise<void> {
  await runCommand(registerTrain, "train", ...TINY, "--no-report", "--quiet", "--out", out, ...args);
}

const ensemble = (...args: readonly string[]): Promise<string> =>
  runCommand(register, "ensemble", ...args, "--samples", "8", "--times", "3", "--threads", "1");

/** A copy of a run whose record is changed. */
async function copyOf(run: string, name: string, change: (start: Record<string, unknown>) => object): Promise<string> {
  const copy = join(dir, name);
  await cp(run, copy, { recursive: true });
  const file = join(copy, "config.json");
  await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, "utf8")))));
  return copy;
}

const withSettings = (settings: object) => (start: Record<string, unknown>) => ({
  ...start,
  config: { ...(start.config as object), ...settings },
});

test.before(async () => {
  // Every command in this process listens for a closed pipe.
  for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(40);
  for (const [seed, run] of runs.entries()) await train(run, "--seed", `${seed}`);
});

test("members, statistics and files; a part of the output cannot replace a whole one", async () => {
  const out = join(dir, "out");
  const { result } = JSON.parse(await ensemble(...runs, "--out", out, "--json"));
  const names = ["ensemble.html", "ensemble.json", "members.csv", "parameters.csv", "plots", "responses.csv"];
  assert.equal((await readdir(out)).sort(), names);
  const record = JSON.parse(await readFile(join(out, "ensemble.json"), "utf8"));
  assert.equal(record.statistics, result.statistics);
  assert.equal(
    record.members.map(({ name, seed, step }: Record<string, unknown>) => [name, seed, step]),
    [
      ["a", 0, 5],
      ["b", 1, 5],
      ["c", 2, 5],
    ],
  );
  assert.equal(record.differences, []);
  // Without a neuron table groups are roles; predictions are of the samples that the runs were tested on.
  assert.equal(record.responses.groups.map(({ name }: { name: string }) => name).sort(), ["input", "output"]);
  assert.equal(
    record.responses.values.map((own: number[][]) => own.map(({ length }) => length)),
    [
      [3, 3],
      [3, 3],
      [3, 3],
    ],
  );
  const [accuracy] = record.prediction.metrics;
  const test = record.statistics.metrics.find(({ name }: { name: string }) => name === "test accuracy");
  assert.equal(accuracy.members, test.values);
  assert.equal(
    record.statistics.agreement.map(({ name }: { name: string }) => name),
    ["responses", "weights", "bias", "tau"],
  );
  const lines = (await readFile(join(out, "members.csv"), "utf8")).split("\n");
  assert.match(lines[0]!, /^member,folder,seed,step,version,cluster,test accuracy,/);
  assert.is(lines.length, 5);
  const page = await readFile(join(out, "ensemble.html"), "utf8");
  for (const part of ["3 networks as one", "Averaged predictions", "figure-solutions", "figure-responses"])
    assert.ok(page.includes(part), part);
  await fails(() => ensemble(a, b, "--out", out), "file-exists", /--overwrite/);
});

test("the averaged prediction of two members is that of their mean probabilities", async () => {
  const sums: number[] = [];
  let labels: ArrayLike<number> = [];
  for (const folder of [a, b]) {
    await using run = await openRun(folder, { threads: 1 });
    const samples = run.data.test!;
    const { outputs, shape } = await predictAll(run, samples);
    const all = probabilitiesOf(outputs, shape[2], run.model.task);
    all.forEach((p, i) => {
      sums[i] = (sums[i] ?? 0) + p / 2;
    });
    labels = (
      await samples.read(
        Array.from({ length: samples.count }, (_, k) => k),
        null,
      )
    ).targets;
  }
  const classes = sums.length / labels.length;
  const own = Array.from(labels, (_, k) => sums.slice(k * classes, (k + 1) * classes));
  const right = own.filter((p, k) => p.indexOf(Math.max(...p)) === labels[k]).length;
  const loss = own.reduce((sum, p, k) => sum - Math.log(p[labels[k]!]!), 0) / labels.length;
  const { prediction } = await measureEnsemble(await openEnsemble([a, b], { threads: 1 }), { samples: 2, times: 2 });
  const [accuracy, nats] = prediction!.metrics;
  assert.is(accuracy!.ensemble, right / labels.length);
  // Losses are sums of 24 logarithms in single precision.
  assert.ok(Math.abs(nats!.ensemble - loss) < 30 * 2 ** -24 * 10, `${nats!.ensemble} ${loss}`);
});

test("types are groups of a network that has them; settings that differ are a warning, and --where chooses by them", async () => {
  await writeNetwork(dir, 6);
  const files = ["--connectome", join(dir, "net_csr.npz"), "--preset", "retina"];
  const tiny = ["--train-samples", "32", "--test-samples", "16", "--validation-samples", "8", "--batch-size", "16"];
  const common = [...files, ...tiny, "--steps", "2", "--threads", "1", "--device", "wasm", "--share", "types"];
  const typed = [0, 1].map((k) => join(dir, `typed${k}`));
  for (const [k, run] of typed.entries()) {
    const args = ["train", ...common, "--seed", `${k}`, "--lr", "0.01"];
    await runCommand(registerTrain, ...args, "--no-report", "--quiet", "--out", run);
  }
  typed.push(await copyOf(typed[1]!, "typed2", withSettings({ lr: 0.02 })));
  const all = await openEnsemble(typed);
  assert.equal(all.differences, [{ setting: "lr", values: [0.01, 0.01, 0.02] }]);
  assert.match(all.warnings.join("\n"), /members differ in lr: 0.01, 0.02/);
  const out = join(dir, "typed");
  const text = await ensemble(...typed, "--out", out, "--where", "lr=0.01", "--json");
  const { result } = JSON.parse(text);
  assert.equal(
    result.members.map(({ name }: { name: string }) => name),
    ["typed0", "typed1"],
  );
  const { parameters } = result;
  const strengths = parameters.filter(({ parameter }: { parameter: string }) => parameter === "strengths");
  assert.ok(strengths.length > 3 && strengths.every(({ group }: { group: string }) => / → /.test(group)));
  // The values that the members have, by type.
  await using run = await openRun(typed[1]!, { threads: 1 });
  const { name, shared } = run.model.parameters.all().find(({ role }) => role === "biases")!;
  const values = await run.model.parameters.values(name);
  const { types, typeIdx } = run.neurons!;
  const type = types[typeIdx[0]!]!;
  const bias = parameters.find((it: Record<string, unknown>) => it.parameter === "bias" && it.group === type);
  assert.is(bias.values[1], values[shared!.by[0]!]);
  await fails(() => ensemble(...typed, "--out", out, "--where", "lr=3", "--overwrite"), "argument", /lr=0.01\|0.02/);
  await fails(() => ensemble(...typed, "--out", out, "--where", "lrr=3"), "argument", /did you mean "lr"/);
  await fails(() => openEnsemble([a, typed[0]!]), "argument", /neurons.*typed0|typed0.*neurons/);
});

test("unfinished runs and folders without runs are named, and left out if asked", async () => {
  const stopped = await copyOf(b, "stopped", withSettings({ seed: 7 }));
  await rm(join(stopped, "summary.json"));
  const none = join(dir, "none");
  await fails(() => openEnsemble([a, stopped, none]), "argument", /stopped: unfinished; .*none/, /--allow-unfinished/);
  const { members, leftOut } = await openEnsemble([a, b, stopped, none], { allowUnfinished: true });
  assert.equal([members.length, leftOut.map(({ folder }) => folder)], [2, [stopped, none]]);
  await fails(
    () => openEnsemble([a, stopped], { allowUnfinished: true }),
    "argument",
    /at least two finished runs, got a/,
  );
  await fails(() => openEnsemble([a, a]), "argument", /each run once/);
});

test("members of another version are a warning", async () => {
  const old = await copyOf(b, "old", (start) => ({ ...start, version: "0.4.9" }));
  assert.match((await openEnsemble([a, old])).warnings.join("\n"), /different versions of axograd: .*0\.4\.9/);
});

test("members are clustered by the numbers of an analysis of theirs", async () => {
  // Two respond to 0 and 90 degrees alike, the third does not; angles are the same in all and do not count.
  for (const [k, dsi] of [
    [0.1, 0.9, 0.5],
    [0.2, 0.8, 0.5],
    [0.9, 0.1, 0.5],
  ].entries()) {
    const types = dsi.map((value, t) => ({ name: `T${t}`, dsi: value }));
    await writeAnalysis(runs[k]!, {
      name: "probe",
      kind: "tuning",
      step: 5,
      options: {},
      result: { angles: [0, 90], types },
    });
  }
  const out = join(dir, "probe");
  const { result } = JSON.parse(await ensemble(...runs, "--from-analysis", "probe", "--out", out, "--json"));
  const { agreement, solutions } = result.statistics;
  assert.equal([agreement[0].name, agreement[0].count, solutions.by], ["analysis", 3, "analysis"]);
  assert.ok(Math.abs(agreement[0].correlations[0][1] - 1) < 1e-12);
  assert.ok(Math.abs(agreement[0].correlations[0][2] + 1) < 1e-12);
  assert.equal(solutions.labels, [0, 0, 1]);
  assert.is(result.responses, null);
  const others = ["--out", out, "--overwrite", "--from-analysis"];
  await fails(() => ensemble(...runs, ...others, "probe", "--array", "types.dsj"), "argument", /types\.dsi\?/);
  await fails(
    () => ensemble(...runs, ...others, "probe", "--cluster-by", "responses"),
    "argument",
    /analysis, weights/,
  );
  await fails(() => ensemble(...runs, ...others, "other"), "file-missing", /other\.json/);
});

test.run();
