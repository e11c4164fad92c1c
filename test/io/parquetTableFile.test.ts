import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { type BasicType, parquetWriteBuffer } from "hyparquet-writer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openParquetTable } from "../../src/io/parquetTableFile.ts";
import type { CellForm } from "../../src/io/tableFile.ts";
import { type PlainCells, plainColumns } from "../support/tableCells.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("parquet table file");
const dir = tempDir();
const file = join(dir, "edges.parquet");

type Columns = Readonly<Record<string, readonly [type: BasicType, data: readonly unknown[]]>>;

/** Three rows per group, so that groups have to be put together. */
async function write(columns: Columns, rowGroupSize = 3): Promise<void> {
  const columnData = Object.entries(columns).map(([name, [type, data]]) => ({ name, type, data: [...data] }));
  const compressors = { BROTLI: (page: Uint8Array) => new Uint8Array(brotliCompressSync(page)) };
  const bytes = parquetWriteBuffer({ columnData, rowGroupSize, codec: "BROTLI", compressors });
  await writeFile(file, new Uint8Array(bytes));
}

async function columnsOf(columns: Columns, wanted: Readonly<Record<string, CellForm>>): Promise<PlainCells[]> {
  await write(columns);
  return plainColumns(await openParquetTable(file), wanted);
}

test("ids without sign that need all 64 bits are text, and so are all behind them", async () => {
  const columnData = [{ name: "id", data: [5n, 2n ** 64n - 1n, 7n, 8n] }];
  const column = { name: "id", type: "INT64", converted_type: "UINT_64", repetition_type: "REQUIRED" } as const;
  const bytes = parquetWriteBuffer({
    columnData,
    schema: [{ name: "root", num_children: 1 }, column],
    rowGroupSize: 2,
  });
  await writeFile(file, new Uint8Array(bytes));
  const batches: unknown[] = [];
  await (await openParquetTable(file)).read([{ name: "id", as: "id" }], ({ cells: [cells] }) => {
    if (cells!.as === "id") batches.push(cells!.ids);
    return true;
  });
  assert.equal(batches, [
    ["5", String(2n ** 64n - 1n)],
    ["7", "8"],
  ]);
});

const [A, B] = [720575940629970487n, 720575940629970488n];

test("Shiu's form is read: ids of 64 bits, numbers, text, empty cells", async () => {
  const columns: Columns = {
    Presynaptic_ID: ["INT64", [A, B, A, B, 3n]],
    Presynaptic_Index: ["INT32", [0, 1, 0, 1, 2]],
    Connectivity: ["INT64", [5n, null, 7n, -1n, 2n]],
    share: ["DOUBLE", [0.5, 0.25, null, 1, 2]],
    side: ["STRING", ["left", null, "right", "left", "left"]],
  };
  await write(columns);
  const table = await openParquetTable(file);
  assert.is(table.rows, 5);
  assert.equal(
    table.columns.map(({ name, type }) => [name, type]),
    [
      ["Presynaptic_ID", "INT64"],
      ["Presynaptic_Index", "INT32"],
      ["Connectivity", "INT64"],
      ["share", "DOUBLE"],
      ["side", "BYTE_ARRAY"],
    ],
  );
  const wanted = { Connectivity: "number", share: "number", side: "text", Presynaptic_ID: "id" } as const;
  const [count, share, side, pre] = await plainColumns(table, wanted);
  assert.equal(count!.cells, [5, null, 7, -1, 2]);
  assert.equal(share!.cells, [0.5, 0.25, null, 1, 2]);
  assert.equal(side!.cells, ["left", null, "right", "left", "left"]);
  assert.equal(pre, { as: "id", isText: false, cells: [A, B, A, B, 3n].map(String) });
});

