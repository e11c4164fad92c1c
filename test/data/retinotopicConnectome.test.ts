import { suite } from "uvu";
import * as assert from "uvu/assert";
import { neuronsOfRole } from "../../src/data/projection.ts";
import { retinotopicConnectome } from "../../src/data/retinotopicConnectome.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("retinotopicConnectome");
const network = retinotopicConnectome();
const { csr, count, role } = network;

test("the default is a network for a demo: a few thousand neurons, about a hundred thousand connections", () => {
  assert.is(count, 4046);
  assert.is(csr.nRows, count);
  assert.is(csr.nCols, count);
  assert.is(csr.duplicatesSummed, 0);
  assert.ok(csr.nnz > 80_000 && csr.nnz < 160_000, `${csr.nnz}`);
  assert.is(network.types.length, 14);
});

test("the same seed gives the same network, another seed other wiring between the same neurons", () => {
  assert.equal(retinotopicConnectome(), network);
  const other = retinotopicConnectome({ seed: 2 });
  assert.not.equal(other.csr.colIdx, csr.colIdx);
  assert.equal(other.typeIdx, network.typeIdx);
});

test("weights are whole synapse counts with the sign of the presynaptic neuron", () => {
  csr.values.forEach((w, k) => {
    assert.is(Math.sign(w), network.sign[csr.colIdx[k]!]);
    assert.ok(Number.isInteger(w));
  });
  const inhibitory = csr.values.filter((w) => w < 0).length / csr.nnz;
  assert.ok(inhibitory > 0.2 && inhibitory < 0.6, `${inhibitory}`);
});

/** Neurons that a signal from the input neurons reaches in at most `steps` synapses. */
function reached(steps: number): Uint8Array {
  let active = Uint8Array.from(role, (r) => (r === "input" ? 1 : 0));
  for (let step = 0; step < steps; step++) {
    const next = active.slice();
    for (let i = 0; i < count; i++) {
      for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) if (active[csr.colIdx[k]!]) next[i] = 1;
    }
    active = next;
  }
  return active;
}

test("input neurons receive nothing and do not touch the outputs directly", () => {
  for (const i of neuronsOfRole(network, "input")) assert.is(csr.rowPtr[i], csr.rowPtr[i + 1]);
  const afterOne = reached(1);
  for (const i of neuronsOfRole(network, "output")) assert.is(afterOne[i], 0);
});

test("the signal reaches every output within three synapses", () => {
  const afterThree = reached(3);
  const outputs = neuronsOfRole(network, "output");
  assert.ok(outputs.length > 0);
  for (const i of outputs) assert.is(afterThree[i], 1);
});

test("connections are local and the same in every column", () => {
  const side = 17;
  const perType = side * side;
  const offsets = new Map<number, Set<string>>();
  for (let i = 0; i < count; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
      const j = csr.colIdx[k]!;
      const du = ((i % perType) % side) - ((j % perType) % side);
      const dv = Math.floor((i % perType) / side) - Math.floor((j % perType) / side);
      assert.ok(Math.hypot(du, dv) < 3.3);
      assert.is.not(i, j);
      const pair = network.typeIdx[i]! * 256 + network.typeIdx[j]!;
      offsets.set(pair, (offsets.get(pair) ?? new Set()).add(`${du},${dv}`));
    }
  }
  // The middle column has every offset of every pair of types.
  const middle = 8 * side + 8;
  for (const [pair, known] of offsets) {
    const post = Math.floor(pair / 256) * perType + middle;
    const pres = csr.colIdx.subarray(csr.rowPtr[post], csr.rowPtr[post + 1]);
    assert.is(pres.filter((j) => network.typeIdx[j] === pair % 256).length, known.size);
  }
});

test("places lie in the unit square, and a bigger grid has more columns of the same types", () => {
  for (const places of [network.x, network.y]) assert.ok(places.every((place) => place > 0 && place < 1));
  const small = retinotopicConnectome({ columns: 2 });
  assert.is(small.count, 14 * 4);
  assert.equal(small.types, network.types);
});

test("a grid without room is refused", async () => {
  await fails(() => retinotopicConnectome({ columns: 1 }), "argument", /columns/);
  await fails(() => retinotopicConnectome({ seed: 0.5 }), "argument", /seed/);
});

test.run();
