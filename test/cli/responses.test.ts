// `axograd responses` on a small run: its record, tables, arrays, figures and page, and what it refuses.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readAnalysis } from "../../src/analysis/record.ts";
import { register as registerResponses } from "../../src/cli/analyses/responses.ts";
import { register as registerReport } from "../../src/cli/report.ts";
import { register as registerSimulate } from "../../src/cli/simulate.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { writeNpy } from "../../src/io/npy.ts";
import { readNpz } from "../../src/io/npz.ts";
import { ANALYSES, analysisSections } from "../../src/report/analyses/index.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { TINY } from "./process.ts";

const test = suite("axograd responses");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const run = at("run");

function responses(...args: readonly string[]): Promise<string> {
  return runCommand(registerResponses, "responses", run, ...args, "--overwrite", "--threads", "1");
}

test.before(async () => {
  await writeNetwork(dir, 6);
  const [, , ...sizes] = TINY;
  const network = ["--connectome", at("net_csr.npz"), "--quiet", "--no-report"];
  await runCommand(registerTrain, "train", "--out", run, ...sizes, ...network);
});

test("table, arrays and record have the same numbers, which are those of the neurons' activity", async () => {
  const text = await responses("--at", "0.5,3", "--out", at("all.csv"), "--plot", at("all.svg"));
  assert.match(text, /^14 groups of neurons, 24 samples of .* \(test\) in \d+ conditions \(class\)\ngroup +ε² /);
  assert.match(await readFile(at("all.svg"), "utf8"), /^<svg /);
  await responses("--at", "0.5,3", "--out", at("all.npz"), "--quiet");
  const arrays = Object.fromEntries(await readNpz(at("all.npz"), ["mean", "sd_samples", "sd_neurons", "samples"]));
  const [groups, conditions, times] = arrays.mean!.shape as [number, number, number];
  assert.equal([groups, times, arrays.samples!.data.length], [14, 2, conditions]);
  const [head, ...lines] = (await readFile(at("all.csv"), "utf8")).trim().split("\n");
  assert.is(head, "group,condition,time,mean,sd_samples,sd_neurons,samples,neurons");
  assert.is(lines.length, groups * conditions * times);
  const cells = lines.map((line) => line.split(","));
  const column = (k: number) => cells.map((row) => (row[k] === "" ? Number.NaN : Number(row[k])));
  assert.equal(column(3), Array.from(arrays.mean!.data, Number));
  assert.equal(column(4), Array.from(arrays.sd_samples!.data, Number));
  assert.equal(column(5), Array.from(arrays.sd_neurons!.data, Number));

  // The same from the activity of all neurons.
  const common = ["simulate", run, "--input", "test:0-23", "--at", "0.5,3", "--record", "type=T4"];
  await runCommand(registerSimulate, ...common, "--out", at("t4.npz"), "--threads", "1");
  const { hs, labels } = Object.fromEntries(await readNpz(at("t4.npz"), ["hs", "labels"]));
  const n = hs!.shape[2]!;
  for (const row of cells.filter(([name]) => name === "T4")) {
    const t = row[2] === "0.5" ? 0 : 1;
    const own = Array.from(labels!.data, Number).flatMap((c, s) => (row[1] === `class ${c}` ? [s] : []));
    const means = own.map((s) => {
      const from = (s * 2 + t) * n;
      return Array.from(hs!.data.subarray(from, from + n), Number).reduce((sum, x) => sum + x, 0) / n;
    });
    const mean = means.reduce((sum, x) => sum + x, 0) / own.length;
    assert.equal([Number(row[6]), Number(row[7])], [own.length, n]);
    // Two orders of the same sums of `own.length` numbers.
    assert.ok(Math.abs(Number(row[3]) - mean) <= 8 * own.length * Number.EPSILON * Math.abs(mean));
  }
});

test("conditions from files, by column and in bins; groups among some neurons; all samples together", async () => {
  const contrast = Array.from({ length: 24 }, (_, s) => s % 6);
  const rows = contrast.map((c, s) => `${c / 10},${s < 12 ? "early" : "late"}`);
  await writeFile(at("two.csv"), `contrast,half\n${rows.join("\n")}\n`);
  await writeNpy(at("contrast.npy"), { shape: [24], data: Float64Array.from(contrast) });
  const conditionsOf = async (...args: readonly string[]) => {
    const { result } = JSON.parse(await responses("--times", "3", "--json", "--among", "type=T*", ...args));
    const counts = result.conditions.map((c: { samples: number }) => c.samples);
    return [result.by, result.groups, result.conditions.map((c: { name: string }) => c.name), counts];
  };
  assert.equal(await conditionsOf("--conditions", `${at("two.csv")}:half`), ["half", 5, ["early", "late"], [12, 12]]);
  const bins = ["0 to 1", "2 to 3", "4 to 5"];
  const binned = await conditionsOf("--conditions", at("contrast.npy"), "--bins", "3");
  assert.equal(binned, ["value", 5, bins, [8, 8, 8]]);
  const each = await conditionsOf("--conditions", `${at("two.csv")}:contrast`, "--by", "role", "--samples", "24");
  assert.equal(each, ["contrast", 1, ["0", "0.1", "0.2", "0.3", "0.4", "0.5"], [4, 4, 4, 4, 4, 4]]);
  assert.equal(await conditionsOf("--conditions", "none"), ["", 5, ["all samples"], [24]]);
});

