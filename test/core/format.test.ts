// Numbers as people read them.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatCount, formatMebibytes, formatNumber, formatPercent, formatTick } from "../../src/core/format.ts";

const test = suite("format");

test("ticks of an axis differ where their numbers do", () => {
  assert.equal([0, 1000, -0.05, 0.001, 9_999_999].map(formatTick), ["0", "1,000", "−0.05", "0.001", "10,000,000"]);
  assert.equal([5e6, 1e7, 1.5e7, 2e7].map(formatTick), ["5,000,000", "1e7", "1.5e7", "2e7"]);
  assert.equal([1e-5, 1.5e-5, -2e-5].map(formatTick), ["1e−5", "1.5e−5", "−2e−5"]);
  assert.is(formatTick(Number.NaN), "–");
});

test("counts, numbers, shares and sizes", () => {
  assert.equal([4623254, 12n].map(formatCount), ["4,623,254", "12"]);
  assert.equal([0.123456, 1200, Number.POSITIVE_INFINITY].map(formatNumber), ["0.1235", "1200", "–"]);
  assert.equal([0.974, Number.NaN].map(formatPercent), ["97.4 %", "–"]);
  assert.is(formatMebibytes(2 ** 30), "1,024 MiB");
});

test.run();
