import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { encodeNpy, encodeNpyString, type NpyInput } from "../../src/io/npy.ts";
import { openNpz, readNpz, readSparseNpz, writeNpz, writeSparseNpz } from "../../src/io/npz.ts";
import type { NumberArray } from "../../src/io/numbers.ts";
import { writeZip } from "../../src/io/zip.ts";
import { fails, tempDir, testWithData } from "./fixtures.ts";

const test = suite("npz");
const dir = tempDir();

/** [[0, 2, 0], [3, 0, -1]] */
const matrix = csrFromCoo({ nRows: 2, nCols: 3, rows: [0, 1, 1], cols: [1, 0, 2], values: Float32Array.of(2, 3, -1) });

/** Writes arrays the way SciPy's save_npz does. */
async function sparse(name: string, format: string, arrays: Record<string, NumberArray>): Promise<string> {
  const file = join(dir, name);
  await writeZip(file, [
    { name: "format.npy", bytes: encodeNpyString(format) },
    ...Object.entries(arrays).map(([key, data]) => ({
      name: `${key}.npy`,
      bytes: encodeNpy({ shape: [data.length], data }),
    })),
  ]);
  return file;
}

const csrArrays = {
  shape: Int32Array.of(2, 3),
  indptr: Int32Array.of(0, 1, 3),
  indices: Int32Array.of(1, 0, 2),
  data: Float32Array.of(2, 3, -1),
};

test("named arrays are written and read", async () => {
  const file = join(dir, "arrays.npz");
  await writeNpz(file, {
    x: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    n: { shape: [], data: Uint32Array.of(9) },
  });
  const npz = await openNpz(file);
  assert.equal(npz.names, ["x", "n"]);
  assert.equal((await npz.read("x")).data, Float32Array.of(1, 2, 3, 4));
  await fails(() => npz.read("y"), "file-format", /"y"/, /x, n/);
  npz.close();
  assert.equal([...(await readNpz(file, ["n"])).keys()], ["n"]);
});

/** `scipy.sparse.save_npz` (SciPy 1.17, NumPy 2.4) of the matrix, compressed as is its default. */
const FROM_SCIPY =
  "UEsDBC0AAAAIAAAAIQDzoLL+//////////8LABQAaW5kaWNlcy5ucHkBABAAjAAAAAAAAABKAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GsY6mjoKtQoUAC5GBghgAmIAUEsDBC0AAAAIAAAAIQBniwER//////////8KABQAaW5kcHRyLm5weQEAEACMAAAAAAAAAEwAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNpoq6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkaxjqaOgq1ChQALgYgYARiZiAGAFBLAwQtAAAACAAAACEAo8N0l///////////CgAUAGZvcm1hdC5ucHkBABAAgwAAAAAAAABFAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loF4TbKyuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5Gpo6CrUKFAGu5OIiAFBLAwQtAAAACAAAACEAYEh+DP//////////CQAUAHNoYXBlLm5weQEAEACQAAAAAAAAAEoAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNpoa6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkaRjqaOgq1ChQALiYGCGCG0gBQSwMELQAAAAgAAAAhAN2R//H//////////wgAFABkYXRhLm5weQEAEACMAAAAAAAAAE0AAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNmoq6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkaxjqaOgq1ChQALgYGBgcgAuKG/QBQSwECLQMtAAAACAAAACEA86Cy/koAAACMAAAACwAAAAAAAAAAAAAAgAEAAAAAaW5kaWNlcy5ucHlQSwECLQMtAAAACAAAACEAZ4sBEUwAAACMAAAACgAAAAAAAAAAAAAAgAGHAAAAaW5kcHRyLm5weVBLAQItAy0AAAAIAAAAIQCjw3SXRQAAAIMAAAAKAAAAAAAAAAAAAACAAQ8BAABmb3JtYXQubnB5UEsBAi0DLQAAAAgAAAAhAGBIfgxKAAAAkAAAAAkAAAAAAAAAAAAAAIABkAEAAHNoYXBlLm5weVBLAQItAy0AAAAIAAAAIQDdkf/xTQAAAIwAAAAIAAAAAAAAAAAAAACAARUCAABkYXRhLm5weVBLBQYAAAAABQAFABYBAACcAgAAAAA=";

test("a compressed file that SciPy wrote is read", async () => {
  const file = join(dir, "scipy.npz");
  await writeFile(file, Buffer.from(FROM_SCIPY, "base64"));
  assert.equal(await readSparseNpz(file), matrix);
});

