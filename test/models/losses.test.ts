// Losses and metrics of outputs that are given, on every device: against formulas on the host, with weights, masks and NaN.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { type DType, smallestNormal } from "../../src/core/dtype.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import type { TargetShape } from "../../src/core/targets.ts";
import { asInput, passThrough } from "../../src/models/passThrough.ts";
import { binaryCrossEntropy } from "../../src/models/task/losses/binaryCrossEntropy.ts";
import { crossEntropy } from "../../src/models/task/losses/crossEntropy.ts";
import { huber } from "../../src/models/task/losses/huber.ts";
import { LOSS_NAMES, lossByName } from "../../src/models/task/losses/index.ts";
import { norm } from "../../src/models/task/losses/norm.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { METRIC_NAMES, metricByName } from "../../src/models/task/metrics/index.ts";
import { classOf } from "../../src/models/task/predictedClass.ts";
import { addSums, emptySums, metricValues, perOutput } from "../../src/models/task/sums.ts";
import type { Loss, Metric } from "../../src/models/task/task.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose, gamma } from "../support/close.ts";
import { assertGradient } from "../support/gradcheck.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

/** More than the 16 lanes of the CPU: two chunks. */
const [BATCH, TIMES, WIDTH, CLASSES] = [19, 3, 4, 5];
const NUMBERS: TargetShape = { kind: "numbers", width: WIDTH, classes: null, times: TIMES };
const CLASS: TargetShape = { kind: "class", width: 1, classes: CLASSES, times: TIMES };

/** Loss of one sample and the slope of each output, and a size that roundings are relative to; sums over the outputs of the sample. */
interface Formula {
  readonly loss: Loss;
  readonly target: TargetShape;
  /** Target number i of the batch. */
  readonly targetAt: (i: number) => number;
  /** Loss of target `y` with the outputs `o` of its sample; of numbers `o` is the output of that number alone, and `i` is which one. */
  readonly value: (o: readonly number[], y: number, i: number) => number;
  readonly slope: (o: readonly number[], y: number, i: number) => readonly number[];
  readonly weightOf?: (y: number) => number;
}

