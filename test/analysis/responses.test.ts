// Responses by condition and their selectivity: worked out by hand, and against the distribution of η² where there is no effect.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  checkConditions,
  conditionsByClass,
  conditionsByNumber,
  conditionsByTarget,
  conditionsByText,
} from "../../src/analysis/conditions.ts";
import { ResponseSums, responseOf, responsesByCondition, selectivity } from "../../src/analysis/responses.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";

const test = suite("responses");
const isA =
  (kind: typeof ArgumentError | typeof ShapeError) =>
  (error: unknown): boolean =>
    error instanceof kind;

/** Four samples, two times, three neurons. */
const ACTIVITY = {
  data: Float64Array.from([
    ...[1, 3, 10, /* */ 2, 4, 20],
    ...[5, 7, 30, /* */ 6, 8, 40],
    ...[0, 2, 50, /* */ 9, 9, 60],
    ...[Number.NaN, 0, 0, /* */ 0, 0, 0],
  ]),
  shape: [4, 2, 3] as const,
};
const GROUPS = [[0, 1], [2]];

test("means and deviations by group, condition and time, by hand", () => {
  const got = responsesByCondition(ACTIVITY, [0, 0, 1, 1], { groups: GROUPS, baseline: [1, 0], measure: "mean" });
  assert.equal([...got.samples], [2, 1]);
  assert.equal([got.failed, got.withoutCondition], [1, 0]);
  // Group 0: sample means (2, 3) and (6, 7) in condition 0, (1, 9) in condition 1. Group 1: 10, 20; 30, 40; 50, 60.
  assert.equal([...got.mean], [4, 5, 1, 9, 20, 30, 50, 60]);
  const [few, sd0, sd1] = [Number.NaN, Math.sqrt(8), Math.sqrt(200)];
  assert.equal([...got.sdSamples], [sd0, sd0, few, few, sd1, sd1, few, few]);
  assert.equal([...got.sdNeurons], [1, 1, 1, 0, 0, 0, 0, 0]);
  // Mean over times minus the baseline: 1.5, 5.5; 4. Group 1: 15, 35; 55.
  assert.equal([...got.response], [3.5, 4, 25, 55]);
  assert.equal([...got.sdResponse], [sd0, few, sd1, few]);
});

test("a sample that fails at any time, or has no condition, counts nowhere", () => {
  const got = responsesByCondition(ACTIVITY, [0, -1, 1, 0], { groups: GROUPS });
  assert.equal([[...got.samples], got.failed, got.withoutCondition], [[1, 1], 1, 1]);
  assert.equal([...got.mean], [2, 3, 1, 9, 10, 20, 50, 60]);
  const none = responsesByCondition(ACTIVITY, [0, 0, 0, 2], { groups: GROUPS });
  assert.equal([...none.samples], [3, 0, 0]);
  assert.ok([2, 3, 4, 5].every((cell) => Number.isNaN(none.mean[cell]) && Number.isNaN(none.sdNeurons[cell])));
});

test("batches of any size give the same bits, and a large mean costs no digits of the spread", () => {
  const [samples, times, neurons] = [40, 3, 5];
  const stream = new RandomStream(deriveKey(keyOfSeed(1), "activity"));
  const data = Float64Array.from({ length: samples * times * neurons }, () => stream.normal());
  const conditionOf = Int32Array.from({ length: samples }, (_, s) => s % 3);
  const options = {
    groups: [
      [0, 2],
      [1, 3, 4],
    ],
    conditions: 3,
    times,
  };
  const counted = (values: Float64Array, size: number) => {
    const sums = new ResponseSums(options);
    for (let first = 0; first < samples; first += size) {
      const count = Math.min(size, samples - first);
      const part = values.subarray(first * times * neurons, (first + count) * times * neurons);
      sums.add({ data: part, shape: [count, times, neurons] }, conditionOf.subarray(first, first + count));
    }
    return sums.result();
  };
  const all = counted(data, samples);
  for (const size of [1, 7]) assert.equal(counted(data, size), all);
  const far = counted(
    data.map((x) => x + 2 ** 24),
    samples,
  );
  // Numbers near 2^24 are rounded by 2^-29, and deviations are means of some of these.
  far.sdSamples.forEach((sd, cell) => {
    assert.ok(Math.abs(sd - all.sdSamples[cell]!) <= 2 ** -26, `${sd} in place of ${all.sdSamples[cell]}`);
  });
});

