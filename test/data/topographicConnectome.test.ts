import { suite } from "uvu";
import * as assert from "uvu/assert";
import { topographicConnectome } from "../../src/data/topographicConnectome.ts";
import { fails } from "../io/fixtures.ts";
import { forEachEntry } from "./generators.ts";

const test = suite("topographicConnectome");
const options = { sheetSize: [20, 30], synapseStd: 3, synapsesPerNeuron: 16, selfRecurrence: true, seed: 1 } as const;

test("the same seed gives the same sheet, another seed another one", () => {
  assert.equal(topographicConnectome(options), topographicConnectome(options));
  assert.not.equal(topographicConnectome({ ...options, seed: 2 }).colIdx, topographicConnectome(options).colIdx);
});

test("every neuron receives its synapses and one from itself, repeated pairs summed", () => {
  const csr = topographicConnectome(options);
  assert.is(csr.nRows, 600);
  assert.is(csr.nnz + csr.duplicatesSummed, 600 * 17);
  let loops = 0;
  forEachEntry(csr, (i, j, w) => {
    if (i === j) loops++;
    assert.ok(w > 0);
  });
  assert.is(loops, 600);
});

test("without self recurrence nobody connects to itself, and signed weights have both signs", () => {
  const csr = topographicConnectome({ ...options, selfRecurrence: false, signed: true });
  assert.is(csr.nnz + csr.duplicatesSummed, 600 * 16);
  let negative = 0;
  forEachEntry(csr, (i, j, w) => {
    assert.is.not(i, j);
    if (w < 0) negative++;
  });
  assert.ok(Math.abs(negative / csr.nnz - 0.5) < 0.03);
});

test("distances have the Gaussian's spread and no direction away from the border", () => {
  const csr = topographicConnectome({ ...options, sheetSize: [61, 61], selfRecurrence: false, signed: true });
  let count = 0;
  let [sum, squares] = [0, 0];
  for (let row = 20; row <= 40; row++) {
    for (let column = 20; column <= 40; column++) {
      const i = row * 61 + column;
      for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
        const d = Math.floor(csr.colIdx[k]! / 61) - row;
        count++;
        sum += d;
        squares += d * d;
      }
    }
  }
  // Summed repeats and the missing centre widen the spread by a few per cent.
  assert.ok(Math.abs(sum / count) < 0.15, `${sum / count}`);
  assert.ok(Math.abs(Math.sqrt(squares / count) / 3 - 1) < 0.06, `${Math.sqrt(squares / count)}`);
});

test("weights have He's variance for the fan-in", () => {
  const csr = topographicConnectome({ ...options, sheetSize: [80, 80], synapseStd: 40, signed: true });
  const variance = Array.from(csr.values).reduce((total, w) => total + w * w, 0) / csr.nnz;
  assert.ok(Math.abs(variance / (2 / 16) - 1) < 0.05, `${variance}`);
});

test("torch-biopl's example, whose spread reaches nobody, is a diagonal", () => {
  const tiny = { sheetSize: [10, 10], synapseStd: 0.1, synapsesPerNeuron: 10, seed: 1 } as const;
  assert.is(topographicConnectome({ ...tiny, selfRecurrence: true }).nnz, 100);
});

test("sizes and spreads out of range are refused", async () => {
  await fails(() => topographicConnectome({ ...options, sheetSize: [0, 3] }), "argument", /sheetSize/);
  const { sheetSize: _, ...without } = options;
  for (const bad of [without, { ...without, sheetSize: 20 }, { ...without, sheetSize: [20] }]) {
    await fails(() => topographicConnectome(bad as never), "argument", /sheetSize/, /\[rows, columns\]/);
  }
  await fails(() => topographicConnectome({ ...options, synapseStd: 0 }), "argument", /synapseStd/);
  await fails(
    () => topographicConnectome({ ...options, synapseStd: 0.1, selfRecurrence: false }),
    "argument",
    /reaches other neurons/,
  );
  await fails(
    () => topographicConnectome({ ...options, sheetSize: [1, 1], selfRecurrence: false }),
    "argument",
    /reaches other neurons/,
  );
});

test.run();
