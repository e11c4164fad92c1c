// Ensembles: statistics of members, averaged outputs, and numbers of analyses, by hand.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { OutputAverage, outputScale } from "../../src/analysis/averageOutputs.ts";
import {
  type ComparedNumbers,
  comparedNumbers,
  spreadOfNumber,
  standardisedNumbers,
} from "../../src/analysis/comparedNumbers.ts";
import {
  distributionDistance,
  ensembleStatistics,
  type MemberMetric,
  memberSpread,
  parameterSpread,
} from "../../src/analysis/ensemble.ts";
import { numbersOf } from "../../src/analysis/numbersOf.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("ensemble");

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  assert.is(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++)
    assert.ok(Math.abs(actual[i]! - expected[i]!) <= tolerance, `expected ${expected[i]}, got ${actual[i]} at ${i}`);
}

const ACCURACY: MemberMetric = { name: "test accuracy", better: "higher", values: [0.9, 0.8, 0.5, 0.4] };
/** Members 0 and 1 respond alike, and so do 2 and 3, the other way round. */
const RESPONSES = {
  name: "responses",
  values: [
    [1, 2, 3, 4],
    [1, 2, 3, 5],
    [4, 3, 2, 1],
    [5, 3, 2, 1],
  ],
};

test("metrics have mean, spread and the best member; clusters have the performance of their members", () => {
  const { metrics, agreement, solutions } = ensembleStatistics({
    metrics: [ACCURACY, { name: "test loss", better: "lower", values: [0.3, Number.NaN, 0.2, 0.7] }],
    values: [RESPONSES],
  });
  const [accuracy, loss] = metrics;
  close([accuracy!.spread!.mean, accuracy!.spread!.sd!, accuracy!.spread!.median], [0.65, Math.sqrt(0.17 / 3), 0.65]);
  assert.equal([accuracy!.best, accuracy!.spread!.min, accuracy!.spread!.max], [0, 0.4, 0.9]);
  assert.equal([loss!.best, loss!.spread!.n], [2, 3]);
  // r of 0 and 1: Σ (x − 2.5)(y − 2.75) = 6.5, Σ (x − 2.5)² = 5, Σ (y − 2.75)² = 8.75.
  close([agreement[0]!.correlations[0]![1]!], [6.5 / Math.sqrt(5 * 8.75)]);
  assert.is(agreement[0]!.correlations[0]![2], -1);
  assert.equal(solutions!.labels, [0, 0, 1, 1]);
  assert.equal([solutions!.by, solutions!.count], ["responses", 2]);
  assert.equal(
    solutions!.clusters.map(({ members }) => members),
    [
      [0, 1],
      [2, 3],
    ],
  );
  close(
    solutions!.clusters.map(({ metrics: own }) => own[0]!.mean),
    [0.85, 0.45],
  );
});

test("a member whose values are constant has no correlation, and there are no clusters", () => {
  const values = [
    {
      name: "tau",
      values: [
        [1, 1],
        [1, 2],
        [2, 1],
      ],
    },
  ];
  const { agreement, solutions } = ensembleStatistics({ metrics: [], values });
  assert.equal([agreement[0]!.correlations[0]![1], agreement[0]!.meanCorrelation, solutions], [null, null, null]);
  assert.is(agreement[0]!.correlations[1]![2], -1);
});

test("too few members, values that are none, and unknown names are refused", async () => {
  await fails(
    () => ensembleStatistics({ metrics: [{ ...ACCURACY, values: [1] }], values: [] }),
    "argument",
    /at least two/,
  );
  await fails(
    () => ensembleStatistics({ metrics: [{ ...ACCURACY, values: [1, 2] }], values: [RESPONSES] }),
    "shape",
    /2 members/,
  );
  await fails(
    () => ensembleStatistics({ metrics: [ACCURACY], values: [RESPONSES], clusterBy: "tau" }),
    "argument",
    /responses.*tau/,
  );
  const values = [
    {
      name: "tau",
      values: [
        [1, Number.NaN],
        [1, 2],
      ],
    },
  ];
  await fails(() => ensembleStatistics({ metrics: [], values }), "argument", /NaN at 1 of member 0/);
});

test("spread, variation and distance of distributions by hand", () => {
  assert.equal(memberSpread([3, Number.NaN, 1]), { n: 2, min: 1, median: 2, mean: 2, max: 3, sd: Math.SQRT2 });
  assert.is(memberSpread([Number.NaN]), null);
  close([parameterSpread("tau", "T4a", [-1, -3]).variation!], [Math.SQRT2 / 2]);
  assert.is(parameterSpread("tau", "T4a", [-1, 1]).variation, null);
  // Sorted 1, 2, 4 and 1, 3, 6.
  assert.is(distributionDistance([4, 1, 2], [6, 3, 1]), 1);
  assert.is(distributionDistance([4, 1, 2], [1, 2, 4]), 0);
});

test("two members' probabilities of classes are averaged, not their outputs", () => {
  // p = (0.8, 0.2) and (0.1, 0.9); the mean is (0.45, 0.55), whatever is added to the outputs of a member.
  const average = new OutputAverage(outputScale("cross-entropy"), 2);
  average.add([Math.log(0.8), Math.log(0.2)]);
  average.add([Math.log(0.1) + 7, Math.log(0.9) + 7]);
  close(average.result(), [Math.log(0.45), Math.log(0.55)]);
});

