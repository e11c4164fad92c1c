import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
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

test("other extensions are refused with those that there are", async () => {
  for (const name of ["edges.xlsx", "edges", ".feather", "feather"]) {
    assert.not.ok(isTableName(join(dir, name)));
    await fails(() => openTable(join(dir, name)), "argument", /\.feather, \.arrow/);
  }
});

test.run();