test("the response: the deviation that is largest in size, the mean one, the last one", () => {
  const cases = [
    [[1, 4, 2], 1, [3, 4 / 3, 1]],
    [[1, 0, 3], 2, [-2, -2 / 3, 1]],
    [[5, 5], 5, [0, 0, 0]],
  ] as const;
  for (const [activity, baseline, expected] of cases) {
    const got = (["peak", "mean", "last"] as const).map((measure) => responseOf(activity, baseline, measure));
    assert.equal(got, expected);
  }
});

test("selectivity by hand", () => {
  const root = Math.SQRT2;
  // m = 2, SSB = 4, SSW = 4, MSW = 2.
  const some = selectivity([2, 2], [1, 3], [root, root]);
  assert.ok(Math.abs(some.etaSquared - 0.5) < 1e-15 && Math.abs(some.epsilonSquared - 0.25) < 1e-15);
  assert.equal([some.preferred, some.index], [1, 0.5]);
  assert.equal(selectivity([3, 3, 3], [1, 5, 3], [0, 0, 0]), {
    ...{ etaSquared: 1, epsilonSquared: 1, preferred: 1 },
    index: (5 - 2) / (5 + 2),
  });
  // A negative response has no index; one sample per condition leaves no spread to correct with; others are not read.
  const signed = selectivity([1, 0, 1], [-1, 99, 1], [Number.NaN, Number.NaN, Number.NaN]);
  assert.equal(signed, { etaSquared: 1, epsilonSquared: Number.NaN, preferred: 2, index: Number.NaN });
  const none = { etaSquared: Number.NaN, epsilonSquared: Number.NaN, preferred: -1, index: Number.NaN };
  assert.equal(selectivity([5, 0], [1, 2], [1, 1]), none);
  // 0.1 in seven samples has no exact mean: a sum of squares that is not 0 to the bit would make it perfectly selective.
  assert.equal(selectivity([7, 3], [0.1, 0.1], [0, 0]), none);
  assert.throws(() => selectivity([1, 1], [1], [0, 0]), isA(ShapeError));
});

test("without an effect η² is (k − 1)/(n − 1) on average, as its distribution says, and ε² is 0", () => {
  const [k, each, runs] = [4, 5, 4000];
  const n = k * each;
  const stream = new RandomStream(deriveKey(keyOfSeed(2), "no effect"));
  let [eta, epsilon] = [0, 0];
  for (let run = 0; run < runs; run++) {
    const data = Float64Array.from({ length: n }, () => stream.normal());
    const conditionOf = Int32Array.from({ length: n }, (_, s) => s % k);
    const sums = responsesByCondition({ data, shape: [n, 1, 1] }, conditionOf, { groups: [[0]], measure: "last" });
    const { etaSquared, epsilonSquared } = selectivity(sums.samples, sums.response, sums.sdResponse);
    eta += etaSquared / runs;
    epsilon += epsilonSquared / runs;
  }
  // η² follows Beta(a, b) with a = (k − 1)/2, b = (n − k)/2; ε² = η² − (1 − η²)(k − 1)/(n − k) is linear in it. Four standard errors.
  const [a, b] = [(k - 1) / 2, (n - k) / 2];
  const sd = Math.sqrt((a * b) / ((a + b) ** 2 * (a + b + 1)));
  const error = (4 * sd) / Math.sqrt(runs);
  assert.ok(Math.abs(eta - (k - 1) / (n - 1)) < error, `η² ${eta}`);
  assert.ok(Math.abs(epsilon) < error * (1 + (k - 1) / (n - k)), `ε² ${epsilon}`);
});

test("what cannot be counted is refused", () => {
  const sums = new ResponseSums({ groups: GROUPS, conditions: 2, times: 2 });
  assert.throws(() => sums.add({ ...ACTIVITY, shape: [4, 3, 2] }, [0, 0, 0, 0]), isA(ShapeError));
  assert.throws(() => sums.add(ACTIVITY, [0, 0, 0]), isA(ShapeError));
  assert.throws(() => sums.add(ACTIVITY, [0, 2, 0, 0]), isA(ArgumentError));
  const options = { groups: GROUPS, conditions: 2, times: 2 };
  assert.throws(() => sums.add({ ...ACTIVITY, shape: [4, 2, 2] }, [0, 0, 0, 0]), /at least 3 neurons/);
  assert.throws(() => new ResponseSums({ ...options, measure: "pek" as never }), /peak, mean, last, got "pek"/);
  assert.throws(() => new ResponseSums({ ...options, groups: [] }), isA(ArgumentError));
  assert.throws(() => new ResponseSums({ ...options, groups: [[0], []] }), /none in group 1/);
  assert.throws(() => new ResponseSums({ ...options, times: 2 ** 26 }), /fewer groups/);
  assert.throws(() => new ResponseSums({ ...options, baseline: [1] }), isA(ShapeError));
});

