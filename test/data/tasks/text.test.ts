import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SampleSet } from "../../../src/data/sampleSet.ts";
import { text } from "../../../src/data/tasks/text.ts";
import { fails } from "../../io/fixtures.ts";

const test = suite("text");
const STEPS = 40;

/** Symbols of the samples `first` … `first` + `count` − 1, each with the target of its last step. */
async function sequences(set: SampleSet, first: number, count: number): Promise<number[][]> {
  const samples = await set.read(
    Array.from({ length: count }, (_, i) => first + i),
    null,
  );
  const { inputSize } = set;
  return Array.from({ length: count }, (_, k) => {
    const symbols = Array.from({ length: STEPS }, (_, t) => {
      const frame = samples.inputs.slice((k * STEPS + t) * inputSize, (k * STEPS + t + 1) * inputSize);
      assert.is(frame.filter((x) => x !== 0).length, 1);
      return frame.indexOf(1);
    });
    const targets = Array.from(samples.targets.slice(k * STEPS, (k + 1) * STEPS));
    assert.equal(targets.slice(0, -1), symbols.slice(1), "a target is the next symbol");
    if (samples.weights) {
      assert.equal(Array.from(samples.weights.slice(k * STEPS, k * STEPS + 3)), [0, 1, 1]);
    }
    return [...symbols, targets.at(-1)!];
  });
}

test("counted frequencies predict as well as the known answers say, from any number of symbols in sight", async () => {
  const symbols = 4;
  const {
    train,
    test: held,
    known,
  } = text.make({
    seed: 6,
    samples: { train: 8000, validation: 1, test: 2000 },
    options: { symbols, order: 2, steps: STEPS },
  });
  const trained = await sequences(train, 0, 8000);
  const tested = await sequences(held, 0, 2000);
  for (const [seen, which] of [
    [2, "best"],
    [1, "memoryless"],
    [0, "chance"],
  ] as const) {
    const context = (s: readonly number[], t: number) =>
      (seen === 2 ? symbols * s[t - 1]! : 0) + (seen > 0 ? s[t]! : 0);
    const counts = new Float64Array(symbols ** (seen + 1));
    for (const s of trained) for (let t = 1; t < STEPS; t++) counts[symbols * context(s, t) + s[t + 1]!]!++;
    const losses: number[] = [];
    const accuracies: number[] = [];
    for (const s of tested) {
      let [loss, right] = [0, 0];
      for (let t = 1; t < STEPS; t++) {
        const row = counts.subarray(symbols * context(s, t), symbols * (context(s, t) + 1));
        const total = row.reduce((sum, n) => sum + n, 0);
        loss -= Math.log(row[s[t + 1]!]! / total);
        right += row.indexOf(Math.max(...row)) === s[t + 1] ? 1 : 0;
      }
      losses.push(loss / (STEPS - 1));
      accuracies.push(right / (STEPS - 1));
    }
    // Samples are independent. Estimating (k − 1)·k^seen ≤ 48 probabilities from 312,000 symbols costs about 48/(2·312,000) nats more.
    assert.ok(isMean(losses, known.loss![which]!, 1e-4), `loss with ${seen} symbols in sight`);
    assert.ok(isMean(accuracies, known.accuracy![which]!, 1e-4), `accuracy with ${seen} symbols in sight`);
    assert.not(isMean(losses, known.loss![which]! + 0.05, 1e-4));
  }
});

/** Whether the mean is within five standard errors and `bias`. */
function isMean(values: readonly number[], expected: number, bias: number): boolean {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1);
  return Math.abs(mean - expected) < 5 * Math.sqrt(variance / values.length) + bias;
}

test("of order 1 every step counts, and the last symbol says all there is", () => {
  const { train, known } = text.make({
    seed: 1,
    samples: { train: 1, validation: 1, test: 1 },
    options: { order: 1, symbols: 5 },
  });
  assert.is(train.weighted, false);
  assert.is(known.loss!.best, known.loss!.memoryless);
});

test("the parts are texts of the same chain, the chain is the seed's", async () => {
  const make = (seed: number) => text.make({ seed, samples: { train: 9, validation: 1, test: 1 } }).known.loss!.best;
  assert.is(make(1), make(1));
  assert.is.not(make(1), make(2));
  assert.ok(make(1)! < 0.6 * Math.log(6), "well below ln k");
});

test("a chain with too many states, and a sample shorter than the order, are refused", async () => {
  const make = (options: Record<string, number>) => () =>
    text.make({ seed: 1, samples: { train: 1, validation: 1, test: 1 }, options });
  await fails(make({ symbols: 33, order: 2 }), "argument", /order/);
  await fails(make({ symbols: 2, order: 4, steps: 3 }), "argument", /steps/);
});

test.run();
