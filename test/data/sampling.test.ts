import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { bernoulliCells, distinctCells, gamma, shuffle, uniform53 } from "../../src/data/sampling.ts";

const test = suite("sampling");

test("cells are drawn ascending, each with its probability, also with 0 and 1", () => {
  const stream = new RandomStream(keyOfSeed(1));
  for (const p of [0.001, 0.2, 0.9]) {
    const hits = new Float64Array(10);
    let count = 0;
    let last = -1;
    for (const cell of bernoulliCells(200_000, p, stream)) {
      assert.ok(cell > last && cell < 200_000);
      last = cell;
      hits[cell % 10]!++;
      count++;
    }
    const sigma = Math.sqrt(200_000 * p * (1 - p));
    assert.ok(Math.abs(count - 200_000 * p) < 5 * sigma, `${count} with p = ${p}`);
    for (const h of hits) assert.ok(Math.abs(h - 20_000 * p) < 5 * Math.sqrt(20_000 * p * (1 - p)) + 1);
  }
  assert.equal([...bernoulliCells(3, 0, stream)], []);
  assert.equal([...bernoulliCells(3, 1, stream)], [0, 1, 2]);
});

test("many more cells than memory holds cost nothing", () => {
  const cells = [...bernoulliCells(2 ** 50, 2 ** -47, new RandomStream(keyOfSeed(2)))];
  assert.ok(cells.length < 40);
  assert.ok(cells.every((cell) => Number.isSafeInteger(cell) && cell < 2 ** 50));
});

test("distinct cells are exactly as many as asked for", () => {
  for (let seed = 0; seed < 200; seed++) {
    const stream = new RandomStream(keyOfSeed(seed));
    const total = 1 + stream.below(40);
    const count = stream.below(total + 1);
    const cells = distinctCells(total, count, stream);
    assert.is(cells.length, count);
    assert.is(new Set(cells).size, count, `seed ${seed}`);
    assert.ok(cells.every((cell) => Number.isInteger(cell) && cell >= 0 && cell < total));
  }
});

test("every set of distinct cells is equally likely", () => {
  const counts = new Map<string, number>();
  const stream = new RandomStream(keyOfSeed(3));
  for (let k = 0; k < 20_000; k++) {
    const set = distinctCells(5, 2, stream).sort().join();
    counts.set(set, (counts.get(set) ?? 0) + 1);
  }
  assert.is(counts.size, 10);
  // 2000 ± 42; chi-squared with 9 degrees of freedom is above 28 once in a thousand times.
  const chiSquared = [...counts.values()].reduce((sum, n) => sum + (n - 2000) ** 2 / 2000, 0);
  assert.ok(chiSquared < 28, `${chiSquared}`);
});

test("a shuffle keeps the elements, and fine uniforms stay below one", () => {
  const stream = new RandomStream(keyOfSeed(4));
  const array = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  shuffle(array, stream);
  assert.is.not(array.join(), "1,2,3,4,5,6,7,8,9");
  assert.is(array.sort().join(), "1,2,3,4,5,6,7,8,9");
  for (let k = 0; k < 10_000; k++) assert.ok(uniform53(stream) < 1);
});

test("gamma draws have their mean, their variance, and the mean of their logarithm", () => {
  // ψ(shape): −γ − 2 ln 2 at 1/2, 1 − γ at 2; γ is Euler's constant.
  const euler = 0.5772156649015329;
  for (const [shape, digamma] of [
    [0.5, -euler - 2 * Math.LN2],
    [2, 1 - euler],
  ] as const) {
    const stream = new RandomStream(keyOfSeed(31));
    const n = 50_000;
    const draws = Array.from({ length: n }, () => gamma(shape, stream));
    // Five standard errors: the variance of a draw is the shape, of its square 4·shape³ + 10·shape² + 6·shape; of its logarithm ψ′ ≤ 5.
    const near = (f: (x: number) => number, expected: number, variance: number) => {
      const mean = draws.reduce((sum, x) => sum + f(x), 0) / n;
      assert.ok(Math.abs(mean - expected) < 5 * Math.sqrt(variance / n), `${mean} instead of ${expected}`);
    };
    near((x) => x, shape, shape);
    near((x) => x * x, shape * (shape + 1), 4 * shape ** 3 + 10 * shape ** 2 + 6 * shape);
    near(Math.log, digamma, Math.PI ** 2 / 2);
  }
});

test.run();
