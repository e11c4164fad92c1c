import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import {
  CONNECTOME_EXTENSIONS,
  readConnectome,
  readLabelledConnectome,
  WRITABLE_EXTENSIONS,
  writeConnectome,
} from "../../src/io/connectome.ts";
import { writeNpy } from "../../src/io/npy.ts";
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
  const mtx = "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 2 2\n2 1 -3\n";
  const csv = "pre,post,weight\n1,0,2\n0,1,-3\n";
  const tsv = csv.replaceAll(",", "\t");
  const edge = (source: number, target: number, weight: number): string =>
    `<edge source="${source}" target="${target}"><data key="w">${weight}</data></edge>`;
  const graphml =
    '<graphml><key id="w" for="edge" attr.name="weight"/><graph edgedefault="directed">' +
    `<node id="0"/><node id="1"/>${edge(1, 0, 2)}${edge(0, 1, -3)}</graph></graphml>`;
  const columns = { pre: [1, 0], post: [0, 1], weight: [2, -3] };
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, type: "DOUBLE" as const, data }));
  await writeConnectome(join(dir, "w.npz"), square);
  await writeConnectome(join(dir, "w.safetensors"), square);
  await writeNpy(join(dir, "w.npy"), { shape: [2, 2], data: Float32Array.of(0, 2, -3, 0) });
  const files: Readonly<Record<string, string | Uint8Array>> = {
    "w.pt": pt,
    "w.pth": pt,
    "w.pt.gz": gzipSync(pt),
    "w.mtx": mtx,
    "w.mtx.gz": gzipSync(mtx),
    "w.csv": csv,
    "w.csv.gz": gzipSync(csv),
    "w.tsv": tsv,
    "w.tsv.gz": gzipSync(tsv),
    "w.graphml": graphml,
    "w.graphml.gz": gzipSync(graphml),
    "w.parquet": new Uint8Array(parquetWriteBuffer({ columnData })),
    "W.PT": pt,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
  for (const name of [...CONNECTOME_EXTENSIONS.map((extension) => `w${extension}`), "W.PT"]) {
    const { values, ...pattern } = await readConnectome(join(dir, name));
    assert.equal({ ...pattern, values: Float32Array.from(values) }, square, name);
  }
});

test("random matrices go through every format that is written and come back to the bit", async () => {
  const stream = new RandomStream(keyOfSeed(5));
  for (let round = 0; round < 12; round++) {
    const n = 1 + stream.below(round < 6 ? 4 : 300);
    const nnz = stream.below(4 * n);
    const index = (): number => stream.below(n);
    const values = Float64Array.from({ length: nnz }, () => stream.normal() * 10 ** (stream.below(9) - 4));
    const csr = csrFromCoo({
      nRows: n,
      nCols: n,
      rows: Array.from(values, index),
      cols: Array.from(values, index),
      values: round % 2 === 0 ? values : Float32Array.from(values),
    });
    for (const extension of WRITABLE_EXTENSIONS) {
      const file = join(dir, `round${extension}`);
      await writeConnectome(file, csr);
      // Text does not say how many neurons without connections come after the last one with some.
      const back = await readConnectome(file, /[ct]sv$/.test(extension) ? { neurons: n } : {});
      // Text has no precision of its own, so it is read in double; the numbers are the same.
      const expected =
        extension === ".npz" || extension === ".safetensors" ? csr.values : Float64Array.from(csr.values);
      assert.equal(back, { ...csr, values: expected, duplicatesSummed: 0 }, `round ${round}, ${extension}`);
    }
  }
});

test("labels come with the matrix where the file has them", async () => {
  await writeFile(join(dir, "labels.csv"), "pre,post,weight\nb,a,1\n");
  assert.equal((await readLabelledConnectome(join(dir, "labels.csv"))).labels, ["a", "b"]);
  assert.is((await readLabelledConnectome(join(dir, "w.npz"))).labels, null);
});

test("formats that are only read are not written", async () => {
  await fails(() => writeConnectome(join(dir, "out.pt"), square), "file-format", /\.npz, \.safetensors, \.mtx, \.csv/);
});

test("a matrix that is not square is refused unless that is wanted", async () => {
  const file = join(dir, "wide.npz");
  await writeSparseNpz(file, csrFromCoo({ nRows: 1, nCols: 3, rows: [0], cols: [2], values: [1] }));
  await fails(() => readConnectome(file), "file-format", /wide\.npz/, /1 × 3/);
  assert.is((await readConnectome(file, { square: false })).nCols, 3);
});

test("options that a kind of file does not take are refused, with the kinds that do", async () => {
  const file = join(dir, "options.npz");
  await writeConnectome(file, square);
  await fails(() => readConnectome(file, { weight: "w" }), "argument", /weight/, /\.csv, .*\.parquet/, /options\.npz/);
  await fails(() => readConnectome(file, { neurons: 9 }), "argument", /neurons/, /\.parquet/);
  await fails(() => readConnectome(file, { key: "w" }), "argument", /key/, /none for .*options\.npz/);
  const text = join(dir, "options.mtx");
  await writeConnectome(text, square);
  await fails(() => readConnectome(text, { key: "w" }), "argument", /key/, /\.pt, .*\.safetensors/);
  await fails(() => readConnectome(text, { maxNeurons: 0.5 }), "argument", /maxNeurons/, /got 0\.5/);
  const misspelt = { weigth: "w" } as object;
  await fails(() => readConnectome(file, misspelt), "argument", /weigth/, /expected weight, or another option/);
  const wrong = { unheardOf: 3 } as object;
  await fails(() => readConnectome(file, wrong), "argument", /unheardOf/, /one of pre, .*, square/);
  assert.equal(await readConnectome(file, { square: true }), square);
});

test("another extension is answered with the supported ones", async () => {
  const file = join(dir, "w.h5");
  await writeFile(file, "HDF");
  await fails(() => readConnectome(file), "file-format", /w\.h5/, /\.pt, \.pth, \.pt\.gz, \.npz/);
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
