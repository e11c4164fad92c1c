import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { CONNECTOME_EXTENSIONS, readConnectome } from "../../src/io/connectome.ts";
import { writeSparseNpz } from "../../src/io/npz.ts";
import { bytesOf, fails, longs, pickle, sparseTensor, tempDir, tensor, torchZip } from "./fixtures.ts";

const test = suite("connectome");
const dir = tempDir();
const square = csrFromCoo({ nRows: 2, nCols: 2, rows: [0, 1], cols: [1, 0], values: Float32Array.of(2, -3) });
const pt = torchZip(
  pickle(
    sparseTensor("torch.sparse_coo", [tensor("LongStorage", "0", [2, 2]), tensor("FloatStorage", "1", [2])], [2, 2]),
  ),
  { "0": longs(0, 1, 1, 0), "1": bytesOf(Float32Array.of(2, -3)) },
);

test("every supported extension reads to the same matrix, in upper case too", async () => {
  await writeSparseNpz(join(dir, "w.npz"), square);
  await writeFile(join(dir, "w.pt"), pt);
  await writeFile(join(dir, "w.pth"), pt);
  await writeFile(join(dir, "w.pt.gz"), gzipSync(pt));
  await writeFile(join(dir, "W.PT"), pt);
  for (const name of [...CONNECTOME_EXTENSIONS.map((extension) => `w${extension}`), "W.PT"]) {
    assert.equal(await readConnectome(join(dir, name)), square, name);
  }
});

test("a matrix that is not square is refused unless that is wanted", async () => {
  const file = join(dir, "wide.npz");
  await writeSparseNpz(file, csrFromCoo({ nRows: 1, nCols: 3, rows: [0], cols: [2], values: [1] }));
  await fails(() => readConnectome(file), "file-format", /wide\.npz/, /1 × 3/);
  assert.is((await readConnectome(file, { square: false })).nCols, 3);
});

test("another extension is answered with the supported ones", async () => {
  const file = join(dir, "w.mtx");
  await writeFile(file, "%%MatrixMarket");
  await fails(() => readConnectome(file), "file-format", /w\.mtx/, /\.pt, \.pth, \.pt\.gz, \.npz/);
});

test("a missing file, a directory and a file without permission have their own codes", async () => {
  await fails(() => readConnectome(join(dir, "absent.pt")), "file-missing", /absent\.pt/);
  await mkdir(join(dir, "folder.npz"));
  await fails(() => readConnectome(join(dir, "folder.npz")), "file-is-directory");
  if (process.getuid?.() === 0) return; // root may read everything
  const locked = join(dir, "locked.pt");
  await writeFile(locked, pt);
  await chmod(locked, 0);
  await fails(() => readConnectome(locked), "file-unreadable", /permission/);
});

test.run();