// ---- conditions -----------------------------------------------------------------------------------------------------------

test("numbers: each is a condition, or bins of equally many samples, where equal numbers share one", () => {
  const each = conditionsByNumber([3, 1, Number.NaN, 3], "contrast");
  assert.equal(
    [each.names, [...each.values!], [...each.ofSample]],
    [
      ["1", "3"],
      [1, 3],
      [1, 0, -1, 1],
    ],
  );
  const binned = conditionsByNumber([0.6, 0.1, 0.5, 0.2, 0.3, 0.4], "contrast", 3);
  assert.equal(binned.names, ["0.1 to 0.2", "0.3 to 0.4", "0.5 to 0.6"]);
  assert.equal([...binned.ofSample], [2, 0, 2, 0, 1, 1]);
  assert.equal([...binned.values!], [(0.1 + 0.2) / 2, (0.3 + 0.4) / 2, (0.5 + 0.6) / 2]);
  const tied = conditionsByNumber([1, 2, 2, 2, 3, 4], "contrast", 2);
  assert.equal([...tied.ofSample], [0, 0, 0, 0, 1, 1]);
  assert.throws(() => conditionsByNumber([1, 1, 1, 2], "contrast", 3), /equal numbers share a bin/);
  assert.throws(() => conditionsByNumber([Number.NaN], "contrast"), isA(ArgumentError));
  const many = Float64Array.from({ length: 201 }, (_, i) => i);
  assert.throws(() => conditionsByNumber(many, "contrast"), /1 to 200 conditions/);
  assert.is(conditionsByNumber(many, "contrast", 8).names.length, 8);
});

test("an infinite number is no condition", () => {
  for (const bins of [null, 2])
    assert.throws(() => conditionsByNumber([0, 1, -Infinity], "x", bins), /finite numbers.*-Infinity of sample 2/);
});

test("texts: in the order of their samples, without the empty ones", () => {
  const got = conditionsByText(["left", "", "right", "left"], "side");
  assert.equal([got.names, got.values, [...got.ofSample]], [["left", "right"], null, [0, -1, 1, 0]]);
  assert.throws(() => conditionsByText(["", ""], "side"), isA(ArgumentError));
  assert.throws(() => checkConditions(got, 5), isA(ShapeError));
});

const INPUTS = { shape: [4, 2, 1], data: new Float32Array(8) };

test("classes: one per sample, also over time if those that count agree", async () => {
  const once = arraySamples({ inputs: INPUTS, targets: { shape: [4], data: Int32Array.of(2, 0, 2, 0) } }).train;
  const got = (await conditionsByClass(once))!;
  assert.equal(
    [got.names, [...got.ofSample]],
    [
      ["class 0", "class 2"],
      [1, 0, 1, 0],
    ],
  );
  const targets = { shape: [4, 2], data: Int32Array.of(0, 1, 1, 1, 0, 0, 1, 1) };
  const inTime = { inputs: INPUTS, targets, classNames: ["no", "yes"] };
  assert.is(await conditionsByClass(arraySamples(inTime).train), null);
  const mask = { shape: [4, 2], data: Uint8Array.of(0, 1, 1, 1, 0, 0, 0, 1) };
  const masked = (await conditionsByClass(arraySamples({ ...inTime, mask }).train))!;
  assert.equal([masked.names, [...masked.ofSample]], [["yes"], [0, 0, -1, 0]]);
});

test("a number of the targets: its mean over the times that count", async () => {
  const data = Float32Array.of(1, 9, 3, 9, 5, 9, 5, 9, 2, 9, 4, 9, 7, 9, 8, 9);
  const targets = { shape: [4, 2, 2], data };
  const mask = { shape: [4, 2], data: Uint8Array.of(1, 1, 1, 1, 1, 0, 0, 1) };
  const { train } = arraySamples({ inputs: INPUTS, targets, mask });
  const got = await conditionsByTarget(train, 0, 2);
  // Means 2, 5, 2, 8.
  assert.equal(
    [got.names, [...got.ofSample]],
    [
      ["2", "5 to 8"],
      [0, 1, 0, 1],
    ],
  );
  assert.is(await conditionsByClass(train), null);
  for (const target of [2, -1, 0.5]) {
    const error = await conditionsByTarget(train, target, 2).catch((e: unknown) => e);
    assert.ok(error instanceof ArgumentError, `target ${target}`);
  }
});

test.run();
