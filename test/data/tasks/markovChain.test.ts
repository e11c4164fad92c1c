import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../../src/core/random.ts";
import {
  drawMarkovChain,
  drawSymbols,
  markovChain,
  predictability,
  stateAfter,
} from "../../../src/data/tasks/markovChain.ts";

const test = suite("markovChain");

const close = (a: number, b: number, tolerance: number, what = "") =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} instead of ${b} ${what}`);

test("two symbols: stationary distribution, entropy rate and best accuracy have closed forms", () => {
  const [a, b] = [0.1, 0.3];
  const chain = markovChain(2, 1, Float64Array.of(1 - a, a, b, 1 - b));
  close(chain.stationary[0]!, 0.75, 1e-15);
  close(chain.stationary[1]!, 0.25, 1e-15);
  const h = (p: number) => -p * Math.log(p) - (1 - p) * Math.log(1 - p);
  const best = predictability(chain, 1);
  close(best.entropy, 0.75 * h(a) + 0.25 * h(b), 1e-15);
  close(best.accuracy, 0.75 * 0.9 + 0.25 * 0.7, 1e-15);
  const chance = predictability(chain, 0);
  close(chance.entropy, h(0.25), 1e-15);
  close(chance.accuracy, 0.75, 1e-15);
});

test("the stationary distribution stays the same after a step, also where some states are hardly ever left", () => {
  for (const [symbols, order, concentration] of [
    [5, 1, 1],
    [4, 2, 0.05],
    [3, 4, 0.2],
    [2, 1, 100],
  ] as const) {
    const chain = drawMarkovChain(symbols, order, concentration, keyOfSeed(3));
    const after = new Float64Array(chain.states);
    for (let s = 0; s < chain.states; s++) {
      for (let c = 0; c < symbols; c++) {
        after[stateAfter(chain, s, c)]! += chain.stationary[s]! * chain.next[s * symbols + c]!;
      }
    }
    // A sum of `symbols` products of numbers with a few roundings each, and elimination without cancellation.
    for (let s = 0; s < chain.states; s++) close(after[s]!, chain.stationary[s]!, 1e-13, `in state ${s}`);
    close(
      chain.stationary.reduce((sum, p) => sum + p, 0),
      1,
      1e-14,
    );
  }
});

test("more symbols in sight never predict worse, and the entropy rate is that of one step of the chain of states", () => {
  const chain = drawMarkovChain(4, 3, 0.3, keyOfSeed(5));
  const seen = [0, 1, 2, 3].map((n) => predictability(chain, n));
  for (let n = 1; n < 4; n++) {
    assert.ok(seen[n]!.entropy < seen[n - 1]!.entropy);
    assert.ok(seen[n]!.accuracy > seen[n - 1]!.accuracy);
  }
  let rate = 0;
  for (let s = 0; s < chain.states; s++) {
    for (const p of chain.next.subarray(4 * s, 4 * s + 4)) rate -= chain.stationary[s]! * p * Math.log(p);
  }
  close(seen[3]!.entropy, rate, 1e-13);
});

test("drawn symbols have the chain's frequencies from the first one on", () => {
  const chain = drawMarkovChain(3, 2, 0.5, keyOfSeed(8));
  const stream = new RandomStream(keyOfSeed(9));
  const runs = 20_000;
  const at = [0, 1, 6].map(() => new Float64Array(chain.states));
  const drawn = new Uint32Array(8);
  for (let run = 0; run < runs; run++) {
    drawSymbols(chain, stream, drawn);
    [0, 1, 6].forEach((t, k) => {
      at[k]![3 * drawn[t]! + drawn[t + 1]!]!++;
    });
  }
  // Runs are independent: each count is binomial.
  for (const counts of at) assert.ok(haveProbabilities(counts, chain.stationary));
  assert.not(haveProbabilities(at[0]!, new Float64Array(chain.states).fill(1 / 9)));
});

test("the next symbol has the probabilities of the state before it", () => {
  const chain = drawMarkovChain(3, 2, 0.5, keyOfSeed(8));
  const drawn = new Uint32Array(60_002);
  drawSymbols(chain, new RandomStream(keyOfSeed(10)), drawn);
  const counts = new Float64Array(chain.states * 3);
  for (let t = 2; t < drawn.length; t++) counts[9 * drawn[t - 2]! + 3 * drawn[t - 1]! + drawn[t]!]!++;
  for (let s = 0; s < chain.states; s++) {
    const [from, end] = [3 * s, 3 * s + 3];
    assert.ok(haveProbabilities(counts.subarray(from, end), chain.next.subarray(from, end)), `state ${s}`);
  }
});

/** Whether each count is within five standard deviations of a binomial, and one count. */
function haveProbabilities(counts: Float64Array, probabilities: Float64Array): boolean {
  const total = counts.reduce((sum, n) => sum + n, 0);
  return counts.every((count, i) => {
    const p = probabilities[i]!;
    return Math.abs(count - total * p) <= 5 * Math.sqrt(total * p * (1 - p)) + 1;
  });
}

test("rows are Dirichlet draws: their mean entropy is ψ(k·a + 1) − ψ(a + 1)", () => {
  // With a = 1 the digamma functions are harmonic numbers: H_k − 1.
  const symbols = 6;
  const chain = drawMarkovChain(symbols, 3, 1, keyOfSeed(11));
  const entropies = Array.from({ length: chain.states }, (_, s) =>
    chain.next.subarray(symbols * s, symbols * (s + 1)).reduce((sum, p) => sum - p * Math.log(p), 0),
  );
  const mean = entropies.reduce((sum, h) => sum + h, 0) / chain.states;
  const variance = entropies.reduce((sum, h) => sum + (h - mean) ** 2, 0) / chain.states;
  const expected = 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6;
  close(mean, expected, 5 * Math.sqrt(variance / chain.states));
});

test.run();
