// The columns of a hexagonal eye: their coordinates, their order, their neighbours.

import { checkWhole } from "./checks.ts";

/** Largest extent of an eye: 3,148,801 columns. */
const MAX_EXTENT = 1024;

/** A step from a column to another one, in axial coordinates. */
export interface HexagonalOffset {
  readonly du: number;
  readonly dv: number;
}

/**
 * The columns (u, v) with |u|, |v| and |u + v| ≤ extent, in axial coordinates, ordered by u, then by v: the order of flyvis.
 * Neighbours are 1 apart: column (u, v) lies at x = (√3/2)·v (to the right), y = −(u + v/2) (downwards).
 */
export class HexagonalEye {
  readonly extent: number;
  /** 3·extent·(extent + 1) + 1. */
  readonly count: number;
  /** [count] */
  readonly u: Int32Array;
  /** [count] */
  readonly v: Int32Array;
  /** [count] */
  readonly x: Float64Array;
  /** [count] */
  readonly y: Float64Array;
  /** Number of column (u, 0), if there were no bounds on v: column (u, v) is number origin[u + extent] + v. */
  readonly #origin: Int32Array;

  /**
   * @param extent  distance of the border from the centre, in columns
   * @throws {ArgumentError} an extent that is no whole number from 0 to 1024
   */
  constructor(extent: number) {
    checkWhole("HexagonalEye", "extent", extent, 0, MAX_EXTENT);
    this.extent = extent;
    this.count = 3 * extent * (extent + 1) + 1;
    this.u = new Int32Array(this.count);
    this.v = new Int32Array(this.count);
    this.#origin = new Int32Array(2 * extent + 1);
    let at = 0;
    for (let u = -extent; u <= extent; u++) {
      const first = Math.max(-extent, -extent - u);
      const last = Math.min(extent, extent - u);
      this.#origin[u + extent] = at - first;
      for (let v = first; v <= last; v++, at++) {
        this.u[at] = u;
        this.v[at] = v;
      }
    }
    this.x = Float64Array.from(this.v, (v) => (Math.sqrt(3) / 2) * v);
    this.y = Float64Array.from(this.u, (u, c) => -(u + this.v[c]! / 2));
  }

  /** Number of the column (u, v); −1: outside the eye. */
  indexOf(u: number, v: number): number {
    const { extent } = this;
    if (Math.abs(u) > extent || Math.abs(v) > extent || Math.abs(u + v) > extent) return -1;
    return this.#origin[u + extent]! + v;
  }

  /** Number of the column at `offset` from column number `column`; −1: outside the eye. */
  neighbour(column: number, { du, dv }: HexagonalOffset): number {
    return this.indexOf(this.u[column]! + du, this.v[column]! + dv);
  }
}

/** Directions of the sides of a ring, in order around it. */
const SIDES: readonly (readonly [du: number, dv: number])[] = [
  [-1, 0],
  [-1, 1],
  [0, 1],
  [1, 0],
  [1, -1],
  [0, -1],
];

/**
 * The offsets within `radius` columns of (0, 0), which is the first: 3·radius·(radius + 1) + 1, ring by ring. Ring r begins at (r, −r)
 * and goes once around, 6·r offsets.
 *
 * @throws {ArgumentError} a radius that is no whole number from 0 to 1024
 */
export function hexagonalOffsets(radius: number): HexagonalOffset[] {
  checkWhole("hexagonalOffsets", "radius", radius, 0, MAX_EXTENT);
  const offsets = [{ du: 0, dv: 0 }];
  for (let ring = 1; ring <= radius; ring++) {
    let [du, dv] = [ring, -ring];
    for (const [stepU, stepV] of SIDES) {
      for (let k = 0; k < ring; k++) {
        offsets.push({ du, dv });
        du += stepU;
        dv += stepV;
      }
    }
  }
  return offsets;
}
