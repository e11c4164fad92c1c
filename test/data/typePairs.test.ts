// Groups of connections by pairs of types: by hand on a small network, and what does not fit.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { sharedByTypePair, signByTypePair, typeLabels } from "../../src/data/connectomes.ts";

const test = suite("typePairs");

/** Neurons a, a, b, c; connections a→b (3 and 5), b→a (−2), a→a (1), c→b (−4). */
const CSR = csrFromCoo({
  nRows: 4,
  nCols: 4,
  rows: [2, 2, 0, 1, 2],
  cols: [0, 1, 2, 0, 3],
  values: Float32Array.of(3, 5, -2, 1, -4),
});
const NEURONS = { types: ["a", "b", "c"], typeIdx: [0, 0, 1, 2] };

test("a group per pair of connected types, by sender, then receiver; strengths from mean weights", () => {
  const { group, nGroups, pairs, strengthInit } = sharedByTypePair(CSR, NEURONS, { scale: 0.1 });
  assert.equal(pairs, [
    { pre: "a", post: "a", connections: 1, meanWeight: 1 },
    { pre: "a", post: "b", connections: 2, meanWeight: 4 },
    { pre: "b", post: "a", connections: 1, meanWeight: 2 },
    { pre: "c", post: "b", connections: 1, meanWeight: 4 },
  ]);
  // Row-major: b→a, a→a, then the three to neuron 2.
  assert.equal(group, Uint32Array.of(2, 0, 1, 1, 3));
  assert.is(nGroups, 4);
  assert.equal(strengthInit, Float64Array.of(0.1, 0.025, 0.05, 0.025));
  assert.equal(sharedByTypePair(CSR, NEURONS).strengthInit, new Float64Array(4).fill(1));
});

test("weights of 0 have no mean to divide by", () => {
  const csr = csrFromCoo({ nRows: 1, nCols: 1, rows: [0], cols: [0], values: [0] });
  const { strengthInit } = sharedByTypePair(csr, { types: [7], typeIdx: [0] }, { scale: 2 });
  assert.equal(strengthInit, Float64Array.of(1));
});

test("signs come from the table, whatever signs the weights have; other pairs in it do not matter", () => {
  const signed = signByTypePair(CSR, NEURONS, [
    { pre: "a", post: "b", sign: -1 },
    { pre: "b", post: "a", sign: 1 },
    { pre: "a", post: "a", sign: 1 },
    { pre: "c", post: "b", sign: -1 },
    { pre: "x", post: "y", sign: 1 },
  ]);
  assert.equal(signed.values, Float32Array.of(2, 1, -3, -5, -4));
});

test("labels by neuron", () => {
  assert.equal(typeLabels(NEURONS), ["a", "a", "b", "c"]);
});

test("what does not fit is named", () => {
  const refuses = (body: () => unknown, type: typeof ArgumentError | typeof ShapeError, message: RegExp) =>
    assert.throws(body, (e: unknown) => e instanceof type && message.test(e.message));
  refuses(() => sharedByTypePair(CSR, { types: ["a"], typeIdx: [0, 0] }), ShapeError, /types of 4 × 4 neurons, got 2/);
  refuses(() => sharedByTypePair(CSR, { types: ["a"], typeIdx: [0, 0, 1, 0] }), ArgumentError, /1 at neuron 2/);
  for (const bad of [-1, 0.5, Number.NaN]) {
    const neurons = { types: ["a", "b"], typeIdx: [0, bad, 1, 0] };
    refuses(() => sharedByTypePair(CSR, neurons), ArgumentError, new RegExp(`${bad} at neuron 1`));
  }
  refuses(() => sharedByTypePair(CSR, NEURONS, { scale: 0 }), ArgumentError, /above 0, got 0 \(scale\)/);
  refuses(() => signByTypePair(CSR, NEURONS, []), ArgumentError, /none for b → a \(edges\)/);
});

test.run();
