// What a run has left, damaged part by part: each damage ends in a typed error that names the file, or in a page that shows no damage.

import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SweepFolder } from "../../src/cli/sweep/sweepFolder.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { EngineError } from "../../src/core/errors.ts";
import { buildReport } from "../../src/report/report.ts";
import { readRunRecord } from "../../src/report/runRecord.ts";
import { readBegun } from "../../src/run/runStart.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { exampleParts } from "../report/exampleRun.ts";
import { runCommand } from "./command.ts";
import { axograd, TINY } from "./process.ts";

const test = suite("damaged runs");
const dir = tempDir();
const RUN = join(dir, "run");
const FILES = ["config.json", "summary.json", "metrics.jsonl"] as const;

/** JSON for a number beyond all numbers, which JSON.parse takes. */
const INFINITE = "1e999";
const REPLACEMENTS = ["null", '"text"', "-1", INFINITE, "[]", "{}"] as const;

test.before(async () => {
  await runCommand(registerTrain, "train", "--out", RUN, ...TINY, "--quiet", "--no-report");
});

type Path = readonly (string | number)[];

/** Every part of a value: itself, then what is in it; of long lists only the first two. */
function* pathsOf(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (Array.isArray(value)) for (const k of value.slice(0, 2).keys()) yield* pathsOf(value[k], [...path, k]);
  else if (typeof value === "object" && value !== null) {
    for (const [key, part] of Object.entries(value)) yield* pathsOf(part, [...path, key]);
  }
}

/** `text`, JSON, with the part at `path` replaced by other JSON; undefined: without it. */
function replaced(text: string, path: Path, by: string | undefined): string {
  const mark = "@@@";
  const root = JSON.parse(text);
  const last = path.at(-1)!;
  const above = path.slice(0, -1).reduce((part, key) => part[key], root);
  if (by !== undefined) above[last] = mark;
  else if (Array.isArray(above)) above.splice(Number(last), 1);
  else delete above[last];
  return JSON.stringify(root).replace(`"${mark}"`, by ?? "");
}

/** The page of a run, or null: a typed error told which file is wrong. Anything else fails the test. */
async function pageOf(folder: string, file: string, what: string): Promise<string | null> {
  try {
    const run = await readRunRecord(folder);
    await readBegun(folder);
    return buildReport({ ...exampleParts(), run, observations: null }).html;
  } catch (error) {
    if (!(error instanceof EngineError)) throw new Error(`${what}: ${(error as Error).stack}`);
    assert.match(error.message, file, what);
    return null;
  }
}

