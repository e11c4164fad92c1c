// The record of a run knows its files by their content, its samples by their statistics; what has changed since is named.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerReport } from "../../src/cli/report.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import type { HashedFile } from "../../src/io/hash.ts";
import { hashOf } from "../../src/io/hash.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { checkSameFiles, type InputFile } from "../../src/run/inputFiles.ts";
import { openRun } from "../../src/run/openRun.ts";
import { readBegun } from "../../src/run/runStart.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { axograd, jsonLines } from "./process.ts";

const test = suite("files of a run");
const dir = tempDir();
const at = (...names: string[]): string => join(dir, ...names);
const START = ["--steps", "3", "--batch-size", "8", "--threads", "1", "--device", "wasm", "--calibration", "16"];
const QUIET = ["--no-report", "--quiet"];

/** 40 samples of 5 numbers, with classes or numbers as targets. */
async function writeSamples(
  name: string,
  shift: number,
  count = 40,
  kind: "class" | "numbers" = "class",
): Promise<void> {
  const values = Float32Array.from({ length: count * 5 }, (_, i) => shift + Math.cos(3 * i));
  const data = Int32Array.from({ length: count }, (_, i) => (i % 4 === 0 ? 1 : 0));
  await writeArrays(at(name), {
    inputs: { shape: [count, 5], data: values },
    targets: { shape: [count], data: kind === "class" ? data : Float32Array.from(data) },
    ...(kind === "class" ? { classNames: ["no", "yes"] } : {}),
  });
}

const config = async (run: string): Promise<Record<string, Record<string, unknown>> & { files: HashedFile[] }> =>
  JSON.parse(await readFile(at(run, "config.json"), "utf8"));

test.before(async () => {
  await writeNetwork(dir, 6);
  await writeSamples("train.npz", 1);
  await writeSamples("validation.npz", 1, 12);
  await writeSamples("test.npz", 1, 16);
  const files = ["--data", at("train.npz"), "--validation-data", at("validation.npz"), "--test-data", at("test.npz")];
  const args = [
    "--connectome",
    at("net_csr.npz"),
    "--input",
    "random",
    "--shift",
    "0",
    "--scale-inputs",
    "standardise",
  ];
  await runCommand(registerTrain, "train", ...files, ...args, ...START, ...QUIET, "--out", at("run"));
});

test("the record has every file with its hash, and what is known of the samples", async () => {
  const { data, files } = await config("run");
  const expected = [
    ["connectome", "net_csr.npz"],
    ["neurons", "net_neurons.csv"],
    ["data", "train.npz"],
    ["data", "validation.npz"],
    ["data", "test.npz"],
  ];
  assert.equal(
    files.map(({ role, file }) => [role, file]),
    expected.map(([role, file]) => [role, at(file!)]),
  );
  for (const { file, sha256, bytes } of files) assert.equal(await hashOf(file), { sha256, bytes });
  const { train, validation, test: tested, inputSize, steps, classNames } = data!;
  assert.equal([train, validation, tested, inputSize, steps, classNames], [40, 12, 16, 5, null, ["no", "yes"]]);
  const { classes, constantLoss } = data!.counts as { classes: unknown; constantLoss: number };
  assert.equal(classes, { train: [30, 10], validation: [9, 3], test: [12, 4] });
  assert.ok(Math.abs(constantLoss - (0.25 * Math.log(4) - 0.75 * Math.log(0.75))) < 1e-12);
  const { task } = await config("run");
  assert.is((task!.loss as { chance: number }).chance, constantLoss);
  const { samples } = await readBegun(at("run"));
  assert.is(samples!.normalisation!.mean.length, 5);
});

