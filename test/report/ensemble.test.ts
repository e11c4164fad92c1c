// The page of an ensemble: what it says, what it draws, and that names cannot break it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ensembleStatistics, memberSpread } from "../../src/analysis/ensemble.ts";
import type { EnsembleResult } from "../../src/analysis/ensembleResult.ts";
import { ensembleFigures, ensemblePage, ensembleStatements } from "../../src/report/ensemble.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { page } from "../../src/report/page.ts";
import { classificationTask } from "../../src/train/taskDescription.ts";
import { xmlFault } from "../support/xml.ts";

const test = suite("ensemble page");

/** Members in two clusters: those with an even number respond the other way round. */
function example(count: number, name: (m: number) => string = (m) => `seed ${m}`): EnsembleResult {
  const all = Array.from({ length: count }, (_, m) => m);
  const accuracies = all.map((m) => 0.5 + (m % 2) / 4 + m / 1000);
  const responses = all.map((m) => (m % 2 === 0 ? [4, 3, 2 + m / 100, 1] : [1, 2, 3, 4 + m / 100]));
  const spread = memberSpread(accuracies)!;
  const metric = { name: "accuracy", better: "higher", members: accuracies, spread, best: spread.max } as const;
  return {
    members: all.map((m) => ({ name: name(m), folder: `runs/${m}`, seed: m, step: 10, version: "0.5.0" })),
    leftOut: [{ folder: "runs/x", reason: "unfinished" }],
    differences: [],
    task: classificationTask(10),
    statistics: ensembleStatistics({
      metrics: [{ name: "test accuracy", better: "higher", values: accuracies }],
      values: [{ name: "responses", values: responses }],
    }),
    parameters: [],
    distributions: [],
    analysis: null,
    responses: {
      ...{ samples: 5, part: "test", ts: [0, 1] },
      groups: [
        { name: "T4a", neurons: 3 },
        { name: "T5a", neurons: 3 },
      ],
      values: responses.map(([a, b, c, d]) => [
        [a!, b!],
        [c!, d!],
      ]),
    },
    prediction: { part: "test", samples: 20, failed: 0, scale: "softmax", metrics: [{ ...metric, ensemble: 0.9 }] },
    notes: [],
  };
}

test("statements tell performance, averaged predictions and clusters", () => {
  // 0.5, 0.751, 0.502, 0.753: s² = 2·(0.1265² + 0.1245²)/3.
  const [performance, averaged, clusters] = ensembleStatements(example(4));
  assert.is(performance, "Test accuracy: 62.65 ± 14.49 % over 4 members; best: seed 3 (75.30 %).");
  assert.match(averaged!, /accuracy 90\.00 % on 20 test samples; members: mean 62\.65 %, best 75\.30 %/);
  assert.match(clusters!, /^2 clusters by responses, of 2 and 2 of 4 members: mean silhouette (1|0\.99\d*)\.$/);
  assert.match(ensembleStatements(example(2))[2]!, /two members cannot be divided/);
});

test("figures are well-formed, whatever the members are called", () => {
  const result = example(4, (m) => `<b>&"'\u0007 ${m}`);
  const figures = ensembleFigures(result, false);
  const drawn = Object.values(figures).flat();
  assert.equal(
    drawn.map(({ id }) => id),
    ["members", "solutions", "correlations-responses", "responses"],
  );
  for (const figure of drawn) {
    assert.ok(!("missing" in figure));
    assert.is(xmlFault(standaloneSvg(figure)), null, figure.id);
  }
  const html = ensemblePage(result, figures, "x");
  for (const raw of ["<b>", "\u0007"]) assert.not.ok(html.includes(raw));
  assert.match(html, /Left out: runs\/x, unfinished/);
});

test("of more than 60 members the best are drawn, and no tree", () => {
  const figures = ensembleFigures(example(61), false);
  assert.is(figures.metrics[0]!.table.rows.length, 2 + 60);
  assert.match(figures.metrics[0]!.caption, /The 60 best of 61 members/);
  for (const figure of [figures.solutions[0]!, figures.agreement[0]!]) assert.ok("missing" in figure);
});

test("no element of a page is empty in the way of XML: a section may have a table only, and facts may be none", () => {
  const table = { columns: ["a"], rows: [[1]] };
  const sections = [{ title: "Numbers", figures: [], table }];
  const parts = {
    title: "t",
    subtitle: "s",
    notes: [],
    keyNumbers: [],
    sections,
    facts: [{ title: "None", facts: {} }],
  };
  assert.not.match(page(parts), /<(div|dl|section|table|tr|td|p)\b[^>]*\/>/);
});

test.run();
