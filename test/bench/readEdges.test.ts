// The benchmark of imports reads what is there; its peer needs pyarrow and is not run here.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openTable } from "../../src/io/openTable.ts";
import { ARROW_FILES } from "../io/arrowFixtures.ts";
import { tempDir } from "../io/fixtures.ts";
import { plainColumns } from "../support/tableCells.ts";

const test = suite("readEdges");
const READ = fileURLToPath(new URL("../../bench/import/readEdges.js", import.meta.url));
const run = promisify(execFile);

test("rows, synapses and edges between neurons are counted", async () => {
  const file = join(tempDir(), "edges.feather");
  await writeFile(file, gunzipSync(Buffer.from(ARROW_FILES.edges, "base64")));
  const table = await openTable(file);
  const columns = await plainColumns(table, { body_pre: "number", body_post: "number", weight: "number" });
  await table.close();
  const [pre, post, weight] = columns.map(({ cells }) => cells as number[]) as [number[], number[], number[]];
  const isNeuron = (id: number): boolean => id < 10_000 + 7 * 100;
  const expected = {
    rows: 3000,
    synapses: weight.reduce((a, b) => a + b),
    kept: pre.filter((id, k) => isNeuron(id) && isNeuron(post[k]!)).length,
  };
  assert.ok(expected.kept > 100 && expected.kept < 1000);
  for (const [operation, kept] of [
    ["read", null],
    ["filter", expected.kept],
  ] as const) {
    const { stdout } = await run(process.execPath, [READ, file, operation, "100"]);
    const { found, seconds, maxRssBytes } = JSON.parse(stdout);
    assert.equal(found, { ...expected, kept });
    assert.ok(seconds > 0 && maxRssBytes > 2 ** 20);
  }
});

test.run();
