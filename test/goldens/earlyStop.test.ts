// The reference's stop for a finished sample is recognised from its own trace; real differences still fail.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { NpyArray } from "../../src/io/npy.ts";
import { type Comparison, compareOutputs } from "./compare.ts";
import type { GoldenCase } from "./format.ts";

const test = suite("goldens: the reference's early stop");

const CASE = {
  name: "early stop",
  sensitivity: { f64: new Map(), f32: new Map() },
  stepCountsHold: { f64: true, f32: true },
} as unknown as GoldenCase;

function array(data: NpyArray["data"]): NpyArray {
  return { type: "f8", shape: [data.length], fortranOrder: false, data };
}

/** Two samples, one value each; the second finished in iteration 2, and iteration 3 stops for it. */
const REFERENCES: ReadonlyMap<string, NpyArray> = new Map([
  ["ys", array(Float64Array.of(Number.NaN, 2))],
  ["n_steps", array(Int32Array.of(3, 2))],
  ["status", array(Int32Array.of(0, 2))],
  ["trace_running", array(Uint8Array.of(1, 1, 1, 1, 1, 0))],
]);

function compare(
  outputs: Readonly<Record<string, number[]>>,
  changes: Readonly<Record<string, NpyArray>> = {},
): Comparison {
  const ours = { ys: [5, 2], n_steps: [4, 2], status: [0, 0], ...outputs };
  return compareOutputs(
    CASE,
    "f64",
    new Map(Object.entries(ours)),
    new Map([...REFERENCES, ...Object.entries(changes)]),
  );
}

function failuresOf(comparison: Comparison): string[] {
  return comparison.failures.map(({ name }) => name);
}

test("what it computed is compared, its counts are lower bounds, and the line says so", () => {
  const comparison = compare({});
  assert.equal(failuresOf(comparison), []);
  assert.equal(comparison.compared.toSorted(), ["n_steps", "status", "ys"]);
  assert.ok(comparison.notes.includes("the reference stops early there: a finished sample counts as below dt_min"));
});

test("a wrong value, fewer steps or a failed sample still fail", () => {
  assert.equal(failuresOf(compare({ ys: [5, 2.1] })), ["ys"]);
  assert.equal(failuresOf(compare({ ys: [Number.NaN, 2] })), ["ys"]);
  assert.equal(failuresOf(compare({ n_steps: [2, 2] })), ["n_steps"]);
  assert.equal(failuresOf(compare({ n_steps: [Number.NaN, 2] })), ["n_steps"]);
  assert.equal(failuresOf(compare({ n_steps: [4] })), ["n_steps"]);
  assert.equal(failuresOf(compare({ status: [0, 2] })), ["status"]);
});

test("a sample that fails while it runs is expected to fail", () => {
  const running = { trace_running: array(Uint8Array.of(1, 1, 1, 1, 1, 1)) };
  assert.equal(failuresOf(compare({}, running)).toSorted(), ["n_steps", "status"]);
  assert.equal(failuresOf(compare({ n_steps: [3, 2], status: [0, 2] }, running)), []);
});

test("so is one that fails for another reason beside the finished one", () => {
  const both = { status: array(Int32Array.of(4, 2)) };
  assert.equal(failuresOf(compare({ n_steps: [3, 2] }, both)), ["status"]);
});

/** Three samples; the first finishes in iteration 3, the last one permitted, the second finished in iteration 2, the third is on its way. */
const LAST_STEP: Readonly<Record<string, NpyArray>> = {
  ys: array(Float64Array.of(1, 2, Number.NaN)),
  ts: array(Float64Array.of(1, 1, 1)),
  n_steps: array(Int32Array.of(3, 2, 3)),
  status: array(Int32Array.of(3, 0, 3)),
  trace_running: array(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0, 1)),
  trace_accept: array(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1)),
  trace_t: array(Float64Array.of(0, 0, 0, 0.25, 0.5, 0.25, 0.5, 1, 0.5)),
  trace_dt: array(Float64Array.of(0.25, 0.5, 0.25, 0.25, 0.5, 0.25, 0.5, 0, 0.25)),
};

test("a sample that comes to its end with the last permitted step succeeds; one that does not fails", () => {
  const ours = { ys: [1, 2, 0], n_steps: [3, 2, 3] };
  const comparison = compare({ ...ours, status: [0, 0, 3] }, LAST_STEP);
  assert.equal(failuresOf(comparison), []);
  assert.ok(comparison.notes.join().includes("comes to its end with the last permitted step"));
  assert.equal(failuresOf(compare({ ...ours, status: [3, 0, 3] }, LAST_STEP)), ["status"]);
  assert.equal(failuresOf(compare({ ...ours, status: [0, 0, 0] }, LAST_STEP)), ["status"]);
  assert.equal(failuresOf(compare({ ...ours, status: [0, 0, 3], n_steps: [4, 2, 3] }, LAST_STEP)), ["n_steps"]);
  const rejected = { trace_accept: array(Uint8Array.of(1, 1, 1, 1, 1, 1, 0, 1, 1)) };
  assert.equal(failuresOf(compare({ ...ours, status: [0, 0, 3] }, { ...LAST_STEP, ...rejected })), ["status"]);
});

/** The second sample's trial step of iteration 3 is not finite. */
const GIVES_UP: Readonly<Record<string, NpyArray>> = {
  status: array(Int32Array.of(0, 4)),
  trace_running: array(Uint8Array.of(1, 1, 1, 1, 1, 1)),
  trace_error_ratio: array(Float64Array.of(0.5, 0.5, 0.5, 0.5, 0.5, Number.NaN)),
};

test("where the reference gives up at a trial step that is not finite, its counts are lower bounds and its status holds", () => {
  assert.equal(failuresOf(compare({ n_steps: [4, 40], status: [0, 4] }, GIVES_UP)), []);
  assert.equal(failuresOf(compare({ n_steps: [4, 1], status: [0, 4] }, GIVES_UP)), ["n_steps"]);
  assert.equal(failuresOf(compare({ n_steps: [4, 40], status: [0, 0] }, GIVES_UP)), ["status"]);
  const finite = { trace_error_ratio: array(Float64Array.of(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)) };
  assert.equal(failuresOf(compare({ n_steps: [4, 40], status: [0, 4] }, { ...GIVES_UP, ...finite })), ["n_steps"]);
});

test("counts that rounding changes in a precision are not compared in it", () => {
  const changed = (stepCountsHold: GoldenCase["stepCountsHold"]) =>
    compareOutputs(
      { ...CASE, stepCountsHold },
      "f64",
      new Map([["n_steps", [9]]]),
      new Map([["n_steps", array(Int32Array.of(3))]]),
    );
  assert.equal(failuresOf(changed({ f64: true, f32: false })), ["n_steps"]);
  const skipped = changed({ f64: false, f32: true });
  assert.equal(failuresOf(skipped), []);
  assert.ok(skipped.notes.includes("step counts skipped: rounding in f64 changes them"));
});

test.run();
