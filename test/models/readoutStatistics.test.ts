// Deviations of features that a group shares: by hand.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readoutShape } from "../../src/models/readout/layers.ts";
import { columnStatistics, pooledDeviations } from "../../src/models/readout/responses.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("read-out statistics");

test("features of a group share the root mean square of their deviations", () => {
  // Columns (0, 4), (2, 2), (1, 9).
  const { std } = columnStatistics(Float64Array.of(0, 2, 1, 4, 2, 9), 2, 3);
  assert.equal(std, Float64Array.of(2, 0, 4));
  assert.equal(pooledDeviations(std, [7, 0, 7]), Float64Array.of(Math.sqrt(10), 0, Math.sqrt(10)));
});

test("a group of one column is the column", () => {
  assert.equal(pooledDeviations(Float64Array.of(2, 0, 4), [0, 1, 2]), Float64Array.of(2, 0, 4));
});

test("groups without standardised features are refused", async () => {
  const options = { layers: [], scaleBy: [0, 1] };
  await fails(() => readoutShape(options, 2, 2), "argument", /standardise: true with it/);
});

test.run();
