// Optimisers, groups of parameters, penalties, accumulation and early stopping from the command line, across a resume.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines, type Line, TINY } from "./process.ts";

const test = suite("options of training");
const dir = tempDir();
const ARGS = [...TINY, "--no-report", "--json"];

async function train(...args: readonly string[]): Promise<Line[]> {
  const { code, stdout, stderr } = await axograd(["train", "--no-report", "--json", ...args], { cwd: dir });
  assert.is(code, 0, stderr);
  return jsonLines(stdout);
}

const stepsOf = (lines: readonly Line[]) => lines.filter(({ event }) => event === "step");
const comparable = (lines: readonly Line[]) =>
  stepsOf(lines).map(({ step, loss, penalties }) => ({ step, loss, penalties }));

test("a run with an optimiser, groups and penalties resumes with the same numbers", async () => {
  const options = [
    ...[...ARGS, "--optimizer", "sgd", "--momentum", "0.9", "--lr", "0.02", "--lr-of", "read-out=0.05"],
    ...["--decay-of", "weights=0.01", "--freeze", "biases,time-constants", "--accumulate", "2"],
    ...["--penalty", "distance:weights=0.5,l1:read-out=1e-3"],
  ];
  const whole = comparable(await train(...options, "--out", "whole"));
  assert.equal(
    whole.map(({ step }) => step),
    [1, 2, 3, 4, 5],
  );
  const [first, last] = [whole[0]!, whole.at(-1)!].map(({ penalties }) => penalties as Record<string, number>);
  assert.equal(Object.keys(first!), ["distance:weights", "l1:read-out"]);
  assert.is(first!["distance:weights"], 0);
  assert.ok(last!["distance:weights"]! > 0);
  const begun = comparable(await train(...options, "--out", "cut", "--steps", "2"));
  const rest = comparable(await train("--resume", "cut", "--steps", "5"));
  assert.equal([...begun, ...rest], whole);

  const checkpoint = await loadCheckpoint(join(dir, "whole", "checkpoint.safetensors"));
  assert.is(checkpoint.optimizer, "SGD");
  // 64 images in batches of 16, two a step.
  assert.equal(checkpoint.position, { epoch: 2, batch: 1, step: 5 });
  const names = [...checkpoint.tensors.keys()].filter((name) => /^(optimizer|start)\./.test(name));
  assert.equal(
    names.filter((name) => name.startsWith("start.")),
    ["start.rnn.hh.values"],
  );
  assert.not.ok(
    names.some((name) => /bias|tau/.test(name) && name.includes("rnn.")),
    names.join(" "),
  );
});

test("groups and penalties of some neurons' elements are part of a run, which resumes with the same numbers", async () => {
  const options = [
    ...[...ARGS, "--lr-of", "weights[pre: role=input]=0.05,biases[output]=1e-4", "--clip-norm", "1"],
    ...["--freeze", "weights[post: 0-49],biases[input]", "--penalty", "l2:weights[pre: 0-99,200]=0.01"],
  ];
  const whole = await train(...options, "--out", "whole-of-neurons");
  await train(...options, "--out", "cut-of-neurons", "--steps", "2");
  const rest = await train("--resume", "cut-of-neurons", "--steps", "5");
  assert.equal(comparable(rest), comparable(whole).slice(2));
  const { config } = JSON.parse(await readFile(join(dir, "whole-of-neurons", "config.json"), "utf8"));
  assert.equal(config.freeze, ["weights[post: 0-49]", "biases[input]"]);
});

test("a run ends when patience does, is complete, and goes on with more of it", async () => {
  const patient = ["--lr", "1e-12", "--eval-every", "1", "--steps", "9"];
  const lines = await train(...ARGS, ...patient, "--patience", "2", "--out", "early");
  assert.is(stepsOf(lines).length, 3);
  const evaluated = (all: readonly Line[]) =>
    all.filter(({ event, set }) => event === "evaluation" && set === "validation").map(({ step }) => step);
  assert.equal(evaluated(lines), [1, 2, 3]);
  assert.ok(lines.some(({ event, set }) => event === "evaluation" && set === "test"));
  const summary = JSON.parse(await readFile(join(dir, "early", "summary.json"), "utf8"));
  assert.equal([summary.steps, summary.interrupted, summary.validation.step], [3, null, 3]);

  assert.equal(stepsOf(await train("--resume", "early")), []);
  const more = await train("--resume", "early", "--patience", "4");
  assert.equal(
    stepsOf(more).map(({ step }) => step),
    [4, 5],
  );
  const whole = await train(...ARGS, ...patient, "--patience", "4", "--out", "late");
  assert.equal(comparable(whole).slice(3), comparable(more));
});

test("what makes no sense is refused before anything is trained", async () => {
  const cases: [readonly string[], RegExp][] = [
    [["--freeze", "wieghts"], /got "wieghts", did you mean "weights"\? \(--freeze\)/],
    [["--freeze", "input"], /frozen by the model itself/],
    [["--freeze", "*"], /at least one parameter that is trained/],
    [
      ["--freeze", "biases[type=X1]"],
      /a column that the neurons have .*got "type" at character 1 of "type=X1".*\(--freeze\)/,
    ],
    [["--lr-of", "read-out[output]=1"], /parameters of neurons or of connections with that end.*\(--lr-of\)/],
    [["--lr-of", "biases[output=1"], /PATTERN=a number above 0.*\(--lr-of\)/],
    [["--lr-of", "weights"], /PATTERN=a number above 0.*\(--lr-of\)/],
    [["--penalty", "l2:biases=1", "--freeze", "biases"], /a parameter that the optimiser trains.*l2:biases/],
    [["--momentum", "0.9"], /--optimizer sgd or rmsprop.*got --optimizer adam/],
    [["--init-only", "weights"], /expected --init-from/],
    [["--patience", "3", "--eval-every", "0"], /--eval-every/],
    [["--accumulate", "0"], /whole number of at least 1/],
  ];
  for (const [options, message] of cases) {
    const { code, stderr } = await axograd(["train", ...ARGS, "--out", "refused", ...options], { cwd: dir });
    assert.is(code, 2, `${options}: ${stderr}`);
    assert.match(stderr, message);
    assert.is(await readFile(join(dir, "refused", "config.json")).catch(() => null), null);
  }
});

test.run();
