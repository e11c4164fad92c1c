// Any text as the name of a cell type, a file, a run: pages and plots stay well formed and show it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { standaloneSvg } from "../../src/report/figure.ts";
import { comparisonFigure } from "../../src/report/plots/comparison.ts";
import { pngOfSvg } from "../../src/report/raster.ts";
import { buildReport, type ReportParts } from "../../src/report/report.ts";
import { plotCurves } from "../../src/report/trainingCurves.ts";
import { classificationTask } from "../../src/train/taskDescription.ts";
import { xmlFault } from "../support/xml.ts";
import { exampleParts } from "./exampleRun.ts";

const test = suite("hostile text");
const task = classificationTask(10);
const [metric] = task.metrics;

const TEXTS: readonly string[] = [
  `<script>alert(1)</script>`,
  `</svg><img src=x onerror="alert(1)">`,
  `" onload="alert(1)`,
  `' & &amp; &#0; &lt ]]> <!-- <![CDATA[`,
  "\0\u0001\u0008\u000b\u001b[2J\u007f\u0085\u009b",
  "\ufffe\uffff\ud800\udc00\ud800 \udfff",
  "a\nb\r\tc",
  "\u202egpj.exe\u2066",
  "🧠".repeat(40),
  "x".repeat(20_000),
];

/** The example with `text` wherever a run has text. */
function partsWith(text: string): ReportParts {
  const { run, network, observations } = exampleParts();
  const groups = network.groups.map((group) => ({ ...group, name: text }));
  const { responses } = observations!;
  if ("failure" in responses) throw new Error("the example has responses");
  const { activity } = responses;
  const inputs = activity.inputs.map((input) => ({ ...input, name: text, picture: null }));
  return {
    analyses: [],
    run: {
      ...run,
      folder: `runs/${text.replaceAll("\0", "")}`,
      start: {
        ...run.start,
        version: text,
        device: text,
        config: { ...run.start.config, preset: text, connectome: text, [text]: [text] },
        network: { ...run.start.network, source: text, [text]: { [text]: text } },
        data: { ...run.start.data, source: text },
        environment: { cpu: text },
      },
      findings: [{ fault: "saturated", message: text }],
      failure: text,
    },
    network: { ...network, groups },
    observations: {
      ...observations!,
      responses: { ...responses, sampleSet: text, activity: { ...activity, inputs, groups } },
    },
  };
}

test("every plot is well-formed XML, whatever its words are", () => {
  for (const text of TEXTS) {
    const { figures } = buildReport(partsWith(text));
    const named = comparisonFigure([{ name: text, values: [0.5], mean: 0.5, sd: null }], { ...metric!, name: text });
    const plots = [...figures, named].map((figure) => standaloneSvg(figure));
    const curves = plotCurves({ title: text, training: [], evaluations: [], task });
    for (const svg of [...plots, curves]) assert.is(xmlFault(svg), null, JSON.stringify(text.slice(0, 40)));
  }
});

test("a renderer takes plots with such words", async () => {
  for (const text of TEXTS) {
    const svg = plotCurves({ title: text, training: [], evaluations: [], task });
    assert.match(Buffer.from(await pngOfSvg(svg)).toString("latin1", 0, 4), /PNG/);
  }
});

test("no text of a run becomes markup of its page, and none runs out of bounds", () => {
  for (const text of TEXTS) {
    const { html } = buildReport(partsWith(text));
    assert.not.match(html, /<script|<img|onerror="|onload="|\p{Cs}|\ufffe|\uffff/u);
    // The line ends of the page itself are the only control characters.
    assert.not.match(html.replaceAll("\n", ""), /\p{Cc}|[\u202e\u2066]/u);
    for (const [svg] of html.matchAll(/<svg[\s\S]*?<\/svg>/g)) assert.is(xmlFault(svg), null);
    assert.ok(html.length < 2 ** 20 + 60 * text.length, `${html.length} characters`);
  }
});

test("the check of XML sees what is not well formed", () => {
  assert.is(xmlFault('<a b="c">d &#38; &lt;<e/></a>'), null);
  for (const wrong of [
    ...["<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>b", "<a b=c/>", '<a b="<"/>', '<a b="1" b="2"/>', "<a>&</a>"],
    ...["<a>&#0;</a>", "<a>\u001b</a>", "<a>\ufffe</a>", "<a>\ud800</a>", "<a><b></a></b>", "<a><!b></a>"],
  ]) {
    assert.is.not(xmlFault(wrong), null, wrong);
  }
});

test.run();
