// Reverse correlation without a network: exact for white stimuli that are orthogonal, and within its stated errors for noise.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fieldThreshold, inputPlaces, summariseField } from "../../src/analysis/fieldSummary.ts";
import {
  fieldStandardError,
  type LinearFields,
  LinearPrediction,
  ReverseCorrelation,
} from "../../src/analysis/reverseCorrelation.ts";
import { whiteNoise } from "../../src/analysis/whiteNoise.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { HexagonalEye } from "../../src/data/hexagon.ts";

const test = suite("reverse correlation");

/** Kernels [neurons, lags, inputs] of numbers that sums hold exactly. */
const KERNELS: readonly (readonly (readonly number[])[])[] = [
  [
    [1, -0.5],
    [0.25, 0.75],
    [0, -2],
  ],
  [
    [0, 4],
    [-0.125, 0],
    [3, 1],
  ],
];
const [NEURONS, LAGS, INPUTS] = [2, 3, 2];
const SHAPE = { neurons: NEURONS, lags: LAGS, inputs: INPUTS };

/** Responses [frames − (LAGS − 1), neurons] of linear neurons to s − mean, each upon its own base. */
function linear(stimulus: ArrayLike<number>, mean = 0): number[] {
  const frames = stimulus.length / INPUTS;
  const responses: number[] = [];
  for (let t = LAGS - 1; t < frames; t++) {
    for (const [n, kernel] of KERNELS.entries()) {
      let r = 10 + n;
      for (const [lag, row] of kernel.entries())
        for (const [i, k] of row.entries()) r += k * (stimulus[(t - lag) * INPUTS + i]! - mean);
      responses.push(r);
    }
  }
  return responses;
}

/** A sequence with one frame in which one input is `value`, the others 0. */
function impulse(input: number, value: number): number[] {
  const stimulus = new Array<number>((3 * LAGS - 1) * INPUTS).fill(0);
  stimulus[(2 * LAGS - 2) * INPUTS + input] = value;
  return stimulus;
}

test("impulses of both signs at each input give the kernels exactly", () => {
  const estimate = new ReverseCorrelation(SHAPE);
  for (let input = 0; input < INPUTS; input++)
    for (const value of [1, -1]) estimate.add(impulse(input, value), linear(impulse(input, value)));
  const { values, mean, energy } = estimate.fields();
  assert.equal([...values], KERNELS.flat(2));
  assert.equal([...mean], [10, 11]);
  assert.equal([...energy], new Array(LAGS * INPUTS).fill(2));
});

test("a stimulus around a mean gives the same fields: all patterns of ±1 are exactly white", () => {
  const window = LAGS * INPUTS;
  const estimate = new ReverseCorrelation(SHAPE, 0.5);
  for (let pattern = 0; pattern < 2 ** window; pattern++) {
    const stimulus = Array.from({ length: window }, (_, k) => 0.5 + (pattern & (2 ** k) ? 0.25 : -0.25));
    estimate.add(stimulus, linear(stimulus, 0.5));
  }
  const fields = estimate.fields();
  assert.equal([...fields.values], KERNELS.flat(2));
  assert.is(fields.count, 2 ** window);
  // σ_r² = σ_s²·Σ k², and the standard error is σ_r/(σ_s·√count).
  const power = KERNELS[0]!.flat().reduce((sum, k) => sum + k * k, 0);
  assert.is(fields.sd[0], Math.sqrt(power / 16));
  assert.is(fieldStandardError(fields, 0, 1, 1), Math.sqrt(power) / 2 ** (window / 2));
});

test("a sequence in pieces gives the same bits, in estimate and prediction", () => {
  const [whole, pieces] = [new ReverseCorrelation(SHAPE), new ReverseCorrelation(SHAPE)];
  const stimulus = whiteNoise(INPUTS, { seed: 4 })(0, 20);
  const responses = linear(stimulus).map((r) => r ** 2);
  const border = 9;
  const split = [
    [stimulus.subarray(0, border * INPUTS), responses.slice(0, (border - LAGS + 1) * NEURONS)],
    [stimulus.subarray((border - LAGS + 1) * INPUTS), responses.slice((border - LAGS + 1) * NEURONS)],
  ] as const;
  whole.add(stimulus, responses);
  for (const [s, r] of split) pieces.add(s, r);
  assert.equal(pieces.fields(), whole.fields());
  const [one, two] = [new LinearPrediction(whole.fields()), new LinearPrediction(whole.fields())];
  for (const sequence of [0, 1]) {
    one.add(stimulus, responses);
    for (const [s, r] of split) two.add(s, r, LAGS - 1, sequence);
  }
  assert.equal(two.explained(1), one.explained(1));
  // Two equal sequences do not vary: the kernel's part remains.
  const { share, standardError } = one.explained(1);
  assert.ok(Math.abs(standardError - Math.sqrt((LAGS * share) / 18)) < 1e-15);
});

