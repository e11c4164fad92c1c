import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed } from "../../src/core/random.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import { splitTrainValidation } from "../../src/data/imageSet.ts";
import { constantLoss } from "../../src/data/sampleChecks.ts";
import type { Samples } from "../../src/data/sampleSet.ts";
import { fails } from "../io/fixtures.ts";
import { all, array, assertSameSamples, labels, normals } from "./sampleFixtures.ts";

const test = suite("arraySamples");

test("classes: a whole number per sample, read in any order, at once", () => {
  const { train, validation, notes } = arraySamples({
    inputs: array([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6)),
    targets: array([3], Uint8Array.of(2, 0, 1)),
  });
  assert.is(validation, null);
  assert.equal(notes, []);
  assert.equal(train.target, { kind: "class", width: 1, classes: 3, times: null });
  assert.equal([train.count, train.inputSize, train.steps, train.weighted], [3, 2, null, false]);
  assert.equal(train.read([2, 0, 2], null), {
    size: 3,
    inputs: Float32Array.of(5, 6, 1, 2, 5, 6),
    targets: Float32Array.of(1, 2, 1),
    weights: null,
  });
});

test("shapes of inputs and targets mean what the rule says", () => {
  const vector = normals(1, 4, 2);
  const shapeOf = (targets: ReturnType<typeof array>, options = {}): unknown => {
    const { target } = arraySamples({ inputs: vector, targets }, options).train;
    return [target.kind, target.times, target.width, target.classes];
  };
  assert.equal(shapeOf(labels(4, 2)), ["class", null, 1, 2]);
  assert.equal(shapeOf(array([4, 3], new Int16Array(12).fill(1))), ["class", 3, 1, 2]);
  assert.equal(shapeOf(normals(2, 4)), ["numbers", null, 1, null]);
  assert.equal(shapeOf(normals(2, 4, 3)), ["numbers", null, 3, null]);
  assert.equal(shapeOf(normals(2, 4, 3, 5)), ["numbers", 3, 5, null]);
  assert.equal(shapeOf(array([4, 3], new Int16Array(12)), { kind: "numbers" }), ["numbers", null, 3, null]);
  assert.equal(shapeOf(array([4], Float64Array.of(0, 1, 1, 0)), { kind: "class" }), ["class", null, 1, 2]);
  assert.equal(shapeOf(labels(4, 2), { classes: 5 }), ["class", null, 1, 5]);
  const sequence = arraySamples({ inputs: normals(3, 4, 6, 2), targets: labels(4, 2) }).train;
  assert.equal([sequence.steps, sequence.inputSize], [6, 2]);
});

test("a mask leaves targets out, which may then be NaN and are read as 0", async () => {
  const { train, statistics } = arraySamples({
    inputs: normals(1, 2, 1),
    targets: array([2, 2, 2], Float64Array.of(1, Number.NaN, 3, 4, Number.NaN, 6, 7, 8)),
    mask: array([2, 2, 2], Uint8Array.of(1, 0, 1, 1, 0, 1, 1, 1)),
    times: [0.5, 1],
  });
  const { targets, weights } = await all(train);
  assert.equal(targets, Float64Array.of(1, 0, 3, 4, 0, 6, 7, 8));
  assert.equal(weights, Float32Array.of(1, 0, 1, 1, 0, 1, 1, 1));
  assert.equal(train.times, Float64Array.of(0.5, 1));
  assert.equal(statistics.train.weights, Float64Array.of(3, 3));
});

