// What the documents point at is there: files, npm scripts, cases of the goldens, names of the interface.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { axograd } from "./cli/process.ts";
import { repositoryRoot, sharedPath } from "./support/shared.ts";
import { testOrSkip } from "./support/skip.ts";

const test = suite("documents");
const root = repositoryRoot();
/** All but the API reference, which is made from the sources, and the changelog, which also tells what was. */
const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "bench/README.md",
  "examples/README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const FOLDERS = "test|src|docs|bench|assembly|kernels|scripts|schema";

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Text in backticks. */
function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
}

/** Files and folders that a text names, from the root of the repository. */
function pathsIn(text: string): string[] {
  const isPath = new RegExp(`^(${FOLDERS})/[\\w./-]*$`);
  const links = [...text.matchAll(/\]\(([\w./-]+)(?:#[\w-]+)?\)/g)].map((match) => match[1]!);
  return [...quoted(text).filter((word) => isPath.test(word)), ...links];
}

/** Where a path that a document names is. */
function placeOf(document: string, path: string): string {
  const inside = document.includes("/") && !new RegExp(`^(${FOLDERS})/`).test(path);
  return inside ? join(root, document, "..", path) : join(root, path);
}

/** Links to a heading, as the file (the empty text: the document itself) and the heading's name in links. */
function anchorsIn(text: string): [string, string][] {
  return [...text.matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)].map((match) => [match[1]!, match[2]!]);
}

/** The names that headings have in links: small letters, hyphens for spaces, no punctuation. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** Rows of the tables of a document, as cells. */
function rowsOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.startsWith("|") && !line.startsWith("|---"));
  return lines.map((line) => line.split("|").slice(1, -1));
}

test("every file that a document names exists", () => {
  let named = 0;
  for (const document of DOCUMENTS) {
    for (const path of pathsIn(read(document))) {
      named++;
      assert.ok(existsSync(placeOf(document, path)), `${document} names ${path}`);
    }
  }
  assert.ok(named > 30, `${named}`);
});

test("a missing file would be seen", () => {
  assert.equal(pathsIn("see `test/nowhere.test.ts`, [this](docs/none.md), [there](docs/one.md#part) and `testing`"), [
    "test/nowhere.test.ts",
    "docs/none.md",
    "docs/one.md",
  ]);
});

test("every heading that a document links to exists", () => {
  let linked = 0;
  for (const document of DOCUMENTS) {
    const text = read(document);
    for (const [path, heading] of anchorsIn(text)) {
      linked++;
      const target = path === "" ? text : readFileSync(placeOf(document, path), "utf8");
      assert.ok(headingsOf(target).includes(heading), `${document} links to ${path}#${heading}`);
    }
  }
  assert.ok(linked >= 3, `${linked}`);
});

test("a heading that nobody wrote would be missed", () => {
  assert.equal(anchorsIn("[a](#what-is-it), [b](docs/c.md#d)"), [
    ["", "what-is-it"],
    ["docs/c.md", "d"],
  ]);
  assert.equal(headingsOf("# What is it?\n\ntext\n\n## `D`, in short\n"), ["what-is-it", "d-in-short"]);
});

const FEATURES = rowsOf(read("docs/features.md")).filter((cells) => cells[3]!.trim() !== "shown by");