test("a quadratic neuron has no linear field, and nothing is explained; a linear one is", () => {
  const [frames, sequences] = [400, 12];
  const make = whiteNoise(INPUTS, { seed: 3 });
  const respond = (stimulus: Float64Array): number[] =>
    linear(stimulus).flatMap((r, k) => (k % NEURONS === 0 ? [r, ((r - 10) * (r - 10)) / 8] : []));
  const estimate = new ReverseCorrelation(SHAPE);
  for (let s = 0; s < sequences; s++) {
    const stimulus = make(s, frames);
    estimate.add(stimulus, respond(stimulus));
  }
  const fields = estimate.fields();
  const prediction = new LinearPrediction(fields);
  for (let s = sequences; s < 2 * sequences; s++) {
    const stimulus = make(s, frames);
    prediction.add(stimulus, respond(stimulus));
  }
  const [own, quadratic] = [0, 1].map((n) => ({
    ...summariseField(fields, n, null),
    explained: prediction.explained(n),
  }));
  assert.is(own!.centreSign, "off");
  assert.equal([own!.peak!.lag, own!.peak!.input], [2, 1]);
  assert.is(quadratic!.centreSign, null);
  assert.is(quadratic!.numSignificant, 0);
  const within = ({ share, standardError }: { share: number; standardError: number }, expected: number) =>
    Math.abs(share - expected) < 4 * standardError;
  assert.ok(within(quadratic!.explained, 0), JSON.stringify(quadratic!.explained));
  assert.not.ok(within(quadratic!.explained, 1));
  // The estimate's error δ moves the share by δ·k/k²: its standard deviation is √(2/4,776) = 0.02 at most.
  assert.ok(Math.abs(own!.explained.share - 1) < 4 * 0.0205, JSON.stringify(own!.explained));
});

test("the explained share is unbiased where noisy coefficients spoil a prediction", () => {
  // r = k·s + noise of equal variance; 300 coefficients from 600 responses: R² of the prediction would be about 1/2 − 300/600.
  const inputs = 300;
  const make = whiteNoise(inputs + 1, { seed: 8 });
  const split = (s: number) => {
    const all = make(s, 100);
    const stimulus = all.filter((_, k) => k % (inputs + 1) < inputs);
    const responses = Array.from({ length: 100 }, (_, t) => {
      const row = all.subarray(t * (inputs + 1), (t + 1) * (inputs + 1));
      return row.subarray(0, 4).reduce((sum, x) => sum + x / 2, 0) + row[inputs]!;
    });
    return [stimulus, responses] as const;
  };
  const estimate = new ReverseCorrelation({ neurons: 1, lags: 1, inputs });
  for (let s = 0; s < 6; s++) estimate.add(...split(s));
  const prediction = new LinearPrediction(estimate.fields());
  for (let s = 6; s < 46; s++) prediction.add(...split(s));
  const { share, standardError } = prediction.explained(0);
  assert.ok(standardError < 0.05, `${standardError}`);
  assert.ok(Math.abs(share - 0.5) < 4 * standardError, `${share} ± ${standardError}`);
});

test("standard errors are those of a neuron that ignores the stimulus: 5 % of its coefficients exceed 1.96 of them", () => {
  const shape = { neurons: 1, lags: 10, inputs: 100 };
  const estimate = new ReverseCorrelation(shape);
  const [stimuli, responses] = [whiteNoise(100, { seed: 1 }), whiteNoise(1, { seed: 2 })];
  for (let s = 0; s < 10; s++) estimate.add(stimuli(s, 109), responses(s, 100), 9);
  const fields = estimate.fields();
  const beyond = (limit: number) =>
    [...fields.values].filter(
      (value, k) => Math.abs(value) > limit * fieldStandardError(fields, 0, Math.floor(k / 100), k % 100),
    );
  // Binomial: 50 ± 6.9 of 1,000.
  const { length } = beyond(1.96);
  assert.ok(length > 50 - 4 * 6.9 && length < 50 + 4 * 6.9, `${length}`);
  assert.is(beyond(fieldThreshold(fields)).length, 0);
});

/** Fields of one neuron whose coefficients all have the standard error 0.1. */
function planted(
  lags: number,
  inputs: number,
  values: readonly (readonly [lag: number, input: number, value: number])[],
) {
  const all = new Float64Array(lags * inputs);
  for (const [lag, input, value] of values) all[lag * inputs + input] = value;
  const count = 10_000;
  return {
    ...{ neurons: 1, lags, inputs, values: all, count },
    ...{ mean: Float64Array.of(0), sd: Float64Array.of(1), energy: new Float64Array(lags * inputs).fill(100) },
  } satisfies LinearFields;
}

