// Elementary functions of the WASM backend against double precision: the error bounds that assembly/math.ts states, at a million
// points and at the places where formulas break.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import type { BinaryOp, UnaryOp } from "../../src/backend/program.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import type { FloatArray } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { BINARY, UNARY } from "../support/oracle/pointwise.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";

const test = suite("elementary functions");
const f32 = await createWasmBackend({ dtype: "f32" });
const f64 = await createWasmBackend({ dtype: "f64" });
test.after(() => Promise.all([f32.dispose(), f64.dispose()]).then(() => {}));

const N = 300_000;

/** f of every number (and of every pair), computed by the backend. */
async function evaluate(
  backend: Backend,
  op: UnaryOp | BinaryOp,
  ...inputs: readonly FloatArray[]
): Promise<FloatArray> {
  const n = inputs[0]!.length;
  const builder = new ProgramBuilder(op);
  const ids = inputs.map((_, i) => builder.input(`x${i}`, "row", { rows: n }));
  const y = builder.output("y", "row", { rows: n });
  builder.plainPhase(n, (p) => {
    const args = ids.map((binding) => p.push({ op: "load", binding }));
    p.push({ op: "store", binding: y, value: p.push({ op, args }), accumulate: false });
  });
  const buffers = [...inputs, null].map((data, i) => {
    const buffer = backend.buffer(`${op}${i}`, n);
    if (data) backend.upload(buffer, data);
    return buffer;
  });
  const names = [...inputs.map((_, i) => [`x${i}`, buffers[i]!] as const), ["y", buffers.at(-1)!] as const];
  backend.run(backend.bind(backend.compile(builder.build(), backend.layoutFor(1)), Object.fromEntries(names)));
  const result = (await backend.download(buffers.at(-1)!)) as FloatArray;
  for (const buffer of buffers) buffer.release();
  return result;
}

/** Distance between neighbours of |y| in f32 or f64. */
function spacing(y: number, dtype: "f32" | "f64"): number {
  const [digits, smallest] = dtype === "f32" ? [23, 2 ** -149] : [52, 2 ** -1074];
  return Math.max(2 ** (Math.floor(Math.log2(Math.abs(y))) - digits), smallest);
}

/** Largest error in units in the last place; infinite where NaN or infinity do not agree. */
function worstUlps(
  actual: FloatArray,
  expected: readonly number[],
  dtype: "f32" | "f64",
): { ulps: number; at: number } {
  const worst = { ulps: 0, at: -1 };
  expected.forEach((y, i) => {
    const rounded = dtype === "f32" ? Math.fround(y) : y;
    const same = Object.is(actual[i], rounded);
    const comparable = Number.isFinite(actual[i]!) && Number.isFinite(rounded);
    const ulps = same ? 0 : comparable ? Math.abs(actual[i]! - y) / spacing(y, dtype) : Number.POSITIVE_INFINITY;
    if (ulps > worst.ulps) Object.assign(worst, { ulps, at: i });
  });
  return worst;
}

/** Points spread evenly over [low, high], over its magnitudes, and over [−4, 4]. */
function points(low: number, high: number, dtype: "f32" | "f64"): FloatArray {
  const stream = new RandomStream(keyOfSeed(1));
  const draw = (i: number): number => {
    const x = low + (high - low) * stream.uniform();
    if (i % 3 === 0) return x;
    return i % 3 === 1
      ? Math.sign(x) * Math.abs(x) ** (stream.uniform() * 8 - 7)
      : Math.max(low, 8 * stream.uniform() - 4);
  };
  return dtype === "f32"
    ? Float32Array.from({ length: N }, (_, i) => draw(i))
    : Float64Array.from({ length: N }, (_, i) => draw(i));
}

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  2 ** -149,
  -(2 ** -149),
  2 ** -126,
  1e-30,
  -1e-30,
  0.625,
  1.5,
  20,
  20.5,
  88.7,
  89.5,
  -87.4,
  -103.9,
  -104.5,
];
const EXTREME = [3e38, -3e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];

/** In f32: the bound of assembly/math.ts. In f64 the reference takes its share; that of erf is good to 1e-15 only. */
const UNARY_BOUNDS = [
  { op: "exp", low: -104, high: 89, ulps: 1, ulps64: 4 },
  { op: "log", low: 2 ** -149, high: 3e38, ulps: 1, ulps64: 4 },
  { op: "sigmoid", low: -88, high: 88, ulps: 3, ulps64: 4 },
  { op: "tanh", low: -20, high: 20, ulps: 2, ulps64: 4 },
  { op: "softplus", low: -88, high: 88, ulps: 3, ulps64: 4 },
  { op: "erf", low: -6, high: 6, ulps: 2, ulps64: 12 },
] as const;

for (const { op, low, high, ulps, ulps64 } of UNARY_BOUNDS) {
  test(`${op} in f32 is within ${ulps} ulp`, async () => {
    const x = points(low, high, "f32");
    const worst = worstUlps(await evaluate(f32, op, x), Array.from(x, UNARY[op]), "f32");
    assert.ok(worst.ulps <= ulps, `${worst.ulps} ulp at ${x[worst.at]}`);
  });

  test(`${op} in f64 is within ${ulps64} ulp`, async () => {
    const x = points(low, high, "f64");
    const worst = worstUlps(await evaluate(f64, op, x), Array.from(x, UNARY[op]), "f64");
    assert.ok(worst.ulps <= ulps64, `${worst.ulps} ulp at ${x[worst.at]}`);
  });

  for (const backend of [f32, f64]) {
    test(`${op} in ${backend.dtype} is right at zeros, infinities, NaN and subnormal numbers`, async () => {
      const special = [...SPECIAL, ...EXTREME];
      const x = backend.dtype === "f32" ? Float32Array.from(special) : Float64Array.from(special);
      const worst = worstUlps(await evaluate(backend, op, x), Array.from(x, UNARY[op]), backend.dtype);
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
    const expected = Array.from(a, (base, i) => BINARY.pow(base, b[i]!));
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
