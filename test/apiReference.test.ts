// Every public name has a docstring and a place in docs/api, and so has every type that it mentions.

import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tempDir } from "./io/fixtures.ts";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("API reference");
const root = repositoryRoot();

/** What `npm run docs` finds wrong in a checkout. */
function problems(checkout: string): string[] {
  const script = join(checkout, "scripts", "apiReference.mjs");
  const { stdout, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  assert.is(stderr, "");
  return stdout.split("\n").filter((line) => line !== "");
}

test("every public name has a docstring and is on a page", () => {
  assert.equal(problems(root), []);
});

test("the check sees a name without a docstring, one that is on no page, and a type that is not exported", () => {
  const copy = tempDir();
  for (const path of ["scripts/apiReference.mjs", "src", "dist/src", "docs/api"]) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  const edit = (path: string, change: (text: string) => string): void =>
    writeFileSync(join(copy, path), change(readFileSync(join(copy, path), "utf8")));
  edit("dist/src/core/random.d.ts", (text) => text.replace(/\/\*\*[^/]*\*\/\nexport type Key/, "export type Key"));
  edit("docs/api/errors.md", (text) => text.replace("## ShapeError", "## Other"));
  edit("src/index.ts", (text) => text.replace(/^ {2}type TapePlan,\n|^export type \{ TapePlan \}.*\n/m, ""));
  assert.equal(problems(copy).sort(), [
    "Key has no docstring",
    "ShapeError is on no page: npm run docs",
    ...["SolveStats", "Trainer"].map((name) => `${name} mentions TapePlan, which is not exported`),
  ]);
});

test("the pages have text and code for every name", () => {
  const folder = join(root, "docs", "api");
  for (const file of readdirSync(folder).filter((name) => name !== "README.md")) {
    const [, ...parts] = readFileSync(join(folder, file), "utf8").split(/^## /m);
    for (const part of parts) assert.match(part, /^\w+\n\n[^\n`][\s\S]*```ts\n[\s\S]+\n```\n\n\[src\//);
  }
});

test("the reference has every op with its formula, the controllers, the main classes, and how frames map to time", () => {
  const folder = join(root, "docs", "api");
  const all = readdirSync(folder).map((file) => readFileSync(join(folder, file), "utf8"));
  const entry = (name: string): string => {
    const found = all.map((text) => text.split(`\n## ${name}\n`)[1]?.split("\n## ")[0]).find((text) => text);
    if (!found) throw new Error(`${name} is on no page`);
    return found;
  };
  for (const formula of [/"sigmoid" \/\/ +1\/\(1 \+ e\^-x\)/, /"neg" \/\/ +−x/])
    assert.match(entry("UnaryOp"), formula);
  assert.match(entry("BinaryOp"), /"div" \/\/ a\/b/);
  for (const op of ["select", "matmul", "matmulT", "reduceRows", "reduceLanes", "lookup"])
    assert.match(entry("Ops"), new RegExp(`\\*\\/\\n {4}${op}\\(|\\n {4}${op}\\(`));
  for (const name of ["IntegralController", "PidController", "FixedController", "ReplayController"]) entry(name);
  for (const name of ["ConnectomeNetwork", "NetworkClassifier", "OdeSolver", "Trainer", "Optimizer"]) entry(name);
  assert.match(entry("ModelInput"), /frame k holds for/);
  // Lists of values are spelled out.
  assert.match(entry("TrainConfig"), /"abs" \| "signed"/);
});

test.run();
