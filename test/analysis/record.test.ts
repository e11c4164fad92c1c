// Records of analyses: what is written is read again, and what is damaged is an error that names the part.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ANALYSES_FOLDER,
  type AnalysisRecord,
  analysisFile,
  isAnalysisName,
  readAnalyses,
  readAnalysis,
  writeAnalysis,
} from "../../src/analysis/record.ts";
import { ArgumentError, FileFormatError } from "../../src/core/errors.ts";
import { VERSION } from "../../src/core/version.ts";
import { tempDir } from "../io/fixtures.ts";

const test = suite("records of analyses");
const dir = tempDir();
const NEW = { name: "mine", kind: "perturb", step: 30, options: { each: "side" } } as const;

/** A run with a file of records. */
async function runWith(run: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(dir, run);
  await mkdir(join(folder, ANALYSES_FOLDER), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, ANALYSES_FOLDER, name), text);
  return folder;
}

const whole = (parts: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    kind: "perturb",
    version: "0.5.0",
    created: "2026-11-28",
    step: 3,
    options: {},
    result: {},
    ...parts,
  });

test("a record holds plain data; typed arrays become lists, numbers that are not finite null", async () => {
  const run = join(dir, "a");
  const result = {
    list: Float32Array.of(0.5, Number.NaN),
    rows: [{ k: Int32Array.of(1) }],
    text: "\u202eT4a",
    none: null,
  };
  const file = await writeAnalysis(run, { ...NEW, result });
  assert.is(file, analysisFile(run, "mine"));
  const { created, result: parts, ...facts } = await readAnalysis(file, "mine");
  assert.equal(facts, { ...NEW, version: VERSION });
  assert.ok(Date.now() - Date.parse(created) < 60_000);
  assert.equal(parts.all, { list: [0.5, null], rows: [{ k: [1] }], text: "\u202eT4a", none: null });
  assert.equal([...parts.numbersOrNaN("list")], [0.5, Number.NaN]);
  // A terminal that shows the file is safe.
  assert.not.match(await readFile(file, "utf8"), "\u202e");
});

test("a name is a part of a file's name, nothing else", async () => {
  for (const name of ["a", "T4a_left-2", "x".repeat(64)]) assert.ok(isAnalysisName(name), name);
  for (const name of ["", "-a", "../a", "a/b", "a b", "a.json", "é", "x".repeat(65), "a\n"]) {
    assert.not.ok(isAnalysisName(name), name);
    const error = await writeAnalysis(join(dir, "names"), { ...NEW, name, result: {} }).catch((e: unknown) => e);
    assert.instance(error, ArgumentError);
  }
});

test("a damaged record is an error that names file and part, and hides no other", async () => {
  const damaged = {
    "text.json": ["no JSON", /text\.json: expected the record of an analysis, as JSON/],
    "list.json": ["[]", /expected the record of an analysis/],
    "cut.json": [whole().slice(0, 40), /as JSON/],
    "kind.json": [whole({ kind: 3 }), /expected text at kind/],
    "step.json": [whole({ step: -1 }), /at step/],
    "options.json": [whole({ options: [] }), /at options/],
    "result.json": [whole({ result: null }), /expected an object at result/],
    'b"<i>.json': [whole(), /a name of at most 64 letters/],
  } as const;
  const files = Object.fromEntries(Object.entries(damaged).map(([name, [text]]) => [name, text]));
  const run = await runWith("damaged", { ...files, "good.json": whole(), "good.json.123.tmp": "half", "note.txt": "" });
  const found = await readAnalyses(run);
  const isRecord = (one: AnalysisRecord | FileFormatError): one is AnalysisRecord => !(one instanceof FileFormatError);
  assert.equal(
    found.filter(isRecord).map(({ name, kind, step }) => [name, kind, step]),
    [["good", "perturb", 3]],
  );
  const messages = found.filter((one) => !isRecord(one)).map((error) => (error as FileFormatError).message);
  assert.is(messages.length, Object.keys(damaged).length);
  for (const [name, [, expected]] of Object.entries(damaged)) {
    assert.ok(
      messages.some((message) => expected.test(message)),
      `${name}: ${messages}`,
    );
  }
});

test("a run without analyses has none; a file in place of their folder is an error", async () => {
  assert.equal(await readAnalyses(join(dir, "nothing")), []);
  await mkdir(join(dir, "file"));
  await writeFile(join(dir, "file", ANALYSES_FOLDER), "");
  assert.instance(await readAnalyses(join(dir, "file")).catch((e: unknown) => e), FileFormatError);
});

test.run();
