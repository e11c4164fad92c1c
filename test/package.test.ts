// The package as npm would publish it: what is in it, its types under each way that TypeScript resolves modules, its command.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tempDir } from "./io/fixtures.ts";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("package");
const root = repositoryRoot();
const { version, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const MAX_BYTES = 2 ** 20;

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 120_000 });
  assert.is(status, 0, `${command} ${args.join(" ")}: ${error?.message ?? ""}${stderr}${stdout}`);
  return stdout;
}

/** Unpacks the package into a project that has its dependencies and no others. */
function installed(): string {
  const project = tempDir();
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  run("npm", ["pack", "--ignore-scripts", "--pack-destination", project], root);
  run("tar", ["xzf", `axograd-${version}.tgz`], project);
  symlinkSync(join(project, "package"), join(modules, "axograd"));
  // Node finds the dependencies of the unpacked package beside it, as it does after an installation.
  const own = join(project, "package", "node_modules");
  mkdirSync(own);
  const needed = [...Object.keys(dependencies), "d3-array", "d3-color", "d3-format", "d3-interpolate", "d3-path"];
  for (const name of [...needed, "d3-time", "d3-time-format", "internmap", "pend"]) {
    symlinkSync(join(root, "node_modules", name), join(own, name));
  }
  symlinkSync(join(root, "node_modules", "@types", "node"), join(modules, "@types", "node"));
  symlinkSync(join(root, "node_modules", "undici-types"), join(modules, "undici-types"));
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  return project;
}

const project = installed();

test("it has what it needs and no more", () => {
  const names = readdirSync(join(project, "package"), { recursive: true, encoding: "utf8" });
  for (const name of [
    "dist/src/index.js",
    "dist/src/index.d.ts",
    "dist/wasm/axograd.wasm",
    "schema/train.schema.json",
  ]) {
    assert.ok(names.includes(name), name);
  }
  const superfluous = /\.map$|\.test\.|^dist\/(test|bench)|debug\.wasm|^(src|bench)\//;
  assert.equal(
    names.filter((name) => !name.startsWith("node_modules") && superfluous.test(name)),
    [],
  );
  const { length } = readFileSync(join(project, `axograd-${version}.tgz`));
  assert.ok(length < MAX_BYTES, `${length} bytes`);
});

const USER = `
import { Adam, type Backend, type Csr, createBackend, SparseLinear, Trainer } from "axograd";

export async function train(connectivity: Csr): Promise<Backend> {
  await using backend = await createBackend({ device: "wasm" });
  using layer = new SparseLinear(backend, { inFeatures: 3, outFeatures: 2, connectivity });
  const y: ArrayLike<number> = await layer.forward([1, 2, 3]);
  new Adam(backend, layer.parameters, { lr: y[0]! }).step();
  return backend;
}
export { Trainer };
`;

/** What the compiler says to a program that imports the package, with all declarations checked. */
function complaints(module: string, resolution: string, ...more: readonly string[]): string {
  writeFileSync(join(project, "user.ts"), USER);
  const options = ["--ignoreConfig", "--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022"];
  const tsc = join(root, "node_modules", ".bin", "tsc");
  const args = ["--module", module, "--moduleResolution", resolution, ...options, ...more, "user.ts"];
  return spawnSync(tsc, args, { cwd: project, encoding: "utf8" }).stdout;
}

const RESOLUTIONS = [
  ["nodenext", "nodenext"],
  ["node16", "node16"],
  ["esnext", "bundler"],
] as const;

test("its declarations need no types that are not installed with it", () => {
  // With Node's types and without: nobody has to install them for this package.
  for (const [module, resolution] of RESOLUTIONS) assert.is(complaints(module, resolution), "", resolution);
  assert.is(complaints("nodenext", "nodenext", "--types", "node", "--lib", "es2022"), "");
  const index = join(project, "package", "dist", "src", "index.d.ts");
  const text = readFileSync(index, "utf8");
  const changes = [
    [`${text}export type { ZipFile } from "yauzl";\n`, /TS7016.*'yauzl'/],
    [`${text}export type { FileHandle } from "node:fs/promises";\n`, /TS2591.*'node:fs\/promises'/],
    [text.replace(/^\/\/\/.*\n/, ""), /TS2550.*'dispose'/],
  ] as const;
  for (const [changed, complaint] of changes) {
    writeFileSync(index, changed);
    assert.match(complaints("nodenext", "nodenext"), complaint);
  }
  writeFileSync(index, text);
});

test("its command runs, and what imports it", () => {
  const { bin } = JSON.parse(readFileSync(join(project, "package", "package.json"), "utf8"));
  const command = join(project, "package", bin.axograd);
  assert.match(readFileSync(command, "utf8"), /^#!\/usr\/bin\/env node\n/);
  assert.is(run(process.execPath, [command, "--version"], project).trim(), version);
  const program = 'import { VERSION } from "axograd"; console.log(VERSION);';
  assert.is(run(process.execPath, ["--input-type=module", "-e", program], project).trim(), version);
});

test("what needs an optional package says so, and how to install it", () => {
  const raster = JSON.stringify(pathToFileURL(join(project, "package", "dist", "src", "report", "raster.js")).href);
  const program = `const { pngOfSvg } = await import(${raster}); await pngOfSvg("").catch((e) => console.log(e.code, e.message));`;
  const said = run(process.execPath, ["--input-type=module", "-e", program], project);
  assert.match(said, /^peer-missing .*npm install sharp/);
  const table = JSON.stringify(pathToFileURL(join(project, "package", "dist", "src", "io", "parquet.js")).href);
  const reader = `const { readParquetEdgeList } = await import(${table}); await readParquetEdgeList("user.ts").catch((e) => console.log(e.code, e.message));`;
  const told = run(process.execPath, ["--input-type=module", "-e", reader], project);
  assert.match(told, /^peer-missing .*npm install hyparquet/);
});

test.run();
