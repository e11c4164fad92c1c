import { inflateSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { logTicks, spreadOut } from "../../src/report/axes.ts";
import { standaloneSvg } from "../../src/report/figure.ts";
import { groupsByType } from "../../src/report/groups.ts";
import { metricFigure } from "../../src/report/plots/metric.ts";
import { encodePng } from "../../src/report/png.ts";
import { buildReport, type ReportParts, type Responses } from "../../src/report/report.ts";
import { historyOf } from "../../src/report/runRecord.ts";
import { smoothed, thinned } from "../../src/report/series.ts";
import { plotCurves } from "../../src/report/trainingCurves.ts";
import type { Finding } from "../../src/train/diagnosis.ts";
import type { RunEvent } from "../../src/train/metrics.ts";
import { classificationTask, type MetricValues, type TaskDescription } from "../../src/train/taskDescription.ts";
import { exampleParts } from "./exampleRun.ts";

const test = suite("report");

test("a finished run has every figure, each with the numbers behind it", () => {
  const { figures } = buildReport(exampleParts());
  assert.equal(
    figures.map((f) => f.id),
    [
      "loss",
      "accuracy",
      "confusion",
      "examples",
      "activity",
      "distribution-weights",
      "distribution-bias",
      "distribution-tau",
      "spy",
      "degrees",
      "solver-steps",
      "time",
      "memory",
    ],
  );
  for (const { id, table } of figures) {
    assert.ok(table.rows.length > 0, id);
    for (const row of table.rows) assert.is(row.length, table.columns.length, id);
  }
});

test("the page says with which choices a GPU computed, and nothing of them for a CPU", () => {
  const parts = exampleParts();
  const tuning = { source: "file", tuning: { limits: [16, 256, 1024], window: null, exchange: "quads" } };
  const { html } = buildReport({ ...parts, run: { ...parts.run, start: { ...parts.run.start, tuning } } });
  assert.match(html, /sparse kernels.*limits 16,256,1024, window all, exchange quads \(file\)/s);
  assert.not.match(buildReport(parts).html, /sparse kernels/);
});

/** The example as a run whose targets are numbers, judged by two metrics; one is called like another figure. */
function numbersParts(): ReportParts {
  const parts = exampleParts();
  const { start, steps, evaluations, summary } = parts.run;
  const metric = { format: "number", chance: null } as const;
  const task: TaskDescription = {
    loss: { name: "squared", unit: null, chance: null },
    metrics: [
      { ...metric, name: "Mean error (°)", better: "lower", range: [0, null] },
      { ...metric, name: "time", better: "higher", range: [null, 1], chance: 0 },
    ],
    target: { kind: "numbers", width: 2, classes: null, times: null },
  };
  const values = (step: number): MetricValues => ({ "Mean error (°)": 40 / step, time: 1 - 3 / step });
  const responses = parts.observations!.responses as Responses;
  return {
    ...parts,
    run: {
      ...parts.run,
      start: { ...start, task, data: { ...start.data, classes: null } },
      steps: steps.map((step) => ({ ...step, metrics: values(step.step), meanMetrics: values(step.step) })),
      evaluations: evaluations.map(({ confusion: _, ...evaluation }) => ({
        ...evaluation,
        metrics: values(evaluation.step),
      })),
      summary: { ...summary!, test: null, validation: null },
    },
    observations: { ...parts.observations!, responses: { ...responses, examples: null } },
  };
}

test("targets that are numbers have a figure per metric, and none of classes", () => {
  const { html, figures } = buildReport(numbersParts());
  assert.equal(
    figures.map((f) => f.id).filter((id) => !id.startsWith("distribution")),
    ["loss", "mean-error-", "time", "activity", "spy", "degrees", "solver-steps", "time-2", "memory"],
  );
  assert.not.match(html, /NaN|undefined|Infinity|accuracy|id="answers"/);
  assert.match(html, /<dt>test Mean error \(°\)<\/dt><dd>1<\/dd>/);
  assert.match(html, /<dt>test time<\/dt><dd>0\.925<\/dd>/);
  assert.match(html, /<dt>test loss<\/dt>/);
  const svg = plotCurves({
    ...{ title: "numbers", training: numbersParts().run.steps, evaluations: [], task: numbersParts().run.start.task },
  });
  assert.match(svg, />chance 0</);
  assert.match(svg, />Mean error \(°\)</);
});

test("a far outlier leaves the picture of a metric without limits, instead of flattening the rest", () => {
  const steps = Array.from({ length: 100 }, (_, i) => ({
    step: i + 1,
    loss: 1,
    metrics: { r2: i === 0 ? -1e6 : i / 200 },
  }));
  const [, r2] = numbersParts().run.start.task.metrics;
  const drawn = metricFigure({ steps, evaluations: [] }, { ...r2!, name: "r2" }).draw(520, "a").body;
  const texts = [...drawn.matchAll(/<text[^>]*>([^<]*)</g)].map((m) => m[1]!);
  assert.ok(texts.includes("0.5") && texts.every((text) => !text.includes("000")), texts.join());
});

test("the page asks nothing of any server and runs no script", () => {
  const { html } = buildReport(exampleParts());
  assert.match(html, /default-src 'none'/);
  assert.not.match(html, /<script/);
  const addresses = [...html.matchAll(/(?:href|src)="([^"]*)"|url\(([^)]*)\)/g)].map((m) => m[1] ?? m[2]!);
  assert.ok(addresses.length > 0);
  for (const address of addresses) assert.match(address, /^(data:|#)/);
});

test("text of a run cannot become markup", () => {
  const { html } = buildReport(exampleParts());
  assert.match(html, /generated &#60;digits&#62;/);
  assert.not.match(html, /<digits>/);
});

test("a run in discrete time has no figure of a solver, and none is missed", () => {
  const parts = exampleParts();
  const { start, steps } = parts.run;
  const run = {
    ...parts.run,
    start: { ...start, config: { ...start.config, time: "discrete" } },
    steps: steps.map((step) => ({ ...step, solver: null })),
  };
  const { html, figures } = buildReport({ ...parts, run });
  assert.not.ok(figures.some(({ id }) => id === "solver-steps"));
  assert.not.match(html, /solver/i);
  const solved = buildReport({ ...parts, run: { ...run, start } });
  assert.match(solved.html, /No step of a solver has been recorded/);
});

test("an unfinished run without a checkpoint says what is missing and shows the rest", () => {
  const parts = exampleParts();
  const run = { ...parts.run, steps: parts.run.steps.slice(0, 7), evaluations: [], summary: null };
  const { html, figures } = buildReport({ ...parts, run, observations: null });
  assert.match(html, /unfinished: 7 of 40 steps/);
  assert.match(html, /no checkpoint yet/);
  assert.match(html, /No evaluation has been recorded yet/);
  assert.equal(
    figures.map((f) => f.id),
    ["loss", "accuracy", "spy", "degrees", "solver-steps", "time"],
  );
});

test("a run that has not made a step has a page, too", () => {
  const parts = exampleParts();
  const run = { ...parts.run, steps: [], evaluations: [], summary: null };
  const { figures, html } = buildReport({ ...parts, run, observations: null });
  assert.match(html, /No training step has been recorded yet/);
  assert.equal(
    figures.map((f) => f.id),
    ["spy", "degrees"],
  );
});

test("a network that cannot be run any more leaves answers and activity out, and shows its parameters", () => {
  const parts = exampleParts();
  const observations = { ...parts.observations!, responses: { failure: "sample 0 stopped" } };
  const { html, figures } = buildReport({ ...parts, observations });
  const ids = figures.map((f) => f.id);
  assert.not.ok(ids.includes("examples") || ids.includes("activity"));
  assert.ok(ids.includes("distribution-weights"));
  assert.is(html.match(/The trained network cannot be run: sample 0 stopped\./g)?.length, 2);
});

test("parameters far from 1 have ticks that fit", () => {
  const parts = exampleParts();
  for (const scale of [1e25, 1e-9]) {
    const changes = parts.observations!.changes.map((change) => ({
      ...change,
      before: change.before.map((x) => x * scale),
      after: change.after.map((x) => x * scale),
    }));
    const { figures } = buildReport({ ...parts, observations: { ...parts.observations!, changes } });
    for (const figure of figures.filter(({ id }) => id.startsWith("distribution"))) {
      const ticks = [...figure.draw(342, "u").body.matchAll(/middle">([^<]*\d[^<]*)</g)].map((m) => m[1]!);
      assert.ok(ticks.length >= 2 && ticks.every((tick) => tick.length <= 8), `${figure.id}: ${ticks}`);
    }
  }
});

test("no figure contains a number that is not one", () => {
  for (const figure of buildReport(exampleParts()).figures) {
    for (const width of [342, 520, 1080]) assert.not.match(figure.draw(width, "u").body, /NaN|Infinity|undefined/);
  }
});

test("every figure is an SVG file of its own, for light and dark", () => {
  for (const figure of buildReport(exampleParts()).figures) {
    const svg = standaloneSvg(figure);
    assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.match(svg, /<title id="title">/);
  }
});

test("curves are one self-contained picture, light and dark, with axes, legend and every evaluation", () => {
  const training = Array.from({ length: 3000 }, (_, i) => ({
    step: i + 1,
    loss: 2.3 / (1 + i / 50),
    metrics: { accuracy: i / 3000 },
  }));
  const evaluations = [
    { set: "validation", step: 1500, loss: 0.2, metrics: { accuracy: 0.6 } },
    { set: "validation", step: 3000, loss: 0.1, metrics: { accuracy: 0.9 } },
    { set: "test", step: 3000, loss: 0.12, metrics: { accuracy: 0.88 } },
  ] as const;
  const svg = plotCurves({ title: "a <b> & c", training, evaluations, task: classificationTask(10) });
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  assert.match(svg, /prefers-color-scheme: dark/);
  assert.match(svg, /a &#60;b&#62; &#38; c/);
  for (const text of [
    ...["loss (nats)", "accuracy (%)", "training step", "each batch", "running mean"],
    ...["chance 2.303", "chance 10", "validation 0.1", "validation 90", "test 0.12", "test 88"],
  ]) {
    assert.ok(svg.includes(`>${text}<`), text);
  }
  assert.not.match(svg, /NaN|undefined|Infinity/);
  const outside = /https?:|<script|<image|@import|url\((?!#(loss|accuracy)-clip)/;
  assert.not.match(svg.replace("http://www.w3.org/2000/svg", ""), outside);
  assert.is(svg.match(/<circle class="fill dot (orange|purple)" cx="\d/g)?.length, 2 * 3);
  assert.ok(svg.length < 100_000, `${svg.length} characters`);
});

test("a run of one step, or none, has curves too", () => {
  const point = { step: 1, loss: 2.3, metrics: { accuracy: 0.1 } };
  for (const training of [[], [point], [{ ...point, loss: Number.NaN }]]) {
    const svg = plotCurves({ title: "short", training, evaluations: [], task: classificationTask(10) });
    assert.not.match(svg, /NaN|undefined|Infinity/);
  }
});

test("of a run that was resumed, steps and evaluations count as they were done last", () => {
  const { steps, evaluations } = exampleParts().run;
  const [one, two, three] = steps.map((m) => ({ event: "step", ...m }) as const);
  const evaluation = { event: "evaluation", ...evaluations[0]!, step: 2 } as const;
  const again = { ...two!, loss: 9 };
  const history = historyOf([one!, two!, evaluation, three!, again, three!]);
  assert.equal(
    history.steps.map((m) => [m.step, m.loss]),
    [
      [1, one!.loss],
      [2, 9],
      [3, three!.loss],
    ],
  );
  assert.equal(history.evaluations, []);
});

test("findings of the last diagnosis, and the error that ended a run, are told at the top until the run goes on", () => {
  const [one] = exampleParts().run.steps.map((m) => ({ event: "step", ...m }) as const);
  const diagnosis = (...findings: Finding[]) => ({ event: "diagnosis", findings }) as unknown as RunEvent;
  const finding: Finding = { fault: "saturated", message: "this run is heading for guessing: all are <saturated>" };
  const error: RunEvent = { event: "error", code: "file-write", message: "a full disk", facts: {} };
  const history = historyOf([one!, diagnosis(), diagnosis(finding), error]);
  assert.equal([history.findings, history.failure], [[finding], "a full disk"]);
  assert.equal(historyOf([diagnosis(finding), diagnosis()]).findings, []);
  assert.is(historyOf([error, { event: "resumed", step: 1, checkpoint: null }]).failure, null);
  const parts = exampleParts();
  const { html } = buildReport({ ...parts, run: { ...parts.run, ...history, summary: null } });
  assert.match(html, /Diagnosis: this run is heading for guessing: all are &#60;saturated&#62;\.</);
  assert.match(html, /It ended with an error: a full disk\.</);
});

test("of more cell types than a picture shows, the most frequent are groups, and the others of a role are one", () => {
  const grouped = (types: number): (readonly [string, number])[] => {
    // Type 7 has two neurons, the others one.
    const typeIdx = Uint32Array.from({ length: types + 1 }, (_, i) => (i < types ? i : 7));
    const table = {
      count: types + 1,
      types: Array.from({ length: types }, (_, t) => `T${t}`),
      typeIdx,
      role: Array.from({ length: types + 1 }, (_, i) => (i === 99 ? ("input" as const) : ("hidden" as const))),
      ...{ sign: null, x: null, y: null },
    };
    const groups = groupsByType(table);
    const all = groups.flatMap(({ neurons }) => [...neurons]).sort((a, b) => a - b);
    assert.equal(all, [...typeIdx.keys()]);
    return groups.map((g) => [g.name, g.neurons.length] as const);
  };
  assert.is(grouped(256).length, 256);
  const many = grouped(12_000);
  assert.is(many.length, 50);
  assert.equal(many[0], ["1 other type", 1]);
  assert.equal(
    [many[8], many[49]],
    [
      ["T7", 2],
      ["11,951 other types", 11_951],
    ],
  );
});

test("groups follow roles, then cell types", () => {
  const zeros = new Float64Array(4);
  const groups = groupsByType({
    count: 4,
    types: ["out", "in", "mid"],
    typeIdx: Uint32Array.of(0, 1, 2, 1),
    role: ["output", "input", "hidden", "input"],
    sign: new Int8Array(4),
    x: zeros,
    y: zeros,
  });
  assert.equal(
    groups.map((g) => [g.name, [...g.neurons]]),
    [
      ["in", [1, 3]],
      ["mid", [2]],
      ["out", [0]],
    ],
  );
});

test("labels are moved apart in their order and stay inside", () => {
  assert.equal(spreadOut([50, 52, 10], 15, 0, 100), [50, 65, 10]);
  assert.equal(spreadOut([98, 99], 15, 0, 100), [85, 100]);
});

test("logarithmic axes have 1, 2, 5 on short ranges and powers of ten on long ones", () => {
  assert.equal(logTicks(0.15, 12), [0.2, 0.5, 1, 2, 5, 10]);
  assert.equal(logTicks(1, 1e4), [1, 10, 100, 1000, 10000]);
});

test("thinning keeps means and the last step; smoothing looks back only", () => {
  const points = [1, 2, 3, 4, 5].map((x) => ({ x, y: 10 * x }));
  assert.equal(thinned(points, 3), [
    { x: 2, y: 15 },
    { x: 4, y: 35 },
    { x: 5, y: 50 },
  ]);
  assert.equal(smoothed(points, 2)[4], { x: 5, y: 45 });
});

test("a PNG holds its pixels, row by row", () => {
  const png = Buffer.from(encodePng({ width: 2, height: 2, pixels: Uint8Array.of(1, 2, 3, 4) }));
  const at = png.indexOf("IDAT");
  const data = png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4));
  assert.equal([...inflateSync(data)], [0, 1, 2, 0, 3, 4]);
});

test.run();