test("probabilities that are nearly 0 stay above 0", () => {
  const average = new OutputAverage("softmax", 2);
  average.add([0, 2000]);
  average.add([0, 1000]);
  close(average.result(), [-1000 - Math.LN2, 0], 1e-9);
});

test("means of labels, counts and numbers", () => {
  const labels = new OutputAverage(outputScale("binary-cross-entropy"), 1);
  // p = 0.8 and 0.4: 0.6, so the output is log(0.6/0.4).
  labels.add([Math.log(4)]);
  labels.add([Math.log(2 / 3)]);
  close(labels.result(), [Math.log(1.5)]);
  const counts = new OutputAverage(outputScale("poisson"), 1);
  counts.add([Math.log(2)]);
  counts.add([Math.log(6)]);
  close(counts.result(), [Math.log(4)]);
  const numbers = new OutputAverage(outputScale("squared"), 1);
  numbers.add([1, Number.NaN]);
  numbers.add([4, 2]);
  assert.equal([...numbers.result()], [2.5, Number.NaN]);
});

test("outputs of another shape are refused", async () => {
  const average = new OutputAverage("identity", 1);
  average.add([1, 2]);
  await fails(() => average.add([1]), "shape", /2 numbers, as before/);
});

const TUNING = (dsi: readonly number[], direction: readonly (number | null)[], name: string): object => ({
  speeds: [1, 2],
  networks: [
    {
      name: `runs/${name}`,
      types: ["T4a", "T4b"].map((type, t) => ({ name: type, dsi: dsi[t], direction: direction[t], curve: [t, null] })),
    },
  ],
});

test("numbers of an analysis by path and name; the name of the run itself says nothing", () => {
  const numbers = numbersOf(TUNING([0.4, 0.5], [10, null], "a"), (name) => name === "runs/a");
  assert.equal(
    [...numbers.keys()],
    ["speeds", "networks.types.dsi", "networks.types.direction", "networks.types.curve"],
  );
  assert.equal(numbers.get("speeds"), [{ of: "", isList: true, names: "", values: [1, 2] }]);
  assert.equal(numbers.get("networks.types.dsi"), [
    { of: "T4a", isList: false, names: "", values: [0.4] },
    { of: "T4b", isList: false, names: "", values: [0.5] },
  ]);
  assert.equal(numbers.get("networks.types.curve")![1], {
    of: "T4b",
    isList: true,
    names: "",
    values: [1, Number.NaN],
  });
  // Texts tell elements apart that have no name.
  const pairs = numbersOf({ pairs: [{ pre: "T4a", post: "T5a", moved: 3 }] });
  assert.equal(pairs.get("pairs.moved"), [{ of: "T4a, T5a", isList: false, names: "", values: [3] }]);
  // A square whose rows have other names in another member is not the same.
  const map = (groups: readonly string[]) => numbersOf({ map: { groups, change: [1, 2, 3, groups.length] } });
  const compared = comparedNumbers([map(["a", "b"]), map(["a", "c"])]);
  assert.equal(compared[0]!.values[1], [Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
  assert.equal(comparedNumbers([map(["a", "b"]), map(["a", "b"])]), []);
  // Elements with the same name are told apart by their positions.
  const twice = numbersOf({
    effects: [
      { name: "x", change: 1 },
      { name: "x", change: 2 },
    ],
  });
  assert.equal(
    twice.get("effects.change")!.map(({ of }) => of),
    ["1", "2"],
  );
});

test("numbers of several members are matched by name; angles have a mean on the circle", () => {
  const members = [TUNING([0.4, 0.5], [350, null], "a"), TUNING([0.6, 0.5], [30, 90], "b")];
  // The second member's types in another order.
  (members[1] as { networks: { types: unknown[] }[] }).networks[0]!.types.reverse();
  const all = comparedNumbers(members.map((own) => numbersOf(own, (name) => name.startsWith("runs/"))));
  assert.equal(
    all.map(({ path, isAngle }) => [path, isAngle]),
    [
      ["networks.types.dsi", false],
      ["networks.types.direction", true],
    ],
  );
  const [dsi, direction] = all as [ComparedNumbers, ComparedNumbers];
  close([spreadOfNumber(dsi, 0)!.mean, spreadOfNumber(dsi, 0)!.sd!], [0.5, Math.SQRT1_2 / 5]);
  // 350° and 30°: 10°, R = cos 20°.
  const { mean, sd } = spreadOfNumber(direction, 0)!;
  close([mean, sd!], [10, (Math.sqrt(-2 * Math.log(Math.cos(Math.PI / 9))) * 180) / Math.PI]);
  assert.equal(spreadOfNumber(direction, 1), { n: 1, mean: 90, sd: null });
  // DSI (mean 0.5, deviation √(0.02/4)), then cosine and sine of the only direction that both have: ±1 each.
  const [a, b] = standardisedNumbers(all, 2);
  close(a!, [-Math.SQRT2, 0, 1, -1]);
  close(b!, [Math.SQRT2, 0, -1, 1]);
});

test.run();
