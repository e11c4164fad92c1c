// Agreement: correlations by hand, and the worked example of Shrout and Fleiss.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { correlation, correlationMatrix, intraclassCorrelation } from "../../src/stats/agreement.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("agreement");

function close(actual: number | null, expected: number, tolerance = 1e-12): void {
  assert.ok(actual !== null && Math.abs(actual - expected) <= tolerance, `expected ${expected}, got ${actual}`);
}

/** Four judges' ratings of six targets: Shrout and Fleiss 1979, table 2. */
const JUDGES = [
  [9, 6, 8, 7, 10, 6],
  [2, 1, 4, 1, 5, 2],
  [5, 3, 6, 2, 6, 4],
  [8, 2, 8, 6, 9, 7],
];

test("correlations by hand", async () => {
  // x − x̄ = −1, 0, 1; y − ȳ = −2, 1, 1 (times 1): r = 3/√(2·6).
  close(correlation([1, 2, 3], [0, 3, 3]), 3 / Math.sqrt(12));
  assert.is(correlation([1, 2, 3], [10, 20, 30]), 1);
  assert.is(correlation([1, 2, 3], [-1, -2, -3]), -1);
  assert.ok(Number.isNaN(correlation([1, 2, 3], [5, 5, 5])));
  const matrix = correlationMatrix([
    [1, 2, 3],
    [0, 3, 3],
  ]);
  assert.equal([matrix[0]![0], matrix[1]![1], matrix[0]![1]], [1, 1, matrix[1]![0]]);
  await fails(() => correlation([1], [1, 2]), "shape", /expected 1 numbers/);
});

test("the intraclass correlations of Shrout and Fleiss' example", () => {
  // Their table 3 has B = 11.24, W = 6.26, J = 32.49, E = 1.02; exactly, from sums of squares: B = 56.2083/5, J = 97.4583/3,
  // E = 15.2917/15, W = (97.4583 + 15.2917)/18.
  const [b, w, j, e] = [56.208333333333336 / 5, 112.75 / 18, 97.45833333333333 / 3, 15.291666666666666 / 15];
  assert.equal(
    [b, w, j, e].map((x) => Number(x.toFixed(2))),
    [11.24, 6.26, 32.49, 1.02],
  );
  const { oneWay, agreement, consistency } = intraclassCorrelation(JUDGES);
  close(oneWay, (b - w) / (b + 3 * w));
  close(agreement, (b - e) / (b + 3 * e + (4 * (j - e)) / 6));
  close(consistency, (b - e) / (b + 3 * e));
  // Their table 4.
  assert.equal(
    [oneWay, agreement, consistency].map((icc) => Number(icc!.toFixed(2))),
    [0.17, 0.29, 0.71],
  );
});

test("a constant difference is disagreement, but not inconsistency; without variance there is nothing to share", async () => {
  const shifted = intraclassCorrelation([
    [1, 2, 3],
    [2, 3, 4],
  ]);
  close(shifted.consistency, 1);
  // B = 2, J = 1.5, E = 0: 2/(2 + 2·1.5/3).
  close(shifted.agreement, 2 / 3);
  const same = intraclassCorrelation([
    [4, 4],
    [4, 4],
  ]);
  assert.equal(same, { oneWay: null, agreement: null, consistency: null });
  await fails(() => intraclassCorrelation([[1, 2]]), "argument", /lists/);
  await fails(() => intraclassCorrelation([[1, 2], [1]]), "shape", /lists\[1\]/);
});

test.run();
