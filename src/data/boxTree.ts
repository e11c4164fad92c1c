// Points in nested boxes: each box is cut at the median of its longest side, when its halves are first needed.
// Source: Bentley, "Multidimensional binary search trees used for associative searching", CACM 18(9), 1975 (k-d trees).

import { ShapeError } from "../core/errors.ts";

/** Some of the points and the smallest box around them. */
export interface Box {
  /** Indices of the points. */
  readonly members: Uint32Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** Length of the diagonal. */
  readonly diameter: number;
  /** The two halves, made at the first call; absent where all points are in one place. */
  readonly halves: (() => readonly [Box, Box]) | null;
}

/**
 * The box around all points.
 *
 * @param positions [points × dimensions]; must not change while the boxes are in use
 * @throws {ShapeError} a coordinate that is not finite
 */
export function boxTree(positions: ArrayLike<number>, dimensions: number): Box {
  for (let k = 0; k < positions.length; k++) {
    if (Number.isFinite(positions[k])) continue;
    throw new ShapeError(
      "boxTree",
      "positions",
      "finite coordinates",
      `${positions[k]} of point ${Math.floor(k / dimensions)}`,
    );
  }
  return boxOf(
    positions,
    dimensions,
    Uint32Array.from({ length: positions.length / dimensions }, (_, i) => i),
  );
}

/** The least distance that two points, one in each box, can have. */
export function nearestDistance(a: Box, b: Box): number {
  let sum = 0;
  for (let d = 0; d < a.low.length; d++) sum += Math.max(0, a.low[d]! - b.high[d]!, b.low[d]! - a.high[d]!) ** 2;
  return Math.sqrt(sum);
}

function boxOf(positions: ArrayLike<number>, dimensions: number, members: Uint32Array): Box {
  const low = new Float64Array(dimensions).fill(Number.POSITIVE_INFINITY);
  const high = new Float64Array(dimensions).fill(Number.NEGATIVE_INFINITY);
  for (const i of members) {
    for (let d = 0; d < dimensions; d++) {
      const x = positions[i * dimensions + d]!;
      if (x < low[d]!) low[d] = x;
      if (x > high[d]!) high[d] = x;
    }
  }
  const sides = high.map((x, d) => x - low[d]!);
  const diameter = Math.hypot(...sides);
  let made: readonly [Box, Box] | null = null;
  const halves = (): readonly [Box, Box] => {
    if (made) return made;
    const axis = sides.indexOf(Math.max(...sides));
    const sorted = members
      .slice()
      .sort((i, j) => positions[i * dimensions + axis]! - positions[j * dimensions + axis]!);
    const middle = sorted.length >> 1;
    made = [boxOf(positions, dimensions, sorted.slice(0, middle)), boxOf(positions, dimensions, sorted.slice(middle))];
    return made;
  };
  return { members, low, high, diameter, halves: diameter > 0 ? halves : null };
}
