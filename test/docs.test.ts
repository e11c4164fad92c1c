// What the documents point at is there: files, npm scripts, cases of the goldens, names of the interface.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { repositoryRoot, sharedPath } from "./support/shared.ts";
import { testOrSkip } from "./support/skip.ts";

const test = suite("documents");
const root = repositoryRoot();
const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md", "docs/parity.md"];
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
  const links = [...text.matchAll(/\]\(([\w./-]+)\)/g)].map((match) => match[1]!);
  return [...quoted(text).filter((word) => isPath.test(word)), ...links];
}

/** Rows of the tables of a document, as cells. */
function rowsOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line.startsWith("|") && !line.startsWith("|---"));
  return lines.map((line) => line.split("|").slice(1, -1));
}

test("every file that a document names exists", () => {
  let named = 0;
  for (const document of DOCUMENTS.filter((path) => existsSync(join(root, path)))) {
    for (const path of pathsIn(read(document))) {
      named++;
      const inside = document.includes("/") && !new RegExp(`^(${FOLDERS})/`).test(path);
      const folder = inside ? join(root, document, "..") : root;
      assert.ok(existsSync(join(folder, path)), `${document} names ${path}`);
    }
  }
  assert.ok(named > 30, `${named}`);
});

test("a missing file would be seen", () => {
  assert.equal(pathsIn("see `test/nowhere.test.ts`, [this](docs/none.md) and `testing`"), [
    "test/nowhere.test.ts",
    "docs/none.md",
  ]);
});

const FEATURES = rowsOf(read("docs/parity.md")).filter(
  (cells) => cells.length === 4 && cells[3]!.trim() !== "shown by",
);

test("every row of the feature table is shown by tests that exist and have tests, or by goldens", () => {
  assert.ok(FEATURES.length > 40, `${FEATURES.length}`);
  for (const [feature, , , shownBy] of FEATURES) {
    const files = quoted(shownBy!).filter((word) => word.startsWith("test/"));
    assert.ok(files.length > 0 || shownBy!.includes("goldens"), feature);
    for (const file of files) assert.match(read(file), /\btest\(|forEachBackend\(/, `${file}, for ${feature}`);
  }
});

test("every name that the feature table gives is one of the sources", () => {
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
  "the goldens of the feature table exist",
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
  for (const document of DOCUMENTS.filter((path) => existsSync(join(root, path)))) {
    for (const [, script] of read(document).matchAll(/npm run ([\w:-]+)/g)) {
      assert.ok(Object.hasOwn(scripts, script!), `${document}: npm run ${script}`);
    }
  }
});

test.run();
