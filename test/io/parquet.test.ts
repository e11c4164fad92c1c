import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { type BasicType, parquetWriteBuffer } from "hyparquet-writer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { readParquetEdgeList } from "../../src/io/parquet.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("parquet");
const dir = tempDir();
const file = join(dir, "edges.parquet");

type Columns = Readonly<Record<string, readonly [type: BasicType, data: readonly unknown[]]>>;

function write(columns: Columns): Promise<void> {
  const columnData = Object.entries(columns).map(([name, [type, data]]) => ({ name, type, data: [...data] }));
  // Two rows per group, so that groups have to be put together.
  return writeFile(file, new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2 })));
}

test("FlyWire's form is read: 64-bit ids as labels, counts as weights", async () => {
  const [a, b, c] = [720575940629970487n, 720575940629970488n, 720575940629970489n];
  await write({
    pre_root_id: ["INT64", [c, a, a, b, c]],
    neuropil: ["STRING", ["AL_L", "AL_L", "ME_R", "ME_R", "ME_R"]],
    post_root_id: ["INT64", [a, b, b, b, a]],
    syn_count: ["INT32", [5, 7, 2, 1, 4]],
  });
  const options = { pre: "pre_root_id", post: "post_root_id", weight: "syn_count" };
  const { csr, labels } = await readParquetEdgeList(file, options);
  assert.equal(labels, [a, b, c].map(String));
  const expected = csrFromCoo({
    nRows: 3,
    nCols: 3,
    rows: [0, 1, 1, 1, 0],
    cols: [2, 0, 0, 1, 2],
    values: [5, 7, 2, 1, 4],
  });
  assert.equal(csr, expected);
});

test("indices, text and single precision are read as what they are", async () => {
  await write({ pre: ["INT32", [0, 2]], post: ["INT64", [1n, 0n]], weight: ["FLOAT", [0.5, -1.5]] });
  const { csr, labels } = await readParquetEdgeList(file);
  assert.is(labels, null);
  assert.equal(csr.values, Float32Array.of(-1.5, 0.5));
  await write({ pre: ["STRING", ["x", "y"]], post: ["STRING", ["y", "y"]] });
  assert.equal((await readParquetEdgeList(file, { weight: null })).labels, ["x", "y"]);
});

/** Columns of 400 edges among eleven neurons; pages have dictionaries, the first column's with indices of two bits. */
function packed(codec: "GZIP" | "BROTLI" | "ZSTD" | "LZ4_RAW", pack: (page: Uint8Array) => Uint8Array): Uint8Array {
  const column = (name: string, power: number, modulus: number) => ({
    ...{ name, type: "INT64" as const },
    data: BigInt64Array.from({ length: 400 }, (_, k) => BigInt(k ** power % modulus)),
  });
  const weight = { name: "weight", type: "DOUBLE" as const, data: new Float64Array(400).fill(1) };
  const columnData = [column("pre", 2, 7), column("post", 3, 11), weight];
  return new Uint8Array(parquetWriteBuffer({ columnData, codec, compressors: { [codec]: pack } }));
}

/** A frame of Zstandard with a single block that is stored as it is (RFC 8878, §3.1.1). */
function zstdStored(page: Uint8Array): Uint8Array {
  const n = page.length;
  const block = (n << 3) | 1;
  const head = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, n & 255, (n >> 8) & 255, (n >> 16) & 255, 0];
  return Uint8Array.of(...head, block & 255, (block >> 8) & 255, (block >> 16) & 255, ...page);
}

/** A block of LZ4 that is literals only. */
function lz4Stored(page: Uint8Array): Uint8Array {
  const n = page.length;
  const more = n < 15 ? [] : [...Array.from({ length: Math.floor((n - 15) / 255) }, () => 255), (n - 15) % 255];
  return Uint8Array.of(Math.min(n, 15) << 4, ...more, ...page);
}

test("pages packed with gzip, Brotli, Zstandard and LZ4 read the same", async () => {
  const pages = [
    packed("GZIP", (page) => new Uint8Array(gzipSync(page))),
    packed("BROTLI", (page) => new Uint8Array(brotliCompressSync(page))),
    packed("ZSTD", zstdStored),
    packed("LZ4_RAW", lz4Stored),
  ];
  for (const bytes of pages) {
    await writeFile(file, bytes);
    const { csr } = await readParquetEdgeList(file);
    assert.is(csr.nRows, 11);
    assert.is(csr.nnz + csr.duplicatesSummed, 400);
    assert.is(
      [...csr.values].reduce((a, b) => a + b, 0),
      400,
    );
  }
});

