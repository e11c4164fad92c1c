// Files around the code that have to agree with package.json: where the version stands, and what the continuous integration runs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("repository");
const { version, engines } = JSON.parse(text("package.json"));

function text(name: string): string {
  return readFileSync(join(repositoryRoot(), name), "utf8");
}

/** Where else the version stands; `npm version` keeps all of them up to date (scripts/setVersion.mjs). */
const COPIES: Readonly<Record<string, RegExp>> = {
  "package-lock.json": /^{\s*"name": "axograd",\s*"version": "(.*)"/,
  "CITATION.cff": /^version: (.*)$/m,
  "CHANGELOG.md": /^## (\S+) \((?:unreleased|\d{4}-\d\d-\d\d)\)$/m,
};

function otherVersions(expected: string, read: (name: string) => string): string[] {
  const found = Object.entries(COPIES).map(([name, pattern]) => [name, pattern.exec(read(name))?.[1]] as const);
  return found.filter(([, copy]) => copy !== expected).map(([name, copy]) => `${name}: ${copy ?? "none"}`);
}

test("every copy of the version is that of package.json", () => {
  assert.equal(otherVersions(version, text), []);
  assert.equal(JSON.parse(text("package-lock.json")).packages[""].version, version);
  const changed = (name: string): string => (name === "CITATION.cff" ? "version: 0.0.1\n" : text(name));
  assert.equal(otherVersions(version, changed), ["CITATION.cff: 0.0.1"]);
  assert.is(otherVersions("9.9.9", () => "").length, Object.keys(COPIES).length);
});

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly shell?: string;
}

interface Workflow {
  readonly jobs: {
    readonly test: {
      readonly strategy: { readonly matrix: { readonly os: readonly string[]; readonly node: readonly number[] } };
      readonly steps: readonly Step[];
    };
  };
}

/** What is wrong with the workflow. */
function faults({ jobs: { test: job } }: Workflow, oldest: number): string[] {
  const { os, node } = job.strategy.matrix;
  const systems = ["ubuntu-latest", "macos-latest", "windows-latest"].filter((name) => !os.includes(name));
  const unpinned = job.steps.flatMap(({ uses }) => (uses === undefined || /^[\w/-]+@v\d+$/.test(uses) ? [] : [uses]));
  const isRun = job.steps.some(({ run, shell }) => run === ".ci/run" && shell === "bash");
  return [
    ...systems.map((name) => `no ${name}`),
    ...(Math.min(...node) === oldest ? [] : [`oldest Node ${Math.min(...node)}, not ${oldest}`]),
    ...unpinned.map((uses) => `not pinned to a major version: ${uses}`),
    ...(isRun ? [] : [".ci/run is not run in bash"]),
  ];
}

test("the workflow runs .ci/run on three systems, from the oldest Node that package.json allows", () => {
  const oldest = Number(/^>=(\d+)/.exec(engines.node)![1]);
  const yaml = text(".github/workflows/ci.yml");
  assert.equal(faults(parse(yaml), oldest), []);
  const wrong = yaml.replace("[20,", "[").replace("macos-latest, ", "").replace("node@v5", "node@main");
  assert.equal(faults(parse(wrong.replace("shell: bash", "shell: cmd")), oldest), [
    "no macos-latest",
    `oldest Node 22, not ${oldest}`,
    "not pinned to a major version: actions/setup-node@main",
    ".ci/run is not run in bash",
  ]);
});

test.run();
