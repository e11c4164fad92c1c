// Lengths of connections between neurons that have places in space, in bins.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { RandomStream } from "../core/random.ts";
import { checkPositive, checkWhole } from "./checks.ts";

/** Where neurons are, and how finely lengths of connections are told apart. */
export interface Lengths {
  /** [neurons × dimensions], one neuron after the other; any unit of length. A neuron with a NaN has no place: its connections have no length. */
  readonly positions: ArrayLike<number>;
  /** 1, 2, 3, … */
  readonly dimensions: number;
  /** Width of a bin, in the unit of the positions. Default: a twentieth of the diagonal of the box around all neurons. */
  readonly binWidth?: number;
}

/** Checked places. */
export interface Places {
  readonly neurons: number;
  /** [neurons × dimensions], NaN in the first coordinate of neurons without a place. */
  readonly positions: Float64Array;
  readonly dimensions: number;
  readonly binWidth: number;
  /** How many bins there can be, with that of connections without a length. */
  readonly bins: number;
}

const BINS = 20;
const MOST_BINS = 2 ** 20;

/** @throws {ShapeError | ArgumentError} places of other neurons, infinite ones, none at all, bins that are no width or too many */
export function checkPlaces(where: string, { positions, dimensions, binWidth }: Lengths, neurons: number): Places {
  checkWhole(where, "lengths.dimensions", dimensions, 1, 1000);
  if (positions.length !== neurons * dimensions) {
    const expected = `${dimensions} coordinates of ${neurons} neurons`;
    throw new ShapeError(where, "lengths.positions", expected, `${positions.length} numbers`);
  }
  const own = Float64Array.from(positions);
  const least = new Float64Array(dimensions).fill(Number.POSITIVE_INFINITY);
  const most = new Float64Array(dimensions).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < neurons; i++) {
    const place = own.subarray(i * dimensions, (i + 1) * dimensions);
    if (place.some((x) => Math.abs(x) === Number.POSITIVE_INFINITY)) {
      throw new ArgumentError(
        where,
        "lengths.positions",
        "finite numbers, or NaN",
        `${place.join(", ")} of neuron ${i}`,
      );
    }
    if (place.some(Number.isNaN)) {
      place[0] = Number.NaN;
      continue;
    }
    for (let d = 0; d < dimensions; d++) {
      least[d] = Math.min(least[d]!, place[d]!);
      most[d] = Math.max(most[d]!, place[d]!);
    }
  }
  const diagonal = Math.hypot(...most.map((x, d) => x - least[d]!));
  if (!(diagonal > 0 && Number.isFinite(diagonal))) {
    throw new ArgumentError(where, "lengths.positions", "neurons in different places", "none, or all in one place");
  }
  const width = binWidth ?? diagonal / BINS;
  checkPositive(where, "lengths.binWidth", width);
  if (diagonal / width > MOST_BINS) {
    throw new ArgumentError(
      where,
      "lengths.binWidth",
      `at least ${diagonal / MOST_BINS}, a bin of ${MOST_BINS}`,
      `${width}`,
    );
  }
  const bins = Math.floor(diagonal / width) + 3;
  return { neurons, positions: own, dimensions, binWidth: width, bins };
}

/** The bin of the connection between two neurons, from 1: lengths from (bin − 1) · binWidth on; 0 where one of them has no place. */
export function lengthBin({ positions, dimensions, binWidth }: Places, i: number, j: number): number {
  let sum = 0;
  for (let d = 0; d < dimensions; d++) sum += (positions[i * dimensions + d]! - positions[j * dimensions + d]!) ** 2;
  return Number.isNaN(sum) ? 0 : 1 + Math.floor(Math.sqrt(sum) / binWidth);
}

/**
 * The cell of every neuron in a grid as wide as a bin, shifted at random. Neurons without a place share a cell.
 */
export function spaceCells(
  { neurons, positions, dimensions, binWidth }: Places,
  stream: RandomStream,
): { readonly count: number; readonly of: Uint32Array } {
  const side = binWidth;
  const shift = Float64Array.from({ length: dimensions }, () => side * stream.uniform());
  const numbers = new Map<string, number>();
  const of = new Uint32Array(neurons);
  for (let i = 0; i < neurons; i++) {
    const isPlaced = !Number.isNaN(positions[i * dimensions]!);
    const cell = shift.map((s, d) => Math.floor((positions[i * dimensions + d]! + s) / side));
    const name = isPlaced ? cell.join() : "";
    let number = numbers.get(name);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(name, number);
    }
    of[i] = number;
  }
  return { count: numbers.size, of };
}