test("weights of a sample or a time hold for all of its targets", async () => {
  const inputs = normals(1, 2, 1);
  const targets = normals(2, 2, 3, 2);
  const weightsOf = async (weights: ReturnType<typeof array>): Promise<number[]> =>
    Array.from((await all(arraySamples({ inputs, targets, weights }).train)).weights!);
  assert.equal(await weightsOf(array([2], Float32Array.of(2, 0))), [2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0]);
  const perTime = array([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  assert.equal(await weightsOf(perTime), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
});

test("f64 stays f64, all else is f32 and exact; whole numbers that f32 does not hold are refused", async () => {
  const targets = labels(2, 2);
  const typeOf = async (data: Parameters<typeof array>[1]): Promise<string> =>
    (await all(arraySamples({ inputs: array([2, 1], data), targets }).train)).inputs.constructor.name;
  assert.is(await typeOf(Float64Array.of(0.1, 0.2)), "Float64Array");
  assert.is(await typeOf(Float32Array.of(0.1, 0.2)), "Float32Array");
  assert.is(await typeOf(Int32Array.of(2 ** 24, -(2 ** 30))), "Float32Array");
  await fails(() => typeOf(Int32Array.of(1, 2 ** 24 + 1)), "argument", /16777217 at sample 1, input 0/, /inputs/);
  const big = array([2, 1], Int32Array.of(2 ** 24 + 1, 0));
  await fails(
    () => arraySamples({ inputs: normals(1, 2, 1), targets: big }, { kind: "numbers" }),
    "argument",
    /16777217/,
  );
});

test("with dtype f32, numbers out of its range are refused and rounding is noted", async () => {
  const given = { inputs: array([2, 1], Float64Array.of(1, 1e39)), targets: labels(2, 2) };
  assert.equal(arraySamples(given).notes, []);
  await fails(() => arraySamples(given, { dtype: "f32" }), "argument", /3\.4e38/, /1e\+39 at sample 1/);
  given.inputs.data[1] = 0.1;
  assert.match(arraySamples(given, { dtype: "f32" }).notes.join(), /inputs in double precision are rounded/);
});

const inputs = normals(1, 4, 2);
const good = { inputs, targets: labels(4, 2) };

/** Arguments that are refused, and what the message says. */
const REFUSED: Readonly<Record<string, readonly [() => unknown, ...RegExp[]]>> = {
  "different numbers of samples": [
    () => arraySamples({ inputs, targets: labels(3, 2) }),
    /4 samples/,
    /\(3,\)/,
    /targets/,
  ],
  "a mask of other samples": [() => arraySamples({ ...good, mask: labels(3, 2) }), /4 samples/, /mask/],
  "no samples": [() => arraySamples({ inputs: normals(1, 0, 2), targets: labels(0, 2) }), /not empty/, /\(0, 2\)/],
  "no inputs": [() => arraySamples({ inputs: normals(1, 4, 0), targets: labels(4, 2) }), /not empty/],
  "one dimension of inputs": [
    () => arraySamples({ inputs: normals(1, 4), targets: labels(4, 2) }),
    /inputs\[:, None\]/,
  ],
  "four dimensions of inputs": [
    () => arraySamples({ ...good, inputs: normals(1, 4, 1, 1, 1) }),
    /\[samples, frames, inputs\]/,
  ],
  "whole numbers of three dimensions": [
    () => arraySamples({ inputs, targets: array([4, 1, 2], new Int8Array(8)) }),
    /classes \[samples\]/,
    /`kind` overrules/,
    /i1, shape \(4, 1, 2\)/,
  ],
  "four dimensions of targets": [() => arraySamples({ inputs, targets: normals(1, 4, 1, 1, 1) }), /targets/],
  "data that does not fill its shape": [
    () => arraySamples({ ...good, inputs: array([4, 2], new Float32Array(7)) }),
    /8 elements/,
    /7/,
  ],
  "no typed array": [() => arraySamples({ ...good, inputs: { shape: [4, 2], data: [1] as never } }), /typed array/],
  "no targets": [() => arraySamples({ inputs }), /targets/],
  NaN: [
    () => arraySamples({ ...good, inputs: array([4, 2], Float32Array.of(0, 0, 0, 0, 0, Number.NaN, 0, 0)) }),
    /NaN at sample 2, input 1/,
  ],
  "an infinite frame": [
    () =>
      arraySamples({
        ...good,
        inputs: array([4, 2, 1], Float32Array.of(0, 0, 0, Number.POSITIVE_INFINITY, 0, 0, 0, 0)),
      }),
    /Infinity at sample 1, frame 1, input 0/,
  ],
  "a target that is NaN": [
    () => arraySamples({ inputs, targets: array([4, 1, 2], Float64Array.of(0, 0, 0, 0, 0, 0, 0, Number.NaN)) }),
    /NaN at sample 3, time 0, output 1/,
  ],
  "a NaN that counts": [
    () =>
      arraySamples({
        inputs,
        targets: array([4], Float32Array.of(Number.NaN, Number.NaN, 1, 1)),
        mask: array([4], Uint8Array.of(0, 1, 1, 1)),
      }),
    /wherever a target counts/,
    /NaN at sample 1/,
  ],
  "a negative class": [
    () => arraySamples({ inputs, targets: array([4], Int8Array.of(0, 1, -1, 0)) }),
    /-1 at sample 2/,
  ],
  "a class out of range": [
    () => arraySamples({ inputs, targets: labels(4, 4) }, { classes: 3 }),
    /from 0 to 2/,
    /3 at sample 3/,
  ],
  "more classes than targets": [
    () => arraySamples({ inputs, targets: array([4], Int32Array.of(0, 1, 900, 0)) }),
    /900 at sample 2/,
    /no more classes than targets, unless `classes` says how many/,
  ],
  "a class that is not whole": [
    () => arraySamples({ inputs, targets: normals(1, 4) }, { kind: "class" }),
    /whole numbers/,
  ],
  "one class": [() => arraySamples({ inputs, targets: labels(4, 1) }), /two classes/],
  "a mask of halves": [
    () => arraySamples({ ...good, mask: array([4], Float32Array.of(1, 0.5, 0, 1)) }),
    /0 and 1/,
    /0\.5 at sample 1/,
  ],
  "a negative weight": [
    () => arraySamples({ ...good, weights: array([4], Float32Array.of(1, -1, 0, 1)) }),
    /≥ 0/,
    /-1 at sample 1/,
  ],
  "a weight that is NaN": [
    () => arraySamples({ ...good, weights: array([4], Float32Array.of(1, Number.NaN, 0, 1)) }),
    /NaN/,
  ],
  "weights of another shape": [() => arraySamples({ ...good, weights: normals(1, 4, 2) }), /\(4,\)/, /\(4, 2\)/],
  "a mask and weights": [() => arraySamples({ ...good, mask: labels(4, 2), weights: labels(4, 2) }), /both/],
  "no target that counts": [
    () => arraySamples({ ...good, mask: array([4], new Uint8Array(4)) }),
    /a target that counts/,
    /train/,
  ],
  "no target that counts in one part": [
    () => arraySamples({ ...good, mask: array([4], Uint8Array.of(1, 1, 0, 0)), split: [0, 0, 1, 1] }),
    /"validation"/,
  ],
  "times without a dimension": [() => arraySamples({ ...good, times: [1] }), /one target per sample/],
  "too few times": [
    () => arraySamples({ inputs, targets: normals(1, 4, 3, 1), times: [0, 1] }),
    /3, one per output time/,
  ],
  "times that fall": [() => arraySamples({ inputs, targets: normals(1, 4, 3, 1), times: [0, 2, 1] }), /1 after 2 at 2/],
  "equal times": [() => arraySamples({ inputs, targets: normals(1, 4, 2, 1), times: [1, 1] }), /ascending/],
  "infinite times": [() => arraySamples({ inputs, targets: normals(1, 4, 1, 1), times: [Number.NaN] }), /finite/],
  "a part that is none": [
    () => arraySamples({ ...good, split: ["train", "train", "tset", "test"] }),
    /"tset" at sample 2/,
  ],
  "a part of another number": [() => arraySamples({ ...good, split: [0, 1, 3, 0] }), /3 at sample 2/],
  "too short a split": [() => arraySamples({ ...good, split: [0] }), /4 entries/],
  "nothing to train on": [() => arraySamples({ ...good, split: [1, 1, 2, 2] }), /"train"/],
  "all for validation": [() => arraySamples(good, { validation: 4, key: keyOfSeed(1) }), /below 4/],
  "validation twice": [
    () => arraySamples({ ...good, split: [0, 0, 1, 1] }, { validation: 1, key: keyOfSeed(1) }),
    /have a part/,
  ],
  "no key": [() => arraySamples(good, { validation: 1 }), /a key/],
  "too few names": [() => arraySamples({ ...good, classNames: ["a"] }), /classNames/],
  "names of outputs of classes": [() => arraySamples({ ...good, outputNames: ["a"] }), /outputNames/],
  "names of other outputs": [
    () => arraySamples({ inputs, targets: normals(1, 4, 2), outputNames: ["a"] }),
    /2, one per output/,
  ],
  "a picture of another size": [() => arraySamples(good, { picture: { width: 2, height: 2 } }), /= 2/],
  "other statistics": [
    () => arraySamples(good, { normalise: { mean: Float64Array.of(0), std: Float64Array.of(1) } }),
    /1 numbers, as `normalise` has, got 2/,
  ],
  "a misspelt option": [() => arraySamples(good, { clases: 3 } as never), /classes/],
  "a misspelt array": [() => arraySamples({ ...good, masks: labels(4, 2) } as never), /mask/],
  "a kind that is none": [() => arraySamples(good, { kind: "klass" as never }), /"class" or "numbers"/],
};

for (const [name, [action, ...patterns]] of Object.entries(REFUSED)) {
  test(`refused: ${name}`, async () => {
    const code = name === "data that does not fill its shape" ? "shape" : "argument";
    await fails(action, code, ...patterns);
  });
}

test("parts follow a split of numbers or names, in the order of the arrays", async () => {
  const byName = arraySamples({ ...good, split: ["test", "train", "validation", "train"] });
  const byNumber = arraySamples({ ...good, split: Uint8Array.of(2, 0, 1, 0) });
  for (const part of ["train", "validation", "test"] as const) await assertSameSamples(byName[part]!, byNumber[part]!);
  assert.equal(
    (await all(byName.train)).inputs,
    Float32Array.of(...inputs.data.subarray(2, 4), ...inputs.data.subarray(6, 8)),
  );
  assert.is(byName.statistics.test?.samples, 1);
  assert.is(arraySamples({ ...good, split: [0, 0, 0, 1] }).test, null);
});

test("a number for validation draws the samples that splitTrainValidation draws", async () => {
  const count = 20;
  const values = Uint8Array.from({ length: count }, (_, i) => i);
  const key = keyOfSeed(7);
  const images = { images: values, labels: new Uint8Array(count), count, height: 1, width: 1, classes: 2 };
  const expected = splitTrainValidation(images, 6, key);
  const sets = arraySamples({ inputs: array([count, 1], values), targets: labels(count, 2) }, { validation: 6, key });
  assert.equal((await all(sets.train)).inputs, Float32Array.from(expected.train.images));
  assert.equal((await all(sets.validation!)).inputs, Float32Array.from(expected.validation.images));
});

test("statistics are those of the formulas, per part", () => {
  const values = Float32Array.of(1, 10, 2, 10, 6, 10, 100, 100);
  const { statistics } = arraySamples({
    inputs: array([4, 2], values),
    targets: array([4, 2], Float32Array.of(1, 2, 3, 4, 8, 6, 9, 9)),
    weights: array([4, 2], Float32Array.of(1, 1, 1, 3, 2, 0, 1, 1)),
    split: [0, 0, 0, 1],
  });
  const { inputs: spread, targets, weights } = statistics.train;
  const close = (actual: Float64Array, expected: readonly number[]): void => {
    // Three updates of a handful of roundings each.
    for (const [j, value] of actual.entries()) {
      assert.ok(Math.abs(value - expected[j]!) <= 32 * 2 ** -53 * Math.abs(expected[j]!));
    }
  };
  close(spread.mean, [3, 10]);
  close(spread.std, [Math.sqrt((4 + 1 + 9) / 3), 0]);
  assert.equal(weights, Float64Array.of(4, 4));
  close(targets!.mean, [(1 + 3 + 16) / 4, (2 + 12) / 4]);
  close(targets!.std, [Math.sqrt((16 + 4 + 18) / 4), Math.sqrt((2.25 + 0.75) / 4)]);
  close(Float64Array.of(constantLoss(statistics.train)), [(38 / 4 + 3 / 4) / 2]);
});

test("the best constant prediction of classes has the loss of their entropy", () => {
  const { statistics } = arraySamples({ inputs, targets: array([4], Int8Array.of(0, 1, 3, 3)) }, { classes: 5 });
  assert.equal(statistics.train.weights, Float64Array.of(1, 1, 0, 2, 0));
  assert.ok(Math.abs(constantLoss(statistics.train) - 1.5 * Math.log(2)) < 1e-15);
});

test("standardised inputs have mean 0 and spread 1 on the part to train on, and other parts its statistics", async () => {
  const count = 50;
  const given = { inputs: normals(3, count, 3, 2), targets: labels(count, 2), split: labels(count, 2).data };
  for (let i = 0; i < given.inputs.data.length; i += 2) given.inputs.data[i] = 7;
  const sets = arraySamples(given, { normalise: "standardise" });
  assert.match(sets.notes.join(), /1 constant input/);
  const { inputs: x } = await all(sets.train);
  const varying = Array.from(x).filter((_, i) => i % 2 === 1);
  assert.ok(x.every((value, i) => i % 2 === 1 || value === 0));
  const mean = varying.reduce((sum, value) => sum + value, 0) / varying.length;
  const square = varying.reduce((sum, value) => sum + value * value, 0) / varying.length;
  // Each is rounded to f32 once; the largest is below 4.
  assert.ok(Math.abs(mean) < 4 * 2 ** -24 && Math.abs(square - 1) < 32 * 2 ** -24);
  const same = arraySamples(given, { normalise: sets.normalisation! });
  await assertSameSamples(same.validation!, sets.validation!);
});

test("notes name what may be a mistake", () => {
  const notesOf = (...given: Parameters<typeof arraySamples>): string => arraySamples(...given).notes.join("\n");
  assert.match(
    notesOf({ inputs, targets: array([4], Float32Array.of(0, 1, 1, 0)) }),
    /count as numbers, not as classes \(kind "class"\)/,
  );
  const oneHot = Int32Array.of(0, 1, 1, 0, 0, 1, 0, 1);
  assert.match(notesOf({ inputs, targets: array([4, 2], oneHot) }), /one 1 and otherwise 0.* classes at 2 times/);
  assert.equal(notesOf({ inputs, targets: array([4, 2], Int32Array.of(0, 1, 1, 0, 1, 1, 0, 1)) }), "");
  assert.match(notesOf({ ...good, mask: array([4], Uint8Array.of(1, 1, 0, 1)) }), /"train": 1 sample without a target/);
  assert.match(notesOf(good, { classes: 4 }), /without a sample to train on: 2, 3/);
});

test("without targets, samples have some that do not count", async () => {
  const unlabelled = { kind: "class", width: 1, classes: 7, times: null } as const;
  const { train } = arraySamples({ inputs }, { unlabelled });
  assert.equal(train.target, unlabelled);
  const { targets, weights } = await all(train);
  assert.equal([targets, weights], [new Float32Array(4), new Float32Array(4)]);
  await assertSameSamples(arraySamples(good, { unlabelled }).train, arraySamples(good, { classes: 7 }).train);
});

test("an index out of range, and a set that was released, are refused", async () => {
  const { train } = arraySamples(good);
  for (const index of [4, -1, 0.5, Number.NaN])
    await fails(() => train.read([0, index], null), "argument", /0 to 3/, /at 1/);
  await train.release?.();
  await fails(() => train.read([0], null), "released");
});

test("the comparison of sets finds one wrong bit", async () => {
  const other = normals(1, 4, 2);
  other.data[5] = other.data[5]! * (1 + 2 ** -23);
  const [a, b] = [arraySamples(good).train, arraySamples({ ...good, inputs: other }).train];
  let equal = true;
  await assertSameSamples(a, b).catch(() => {
    equal = false;
  });
  assert.not(equal);
});

test("samples of many megabytes are checked chunk by chunk, to the last", async () => {
  const big: Samples["inputs"] = new Float32Array(3 * 2 ** 20);
  big[big.length - 1] = Number.NaN;
  const given = { inputs: array([6, 2 ** 19], big), targets: labels(6, 2) };
  await fails(() => arraySamples(given), "argument", /NaN at sample 5, input 524287/);
});

test.run();