test("a field in numbers: sign, lag, centre, radius and phases, worked out by hand", () => {
  const eye = new HexagonalEye(1);
  const [middle, above, below] = [eye.indexOf(0, 0), eye.indexOf(1, 0), eye.indexOf(-1, 0)];
  // Above counts −1 downwards, below +1. 0.3 does not exceed noise: the threshold is more than 3 standard errors.
  const fields = planted(4, 7, [
    [1, middle, -4],
    [1, above, -1],
    [2, above, -1],
    [1, below, 1],
    [3, middle, 2],
    [0, below, -0.3],
  ]);
  const { peak, ...summary } = summariseField(fields, 0, eye);
  assert.equal(peak, { lag: 1, input: middle, value: -4, standardError: 0.1 });
  // Weights 4 and 2 (above, at two lags): centre −2/6, mean square distance (4·(1/3)² + 2·(2/3)²)/6 = 2/9.
  assert.ok(Math.abs(summary.centre!.y + 1 / 3) < 1e-15 && summary.centre!.x === 0);
  assert.ok(Math.abs(summary.radius! - Math.sqrt(2 / 9)) < 1e-15);
  assert.equal([summary.centreSign, summary.numSignificant, summary.biphasic], ["off", 5, 0.5]);
});

test("without a peak beyond noise there is no field; a constant response has none at all", () => {
  const weak = summariseField(planted(2, 2, [[0, 1, 0.2]]), 0, null);
  assert.equal([weak.centreSign, weak.biphasic, weak.centre, weak.peak!.input], [null, null, null, 1]);
  const silent = summariseField({ ...planted(2, 2, []), sd: Float64Array.of(0) }, 0, null);
  assert.equal([silent.peak, silent.centreSign, silent.numSignificant], [null, null, 0]);
});

test("places of pixels go by rows", () => {
  const { x, y } = inputPlaces({ kind: "pixels", width: 3, height: 2 });
  assert.equal([...(x as number[])], [0, 1, 2, 0, 1, 2]);
  assert.equal([...(y as number[])], [0, 0, 0, 1, 1, 1]);
});

test("noise is a function of seed, sequence and place; longer sequences begin as shorter ones", () => {
  const make = whiteNoise(3, { mean: 0.5, contrast: 0.25, seed: 7 });
  assert.equal(make(4, 5), make(4, 9).subarray(0, 15));
  assert.equal(make(4, 5), whiteNoise(3, { mean: 0.5, contrast: 0.25, seed: 7 })(4, 5));
  assert.not.equal(make(4, 5), make(5, 5));
  assert.not.equal(make(4, 5), whiteNoise(3, { mean: 0.5, contrast: 0.25, seed: 8 })(4, 5));
  const [n, binary] = [30_000, whiteNoise(3, { noise: "binary", mean: 0.5, contrast: 0.25, seed: 7 })];
  const values = [...binary(0, n / 3)];
  assert.equal([...new Set(values)].sort(), [0.25, 0.75]);
  for (const noise of [values, [...make(0, n / 3)]]) {
    const mean = noise.reduce((sum, x) => sum + x, 0) / n;
    const variance = noise.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n;
    assert.ok(Math.abs(mean - 0.5) < (4 * 0.25) / Math.sqrt(n));
    // The variance of Gaussian noise has a relative error of √(2/n).
    assert.ok(Math.abs(variance / 0.0625 - 1) < 4 * Math.sqrt(2 / n));
  }
});

test("bad input is refused by name", () => {
  const refuses = (act: () => unknown, kind: typeof ArgumentError | typeof ShapeError, message: RegExp) => {
    try {
      act();
    } catch (error) {
      assert.instance(error, kind);
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable(`${message}`);
  };
  const estimate = new ReverseCorrelation(SHAPE);
  refuses(() => estimate.fields(), ArgumentError, /a sequence before the fields/);
  refuses(() => estimate.add([1, 2, 3], []), ShapeError, /whole frames of 2 inputs.*stimulus/);
  refuses(() => estimate.add([1, 2, 3, 4, 5, 6], [1, 2], 1), ArgumentError, /lags − 1 = 2.*first/);
  refuses(() => estimate.add([1, 2, 3, 4, 5, 6], [1]), ShapeError, /1 frames × 2 neurons.*responses/);
  refuses(() => estimate.add([1, 2, 3, 4, 5, 6], [1, Number.NaN]), ArgumentError, /responses/);
  refuses(() => estimate.add([1, 2, 3, 4, Number.NaN, 6], [1, 2]), ArgumentError, /stimulus/);
  const huge = { neurons: 100_000, lags: 10, inputs: 721 };
  refuses(() => new ReverseCorrelation(huge), ArgumentError, /fewer neurons or lags.*10\.7 GiB/);
  refuses(() => whiteNoise(1, { contrast: 0 }), ArgumentError, /contrast/);
  refuses(() => whiteNoise(1, { mean: Number.NaN }), ArgumentError, /mean/);
  refuses(() => whiteNoise(1, { noise: "pink" as "binary" }), ArgumentError, /gaussian or binary/);
  refuses(() => summariseField(planted(1, 3, []), 0, new HexagonalEye(1)), ShapeError, /places/);
});

test.run();