test("files that lie elsewhere are the same; a changed one is named by report, openRun and --resume", async () => {
  await mkdir(at("moved"));
  const moved = (name: string) => at("moved", name);
  for (const name of ["net_csr.npz", "net_neurons.csv", "train.npz", "validation.npz", "test.npz"])
    await cp(at(name), moved(name));
  const place = {
    ...{ connectome: moved("net_csr.npz"), data: moved("train.npz") },
    ...{ validationData: moved("validation.npz"), testData: moved("test.npz") },
  };
  await (await openRun(at("run"), place)).dispose();
  // As many samples as before.
  await writeSamples("test.npz", 2, 16);
  const pattern = /the content that the run began with, SHA-256 \w{12}… of .* bytes, got another.*test\.npz/;
  await fails(() => openRun(at("run")), "argument", pattern);
  await fails(() => runCommand(registerReport, "report", at("run")), "argument", pattern);
  const { code, stderr } = await axograd(["train", "--resume", at("run")]);
  assert.is(code, 2);
  assert.match(stderr, /train --resume: expected the content that the run began with/, stderr);
  assert.match(stderr, /test\.npz/);
  const options = ["--validation-data", moved("validation.npz"), "--test-data", moved("test.npz")];
  await runCommand(registerTrain, "train", "--resume", at("run"), ...options, ...QUIET);
  await fails(
    () => openRun(at("run"), { ...place, data: moved("test.npz"), testData: moved("train.npz") }),
    "argument",
    /began with/,
  );
  await cp(moved("test.npz"), at("test.npz"));
});

test("a wider file is refused by name, too; so are more files, and fewer", async () => {
  const before = await readFile(at("train.npz"));
  await writeArrays(at("train.npz"), {
    inputs: { shape: [40, 6], data: new Float32Array(240) },
    targets: { shape: [40], data: Int32Array.from({ length: 40 }, (_, i) => i % 2) },
  });
  await fails(() => openRun(at("run")), "file-format", /expected 6 inputs, as in .*train\.npz.*got 5 inputs/);
  await writeFile(at("train.npz"), before);
  const file = (role: InputFile["role"], name: string): InputFile => ({
    role,
    file: name,
    sha256: "0".repeat(64),
    bytes: 1,
  });
  const one = [file("data", "a")];
  checkSameFiles("here", one, [file("data", "b")]);
  checkSameFiles("here", one, [], ["connectome"]);
  assert.throws(
    () => checkSameFiles("here", one, []),
    /here: expected 1 file \(a\), as the run began with, got 0 \(none\) \(samples\)/,
  );
  assert.throws(
    () => checkSameFiles("here", [], [file("neurons", "t.csv")]),
    /expected 0 files.*got 1 \(t\.csv\) \(table of neurons\)/,
  );
});

test("a record without hashes and shapes, as of an earlier version, is read as before", async () => {
  await cp(at("run"), at("old"), { recursive: true });
  const { files: _, ...start } = await config("old");
  const { source, train, validation, test: tested, classes } = start.data!;
  const old = { ...start, data: { source, train, validation, test: tested, classes } };
  await writeFile(at("old", "config.json"), JSON.stringify(old));
  const begun = await readBegun(at("old"));
  assert.equal([begun.files, begun.samples], [null, null]);
  {
    await using now = await openRun(at("run"));
    await using before = await openRun(at("old"));
    const losses = await Promise.all(
      [now, before].map(async ({ trainer, data }) => (await trainer.evaluate(data.test!)).loss),
    );
    assert.is(losses[0], losses[1]);
  }
  await runCommand(registerReport, "report", at("old"));
  await fails(() => openRun(at("old"), { samples: "none" }), "argument", /record says enough.*an earlier version/);
});

test("damaged records name the part", async () => {
  await cp(at("run"), at("damaged"), { recursive: true });
  const start = await config("damaged");
  const write = (change: object) => writeFile(at("damaged", "config.json"), JSON.stringify({ ...start, ...change }));
  await write({ data: { ...start.data, normalisation: { mean: [1, 2], std: [1] } } });
  await fails(() => readBegun(at("damaged")), "file-format", /5 numbers at data\.normalisation\.mean/);
  await write({ files: [{ role: "data", file: "a" }] });
  await fails(() => readBegun(at("damaged")), "file-format", /files\.0\.sha256/);
  await write({ data: { ...start.data, weighted: 1 } });
  await fails(() => readBegun(at("damaged")), "file-format", /true or false at data\.weighted/);
});

