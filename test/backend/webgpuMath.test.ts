// The elementary functions of kernels/shared/math.wgsl against f64: the bounds of assembly/math.ts and what WGSL may add to them.

import * as assert from "uvu/assert";
import type { UnaryOp } from "../../src/backend/program.ts";
import { createWebGpuBackend, type WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { BINARY, UNARY } from "../support/oracle/pointwise.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const POINTS = 100_003;

/** Units in the last place of assembly/math.ts, and 3 more for fused products and divisions off by 2.5. */
const FUNCTIONS: readonly {
  readonly op: UnaryOp;
  readonly from: number;
  readonly to: number;
  readonly ulps: number;
}[] = [
  { op: "exp", from: -87, to: 88, ulps: 4 },
  { op: "log", from: 1e-3, to: 50, ulps: 4 },
  { op: "sigmoid", from: -80, to: 80, ulps: 6 },
  { op: "tanh", from: -12, to: 12, ulps: 5 },
  { op: "tanh", from: -0.01, to: 0.01, ulps: 5 },
  { op: "softplus", from: -80, to: 60, ulps: 6 },
  { op: "erf", from: -5, to: 5, ulps: 5 },
  { op: "erf", from: -0.01, to: 0.01, ulps: 5 },
];

/** Evenly spaced f32 numbers, both ends included. */
function points(from: number, to: number): Float32Array {
  return Float32Array.from({ length: POINTS }, (_, k) => from + ((to - from) * k) / (POINTS - 1));
}

/** Units in the last place of `expected` between it and `actual`. */
function ulpsBetween(actual: number, expected: number): number {
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(expected))));
  return Math.abs(actual - expected) / 2 ** (exponent - 23);
}

