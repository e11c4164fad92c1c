// Moving edges as a stimulus: the light rises or falls behind a straight border that crosses the eye.

import { ArgumentError } from "../core/errors.ts";
import type { Places } from "../data/tasks/movingScene.ts";
import type { ModelInput } from "../models/options.ts";

/** Edges of one speed, which all have as many frames. */
export interface MovingEdgeOptions {
  /** Columns per frame, above 0. */
  readonly speed: number;
  /** Degrees: 0 moves along x, to the right, 90 along y. */
  readonly directions: ArrayLike<number>;
  /** Luminances behind the edge. Default 1 (an ON edge) and 0 (an OFF edge). */
  readonly luminances?: ArrayLike<number>;
  /** Luminance before the edge. Default 0.5. */
  readonly grey?: number;
  /** Frames of grey before the edge, at least 1. */
  readonly before: number;
  /** Frames after the edge has crossed the eye; the luminance behind it stays. */
  readonly after: number;
}

/** A batch of moving edges: all directions of the first luminance, then those of the next. */
export interface MovingEdges {
  /** [luminances·directions, steps, places] */
  readonly input: ModelInput & { readonly data: Float32Array; readonly steps: number };
  /** [samples] degrees */
  readonly directions: Float64Array;
  /** [samples] behind the edge */
  readonly luminances: Float64Array;
}

/** A column sees a round part of the picture, so wide. */
const APERTURE = 1;

/**
 * Straight edges that cross an eye: in direction θ, the column at (x, y) has in frame k the luminance
 *
 *     L = g + (ℓ − g)·A(p − x·cos θ − y·sin θ),   A(s) = ½ + (asin t + t·√(1 − t²))/π,   t = max(−1, min(1, 2s)),
 *
 * g before the edge, ℓ behind it. A(s) is the share of a disc of diameter 1 column that an edge at s from its centre has passed: exact, and the
 * same for all directions. The edge stands at p = −R − ½ + speed·(k + 1 − before) from frame `before` on, R being the distance of the outermost
 * column from (0, 0), and moves until all columns are behind it, at p ≥ R + ½. There the light stays: to return to grey would be a flash, which
 * has no direction.
 *
 * @param places  a HexagonalEye, or other points of the plane; x to the right, y downwards, neighbours 1 apart, (0, 0) in the middle
 * @throws {ArgumentError} a number out of its range
 */
export function movingEdges(places: Places, options: MovingEdgeOptions): MovingEdges {
  const { speed, luminances = [1, 0], grey = 0.5, before, after } = options;
  checkOptions(options);
  const { count, x, y } = places;
  const end = endOf(places);
  const steps = before + crossingFrames(places, speed) + after;
  const angles = Array.from(options.directions);
  const levels = Array.from(luminances);
  const batch = levels.length * angles.length;
  const data = new Float32Array(batch * steps * count);
  angles.forEach((angle, d) => {
    const cos = Math.cos((angle * Math.PI) / 180);
    const sin = Math.sin((angle * Math.PI) / 180);
    for (let k = 0; k < steps; k++) {
      const p = k < before ? -Infinity : -end + speed * (k + 1 - before);
      for (let c = 0; c < count; c++) {
        const passed = covered(p - x[c]! * cos - y[c]! * sin);
        levels.forEach((level, l) => {
          data[((l * angles.length + d) * steps + k) * count + c] = grey + (level - grey) * passed;
        });
      }
    }
  });
  return {
    input: { data, batch, steps },
    directions: Float64Array.from({ length: batch }, (_, s) => angles[s % angles.length]!),
    luminances: Float64Array.from({ length: batch }, (_, s) => levels[Math.floor(s / angles.length)]!),
  };
}

/** R + ½: where an edge has passed the outermost column. */
function endOf({ count, x, y }: Places): number {
  let radius = 0;
  for (let c = 0; c < count; c++) radius = Math.max(radius, Math.hypot(x[c]!, y[c]!));
  return radius + APERTURE / 2;
}

/** Frames that an edge takes to cross an eye, whatever its direction. */
export function crossingFrames(places: Places, speed: number): number {
  return Math.ceil((2 * endOf(places)) / speed);
}

/** A(s). */
function covered(s: number): number {
  const t = Math.max(-1, Math.min(1, (2 * s) / APERTURE));
  return 0.5 + (Math.asin(t) + t * Math.sqrt(1 - t * t)) / Math.PI;
}

function checkOptions({ speed, directions, luminances = [], grey = 0, before, after }: MovingEdgeOptions): void {
  const where = "movingEdges";
  if (!(speed > 0 && speed < Infinity))
    throw new ArgumentError(where, "speed", "columns per frame, above 0", `${speed}`);
  if (directions.length === 0) throw new ArgumentError(where, "directions", "at least one", "none");
  const numbers = { directions, luminances, grey: [grey] };
  for (const [name, values] of Object.entries(numbers)) {
    const bad = Array.from(values).find((value) => !Number.isFinite(value));
    if (bad !== undefined) throw new ArgumentError(where, name, "finite numbers", `${bad}`);
  }
  for (const [name, frames, least] of [["before", before, 1] as const, ["after", after, 0] as const]) {
    if (!(Number.isInteger(frames) && frames >= least))
      throw new ArgumentError(where, name, `a whole number of at least ${least}`, `${frames}`);
  }
}
