// Sums whose bits do not depend on the number of ranks. Terms are numbered, and added as a binary tree over their numbers, whose left subtree
// has the largest power of two below their count. A rank has a range of terms; it adds what it can, the largest subtrees in its range, and
// the ranks add the rest, each a slice of the elements.

import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import type { Communicator } from "./communicator.ts";

/** Consecutive terms, from `first` on. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** The sum of the terms of a subtree, element by element. */
export interface Subtree extends Range {
  readonly sum: FloatArray;
}

/** Elements that are exchanged at a time: they bound the memory that a sum takes besides its subtrees. */
const SEGMENT = 2 ** 21;

/** The part of `count` terms, or of anything else that comes in order, that a rank has: as equal as whole numbers allow, 0 where there are few. */
export function shareOf(count: number, rank: number, size: number): Range {
  const first = Math.floor((rank * count) / size);
  return { first, count: Math.floor(((rank + 1) * count) / size) - first };
}

/** Whether `right` is the sibling of `left`, which comes before it, in the tree over `terms` terms. */
function areSiblings(left: Range, right: Range, terms: number): boolean {
  const { first, count } = left;
  // Subtrees to the left are whole: a power of two, which begins at a multiple of twice as many.
  if ((count & (count - 1)) !== 0 || first % (2 * count) !== 0) return false;
  return right.first === first + count && right.count === Math.min(count, terms - right.first);
}

/** The largest subtrees in a range of the terms, in order: at most two for each level of the tree. */
export function subtreesOf({ first, count }: Range, terms: number): Range[] {
  const roots: Range[] = [];
  for (let term = first; term < first + count; term++) {
    roots.push({ first: term, count: 1 });
    for (let left = roots.at(-2); left && areSiblings(left, roots.at(-1)!, terms); left = roots.at(-2)) {
      const right = roots.pop()!;
      roots[roots.length - 1] = { first: left.first, count: left.count + right.count };
    }
  }
  return roots;
}

/** Adds `from` to `into`, element by element. */
export function add(into: FloatArray, from: ArrayLike<number>): void {
  for (let i = 0; i < into.length; i++) into[i]! += from[i]!;
}

/**
 * Subtrees that grow term by term, like a binary counter: siblings are added at once, so that there are never more arrays than the tree of the
 * terms has levels, or twice as many where the range begins within it.
 */
export class GrowingSubtrees {
  readonly #terms: number;
  readonly #make: () => FloatArray;
  readonly #roots: Subtree[] = [];
  /** Of sums that were added to others. */
  readonly #free: FloatArray[] = [];

  /**
   * @param terms  of all ranks
   * @param make  an array for one sum, whatever it holds
   */
  constructor(terms: number, make: () => FloatArray) {
    this.#terms = terms;
    this.#make = make;
  }

  /** In order. */
  get roots(): readonly Subtree[] {
    return this.#roots;
  }

  /**
   * Adds the next term of the range.
   *
   * @param give  writes the term into an array ("set"), or adds it to what is there ("add"), so that a term needs no array of its own
   */
  async push(term: number, give: (into: FloatArray, how: "set" | "add") => Promise<void>): Promise<void> {
    const leaf = { first: term, count: 1 };
    const top = this.#roots.at(-1);
    if (top && areSiblings(top, leaf, this.#terms)) {
      await give(top.sum, "add");
      this.#roots.pop();
      this.grow({ ...top, count: top.count + 1 });
      return;
    }
    const sum = this.#free.pop() ?? this.#make();
    await give(sum, "set");
    this.#roots.push({ ...leaf, sum });
  }

  /** Adds a subtree that comes next. */
  grow(subtree: Subtree): void {
    let right = subtree;
    for (let left = this.#roots.at(-1); left && areSiblings(left, right, this.#terms); left = this.#roots.at(-1)) {
      add(left.sum, right.sum);
      this.#free.push(right.sum);
      this.#roots.pop();
      right = { ...left, count: left.count + right.count };
    }
    this.#roots.push(right);
  }
}

/**
 * How many numbers a rank holds at most for the sum of `terms` terms of `length` elements: its subtrees as they grow, and what `treeSum` sends and
 * receives.
 */
export async function numbersHeld(
  terms: number,
  length: number,
  { rank, size }: Pick<Communicator, "rank" | "size">,
): Promise<number> {
  let arrays = 0;
  const grown = new GrowingSubtrees(terms, () => {
    arrays++;
    return new Float32Array(0);
  });
  const { first, count } = shareOf(terms, rank, size);
  for (let k = 0; k < count; k++) await grown.push(first + k, async () => {});
  if (size === 1) return arrays * length;
  const roots = Array.from({ length: size }, (_, r) => subtreesOf(shareOf(terms, r, size), terms).length);
  const sent = roots[rank]! > 1 ? roots[rank]! : 0;
  const received = roots.reduce((sum, theirs) => sum + theirs, 0) / size;
  return arrays * length + Math.min(SEGMENT, length) * (1 + sent + received);
}

/**
 * The sum of all terms, on every rank. Collective.
 *
 * A segment of the elements at a time: each rank sends the slices of its subtrees to their owners, adds the slices that it owns in the order of
 * the tree, and all gather the sums. Where the number of terms and of ranks are powers of two, each rank has one subtree, and as many bytes go
 * over the wire as in a ring. Besides the subtrees it takes memory for a few segments.
 *
 * @param terms  of all ranks; each has those that `shareOf` gives it
 * @param mine  the subtrees of this rank's terms (GrowingSubtrees); they are overwritten
 * @param length  elements of a term
 * @param take  gets the sum, one segment after the other; `at` is where it begins. The array is used again
 */
export async function treeSum(
  communicator: Communicator,
  terms: number,
  mine: readonly Subtree[],
  length: number,
  dtype: DType,
  take: (at: number, sum: FloatArray) => void,
  segment: number = SEGMENT,
): Promise<void> {
  const { rank, size } = communicator;
  if (size === 1) {
    take(0, mine[0]!.sum);
    return;
  }
  const ranks = Array.from({ length: size }, (_, r) => r);
  const roots = ranks.map((r) => subtreesOf(shareOf(terms, r, size), terms));
  const whole = floatArray(dtype, Math.min(segment, length));
  const received = roots.map((theirs) => floatArray(dtype, theirs.length * Math.ceil(whole.length / size)));
  for (let at = 0; at < length; at += segment) {
    const part = whole.subarray(0, Math.min(segment, length - at));
    const slices = ranks.map((r) => shareOf(part.length, r, size));
    const own = slices[rank]!;
    const send = slices.map(({ first, count }) => joined(mine, at + first, count, dtype));
    const receive = roots.map((theirs, r) => received[r]!.subarray(0, theirs.length * own.count));
    await communicator.allToAll(send, receive);
    const sums = new GrowingSubtrees(terms, () => floatArray(dtype, own.count));
    for (const [r, theirs] of roots.entries())
      for (const [k, root] of theirs.entries())
        sums.grow({ ...root, sum: receive[r]!.subarray(k * own.count, (k + 1) * own.count) });
    part.set(sums.roots[0]!.sum, own.first);
    await communicator.allGather(
      part,
      slices.map(({ count }) => count),
    );
    take(at, part);
  }
}

/** The same elements of each subtree, one after another. */
function joined(subtrees: readonly Subtree[], at: number, count: number, dtype: DType): FloatArray {
  if (subtrees.length === 1) return subtrees[0]!.sum.subarray(at, at + count);
  const whole = floatArray(dtype, subtrees.length * count);
  for (const [k, { sum }] of subtrees.entries()) whole.set(sum.subarray(at, at + count), k * count);
  return whole;
}
