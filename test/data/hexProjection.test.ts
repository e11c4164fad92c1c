import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Csr } from "../../src/core/csr.ts";
import { HexagonalEye, hexagonalOffsets } from "../../src/data/hexagon.ts";
import { hexagonalInput, hexagonalReadout } from "../../src/data/hexProjection.ts";
import { motionConnectome } from "../../src/data/motionConnectome.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import { fails, testWithData } from "../io/fixtures.ts";

const test = suite("hexProjection");
const network = motionConnectome({ extent: 2 });
const { eye, count, role, typeIdx } = network;
const columnOf = (i: number) => i % eye.count;

const entries = ({ nRows, rowPtr, colIdx }: Csr): [number, number, number][] =>
  Array.from({ length: nRows }, (_, i) => i).flatMap((i) =>
    Array.from(colIdx.subarray(rowPtr[i], rowPtr[i + 1]), (j, k): [number, number, number] => [i, j, rowPtr[i]! + k]),
  );

test("every input neuron is driven by its own column", () => {
  const csr = hexagonalInput(network, eye);
  assert.equal([csr.nRows, csr.nCols], [count, eye.count]);
  const expected = Array.from({ length: count }, (_, i) => i).filter((i) => role[i] === "input");
  assert.equal(
    entries(csr).map(([i, j]) => [i, j]),
    expected.map((i) => [i, columnOf(i)]),
  );
  assert.ok(csr.values.every((w) => w === 1));
});

test("the read-out is a convolution over the types of output neurons", () => {
  const [radius, channels] = [1, 2];
  const { csr, group, nGroups } = hexagonalReadout(network, eye, radius, channels);
  const offsets = hexagonalOffsets(radius);
  const first = role.indexOf("output");
  const types = 12;
  assert.is(nGroups, channels * types * offsets.length);
  assert.equal([csr.nRows, csr.nCols], [channels * eye.count, count]);
  const seen = new Set<number>();
  for (const [row, neuron, k] of entries(csr)) {
    const [o, to] = [Math.floor(row / eye.count), row % eye.count];
    const from = columnOf(neuron);
    const d = offsets.findIndex(({ du, dv }) => eye.u[to]! + du === eye.u[from] && eye.v[to]! + dv === eye.v[from]);
    assert.ok(d >= 0);
    assert.is(group[k], (o * types + typeIdx[neuron]! - typeIdx[first]!) * offsets.length + d);
    seen.add(group[k]!);
  }
  assert.is(seen.size, nGroups);
  // Every pair of an output column and an output neuron within the radius is there.
  const pairs = Array.from({ length: eye.count }, (_, c) => offsets.filter((d) => eye.neighbour(c, d) >= 0).length);
  assert.is(csr.nnz, channels * types * pairs.reduce((a, b) => a + b));
});

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "flyvis' tables fit their eye", async (file) => {
  const neurons = await readNeuronTable(file);
  const whole = new HexagonalEye(2);
  const input = hexagonalInput(neurons, whole);
  // R1 to R8 in each of 19 columns.
  assert.is(input.nnz, 8 * 19);
  for (const [i, j] of entries(input)) assert.is(j, i % 19);
  assert.ok(hexagonalReadout(neurons, whole, 2, 2).csr.nnz > 0);
  await fails(() => hexagonalInput(neurons, new HexagonalEye(3)), "argument", /extent 3/);
});

test("neurons without places, roles or outputs are refused by name, and so is another eye", async () => {
  const nowhere = { ...network, x: null };
  const all = { ...network, role: role.map(() => "input" as const) };
  await fails(() => hexagonalInput(nowhere, eye), "argument", /places/);
  await fails(() => hexagonalInput({ ...network, role: null }, eye), "argument", /role/);
  await fails(() => hexagonalReadout(all, eye, 1, 1), "argument", /output/);
  await fails(() => hexagonalReadout(network, eye, 1, 0), "argument", /channelsOut/);
  await fails(() => hexagonalInput(network, new HexagonalEye(3)), "argument", /extent 3/);
});

test.run();
