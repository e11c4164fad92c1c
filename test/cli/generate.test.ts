import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/generate.ts";
import { MALE_CNS_FILES } from "../../src/import/madeUpMaleCns.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("generate");
const dir = tempDir();
const SMALL = ["--neurons", "200", "--connections", "3000", "--fragments", "100"];
const generate = (...args: readonly string[]): Promise<string> => runCommand(register, "generate", "malecns", ...args);

test("a set is written, and what it has is reported as made up", async () => {
  const text = await generate(join(dir, "a"), ...SMALL);
  assert.match(text, /made up in the layout of MaleCNS v1\.0, no data of an animal \(seed 0\)/);
  assert.match(text, /200 neurons of \d+ types\n3,000 connections between them, [\d,]+ synapses\n≥ 3 synapses: 1,\d+/);
  assert.match(text, /100 rows with fragments/);
  const report = JSON.parse(await generate(join(dir, "b"), ...SMALL, "--seed", "5", "--json")) as Record<
    string,
    unknown
  >;
  assert.equal([report.madeUp, report.layout, report.connections, report.seed], [true, "malecns", 3000, 5]);
});

test("existing files are replaced only when that is asked for", async () => {
  const folder = join(dir, "c");
  await generate(folder, ...SMALL);
  const file = join(folder, MALE_CNS_FILES.annotations);
  await writeFile(file, "precious");
  await fails(() => generate(folder, ...SMALL), "file-exists", /--overwrite/);
  assert.is(await readFile(file, "utf8"), "precious");
  await generate(folder, ...SMALL, "--overwrite");
  assert.is((await readFile(file, "latin1")).slice(0, 6), "ARROW1");
});

test("unknown layouts and sizes out of range are refused", async () => {
  await fails(() => runCommand(register, "generate", "flywire", join(dir, "d")), "argument", /malecns/);
  await fails(() => generate(join(dir, "d"), "--neurons", "7"), "argument", /--neurons/);
  await fails(
    () => generate(join(dir, "d"), "--neurons", "200", "--connections", "9000"),
    "argument",
    /^generate: .*--connections/,
  );
});

test.run();
