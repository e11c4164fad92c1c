import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import * as flechette from "@uwdata/flechette";
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

test("ids are the same in every format, whatever its type for them", async () => {
  const big = String(2n ** 63n);
  for (const [ids, expected] of [
    [
      ["5", "720575940629970487"],
      [5n, 720575940629970487n],
    ],
    [
      ["5", big],
      ["5", big],
    ],
    [
      ["007", "7"],
      ["007", "7"],
    ],
    [
      ["L1", "720575940629970487"],
      ["L1", "720575940629970487"],
    ],
    [
      ["7.0", "8"],
      [7n, 8n],
    ],
    [["-7", "8"], null],
    [["7.5", "8"], null],
    [["NA", "8"], null],
  ] as const) {
    const column = flechette.columnFromArray([...ids], flechette.utf8());
    const coded = flechette.columnFromArray([...ids], flechette.dictionary(flechette.utf8()));
    const texts = { name: "id", type: "STRING" as const, data: [...ids] };
    for (const [name, content] of [
      ["ids.csv", `id\n${ids.join("\n")}\n`],
      ["ids.parquet", new Uint8Array(parquetWriteBuffer({ columnData: [texts] }))],
      ["ids.feather", flechette.tableToIPC(flechette.tableFromColumns({ id: column }), { format: "file" })!],
      ["coded.feather", flechette.tableToIPC(flechette.tableFromColumns({ id: coded }), { format: "file" })!],
    ] as const) {
      const file = join(dir, name);
      await writeFile(file, content);
      const table = await openTable(file);
      const found: (bigint | string)[] = [];
      const read = (): Promise<void> =>
        table.read([{ name: "id", as: "id" }], ({ cells: [cells] }) => {
          if (cells!.as === "id") found.push(...cells!.ids);
          return true;
        });
      if (expected === null) await fails(read, "file-format", /column "?id"?: expected the id of a neuron/);
      else {
        await read();
        assert.equal(found, expected, `${name}: ${ids}`);
      }
      await table.close();
    }
  }
});

test("other extensions are refused with those that there are", async () => {
  for (const name of ["edges.xlsx", "edges", ".feather", "feather"]) {
    assert.not.ok(isTableName(join(dir, name)));
    await fails(() => openTable(join(dir, name)), "argument", /\.feather, \.arrow/);
  }
});

test.run();
