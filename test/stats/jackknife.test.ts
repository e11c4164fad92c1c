// The jackknife against what it must be for means and ratios.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { jackknifeError } from "../../src/stats/jackknife.ts";

const test = suite("jackknife");
const VALUES = [3, -1, 4, 1, -5, 9, 2, 6];
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const without = (k: number): number[] => VALUES.filter((_, i) => i !== k);

test("of a mean it is the standard error of the mean", () => {
  const n = VALUES.length;
  const mean = sum(VALUES) / n;
  const expected = Math.sqrt(sum(VALUES.map((v) => (v - mean) ** 2)) / (n - 1) / n);
  const found = jackknifeError(VALUES.map((_, k) => sum(without(k)) / (n - 1)));
  assert.ok(Math.abs(found - expected) < 1e-14, `${found} and ${expected}`);
});

test("a statistic that no group changes has no error; fewer than two groups say nothing", () => {
  assert.is(jackknifeError([2, 2, 2]), 0);
  assert.ok(Number.isNaN(jackknifeError([2])));
  assert.ok(Number.isNaN(jackknifeError([])));
  assert.ok(Number.isNaN(jackknifeError([1, Number.NaN])));
});

test.run();
