import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { JsonParts } from "../../src/io/jsonParts.ts";
import { evaluationRecord, jsonLine, MetricsFile, parseEvent, type RunEvent } from "../../src/train/metrics.ts";
import { duration, Progress, progressLine } from "../../src/train/progress.ts";
import { classificationTask, isBetter, readTaskDescription } from "../../src/train/taskDescription.ts";
import type { StepMetrics } from "../../src/train/trainer.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("metrics and progress");
const [ACCURACY] = classificationTask(10).metrics;
const dir = tempDir();

function metricsOf(step: number, lastStep = 100): StepMetrics {
  return {
    step,
    epoch: 0,
    loss: 2.3 / step,
    metrics: { accuracy: 0.5 },
    meanLoss: 2.3 / step,
    meanMetrics: { accuracy: 0.5 },
    learningRate: 1e-3,
    solver: { rhsEvaluations: 26, steps: { min: 4, mean: 4.2, max: 5 }, rejected: 0, failed: 0 },
    seconds: 0.1,
    stepsPerSecond: 10,
    eta: (lastStep - step) / 10,
    lastStep,
  };
}

/** A stream that keeps what is written. */
function recorder(facts: { readonly isTTY?: boolean; readonly columns?: number } = {}) {
  const written: string[] = [];
  return { ...facts, written, write: (text: string) => written.push(text) };
}

test("every event is one line of JSON, complete before write resolves", async () => {
  const file = join(dir, "metrics.jsonl");
  const metrics = await MetricsFile.create(file);
  for (let step = 1; step <= 3; step++) {
    await metrics.write({ event: "step", ...metricsOf(step) });
    const lines = (await readFile(file, "utf8")).split("\n");
    assert.is(lines.length, step + 1);
    assert.is(JSON.parse(lines[step - 1]!).step, step);
    assert.is(lines.at(-1), "");
  }
  await metrics.close();
  await fails(() => MetricsFile.create(join(dir, "no", "metrics.jsonl")), "file-write", /no such folder/);
});

test("a full disk is an error in plain words", async () => {
  if (process.platform !== "linux") return;
  const metrics = await MetricsFile.create("/dev/full");
  await fails(() => metrics.write({ event: "warning", message: "" }), "file-write", /a full disk/);
  await metrics.close();
});

test("a file is continued after a step: what followed it, and a line that was cut off, are gone", async () => {
  const file = join(dir, "resumed.jsonl");
  const evaluation = {
    loss: 1,
    metrics: { accuracy: 0.5 },
    count: 1,
    failed: 0,
    seconds: 1,
    confusion: new Uint32Array(1),
  };
  const events: RunEvent[] = [
    { event: "config" },
    { event: "step", ...metricsOf(1) },
    { event: "tape", strategy: "store", attempts: 1 },
    { event: "evaluation", ...evaluationRecord("validation", 1, evaluation) },
    { event: "nonfinite", step: 2, action: "skip", message: "" },
    { event: "checkpoint", step: 2, file: "" },
    { event: "step", ...metricsOf(3) },
  ];
  const text = events.map(jsonLine);
  for (const [step, kept] of [
    [0, 1],
    [1, 3],
    [2, 5],
    [3, 7],
    [9, 7],
  ] as const) {
    await writeFile(file, `${text.join("")}{"event":"step","st`);
    const { metrics, events: found } = await MetricsFile.resume(file, step);
    assert.equal(found, events.slice(0, kept));
    await metrics.write({ event: "warning", message: "next" });
    await metrics.close();
    const lines = (await readFile(file, "utf8")).split("\n");
    assert.is(lines.length, kept + 2);
    assert.match(lines.at(-2)!, /next/);
  }
  const { metrics, events: none } = await MetricsFile.resume(join(dir, "new.jsonl"), 3);
  assert.equal(none, []);
  await metrics.close();
});

