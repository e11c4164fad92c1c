// Bounds of what f32 arithmetic may change in a gradient: counted roundings times a condition that is measured in f64.
//
// A sum of k products is the exact sum with each product changed by at most γ_k (Higham, Accuracy and Stability of Numerical Algorithms,
// 2nd ed., §3.1). So every number of the point counts as wrong by γ_k, k being the roundings along the longest path of one step, and what
// that does is measured: the f64 result at points that are moved by so much, up or down at random. Real errors change sign from sum to sum,
// so that they stay below those of the moved points by about √k. An element's bound is the largest of its deviations, or the root mean
// square of those of its array, plus γ_m of the result for the m additions that the results themselves accumulate by.

import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { gamma } from "./close.ts";
import type { Point } from "./gradcheck.ts";
import { DEFAULT_SEED } from "./matrices.ts";

const PROBES = 6;

/** Results by name, and bounds of the errors of f32 in them. */
export interface Bounded {
  readonly reference: Point;
  readonly bounds: Point;
}

/** @param results  in f64, at a point */
export async function boundedInSingle(
  label: string,
  results: (point: Point) => Promise<Point>,
  point: Point,
  roundings: { readonly perStep: number; readonly additions: number },
): Promise<Bounded> {
  const reference = await results(point);
  const moved: Point[] = [];
  for (let probe = 0; probe < PROBES; probe++) {
    const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), `conditioned ${label} ${probe}`));
    const size = gamma(roundings.perStep, "f32");
    const move = (x: number) => x * (1 + (stream.bits() & 1 ? size : -size));
    const at = Object.entries(point).map(([name, x]) => [name, Float64Array.from(x, move)] as const);
    moved.push(await results(Object.fromEntries(at)));
  }
  const bounds = Object.entries(reference).map(([name, g]) => {
    const deviations = moved.map((m) => Float64Array.from(m[name]!, (x, i) => Math.abs(x - g[i]!)));
    const typical = rootMeanSquare(deviations.flatMap((d) => [...d]));
    const own = gamma(roundings.additions, "f32");
    const least = rootMeanSquare(Array.from(g));
    return [
      name,
      Float64Array.from(
        g,
        (x, i) => Math.max(typical, ...deviations.map((d) => d[i]!)) + own * Math.max(Math.abs(x), least),
      ),
    ] as const;
  });
  return { reference, bounds: Object.fromEntries(bounds) };
}

function rootMeanSquare(x: readonly number[]): number {
  return Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / Math.max(1, x.length));
}