async function tried(name: string, content: string, what: string): Promise<string | null> {
  const folder = join(dir, "damaged");
  await writeFile(join(folder, name), content);
  const html = await pageOf(folder, name, what);
  if (html !== null) assert.not.match(html, /\bundefined\b|\bNaN\b|\bInfinity\b|\[object/, what);
  return html;
}

async function copyOfRun(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  for (const name of FILES) await cp(join(RUN, name), join(folder, name));
}

for (const name of ["config.json", "summary.json"] as const) {
  test(`${name} without a part, or with another in its place`, async () => {
    await copyOfRun(join(dir, "damaged"));
    const text = await readFile(join(RUN, name), "utf8");
    const outcomes = new Set<string>();
    for (const path of pathsOf(JSON.parse(text))) {
      for (const by of [undefined, ...REPLACEMENTS]) {
        const what = `${name}: ${path.join(".")} ${by ?? "left out"}`;
        outcomes.add((await tried(name, replaced(text, path, by), what)) === null ? "error" : "page");
      }
    }
    assert.equal([...outcomes].sort(), ["error", "page"]);
  });
}

test("metrics.jsonl with an event without a part, or with another in its place", async () => {
  await copyOfRun(join(dir, "damaged"));
  const lines = (await readFile(join(RUN, "metrics.jsonl"), "utf8")).split("\n").slice(0, -1);
  for (const event of ["step", "evaluation", "diagnosis", "summary"]) {
    const at = lines.findIndex((line) => JSON.parse(line).event === event);
    assert.ok(at >= 0, event);
    for (const path of pathsOf(JSON.parse(lines[at]!))) {
      for (const by of [undefined, ...REPLACEMENTS]) {
        const damaged = lines.with(at, replaced(lines[at]!, path, by));
        await tried("metrics.jsonl", `${damaged.join("\n")}\n`, `${event}: ${path.join(".")} ${by ?? "left out"}`);
      }
    }
  }
});

test("files that are no JSON, no object, folders, loops or bytes of another kind", async () => {
  const folder = join(dir, "damaged");
  for (const name of FILES) {
    for (const content of ["null\n", "[]\n", "3\n", "{\n", "\0\n", "\xff\xfe\n", `${"[".repeat(100_000)}\n`, "{}\n"]) {
      await copyOfRun(folder);
      assert.is(await tried(name, content, `${name}: ${content.slice(0, 8)}`), null);
    }
    await copyOfRun(folder);
    await rm(join(folder, name));
    await mkdir(join(folder, name));
    await fails(() => readRunRecord(folder), "file-is-directory", new RegExp(`${name}: expected .*, got a directory`));
    await rm(join(folder, name), { recursive: true });
    await symlink(name, join(folder, name));
    await fails(() => readRunRecord(folder), "file-unreadable", new RegExp(`${name}: `));
  }
});

test("a part is named with its file and its place", async () => {
  const folder = join(dir, "damaged");
  await copyOfRun(folder);
  const summary = await readFile(join(RUN, "summary.json"), "utf8");
  await writeFile(join(folder, "summary.json"), replaced(summary, ["deviceMemory", "peakBytes"], "null"));
  const expected = /summary\.json: expected a number of at least 0 at deviceMemory\.peakBytes, got null$/;
  await fails(() => readRunRecord(folder), "file-format", expected);
  await copyOfRun(folder);
  const lines = (await readFile(join(RUN, "metrics.jsonl"), "utf8")).split("\n");
  const at = lines.findIndex((line) => line.startsWith('{"event":"step"'));
  await writeFile(
    join(folder, "metrics.jsonl"),
    lines.with(at, replaced(lines[at]!, ["solver", "steps"], "{}")).join("\n"),
  );
  const place = new RegExp(
    `metrics\\.jsonl:${at + 1}: expected a whole number of at least 0 at solver\\.steps\\.min, got nothing$`,
  );
  await fails(() => readRunRecord(folder), "file-format", place);
});

test("steps that metrics.jsonl has lost are counted at the top of the page", async () => {
  const folder = join(dir, "damaged");
  await copyOfRun(folder);
  const lines = (await readFile(join(RUN, "metrics.jsonl"), "utf8")).split("\n");
  const fewer = lines.filter((line) => !line.startsWith('{"event":"step","step":2,'));
  const page = await tried("metrics.jsonl", fewer.join("\n"), "a step less");
  assert.match(page!, /Lines of 1 of 5 steps are missing in metrics\.jsonl/);
  await rm(join(folder, "metrics.jsonl"));
  const html = await pageOf(folder, "metrics.jsonl", "no metrics");
  assert.match(html!, /Lines of 5 of 5 steps are missing in metrics\.jsonl/);
  assert.match(html!, /No training step has been recorded/);
});

test("a setting that config.json has lost is not resumed with another value", async () => {
  const folder = join(dir, "damaged");
  await copyOfRun(folder);
  const config = await readFile(join(RUN, "config.json"), "utf8");
  await writeFile(join(folder, "config.json"), replaced(config, ["config", "lr"], undefined));
  const { code, stderr } = await axograd(["train", "--resume", folder], { cwd: dir });
  assert.is(code, 2);
  assert.match(stderr, /^axograd: .*config\.json: expected a setting at config\.lr, got nothing\n$/);
  const older = replaced(replaced(config, ["config", "lr"], undefined), ["version"], '"0.0.1"');
  await writeFile(join(folder, "config.json"), older);
  assert.is((await readBegun(folder)).config.lr, 0.001);
});

test("a run of a sweep whose files are damaged has failed; it is not begun anew, and leaves the others alone", async () => {
  const settings = `base:\n  generate: 900x5000\n  trainSamples: 64\n  validationSamples: 16\n  testSamples: 0\n  batchSize: 16\n  calibration: 32\n  device: wasm\n  steps: 2\nseeds: 2\n`;
  await writeFile(join(dir, "damaged.yaml"), settings);
  const made = await axograd(["sweep", "damaged.yaml"], { cwd: dir });
  assert.is(made.code, 0, made.stderr);
  const folder = new SweepFolder(join(dir, "sweeps/damaged"));
  const summary = join(folder.run("seed=0"), "summary.json");
  await writeFile(summary, '{"interrupted": null}');
  const collected = await axograd(["collect", "sweeps/damaged", "--json"], { cwd: dir });
  assert.is(collected.code, 0, collected.stderr);
  const { runs } = JSON.parse(collected.stdout);
  assert.equal(
    runs.map((run: { status: string }) => run.status),
    ["failed", "finished"],
  );
  assert.match(runs[0].error, /summary\.json: expected an object at deviceMemory, got nothing/);
  const metrics = await readFile(join(folder.run("seed=0"), "metrics.jsonl"), "utf8");
  await writeFile(join(folder.run("seed=0"), "config.json"), "null");
  const again = await axograd(["sweep", "damaged.yaml"], { cwd: dir });
  assert.is(again.code, 2);
  assert.match(again.stderr, /seed=0\/config\.json: expected the configuration of a run, got null\n$/);
  assert.is(await readFile(join(folder.run("seed=0"), "metrics.jsonl"), "utf8"), metrics);
});

test("names in the record of a sweep stay in its folder", async () => {
  const path = join(dir, "sweeps/names");
  await mkdir(path, { recursive: true });
  const before = await readdir(dir);
  for (const name of ["../../x", "..", ".", "a/b", "a\\b", "a\nb", "", "x".repeat(201), "\u001b[2J"]) {
    await writeFile(join(path, "sweep.json"), JSON.stringify({ runs: [{ name, options: [], settings: {} }] }));
    const { code, stderr } = await axograd(["collect", "sweeps/names"], { cwd: dir });
    assert.is(code, 2);
    assert.match(stderr, /^axograd: sweeps\/names\/sweep\.json: expected a name of letters, .* got ".*" .*\(name\)\n$/);
  }
  for (const [key, entry] of [
    ["options", { name: "a", options: ["constructor"], settings: {} }],
    ["settings", { name: "a", options: [], settings: null }],
    ["name", { options: [], settings: {} }],
  ] as const) {
    await writeFile(join(path, "sweep.json"), JSON.stringify({ runs: [entry] }));
    await fails(
      () => new SweepFolder(path).runs(),
      "file-format",
      new RegExp(`sweep\\.json: expected .* at runs\\.0\\.${key}`),
    );
  }
  assert.equal(await readdir(dir), before);
});

test.run();
