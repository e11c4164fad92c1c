// The ordered sum: the same bits as the tree computed by definition, for any number of ranks and terms.

import * as assert from "uvu/assert";
import { type DType, type FloatArray, floatArray } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { Communicator } from "../../src/distributed/communicator.ts";
import { GrowingSubtrees, numbersHeld, shareOf, subtreesOf, treeSum } from "../../src/distributed/treeSum.ts";
import { onRanks } from "../support/ranks.ts";
import { suite } from "../support/suite.ts";

/** Terms whose sum depends on the order of additions. */
function termsOf(dtype: DType, count: number, length: number): FloatArray[] {
  const stream = new RandomStream(keyOfSeed(count));
  return Array.from({ length: count }, () => {
    const term = floatArray(dtype, length);
    return term.map(() => stream.normal() * 10 ** (stream.below(9) - 4)) as typeof term;
  });
}

/** The tree by its definition: to the left the largest power of two below n. */
function treeOf(terms: readonly FloatArray[]): FloatArray {
  if (terms.length === 1) return terms[0]!;
  const left = 2 ** Math.floor(Math.log2(terms.length - 1));
  const [a, b] = [treeOf(terms.slice(0, left)), treeOf(terms.slice(left))];
  return a.map((x, i) => x + b[i]!) as typeof a;
}

async function sumOf(
  communicator: Communicator,
  dtype: DType,
  terms: readonly FloatArray[],
  length: number,
  segment?: number,
): Promise<FloatArray> {
  const { first, count } = shareOf(terms.length, communicator.rank, communicator.size);
  const own = new GrowingSubtrees(terms.length, () => floatArray(dtype, length));
  for (let term = first; term < first + count; term++) {
    await own.push(term, async (into, how) => {
      for (let i = 0; i < length; i++) into[i] = how === "set" ? terms[term]![i]! : into[i]! + terms[term]![i]!;
    });
  }
  const whole = floatArray(dtype, length);
  await treeSum(communicator, terms.length, own.roots, length, dtype, (at, sum) => whole.set(sum, at), segment);
  return whole;
}

const test = suite("tree sum");

for (const dtype of ["f32", "f64"] as const) {
  test(`every rank has the sum of the tree, to the bit, in ${dtype}`, async () => {
    for (const count of [1, 2, 3, 4, 5, 7, 8, 13]) {
      for (const length of [1, 10]) {
        const terms = termsOf(dtype, count, length);
        const expected = treeOf(terms);
        for (const size of [1, 2, 3, 4, 5, 8]) {
          // Segments that end within the elements, and one that holds all.
          for (const segment of [3, 1000]) {
            const sums = await onRanks(size, (communicator) => sumOf(communicator, dtype, terms, length, segment));
            for (const sum of sums) assert.equal(sum, expected, `${count} terms on ${size} ranks`);
          }
        }
      }
    }
  });
}

test("the order counts: a sum from left to right has other bits", () => {
  const terms = termsOf("f32", 13, 10);
  const inOrder = terms.slice(1).reduce((sum, term) => sum.map((x, i) => x + term[i]!) as Float32Array, terms[0]!);
  assert.not.equal(inOrder, treeOf(terms));
});

test("a zero keeps its sign, also as the first term of a rank", async () => {
  const terms = Array.from({ length: 4 }, () => Float32Array.of(-0));
  for (const size of [1, 2, 3, 4])
    for (const [sum] of await onRanks(size, (communicator) => sumOf(communicator, "f32", terms, 1)))
      assert.ok(Object.is(sum, -0), `${size} ranks`);
});

test("shares are contiguous and equal but for one; subtrees fill a range, and are few", () => {
  for (const terms of [1, 2, 3, 5, 8, 11, 64, 100]) {
    for (const size of [1, 2, 3, 4, 7, 64]) {
      let next = 0;
      for (let rank = 0; rank < size; rank++) {
        const share = shareOf(terms, rank, size);
        assert.is(share.first, next);
        assert.ok(Math.abs(share.count - terms / size) < 1);
        next += share.count;
        const roots = subtreesOf(share, terms);
        assert.is(
          roots.reduce((sum, { count }) => sum + count, 0),
          share.count,
        );
        assert.ok(roots.length <= 2 * Math.ceil(Math.log2(terms + 1)), `${roots.length} subtrees`);
      }
      assert.is(next, terms);
    }
  }
  // Powers of two: one subtree for each rank, as in a ring.
  for (let rank = 0; rank < 4; rank++) assert.is(subtreesOf(shareOf(16, rank, 4), 16).length, 1);
});

test("a rank keeps few arrays however many terms it has", async () => {
  let made = 0;
  let most = 0;
  const own = new GrowingSubtrees(64, () => {
    made++;
    return new Float32Array(1);
  });
  for (let term = 0; term < 64; term++) {
    await own.push(term, async () => {});
    most = Math.max(most, own.roots.length);
  }
  assert.is(own.roots.length, 1);
  assert.is(most, 6);
  assert.is(made, 6);
  assert.is(await numbersHeld(64, 10, { rank: 0, size: 1 }), 6 * 10);
  // An array for each of two ranks, the segment, and a slice of each.
  assert.is(await numbersHeld(2, 10, { rank: 1, size: 2 }), 10 + 10 * (1 + 1));
  // Terms 1 and 2 of 5 are no siblings: two arrays, whose slices are sent together. Five subtrees come, a third of each.
  assert.is(await numbersHeld(5, 30, { rank: 1, size: 3 }), 2 * 30 + 30 * (1 + 2) + 5 * 10);
});

test.run();