const sum = (values: readonly number[]): number => values.reduce((total, v) => total + v, 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softmax = (o: readonly number[]): number[] => {
  const powers = o.map((x) => Math.exp(x - Math.max(...o)));
  return powers.map((p) => p / sum(powers));
};
const classAt = (i: number): number => (i * 7 + 3) % CLASSES;
const normalAt = normals("loss targets", BATCH * TIMES * WIDTH).map(Math.fround);
const classWeights = [0.5, 1, 2, 0.25, 1.5];
const EPSILON = 0.125;

/** −log p with smoothed targets and weights of classes, as torch defines them: weights beside that of the target's class. */
const smoothed = (o: readonly number[], y: number): readonly number[] =>
  o.map((_, c) => (c === y ? 1 - EPSILON : 0) + (EPSILON / CLASSES) * (classWeights[c]! / classWeights[y]!));

const FORMULAS: Readonly<Record<string, Formula>> = {
  "cross-entropy": {
    loss: crossEntropy(),
    target: CLASS,
    targetAt: classAt,
    value: (o, y) => -Math.log(softmax(o)[y]!),
    slope: (o, y) => softmax(o).map((p, c) => p - (c === y ? 1 : 0)),
  },
  "weighted cross-entropy": {
    loss: crossEntropy({ classWeights }),
    target: CLASS,
    targetAt: classAt,
    value: (o, y) => -Math.log(softmax(o)[y]!),
    slope: (o, y) => softmax(o).map((p, c) => p - (c === y ? 1 : 0)),
    weightOf: (y) => classWeights[y]!,
  },
  "smoothed cross-entropy": {
    loss: crossEntropy({ classWeights, labelSmoothing: EPSILON }),
    target: CLASS,
    targetAt: classAt,
    value: (o, y) => -sum(smoothed(o, y).map((t, c) => t * Math.log(softmax(o)[c]!))),
    slope: (o, y) => {
      const t = smoothed(o, y);
      return softmax(o).map((p, c) => sum([...t]) * p - t[c]!);
    },
    weightOf: (y) => classWeights[y]!,
  },
  ordinal: {
    loss: lossByName("ordinal"),
    target: CLASS,
    targetAt: classAt,
    value: (o, y) => -sum(o.map((x, k) => Math.log(y > k ? sigmoid(x) : sigmoid(-x)))),
    slope: (o, y) => o.map((x, k) => sigmoid(x) - (y > k ? 1 : 0)),
  },
  squared: {
    loss: lossByName("squared"),
    target: NUMBERS,
    targetAt: (i) => normalAt[i]!,
    value: ([o], y) => (o! - y) ** 2,
    slope: ([o], y) => [2 * (o! - y)],
  },
  absolute: {
    loss: lossByName("absolute"),
    target: NUMBERS,
    targetAt: (i) => normalAt[i]!,
    value: ([o], y) => Math.abs(o! - y),
    slope: ([o], y) => [Math.sign(o! - y)],
  },
  huber: {
    loss: huber({ delta: 0.75 }),
    target: NUMBERS,
    targetAt: (i) => normalAt[i]!,
    value: ([o], y) => (Math.abs(o! - y) <= 0.75 ? (o! - y) ** 2 / 2 : 0.75 * (Math.abs(o! - y) - 0.375)),
    slope: ([o], y) => [Math.max(-0.75, Math.min(0.75, o! - y))],
  },
  "binary-cross-entropy": {
    loss: binaryCrossEntropy(),
    target: NUMBERS,
    targetAt: (i) => [0, 1, 0.25][i % 3]!,
    value: ([o], y) => -y * Math.log(sigmoid(o!)) - (1 - y) * Math.log(sigmoid(-o!)),
    slope: ([o], y) => [sigmoid(o!) - y],
  },
  "weighted binary-cross-entropy": {
    loss: binaryCrossEntropy({ positiveWeight: [0.5, 2, 3, 1] }),
    target: NUMBERS,
    targetAt: (i) => i % 2,
    value: ([o], y, i) => (y === 1 ? -[0.5, 2, 3, 1][i]! * Math.log(sigmoid(o!)) : -Math.log(sigmoid(-o!))),
    slope: ([o], y, i) => [y === 1 ? [0.5, 2, 3, 1][i]! * (sigmoid(o!) - 1) : sigmoid(o!)],
  },
  poisson: {
    loss: lossByName("poisson"),
    target: NUMBERS,
    targetAt: (i) => i % 4,
    value: ([o], y) => Math.exp(o!) - y * o!,
    slope: ([o], y) => [Math.exp(o!) - y],
  },
};

/** Weights from 0 to 1.5, many of them 0. */
const weightAt = (i: number): number => [1, 0, 0.5, 1.5, 0, 0, 1][(i * 5) % 7]!;

interface Expected {
  readonly loss: number;
  readonly gradient: Float64Array;
  /** What absolute errors of loss and gradient are relative to. */
  readonly lossSize: number;
  readonly gradientSize: Float64Array;
  readonly total: number;
}

/** Loss and gradient by the formulas. */
function expectedOf(f: Formula, outputs: ArrayLike<number>, weight: ((i: number) => number) | null): Expected {
  const rows = f.loss.outputs(f.target);
  const { width } = f.target;
  const isClass = f.target.kind === "class";
  const gradient = new Float64Array(outputs.length);
  const gradientSize = new Float64Array(outputs.length);
  let [loss, lossSize, total] = [0, 0, 0];
  for (let i = 0; i < BATCH * TIMES * width; i++) {
    const y = f.targetAt(i);
    const w = (weight?.(i) ?? 1) * (f.weightOf?.(y) ?? 1);
    const from = isClass ? i * rows : i;
    const o = Array.from({ length: isClass ? rows : 1 }, (_, r) => outputs[from + r]!);
    const value = f.value(o, y, i % width);
    total += w;
    loss += w * value;
    // Terms before they cancel: of size |o|, |y| and e^o.
    lossSize += w * (Math.abs(value) + sum(o.map((x) => (1 + Math.abs(y)) * (1 + Math.abs(x)) + Math.exp(x))));
    for (const [r, s] of f.slope(o, y, i % width).entries()) {
      gradient[from + r]! += w * s;
      gradientSize[from + r]! += w * (1 + Math.abs(y) + Math.abs(o[r]!) + Math.exp(o[r]!)) * 3;
    }
  }
  return {
    loss: loss / total,
    lossSize: lossSize / total,
    gradient: gradient.map((g) => g / total),
    gradientSize: gradientSize.map((g) => g / total),
    total,
  };
}

function targetsOf({ target, targetAt }: Formula, weight: ((i: number) => number) | null, masked = Number.NaN) {
  const n = BATCH * TIMES * target.width;
  const values = Float64Array.from({ length: n }, (_, i) => (weight?.(i) === 0 ? masked : targetAt(i)));
  return { values, weights: weight && Float64Array.from({ length: n }, (_, i) => weight(i)) };
}

/** Numbers of f32, so that all devices get the same. */
const outputsOf = ({ loss, target }: Formula): Float64Array =>
  normals(`outputs of ${loss.name}`, BATCH * TIMES * loss.outputs(target)).map(Math.fround);

/** Elementary functions count 8; a sum over outputs and its weight 8 more; then the sum over samples and times. */
const SLOPE_ROUNDINGS = 24;
const LOSS_ROUNDINGS = SLOPE_ROUNDINGS + BATCH * TIMES * WIDTH;

/** Bounds of an error of `k` roundings relative to sizes. */
function bounds(sizes: ArrayLike<number>, k: number, dtype: DType): Float64Array {
  return Float64Array.from(sizes, (size) => gamma(k, dtype) * size + Number.MIN_VALUE);
}

function defineLosses(test: Test<WithBackend>): void {
  for (const [name, formula] of Object.entries(FORMULAS)) {
    for (const weight of [null, weightAt]) {
      test(`${name}${weight ? ", weighted" : ""}: loss and gradient follow the formula`, async ({ backend }) => {
        const { loss, target } = formula;
        const model = passThrough(backend, makeTask({ loss, target }));
        const outputs = outputsOf(formula);
        const expected = expectedOf(formula, outputs, weight);
        const [input, evaluation] = asInput(outputs, BATCH, TIMES);
        const targets = targetsOf(formula, weight);
        const got = await model.gradients(input, targets, 0, evaluation);
        assertClose([got.loss], [expected.loss], bounds([expected.lossSize], LOSS_ROUNDINGS, backend.dtype), "loss");
        assertClose(
          got.x!,
          expected.gradient,
          bounds(expected.gradientSize, SLOPE_ROUNDINGS, backend.dtype),
          "gradient",
        );
        assertClose([got.lossWeight], [expected.total], 1e-12 * expected.total, "Σ w");
        const evaluated = await model.evaluate(input, targets, evaluation);
        assert.is(evaluated.loss, got.loss);
        assertBitEqual(evaluated.outputs, outputs, "outputs");
        // Numbers that do not count change nothing, to the bit: neither targets nor outputs.
        if (weight) {
          const other = await model.gradients(input, targetsOf(formula, weight, 1e30), 0, evaluation);
          assert.is(other.loss, got.loss);
          assertBitEqual(other.x!, got.x!, "gradient with other masked targets");
        }
        model.dispose();
      });
    }
  }

  for (const weight of [null, weightAt]) {
    test(`norm${weight ? ", weighted" : ""}: loss, gradient and endpoint error are those of vectors`, async ({
      backend,
    }) => {
      const task = makeTask({ loss: norm(), metrics: ["endpoint-error"], target: NUMBERS });
      const model = passThrough(backend, task);
      const f = FORMULAS.squared!;
      const [outputs, targets] = [outputsOf(f), targetsOf(f, weight)];
      const n = outputs.length;
      const w = Float64Array.from({ length: n }, (_, i) => weight?.(i) ?? 1);
      const error = outputs.map((o, i) => (w[i]! > 0 ? o - f.targetAt(i) : 0));
      // Numbers 0 and 2 of four are a vector, and so are 1 and 3.
      const partner = (i: number): number => i + (i % WIDTH < WIDTH / 2 ? WIDTH / 2 : -WIDTH / 2);
      const square = error.map((e, i) => e * e + error[partner(i)]! ** 2);
      const length = square.map((s) => Math.sqrt(s + 1e-6));
      const total = sum([...w]);
      const mean = (values: Float64Array): number => sum([...values.map((v, i) => w[i]! * v)]) / total;
      const slope = error.map((e, i) => ((w[i]! + w[partner(i)]!) * e) / length[i]! / total);
      const [input, evaluation] = asInput(outputs, BATCH, TIMES);
      const got = await model.gradients(input, targets, 0, evaluation);
      const check = (expected: Float64Array) =>
        assertClose(got.x!, expected, gamma(SLOPE_ROUNDINGS, backend.dtype) * (3 / total), "gradient");
      const ofLengths = gamma(LOSS_ROUNDINGS, backend.dtype) * mean(length);
      assertClose([got.loss], [mean(length)], ofLengths, "loss");
      check(slope);
      const measured = metricValues(task, got.metrics)["endpoint-error"]!;
      assertClose([measured], [mean(square.map(Math.sqrt))], ofLengths, "endpoint error");
      // Lengths of single numbers are others.
      assert.throws(() => check(error.map((e, i) => (w[i]! * Math.sign(e)) / total)), /elements differ/);
      model.dispose();
    });
  }

  test("another loss does not pass for this one", async ({ backend }) => {
    const formula = FORMULAS.huber!;
    const other = huber({ delta: 0.7505 });
    const model = passThrough(backend, makeTask({ loss: other, target: NUMBERS }));
    const outputs = outputsOf(formula);
    const expected = expectedOf(formula, outputs, null);
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const got = await model.gradients(input, targetsOf(formula, null), 0, evaluation);
    const slopeBounds = bounds(expected.gradientSize, SLOPE_ROUNDINGS, backend.dtype);
    const lossBounds = bounds([expected.lossSize], LOSS_ROUNDINGS, backend.dtype);
    assert.throws(() => assertClose(got.x!, expected.gradient, slopeBounds, "gradient"), /elements differ/);
    assert.throws(() => assertClose([got.loss], [expected.loss], lossBounds, "loss"), /elements differ/);
    model.dispose();
  });

  test("outputs whose targets do not count may overflow in the loss", async ({ backend }) => {
    const target: TargetShape = { ...NUMBERS, times: null };
    const model = passThrough(backend, makeTask({ loss: "poisson", metrics: ["mse", "r2"], target }));
    const outputs = Float64Array.of(1e5, 1, 2, 0.5);
    const [input, evaluation] = asInput(outputs, 1, 1);
    const targets = { values: [Number.NaN, 1, 0, 2], weights: [0, 1, 1, 1] };
    const got = await model.gradients(input, targets, 0, evaluation);
    const expected = (Math.exp(1) - 1 + Math.exp(2) + Math.exp(0.5) - 1) / 3;
    assertClose([got.loss], [expected], gamma(30, backend.dtype) * 12, "loss");
    assert.is(got.x![0], 0);
    assert.ok(got.x!.every(Number.isFinite));
    const { sums, weights } = got.metrics;
    assert.equal([...weights], [0, 1, 1, 1]);
    assert.is(sums.mse!.squares![0], 0);
    // Without the mask the same output makes the loss infinite: the test can fail.
    const unmasked = await model.gradients(input, { values: [1, 1, 0, 2], weights: [1, 1, 1, 1] }, 0, evaluation);
    assert.not(Number.isFinite(unmasked.loss));
    model.dispose();
  });

  test("a graph that is no number at the zeros for masked targets changes nothing", async ({ backend }) => {
    const divergence: Loss = {
      name: "divergence",
      target: "numbers",
      metrics: [],
      outputs: ({ width }) => width,
      refuses: (y) => (y > 0 ? null : "a number above 0"),
      graph: ({ ops }, { outputs, target }) => ops.mul(target, ops.sub(ops.log(target), outputs)),
    };
    const logarithm: Metric = {
      ...metricByName("mae"),
      name: "logarithm",
      sums: ({ ops }, { target }) => ({ sizes: ops.log(target) }),
    };
    const target: TargetShape = { ...NUMBERS, width: 2, times: null };
    const model = passThrough(backend, makeTask({ loss: divergence, metrics: [logarithm], target }));
    const [input, evaluation] = asInput([1, 2], 1, 1);
    const got = await model.gradients(input, { values: [0.5, Number.NaN], weights: [1, 0] }, 0, evaluation);
    assertClose([got.loss], [0.5 * (Math.log(0.5) - 1)], gamma(30, backend.dtype), "loss");
    assert.equal([...got.x!], [-0.5, 0]);
    assertClose(got.metrics.sums.logarithm!.sizes!, [Math.log(0.5), 0], gamma(16, backend.dtype), "sums");
    model.dispose();
  });

  test("one loss of all numbers of a sample does not see samples whose numbers are all masked", async ({ backend }) => {
    const joint: Loss = {
      name: "joint",
      target: "numbers",
      metrics: [],
      outputs: () => 1,
      graph: ({ ops }, { outputs, target }) => ops.sub(ops.exp(outputs), ops.mul(outputs, ops.reduceRows(target))),
    };
    const target: TargetShape = { ...NUMBERS, width: 2, times: null };
    const model = passThrough(backend, makeTask({ loss: joint, metrics: [], target }));
    const [input, evaluation] = asInput([1e5, 0.5], 2, 1);
    const { NaN: none } = Number;
    const got = await model.gradients(input, { values: [none, none, 1, none], weights: [0, 0, 1, 0] }, 0, evaluation);
    assertClose([got.loss], [Math.exp(0.5) - 0.5], gamma(30, backend.dtype) * 3, "loss");
    assertClose(got.x!, [0, Math.exp(0.5) - 1], gamma(30, backend.dtype) * 3, "gradient");
    model.dispose();
  });

  test("a batch whose classes weigh nothing has no loss, but metrics", async ({ backend }) => {
    const loss = crossEntropy({ classWeights: [0, 1, 1] });
    const task = makeTask({ loss, target: { ...CLASS, classes: 3, times: null } });
    const model = passThrough(backend, task);
    const [input, evaluation] = asInput([3, 1, 2, 1, 3, 2], 2, 1);
    const targets = { values: [0, 0], weights: null };
    const got = await model.evaluate(input, targets, evaluation);
    assert.equal([Number.isNaN(got.loss), got.lossWeight, metricValues(task, got.metrics).accuracy], [true, 0, 0.5]);
    await rejects(model.gradients(input, targets, 0, evaluation), ArgumentError, /one target that counts in the loss/);
    model.dispose();
  });

  test("weights lie in the range of the device, and so does their sum", async ({ backend }) => {
    const model = passThrough(backend, makeTask({ loss: "squared", target: { ...NUMBERS, width: 1, times: null } }));
    const [input, evaluation] = asInput([1, 2, 3], 3, 1);
    const run = (weights: readonly number[]) => model.gradients(input, { values: [0, 0, 1], weights }, 0, evaluation);
    const least = smallestNormal(backend.dtype);
    const expected = await run([1, 1, 1]);
    for (const w of [least, 1 / least / 4]) {
      const got = await run([w, w, w]);
      assertClose([got.loss], [expected.loss], gamma(8, backend.dtype) * 9, `loss with weights ${w}`);
      assertClose(got.x!, expected.x!, gamma(8, backend.dtype) * 4, `gradient with weights ${w}`);
    }
    await rejects(run([1, least / 2, 1]), ArgumentError, /expected 0, or numbers from .* for sample 1 \(weights\)/);
    await rejects(run([1, 1, 1.5 / least]), ArgumentError, /expected 0, or numbers from .* for sample 2 \(weights\)/);
    await rejects(run([1 / least, 1 / least, 0]), ArgumentError, /expected a sum of at most/);
    model.dispose();
  });

  test("rounding takes no share above 1 and no correlation out of its range", async ({ backend }) => {
    const yes = makeTask({ loss: "cross-entropy", target: { ...CLASS, classes: 2, times: null } });
    const bits = makeTask({ loss: "binary-cross-entropy", target: { ...NUMBERS, width: 1, times: null } });
    const line = makeTask({
      loss: "squared",
      metrics: ["correlation"],
      target: { ...NUMBERS, width: 1, times: null },
    });
    const [a, b, c] = [passThrough(backend, yes), passThrough(backend, bits), passThrough(backend, line)];
    let beyond = 0;
    for (let n = 5; n < 35; n++) {
      const weights = new Float64Array(n).fill(0.1);
      const [two, evaluation] = asInput(
        Float64Array.from({ length: 2 * n }, (_, i) => 1 - (i % 2)),
        n,
        1,
      );
      const ofClass = await a.evaluate(two, { values: new Float64Array(n), weights }, evaluation);
      if (ofClass.metrics.sums.accuracy!.correct![0]! > ofClass.metrics.weights[0]!) beyond++;
      const [one] = asInput(new Float64Array(n).fill(1), n, 1);
      const ofBits = await b.evaluate(one, { values: new Float64Array(n).fill(1), weights }, evaluation);
      assert.is(Math.max(1, metricValues(yes, ofClass.metrics).accuracy!), 1);
      assert.is(Math.max(1, metricValues(bits, ofBits.metrics)["binary-accuracy"]!), 1);
      for (const sign of [1, -1]) {
        const values = Float64Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * n)));
        const [linear] = asInput(
          values.map((v) => Math.fround(sign * 1.7 * v + 0.3)),
          n,
          1,
        );
        const ofLine = await c.evaluate(linear, { values, weights: null }, evaluation);
        const { correlation } = metricValues(line, ofLine.metrics);
        assert.ok(correlation! >= -1 && correlation! <= 1, `${correlation}`);
      }
    }
    if (backend.dtype === "f32") assert.ok(beyond > 0, "no sum was rounded up: the test cannot fail");
    for (const model of [a, b, c]) model.dispose();
  });

  test("an output that is no number is not left out of the correlation", async ({ backend }) => {
    const task = makeTask({ loss: "squared", metrics: ["correlation"], target: { ...NUMBERS, width: 2, times: null } });
    const model = passThrough(backend, task);
    const evaluate = async (outputs: readonly number[]) => {
      const [input, evaluation] = asInput(outputs, 3, 1);
      const values = [0, 1, 1, 0, 2, 2];
      return metricValues(task, (await model.evaluate(input, { values, weights: null }, evaluation)).metrics)
        .correlation;
    };
    // The first output is the target; the second one does not vary, or is too large for its square.
    assertClose([(await evaluate([0, 5, 1, 5, 2, 5]))!], [1], gamma(30, backend.dtype), "constant");
    const huge = backend.dtype === "f64" ? 1e300 : 1e30;
    assert.ok(Number.isNaN(await evaluate([0, huge, 1, 0, 2, -huge])));
    model.dispose();
  });

  test("metrics follow their formulas, in total and per output, and add up over batches", async ({ backend }) => {
    const f = FORMULAS.squared!;
    const names = ["r2", "correlation", "mse", "mae"];
    const task = makeTask({ loss: f.loss, target: NUMBERS, metrics: names });
    const model = passThrough(backend, task);
    const outputs = outputsOf(f).map((o, i) => Math.fround(0.8 * f.targetAt(i) + 0.4 * o));
    const targets = targetsOf(f, weightAt);
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const { metrics } = await model.evaluate(input, targets, evaluation);
    const expected = hostMetrics(outputs, f.targetAt, weightAt);
    const tolerance = gamma(BATCH * TIMES + 20, backend.dtype) * 20;
    for (const [name, value] of Object.entries(metricValues(task, metrics))) {
      assertClose([value], [expected.total[name]!], tolerance, name);
      const each = perOutput(task, metricByName(name), metrics);
      assertClose(
        each,
        expected.each.map((m) => m[name]!),
        tolerance,
        `${name} of each output`,
      );
    }
    // Two halves: the same sums up to rounding.
    const half = 7 * TIMES * WIDTH;
    const total = emptySums(task);
    for (const [from, to] of [
      [0, half],
      [half, outputs.length],
    ] as const) {
      const [part] = asInput(outputs.subarray(from, to), (to - from) / (TIMES * WIDTH), TIMES);
      const own = { values: targets.values.subarray(from, to), weights: targets.weights!.subarray(from, to) };
      addSums(total, (await model.evaluate(part, own, evaluation)).metrics);
    }
    for (const name of names) {
      const [a, b] = [metricValues(task, total)[name]!, metricValues(task, metrics)[name]!];
      assertClose([a], [b], tolerance, `${name} of two batches`);
    }
    model.dispose();
  });

  test("R² and correlation keep their digits far from 0, given a centre", async ({ backend }) => {
    const noise = normals("noise", BATCH * TIMES * WIDTH);
    const targetAt = (i: number): number => Math.fround(1000 + normalAt[i]!);
    const outputs = noise.map((e, i) => Math.fround(targetAt(i) + 0.3 * e));
    const values = noise.map((_, i) => targetAt(i));
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const expected = hostMetrics(outputs, targetAt, () => 1).total;
    const metrics = ["r2", "correlation"];
    const centre = new Float64Array(WIDTH).fill(1000);
    const task = makeTask({ loss: "squared", target: NUMBERS, metrics, centre });
    const model = passThrough(backend, task);
    const got = metricValues(task, (await model.evaluate(input, { values, weights: null }, evaluation)).metrics);
    // Differences from the centre are exact; then as with a mean of 0.
    const tolerance = gamma(BATCH * TIMES + 20, backend.dtype) * 20;
    for (const name of metrics) assertClose([got[name]!], [expected[name]!], tolerance, name);
    model.dispose();
    if (backend.dtype === "f64") return;
    // Negative control: without it single precision cannot tell the spread from 0, and says so, or is far off.
    const plain = makeTask({ loss: "squared", target: NUMBERS, metrics });
    const without = passThrough(backend, plain);
    const far = metricValues(plain, (await without.evaluate(input, { values, weights: null }, evaluation)).metrics);
    for (const name of metrics)
      assert.not.ok(Math.abs(far[name]! - expected[name]!) <= tolerance, `${name} ${far[name]}`);
    without.dispose();
  });

  test("accuracies follow their formulas", async ({ backend }) => {
    const close = (a: number, b: number, label: string) =>
      assertClose([a], [b], gamma(BATCH * TIMES, backend.dtype), label);
    for (const name of ["cross-entropy", "ordinal"]) {
      const f = FORMULAS[name]!;
      const task = makeTask({ loss: f.loss, target: CLASS, metrics: ["accuracy", "balanced-accuracy"] });
      const model = passThrough(backend, task);
      const outputs = outputsOf(f);
      const rows = f.loss.outputs(CLASS);
      const targets = targetsOf(f, weightAt);
      const [input, evaluation] = asInput(outputs, BATCH, TIMES);
      const { metrics } = await model.evaluate(input, targets, evaluation);
      const [right, all] = [new Float64Array(CLASSES), new Float64Array(CLASSES)];
      for (let i = 0; i < BATCH * TIMES; i++) {
        const y = f.targetAt(i);
        all[y]! += weightAt(i);
        const predicted = classOf(outputs.subarray(i * rows, (i + 1) * rows), f.loss.prediction);
        if (predicted === y) right[y]! += weightAt(i);
      }
      const got = metricValues(task, metrics);
      close(got.accuracy!, sum([...right]) / sum([...all]), `${name}, accuracy`);
      const shares = [...all].flatMap((n, c) => (n > 0 ? [right[c]! / n] : []));
      close(got["balanced-accuracy"]!, sum(shares) / shares.length, `${name}, balanced accuracy`);
      assert.throws(
        () => perOutput(task, metricByName("accuracy"), metrics),
        /numbers, got one whose targets are classes/,
      );
      model.dispose();
    }
    const f = FORMULAS["binary-cross-entropy"]!;
    const task = makeTask({ loss: f.loss, target: NUMBERS });
    const model = passThrough(backend, task);
    const outputs = outputsOf(f);
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const { metrics } = await model.evaluate(input, targetsOf(f, null), evaluation);
    const right = [...outputs].filter((o, i) => o > 0 === f.targetAt(i) > 0.5).length;
    close(metricValues(task, metrics)["binary-accuracy"]!, right / outputs.length, "binary accuracy");
    model.dispose();
  });

  test("one target for all times counts at each of them", async ({ backend }) => {
    const f = FORMULAS.squared!;
    const once = makeTask({ loss: "squared", target: { ...NUMBERS, times: null } });
    const each = makeTask({ loss: "squared", target: NUMBERS });
    const outputs = outputsOf(f);
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const values = normals("one target", BATCH * WIDTH);
    const repeated = Float64Array.from(
      outputs,
      (_, i) => values[Math.floor(i / (TIMES * WIDTH)) * WIDTH + (i % WIDTH)]!,
    );
    const [a, b] = [passThrough(backend, once), passThrough(backend, each)];
    const one = await a.gradients(input, { values, weights: null }, 0, evaluation);
    const all = await b.gradients(input, { values: repeated, weights: null }, 0, evaluation);
    assert.is(one.loss, all.loss);
    assertBitEqual(one.x!, all.x!, "gradient");
    assert.equal([...one.metrics.weights], [...all.metrics.weights]);
    assert.is(one.lossWeight, BATCH * TIMES * WIDTH);
    a.dispose();
    b.dispose();
  });

  test("a loss of the user is a graph of a few lines", async ({ backend }) => {
    const logCosh: Loss = {
      name: "log-cosh",
      target: "numbers",
      metrics: ["mae"],
      outputs: ({ width }) => width,
      // log cosh e = |e| + log(1 + e^−2|e|) − log 2
      graph: ({ ops }, { outputs, target }) => {
        const size = ops.abs(ops.sub(outputs, target));
        return ops.sub(ops.add(size, ops.log1p(ops.exp(ops.mul(-2, size)))), Math.LN2);
      },
    };
    const formula: Formula = {
      ...FORMULAS.squared!,
      loss: logCosh,
      value: ([o], y) => Math.log(Math.cosh(o! - y)),
      slope: ([o], y) => [Math.tanh(o! - y)],
    };
    const model = passThrough(backend, makeTask({ loss: logCosh, target: NUMBERS }));
    const outputs = outputsOf(formula);
    const expected = expectedOf(formula, outputs, weightAt);
    const [input, evaluation] = asInput(outputs, BATCH, TIMES);
    const got = await model.gradients(input, targetsOf(formula, weightAt), 0, evaluation);
    assertClose([got.loss], [expected.loss], bounds([expected.lossSize], LOSS_ROUNDINGS, backend.dtype), "loss");
    assertClose(got.x!, expected.gradient, bounds(expected.gradientSize, SLOPE_ROUNDINGS, backend.dtype), "gradient");
    model.dispose();
  });
}

