// The programs in examples/ run to their end with tiny settings, and come to what they say.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { axograd, TINY } from "./cli/process.ts";
import { tempDir } from "./io/fixtures.ts";
import { repositoryRoot } from "./support/shared.ts";

const test = suite("examples");
const root = repositoryRoot();

const run = join(tempDir(), "run");

/** The arguments of each, and the end of its output. */
const EXAMPLES: Readonly<Record<string, readonly [args: string, output: RegExp]>> = {
  tutorial: ["10", /step 10 {2}loss [\d.]+ {2}accuracy [\d.]+\n[\d.]+ % of 500 new digits are recognised\n$/],
  ownDynamics: ["40", /the current was 0\.5, found 0\.5000\n$/],
  ownDataLoader: ["10", /step 10 {2}loss [\d.]+ {2}\d+ of 32 right\n$/],
  ownTask: ["20", /step 20 {2}loss [\d.]+\nmean absolute error without outliers [\d.]+\n$/],
  openRun: [
    `2 ${run}`,
    /step 5\n(image \d shows a \d, read as \d\n){4}step 6 .*\nstep 7 .*\naccuracy .* more steps .*\n$/,
  ],
  severalProcesses: ["10", /^one process\nstep 10 {2}loss [\d.]+\n[\d.]+ % of 500 new digits are recognised\n$/],
  gradientCheck: ["2", /largest relative error \d\.\de-\d+\n$/],
  benchmark: ["1", /batch 1: [\d.]+ ms per step.*\nbatch 8: .*\nbatch 32: .*\n$/],
};

test.before(async () => {
  const { code, stderr } = await axograd(["train", ...TINY, "--quiet", "--no-report", "--out", run]);
  assert.is(code, 0, stderr);
});

for (const [name, [args, output]] of Object.entries(EXAMPLES)) {
  test(name, () => {
    const file = join(root, "dist", "examples", `${name}.js`);
    const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args.split(" ")], {
      encoding: "utf8",
      timeout: 120_000,
    });
    assert.is(status, 0, stderr);
    assert.match(stdout, output);
  });
}

test("every example is run here and described in their README", () => {
  const folder = join(root, "examples");
  const names = readdirSync(folder).flatMap((file) => /^(.*)\.ts$/.exec(file)?.[1] ?? []);
  assert.equal(names.sort(), Object.keys(EXAMPLES).sort());
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  for (const name of names) assert.match(readme, `[${name}.ts](${name}.ts)`);
});

test.run();
