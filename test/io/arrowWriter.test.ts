import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { tableFromIPC } from "@uwdata/flechette";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArrowFile } from "../../src/io/arrowFile.ts";
import { type ArrowColumn, writeArrowFile } from "../../src/io/arrowWriter.ts";
import type { Cells } from "../../src/io/tableFile.ts";
import { plainColumns } from "../support/tableCells.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("arrow writer");
const dir = tempDir();
const file = join(dir, "table.feather");

const STATES = ["Traced", "Orphan", "Glia"];
const COLUMNS: readonly ArrowColumn[] = [
  { name: "id", type: "int64" },
  { name: "count", type: "int32" },
  { name: "share", type: "double" },
  { name: "type", type: "string" },
  { name: "status", type: "dictionary", values: STATES },
];
const nulls = Uint8Array.of(0, 1, 0);
const BATCHES: readonly (readonly Cells[])[] = [
  [
    { as: "id", ids: BigInt64Array.of(720575940629970487n, 720575940629970488n, -1n), nulls: null },
    { as: "number", numbers: Int32Array.of(1, 0, -3), nulls },
    { as: "number", numbers: Float64Array.of(0.1, 0, 1e300), nulls },
    { as: "text", values: ["ä", "", "L1"], valueIdx: Uint32Array.of(0, 2, 2), nulls },
    { as: "text", values: STATES, valueIdx: Uint32Array.of(2, 0, 1), nulls: null },
  ],
  [
    { as: "id", ids: BigInt64Array.of(5n), nulls: null },
    { as: "number", numbers: Int32Array.of(2 ** 31 - 1), nulls: null },
    { as: "number", numbers: Float64Array.of(Number.NaN), nulls: null },
    { as: "text", values: [""], valueIdx: Uint32Array.of(0), nulls: null },
    { as: "text", values: STATES, valueIdx: Uint32Array.of(0), nulls: Uint8Array.of(1) },
  ],
];
const EXPECTED = {
  id: [720575940629970487n, 720575940629970488n, -1n, 5n],
  count: [1, null, -3, 2 ** 31 - 1],
  share: [0.1, null, 1e300, Number.NaN],
  type: ["ä", null, "L1", ""],
  status: ["Glia", "Traced", "Orphan", null],
};

test("all types, with and without empty cells, in several batches, as another library reads them", async () => {
  await writeArrowFile(file, COLUMNS, BATCHES, { note: "made up" });
  const table = tableFromIPC(await readFile(file), { useBigInt: true });
  const columns = Object.entries(table.toColumns()).map(([name, cells]) => [name, Array.from(cells)]);
  assert.equal(Object.fromEntries(columns), EXPECTED);
  assert.is(table.schema.metadata?.get("note"), "made up");
  assert.equal(
    table.children.map(({ data }) => data.length),
    [2, 2, 2, 2, 2],
  );
});

test("the own reader reads them", async () => {
  await writeArrowFile(file, COLUMNS, BATCHES);
  const table = await openArrowFile(file);
  assert.is(table.rows, 4);
  const wanted = { count: "number", share: "number", type: "text", status: "text" } as const;
  const columns = await plainColumns(table, wanted);
  await table.close();
  assert.equal(
    columns.map(({ cells }) => cells),
    [EXPECTED.count, EXPECTED.share, EXPECTED.type, EXPECTED.status],
  );
});

test("a table without rows or without batches is one", async () => {
  await writeArrowFile(file, COLUMNS.slice(0, 1), []);
  assert.is((await openArrowFile(file)).rows, 0);
  await writeArrowFile(file, COLUMNS.slice(0, 1), [[{ as: "id", ids: new BigInt64Array(0), nulls: null }]]);
  assert.is(tableFromIPC(await readFile(file)).numRows, 0);
});

test("cells that do not fit are refused, and the old file stays", async () => {
  await writeArrowFile(file, COLUMNS, BATCHES);
  const before = await readFile(file);
  const [first] = BATCHES;
  const other: Cells = { as: "id", ids: ["a", "b", "c"], nulls: null };
  await fails(() => writeArrowFile(file, COLUMNS, [[other, ...first!.slice(1)]]), "argument", /int64/);
  await fails(() => writeArrowFile(file, COLUMNS, [first!.slice(1)]), "argument", /5 columns of one length/);
  assert.equal(await readFile(file), before);
  assert.equal(readdirSync(dir), ["table.feather"]);
});

test.run();