test("ids may be in any column: doubles, text, without sign, with empty cells", async () => {
  const columns: Columns = {
    d: ["DOUBLE", [7, 2 ** 53 - 1, 0, 5]],
    t: ["STRING", [String(A), String(B), null, "9"]],
    n: ["STRING", ["1", "2", "3", "L1"]],
    i: ["INT64", [A, null, null, 1n]],
  };
  const [d, t, n, i] = await columnsOf(columns, { d: "id", t: "id", n: "id", i: "id" });
  assert.equal(d, { as: "id", isText: false, cells: ["7", "9007199254740991", "0", "5"] });
  assert.equal(t, { as: "id", isText: false, cells: [String(A), String(B), null, "9"] });
  assert.equal(n, { as: "id", isText: true, cells: ["1", "2", "3", "L1"] });
  assert.equal(i!.cells, [String(A), null, null, "1"]);
});

test("what is no id or no number is refused with its place", async () => {
  const bad: Readonly<Record<string, readonly [BasicType, readonly unknown[], CellForm]>> = {
    negative: ["INT64", [1n, -1n], "id"],
    large: ["DOUBLE", [1, 2 ** 53], "id"],
    none: ["DOUBLE", [1, Number.NaN], "id"],
    half: ["DOUBLE", [1, 0.5], "id"],
    single: ["FLOAT", [1, 2 ** 24], "id"],
    missing: ["STRING", ["a", "nan"], "id"],
    truth: ["BOOLEAN", [null, true], "id"],
    inexact: ["INT64", [1n, 2n ** 53n + 1n], "number"],
    word: ["STRING", [null, "x"], "number"],
  };
  await write(Object.fromEntries(Object.entries(bad).map(([name, [type, data]]) => [name, [type, data]])));
  const table = await openParquetTable(file);
  for (const [name, [, , form]] of Object.entries(bad)) {
    const place = new RegExp(`row 1, column "${name}"`);
    await fails(() => plainColumns(table, { [name]: form }), "file-format", place);
  }
});

test("numbers and truth values become text where text is wanted", async () => {
  const columns: Columns = { n: ["INT64", [5n, null, 5n]], b: ["BOOLEAN", [true, false, null]] };
  const [n, b] = await columnsOf(columns, { n: "text", b: "text" });
  assert.equal(n!.cells, ["5", null, "5"]);
  assert.equal(b!.cells, ["true", "false", null]);
});

test("batches have at most 65,536 rows; reading stops when asked to, and begins anew", async () => {
  await write({ n: ["INT32", Array.from({ length: 70_000 }, (_, k) => k)] }, 70_000);
  const table = await openParquetTable(file);
  const counts: number[] = [];
  const done: number[] = [];
  const onProgress = (progress: { readonly done: number }): void => void done.push(progress.done);
  const wanted = [{ name: "n", as: "number" }] as const;
  await table.read(wanted, ({ count }) => counts.push(count) > 0, { onProgress });
  await table.read(wanted, ({ count }) => counts.push(count) < 0);
  assert.equal(counts, [65_536, 4464, 65_536]);
  assert.equal(done, [65_536, 70_000]);
  await table.close();
});

test("a signal ends the reading with its reason, what a visitor throws arrives", async () => {
  await write({ n: ["INT32", [1, 2, 3, 4]] });
  const table = await openParquetTable(file);
  const wanted = [{ name: "n", as: "number" }] as const;
  const reason = new Error("enough");
  const endOf = (reading: Promise<void>): Promise<unknown> => reading.catch((cause) => cause);
  assert.is(await endOf(table.read(wanted, () => true, { signal: AbortSignal.abort(reason) })), reason);
  const stop = new AbortController();
  const late = table.read(wanted, () => true, { signal: stop.signal });
  stop.abort(reason);
  assert.is(await endOf(late), reason);
  const thrown = (): boolean => {
    throw reason;
  };
  assert.is(await endOf(table.read(wanted, thrown)), reason);
});

test("an unknown column, another file and a changed one are refused", async () => {
  await fails(() => columnsOf({ pre: ["INT32", [1]] }, { pro: "id" }), "argument", /"pro" \(did you mean "pre"/);
  await fails(() => openParquetTable(join(dir, "absent.parquet")), "file-missing");
  const table = await openParquetTable(file);
  await write({ pre: ["INT32", [1, 2]] });
  await fails(() => plainColumns(table, { pre: "id" }), "file-changed");
  await writeFile(file, "PAR1 is how it should begin and end");
  await fails(() => openParquetTable(file), "file-format", /a Parquet file/);
});

test.run();
