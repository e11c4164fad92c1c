import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { readSparseSafetensors } from "../../src/io/sparseSafetensors.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("sparseSafetensors");
const dir = tempDir();
const file = join(dir, "w.safetensors");
const square = csrFromCoo({
  nRows: 3,
  nCols: 3,
  rows: [0, 1, 1],
  cols: [2, 0, 1],
  values: Float32Array.of(2, -3, 0.5),
});

const long = (shape: readonly number[], ...data: number[]): SafeTensor => ({
  dtype: "I64",
  shape,
  data: Float64Array.from(data),
});
const float = (...data: number[]): SafeTensor => ({
  dtype: "F32",
  shape: [data.length],
  data: Float32Array.from(data),
});
const write = (tensors: Readonly<Record<string, SafeTensor>>): Promise<void> =>
  writeSafetensors(file, new Map(Object.entries(tensors)));

test("coordinates in any order and compressed rows give the same matrix, with or without a shape", async () => {
  const coo = { indices: long([2, 3], 1, 0, 1, 1, 2, 0), values: float(0.5, 2, -3) };
  await write({ ...coo, shape: long([2], 3, 3) });
  assert.equal(await readSparseSafetensors(file), square);
  await write(coo);
  assert.equal((await readSparseSafetensors(file)).nRows, 3);
  const rowPtr = long([4], 0, 1, 3, 3);
  const colIdx = long([3], 2, 0, 1);
  const values = float(2, -3, 0.5);
  await write({ crow: rowPtr, col: colIdx, values });
  assert.equal(await readSparseSafetensors(file), square);
  await write({ "w.crow_indices": rowPtr, "w.col_indices": colIdx, "w.values": values });
  assert.equal(await readSparseSafetensors(file), square);
});

test("a matrix of a model is found under its prefix", async () => {
  const coo = (p: string): Record<string, SafeTensor> => ({
    [`${p}.indices`]: long([2, 1], 0, 0),
    [`${p}.values`]: float(4),
  });
  await write({ ...coo("rnn.hh"), "rnn.tau": float(1) });
  assert.is((await readSparseSafetensors(file)).values[0], 4);
  await write({ ...coo("rnn.hh"), ...coo("rnn.ih") });
  assert.is((await readSparseSafetensors(file, { key: "rnn.hh" })).values[0], 4);
  await fails(() => readSparseSafetensors(file), "file-format", /several: rnn\.hh\., rnn\.ih\./);
  await fails(() => readSparseSafetensors(file, { key: "hh" }), "file-format", /hh\.indices and hh\.values/);
});

test("entries of a boolean matrix that occur twice stay true", async () => {
  const values: SafeTensor = { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 1) };
  await write({ indices: long([2, 2], 0, 0, 1, 1), values });
  assert.equal([...(await readSparseSafetensors(file)).values], [1]);
});

test("nothing at all is no matrix; with a shape it is one without entries", async () => {
  const nothing = { indices: long([2, 0]), values: float() };
  await write(nothing);
  await fails(() => readSparseSafetensors(file), "file-format", /entries, or a tensor "shape"/);
  await write({ ...nothing, shape: long([2], 2, 2) });
  assert.is((await readSparseSafetensors(file)).nnz, 0);
});

test("dense tensors, wrong shapes and indices out of range are refused", async () => {
  await write({ weight: float(1, 2) });
  await fails(() => readSparseSafetensors(file), "file-dense", /indices and values/, /weight/);
  await write({ indices: long([2, 2], 0, 0, 0, 0), values: float(1) });
  await fails(() => readSparseSafetensors(file), "file-format", /"indices" of shape \[2, 1\]/, /\[2, 2\]/);
  await write({ indices: long([2, 1], 0, 5), values: float(1), shape: long([2], 2, 2) });
  await fails(() => readSparseSafetensors(file), "sparse-format", /0 to 1/, /5/);
});

test.run();
