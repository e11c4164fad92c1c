// Negative controls of the runner: whatever is wrong with a test file, the runner has to fail.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("runner");

const RUNNER = fileURLToPath(new URL("run.js", import.meta.url));
const PASSING = 'test("passes", () => {}); test.run();';
const FAILING = 'test("fails", () => { throw new Error("two is not three"); }); test("passes", () => {}); test.run();';

/** What the runner says of test files with these bodies; they see uvu's `test`, and the project's `testOrSkip`, `note` and `suite`. */
function runFixtures(
  bodies: Readonly<Record<string, string>>,
  ...args: readonly string[]
): { status: number | null; output: string; lastLine: string } {
  const folder = mkdtempSync(join(tmpdir(), "axograd-runner-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const support = (name: string): string => new URL(`support/${name}.js`, import.meta.url).href;
    const imports = `
      import { test } from "${import.meta.resolve("uvu")}";
      import { note } from "${support("note")}";
      import { testOrSkip } from "${support("skip")}";
      import { suite } from "${support("suite")}";
    `;
    for (const [name, body] of Object.entries(bodies)) writeFileSync(join(folder, `${name}.test.js`), imports + body);
    const { status, stdout } = spawnSync(process.execPath, [RUNNER, "--dir", folder, ...args], { encoding: "utf8" });
    return { status, output: stdout, lastLine: stdout.trimEnd().split("\n").at(-1)! };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("files that pass give exit code 0 and their totals in the last line", () => {
  const { status, output, lastLine } = runFixtures({ a: PASSING, b: PASSING });
  assert.is(lastLine, "2 passed, 0 failed");
  assert.is(status, 0);
  assert.match(output, /^ok {4}a\.test\.js {2}1 passed, 0 failed/m);
});

test("a failing test gives exit code 1, and the output of its file is shown", () => {
  const { status, output, lastLine } = runFixtures({ a: FAILING, b: PASSING });
  assert.is(lastLine, "2 passed, 1 failed");
  assert.is(status, 1);
  assert.match(output, /^FAIL {2}a\.test\.js/m);
  assert.match(output, "two is not three");
});

test("the adapter is named in the closing lines, with the number of tests of the files that use it", () => {
  const body = `note("gpu adapter: SwiftShader (software)"); test("too", () => {}); ${PASSING}`;
  const { output } = runFixtures({ a: body, b: body, c: PASSING });
  assert.match(output, /^# gpu adapter: SwiftShader \(software\); files that use it: 2, with 4 tests$/m);
});

test("a file without tests is a failure", () => {
  const { status, output, lastLine } = runFixtures({ a: "test.run();", b: PASSING });
  assert.is(lastLine, "1 passed, 1 failed");
  assert.is(status, 1);
  assert.match(output, "has no tests");
});

test("a file that forgets to run its tests is a failure", () => {
  const { status, output } = runFixtures({ a: 'test("never runs", () => {});', b: PASSING });
  assert.is(status, 1);
  assert.match(output, "printed no totals");
});

test("a file that crashes is a failure, before its totals or after", () => {
  for (const body of ['throw new Error("on load");', 'test("dies", () => process.abort()); test.run();']) {
    const { status, lastLine } = runFixtures({ a: body, b: PASSING });
    assert.is(lastLine, "1 passed, 1 failed");
    assert.is(status, 1);
  }
  const late = runFixtures({ a: `${PASSING} process.on("exit", () => process.exit(7));` });
  assert.is(late.status, 1);
  assert.match(late.output, "exit code 7 although its tests passed");
});

test("a file whose test never ends is stopped and is a failure", () => {
  const hangs = 'test("hangs", () => new Promise((resolve) => setTimeout(resolve, 1e6))); test.run();';
  const { status, output } = runFixtures({ a: hangs, b: PASSING }, "--timeout", "2");
  assert.is(status, 1);
  assert.match(output, "timed out after 2 s");
});

test("what passed before a file was stopped is counted, and what failed is named", () => {
  const body = `const own = suite("own");
    for (const name of ["one", "two", "three"]) own(name, () => {});
    for (const name of ["four", "five"]) own(name, () => { throw new Error(name); });
    own("hangs", () => new Promise((resolve) => setTimeout(resolve, 1e6)));
    own.run();`;
  const { output, lastLine } = runFixtures({ a: body }, "--timeout", "2");
  assert.is(lastLine, "3 passed, 2 failed");
  assert.match(output, /^# failed: own: four\n# failed: own: five$/m);
});

test("a suite that names failing tests runs hooks, only and skip as uvu's does", () => {
  const body = `const own = suite("own");
    let ran = "";
    own.before(() => { ran += "before "; });
    own.after.each(() => { ran += "after "; });
    own.skip("left out", () => { ran += "left out "; });
    own.only("only", () => { ran += "only "; });
    own("not asked for", () => { ran += "not asked for "; });
    own.after(() => note(ran));
    own.run();`;
  const { output, lastLine } = runFixtures({ a: body });
  assert.is(lastLine, "1 passed, 0 failed, 2 skipped");
  assert.match(output, /^# before only after $/m);
});

test("a test whose promise nothing can settle is a failure", () => {
  const { status } = runFixtures({ a: 'test("stuck", () => new Promise(() => {})); test.run();' });
  assert.is(status, 1);
});

test("a run in which no test ran is a failure", () => {
  assert.is(runFixtures({}).status, 1);
  const filtered = runFixtures({ a: PASSING }, "no such file");
  assert.is(filtered.status, 1);
  assert.match(filtered.output, "no tests ran");
});

test("filters choose files by a part of their path", () => {
  assert.is(runFixtures({ apple: PASSING, banana: FAILING }, "app").lastLine, "1 passed, 0 failed");
});

test("a skipped test is counted and its reason is shown", () => {
  const skipping = `testOrSkip(test, false, "no GPU here", "runs on a GPU", () => {}); ${PASSING}`;
  const { status, output, lastLine } = runFixtures({ a: skipping });
  assert.is(lastLine, "1 passed, 0 failed, 1 skipped");
  assert.is(status, 0);
  assert.match(output, /^# skipped: runs on a GPU \(no GPU here\)$/m);
});

test("a test whose condition holds is run, not skipped", () => {
  const body = 'testOrSkip(test, true, "", "fails", () => { throw new Error("ran"); }); test.run();';
  assert.is(runFixtures({ a: body }).lastLine, "0 passed, 1 failed");
});

test("notes are collected once each before the last line", () => {
  const noting = 'test("notes", () => note("skipped: all of it")); test.run();';
  const { output } = runFixtures({ a: noting, b: noting });
  assert.is(output.match(/^# skipped: all of it$/gm)?.length, 1);
});

test.run();
