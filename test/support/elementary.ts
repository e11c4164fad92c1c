// Elementary functions of a backend at many points, and how far they are off.

import type { Backend } from "../../src/backend/backend.ts";
import type { PointwiseOp } from "../../src/backend/program.ts";
import type { DType, FloatArray } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { ProgramBuilder } from "./programBuilder.ts";

/** The op at every number (or at every pair), computed by the backend. */
export async function evaluate(
  backend: Backend,
  op: PointwiseOp,
  ...inputs: readonly FloatArray[]
): Promise<FloatArray> {
  const rows = inputs[0]!.length;
  const b = new ProgramBuilder(op);
  const from = inputs.map((_, k) => b.input(`x${k}`, "row", { rows }));
  const to = b.output("y", "row", { rows });
  b.plainPhase(rows, (p) => p.store(to, p.op(op, ...from.map((id) => p.load(id)))));
  const names = [...inputs.map((_, k) => `x${k}`), "y"];
  const buffers = Object.fromEntries(names.map((name) => [name, backend.buffer(name, rows)]));
  inputs.forEach((x, k) => {
    backend.upload(buffers[`x${k}`]!, x);
  });
  backend.run(backend.bind(backend.compile(b.build(), backend.layoutFor(1)), buffers));
  const y = (await backend.download(buffers.y!)) as FloatArray;
  for (const buffer of Object.values(buffers)) buffer.release();
  return y;
}

/** Numbers in [low, high]: spread evenly, over magnitudes, and over [−4, 4]. */
export function points(low: number, high: number, dtype: DType, count: number): FloatArray {
  const stream = new RandomStream(keyOfSeed(1));
  const draw = (i: number): number => {
    const x = low + (high - low) * stream.uniform();
    if (i % 3 === 0) return x;
    const y = i % 3 === 1 ? Math.sign(x) * Math.abs(x) ** (stream.uniform() * 8 - 7) : 8 * stream.uniform() - 4;
    return Math.min(high, Math.max(low, y));
  };
  const numbers = Array.from({ length: count }, (_, i) => draw(i));
  return dtype === "f32" ? Float32Array.from(numbers) : Float64Array.from(numbers);
}

/** Distance between neighbours of |y|. */
export function spacing(y: number, dtype: DType): number {
  const [digits, smallest] = dtype === "f32" ? [23, 2 ** -149] : [52, 2 ** -1074];
  return Math.max(2 ** (Math.floor(Math.log2(Math.abs(y))) - digits), smallest);
}

/** The error of a result in units in the last place; infinite where NaN or infinity do not agree. */
export function ulpsOff(actual: number, expected: number, dtype: DType): number {
  const rounded = dtype === "f32" ? Math.fround(expected) : expected;
  if (Object.is(actual, rounded)) return 0;
  const comparable = Number.isFinite(actual) && Number.isFinite(rounded);
  return comparable ? Math.abs(actual - expected) / spacing(expected, dtype) : Number.POSITIVE_INFINITY;
}

/** The largest error and where it is. */
export function worstUlps(
  actual: FloatArray,
  expected: readonly number[],
  dtype: DType,
): { readonly ulps: number; readonly at: number } {
  const worst = { ulps: 0, at: -1 };
  expected.forEach((y, at) => {
    const ulps = ulpsOff(actual[at]!, y, dtype);
    if (ulps > worst.ulps) Object.assign(worst, { ulps, at });
  });
  return worst;
}

/**
 * Zeros, both sides of places where formulas change, numbers so small that a device may take them for 0, and the f32 that comes nearest to a
 * multiple of π/2 (Muller, Elementary Functions, table 11.1).
 */
export const SPECIAL: readonly number[] = [
  ...[0, -0, 1, -1, 2 ** -149, -(2 ** -149), 2 ** -126, 1e-30, -1e-30, 0.625, 1.5, 20, 20.5],
  ...[88.7, 89.5, -87.4, -103.9, -104.5, 3215.9, 3216.1, 16367173 * 2 ** 72],
];
export const EXTREME: readonly number[] = [3e38, -3e38, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
