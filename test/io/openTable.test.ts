import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isTableName, openTable } from "../../src/io/openTable.ts";
import { ARROW_FILES } from "./arrowFixtures.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("openTable");
const dir = tempDir();

test("the extension says the format, in any case", async () => {
  for (const [name, content] of [
    ["edges.feather", "lz4"],
    ["v1.0.EDGES.Arrow", "stored"],
    ["edges.ipc", "zstd"],
    ["edges.arrows", "stream"],
    ["stream.feather", "stream"],
  ] as const) {
    const file = join(dir, name);
    await writeFile(file, gunzipSync(Buffer.from(ARROW_FILES[content], "base64")));
    assert.ok(isTableName(file));
    const table = await openTable(file);
    assert.is(table.file, file);
    assert.is(table.rows, 6);
    await table.close();
  }
});

test("tables of text and Parquet files are opened, too", async () => {
  const text = "pre,post\n1,2\n3,4\n";
  const column = { name: "pre", type: "INT64" as const, data: BigInt64Array.of(1n, 3n) };
  for (const [name, content] of [
    ["edges.csv", text],
    ["edges.tsv", text.replaceAll(",", "\t")],
    ["edges.CSV.gz", gzipSync(text)],
    ["edges.tsv.gz", gzipSync(text.replaceAll(",", "\t"))],
    ["edges.parquet", new Uint8Array(parquetWriteBuffer({ columnData: [column] }))],
  ] as const) {
    const file = join(dir, name);
    await writeFile(file, content);
    const table = await openTable(file);
    const ids: bigint[] = [];
    await table.read([{ name: "pre", as: "id" }], ({ cells: [cells] }) => {
      if (cells!.as === "id") ids.push(...(cells!.ids as BigInt64Array));
      return true;
    });
    assert.equal(ids, [1n, 3n], name);
    await table.close();
  }
});

test("other extensions are refused with those that there are", async () => {
  for (const name of ["edges.xlsx", "edges", ".feather", "feather"]) {
    assert.not.ok(isTableName(join(dir, name)));
    await fails(() => openTable(join(dir, name)), "argument", /\.feather, \.arrow/);
  }
});

test.run();