test("a silenced type does nothing, and the page has a section for each result", async () => {
  await responses("--silence", "type=T4", "--name", "without-T4", "--quiet");
  const record = await readAnalysis(join(run, "analyses", "without-T4.json"), "without-T4");
  const shown = record.result.object("activity").objects("rows");
  assert.ok(
    shown
      .find((row) => row.text("name") === "T4")!
      .numbersOrNaN("deviation")
      .every((x) => x === 0),
  );
  assert.ok(!record.result.objects("selectivity").some((row) => row.text("name") === "T4"));
  assert.equal(record.options.silence, ["type=T4"]);
  await runCommand(registerReport, "report", run, "--threads", "1");
  const page = await readFile(join(run, "report.html"), "utf8");
  for (const title of [
    "Responses: without-T4",
    "Activity by group over time",
    "Tuning curves",
    "Selectivity for class",
  ])
    assert.ok(page.includes(title), title);
});

test("figures hold what they say at every width; damaged records are errors that name the part", async () => {
  const record = await readAnalysis(join(run, "analyses", "without-T4.json"), "without-T4");
  const figures = ANALYSES.responses!.figures(record);
  assert.equal(
    figures.map(({ id }) => id),
    ["activity", "tuning", "selectivity"],
  );
  for (const figure of figures) {
    assert.ok(figure.table.rows.length > 0 && figure.table.rows.every((r) => r.length === figure.table.columns.length));
    assert.not.match(standaloneSvg(figure), /NaN|undefined|Infinity/);
    for (const width of [342, 520, 1080]) assert.not.match(figure.draw(width, "x").body, /NaN|undefined|Infinity/);
  }
  const file = join(run, "analyses", "without-T4.json");
  const whole = JSON.parse(await readFile(file, "utf8"));
  const damaged = [
    ["conditions", []],
    ["activity", { ...whole.result.activity, times: [0] }],
    ["tuning", [{ name: "x", response: [1], sd: [1] }]],
    ["selectivity", [{ ...whole.result.selectivity[0], preferred: 99 }]],
  ] as const;
  for (const [part, value] of damaged) {
    await writeFile(file, JSON.stringify({ ...whole, result: { ...whole.result, [part]: value } }));
    const { sections, notes } = analysisSections([await readAnalysis(file, "without-T4")]);
    assert.equal([sections.length, notes.length], [0, 1]);
    assert.match(notes[0]!, new RegExp(`without-T4\\.json: expected .*${part}`));
  }
});

test("wrong options are refused, and leave what is there", async () => {
  const before = await readdir(join(run, "analyses"));
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["--by", "typ"], /--by.*|did you mean "type"/],
    [["--among", "type=X9"], /--among/],
    [["--conditions", "target:0"], /numbers, got classes/],
    [["--conditions", "labels.txt"], /target:K, FILE\.npy/],
    [["--conditions", at("two.csv")], /one column, or the name of one/],
    [["--conditions", `${at("two.csv")}:half`, "--bins", "3"], /--bins/],
    [["--conditions", `${at("two.csv")}:half`, "--samples", "12"], /12 rows/],
    [["--bins", "3"], /--bins/],
    [["--times", "3", "--at", "1"], /--at/],
    [["--clamp", "T4a"], /responses: expected NEURONS=STATE/],
    [["--part", "train", "--samples", "1000"], /at most 64/],
  ];
  for (const [args, message] of wrong) {
    const code = /rows/.test(message.source) ? "shape" : /one column/.test(message.source) ? "file-format" : "argument";
    await fails(() => responses(...args, "--name", "wrong", "--json"), code, message);
  }
  await fails(
    () => runCommand(registerResponses, "responses", run, "--threads", "1"),
    "file-exists",
    /no result of this name/,
  );
  assert.equal(await readdir(join(run, "analyses")), before);
});

test.run();
