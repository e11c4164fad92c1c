import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import {
  createSparseProjection,
  groupInput,
  groupReadout,
  neuronsOfRole,
  randomGroups,
  randomIndices,
  retinotopicProjection,
} from "../../src/data/projection.ts";
import { absolute, normaliseRows, normaliseTypes } from "../../src/data/scaling.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import { fails, testWithData } from "../io/fixtures.ts";

const test = suite("projection");

/** The entries of a row as [column, value]. */
function row(csr: Csr, i: number): [number, number][] {
  const entries: [number, number][] = [];
  for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) entries.push([csr.colIdx[k]!, csr.values[k]!]);
  return entries;
}

test("input channel j drives neuron indices[j] with weight 1; channels that share a neuron both do", () => {
  const csr = createSparseProjection({ size: 3, numNeurons: 5, indices: [4, 0, 4], mode: "ih" });
  assert.equal([csr.nRows, csr.nCols], [5, 3]);
  assert.equal(row(csr, 0), [[1, 1]]);
  assert.equal(row(csr, 4), [
    [0, 1],
    [2, 1],
  ]);
  assert.equal(row(csr, 1), []);
});

test("output channel j reads neuron indices[j], with the values given", () => {
  const csr = createSparseProjection({ size: 2, numNeurons: 5, indices: [4, 1], mode: "ho", values: [0.5, -2] });
  assert.equal([csr.nRows, csr.nCols], [2, 5]);
  assert.equal(row(csr, 0), [[4, 0.5]]);
  assert.equal(row(csr, 1), [[1, -2]]);
});

test("indices that are no neurons or too few are refused", async () => {
  const spec = { size: 2, numNeurons: 3, mode: "ih" } as const;
  await fails(() => createSparseProjection({ ...spec, indices: [0, 3] }), "sparse-format", /0 to 2.*3 at entry 1/);
  await fails(() => createSparseProjection({ ...spec, indices: [0] }), "shape", /indices/);
  await fails(() => createSparseProjection({ ...spec, indices: [0, 1], values: [1] }), "shape", /values/);
});

test("random indices are neurons, reproducible by key", () => {
  const indices = randomIndices(1000, 7, [1, 1]);
  assert.equal(new Set(indices), new Set([0, 1, 2, 3, 4, 5, 6]));
  assert.equal(randomIndices(1000, 7, [1, 1]), indices);
  assert.not.equal(randomIndices(1000, 7, [1, 2]), indices);
});

test("an input neuron samples the image bilinearly at its place, others see nothing", () => {
  const neurons = {
    count: 4,
    role: ["input", "hidden", "input", "input"] as const,
    x: Float64Array.of(0, 0.5, 1, 0.25),
    y: Float64Array.of(0, 0.5, 1, 0.5),
  };
  const csr = retinotopicProjection(neurons, { height: 2, width: 3 });
  assert.equal([csr.nRows, csr.nCols], [4, 6]);
  assert.equal(row(csr, 0), [[0, 1]]);
  assert.equal(row(csr, 1), []);
  assert.equal(row(csr, 2), [[5, 1]]);
  assert.equal(row(csr, 3), [
    [0, 0.25],
    [1, 0.25],
    [3, 0.25],
    [4, 0.25],
  ]);
  assert.equal(neuronsOfRole(neurons, "input"), Uint32Array.of(0, 2, 3));
});

test("a linear image is sampled exactly, at any place and image size", () => {
  for (const [height, width] of [
    [28, 28],
    [1, 5],
    [7, 1],
  ] as const) {
    const places = Float64Array.from({ length: 50 }, (_, i) => ((i * 37) % 50) / 49);
    const role = Array.from(places, () => "input" as const);
    const csr = retinotopicProjection({ count: 50, role, x: places, y: places.toReversed() }, { height, width });
    for (let i = 0; i < 50; i++) {
      const seen = row(csr, i).reduce((sum, [p, w]) => sum + w * (3 * (p % width) - 2 * Math.floor(p / width)), 0);
      const exact = 3 * places[i]! * (width - 1) - 2 * places[49 - i]! * (height - 1);
      assert.ok(Math.abs(seen - exact) < 1e-4);
    }
  }
});

test("a place outside the image is refused", async () => {
  const outside = { count: 1, role: ["input"] as const, x: Float64Array.of(1.5), y: Float64Array.of(0) };
  await fails(() => retinotopicProjection(outside, { height: 2, width: 2 }), "argument", /x of neuron 0/, /1\.5/);
  await fails(() => retinotopicProjection(outside, { height: 0, width: 2 }), "argument", /height/);
});

test("normalised rows have a sum of |w| equal to the gain; rows of nothing stay", () => {
  const csr = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 0, 2], cols: [0, 1, 2], values: [1, -3, 0] });
  assert.equal(normaliseRows(csr, 2).values, Float64Array.of(0.5, -1.5, 0));
  assert.equal(csr.values, Float64Array.of(1, -3, 0));
  assert.equal(absolute(csr).values, Float64Array.of(1, 3, 0));
});

