// The package as npm would publish it: what is in it, its types under each way that TypeScript resolves modules, its command.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import * as zlib from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ARROW_FILES } from "./io/arrowFixtures.ts";
import { tempDir } from "./io/fixtures.ts";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("package");
const root = repositoryRoot();
const { version, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const hasZstd = "zstdDecompress" in zlib;
/** Everything in the package is meant to be there; a jump above this says that something else got in. */
const MAX_BYTES = 2 * 2 ** 20;

function run(command: string, args: readonly string[], cwd: string): string {
  // npm is a script of the shell on Windows.
  const shell = command === "npm" && process.platform === "win32";
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    shell,
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.is(status, 0, `${command} ${args.join(" ")}: ${error?.message ?? ""}${stderr}${stdout}`);
  return stdout;
}

/** A link to a folder; a junction, which takes no rights, on Windows. */
function link(target: string, path: string): void {
  symlinkSync(target, path, "junction");
}

/** Unpacks the package into a project that has its dependencies and no others. */
function installed(): string {
  const project = tempDir();
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  run("npm", ["pack", "--ignore-scripts", "--pack-destination", project], root);
  run("tar", ["xzf", `axograd-${version}.tgz`], project);
  link(join(project, "package"), join(modules, "axograd"));
  // Node finds the dependencies of the unpacked package beside it, as it does after an installation.
  const own = join(project, "package", "node_modules");
  mkdirSync(own);
  const needed = [...Object.keys(dependencies), "d3-array", "d3-color", "d3-format", "d3-interpolate", "d3-path"];
  for (const name of [...needed, "d3-time", "d3-time-format", "internmap", "pend"]) {
    link(join(root, "node_modules", name), join(own, name));
  }
  link(join(root, "node_modules", "@types", "node"), join(modules, "@types", "node"));
  link(join(root, "node_modules", "undici-types"), join(modules, "undici-types"));
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
    "vulkan/deviceNames.c",
    "vulkan/manifest.json",
    "schema/train.schema.json",
  ]) {
    assert.ok(names.includes(name), name);
  }
  const superfluous = /\.map$|\.test\.|^dist\/(test|bench)|debug\.wasm|^src\/|^bench\/(?!README\.md$)/;
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
  const args = [
    join(root, "node_modules", "typescript", "bin", "tsc"),
    "--module",
    module,
    "--moduleResolution",
    resolution,
    ...options,
    ...more,
    "user.ts",
  ];
  return spawnSync(process.execPath, args, { cwd: project, encoding: "utf8" }).stdout;
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

test("a build makes the command executable, so that npx finds it in a checkout after dist was deleted", () => {
  if (process.platform !== "win32") assert.is(statSync(join(root, "dist/src/cli/main.js")).mode & 0o111, 0o111);
});

