// Which neurons get the inputs, and which are read out, where the user names none.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { deriveKey, keyOfSeed } from "../../src/core/random.ts";
import { neuronsOfRole, randomIndices } from "../../src/data/connectomes.ts";
import type { NeuronRole, NeuronTable } from "../../src/io/neuronTable.ts";
import type { Connectome } from "../../src/run/network.ts";
import { chooseProjections, drivenBy, type Projections, readBy } from "../../src/run/projections.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("projections");
const COUNT = 12;
const SEED = 3;
const CONFIG: Parameters<typeof chooseProjections>[2] = {
  ...{
    input: "auto",
    inputScale: 1,
    readout: "auto",
    headScale: 1,
    groupSize: 1,
    kernel: 1,
    hiddenChannels: null,
    seed: SEED,
  },
  head: "layers",
};
const PIXELS = { inputSize: 16, picture: { height: 4, width: 4 }, outputs: 2 } as const;
const NUMBERS = { inputSize: 16, outputs: 2 } as const;

/** A ring. @param roles  null: no table. */
function network(roles: readonly NeuronRole[] | null, hasPlaces = false): Connectome {
  const around = Uint32Array.from({ length: COUNT }, (_, i) => i);
  const places = () => Float64Array.from(around, (i) => i / (COUNT - 1));
  const table: NeuronTable | null = roles && {
    ...{ count: COUNT, types: [""], typeIdx: new Uint32Array(COUNT), role: roles, sign: null },
    ...{ x: hasPlaces ? places() : null, y: hasPlaces ? places() : null },
  };
  const cols = around.map((i) => (i + 1) % COUNT);
  const csr = csrFromCoo({ nRows: COUNT, nCols: COUNT, rows: around, cols, values: new Float32Array(COUNT).fill(1) });
  const none = { initial: null, file: null, tableFile: null, ids: null, provenance: null };
  return { ...none, csr, table, source: "a ring" };
}

const ROLES: readonly NeuronRole[] = Array.from({ length: COUNT }, (_, i) =>
  i % 3 === 0 ? "input" : i % 3 === 1 ? "output" : "hidden",
);
const neurons = (has: (neuron: number) => boolean): number[] =>
  Array.from({ length: COUNT }, (_, i) => i).filter((i) => has(i));
const driven = (projections: Projections): number[] => neurons(drivenBy(projections));
const read = (projections: Projections): number[] => neurons(readBy(projections));
/** The neurons that random inputs drive, of `count`. */
const drawn = (count: number): number[] => {
  const indices = randomIndices(16, count, deriveKey(keyOfSeed(SEED), "input projection"));
  return [...new Set(indices)].sort((a, b) => a - b);
};

test("roles without places: inputs drive neurons of role input, those of role output are read out", () => {
  const connectome = network(ROLES);
  const inputs = neuronsOfRole(connectome.table!, "input");
  for (const ends of [PIXELS, NUMBERS]) {
    const got = chooseProjections(connectome, ends, CONFIG);
    assert.equal([got.input, got.inputSelected, got.readout], ["random", 4, "output"]);
    const expected = drawn(4).map((k) => inputs[k]!);
    assert.equal(driven(got), expected);
    assert.equal(read(got), [...neuronsOfRole(connectome.table!, "output")]);
  }
});

test("roles and places: pixels are retinotopic, numbers random; no table: random", () => {
  const placed = network(ROLES, true);
  const seen = chooseProjections(placed, PIXELS, CONFIG);
  assert.equal([seen.input, seen.inputSelected], ["retinotopic", null]);
  assert.equal(driven(seen), [...neuronsOfRole(placed.table!, "input")]);
  for (const [connectome, ends] of [
    [placed, NUMBERS],
    [network(null), PIXELS],
  ] as const) {
    const got = chooseProjections(connectome, ends, { ...CONFIG, readout: "all" });
    assert.equal([got.input, got.inputSelected], ["random", null]);
    assert.equal(driven(got), drawn(COUNT));
  }
});

test("a table without inputs, or without outputs, is as one without these roles", () => {
  const noInputs = ROLES.map((role) => (role === "input" ? "hidden" : role));
  const free = chooseProjections(network(noInputs), NUMBERS, { ...CONFIG, readout: "all" });
  assert.equal(driven(free), drawn(COUNT));
  const noOutputs = ROLES.map((role) => (role === "output" ? "hidden" : role));
  const got = chooseProjections(network(noOutputs), NUMBERS, CONFIG);
  assert.is(got.readout, "no-input");
  assert.equal(
    read(got),
    neurons((i) => !driven(got).includes(i)),
  );
});

test("no neuron left to read out: the error says which, and what helps", async () => {
  const single = drawn(COUNT).find((i) => i > 0)!;
  const connectome = network(Array.from(ROLES, (_, i) => (i === single ? "output" : i === 0 ? "input" : "hidden")));
  await fails(
    () => chooseProjections(connectome, NUMBERS, { ...CONFIG, input: "random" }),
    "argument",
    /without input.*\(output\), got 1 neuron, all with input \(--input "role=input" drives others\); --readout all/,
  );
  const noOutputs = network(ROLES.map((role) => (role === "output" ? "hidden" : role)));
  await fails(
    () => chooseProjections(noOutputs, NUMBERS, { ...CONFIG, readout: "output" }),
    "argument",
    /no neuron of this role in the table/,
  );
});

test.run();