test("rows of a type are divided by one number: their mean is the gain, and their ratios stay", () => {
  // Neurons 0 and 1 are of type a, 2 is of type b and has no input.
  const csr = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 0, 1], cols: [1, 2, 2], values: [2, -4, 2] }, "test");
  const neurons = { types: ["a", "b"], typeIdx: [0, 0, 1] };
  assert.equal([...normaliseTypes(csr, neurons, 2).values], [1, -2, 1]);
  assert.throws(() => normaliseTypes(csr, neurons, 0), /a number > 0/);
  assert.throws(() => normaliseTypes(csr, { types: ["a"], typeIdx: [0, 0] }), /3 × 3/);
});

test("a gain that is not positive is refused", async () => {
  const csr = csrFromCoo({ nRows: 1, nCols: 1, rows: [0], cols: [0], values: [1] });
  await fails(() => normaliseRows(csr, 0), "argument", /gain/);
});

testWithData(test, ["flyvis/flyvis_e6_neurons.csv"], "the published photoreceptors cover the image", async (file) => {
  const neurons = await readNeuronTable(file);
  const csr = retinotopicProjection(neurons, { height: 28, width: 28 });
  assert.is(csr.nRows, 8051);
  const seen = new Set(csr.colIdx);
  assert.ok(seen.size > 300, `${seen.size} pixels seen by 127 columns`);
  for (const i of neuronsOfRole(neurons, "input")) {
    const sum = row(csr, i).reduce((total, [, weight]) => total + weight, 0);
    assert.ok(Math.abs(sum - 1) < 1e-6);
  }
});

test("random groups are disjoint, ascending, as large as asked for, and a function of their key", () => {
  const except = [0, 7, 7, 19];
  const groups = randomGroups({ numNeurons: 20, groups: 3, size: 5, except }, [1, 2]);
  assert.equal(
    groups.map((group) => group.length),
    [5, 5, 5],
  );
  for (const group of groups) assert.equal(group, group.slice().sort());
  const members = new Set(groups.flatMap((group) => [...group]));
  assert.is(members.size, 15);
  assert.ok(except.every((i) => !members.has(i)));
  assert.equal(randomGroups({ numNeurons: 20, groups: 3, size: 5, except }, [1, 2]), groups);
  assert.not.equal(randomGroups({ numNeurons: 20, groups: 3, size: 5, except }, [1, 3]), groups);
});

test("every neuron is equally likely to be in each group", () => {
  const counts = [new Float64Array(10), new Float64Array(10)];
  for (let k = 0; k < 5000; k++) {
    randomGroups({ numNeurons: 10, groups: 2, size: 3 }, [9, k]).forEach((group, g) => {
      for (const i of group) counts[g]![i]!++;
    });
  }
  // Binomial with p = 0.3: 1500 ± 32; five standard deviations.
  for (const count of counts.flatMap((c) => [...c])) assert.ok(Math.abs(count - 1500) < 162, `${count}`);
});

test("an input drives its whole group, an output is the mean of its group", () => {
  const groups = [
    [1, 4],
    [0, 2, 3],
  ];
  const input = groupInput(6, groups);
  assert.equal([input.nRows, input.nCols, input.nnz], [6, 2, 5]);
  assert.equal(row(input, 4), [[0, 1]]);
  assert.equal(row(input, 5), []);
  const readout = groupReadout(6, groups);
  assert.equal([readout.nRows, readout.nCols, readout.nnz], [2, 6, 5]);
  assert.equal(row(readout, 0), [
    [1, 0.5],
    [4, 0.5],
  ]);
  assert.equal(
    row(readout, 1).map(([i]) => i),
    [0, 2, 3],
  );
  assert.is(row(readout, 1)[0]![1], Math.fround(1 / 3));
});

test("groups for which there are too few neurons are refused", async () => {
  const spec = { numNeurons: 10, groups: 2, size: 4 };
  assert.is(randomGroups({ ...spec, except: [1, 2] }, [0, 0]).length, 2);
  await fails(() => randomGroups({ ...spec, except: [1, 2, 3] }, [0, 0]), "argument", /7 neurons/);
  await fails(() => randomGroups({ ...spec, except: [10] }, [0, 0]), "argument", /except/);
  await fails(() => randomGroups({ ...spec, size: 0 }, [0, 0]), "argument", /size/);
  await fails(() => groupInput(4, [[1, 4]]), "sparse-format", /groupInput/);
  await fails(() => groupReadout(4, [[4]]), "sparse-format", /groupReadout/);
  await fails(() => groupReadout(4, [[0], [], [1]]), "argument", /a neuron in every group, got none in group 1/);
  await fails(() => groupReadout(4, [[0], [0.5]]), "sparse-format", /0\.5/);
});

test.run();