/** The metrics of numbers, output by output and of all, from two passes in double precision. */
function hostMetrics(outputs: ArrayLike<number>, targetAt: (i: number) => number, weight: (i: number) => number) {
  const indices = (r: number) => Array.from({ length: BATCH * TIMES }, (_, s) => s * WIDTH + r);
  const parts = Array.from({ length: WIDTH }, (_, r) => {
    const all = indices(r).filter((i) => weight(i) > 0);
    const mean = (of: (i: number) => number) => sum(all.map((i) => weight(i) * of(i))) / sum(all.map(weight));
    const total = (of: (i: number) => number) => sum(all.map((i) => weight(i) * of(i)));
    const [o, y] = [(i: number) => outputs[i]!, targetAt];
    const [mo, my] = [mean(o), mean(y)];
    const errors = total((i) => (o(i) - y(i)) ** 2);
    const spread = total((i) => (y(i) - my) ** 2);
    return {
      errors,
      spread,
      weight: sum(all.map(weight)),
      sizes: total((i) => Math.abs(o(i) - y(i))),
      r: total((i) => (o(i) - mo) * (y(i) - my)) / Math.sqrt(total((i) => (o(i) - mo) ** 2) * spread),
    };
  });
  const of = (chosen: typeof parts): Record<string, number> => ({
    r2: 1 - sum(chosen.map((p) => p.errors)) / sum(chosen.map((p) => p.spread)),
    correlation: sum(chosen.map((p) => p.r)) / chosen.length,
    mse: sum(chosen.map((p) => p.errors)) / sum(chosen.map((p) => p.weight)),
    mae: sum(chosen.map((p) => p.sizes)) / sum(chosen.map((p) => p.weight)),
  });
  return { total: of(parts), each: parts.map((p) => of([p])) };
}

