// What a command prints acts on no terminal, whatever its files and settings are called.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collectResults, type SweepResults } from "../../src/cli/sweep/results.ts";
import { resultsCsv, resultsMarkdown, resultsText } from "../../src/cli/sweep/resultTables.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines, TINY } from "./process.ts";

const test = suite("terminal");
const dir = tempDir();

/** Clears a screen, names a window, turns text round, and would be a second line. */
const HOSTILE = "a\u001b[2J\u001b]0;b\u0007\u009b1m\u202e\r\nc";

function isHarmless(text: string): void {
  assert.not.match(text.replaceAll("\n", ""), /\p{Cc}|\p{Cf}/u);
}

test("errors and warnings show what acts, on one line", async () => {
  const commands: readonly (readonly string[])[] = [
    [HOSTILE],
    [`--${HOSTILE}`],
    ["train", `--${HOSTILE}`],
    ["train", "--device", HOSTILE],
    ["train", "--set", HOSTILE],
    ["train", "--set", `${HOSTILE}=1`],
    ["train", "--set", `connectome=${HOSTILE}`],
    ["train", "--config", HOSTILE],
    ["train", "--resume", HOSTILE],
    ["train", "--connectome", `${HOSTILE}.npz`],
    ["report", HOSTILE],
    ["inspect", `${HOSTILE}.csv`],
    ["convert", `${HOSTILE}.csv`, "b.npz"],
    ["sweep", HOSTILE],
    ["collect", HOSTILE],
    ["responses", HOSTILE],
    ["simulate", HOSTILE, "--input", "digits:1", "--out", "a.npz"],
  ];
  for (const args of commands) {
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 2, stderr);
    assert.is(stdout, "");
    assert.match(stderr, /^axograd: .*\n$/);
    isHarmless(stderr);
  }
});

test("results and JSON of a run in a folder of such a name are lines", async () => {
  const run = await axograd(["train", ...TINY, "--steps", "1", "--out", HOSTILE], { cwd: dir });
  assert.is(run.code, 0, run.stderr);
  isHarmless(run.stdout);
  assert.match(run.stdout, /^files {7}a\\u001b\[2J.*\\r\\nc: config\.json/m);
  const text = await axograd(["report", HOSTILE], { cwd: dir });
  assert.match(text.stdout, /^.*\n$/);
  isHarmless(text.stdout);
  const json = await axograd(["report", HOSTILE, "--json"], { cwd: dir });
  isHarmless(json.stdout);
  assert.is((jsonLines(json.stdout)[0] as unknown as { file: string }).file, join(HOSTILE, "report.html"));
});

test("a command's message is of bounded length", async () => {
  const long = "x".repeat(100_000);
  for (const args of [["train", "--device", long], ["train", "--set", long], [long], ["train", "--config", long]]) {
    const { code, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 2);
    assert.ok(stderr.length < 4200, `${stderr.length} characters`);
  }
  const { stdout } = await axograd(["train", "--device", long, "--json"], { cwd: dir });
  assert.ok(stdout.length < 10_000, `${stdout.length} characters`);
});

test("a sweep's tables take any text of an option or an error", () => {
  const error = '<script>alert("x")</script> | \u001b[2J `code` ![x](y)';
  const none = {
    validationAccuracy: null,
    testAccuracy: null,
    validationLoss: null,
    testLoss: null,
    trainingLoss: null,
    recovery: null,
  };
  const options = { connectome: HOSTILE };
  const results: SweepResults = {
    measures: collectResults([]).measures,
    runs: [{ run: "a", options, seed: 0, status: "failed", ...none, steps: null, seconds: null, error }],
    groups: [{ options, finished: 0, runs: 1, measures: { ...none, steps: null, seconds: null } }],
  };
  const markdown = resultsMarkdown(results);
  isHarmless(markdown);
  assert.not.match(markdown, /<script|(?<!\\)!\[x\]/);
  for (const row of markdown.match(/^\| [^-].*/gm)!) {
    assert.is(row.match(/(?<!\\)\|/g)!.length, /seed|failed/.test(row) ? 4 : 3, row);
  }
  const csv = resultsCsv(results);
  isHarmless(csv.replaceAll("\r\n", ""));
  assert.is(csv.split("\r\n").length, 3);
  isHarmless(resultsText(results));
});

test("init writes a file whose comment ends where it should, in a folder of any name", async () => {
  const folder = join(dir, "a\nlr: 5\n");
  await mkdir(folder);
  await writeFile(join(folder, "b"), "");
  const { code, stderr } = await axograd(["init", join("..", "mine.yaml")], { cwd: folder });
  assert.is(code, 0, stderr);
  const inside = await axograd(["init", "mine.yaml"], { cwd: folder });
  assert.is(inside.code, 0, inside.stderr);
  const dry = await axograd(["train", "--config", "mine.yaml", "--connectome", "none.npz"], { cwd: folder });
  assert.match(dry.stderr, /none\.npz: expected a connectome file/);
});

test.run();