test("its command runs, and what imports it", () => {
  const { bin } = JSON.parse(readFileSync(join(project, "package", "package.json"), "utf8"));
  const command = join(project, "package", bin.axograd);
  assert.match(readFileSync(command, "utf8"), /^#!\/usr\/bin\/env node\n/);
  assert.is(run(process.execPath, [command, "--version"], project).trim(), version);
  const program = 'import { VERSION } from "axograd"; console.log(VERSION);';
  assert.is(run(process.execPath, ["--input-type=module", "-e", program], project).trim(), version);
});

/** The documents in the package, by path. */
function documents(): Map<string, string> {
  const names = readdirSync(join(project, "package"), { recursive: true, encoding: "utf8" });
  const texts = names.filter((name) => name.endsWith(".md") && !name.startsWith("node_modules"));
  return new Map(texts.map((name) => [name, readFileSync(join(project, "package", name), "utf8")]));
}

/** The names that headings have in links. */
function anchorsOf(text: string): Set<string> {
  const titles = [...text.matchAll(/^#+ (.+)$/gm)].map((match) => match[1]!.toLowerCase());
  return new Set(titles.map((title) => title.replaceAll(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-")));
}

/** Links of a document that lead nowhere in the package. */
function deadLinks(name: string, texts: ReadonlyMap<string, string>): string[] {
  const links = [...texts.get(name)!.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? name : posix.normalize(posix.join(posix.dirname(name), path));
    // The sources that the reference names are in the package as declarations.
    const packed = target.replace(/^src\/(.*)\.ts$/, "dist/src/$1.d.ts");
    if (!existsSync(join(project, "package", packed))) return true;
    return anchor !== undefined && !anchorsOf(texts.get(target) ?? "").has(anchor);
  });
}

test("no link in its documents is dead", () => {
  const texts = documents();
  for (const name of ["README.md", "docs/learning.md", "docs/api/README.md"]) assert.ok(texts.has(name), name);
  for (const name of texts.keys()) assert.equal(deadLinks(name, texts), [], name);
  const wrong = new Map([...texts, ["README.md", "[a](none.md) [b](docs/learning.md#none) [c](#none) [d](LICENSE)"]]);
  assert.equal(deadLinks("README.md", wrong), ["none.md", "docs/learning.md#none", "#none"]);
});

/** What `axograd <args>` of the package prints. */
function printed(...args: readonly string[]): string {
  return run(process.execPath, [join(project, "package", "dist", "src", "cli", "main.js"), ...args], project);
}

/** A help text with the lines of a description on one line. */
function unwrapped(text: string): string {
  return text.replaceAll(/\n {20,}/g, " ");
}

/** Commands to type, in code of a document or anywhere in a help text. */
const COMMAND =
  /(?<![\w/.-])(npx |bunx --bun |deno run -A npm:)?axograd ([a-z][a-z-]*|--help)\b((?: +(?:[^\s|;&#`]+|'[^']*'))*)/g;

/** The commands in a text; those that cannot be typed as they stand are told. */
function checkCommands(where: string, text: string, options: ReadonlyMap<string, string>): string[] {
  return [...text.matchAll(COMMAND)].flatMap(([whole, npx, command, rest]) => {
    const help = options.get(command!);
    if (help === undefined && command !== "--help") return [];
    const given = rest!.match(/(?<= )--[a-z-]+/g) ?? [];
    const known = new Set(["--help", ...(help?.match(/--[a-z-]+/g) ?? [])]);
    const unknown = given.filter((option) => !known.has(option));
    return [...(npx ? [] : [`${where}: ${whole}`]), ...unknown.map((option) => `${where}: ${whole}: ${option}`)];
  });
}

test("its documents and help texts name commands as one types them, with options that there are", () => {
  const names = [...printed("--help").matchAll(/^ {2}([a-z][a-z-]*) /gm)].map((match) => match[1]!);
  assert.ok(names.length >= 11, names.join());
  const options = new Map(names.filter((name) => name !== "help").map((name) => [name, printed(name, "--help")]));
  const code = (text: string): string => [...text.matchAll(/```[\s\S]*?```|`[^`\n]+`/g)].join("\n");
  const texts = documents();
  const typed = [...texts.keys()].filter((name) =>
    /^(README|CONTRIBUTING|docs\/[\w-]+|examples\/README)\.md$/.test(name),
  );
  assert.ok(typed.length > 8, typed.join());
  const wrong = typed.flatMap((name) => checkCommands(name, code(texts.get(name)!), options));
  for (const [name, text] of options)
    wrong.push(...checkCommands(name, unwrapped(text).replace(/^Usage: .*/m, ""), options));
  assert.equal(wrong, []);
  assert.equal(checkCommands("a", "axograd train --epochs 3", options), ["a: axograd train --epochs 3"]);
  assert.equal(checkCommands("a", "npx axograd train --epoch 3 --no-report", options), [
    "a: npx axograd train --epoch 3 --no-report: --epoch",
  ]);
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
  const arrow = JSON.stringify(pathToFileURL(join(project, "package", "dist", "src", "io", "arrowFile.js")).href);
  const read = (name: keyof typeof ARROW_FILES): string => {
    writeFileSync(join(project, `${name}.feather`), zlib.gunzipSync(Buffer.from(ARROW_FILES[name], "base64")));
    const columns = `[{ name: "text", as: "text" }], ({ cells: [{ values }] }) => console.log(values.join())`;
    const reading = `const table = await openArrowFile("${name}.feather"); await table.read(${columns})`;
    const whole = `const { openArrowFile } = await import(${arrow}); ${reading}.catch((e) => console.log(e.code, e.message));`;
    return run(process.execPath, ["--input-type=module", "-e", whole], project);
  };
  assert.match(read("stored"), /^R1,L1/, "needs no package");
  assert.match(read("lz4"), /^peer-missing .*LZ4.*npm install lz4-napi/);
  assert.match(read("zstd"), hasZstd ? /^R1,L1/ : /^peer-missing .*Zstandard.*Node 22.15.*npm install fzstd/);
});

test.run();
