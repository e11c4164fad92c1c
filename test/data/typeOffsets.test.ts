// Connections grouped by types and offsets of columns: on a generated eye, whose groups are known, and what does not fit.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { withValues } from "../../src/core/csr.ts";
import { ArgumentError, ShapeError } from "../../src/core/errors.ts";
import { hexagonalEyeOf, sharedByTypeOffset } from "../../src/data/connectomes.ts";
import { motionConnectome } from "../../src/data/motionConnectome.ts";
import { retinotopicConnectome } from "../../src/data/retinotopicConnectome.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import { fails, testWithData } from "../io/fixtures.ts";

const test = suite("typeOffsets");
const network = motionConnectome({ extent: 3 });
const { csr, shared, eye } = network;
const weights = withValues(
  csr,
  csr.values.map((sign, k) => sign * shared.strengthInit[shared.group[k]!]!),
);

test("the groups of a network that was made of groups are those, with their strengths", () => {
  const { magnitudes, shared: found } = sharedByTypeOffset(weights, network, eye);
  assert.is(found.nGroups, shared.nGroups);
  const pairs = new Set(Array.from(found.group, (g, k) => g * shared.nGroups + shared.group[k]!));
  assert.is(pairs.size, shared.nGroups, "one group each");
  assert.equal(magnitudes.values, csr.values);
  // Strengths are means of weights in single precision.
  found.group.forEach((g, k) => {
    assert.ok(Math.abs(found.strengthInit[g]! - shared.strengthInit[shared.group[k]!]!) < 1e-6);
  });
});

test("where weights of a group differ, their ratios stay; a group of zeros stays at 0", () => {
  const { group } = sharedByTypeOffset(weights, network, eye).shared;
  const varied = withValues(
    csr,
    csr.values.map((sign, k) => (group[k] === 0 ? 0 : sign * (1 + (k % 3)))),
  );
  const { magnitudes, shared: found } = sharedByTypeOffset(varied, network, eye);
  assert.is(found.strengthInit[0], 0);
  varied.values.forEach((w, k) => {
    assert.ok(Math.abs(magnitudes.values[k]! * found.strengthInit[group[k]!]! - w) <= 1e-6 * Math.abs(w));
  });
});

test("the eye of a network follows from its places", () => {
  for (const extent of [1, 2, 5]) assert.is(hexagonalEyeOf(motionConnectome({ extent })).extent, extent);
});

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "flyvis' tables have their eye", async (file) => {
  assert.is(hexagonalEyeOf(await readNeuronTable(file)).extent, 2);
});

test("what does not fit is refused", async () => {
  const square = retinotopicConnectome({ columns: 3 });
  await fails(() => hexagonalEyeOf(square), "argument", /hexagonal eye: 1, 7, 19, .* \(neurons\)/);
  await fails(() => hexagonalEyeOf({ ...network, x: null }), "argument", /places of the neurons/);
  const refuses = (neurons: typeof network, kind: typeof ArgumentError | typeof ShapeError, message: RegExp) =>
    assert.throws(
      () => sharedByTypeOffset(weights, neurons, eye),
      (error: Error) => error instanceof kind && message.test(error.message),
    );
  refuses({ ...network, typeIdx: network.typeIdx.slice(1) }, ShapeError, /types of 814 × 814 neurons, got 813/);
  refuses({ ...network, x: network.x.map((x, i) => (i === 4 ? x + 0.01 : x)) }, ArgumentError, /neurons\.x, y at 4/);
});

test.run();
