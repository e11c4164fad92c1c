import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { readMatrixMarket, writeMatrixMarket } from "../../src/io/matrixMarket.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("matrixMarket");
const dir = tempDir();

async function read(text: string | Uint8Array, name = "w.mtx"): Promise<Csr> {
  await writeFile(join(dir, name), text);
  return readMatrixMarket(join(dir, name));
}

const matrix = (nRows: number, nCols: number, ...entries: readonly (readonly [number, number, number])[]): Csr =>
  csrFromCoo({
    nRows,
    nCols,
    rows: entries.map((e) => e[0]),
    cols: entries.map((e) => e[1]),
    values: entries.map((e) => e[2]),
  });

test("indices count from one; comments, case and empty lines do not matter", async () => {
  const text = "%%MatrixMarket MATRIX Coordinate Real General\n% a\n\n% b\n2 3 2\n\n1 3 -1.5e2\n  2\t1   4 \n";
  assert.equal(await read(text), matrix(2, 3, [0, 2, -150], [1, 0, 4]));
  assert.equal(await read(gzipSync(text), "w.mtx.gz"), matrix(2, 3, [0, 2, -150], [1, 0, 4]));
});

test("a pattern has ones, a symmetric matrix both halves, a skew-symmetric one opposite signs", async () => {
  assert.equal(await read("%%MatrixMarket matrix coordinate pattern general\n2 2 1\n2 1\n"), matrix(2, 2, [1, 0, 1]));
  assert.equal(
    await read("%%MatrixMarket matrix coordinate integer symmetric\n2 2 2\n1 1 5\n2 1 7\n"),
    matrix(2, 2, [0, 0, 5], [0, 1, 7], [1, 0, 7]),
  );
  assert.equal(
    await read("%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 7\n"),
    matrix(2, 2, [0, 1, -7], [1, 0, 7]),
  );
});

test("what SciPy and FORTRAN call things is understood", async () => {
  assert.equal(
    await read("%%MatrixMarket matrix coordinate unsigned-integer general\n2 2 1\n2 1 4294967295\n"),
    matrix(2, 2, [1, 0, 4294967295]),
  );
  assert.equal(
    await read("%%MatrixMarket matrix coordinate real hermitian\n2 2 2\n1 1 5\n2 1 7\n"),
    matrix(2, 2, [0, 0, 5], [0, 1, 7], [1, 0, 7]),
  );
  const exponents = "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1.5D+02\n2 2 -2.5d-1\n";
  assert.equal(await read(exponents), matrix(2, 2, [0, 0, 150], [1, 1, -0.25]));
  const none = "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1.5D+0D2\n";
  await fails(() => read(none), "file-format", /a finite number/);
});

test("writing and reading gives the same bits, with empty rows and columns", async () => {
  const csr = matrix(4, 3, [1, 2, 0.1], [1, 0, -1 / 3], [3, 0, 5e-324]);
  await writeMatrixMarket(join(dir, "out.mtx"), csr);
  assert.equal(await readMatrixMarket(join(dir, "out.mtx")), csr);
});

test("other kinds of matrices are refused by name", async () => {
  const banner = (rest: string): Promise<Csr> => read(`%%MatrixMarket ${rest}\n1 1 1\n1 1 1\n`);
  await fails(() => banner("matrix array real general"), "file-dense", /coordinate matrix, got "matrix array"/);
  await fails(() => banner("matrix coordinate complex general"), "file-format", /"complex"/);
  await fails(() => banner("matrix coordinate complex hermitian"), "file-format", /"complex"/);
  await fails(() => banner("matrix coordinate real toString"), "file-format", /"tostring"/);
  await fails(() => read("1 1 1\n1 1 1\n"), "file-format", /%%MatrixMarket/, /"1 1 1"/);
});

test("malformed lines are named by file and line", async () => {
  const head = "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n";
  await fails(() => read(head), "file-truncated", /2 entries, got 1/);
  await fails(() => read(`${head}1 2 1\n2 2 1\n`), "file-format", /w\.mtx:5/, /2 entries/);
  await fails(() => read(`${head}3 1 1\n`), "file-format", /w\.mtx:4: expected a row from 1 to 2, got "3 1 1"/);
  await fails(() => read(`${head}1 0 1\n`), "file-format", /a column from 1 to 2/);
  await fails(() => read(`${head}1 2 x\n`), "file-format", /a finite number, got "1 2 x"/);
  await fails(() => read(`${head}1 2\n`), "file-format", /row, column and value/);
  await fails(() => read("%%MatrixMarket matrix coordinate real general\n2 2\n"), "file-format", /size line/);
  await fails(() => read("%%MatrixMarket matrix coordinate real general\n% only\n"), "file-truncated", /size line/);
  await fails(() => read(""), "file-truncated", /empty file/);
  await fails(
    () => read("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n"),
    "file-format",
    /below the diagonal/,
  );
  await fails(() => read("%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n"), "file-format", /as many rows/);
});

test("a size line that promises too much costs no memory", async () => {
  await fails(
    () => read("%%MatrixMarket matrix coordinate real general\n2000000000 2000000000 9000000000000\n1 1 1\n"),
    "file-truncated",
    /9000000000000 entries, got 1/,
  );
});

test.run();