test("a damaged line is kept aside, and the lines after it stay; what is missing is said", async () => {
  const file = join(dir, "damaged.jsonl");
  const steps = [1, 2, 3, 4, 5].map((step) => jsonLine({ event: "step", ...metricsOf(step) }));
  const [one, two, three, four, five] = steps as [string, string, string, string, string];
  for (const wrong of [two.replace('"step"', '"st'), "\0\0\0\n", "3\n", "null\n", "\xff{\n"]) {
    const bytes = Buffer.from(wrong, "latin1");
    await writeFile(file, Buffer.concat([Buffer.from(one), bytes, Buffer.from(three + four + five)]));
    const { metrics, events, faults } = await MetricsFile.resume(file, 4);
    await metrics.close();
    assert.equal(
      events.map((event) => event.event === "step" && event.step),
      [1, 3, 4],
    );
    assert.is(await readFile(file, "utf8"), one + three + four);
    assert.equal(await readFile(`${file}.damaged`), bytes);
    assert.match(
      faults.join("\n"),
      /^line 2 of .*damaged\.jsonl is damaged; it is now in .*\.damaged\n.* is not whole: .* of step 2 is lost/,
    );
    await rm(`${file}.damaged`);
  }
});

test("a file that is gone is said to be, unless nothing was in it yet", async () => {
  const gone = await MetricsFile.resume(join(dir, "gone.jsonl"), 3);
  await gone.metrics.close();
  assert.match(
    gone.faults.join("\n"),
    /^.*gone\.jsonl is gone: the record of 3 steps from 1 to 3 is lost; the run continues without it$/,
  );
  const fresh = await MetricsFile.resume(join(dir, "fresh.jsonl"), 0);
  await fresh.metrics.close();
  assert.equal(fresh.faults, []);
});

test("the diagnosis of the last step stays, as its gradients are gone; what can be done again goes", async () => {
  const file = join(dir, "diagnosed.jsonl");
  const diagnosis = (step: number): RunEvent => ({
    event: "diagnosis",
    ...{ step, saturated: 0, silent: 0, featureSpread: null, constantFeatures: 0, deadUnits: null },
    ...{ gradients: { weights: step }, solver: null, findings: [] },
  });
  const kept: RunEvent[] = [{ event: "config" }, { event: "step", ...metricsOf(1) }, diagnosis(1)];
  const again: RunEvent[] = [
    { event: "checkpoint", step: 1, file: "" },
    { event: "resumed", step: 1, checkpoint: "" },
  ];
  await writeFile(file, [...kept, ...again].map(jsonLine).join(""));
  const { metrics, events, faults } = await MetricsFile.resume(file, 1);
  await metrics.close();
  assert.equal([events, faults], [kept, []]);
});

test("the facts of an error are read under their name, and under the one that earlier files have", () => {
  const error = { event: "error", code: "file-write", message: "a full disk" } as const;
  const facts = { file: "metrics.jsonl" };
  assert.equal(parseEvent("", jsonLine({ ...error, facts })), { ...error, facts });
  assert.equal(parseEvent("", JSON.stringify({ ...error, details: facts })), { ...error, facts });
  assert.equal(parseEvent("", JSON.stringify(error)), { ...error, facts: {} });
});

test("lines of 0.2 and before have their accuracy among the metrics", () => {
  const step = `{"event":"step","step":1,"epoch":0,"loss":2.5,"accuracy":0.125,"meanLoss":2.5,"meanAccuracy":0.125,"learningRate":0.001,"solver":{"rhsEvaluations":47,"steps":{"min":7,"mean":7.25,"max":8},"rejected":0,"failed":0},"seconds":0.45,"stepsPerSecond":2.2,"eta":4.9,"lastStep":12}`;
  const parsed = parseEvent("", step) as Extract<RunEvent, { event: "step" }>;
  assert.equal([parsed.metrics, parsed.meanMetrics], [{ accuracy: 0.125 }, { accuracy: 0.125 }]);
  assert.not.ok("accuracy" in parsed || "meanAccuracy" in parsed);
  const evaluation = `{"event":"evaluation","set":"test","step":12,"loss":1.5,"accuracy":0.4375,"count":16,"seconds":0.05,"confusion":[[1,0],[2,3]]}`;
  assert.equal(parseEvent("", evaluation), {
    ...{ event: "evaluation", set: "test", step: 12, loss: 1.5, metrics: { accuracy: 0.4375 }, count: 16, failed: 0 },
    ...{
      seconds: 0.05,
      confusion: [
        [1, 0],
        [2, 3],
      ],
    },
  });
  for (const wrong of [step.replace('"accuracy":0.125', '"accuracy":1.5'), step.replace('"accuracy":0.125,', "")])
    assert.throws(() => parseEvent("line 1", wrong), /line 1/);
});

