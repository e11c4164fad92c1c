// Imports point one way: cli → train → { models, ode } → autodiff → ops → backend/*.ts → core.

import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("layering");

/** What every part of src/ may import besides itself. The files right in backend/ are its interface, "backend/*" here. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  "backend/*": ["core"],
  // Loads the backend that was asked for: the only file that knows both.
  "backend/select.ts": ["core", "backend/*", "backend/wasm", "backend/webgpu"],
  // Loads the tuner when it is used.
  "backend/tuneSparse.ts": ["core", "backend/*", "backend/webgpu"],
  "backend/wasm": ["core", "backend/*"],
  "backend/webgpu": ["core", "backend/*"],
  ops: ["core", "backend/*"],
  autodiff: ["core", "backend/*", "ops"],
  ode: ["core", "backend/*", "ops", "autodiff"],
  models: ["core", "backend/*", "ops", "autodiff", "ode"],
  profile: ["core", "backend/*", "ops"],
  explain: ["core", "backend/*", "backend/wasm", "backend/webgpu", "autodiff", "profile"],
  io: ["core"],
  stats: ["core"],
  distributed: ["core"],
  data: ["core", "io", "stats"],
  import: ["core", "io", "data"],
  train: ["core", "backend/*", "backend/select.ts", "ops", "autodiff", "ode", "models", "io", "data", "distributed"],
  check: ["core", "backend/*", "ops", "autodiff", "ode", "models", "data", "train"],
  analysis: ["core", "backend/*", "ode", "models", "io", "data", "stats", "train"],
  report: ["core", "backend/*", "ode", "models", "io", "data", "stats", "train", "analysis"],
  run: [
    ...[
      "core",
      "backend/*",
      "backend/select.ts",
      "backend/wasm",
      "backend/webgpu",
      "ode",
      "models",
      "io",
      "data",
      "stats",
      "import",
      "train",
      "analysis",
      "report",
      "distributed",
    ],
  ],
  cli: ["*"],
  "index.ts": ["*"],
};

/** The part of src/ that a file belongs to: a key of ALLOWED, or its folder where there is none. */
function partOf(file: string): string {
  const [folder = file, inner = "", ...deeper] = file.split("/");
  if (folder !== "backend" || file in ALLOWED) return file in ALLOWED ? file : folder;
  return deeper.length > 0 ? `backend/${inner}` : "backend/*";
}

/** Module specifiers of static imports, re-exports, side-effect imports and import(). */
function importsOf(text: string): string[] {
  const statements =
    /^\s*(?:import|export)\b[^;"']*?\bfrom\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
  return [...text.matchAll(statements)].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

/** What is wrong with the imports of `sources`, texts by path below src/. */
function violationsOf(sources: Readonly<Record<string, string>>): string[] {
  const violations: string[] = [];
  for (const [file, text] of Object.entries(sources)) {
    const part = partOf(file);
    const allowed = ALLOWED[part];
    if (!allowed) {
      violations.push(`${file}: no layer is known for ${part}`);
      continue;
    }
    for (const specifier of importsOf(text).filter((s) => s.startsWith("."))) {
      const target = posix.normalize(posix.join(posix.dirname(file), specifier));
      const targetPart = partOf(target);
      const inside = !target.startsWith("..");
      if (inside && (targetPart === part || allowed.includes("*") || allowed.includes(targetPart))) continue;
      violations.push(`${file}: ${part} must not import ${target}`);
    }
  }
  return violations;
}

function readSources(): Record<string, string> {
  const folder = join(repositoryRoot(), "src");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return Object.fromEntries(files.map((f) => [f.replaceAll(sep, "/"), readFileSync(join(folder, f), "utf8")]));
}

test("every import of src/ points to a lower layer", () => {
  const sources = readSources();
  assert.ok(Object.keys(sources).length > 10, "sources were found");
  assert.equal(violationsOf(sources), []);
});

test("the check sees every form of import", () => {
  const forms = [
    'import { a } from "../train/a.ts";',
    'import type { a } from "../train/a.ts";',
    'import {\n  a,\n  b,\n} from "../train/a.ts";',
    'import * as a from "../train/a.ts";',
    'import "../train/a.ts";',
    'export { a } from "../train/a.ts";',
    'export * from "../train/a.ts";',
    'const a = await import("../train/a.ts");',
  ];
  for (const form of forms) assert.is(violationsOf({ "ops/b.ts": `// text\n${form}\n` }).length, 1, form);
});

test("the check refuses what the layers forbid and nothing else", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["core/csr.ts", "./errors.ts", true],
    ["core/csr.ts", "../backend/program.ts", false],
    ["backend/backend.ts", "./program.ts", true],
    ["backend/backend.ts", "./wasm/backend.ts", false],
    ["backend/select.ts", "./webgpu/backend.ts", true],
    ["backend/wasm/pool.ts", "../program.ts", true],
    ["backend/wasm/pool.ts", "../select.ts", false],
    ["backend/wasm/pool.ts", "../webgpu/device.ts", false],
    ["backend/webgpu/device.ts", "../../ops/vocabulary.ts", false],
    ["ops/vocabulary.ts", "../autodiff/graph.ts", false],
    ["autodiff/vjp.ts", "../ops/vocabulary.ts", true],
    ["autodiff/vjp.ts", "../backend/wasm/pool.ts", false],
    ["ode/tableaus/dopri5.ts", "../tableau.ts", true],
    ["ode/solve.ts", "../models/rate.ts", false],
    ["models/rate.ts", "../ode/solve.ts", true],
    ["io/npz.ts", "../data/mnist.ts", false],
    ["data/mnist.ts", "../io/files.ts", true],
    ["data/mnist.ts", "../models/rate.ts", false],
    ["train/trainer.ts", "../cli/main.ts", false],
    ["cli/main.ts", "../train/trainer.ts", true],
    ["run/openRun.ts", "../train/trainer.ts", true],
    ["run/openRun.ts", "../cli/main.ts", false],
    ["train/trainer.ts", "../run/openRun.ts", false],
    ["index.ts", "./models/rate.ts", true],
    ["index.ts", "../test/support/close.ts", false],
    ["newFolder/a.ts", "../core/csr.ts", false],
  ];
  for (const [file, specifier, isAllowed] of cases) {
    const violations = violationsOf({ [file]: `import { a } from "${specifier}";` });
    assert.is(violations.length === 0, isAllowed, `${file} imports ${specifier}`);
  }
});

test.run();
