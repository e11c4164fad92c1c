// Groups of neurons by a column of their table.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import { groupingColumn, neuronsByColumn } from "../../src/data/neuronGroups.ts";

const test = suite("groups of neurons");
const SIDE = { values: ["L", "", "R", "none has it"], valueIdx: Uint8Array.of(2, 0, 1, 0, 2) };
const neurons = {
  count: 5,
  types: ["T4a", "T5a"],
  typeIdx: Uint32Array.of(1, 0, 1, 1, 0),
  columns: new Map([["side", SIDE]]),
};
const groups = (...args: Parameters<typeof neuronsByColumn>) =>
  neuronsByColumn(...args).map(({ name, neurons }) => [name, [...neurons]]);

test("by type, and by any column; empty cells and values that no neuron has are no groups", () => {
  assert.equal(groups(neurons, "type", null), [
    ["T4a", [1, 4]],
    ["T5a", [0, 2, 3]],
  ]);
  assert.equal(groups(neurons, "side", null), [
    ["L", [1, 3]],
    ["R", [0, 4]],
  ]);
  assert.equal(groups(neurons, "side", [4, 2, 1]), [
    ["L", [1]],
    ["R", [4]],
  ]);
});

test("an unknown column is an error with the nearest one", () => {
  assert.throws(
    () => neuronsByColumn(neurons, "sides", null),
    (error: unknown) => error instanceof ArgumentError && /did you mean "side"\?/.test(error.message),
  );
});

test("without types, neurons are grouped by role", () => {
  assert.is(groupingColumn(neurons), "type");
  assert.is(groupingColumn({ count: 5 }), "role");
});

test.run();