test("the better of two evaluations is that of the first metric, then of the loss; NaN is worse than any number", () => {
  const metric = (better: "higher" | "lower") => ({ ...ACCURACY!, name: "m", better });
  const judged = (m: number, loss = 1) => ({ loss, metrics: { m } });
  for (const [better, best, worse] of [
    ["higher", 2, 1],
    ["lower", 1, 2],
  ] as const) {
    const task = { metrics: [metric(better)] };
    assert.equal(
      [isBetter(task, judged(best), judged(worse)), isBetter(task, judged(worse), judged(best))],
      [true, false],
    );
    assert.equal([isBetter(task, judged(1, 0.5), judged(1)), isBetter(task, judged(1), judged(1))], [true, false]);
    assert.equal(
      [isBetter(task, judged(1), judged(Number.NaN)), isBetter(task, judged(Number.NaN), judged(1))],
      [true, false],
    );
  }
  const none = { metrics: [] };
  assert.equal([isBetter(none, judged(0, 0.5), judged(9)), isBetter(none, judged(9), judged(0, 0.5))], [true, false]);
  assert.ok(isBetter(none, judged(0), judged(0, Number.NaN)));
});

test("a description of a task is read as it was written; what is wrong with one is named", () => {
  const task = classificationTask(10);
  const parts = (value: unknown) => JsonParts.parse("config.json", JSON.stringify(value), "a task");
  assert.equal(readTaskDescription(parts(task)), task);
  const [metric] = task.metrics;
  for (const [wrong, place] of [
    [{ ...task, loss: { ...task.loss, name: 3 } }, "text at loss.name"],
    [{ ...task, metrics: [{ ...metric, better: "more" }] }, '"higher" or "lower" at metrics.0.better'],
    [{ ...task, metrics: [{ ...metric, range: [0] }] }, "two ascending numbers, or null for either at metrics.0.range"],
    [{ ...task, target: { ...task.target, width: 0 } }, "at target.width"],
  ] as const) {
    assert.throws(
      () => readTaskDescription(parts(wrong)),
      (error: Error) => error.message.includes(place),
    );
  }
});

test("numbers that JSON lacks become null", () => {
  assert.match(jsonLine({ event: "step", ...metricsOf(1), loss: Number.NaN }), /"loss":null/);
});

test("a confusion matrix is written row by row", () => {
  const confusion = Uint32Array.of(1, 2, 3, 4);
  const record = evaluationRecord("test", 7, {
    loss: 1,
    metrics: { accuracy: 0.5 },
    count: 10,
    failed: 0,
    seconds: 0.1,
    confusion,
  });
  assert.equal(record.confusion, [
    [1, 2],
    [3, 4],
  ]);
});

test("the progress line has loss, accuracy, speed, work and time left", () => {
  const line = progressLine(metricsOf(40), ACCURACY);
  assert.is(line, "step 40/100  loss 0.0575  accuracy 50.0 %  10.0 steps/s  26 RHS/step  0:06 left");
  const endless = progressLine({ ...metricsOf(40), lastStep: Number.POSITIVE_INFINITY });
  assert.is(endless, "step 40  loss 0.0575  10.0 steps/s  26 RHS/step");
  assert.equal([duration(7.4), duration(725), duration(3723)], ["0:07", "12:05", "1:02:03"]);
});

test("elsewhere than on a terminal there is a plain line every ten seconds, and one at the end", () => {
  const stream = recorder();
  let now = 0;
  const progress = new Progress(stream, { now: () => now });
  for (let step = 1; step <= 25; step++) {
    progress.update(metricsOf(step, 25));
    now += 1;
  }
  progress.clear();
  assert.equal(
    stream.written.map((text) => /step (\d+)/.exec(text)?.[1]),
    ["1", "11", "21", "25"],
  );
  for (const text of stream.written) {
    assert.match(text, /^step .*\n$/);
    assert.not.ok(text.includes("\x1b") || text.includes("\r"));
  }
});

test("a terminal's line is rewritten in place, fits, and is coloured unless that is unwanted", () => {
  const plain = recorder({ isTTY: true, columns: 30 });
  const progress = new Progress(plain, { colour: false });
  progress.update(metricsOf(1));
  assert.is(plain.written[0], `\r\x1b[K${progressLine(metricsOf(1)).slice(0, 29)}`);
  progress.clear();
  assert.is(plain.written[1], "\r\x1b[K");
  const coloured = recorder({ isTTY: true });
  new Progress(coloured, { colour: true }).update(metricsOf(1));
  assert.ok(coloured.written[0]!.includes("\x1b[2mloss\x1b[0m"));
});

test.run();