forEachBackend("losses", ["f64", "f32"], defineLosses);

forEachBackend("losses and differences", ["f64"], (test) => {
  for (const [name, formula] of Object.entries(FORMULAS)) {
    test(`${name}: the gradient is that of central differences`, async ({ backend }) => {
      const model = passThrough(backend, makeTask({ loss: formula.loss, target: formula.target }));
      const targets = targetsOf(formula, weightAt);
      const outputs = outputsOf(formula);
      const run = async (data: ArrayLike<number>) => {
        const [input, evaluation] = asInput(data, BATCH, TIMES);
        return model.gradients(input, targets, 0, evaluation);
      };
      const { x } = await run(outputs);
      const f = async (point: Readonly<Record<string, ArrayLike<number>>>) => (await run(point.outputs!)).loss;
      await assertGradient(name, f, { outputs }, { outputs: x! }, { roundings: 1000 });
      model.dispose();
    });
  }
});

async function rejects(promise: Promise<unknown>, kind: new (...a: never[]) => Error, pattern: RegExp): Promise<void> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  assert.instance(error, kind, String(error));
  assert.match((error as Error).message, pattern);
}

forEachBackend("targets", ["f64"], (test) => {
  test("targets that the task cannot take are refused by name", async ({ backend }) => {
    const model = passThrough(backend, makeTask({ loss: "cross-entropy", target: CLASS }));
    const f = FORMULAS["cross-entropy"]!;
    const [input, evaluation] = asInput(outputsOf(f), BATCH, TIMES);
    const good = targetsOf(f, weightAt);
    const at = (i: number, value: number) => good.values.map((v, k) => (k === i ? value : v));
    const counted = good.weights!.findIndex((w) => w > 0);
    const cases: [unknown, new (...a: never[]) => Error, RegExp][] = [
      [{ ...good, values: [1] }, ShapeError, /19 × 3 × 1 = 57 numbers, got 1 \(values\)/],
      [{ ...good, weights: [1] }, ShapeError, /57 numbers, got 1 \(weights\)/],
      [{ ...good, values: at(counted, 5) }, ArgumentError, /classes 0 to 4, got 5 for sample 0, time 0 \(values\)/],
      [{ ...good, values: at(counted, Number.NaN) }, ArgumentError, /got NaN for sample 0/],
      [{ ...good, weights: good.weights!.map(() => -1) }, ArgumentError, /at least 0, got -1 for sample 0/],
      [{ ...good, weights: good.weights!.map(() => 0) }, ArgumentError, /at least one target that counts, got none/],
    ];
    for (const [targets, kind, pattern] of cases) {
      await rejects(model.gradients(input, targets as never, 0, evaluation), kind, pattern);
      await rejects(model.evaluate(input, targets as never, evaluation), kind, pattern);
    }
    await rejects(model.gradients(input, good, 0, { numSteps: TIMES - 1 }), ArgumentError, /3, the length/);
    model.dispose();
    const counts = passThrough(backend, makeTask({ loss: "poisson", target: { ...NUMBERS, width: 1, times: null } }));
    const [one, steps] = asInput([1], 1, 1);
    const negative = counts.evaluate(one, { values: [-1], weights: null }, steps);
    await rejects(negative, ArgumentError, /a count of at least 0, got -1 for sample 0 \(values\)/);
    counts.dispose();
    const twice = passThrough(backend, makeTask({ loss: "squared", target: { ...NUMBERS, times: 2 } }));
    const [three, threeSteps] = asInput(new Float64Array(TIMES * WIDTH), 1, TIMES);
    const wrong = twice.evaluate(three, { values: new Float64Array(2 * WIDTH), weights: null }, threeSteps);
    await rejects(wrong, ShapeError, /3, the times of the read-out, got 2/);
    twice.dispose();
  });

  test("tasks are checked: what does not go together is named", () => {
    const cases: [object, RegExp][] = [
      [{ loss: "cross-entropi", target: CLASS }, /cross-entropy\? one of .* got "cross-entropi" \(loss\)/],
      [{ loss: "squared", target: CLASS }, /one for classes, such as cross-entropy, got squared/],
      [{ loss: "ordinal", target: NUMBERS }, /one for numbers, such as squared, got ordinal/],
      [{ loss: "squared", metrics: ["accuracy"], target: NUMBERS }, /metrics for numbers, got accuracy/],
      [{ loss: "squared", metrics: ["mse", "mse"], target: NUMBERS }, /each metric once, got mse twice/],
      [{ loss: "squared", metrics: ["r3"], target: NUMBERS }, /one of .* got "r3" \(metrics\)/],
      [{ loss: "squared", target: { ...NUMBERS, width: 0 } }, /at least 1, got 0 \(target\.width\)/],
      [{ loss: "cross-entropy", target: { ...CLASS, classes: 1 } }, /at least 2, got 1 \(target\.classes\)/],
      [{ loss: "squared", target: NUMBERS, centre: [1] }, /4 numbers, got 1 \(centre\)/],
      [{ loss: crossEntropy({ classWeights: [1, 2] }), target: CLASS }, /5 numbers, one per class, got 2/],
      [{ loss: "squared", targets: NUMBERS }, /target, or another option/],
    ];
    for (const [options, pattern] of cases) assert.throws(() => makeTask(options as never), pattern);
    assert.throws(() => huber({ delta: 0 }), /above 0, got 0/);
    assert.throws(() => norm({ vectorSize: 0 }), /at least 1, got 0/);
    const three = { loss: norm({ vectorSize: 3 }), target: NUMBERS };
    assert.throws(() => makeTask(three), /whole vectors, 3 numbers each .* got 4 numbers \(target\.width\)/);
    const odd = { loss: "squared", metrics: ["endpoint-error"], target: { ...NUMBERS, width: 5 } };
    assert.throws(() => makeTask(odd), /endpoint-error: expected targets of whole vectors/);
    assert.throws(() => crossEntropy({ labelSmoothing: 2 }), /from 0 to 1, got 2/);
    assert.throws(() => crossEntropy({ classWeights: [1, 0], labelSmoothing: 0.1 }), /got 0 for class 1/);
    assert.throws(() => binaryCrossEntropy({ positiveWeight: -1 }), /above 0, got -1/);
  });

  test("the tables of losses and metrics have their names", () => {
    for (const name of LOSS_NAMES) assert.is(lossByName(name).name, name);
    for (const name of METRIC_NAMES) assert.is(metricByName(name).name, name);
    for (const name of LOSS_NAMES) for (const metric of lossByName(name).metrics) assert.ok(metricByName(metric));
  });
});

onWebGpu("losses", defineLosses);