test("a page whose runs go on and on ends the decoder, not this process", async () => {
  // A run of 2^31 − 1 indices: the library grows its array until V8 ends the process.
  const endless = (page: Uint8Array): Uint8Array => {
    const own = page.slice();
    if (own[0] === 2) own.set([0xfe, 0xff, 0xff, 0xff, 0x0f], 1);
    return new Uint8Array(gzipSync(own));
  };
  await writeFile(file, packed("GZIP", endless));
  await fails(() => readParquetEdgeList(file), "file-limit", /edges\.parquet/, /decoded within \d+ s and \d+ MiB/);
});

test("a file that claims more rows than it can hold is refused", async () => {
  const rows = 2 ** 21;
  const weight = { name: "weight", type: "BOOLEAN" as const, data: new Array<boolean>(rows).fill(true) };
  await writeFile(file, new Uint8Array(parquetWriteBuffer({ columnData: [weight], rowGroupSize: rows })));
  await fails(() => readParquetEdgeList(file, { pre: 0, post: 0 }), "file-limit", /at most \d+ rows/, /2097152/);
});

test("missing columns, cells that do not fit and other files are refused", async () => {
  await write({ pre: ["INT32", [0, 1]], post: ["INT32", [1, 0]], weight: ["DOUBLE", [1, Number.NaN]] });
  await fails(() => readParquetEdgeList(file, { pre: "source" }), "file-format", /"source"/, /pre, post, weight/);
  await fails(() => readParquetEdgeList(file), "file-format", /row 1/, /finite weight, got NaN/);
  await fails(() => readParquetEdgeList(file, { pre: "weight" }), "file-format");
  await fails(() => readParquetEdgeList(join(dir, "absent.parquet")), "file-missing");
  await writeFile(file, "PAR1 is how it should begin and end");
  await fails(() => readParquetEdgeList(file), "file-format", /a Parquet file/);
});

test("ids in columns of doubles are whole numbers that are exact, or refused by row and column", async () => {
  await write({ pre: ["DOUBLE", [0, 2, 10]], post: ["DOUBLE", [10, 1, 0]], weight: ["DOUBLE", [1, 2, 3]] });
  const { csr, labels } = await readParquetEdgeList(file);
  assert.is(labels, null);
  assert.equal([csr.nRows, ...csr.colIdx], [11, 10, 2, 0]);
  // As an INT64 column has them, beside a DOUBLE one.
  await write({ pre: ["INT64", [10001n, 10002n]], post: ["DOUBLE", [10002, 10001]], weight: ["DOUBLE", [1, 2]] });
  assert.equal((await readParquetEdgeList(file)).labels, ["10001", "10002"]);
  // Two neighbours of 18 digits are the same double.
  const rounded = ["720575940599457990", "720575940599457991"].map(Number);
  await write({ pre: ["DOUBLE", rounded], post: ["INT32", [1, 2]], weight: ["DOUBLE", [1, 1]] });
  await fails(() => readParquetEdgeList(file), "file-format", /row 0, column "pre"/, /ids below 2\^53/, /rounded/);
  await write({ pre: ["FLOAT", [2 ** 24]], post: ["INT32", [1]], weight: ["DOUBLE", [1]] });
  await fails(() => readParquetEdgeList(file), "file-format", /column "pre"/, /ids below 2\^24/);
  for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    await write({ pre: ["DOUBLE", [0, bad]], post: ["INT32", [1, 0]], weight: ["DOUBLE", [1, 1]] });
    await fails(
      () => readParquetEdgeList(file),
      "file-format",
      /row 1, column "pre"/,
      /the id of a neuron/,
      new RegExp(String(bad)),
    );
  }
});

test("ids that are nothing, negative or text that is none are refused by row and column", async () => {
  const cases = [
    ["INT64", [1n, -1n]],
    ["STRING", ["a", ""]],
    ["STRING", ["a", "nan"]],
    ["STRING", ["a", undefined]],
    ["STRING", ["a", "b\u0000"]],
    ["STRING", ["1", "01"]],
  ] as const;
  for (const [type, ids] of cases) {
    await write({ pre: [type, ids], post: ["STRING", ["c", "d"]], weight: ["DOUBLE", [1, 1]] });
    await fails(() => readParquetEdgeList(file), "file-format", /row 1, column "pre"/);
  }
});

test.run();
