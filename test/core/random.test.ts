import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream, threefry2x32, uniformAt } from "../../src/core/random.ts";

const test = suite("random");

const KEY: Key = [0x12345678, 0x9abcdef0];

/** Asserts |observed − expected| ≤ 5 standard errors: with a fixed seed a fact, for a random one false once in two million. */
function assertWithinFiveSigma(observed: number, expected: number, standardError: number, what: string): void {
  const sigmas = Math.abs(observed - expected) / standardError;
  assert.ok(sigmas <= 5, `${what}: ${observed} is ${sigmas.toFixed(1)} standard errors from ${expected}`);
}

test("threefry2x32 gives the known answers of Random123", () => {
  // Random123, tests/kat_vectors, lines "threefry2x32 20".
  const vectors: readonly (readonly [counter: Key, key: Key, expected: Key])[] = [
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x243f6a88, 0x85a308d3],
      [0x13198a2e, 0x03707344],
      [0xc4923a9c, 0x483df7a0],
    ],
  ];
  for (const [[c0, c1], key, expected] of vectors) assert.equal(threefry2x32(key, c0, c1), expected);
});

test("a stream continues from its position, after an even or odd number of words", () => {
  for (const words of [0, 1, 2, 7, 8, 101]) {
    const stream = new RandomStream(KEY);
    for (let i = 0; i < words; i++) stream.bits();
    assert.is(stream.position, words);
    const resumed = new RandomStream(KEY, stream.position);
    for (let i = 0; i < 5; i++) assert.is(resumed.bits(), stream.bits());
  }
});

test("a stream continues from positions beyond 32 bits", () => {
  for (const position of [2 ** 33 - 2, 2 ** 33, 2 ** 40 + 6]) {
    const stream = new RandomStream(KEY, position);
    stream.bits();
    const resumed = new RandomStream(KEY, stream.position);
    assert.is(resumed.bits(), stream.bits());
  }
});

test("a stream resumes after every kind of draw", () => {
  const stream = new RandomStream(KEY);
  stream.normal();
  stream.uniform();
  stream.below(6);
  stream.permutation(10);
  const resumed = new RandomStream(KEY, stream.position);
  assert.is(resumed.normal(), stream.normal());
});

test("streams of different keys differ, streams of one key agree", () => {
  const words = (key: Key): number[] => {
    const stream = new RandomStream(key);
    return Array.from({ length: 8 }, () => stream.bits());
  };
  assert.equal(words(KEY), words(KEY));
  assert.not.equal(words(KEY), words([KEY[0], KEY[1] ^ 1]));
});

test("uniform lies in [0, 1) with mean 1/2 and variance 1/12", () => {
  const stream = new RandomStream(KEY);
  const n = 100_000;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < n; i++) {
    const u = stream.uniform();
    assert.ok(u >= 0 && u < 1);
    sum += u;
    squares += (u - 0.5) ** 2;
  }
  assertWithinFiveSigma(sum / n, 1 / 2, Math.sqrt(1 / 12 / n), "mean");
  // Variance of (u − 1/2)²: E(u − 1/2)⁴ − (1/12)² = 1/80 − 1/144 = 1/180.
  assertWithinFiveSigma(squares / n, 1 / 12, Math.sqrt(1 / 180 / n), "variance");
});

test("normal has the moments of the standard normal distribution", () => {
  const stream = new RandomStream(KEY);
  const n = 100_000;
  const moments = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const x = stream.normal();
    assert.ok(Number.isFinite(x));
    for (let k = 0; k < 4; k++) moments[k]! += x ** (k + 1) / n;
  }
  // E xᵏ and Var xᵏ = E x²ᵏ − (E xᵏ)², with E x², x⁴, x⁶, x⁸ = 1, 3, 15, 105.
  assertWithinFiveSigma(moments[0]!, 0, Math.sqrt(1 / n), "mean");
  assertWithinFiveSigma(moments[1]!, 1, Math.sqrt(2 / n), "second moment");
  assertWithinFiveSigma(moments[2]!, 0, Math.sqrt(15 / n), "third moment");
  assertWithinFiveSigma(moments[3]!, 3, Math.sqrt(96 / n), "fourth moment");
});

