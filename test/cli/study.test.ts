// Studies from fabricated results: which runs are pairs, what is said of them, and what counts as a deviation.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { controlsOf, REAL } from "../../src/cli/study/arms.ts";
import type { Design } from "../../src/cli/study/design.ts";
import { type Outcome, outcomeOf } from "../../src/cli/study/outcome.ts";
import { outcomeMarkdown, outcomePage, outcomeText } from "../../src/cli/study/outcomeTables.ts";
import type { Protocol, ProtocolFile } from "../../src/cli/study/protocol.ts";
import { readStudy, reconciled, writeStudy } from "../../src/cli/study/study.ts";
import { collectedText } from "../../src/cli/sweep/collect.ts";
import type { Measure, RunResult, SweepResults } from "../../src/cli/sweep/results.ts";
import { SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { escapeMarkup } from "../../src/core/text.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { differencesFigure } from "../../src/report/plots/differences.ts";
import { differenceText } from "../../src/report/verdicts.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("studies");
const dir = tempDir();
const FOLDER = new SweepFolder(dir);

const DESIGN: Design = {
  ...{ question: null, seeds: [0, 1, 2, 3, 4], controls: controlsOf(["shuffled", "random"]), metric: "accuracy" },
  ...{ split: "test", alpha: 0.05, smallestEffect: null, allowMissing: false },
};
const MEASURES: readonly Measure[] = [
  { key: "testAccuracy", name: "test accuracy", format: "share", range: [0, 1], better: "higher" },
  { key: "testLoss", name: "test loss", format: "number", range: [null, null], better: "lower" },
  { key: "steps", name: "steps", format: "count", range: [0, null], better: null },
];

type Values = Readonly<Record<string, readonly (number | null)[]>>;

/** Results of finished runs; null: a failed one. */
function resultsOf(values: Values): SweepResults {
  const arms = [REAL, ...DESIGN.controls];
  const runs = arms.flatMap(({ name, options }) =>
    values[name]!.map((value, seed): RunResult => {
      const measured = { testAccuracy: value, testLoss: value === null ? null : 1 - value, steps: 5 };
      const status = value === null ? "failed" : "finished";
      // The order of the settings in a record does not matter.
      const own = Object.fromEntries(Object.entries(options).reverse());
      return { run: `${name}-${seed}`, options: own, seed, status, error: null, ...measured } as unknown as RunResult;
    }),
  );
  return { measures: MEASURES, runs, groups: [] };
}

const VALUES: Values = {
  real: [0.95, 0.951, 0.949, 0.952, 0.95],
  shuffled: [0.93, 0.932, 0.931, 0.929, 0.931],
  random: [0.951, 0.95, 0.95, 0.951, 0.949],
};

async function outcome(values: Values, design: Partial<Design> = {}): Promise<Outcome> {
  const study = { design: { ...DESIGN, ...design }, protocol: null, deviations: [] };
  return (await outcomeOf(FOLDER, study, resultsOf(values)))!;
}

test("sentences say better, worse, or no difference with the size that would have been found", async () => {
  const { verdicts, comparisons } = await outcome(VALUES);
  assert.match(
    verdicts[0]!.sentence,
    /^real is better than shuffled: \+1\.98 points, 95 % interval \+1\.7\d to \+2\.2\d, corrected p < 0\.0001\.$/,
  );
  assert.match(
    verdicts[1]!.sentence,
    /^no difference between real and random found at this size: \+0\.02 points, .*; 5 pairs would have found differences above 0\.\d\d points in 80 % of studies\.$/,
  );
  // Every measure of quality, not the work.
  assert.equal(
    comparisons.map(({ measure, control }) => `${measure} ${control}`),
    ["testAccuracy shuffled", "testAccuracy random", "testLoss shuffled", "testLoss random"],
  );
  const loss = await outcome(VALUES, { metric: "loss" });
  assert.match(loss.verdicts[0]!.sentence, /^real is better than shuffled: −0\.0198,/);
  const swapped = await outcome({ ...VALUES, real: VALUES.shuffled!, shuffled: VALUES.real! });
  assert.match(swapped.verdicts[0]!.sentence, /^real is worse than shuffled: −1\.98 points/);
});

test("missing pairs, equal pairs, constant differences and few pairs are stated", async () => {
  const failed = { ...VALUES, shuffled: [0.93, null, 0.931, 0.929, 0.931] };
  const [first] = (await outcome(failed)).verdicts;
  assert.is(
    first!.sentence,
    "undecided between real and shuffled: 1 of 5 pairs is missing (seed 1); --allow-missing decides from the others.",
  );
  const [allowed] = (await outcome(failed, { allowMissing: true })).verdicts;
  assert.match(
    allowed!.sentence,
    /^real is better than shuffled.* 1 of 5 pairs is missing \(seed 1\); left out, as was allowed\.$/,
  );
  // A failed real run is missing in all comparisons.
  const without = (await outcome({ ...VALUES, real: [null, ...VALUES.real!.slice(1)] })).verdicts;
  assert.equal(
    without.map(({ kind }) => kind),
    ["undecided", "undecided"],
  );
  const same = await outcome({ ...VALUES, shuffled: VALUES.real!, random: VALUES.real!.map((x) => x! - 0.01) });
  assert.is(same.verdicts[0]!.sentence, "no difference between real and shuffled: all 5 pairs are equal.");
  assert.match(
    same.verdicts[1]!.sentence,
    /^undecided between real and random: the difference is \+1\.00 points in every pair/,
  );
  const two = await outcome(VALUES, { seeds: [0, 1] });
  assert.is(two.verdicts[0]!.sentence, "no verdict on real and shuffled: 2 pairs, and a verdict needs 3.");
});

test("equivalence is said with its margin", async () => {
  const { verdicts } = await outcome(VALUES, { smallestEffect: 0.01 });
  assert.match(verdicts[1]!.sentence, /^real and random are equivalent within ±1\.00 points: .*two one-sided tests/);
  const wide = await outcome(VALUES, { smallestEffect: 0.05 });
  assert.match(wide.verdicts[0]!.sentence, /^real is better .* within ±5\.00 points, too small to be of interest\.$/);
});

test("without finished runs there is no outcome, and it is said", async () => {
  const nothing = VALUES.real!.map(() => null);
  const study = { design: DESIGN, protocol: null, deviations: [] };
  const results = resultsOf({ real: nothing, shuffled: nothing, random: nothing });
  const none = await outcomeOf(FOLDER, study, results);
  assert.is(none, null);
  assert.match(collectedText({ ...results, outcome: none, files: ["a"] }), /\nno verdict yet: .*\n\na\n$/);
  assert.not.match(collectedText({ ...results, files: ["a"] }), /verdict/);
});

test("text, Markdown, page and figure show verdicts and deviations, and escape what the user wrote", async () => {
  const deviation = { what: "alpha", planned: "0.05", actual: "0.1", reason: "<i>why not</i>", date: "2026-01-02" };
  const study = { design: { ...DESIGN, question: "Is it <b>so</b>?" }, protocol: null, deviations: [deviation] };
  const it = (await outcomeOf(FOLDER, study, resultsOf(VALUES)))!;
  const text = outcomeText(it);
  assert.match(text, "No protocol was written before the runs.");
  assert.match(text, "Deviation, alpha: 0.1 in place of 0.05 (on 2026-01-02; reason: <i>why not</i>).");
  for (const { sentence } of it.verdicts) assert.match(text, sentence);
  const page = outcomePage(it, "here");
  assert.match(page, escapeMarkup("Is it <b>so</b>?"));
  assert.match(page, escapeMarkup("reason: <i>why not</i>"));
  assert.not.match(page, "<b>so");
  assert.match(page, "deviation: 0.1");
  assert.not.match(page, "<script");
  assert.match(outcomeMarkdown(it), /\| alpha \| 0\.05 \| deviation: 0\.1 \|/);
  const svg = standaloneSvg(differencesFigure(it.verdicts, it.measure, it.rules));
  assert.is(svg.match(/<circle class="fill blue faint"/g)!.length, 10);
  assert.not.match(svg, "NaN");
  assert.is(differenceText({ format: "number" }, -0.5), "−0.5");
});

const PROTOCOL: Protocol = {
  ...{ axograd: "0.5.0", code: "aa", created: "2026-01-01T00:00:00Z", design: DESIGN, better: "higher" },
  ...{ settings: { lr: 0.1 }, inputs: [{ role: "connectome", file: "a.npz", sha256: "cc", bytes: 3 }] },
};
const FILE: ProtocolFile = { protocol: PROTOCOL, text: "", sha256: "dd" };

test("every deviation from a protocol is refused by name, or recorded with its reason", async () => {
  const now = { design: DESIGN, protocol: FILE, actual: PROTOCOL, reason: null };
  assert.equal(reconciled(now, null, 0).deviations, []);
  const changes: readonly (readonly [Partial<Protocol>, string])[] = [
    [{ axograd: "0.6.0" }, "axograd"],
    [{ code: "bb" }, "code"],
    [{ settings: { lr: 0.2 } }, "setting lr"],
    [{ settings: { lr: 0.1, gain: 2 } }, "setting gain"],
    [{ inputs: [{ ...PROTOCOL.inputs[0]!, sha256: "ee" }] }, "input 1, connectome"],
    [{ inputs: [] }, "input 1, connectome"],
    [{ design: { ...DESIGN, seeds: [0, 1, 2] } }, "seeds"],
    [{ design: { ...DESIGN, split: "validation" } }, "samples"],
    [{ design: { ...DESIGN, alpha: 0.050001 } }, "alpha"],
    [{ design: { ...DESIGN, smallestEffect: 0.1 } }, "smallest effect of interest"],
    [{ design: { ...DESIGN, allowMissing: true } }, "missing pairs"],
    [{ design: { ...DESIGN, controls: controlsOf(["shuffled"]) } }, "control random"],
  ];
  for (const [change, what] of changes) {
    const actual = { ...PROTOCOL, ...change };
    const other = { ...now, design: actual.design, actual };
    await fails(() => reconciled(other, null, 0), "argument", new RegExp(`\\(${what}\\)`));
    const { deviations } = reconciled({ ...other, reason: "because" }, null, 0);
    assert.ok(
      deviations.some((it) => it.what === what && it.reason === "because"),
      what,
    );
    // Once accepted, it is not asked for again.
    const earlier = { design: actual.design, protocol: FILE, deviations };
    assert.equal(reconciled(other, earlier, 3).deviations, deviations);
  }
});

test("runs that began before their protocol are a deviation", async () => {
  const now = { design: DESIGN, protocol: FILE, actual: PROTOCOL, reason: null };
  const earlier = { design: DESIGN, protocol: null, deviations: [] };
  await fails(() => reconciled(now, earlier, 2), "argument", /begun without a protocol \(runs in the folder\)/);
  assert.equal(reconciled(now, { ...earlier, protocol: FILE }, 2).deviations, []);
});

test("a folder that has a protocol holds to all of it, also when it is continued without naming it", async () => {
  const earlier = { design: DESIGN, protocol: FILE, deviations: [] };
  const now = { design: DESIGN, protocol: null, actual: PROTOCOL, reason: null };
  assert.equal(reconciled(now, earlier, 2), earlier);
  const other = { ...now, actual: { ...PROTOCOL, code: "bb" } };
  await fails(() => reconciled(other, earlier, 2), "argument", /\(code\)/);
  const { deviations } = reconciled({ ...other, reason: "a fault was mended" }, earlier, 2);
  assert.equal(
    deviations.map(({ what, reason }) => [what, reason]),
    [["code", "a fault was mended"]],
  );
});

test("without a protocol, what changes after the first runs is recorded, and nothing before", () => {
  const design = { ...DESIGN, metric: "loss" };
  const now = { design, protocol: null, actual: null, reason: null };
  const earlier = { design: DESIGN, protocol: null, deviations: [] };
  assert.equal(reconciled(now, earlier, 0).deviations, []);
  assert.equal(
    reconciled(now, earlier, 1).deviations.map(({ what, planned, actual }) => [what, planned, actual]),
    [["metric", "accuracy", "loss"]],
  );
});

test("the record of a study is read as it was written; a protocol that was changed afterwards is found", async () => {
  const folder = tempDir();
  assert.is(await readStudy(folder), null);
  const deviations = [{ what: "alpha", planned: "0.05", actual: "0.1", reason: null, date: "2026-01-02" }];
  await writeStudy(folder, { design: DESIGN, protocol: null, deviations });
  assert.equal(await readStudy(folder), { design: DESIGN, protocol: null, deviations });
  const text = JSON.stringify({ ...PROTOCOL, inputs: [] });
  await writeStudy(folder, { design: DESIGN, protocol: { ...FILE, text }, deviations });
  await fails(() => readStudy(folder), "file-format", /SHA-256 of protocol\.json/);
});

test.run();
