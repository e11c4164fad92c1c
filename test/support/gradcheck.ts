// Gradients against central differences along random directions.

import * as assert from "uvu/assert";
import { unitRoundoff } from "../../src/core/dtype.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { DEFAULT_SEED } from "./matrices.ts";

/** A point in several named arrays. */
export type Point = Readonly<Record<string, ArrayLike<number>>>;

export interface GradcheckOptions {
  /** Directions tried; default 3. */
  readonly directions?: number;
  /** Relative error of one evaluation of the function, in units of roundoff; default 100. */
  readonly roundings?: number;
  /** Multiplies the step ∛u·max(1, |x|); default 1. */
  readonly stepScale?: number;
}

/** A check that could let a wrong gradient pass is refused: the bound must stay below this part of Σ|gᵢvᵢ|. */
const SHARPNESS = 1e-4;

/**
 * Asserts that `gradient` is that of `f` at `point`: for random directions v, |Σ gᵢvᵢ − (f(x + hv) − f(x − hv))/2h| is at most the
 * truncation error, estimated from steps h and 2h, plus the rounding error of the difference. f64 functions only.
 */
export async function assertGradient(
  label: string,
  f: (point: Point) => Promise<number>,
  point: Point,
  gradient: Point,
  options: GradcheckOptions = {},
): Promise<void> {
  const { directions = 3, roundings = 100, stepScale = 1 } = options;
  const u = unitRoundoff("f64");
  const h = stepScale * Math.cbrt(u);
  for (let d = 0; d < directions; d++) {
    const direction = randomDirection(label, d, point);
    const at = (step: number) => f(shifted(point, direction, step));
    const values = [await at(2 * h), await at(h), await at(-h), await at(-2 * h)] as const;
    const near = (values[1] - values[2]) / (2 * h);
    const far = (values[0] - values[3]) / (4 * h);
    const rounding = (roundings * u * Math.max(...values.map(Math.abs))) / h;
    const bound = Math.abs(far - near) + rounding;
    const { sum, size } = along(gradient, direction);
    assert.ok(Number.isFinite(sum), `${label}: the gradient is finite`);
    assert.ok(bound <= SHARPNESS * size, `${label}: the check is sharp: bound ${bound} of ${size}, direction ${d}`);
    assert.ok(
      Math.abs(sum - near) <= bound,
      `${label}: derivative along direction ${d}: gradient gives ${sum}, differences ${near} ± ${bound}`,
    );
  }
}

/** Standard normal numbers, scaled by max(1, |x|). */
function randomDirection(label: string, d: number, point: Point): Point {
  const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), `gradcheck ${label} ${d}`));
  return Object.fromEntries(
    Object.entries(point).map(([name, x]) => [
      name,
      Float64Array.from(x, (value) => stream.normal() * Math.max(1, Math.abs(value))),
    ]),
  );
}

function shifted(point: Point, direction: Point, step: number): Point {
  return Object.fromEntries(
    Object.entries(point).map(([name, x]) => [
      name,
      Float64Array.from(x, (value, i) => value + step * direction[name]![i]!),
    ]),
  );
}

/** Σ gᵢvᵢ and Σ |gᵢvᵢ|. */
function along(gradient: Point, direction: Point): { sum: number; size: number } {
  let sum = 0;
  let size = 0;
  for (const [name, v] of Object.entries(direction)) {
    const g = gradient[name];
    assert.is(g?.length, v.length, `a gradient for ${name}`);
    for (let i = 0; i < v.length; i++) {
      sum += g![i]! * v[i]!;
      size += Math.abs(g![i]! * v[i]!);
    }
  }
  return { sum, size };
}