test("the first lines say what is known of the samples; the page shows the hashes", async () => {
  await writeSamples("numbers.npz", 0, 64, "numbers");
  const args = ["--generate", "300x1500", ...START, "--data", at("train.npz"), "--test-data", at("test.npz")];
  const text = await runCommand(registerTrain, "train", ...args, "--validation-samples", "8", "--out", at("told"));
  assert.match(text, /^classes {5}train no: 24, yes: 8; validation no: 6, yes: 2; test no: 12, yes: 4$/m);
  assert.match(text, /^constant {4}the best constant prediction has a loss of 0\.5623$/m);
  const html = await readFile(at("told", "report.html"), "utf8");
  const { files } = await config("told");
  for (const { sha256 } of files) assert.ok(html.includes(sha256));
  const numbers = [
    "--generate",
    "300x1500",
    ...START,
    "--data",
    at("numbers.npz"),
    "--validation-samples",
    "0",
    "--no-report",
    "--out",
    at("numbers"),
  ];
  const lines = await runCommand(registerTrain, "train", ...numbers);
  assert.match(lines, /^constant {4}the best constant prediction has a loss of 0\.1875$/m);
  assert.match(lines, /^note {8}The targets are whole numbers of a floating-point type/m);
});

test("known answers are in the first lines, after the test, in the record, the summary and the page", async () => {
  const args = ["--preset", "demo", "--data", "decision", "--time", "discrete", "--generate", "300x1500", ...START];
  const sizes = ["--train-samples", "32", "--validation-samples", "8", "--test-samples", "8"];
  const text = await runCommand(registerTrain, "train", ...args, ...sizes, "--out", at("decided"));
  const known =
    /^known {7}accuracy: best possible 99\.2 %, chance 50\.0 %; loss: best possible 0\.02255, chance 0\.6931$/gm;
  assert.is(text.match(known)?.length, 2);
  assert.ok(text.indexOf("known  ") < text.indexOf("test  ") && text.lastIndexOf("known  ") > text.indexOf("test  "));
  const { data, files } = await config("decided");
  const { accuracy } = data!.known as Record<string, { best: number }>;
  assert.ok(Math.abs(accuracy!.best - 0.992) < 1e-3);
  assert.equal(files, []);
  const summary = JSON.parse(await readFile(at("decided", "summary.json"), "utf8"));
  assert.equal(summary.known, data!.known);
  const html = await readFile(at("decided", "report.html"), "utf8");
  assert.match(html, /test accuracy \(best possible 99\.2 %, chance 50\.0 %\)/);
  assert.match(html, /The best possible value is 99\.2 %/);
  assert.match(html, />best 99\.2</);
  const smooth = [...args, ...sizes, "--label-smoothing", "0.1", "--no-report", "--out", at("smooth")];
  assert.match(
    await runCommand(registerTrain, "train", ...smooth),
    /^known {7}accuracy: best possible 99\.2 %, chance 50\.0 %$/m,
  );
});

test("settings of arrays need arrays", async () => {
  const refused = (pattern: RegExp, ...args: string[]) =>
    fails(() => runCommand(registerTrain, "train", ...args, ...QUIET, "--out", at("refused")), "argument", pattern);
  await refused(/--data with a file or folder of arrays.*--test-data/, "--test-data", at("test.npz"));
  await refused(/--data with a file.*got --data digits/, "--data", "digits", "--validation-data", at("test.npz"));
  const images = at("images");
  await mkdir(images);
  await writeFile(join(images, "train-images-idx3-ubyte"), "");
  await refused(/images in IDX files.*--scale-inputs/, "--data", images, "--scale-inputs", "standardise");
  const absent = ["--data", at("train.npz"), "--validation-data", at("absent.npz"), ...QUIET];
  await fails(() => runCommand(registerTrain, "train", ...absent), "file-missing", /absent\.npz/);
});

test("--json has the facts in its first line", async () => {
  await rm(at("json"), { recursive: true, force: true });
  const args = [
    "--generate",
    "300x1500",
    ...START,
    "--data",
    at("train.npz"),
    "--json",
    "--no-report",
    "--out",
    at("json"),
  ];
  const [first] = jsonLines(await runCommand(registerTrain, "train", ...args));
  assert.is((first!.files as HashedFile[]).length, 1);
});

test.run();
