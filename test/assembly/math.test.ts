// Elementary functions of the WASM backend against double precision: the error bounds of test/support/pointwise.ts, which assembly/math.ts
// states, at a million points and at the places where formulas break.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { EXTREME, evaluate, points, SPECIAL, spacing, worstUlps } from "../support/elementary.ts";
import { BOUNDED_OPS, POINTWISE_TESTS } from "../support/pointwise.ts";

const test = suite("elementary functions");
const f32 = await createWasmBackend({ dtype: "f32" });
const f64 = await createWasmBackend({ dtype: "f64" });
test.after(() => Promise.all([f32.dispose(), f64.dispose()]).then(() => {}));

const N = 300_000;

for (const op of BOUNDED_OPS) {
  const { f, ulps } = POINTWISE_TESTS[op];
  const { ranges } = ulps!;
  for (const backend of [f32, f64]) {
    const { dtype } = backend;
    test(`${op} in ${dtype} is within ${ulps![dtype]} ulp`, async () => {
      for (const [low, high] of ranges) {
        const x = points(low, high, dtype, N);
        const worst = worstUlps(
          await evaluate(backend, op, x),
          Array.from(x, (v) => f(v)),
          dtype,
        );
        assert.ok(worst.ulps <= ulps![dtype], `${worst.ulps} ulp at ${x[worst.at]}`);
      }
    });

    test(`${op} in ${dtype} is right at zeros, infinities, NaN and subnormal numbers`, async () => {
      const special = [...SPECIAL, ...EXTREME];
      const x = dtype === "f32" ? Float32Array.from(special) : Float64Array.from(special);
      const worst = worstUlps(
        await evaluate(backend, op, x),
        Array.from(x, (v) => f(v)),
        dtype,
      );
      assert.ok(worst.ulps <= 4, `${worst.ulps} ulp at ${x[worst.at]}`);
    });
  }
}

/** Correctly rounded values of erf in each of its intervals, computed with 40 digits (mpmath 1.3). */
const ERF_TABLE: readonly (readonly [number, number])[] = [
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [0.84, 0.7651427114549945],
  [0.85, 0.7706680576083526],
  [1.0, 0.8427007929497149],
  [1.2, 0.9103139782296353],
  [1.3, 0.9340079449406524],
  [1.9, 0.9927904292352575],
  [2.5, 0.999593047982555],
  [2.9, 0.9999589021219005],
  [3.5, 0.9999992569016276],
  [5.5, 0.9999999999999927],
];

test("erf in f64 is within 1 ulp of values computed with 40 digits", async () => {
  const y = await evaluate(
    f64,
    "erf",
    Float64Array.from(ERF_TABLE, ([x]) => x),
  );
  const worst = worstUlps(
    y,
    ERF_TABLE.map(([, expected]) => expected),
    "f64",
  );
  assert.ok(worst.ulps <= 1, `${worst.ulps} ulp at ${ERF_TABLE[worst.at]?.[0]}`);
});

test("the comparison finds a result that is off by two ulps", () => {
  const expected = [1, 2, 3].map((x) => Math.exp(x));
  const actual = Float32Array.from(expected);
  assert.ok(worstUlps(actual, expected, "f32").ulps <= 0.5);
  actual[1]! += 2 * spacing(expected[1]!, "f32");
  assert.is(worstUlps(actual, expected, "f32").at, 1);
  assert.ok(worstUlps(actual, expected, "f32").ulps >= 1.5);
  actual[1] = Number.NaN;
  assert.is(worstUlps(actual, expected, "f32").ulps, Number.POSITIVE_INFINITY);
});

test("pow in f32 has a relative error below 5e-7 while |b·ln a| < 20", async () => {
  const stream = new RandomStream(keyOfSeed(2));
  const a = Float32Array.from({ length: N }, (_, i) =>
    i % 2 === 0 ? Math.exp(170 * stream.uniform() - 85) : 0.5 + stream.uniform(),
  );
  const b = a.map((base) => (40 * stream.uniform() - 20) / Math.log(base));
  const y = await evaluate(f32, "pow", a, b);
  const errors = Array.from(y, (actual, i) => Math.abs(actual / a[i]! ** b[i]! - 1));
  const usable = errors.filter((_, i) => Math.abs(b[i]! * Math.log(a[i]!)) < 20);
  assert.ok(usable.length > 0.99 * N);
  const worst = usable.reduce((m, e) => Math.max(m, e), 0);
  assert.ok(worst < 5e-7, `${worst}`);
});

for (const backend of [f32, f64]) {
  test(`pow in ${backend.dtype} is right at the ends of its domain`, async () => {
    const sizes = [0, 2 ** -140, 0.5, 1, 2, 3e38, Number.POSITIVE_INFINITY];
    const bases = [...sizes, ...sizes.map((a) => -a), Number.NaN];
    const exponents = [
      0,
      1,
      -1,
      0.5,
      2,
      3,
      -3,
      7,
      -40,
      -40.5,
      1000,
      1e20,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ];
    const pairs = bases.flatMap((a) => exponents.map((b) => [a, b] as const));
    const array = (x: readonly number[]): FloatArray =>
      backend.dtype === "f32" ? Float32Array.from(x) : Float64Array.from(x);
    const a = array(pairs.map(([base]) => base));
    const b = array(pairs.map(([, exponent]) => exponent));
    const expected = Array.from(a, (base, i) => base ** b[i]!);
    const worst = worstUlps(await evaluate(backend, "pow", a, b), expected, backend.dtype);
    assert.ok(worst.ulps <= 16, `${worst.ulps} ulp at ${a[worst.at]}^${b[worst.at]}`);
  });

  test(`pow in ${backend.dtype} takes whole exponents of negative bases, and gives NaN for others`, async () => {
    const array = (...x: number[]) => (backend.dtype === "f32" ? Float32Array.from(x) : Float64Array.from(x));
    const a = array(-2, -0.5, -2, -2, -2, -1, -0, -0);
    const b = array(-2, -0.5, 3, 4, 2.5, 1, 3, -1);
    const y = Array.from(await evaluate(backend, "pow", a, b));
    const expected = [0.25, Number.NaN, -8, 16, Number.NaN, -1, -0, Number.NEGATIVE_INFINITY];
    expected.forEach((x, i) => {
      assert.ok(Object.is(y[i], x) || Math.abs(y[i]! - x) <= 1e-6 * Math.abs(x), `${a[i]}^${b[i]}: ${y[i]}`);
    });
  });
}

test.run();
