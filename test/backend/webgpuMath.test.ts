// The elementary functions of kernels/shared/math.wgsl against f64: the bounds of assembly/math.ts and what WGSL may add to them.

import * as assert from "uvu/assert";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { EXTREME, evaluate, points, SPECIAL, ulpsOff, worstUlps } from "../support/elementary.ts";
import { BOUNDED_OPS, POINTWISE_TESTS, UNARY_OPS, WGSL_ULPS } from "../support/pointwise.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const POINTS = 100_003;

/** Devices may take subnormal numbers for 0: results of this size, or parts of them. */
const TINY = 2 ** -122;

function isTiny(x: number): boolean {
  return x !== 0 && Math.abs(x) < TINY;
}

/** Evenly spaced f32 numbers, both ends included. */
function evenly(from: number, to: number): Float32Array {
  return Float32Array.from({ length: POINTS }, (_, k) => from + ((to - from) * k) / (POINTS - 1));
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ backend: WebGpuBackend }>("webgpu elementary functions");
  test.before(async (context) => {
    context.backend = await createWebGpuBackend();
  });
  test.after(async ({ backend }) => backend.dispose());

  for (const op of BOUNDED_OPS) {
    const { f, ulps } = POINTWISE_TESTS[op];
    const bound = ulps!.f32 + WGSL_ULPS;
    test(`${op} is within ${bound} ulp`, async ({ backend }) => {
      for (const [low, high] of ulps!.ranges) {
        const x = points(low, high, "f32", POINTS).filter((v) => !isTiny(v) && !isTiny(f(v)));
        const worst = worstUlps(
          await evaluate(backend, op, x),
          Array.from(x, (v) => f(v)),
          "f32",
        );
        assert.ok(worst.ulps <= bound, `${worst.ulps} ulp at ${x[worst.at]}`);
      }
    });
  }

  for (const op of UNARY_OPS) {
    test(`${op} is right at zeros, infinities, NaN and where it overflows`, async ({ backend }) => {
      const { f, ulps } = POINTWISE_TESTS[op];
      const x = Float32Array.from([...SPECIAL, 200, -200, ...EXTREME]).filter((v) => !isTiny(v));
      const y = await evaluate(backend, op, x);
      x.forEach((v, k) => {
        const expected = f(v);
        const isRight = isTiny(expected) ? Math.abs(y[k]!) < TINY : y[k] === Math.fround(expected);
        const off = ulpsOff(y[k]!, expected, "f32");
        assert.ok(isRight || off <= (ulps?.f32 ?? 1) + WGSL_ULPS, `${op}(${v}): got ${y[k]}, expected ${expected}`);
      });
    });
  }

  test("pow is within 5e-7 where the exponent of its result is moderate", async ({ backend }) => {
    const a = evenly(0.05, 6);
    const b = Float32Array.from(evenly(-5, 5), (_, k) => -5 + 10 * ((k * 0.6180339887) % 1));
    const y = await evaluate(backend, "pow", a, b);
    for (let k = 0; k < POINTS; k++) {
      const expected = a[k]! ** b[k]!;
      assert.ok(Math.abs(y[k]! - expected) <= 5e-7 * expected, `${a[k]}^${b[k]}: ${y[k]}, expected ${expected}`);
    }
  });

  test("pow of negative bases: whole exponents, and NaN for others", async ({ backend }) => {
    const a = Float32Array.of(-2, -2, -3, -0.5, -2, -0, -Infinity);
    const b = Float32Array.of(3, -2, 5, 0, 2.5, 3, 3);
    const y = await evaluate(backend, "pow", a, b);
    a.forEach((base, k) => {
      const expected = base ** b[k]!;
      const close = Math.abs(y[k]! - expected) <= 5e-7 * Math.abs(expected);
      assert.ok(Object.is(y[k], expected) || close, `${base}^${b[k]}: ${y[k]}, expected ${expected}`);
    });
  });

  test("a wrong result would be noticed", async ({ backend }) => {
    const x = evenly(-5, 5);
    const y = await evaluate(backend, "tanh", x);
    assert.ok(ulpsOff(y[100]! * (1 + 1e-6), Math.tanh(x[100]!), "f32") > 5);
  });

  test("pow and log of subnormal numbers, which a device may take for 0 elsewhere", async ({ backend }) => {
    const x = Float32Array.of(1e-38, 1e-39, 1e-44, 1.2e-38);
    const logs = await evaluate(backend, "log", x);
    const powers = await evaluate(
      backend,
      "pow",
      x,
      Float32Array.from(x, () => -0.2),
    );
    x.forEach((value, k) => {
      assert.ok(ulpsOff(logs[k]!, Math.log(value), "f32") <= 4, `log ${value}: ${logs[k]}`);
      const power = value ** -0.2;
      assert.ok(Math.abs(powers[k]! - power) <= 1e-6 * power, `${value}^-0.2: ${powers[k]}, expected ${power}`);
    });
  });

  test("pow overflows to Infinity and underflows to 0, never to NaN", async ({ backend }) => {
    const a = Float32Array.of(1e38, 1e30, 1e-38, 0.5, 2, 2, 0);
    const b = Float32Array.of(2, 3, 3, 400, 127.9, 1e30, 2.5);
    const y = await evaluate(backend, "pow", a, b);
    assert.equal([...y.subarray(0, 4)], [Infinity, Infinity, 0, 0]);
    assert.ok(Math.abs(y[4]! / 2 ** Math.fround(127.9) - 1) < 5e-6, `${y[4]}`);
    assert.equal([...y.subarray(5)], [Infinity, 0]);
  });

  test("pow of an infinite exponent is 0 or Infinity, of NaN it is NaN, but for the exponent 0", async ({
    backend,
  }) => {
    const a = Float32Array.of(2, 0.5, 2, 0.5, -2, 0, Infinity, NaN, 2, 0, NaN, -1);
    const b = Float32Array.of(
      Infinity,
      Infinity,
      -Infinity,
      -Infinity,
      Infinity,
      Infinity,
      -Infinity,
      2,
      NaN,
      NaN,
      0,
      NaN,
    );
    const expected = [...a].map((base, k) => base ** b[k]!);
    assert.equal([...(await evaluate(backend, "pow", a, b))], expected);
  });

  test.run();
}