test("csr, csc and coo of the same matrix read to the same", async () => {
  assert.equal(await readSparseNpz(await sparse("a.npz", "csr", csrArrays)), matrix);
  const csc = await sparse("b.npz", "csc", {
    shape: Int32Array.of(2, 3),
    indptr: Int32Array.of(0, 1, 2, 3),
    indices: Int32Array.of(1, 0, 1),
    data: Float32Array.of(3, 2, -1),
  });
  assert.equal(await readSparseNpz(csc), matrix);
  const coo = await sparse("c.npz", "coo", {
    shape: Int32Array.of(2, 3),
    row: Int32Array.of(1, 0, 1),
    col: Int32Array.of(2, 1, 0),
    data: Float32Array.of(-1, 2, 3),
  });
  assert.equal(await readSparseNpz(coo), matrix);
});

test("entries that occur twice are summed and counted", async () => {
  const coo = await sparse("twice.npz", "coo", {
    shape: Int32Array.of(2, 3),
    row: Int32Array.of(1, 1, 0),
    col: Int32Array.of(2, 2, 1),
    data: Float32Array.of(1, 2, 5),
  });
  const csr = await readSparseNpz(coo);
  assert.is(csr.duplicatesSummed, 1);
  assert.equal(csr.values, Float32Array.of(5, 3));
});

test("a matrix that was written reads back the same", async () => {
  const file = join(dir, "written.npz");
  await writeSparseNpz(file, matrix);
  assert.equal(await readSparseNpz(file), matrix);
});

test("the only dense matrix is read, or the one under a key; others are refused with what they are", async () => {
  const file = join(dir, "dense.npz");
  const w = { shape: [2, 3], data: Float32Array.of(0, 2, 0, 3, 0, -1) };
  await writeNpz(file, { w, names: { shape: [2], data: Float64Array.of(1, 2) } });
  assert.equal(await readSparseNpz(file), matrix);
  await writeNpz(file, { w, v: { shape: [1, 1], data: Float64Array.of(4) } });
  assert.equal(await readSparseNpz(file, { key: "w" }), matrix);
  await fails(() => readSparseNpz(file), "file-dense", /save_npz/, /dense arrays: w f4 \(2, 3\), v f8 \(1, 1\)/);
  await fails(() => readSparseNpz(file, { key: "u" }), "file-format", /"u"/, /w, v/);
  await writeNpz(file, { w: { shape: [2], data: new Float64Array(2) } });
  await fails(() => readSparseNpz(file), "file-dense", /w f8 \(2,\)/);
  const text = encodeNpyString("w");
  await writeZip(file, [{ name: "w.npy", bytes: text }]);
  await fails(() => readSparseNpz(file, { key: "w" }), "file-format", /array of numbers/);
});

test("room behind the last offset is not looked at, in csr, csc and bsr", async () => {
  const slack = {
    ...csrArrays,
    indices: Int32Array.of(1, 0, 2, 99, -1),
    data: Float32Array.of(2, 3, -1, Number.NaN, 7),
  };
  assert.equal(await readSparseNpz(await sparse("slack.npz", "csr", slack)), matrix);
  const columns = {
    shape: Int32Array.of(2, 3),
    indptr: Int32Array.of(0, 1, 2, 3),
    indices: Int32Array.of(1, 0, 1, 99),
    data: Float32Array.of(3, 2, -1, Number.NaN),
  };
  assert.equal(await readSparseNpz(await sparse("slack.npz", "csc", columns)), matrix);
});

/** Writes arrays with their shapes. */
async function shaped(name: string, format: string, arrays: Record<string, NpyInput>): Promise<string> {
  const file = join(dir, name);
  const entries = Object.entries(arrays).map(([key, array]) => ({ name: `${key}.npy`, bytes: encodeNpy(array) }));
  await writeZip(file, [{ name: "format.npy", bytes: encodeNpyString(format) }, ...entries]);
  return file;
}

const vector = (data: NumberArray): NpyInput => ({ shape: [data.length], data });

