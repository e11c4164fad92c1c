// What a configuration or sweep file may not be: each ends in a typed error with the line, before anything large is made of it.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readConfigFile } from "../../src/cli/configFile.ts";
import { planRuns } from "../../src/cli/sweep/plan.ts";
import { readSweepFile } from "../../src/cli/sweep/sweepFile.ts";
import { readYaml, yamlText } from "../../src/cli/yamlFile.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { axograd } from "./process.ts";

const test = suite("YAML files");
const dir = tempDir();

async function file(content: string | Uint8Array): Promise<string> {
  const path = join(dir, "a.yaml");
  await writeFile(path, content);
  return path;
}

async function refused(content: string | Uint8Array, message: RegExp, code = "file-format"): Promise<void> {
  const path = await file(content);
  await fails(() => readConfigFile(path), code, message);
}

/** Nine lists of nine references to the one before. */
function laughs(): string {
  const lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"];
  for (let k = 1; k < 9; k++)
    lines.push(
      `a${k}: &a${k} [${Array(9)
        .fill(`*a${k - 1}`)
        .join(", ")}]`,
    );
  return `${lines.join("\n")}\n`;
}

test("aliases repeat what they name", async () => {
  const { data } = await readYaml(await file("a: &x {b: [1, 2]}\nc: *x\n"), "a file");
  assert.equal(data, { a: { b: [1, 2] }, c: { b: [1, 2] } });
});

test("aliases that are unknown, circular, too many, or stand for too much are refused", async () => {
  await refused("lr: 1\nsteps: *nope\n", /a\.yaml:2: expected an alias of an anchor before it, got "\*nope"/);
  await refused("steps: *late\nlr: &late 1\n", /:1: expected an alias of an anchor before it/);
  await refused("steps: &a [*a]\n", /:1: expected an alias of what ends before it, got "\*a"/);
  await refused("generate: &a\n  neurons: *a\n", /:2: expected an alias of what ends before it/);
  await refused(laughs(), /:\d: expected at most 200000 values, got \d+$/);
  await refused(`a: &a 1\nb: [${"*a,".repeat(2000)}]\n`, /:2: expected at most 1000 aliases, got more/);
});

test("lists and maps within each other are bounded, in every way of writing them, and through aliases", async () => {
  const deep = /:\d+: expected at most 50 lists and maps within each other/;
  for (const depth of [51, 20_000]) {
    await refused(`steps: ${"[".repeat(depth)}${"]".repeat(depth)}\n`, deep);
    await refused(`${"{a: ".repeat(depth)}1${"}".repeat(depth)}\n`, deep);
    await refused(`a:\n  ${"- ".repeat(depth)}1\n`, deep);
    await refused(`${"? ".repeat(depth)}1\n`, deep);
  }
  const chain = ["a0: &a0 [1]", ...Array.from({ length: 60 }, (_, k) => `a${k + 1}: &a${k + 1} [*a${k}]`)];
  await refused(chain.join("\n"), deep);
  const { data } = await readYaml(await file(`a: ${"[".repeat(40)}${"]".repeat(40)}\n`), "a file");
  assert.is(JSON.stringify(data.a).length, 80);
});

test("a map has a bounded number of keys, and a file of bytes", async () => {
  await refused(
    Array.from({ length: 2000 }, (_, k) => `a${k}: 1\n`).join(""),
    /:1: expected at most 1000 keys, got 2000/,
  );
  await refused("#".repeat(2 ** 20 + 1), /a configuration file of at most 1048576 bytes, got a longer file/);
  await mkdir(join(dir, "folder"), { recursive: true });
  await fails(() => readConfigFile(join(dir, "folder")), "file-is-directory", /a directory/);
  await fails(() => readConfigFile(join(dir, "none.yaml")), "file-missing", /no such file/);
});

test("tags, two documents, keys twice and keys that are no text are refused", async () => {
  await refused('steps: !!js/function "function(){}"\n', /:1: expected YAML or JSON, got Unresolved tag/);
  await refused("lr: 1\nsteps: !foo 3\n", /:2: expected YAML or JSON, got Unresolved tag/);
  await refused("steps: 1\n---\nsteps: 2\n", /:2: expected one document, got several/);
  await refused("lr: 1\nlr: 2\n", /:2: expected YAML or JSON, got Map keys must be unique/);
  await refused("? [a, b]\n: 1\n", /:1: expected keys that are text, got "\[\\"a\\",\\"b\\"\]"/);
  await refused("lr: 1\n~: 1\n", /:2: expected keys that are text/);
  await refused("1: 1\n", /:1: expected keys that are text, got "1"/);
  await refused("generate:\n\tneurons: 1\n", /:\d: expected YAML or JSON, got .*[Tt]abs?/);
  await refused("a: &b {steps: 3}\n<<: *b\n", /:1: expected the name of a setting/, "argument");
  for (const text of ["steps", "[1]", "~", "3"]) await refused(text, /expected keys with values, got /);
});

