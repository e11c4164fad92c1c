// `--init-from`: a run that begins with the parameters of another, and a fresh optimiser.

import { copyFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hashOf } from "../../src/io/hash.ts";
import { openRun } from "../../src/run/openRun.ts";
import { exportStateDict } from "../../src/train/stateDict.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines, type Line, TINY } from "./process.ts";

const test = suite("train --init-from");
const dir = tempDir();
const ARGS = [...TINY, "--no-report", "--json"];

async function train(out: string, ...more: readonly string[]): Promise<{ lines: Line[]; stderr: string }> {
  const { code, stdout, stderr } = await axograd(["train", ...ARGS, "--out", out, ...more], { cwd: dir });
  assert.is(code, 0, stderr);
  return { lines: jsonLines(stdout), stderr };
}

const losses = (lines: readonly Line[]): unknown[] =>
  lines.flatMap(({ event, loss }) => (event === "step" ? [loss] : []));

test.before(() => train("first").then(() => undefined));

test("a run, its checkpoint and its state dictionary begin the same training, which is not that of the recipe", async () => {
  const dictionary = join(dir, "first.safetensors");
  await using first = await openRun(join(dir, "first"));
  await exportStateDict(first.model, dictionary);
  const all = first.model.parameters.all().map(({ name }) => name);
  const { lines, stderr } = await train("warm", "--init-from", "first");
  assert.is(stderr, "");
  const warm = losses(lines);
  assert.is(warm.length, 5);
  assert.not.equal(warm, losses((await train("cold")).lines));
  for (const file of [join("first", "checkpoint.safetensors"), dictionary])
    assert.equal(losses((await train(`warm-${file === dictionary}`, "--init-from", file)).lines), warm);
  const { config, init } = JSON.parse(await readFile(join(dir, "warm", "config.json"), "utf8"));
  assert.is(config.initFrom, "first");
  const file = join("first", "checkpoint.safetensors");
  const { sha256, bytes } = await hashOf(join(dir, file));
  assert.equal(init, { file, sha256, bytes, matched: all, unmatched: [], left: [], unused: [] });
  const start = lines.find(({ event }) => event === "config")!;
  assert.equal(start.init, init);
});

test("what does not fit is told, and stays as the recipe has it", async () => {
  const { stderr, lines } = await train("wider", "--init-from", "first", "--fc-dim", "8");
  assert.match(stderr, /warning: out_layer\.\S+ stays as it is: /);
  const { matched, unmatched } = lines[0]!.init as { matched: string[]; unmatched: { name: string }[] };
  assert.ok(matched.includes("rnn.hh.values"));
  assert.ok(unmatched.every(({ name }) => name.startsWith("out_layer.")) && unmatched.length > 0);
});

test("resuming goes on from the run's own checkpoint", async () => {
  const { code, stdout, stderr } = await axograd(
    ["train", "--resume", "warm", "--steps", "7", "--no-report", "--json"],
    { cwd: dir },
  );
  assert.is(code, 0, stderr);
  const whole = losses((await train("whole", "--init-from", "first", "--steps", "7")).lines);
  assert.equal(losses(jsonLines(stdout)), whole.slice(5));
  const { init } = JSON.parse(await readFile(join(dir, "warm", "config.json"), "utf8"));
  assert.is(init.file, join("first", "checkpoint.safetensors"), "the record of what it began with stays");
});

test("only what is wanted is taken; a run that starts again refuses a file that has changed since", async () => {
  const file = join(dir, "changing.safetensors");
  await copyFile(join(dir, "first.safetensors"), file);
  const { lines } = await train("again", "--init-from", file, "--init-only", "weights");
  const { matched, left } = lines[0]!.init as { matched: string[]; left: string[] };
  assert.equal(matched, ["rnn.hh.values"]);
  assert.ok(left.includes("rnn.tau"));
  await rm(join(dir, "again", "checkpoint.safetensors"));
  await copyFile(join(dir, "warm", "checkpoint.safetensors"), file);
  const { code, stderr } = await axograd(["train", "--resume", "again", "--no-report"], { cwd: dir });
  assert.is(code, 2, stderr);
  assert.match(stderr, /as the run began with it, got a file that has changed since \(--init-from\)/);
});

test("a run does not replace what it begins with", async () => {
  const args = ["train", ...ARGS, "--out", "first", "--overwrite", "--init-from"];
  for (const from of ["first", "first/best.safetensors"]) {
    const { code, stderr } = await axograd([...args, from], { cwd: dir });
    assert.is(code, 2, stderr);
    assert.match(stderr, /expected a file outside the folder of the new run, got first/);
  }
});

test("a file that is not there, or in which nothing fits, ends the run before anything is written", async () => {
  const bad = await axograd(["train", ...ARGS, "--out", "bad", "--init-from", "absent"], { cwd: dir });
  assert.is(bad.code, 2, bad.stderr);
  assert.match(bad.stderr, /absent: expected the folder of a run, a checkpoint or a state dictionary, got nothing/);
  assert.not.match(bad.stderr, /^ {4}at /m);
  const entered = await readFile(join(dir, "bad", "config.json"), "utf8").catch(() => null);
  assert.is(entered, null);
});

test.run();
