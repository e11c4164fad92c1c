// Agreement: correlations by hand, and the worked example of Shrout and Fleiss.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  correlation,
  correlationMatrix,
  intraclassCorrelation,
  r2Of,
  rankCorrelation,
} from "../../src/stats/agreement.ts";
import { circularSpread } from "../../src/stats/circular.ts";
import { jackknifeError } from "../../src/stats/jackknife.ts";
import { quantileOf, spread } from "../../src/stats/spread.ts";
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

test("equal numbers do not vary, whatever their mean is rounded to", () => {
  // 0.1 + 0.1 + 0.1 is 0.30000000000000004.
  const constant = [0.1, 0.1, 0.1];
  assert.equal(spread(constant), { mean: 0.1, sd: 0 });
  for (const other of [constant, [1, 2, 4]]) assert.ok(Number.isNaN(correlation(constant, other)));
  assert.ok(Number.isNaN(correlationMatrix([constant, [1, 2, 4]])[0]![0]!));
  assert.ok(Number.isNaN(r2Of(constant, [1, 2, 3])));
  assert.equal(intraclassCorrelation([constant, constant]), { oneWay: null, agreement: null, consistency: null });
  assert.is(jackknifeError(constant), 0);
});

test("ranks, R² and quantiles by hand", async () => {
  // Ranks 0.5 0.5 2 (−0 equals 0) and 0 1 2: r = 1.5/√(1.5·2).
  close(rankCorrelation([0, -0, 5], [1, 2, 30]), Math.sqrt(3) / 2);
  assert.is(rankCorrelation([1, 10, 100], [-1, -2, -300]), -1);
  assert.ok(Number.isNaN(rankCorrelation([1, Number.NaN, 2], [1, 2, 3])));
  close(r2Of([1, 2, 3], [1, 2, 4]), 0.5);
  await fails(() => r2Of([1], [1, 2]), "shape", /1 numbers/);
  assert.equal(
    [0, 0.25, 0.5, 1].map((q) => quantileOf([1, 2, 4], q)),
    [1, 1.5, 2, 4],
  );
  assert.ok(Number.isNaN(quantileOf([], 0.5)));
});

test("the mean of angles goes round; opposite ones have none", () => {
  const { mean, sd } = circularSpread([350, 30])!;
  close(mean, 10);
  close(sd, (Math.sqrt(-2 * Math.log(Math.cos(Math.PI / 9))) * 180) / Math.PI);
  assert.equal(circularSpread([0, 180]), { mean: Number.NaN, sd: Number.POSITIVE_INFINITY });
  assert.equal(circularSpread([-90]), { mean: 270, sd: null });
  assert.is(circularSpread([]), null);
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
