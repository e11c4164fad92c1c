// Statistics of features that a group shares: by hand.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { columnStatistics, pooledStatistics } from "../../src/models/readout/responses.ts";

const test = suite("read-out statistics");

test("features of a group have the mean and deviation of all its entries", () => {
  // Columns (0, 4), (2, 2), (1, 5): the group of the first and the third has 0, 4, 1, 5, with mean 2.5 and variance 4.25.
  const { mean, std } = pooledStatistics(columnStatistics(Float64Array.of(0, 2, 1, 4, 2, 5), 2, 3), [7, 0, 7]);
  assert.equal(mean, Float64Array.of(2.5, 2, 2.5));
  assert.equal(std, Float64Array.of(Math.sqrt(4.25), 0, Math.sqrt(4.25)));
});

test("a group of one column is the column", () => {
  const own = columnStatistics(Float64Array.of(0, 2, 1, 4, 2, 5), 2, 3);
  assert.equal(pooledStatistics(own, [0, 1, 2]), own);
});

test.run();