async function evaluate(backend: WebGpuBackend, op: string, inputs: readonly Float32Array[]): Promise<Float32Array> {
  const b = new ProgramBuilder(op);
  const rows = inputs[0]!.length;
  const from = inputs.map((_, k) => b.input(`x${k}`, "row", { rows }));
  const to = b.output("y", "row", { rows });
  b.plainPhase(rows, (p) => p.store(to, p.op(op as UnaryOp, ...from.map((id) => p.load(id)))));
  const buffers = Object.fromEntries([...inputs.map((_, k) => `x${k}`), "y"].map((n) => [n, backend.buffer(n, rows)]));
  inputs.forEach((x, k) => {
    backend.upload(buffers[`x${k}`]!, x);
  });
  backend.run(backend.bind(backend.compile(b.build(), backend.layoutFor(1)), buffers));
  const y = (await backend.download(buffers.y!)) as Float32Array;
  for (const buffer of Object.values(buffers)) buffer.release();
  return y;
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ backend: WebGpuBackend }>("webgpu elementary functions");
  test.before(async (context) => {
    context.backend = await createWebGpuBackend();
  });
  test.after(async ({ backend }) => backend.dispose());

  for (const { op, from, to, ulps } of FUNCTIONS) {
    test(`${op} on [${from}, ${to}] is within ${ulps} ulp`, async ({ backend }) => {
      const x = points(from, to);
      const y = await evaluate(backend, op, [x]);
      let worst = { ulps: 0, at: 0 };
      for (let k = 0; k < POINTS; k++) {
        const error = ulpsBetween(y[k]!, UNARY[op](x[k]!));
        // Devices may flush results below the smallest normal number.
        if (Math.abs(UNARY[op](x[k]!)) < 2 ** -126) continue;
        if (!(error <= worst.ulps)) worst = { ulps: error, at: x[k]! };
      }
      assert.ok(worst.ulps <= ulps, `${worst.ulps} ulp at ${worst.at}`);
    });
  }

  test("pow is within 5e-7 where the exponent of its result is moderate", async ({ backend }) => {
    const a = points(0.05, 6);
    const b = Float32Array.from(points(-5, 5), (_, k) => -5 + 10 * ((k * 0.6180339887) % 1));
    const y = await evaluate(backend, "pow", [a, b]);
    for (let k = 0; k < POINTS; k++) {
      const expected = BINARY.pow(a[k]!, b[k]!);
      assert.ok(Math.abs(y[k]! - expected) <= 5e-7 * expected, `${a[k]}^${b[k]}: ${y[k]}, expected ${expected}`);
    }
  });

  test("pow of negative bases: whole exponents, and NaN for others", async ({ backend }) => {
    const a = Float32Array.of(-2, -2, -3, -0.5, -2, -0, -Infinity);
    const b = Float32Array.of(3, -2, 5, 0, 2.5, 3, 3);
    const y = await evaluate(backend, "pow", [a, b]);
    a.forEach((base, k) => {
      const expected = BINARY.pow(base, b[k]!);
      const close = Math.abs(y[k]! - expected) <= 5e-7 * Math.abs(expected);
      assert.ok(Object.is(y[k], expected) || close, `${base}^${b[k]}: ${y[k]}, expected ${expected}`);
    });
  });

  test("a wrong result would be noticed", async ({ backend }) => {
    const x = points(-5, 5);
    const y = await evaluate(backend, "tanh", [x]);
    assert.ok(ulpsBetween(y[100]! * (1 + 1e-6), UNARY.tanh(x[100]!)) > 5);
  });

  test("pow and log of subnormal numbers, which a device may take for 0 elsewhere", async ({ backend }) => {
    const x = Float32Array.of(1e-38, 1e-39, 1e-44, 1.2e-38);
    const logs = await evaluate(backend, "log", [x]);
    const powers = await evaluate(backend, "pow", [x, Float32Array.from(x, () => -0.2)]);
    x.forEach((value, k) => {
      assert.ok(ulpsBetween(logs[k]!, Math.log(value)) <= 4, `log ${value}: ${logs[k]}`);
      const power = value ** -0.2;
      assert.ok(Math.abs(powers[k]! - power) <= 1e-6 * power, `${value}^-0.2: ${powers[k]}, expected ${power}`);
    });
  });

  test("pow overflows to Infinity and underflows to 0, never to NaN", async ({ backend }) => {
    const a = Float32Array.of(1e38, 1e30, 1e-38, 0.5, 2, 2, 0);
    const b = Float32Array.of(2, 3, 3, 400, 127.9, 1e30, 2.5);
    const y = await evaluate(backend, "pow", [a, b]);
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
    assert.equal([...(await evaluate(backend, "pow", [a, b]))], expected);
  });

  test("the ends of the range: 0, overflow, underflow, Infinity, NaN", async ({ backend }) => {
    const x = Float32Array.of(0, 200, -200, Infinity, -Infinity, NaN);
    const expected: Readonly<Partial<Record<UnaryOp, readonly number[]>>> = {
      exp: [1, Infinity, 0, Infinity, 0, NaN],
      sigmoid: [0.5, 1, 0, 1, 0, NaN],
      tanh: [0, 1, -1, 1, -1, NaN],
      relu: [0, 200, 0, Infinity, 0, NaN],
      softplus: [Math.fround(Math.LN2), 200, 0, Infinity, 0, NaN],
      erf: [0, 1, -1, 1, -1, NaN],
      sign: [0, 1, -1, 1, -1, NaN],
      floor: [0, 200, -200, Infinity, -Infinity, NaN],
      sqrt: [0, Math.fround(Math.sqrt(200)), NaN, Infinity, NaN, NaN],
      log: [-Infinity, Math.fround(Math.log(200)), NaN, Infinity, NaN, NaN],
      isFinite: [1, 1, 1, 0, 0, 0],
    };
    for (const [op, values] of Object.entries(expected)) {
      const y = await evaluate(backend, op, [x]);
      values.forEach((value, k) => {
        const ok = Object.is(y[k], value) || y[k] === value || ulpsBetween(y[k]!, value) <= 4;
        assert.ok(ok, `${op}(${x[k]}): got ${y[k]}, expected ${value}`);
      });
    }
  });

  test.run();
}
