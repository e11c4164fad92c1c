// Selecting states: what is chosen lies where its indices say, in both layouts.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { neuronTypes } from "../../src/models/neuronTypes.ts";
import { type StateLayout, type StateQuery, selectStates } from "../../src/models/selectStates.ts";

const test = suite("selectStates");

const [BATCH, TIMES, NEURONS] = [2, 3, 4];
const TYPES = neuronTypes(["Mi1", "T4a", "Mi1", "T5a"], NEURONS);

/** The state of (sample, time, neuron) is the number 100·sample + 10·time + neuron. */
function statesOf(batchFirst: boolean): Float64Array {
  const hs = new Float64Array(BATCH * TIMES * NEURONS);
  for (let s = 0; s < BATCH; s++) {
    for (let t = 0; t < TIMES; t++) {
      const row = batchFirst ? s * TIMES + t : t * BATCH + s;
      for (let n = 0; n < NEURONS; n++) hs[row * NEURONS + n] = 100 * s + 10 * t + n;
    }
  }
  return hs;
}

function select(query: StateQuery, batchFirst = true): { data: number[]; shape: readonly number[] } {
  const network: StateLayout = { options: { numNeurons: NEURONS, batchFirst }, types: TYPES };
  const { data, shape } = selectStates(network, { hs: statesOf(batchFirst) }, BATCH, query);
  return { data: Array.from(data), shape };
}

test("by type, neuron, time and sample, and all of what is not named", () => {
  assert.equal(select({ type: "Mi1", times: [2] }), { data: [20, 22, 120, 122], shape: [2, 1, 2] });
  assert.equal(select({ neurons: [3, 0], samples: [1] }), { data: [103, 100, 113, 110, 123, 120], shape: [1, 3, 2] });
  assert.equal(select({ type: "T5a", times: [0], samples: [1] }), { data: [103], shape: [1, 1, 1] });
  assert.equal(select({}).data, Array.from(statesOf(true)));
});

test("with time first the result has time first too", () => {
  assert.equal(select({ type: "Mi1", times: [2, 0] }, false), {
    data: [20, 22, 120, 122, 0, 2, 100, 102],
    shape: [2, 2, 2],
  });
});

test("by selector, in ascending order", () => {
  assert.equal(select({ neurons: "T4a | 0", times: [0], samples: [0] }), { data: [0, 1], shape: [1, 1, 2] });
  assert.equal(select({ neurons: "type:T*", times: [0], samples: [0] }).data, [1, 3]);
});

test("says which index or type does not exist", () => {
  const rejects = (query: StateQuery, message: RegExp) => {
    assert.throws(
      () => select(query),
      (e: Error) => e instanceof ArgumentError && message.test(e.message),
    );
  };
  rejects({ type: "Mi2" }, /a type that a neuron has \(nearest "Mi1"\), got "type:Mi2"/);
  rejects({ type: "Mi1", neurons: [0] }, /a type or neurons, got both/);
  rejects({ times: [3] }, /indices 0 to 2, got 3 \(times\)/);
  rejects({ samples: [-1] }, /indices 0 to 1, got -1 \(samples\)/);
  const untyped: StateLayout = { options: { numNeurons: NEURONS }, types: null };
  assert.throws(() => selectStates(untyped, { hs: statesOf(true) }, BATCH, { type: "Mi1" }), /without types/);
  assert.throws(
    () => selectStates(untyped, { hs: statesOf(true) }, 5),
    (e: Error) => e instanceof ShapeError,
  );
});

test.run();