test("every row of the feature tables is shown by tests that exist and have tests, or by goldens", () => {
  assert.ok(FEATURES.length > 40, `${FEATURES.length}`);
  for (const cells of FEATURES) {
    const [feature, , , shownBy] = cells;
    assert.is(cells.length, 4, feature);
    const files = quoted(shownBy!).filter((word) => word.startsWith("test/"));
    assert.ok(files.length > 0 || shownBy!.includes("goldens"), feature);
    for (const file of files) assert.match(read(file), /\btest\(|forEachBackend\(/, `${file}, for ${feature}`);
  }
});

test("every name that the feature tables give is one of the sources", () => {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => read(join("src", path)))
    .join("\n");
  for (const [feature, , here] of FEATURES) {
    for (const word of quoted(here!)) {
      for (const [name] of word.matchAll(/[A-Za-z]\w+/g)) {
        assert.ok(new RegExp(`\\b${name}\\b`).test(sources), `${name} of ${word}, for ${feature}`);
      }
    }
  }
});

testOrSkip(
  test,
  sharedPath("goldens") !== null,
  "no shared folder with goldens",
  "the goldens of the feature tables exist",
  () => {
    const index = JSON.parse(readFileSync(sharedPath("goldens", "index.json")!, "utf8").replaceAll("NaN", "null")) as {
      cases: { name: string }[];
    };
    for (const [feature, , , shownBy] of FEATURES) {
      for (const pattern of quoted(shownBy!).filter((word) => !word.includes("/"))) {
        const matches = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
        assert.ok(
          index.cases.some(({ name }) => matches.test(name)),
          `${pattern}, for ${feature}`,
        );
      }
    }
  },
);

test("every npm script that a document names exists", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  for (const document of DOCUMENTS) {
    for (const [, script] of read(document).matchAll(/npm run ([\w:-]+)/g)) {
      assert.ok(Object.hasOwn(scripts, script!), `${document}: npm run ${script}`);
    }
  }
});

/** Commands in the shell blocks of a text, with the options that they are given. */
function commandsIn(text: string): [command: string, options: string[]][] {
  const shell = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.split("\n"));
  const calls = shell.flatMap((line) => [...line.replace(/ #.*/, "").matchAll(/npx axograd ([a-z][a-z-]*)([^|;&]*)/g)]);
  return calls.map(([, command, rest]) => [command!, [...rest!.matchAll(/ (--[\w-]+)/g)].map(([, option]) => option!)]);
}

test("every command and option in the shell blocks of a document exists", async () => {
  const calls = DOCUMENTS.flatMap((document) => commandsIn(read(document)).map((call) => [document, ...call] as const));
  const names = [...new Set(calls.map(([, command]) => command))];
  const known = new Map<string, ReadonlySet<string>>();
  for (const name of names) {
    const { code, stdout, stderr } = await axograd([name, "--help"]);
    assert.is(code, 0, `${name}: ${stderr}`);
    assert.match(stdout, `Usage: axograd ${name}`);
    known.set(name, new Set(stdout.match(/--[\w-]+/g)));
  }
  for (const [document, command, options] of calls) {
    for (const option of options)
      assert.ok(known.get(command)!.has(option), `${document}: axograd ${command} ${option}`);
  }
  assert.ok(names.length >= 5 && calls.length >= 15, `${calls.length} calls of ${names}`);
});

test("a misspelt option in a shell block would be seen", () => {
  const text =
    "```sh\nnpx axograd train --conectome 'a b' --lr 1 # --not-this\nls; npx axograd report a | less --b\n```\n`npx axograd no --x`";
  assert.equal(commandsIn(text), [
    ["train", ["--conectome", "--lr"]],
    ["report", []],
  ]);
});

test("the feature tables refer to the differences by their numbers", () => {
  const differences = [...read("docs/differences.md").matchAll(/^(\d+)\. /gm)].map(([, n]) => Number(n));
  assert.equal(
    differences,
    differences.map((_, i) => i + 1),
  );
  const named = [...read("docs/features.md").matchAll(/\(differences? (\d+)(?: and (\d+))?\)/g)]
    .flatMap(([, ...numbers]) => numbers.filter((n) => n !== undefined))
    .map(Number);
  assert.ok(named.length > 0 && named.every((n) => differences.includes(n)), `${named}`);
});

test("the citation names the package's version and licence", () => {
  const { version, license } = JSON.parse(read("package.json")) as { version: string; license: string };
  const citation = parse(read("CITATION.cff")) as Record<string, unknown>;
  assert.equal([citation.version, citation.license], [version, license]);
  assert.equal(citation.authors, [{ name: "The axograd authors" }]);
});

test.run();