test("below gives every whole number from 0 to n − 1 equally often", () => {
  const stream = new RandomStream(KEY);
  const n = 60_000;
  for (const sides of [1, 2, 6, 10]) {
    const counts = new Array<number>(sides).fill(0);
    for (let i = 0; i < n; i++) {
      const x = stream.below(sides);
      assert.ok(Number.isInteger(x) && x >= 0 && x < sides);
      counts[x]!++;
    }
    const p = 1 / sides;
    for (const count of counts)
      assertWithinFiveSigma(count / n, p, Math.sqrt((p * (1 - p)) / n) || 1e-12, `of ${sides}`);
  }
});

test("below is not biased where n does not divide 2^32: a plain remainder would favour the lower half", () => {
  // With n = 3·2^30 a remainder would give the numbers below 2^30 twice as often as the others.
  const stream = new RandomStream(KEY);
  const n = 20_000;
  let low = 0;
  for (let i = 0; i < n; i++) if (stream.below(3 * 2 ** 30) < 2 ** 30) low++;
  assertWithinFiveSigma(low / n, 1 / 3, Math.sqrt(2 / 9 / n), "lower third");
});

test("a permutation holds every number once, and every number reaches every place", () => {
  for (const n of [0, 1, 2, 17, 1000]) {
    const sorted = new RandomStream(KEY).permutation(n).sort();
    assert.equal(
      [...sorted],
      Array.from({ length: n }, (_, i) => i),
    );
  }
  const stream = new RandomStream(KEY);
  const times = 24_000;
  const counts = new Map<string, number>();
  for (let i = 0; i < times; i++) {
    const p = stream.permutation(4).join();
    counts.set(p, (counts.get(p) ?? 0) + 1);
  }
  assert.is(counts.size, 24);
  const p = 1 / 24;
  for (const [order, count] of counts) assertWithinFiveSigma(count / times, p, Math.sqrt((p * (1 - p)) / times), order);
});

test("derived keys differ by label, by parent, and from their parent", () => {
  const labels = ["weights", "weight", "dropout", "a", "b", "ab", "ba", 0, 1, 2, 2 ** 32, 2 ** 32 + 1];
  const keys = [KEY, keyOfSeed(1)].flatMap((parent) => [parent, ...labels.map((label) => deriveKey(parent, label))]);
  assert.is(new Set(keys.map((key) => key.join())).size, keys.length);
  assert.equal(deriveKey(KEY, "weights"), deriveKey(KEY, "weights"));
});

test("streams of derived keys are uncorrelated", () => {
  const [a, b] = ["weights", "dropout"].map((label) => new RandomStream(deriveKey(KEY, label)));
  const n = 20_000;
  let correlation = 0;
  for (let i = 0; i < n; i++) correlation += ((a!.uniform() - 0.5) * (b!.uniform() - 0.5) * 12) / n;
  assertWithinFiveSigma(correlation, 0, Math.sqrt(1 / n), "correlation");
});

test("keyOfSeed takes whole numbers up to 2^53 − 1 and gives each its own key", () => {
  const seeds = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  assert.is(new Set(seeds.map((seed) => keyOfSeed(seed).join())).size, seeds.length);
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(
      () => keyOfSeed(seed),
      (error: unknown) => error instanceof ArgumentError && /\(seed\)/.test(error.message),
    );
  }
});

test("uniformAt is exact in f32, depends on key, row and sample, and is the top 24 bits of Threefry", () => {
  const draws = new Set<number>();
  for (let row = 0; row < 30; row++) {
    for (let sample = 0; sample < 30; sample++) {
      const u = uniformAt(KEY, row, sample);
      assert.ok(u >= 0 && u < 1 && Math.fround(u) === u);
      assert.is(u, (threefry2x32(KEY, row, sample)[0] >>> 8) / 2 ** 24);
      draws.add(u);
    }
  }
  assert.is(draws.size, 900);
  assert.is.not(uniformAt(KEY, 3, 4), uniformAt([KEY[0] + 1, KEY[1]], 3, 4));
});

test.run();
