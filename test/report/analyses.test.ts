// Analyses on the page of a run: a section each, figures with their own names, and what cannot be shown.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ANALYSES_FOLDER,
  type AnalysisRecord,
  analysisFile,
  readAnalyses,
  readAnalysis,
  writeAnalysis,
} from "../../src/analysis/record.ts";
import { FileFormatError } from "../../src/core/errors.ts";
import { perturbFigures } from "../../src/report/analyses/perturb.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { buildReport } from "../../src/report/report.ts";
import { classificationTask } from "../../src/train/taskDescription.ts";
import { tempDir } from "../io/fixtures.ts";
import { xmlFault } from "../support/xml.ts";
import { exampleParts } from "./exampleRun.ts";

const test = suite("analyses on the page");
const dir = tempDir();

/** The record of an analysis, as it is after it was written. */
async function written(name: string, kind: string, result: object): Promise<AnalysisRecord> {
  return readAnalysis(await writeAnalysis(dir, { name, kind, step: 40, options: {}, result }), name);
}

const measures = (accuracy: number) => ({ loss: -accuracy, metrics: { accuracy }, recall: [accuracy] });

/** What `axograd perturb` found, with `count` types; the last has no numbers. */
function perturbed(count: number, own: object = {}): object {
  const effects = Array.from({ length: count }, (_, k) => ({
    ...{ name: `T${k}`, act: "silence", actValue: null, neurons: 5, failed: 0, failure: null },
    ...{ value: measures(0.9 - 0.5 / (k + 1)), change: measures(-0.5 / (k + 1)), error: measures(0.01) },
  }));
  const unknown = {
    ...effects.at(-1)!,
    name: "X",
    failed: 8,
    failure: "nonFinite",
    ...Object.fromEntries(["value", "change", "error"].map((part) => [part, measures(Number.NaN)])),
  };
  return {
    ...{ task: classificationTask(10), intact: measures(0.9), samples: 200, failed: 0, groups: 20 },
    ...{ source: "digits", part: "test", classNames: null, effects: [...effects.slice(0, -1), unknown], ...own },
  };
}

test("each analysis is a section with figures of its own names, drawn and in numbers", async () => {
  const records = [await written("left", "perturb", perturbed(3)), await written("perturb", "perturb", perturbed(60))];
  const { html, figures } = buildReport({ ...exampleParts(), analyses: records });
  assert.match(html, /Perturbed neurons: left/);
  const own = figures.filter(({ id }) => id.endsWith("-change"));
  assert.equal(
    own.map(({ id, table }) => [id, table.rows.length]),
    [
      ["left-change", 3],
      ["perturb-change", 60],
    ],
  );
  for (const { table } of own) for (const row of table.rows) assert.is(row.length, table.columns.length);
  assert.equal(own[0]!.table.rows[0]!.slice(0, 6), ["T0", "silenced", 5, 0, "40.00 %", "−50.00 ± 1.00 points"]);
  assert.equal(own[0]!.table.rows[2]!.slice(0, 6), ["X", "nonFinite", 5, 8, "–", "–"]);
  const many = standaloneSvg(own[1]!);
  assert.match(own[1]!.caption, "The 40 strongest of 60 are shown");
  assert.match(many, ">T39<");
  assert.not.match(many, ">T40<");
  assert.match(many, "intact: 90.00 %");
});

test("experiments of several kinds are named by what is done", async () => {
  const { effects } = perturbed(3) as { effects: readonly object[] };
  const mixed = [
    effects[0],
    { ...effects[1], act: "clamp", actValue: 0.5 },
    { ...effects[2], act: "drive", actValue: "pulse.npy" },
  ];
  const [figure] = perturbFigures(await written("mixed", "perturb", perturbed(3, { effects: mixed })));
  const svg = standaloneSvg(figure!);
  for (const text of ["T0, silenced", "T1, clamped at 0.5", "X, driven by pulse.npy"]) assert.match(svg, `>${text}<`);
  assert.match(figure!.title, "Change of accuracy with neurons acted upon");
});

test("what cannot be shown is said, beside the rest of the page", async () => {
  const damaged = await written("hurt", "perturb", perturbed(3, { effects: [{ name: "T4a" }] }));
  const unknown = await written("later", 'x<b>"', {});
  const proto = await written("proto", "__proto__", {});
  const broken = new FileFormatError("a.json", "a record", "<i>other</i>");
  const { html } = buildReport({ ...exampleParts(), analyses: [damaged, unknown, proto, broken] });
  assert.match(html, /hurt\.json: expected .* at result\.effects\.0\./);
  assert.match(html, "This version cannot show the analysis later, of the kind ");
  assert.match(html, "This version cannot show the analysis proto");
  assert.not.match(html, /<i>|x<b>/);
  assert.match(html, 'id="loss');
});

test("no name of a neuron, class or metric becomes markup", async () => {
  for (const text of [`"><script>alert(1)</script>`, "\u202e\0\ud800", "x".repeat(5000), "__proto__", ""]) {
    const { effects, task } = perturbed(2) as {
      effects: readonly object[];
      task: ReturnType<typeof classificationTask>;
    };
    const named = {
      effects: effects.map((effect) => ({ ...effect, name: text, failure: text })),
      classNames: [text],
      source: text,
    };
    const [figure] = perturbFigures(await written("hostile", "perturb", perturbed(2, { ...named, task })));
    assert.is(xmlFault(standaloneSvg(figure!)), null, JSON.stringify(text.slice(0, 40)));
    const { html } = buildReport({
      ...exampleParts(),
      analyses: [await written("hostile", "perturb", perturbed(2, named))],
    });
    assert.not.match(html, /<script|\p{Cs}|\u202e/u);
  }
});

test("every part that a figure reads is checked", async () => {
  const [first] = (perturbed(2) as { effects: readonly object[] }).effects;
  for (const own of [
    ...[{ task: null }, { intact: 3 }, { samples: "many" }, { effects: {} }, { effects: [] }],
    ...[{ act: "cut" }, { neurons: -1 }, { change: [] }, { value: { loss: 0 } }, { act: "clamp" }].map((part) => ({
      effects: [{ ...first, ...part }],
    })),
  ]) {
    const record = await written("parts", "perturb", perturbed(2, own));
    assert.throws(
      () => perturbFigures(record),
      (error: unknown) => error instanceof FileFormatError,
      JSON.stringify(own).slice(0, 60),
    );
  }
});

test("a hand-made file under a name that is none is refused, whatever it holds", async () => {
  const run = join(dir, "names");
  await mkdir(join(run, ANALYSES_FOLDER), { recursive: true });
  await writeFile(analysisFile(run, `"onload="alert(1)`), "{}");
  const { html } = buildReport({ ...exampleParts(), analyses: await readAnalyses(run) });
  assert.match(html, "An analysis cannot be shown");
  assert.not.match(html, /"onload="/);
});

test.run();
