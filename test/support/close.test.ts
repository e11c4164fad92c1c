// Negative controls: each comparator must be able to fail.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertBitEqual, assertClose, gamma, ulpBounds } from "./close.ts";

const test = suite("comparators");

const numbers = [1, -2, 3e-9, 0];

test("assertClose accepts errors up to the bound and not beyond it", () => {
  assertClose([1.5, 2], [1, 2], 0.5, "at the bound");
  assert.throws(() => assertClose([1.5000001, 2], [1, 2], 0.5, "beyond"), /beyond: 1 of 2 elements differ; worst at 0/);
});

test("assertClose fails on one wrong entry and names the worst one", () => {
  const wrong = [1, -2.5, 4, 0];
  assert.throws(() => assertClose(wrong, numbers, 0.25, "y"), /2 of 4 .* worst at 2: got 4, .* \(error\/bound 16\.0\)/);
});

test("assertClose applies each element's own bound", () => {
  assertClose([1.1, 2], [1, 2], [0.2, 0], "own bounds");
  assert.throws(() => assertClose([1.1, 2], [1, 2], [0, 0.2], "own bounds"), /worst at 0/);
});

test("assertClose never passes NaN or Infinity, not even when both sides agree", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.throws(() => assertClose([1, bad], [1, 2], 1e300, "actual"), /worst at 1/);
    assert.throws(() => assertClose([1, 2], [1, bad], 1e300, "expected"), /worst at 1/);
    assert.throws(() => assertClose([1, bad], [1, bad], 1e300, "both"), /worst at 1/);
  }
});

test("assertClose refuses bounds that are NaN, infinite or negative", () => {
  for (const bound of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    assert.throws(() => assertClose([1], [1], bound, "bound"), /worst at 0/);
  }
});

test("assertClose fails on a length mismatch of values or bounds", () => {
  assert.throws(() => assertClose([1, 2], [1], 1, "y"), /y: expected 1 elements, got 2/);
  assert.throws(() => assertClose([1], [1], [1, 1], "y"), /y, bounds: expected 1 elements, got 2/);
});

test("assertBitEqual accepts equal bits, NaN included", () => {
  assertBitEqual([1, Number.NaN, -0], [1, Number.NaN, -0], "bits");
});

test("assertBitEqual fails on one changed bit, on the sign of zero, and on NaN against a number", () => {
  assert.throws(() => assertBitEqual([1, 2 + 2 ** -51], [1, 2], "bits"), /1 of 2 elements differ; first at 1/);
  assert.throws(() => assertBitEqual([-0], [0], "zero"), /got -0, expected 0/);
  assert.throws(() => assertBitEqual([Number.NaN], [0], "NaN"), /got NaN, expected 0/);
});

test("assertBitEqual fails on a length mismatch", () => {
  assert.throws(() => assertBitEqual([], [0], "bits"), /bits: expected 1 elements, got 0/);
});

test("gamma is just above k·u and refuses so many terms that no bound is left", () => {
  assert.ok(gamma(100, "f32") > 100 * 2 ** -24);
  assert.ok(gamma(100, "f32") < 100.001 * 2 ** -24);
  assert.is(gamma(0, "f64"), 0);
  assert.throws(() => gamma(2 ** 24, "f32"), /fewer than/);
});

test("ulpBounds scale with the value down to the floor", () => {
  assert.equal([...ulpBounds([2, -4, 0], 1, 1e-9, "f32")], [2 ** -22, 2 ** -21, 1e-9]);
});

test.run();