test("bsr and dia are read, without the zeros that fill them up", async () => {
  // [[1, 2, 0, 0], [0, 3, 0, 0], [0, 0, 4, 0], [0, 0, 0, 5]] in blocks of 2 × 2, and a block of unused room.
  const blocks = {
    shape: vector(Int32Array.of(4, 4)),
    indptr: vector(Int32Array.of(0, 1, 2)),
    indices: vector(Int32Array.of(0, 1, 7)),
    data: { shape: [3, 2, 2], data: Float32Array.of(1, 2, 0, 3, 4, 0, 0, 5, 9, 9, 9, 9) },
  };
  const expected = csrFromCoo({
    ...{ nRows: 4, nCols: 4, rows: [0, 0, 1, 2, 3], cols: [0, 1, 1, 2, 3] },
    values: Float32Array.of(1, 2, 3, 4, 5),
  });
  assert.equal(await readSparseNpz(await shaped("bsr.npz", "bsr", blocks)), expected);
  const odd = { ...blocks, shape: vector(Int32Array.of(3, 4)) };
  await fails(async () => readSparseNpz(await shaped("odd.npz", "bsr", odd)), "file-format", /blocks that fill 3 × 4/);
  // The diagonals 0 and 1; what lies left of the matrix is padding.
  const diagonals = {
    shape: vector(Int32Array.of(4, 4)),
    offsets: vector(Int32Array.of(0, 1)),
    data: { shape: [2, 4], data: Float32Array.of(1, 3, 4, 5, 9, 2, 0, 0) },
  };
  assert.equal(await readSparseNpz(await shaped("dia.npz", "dia", diagonals)), expected);
});

test("entries of a boolean matrix that occur twice stay true", async () => {
  const file = join(dir, "bool.npz");
  const flags = encodeNpy(vector(Uint8Array.of(1, 1, 0)));
  new TextEncoder().encodeInto("|b1", flags.subarray(new TextDecoder("latin1").decode(flags).indexOf("|u1")));
  await writeZip(file, [
    { name: "format.npy", bytes: encodeNpyString("coo") },
    { name: "shape.npy", bytes: encodeNpy(vector(Int32Array.of(2, 2))) },
    { name: "row.npy", bytes: encodeNpy(vector(Int32Array.of(1, 1, 0))) },
    { name: "col.npy", bytes: encodeNpy(vector(Int32Array.of(0, 0, 1))) },
    { name: "data.npy", bytes: flags },
  ]);
  const { values, duplicatesSummed } = await readSparseNpz(file);
  assert.equal([...values], [0, 1]);
  assert.is(duplicatesSummed, 1);
});

test("formats without a reader are refused by name, a long name in part", async () => {
  for (const format of ["lil", "x".repeat(200_000)]) {
    const file = await sparse("format.npz", format, csrArrays);
    await fails(() => readSparseNpz(file), "file-format", /csr, csc, bsr, coo, dia/, new RegExp(format.slice(0, 3)));
    const { message } = (await readSparseNpz(file).catch((error: Error) => error)) as Error;
    assert.ok(message.length < 500, message);
  }
});

test("indices, offsets and values that break the matrix are refused with the file's name", async () => {
  const broken = async (change: Partial<typeof csrArrays>): Promise<string> =>
    sparse("broken.npz", "csr", { ...csrArrays, ...change });
  const read = async (change: Partial<typeof csrArrays>): Promise<unknown> => readSparseNpz(await broken(change));
  await fails(() => read({ indices: Int32Array.of(1, 0, 3) }), "sparse-format", /broken\.npz/, /3 at entry 2/);
  await fails(() => read({ indices: Int32Array.of(1, 0, -1) }), "sparse-format", /-1/);
  await fails(() => read({ data: Float32Array.of(2, Number.NaN, 1) }), "sparse-format", /NaN at entry 1/);
  await fails(() => read({ indptr: Int32Array.of(0, 4, 3) }), "sparse-format", /rowPtr/);
  await fails(() => read({ data: Float32Array.of(2, 3) }), "shape", /2 indices, one per value, got 3/);
  await fails(() => read({ indptr: Int32Array.of(0, 1, 4) }), "file-format", /offsets up to 3/);
  await fails(() => read({ shape: Int32Array.of(2) }), "file-format", /two dimensions/);
});

testWithData(
  test,
  ["flyvis/flyvis_e6_csr.npz", "flyvis/flyvis_e6_coo.npz"],
  "the files of one published connectome agree in every format",
  async (csrFile, cooFile) => {
    const csr = await readSparseNpz(csrFile);
    assert.is(csr.nRows, 8051);
    assert.is(csr.nnz, 246_109);
    assert.equal(await readSparseNpz(cooFile), csr);
  },
);

testWithData(
  test,
  ["celegans/celegans_chemical_csr.npz"],
  "the worm's chemical synapses read with their signs",
  async (file) => {
    const csr = await readSparseNpz(file);
    assert.equal([csr.nRows, csr.nCols, csr.nnz], [300, 300, 3638]);
    // edges.csv: I1L (0) to I2L (2), weight 10, acetylcholine.
    const at = csr.colIdx.indexOf(0, csr.rowPtr[2]);
    assert.ok(at < csr.rowPtr[3]!);
    assert.is(csr.values[at], 10);
    assert.ok(csr.values.some((w) => w < 0));
  },
);

test.run();
