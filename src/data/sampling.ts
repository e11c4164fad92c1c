// Draws for generators: subsets of many cells (pairs of neurons) in time proportional to what is drawn, not to what there is; distributions.

import type { RandomStream } from "../core/random.ts";

/** Uniform in [0, 1) with 53 bits, for places among more than 2^32 cells. */
export function uniform53(stream: RandomStream): number {
  const high = stream.bits();
  return (high * 2 ** 21 + (stream.bits() >>> 11)) * 2 ** -53;
}

/**
 * The gamma distribution with density x^(shape − 1)·e^(−x)/Γ(shape), shape > 0, scale 1.
 * Source: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical Software 26(3), 363–372 (2000).
 */
export function gamma(shape: number, stream: RandomStream): number {
  // A shape below 1 is one above it, times a power of a uniform (§6 there).
  if (shape < 1) return gamma(shape + 1, stream) * (1 - uniform53(stream)) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = stream.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - uniform53(stream)) < (x * x) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/**
 * Each of the cells 0 … total − 1 with probability p, independently, ascending: jumps of geometric length from one to the next.
 * Source: Batagelj, Brandes, "Efficient generation of large random networks", Physical Review E 71, 036113 (2005), algorithm 1.
 */
export function* bernoulliCells(total: number, p: number, stream: RandomStream): Generator<number> {
  if (p <= 0) return;
  const log = p < 1 ? Math.log1p(-p) : Number.NEGATIVE_INFINITY;
  for (let cell = -1; ; ) {
    cell += 1 + Math.floor(Math.log1p(-uniform53(stream)) / log);
    if (!(cell < total)) return;
    yield cell;
  }
}

/**
 * Exactly `count` of the cells 0 … total − 1, every such set equally likely, in no particular order. O(count) on average, also
 * when almost all cells are drawn: independent cells with the right mean, then the few that are too many or missing.
 */
export function distinctCells(total: number, count: number, stream: RandomStream): Float64Array {
  const cells = new Float64Array(count);
  const spare: number[] = [];
  let length = 0;
  for (const cell of bernoulliCells(total, count / total, stream)) {
    if (length < count) cells[length++] = cell;
    else spare.push(cell);
  }
  // Too many: all must be equally likely to be dropped, so the surplus replaces random ones (reservoir sampling).
  spare.forEach((cell, k) => {
    const at = Math.floor(uniform53(stream) * (count + k + 1));
    if (at < count) cells[at] = cell;
  });
  if (length === count) return cells;
  const drawn = cells.slice(0, length);
  const added = new Set<number>();
  while (length < count) {
    const cell = Math.floor(uniform53(stream) * total);
    if (added.has(cell) || includesSorted(drawn, cell)) continue;
    added.add(cell);
    cells[length++] = cell;
  }
  return cells;
}

/** Puts the elements of an array in random order (Fisher–Yates). */
export function shuffle(array: { length: number; [i: number]: number }, stream: RandomStream): void {
  for (let i = array.length - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    const held = array[i]!;
    array[i] = array[j]!;
    array[j] = held;
  }
}

function includesSorted(sorted: Float64Array, value: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === value;
}
