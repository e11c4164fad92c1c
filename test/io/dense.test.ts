import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { encodeNpy, readDenseNpy, writeNpy } from "../../src/io/npy.ts";
import { readSparsePt } from "../../src/io/pt.ts";
import { bytesOf, fails, pickle, tempDir, tensor, torchZip } from "./fixtures.ts";

const test = suite("dense");
const dir = tempDir();
/** [[0, 1.5, 0], [-2, 0, 3]] */
const data = Float32Array.of(0, 1.5, 0, -2, 0, 3);
const expected = csrFromCoo({
  nRows: 2,
  nCols: 3,
  rows: [0, 1, 1],
  cols: [1, 0, 2],
  values: Float32Array.of(1.5, -2, 3),
});

test("a small .npy matrix is read without its zeros, in either order of its elements", async () => {
  await writeNpy(join(dir, "c.npy"), { shape: [2, 3], data });
  assert.equal(await readDenseNpy(join(dir, "c.npy")), expected);
  const fortran = encodeNpy({ shape: [2, 3], data: Float32Array.of(0, -2, 1.5, 0, 0, 3) });
  const text = Buffer.from(fortran).toString("latin1").replace("False", "True ");
  await writeFile(join(dir, "f.npy"), Buffer.from(text, "latin1"));
  assert.equal(await readDenseNpy(join(dir, "f.npy")), expected);
});

test("a matrix larger than one piece of the file is read whole", async () => {
  const n = 700;
  const large = new Float64Array(n * n);
  for (let k = 0; k < large.length; k += 1001) large[k] = k + 1;
  await writeNpy(join(dir, "large.npy"), { shape: [n, n], data: large });
  const csr = await readDenseNpy(join(dir, "large.npy"));
  assert.is(csr.nnz, Math.ceil((n * n) / 1001));
  for (let i = 0; i < n; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) assert.is(csr.values[k], i * n + csr.colIdx[k]! + 1);
  }
});

test("a small dense .pt tensor is read, also when it is transposed", async () => {
  const write = (name: string, value: Parameters<typeof pickle>[0]): Promise<void> =>
    writeFile(join(dir, name), torchZip(pickle(value), { "0": bytesOf(data) }));
  await write("c.pt", tensor("FloatStorage", "0", [2, 3]));
  assert.equal(await readSparsePt(join(dir, "c.pt")), expected);
  await write("t.pt", tensor("FloatStorage", "0", [3, 2], [1, 3]));
  const transposed = csrFromCoo({ nRows: 3, nCols: 2, rows: [1, 0, 2], cols: [0, 1, 1], values: expected.values });
  assert.equal(await readSparsePt(join(dir, "t.pt")), transposed);
  await write("part.pt", tensor("FloatStorage", "0", [2, 2], [3, 1]));
  await fails(() => readSparsePt(join(dir, "part.pt")), "file-format", /contiguous/);
});

test("large dense files are refused before they are read", async () => {
  const header = encodeNpy({ shape: [1, 1], data: Float32Array.of(1) });
  const text = Buffer.from(header).toString("latin1").replace("(1, 1), }     ", "(20001, 2), } ");
  await writeFile(join(dir, "huge.npy"), Buffer.from(text, "latin1"));
  await fails(() => readDenseNpy(join(dir, "huge.npy")), "file-dense", /20000 rows/, /\(20001, 2\)/, /sparse/);
});

test("vectors, cut-off data and numbers that are not finite are refused", async () => {
  await writeNpy(join(dir, "vector.npy"), { shape: [6], data });
  await fails(() => readDenseNpy(join(dir, "vector.npy")), "file-dense", /\(6\)/);
  const whole = encodeNpy({ shape: [2, 3], data });
  await writeFile(join(dir, "cut.npy"), whole.subarray(0, whole.length - 1));
  await fails(() => readDenseNpy(join(dir, "cut.npy")), "file-truncated", /24 bytes/, /23/);
  await writeNpy(join(dir, "nan.npy"), { shape: [1, 2], data: Float32Array.of(1, Number.NaN) });
  await fails(() => readDenseNpy(join(dir, "nan.npy")), "sparse-format", /finite/);
});

test.run();