test("names that objects of JavaScript have are unknown settings like others", async () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"]) {
    await refused(
      `lr: 1\n${key}: {steps: 1}\n`,
      new RegExp(`:2: expected the name of a setting, got "${key}"`),
      "argument",
    );
    const path = await file(`grid:\n  ${key}: [1]\n`);
    await fails(() => readSweepFile(path), "argument", /:2: expected the name of a setting/);
    const top = await file(`${key}: 1\n`);
    await fails(() => readSweepFile(top), "argument", /:1: expected one of base, seeds, grid, zip/);
    const { code, stderr } = await axograd(["train", "--set", `${key}=1`], { cwd: dir });
    assert.is(code, 2);
    assert.match(stderr, /^axograd: --set: expected the name of a setting, got .*\n$/);
  }
  await refused("generate: {neurons: 1, connections: 2, __proto__: 3}\n", /NEURONSxCONNECTIONS/, "argument");
});

test("files are UTF-8: others are refused, not read with other letters", async () => {
  await refused(
    Buffer.from('lr: 1\nconnectome: "caf\xe9.npz"\n', "latin1"),
    /a\.yaml:2: expected a configuration file in UTF-8/,
  );
  await refused(Buffer.from("\ufefflr: 1\n", "utf16le"), /expected a configuration file in UTF-8, got UTF-16/);
  await refused("lr: 1\nsteps: 1\0\n", /:2: expected printable text, got "\\u0000"/);
  await refused("connectome: \u001b[2J.npz\n", /:1: expected printable text, got "\\u001b"/);
  assert.equal(await readConfigFile(await file("\ufefflr: 0.5\r\nconnectome: café.npz\r\n")), {
    lr: 0.5,
    connectome: "café.npz",
  });
});

test("settings that are written are read back, whatever their text is", async () => {
  for (const text of [
    "a\u001b[2J\u0007",
    "\u009b",
    "\u007f",
    "\ufffe",
    "\u0085",
    "a\r\nb",
    "\u2028",
    "\ud800",
    "#",
    "0o17",
    "~",
  ]) {
    const settings = { connectome: text, lr: 0.5, generate: null };
    assert.equal(await readConfigFile(await file(yamlText(settings))), settings, JSON.stringify(text));
  }
});

test("numbers are read as YAML 1.2 says, and what is none is told as it came", async () => {
  assert.equal(await readConfigFile(await file("steps: 0o17\n")), { steps: 15 });
  await refused("lr: .inf\n", /expected a number above 0, got Infinity \(lr\)/, "argument");
  await refused("lr: .nan\n", /got NaN \(lr\)/, "argument");
  await refused("steps: 99999999999999999999\n", /got 100000000000000000000 \(steps\)/, "argument");
  await refused('connectome: "a\\0b"\n', /expected a path, got "a\\u0000b" \(connectome\)/, "argument");
  await refused(`head: ${"x".repeat(18_000)}\n`, /got "x+…x+" \(18,000 characters\) \(head\)/, "argument");
});

test("a sweep's runs are counted before any of them is made", async () => {
  const refusedSweep = async (text: string, message: RegExp): Promise<void> => {
    const path = await file(text);
    await fails(() => readSweepFile(path), "argument", message);
  };
  const limit = "expected at most 10,000 runs \\(--max-runs allows up to 100,000\\), got ";
  await refusedSweep("seeds: 1000000000\n", new RegExp(`${limit}1,000,000,000: 1,000,000,000 seeds`));
  await refusedSweep("seeds: 9007199254740991\n", new RegExp(`${limit}9,007,199,254,740,991: `));
  const list = JSON.stringify(Array.from({ length: 100 }, (_, k) => k + 1));
  const grid = ["steps", "batchSize", "epochs", "warmUp", "shift"].map((key) => `  ${key}: ${list}\n`).join("");
  const counted = "100 values of steps × 100 values of batchSize × .* × 2 places of zip × 3 seeds";
  await refusedSweep(
    `seeds: 3\ngrid:\n${grid}zip:\n  lr: [1, 2]\n`,
    new RegExp(`${limit}60,000,000,000: ${counted} \\(grid, zip, seeds\\)`),
  );
  const itself = await file(`base: ${join(dir, "a.yaml")}\n`);
  await fails(() => readSweepFile(itself), "argument", /a\.yaml:1: expected the name of a setting, got "base"/);
  assert.is(planRuns(await readSweepFile(await file("seeds: 10000\n"))).length, 10_000);
  const many = await file("seeds: 10001\n");
  await fails(() => readSweepFile(many), "argument", /got 10,001/);
  assert.is(planRuns(await readSweepFile(many, 20_000)).length, 10_001);
  await fails(() => readSweepFile(many, 100), "argument", /at most 100 runs/);
});

test("--max-runs raises the limit as far as it goes", async () => {
  await file("base: {preset: demo, steps: 1}\nseeds: 20000\n");
  const refusedRun = await axograd(["sweep", "a.yaml", "--dry-run"], { cwd: dir });
  assert.is(refusedRun.code, 2);
  assert.match(refusedRun.stderr, /^axograd: a\.yaml: expected at most 10,000 runs .*\n$/);
  const beyond = await axograd(["sweep", "a.yaml", "--dry-run", "--max-runs", "100001"], { cwd: dir });
  assert.match(beyond.stderr, /a whole number from 1 to 100000, got "100001" \(--max-runs\)/);
  const { code, stdout } = await axograd(["sweep", "a.yaml", "--dry-run", "--max-runs", "20000"], { cwd: dir });
  assert.is(code, 0);
  assert.match(stdout, "sweeps/a: 20000 runs\n");
});

test.run();
