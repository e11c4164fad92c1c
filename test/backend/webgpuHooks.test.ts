// The hooks of kernels: generated WGSL takes the place of all of them, and of nothing else. Their repeated lines: as many as a constant says.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fillHooks } from "../../src/backend/webgpu/shader.ts";
import { kernelSources } from "../../src/backend/webgpu/wgsl.gen.ts";
import { BackendError } from "../../src/core/errors.ts";

const test = suite("hooks of kernels");

/** The names of the declarations of spmmGrad.wgsl, whose three hooks hold what `hooks` says. */
const namesOf = (hooks: Readonly<Record<string, string>>) =>
  fillHooks("spmmGrad", hooks, { BLOCK_PANELS: 1 }).map(({ name }) => name);

const FILLED = { enables: "", declarations: "const A = 1u;", epilogue: "const B = A;\nconst C = B;" };

function messageOf(
  hooks: Readonly<Record<string, string>>,
  fill: (hooks: Readonly<Record<string, string>>) => unknown = namesOf,
): string {
  try {
    fill(hooks);
  } catch (error) {
    assert.instance(error, BackendError);
    assert.is((error as BackendError).code, "kernel");
    return (error as BackendError).message;
  }
  return "none";
}

test("what fills a hook stands in its place, which may stay empty", () => {
  const names = namesOf(FILLED);
  const [a, b, c, main] = ["A", "B", "C", "main"].map((name) => names.indexOf(name));
  assert.ok(a! >= 0 && a! < b! && b! + 1 === c && c! < main!, `${names}`);
});

test("a hook that nothing fills is an error, and so is a name that is no hook", () => {
  const { epilogue, ...others } = FILLED;
  assert.is(messageOf(others), "spmmGrad: expected WGSL, got nothing (epilogue)");
  const misspelt = "spmmGrad: expected a hook (enables, declarations, epilogue), got epilog (hooks)";
  assert.is(messageOf({ ...others, epilog: epilogue }), misspelt);
  assert.is(messageOf({ ...FILLED, body: "" }), misspelt.replace("epilog ", "body "));
});

test("repeated lines are written out as often as a constant says", () => {
  for (const count of [1, 4]) {
    const main = fillHooks("spmmGrad", FILLED, { BLOCK_PANELS: count }).find(({ name }) => name === "main")!;
    const declared = [...main.text.matchAll(/var ct(\d+) = /g)].map(([, panel]) => Number(panel));
    assert.equal(declared, [0, 1, 2, 3].slice(0, count));
    assert.is(main.names.has(`ct${count}`), false);
    assert.not.match(main.text, /\$|#/);
  }
  const missing = messageOf(FILLED, (hooks) => fillHooks("spmmGrad", hooks, { BLOCK_PANELS: true }));
  assert.is(missing, "spmmGrad: expected a number, got true (BLOCK_PANELS)");
});

test("every kernel has the hook of the declarations", () => {
  for (const [kernel, source] of Object.entries(kernelSources)) assert.match(source, "// #hook declarations", kernel);
});

test.run();
