// Every public name has a docstring and a place in docs/api.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

test("the check sees a name without a docstring, and one that is on no page", () => {
  const copy = tempDir();
  mkdirSync(join(copy, "src"));
  for (const path of ["scripts/apiReference.mjs", "src/index.ts", "dist/src", "docs/api"]) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  const edit = (path: string, change: (text: string) => string): void =>
    writeFileSync(join(copy, path), change(readFileSync(join(copy, path), "utf8")));
  edit("dist/src/core/random.d.ts", (text) => text.replace(/\/\*\*[^/]*\*\/\nexport type Key/, "export type Key"));
  edit("docs/api/errors.md", (text) => text.replace("## ShapeError", "## Other"));
  assert.equal(problems(copy).sort(), ["Key has no docstring", "ShapeError is on no page: npm run docs"]);
});

test("the pages have text and code for every name", () => {
  const folder = join(root, "docs", "api");
  for (const file of readdirSync(folder).filter((name) => name !== "README.md")) {
    const [, ...parts] = readFileSync(join(folder, file), "utf8").split(/^## /m);
    for (const part of parts) assert.match(part, /^\w+\n\n[^\n`][\s\S]*```ts\n[\s\S]+\n```\n\n\[src\//);
  }
});

test.run();
