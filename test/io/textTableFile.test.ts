import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CellForm } from "../../src/io/tableFile.ts";
import { openTextTable } from "../../src/io/textTableFile.ts";
import { type PlainCells, plainColumns } from "../support/tableCells.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("text table file");
const dir = tempDir();
const file = join(dir, "edges.csv");

/** Columns of a text: all batches joined. */
async function columnsOf(text: string | Uint8Array, wanted: Readonly<Record<string, CellForm>>): Promise<PlainCells[]> {
  await writeFile(file, text);
  return plainColumns(await openTextTable(file), wanted);
}

async function idsOf(...cells: readonly string[]): Promise<readonly (string | null)[]> {
  const [ids] = await columnsOf(`id,x\n${cells.map((cell) => `${cell},\n`).join("")}`, { id: "id" });
  return ids!.cells as readonly (string | null)[];
}

/** Rows of more than one batch. */
const MANY = 70_000;

test("Codex's form is read: ids above 2^53 that differ below the precision of a double, counts, text", async () => {
  const text = `pre_root_id,post_root_id,neuropil,syn_count,nt_type
720575940629970487,720575940629970488,AL_L,5,ACH
720575940629970488,720575940629970489,"a, ""b""",7,
720575940629970489,,,,GABA
`;
  const wanted = { post_root_id: "id", syn_count: "number", neuropil: "text", nt_type: "text" } as const;
  const [post, count, neuropil, transmitter] = await columnsOf(text, wanted);
  assert.equal(post, { as: "id", isText: false, cells: ["720575940629970488", "720575940629970489", null] });
  assert.equal(count!.cells, [5, 7, null]);
  assert.equal(neuropil!.cells, ["AL_L", 'a, "b"', null]);
  assert.equal(transmitter!.cells, ["ACH", null, "GABA"]);
});

test("packed files, tabs, CR LF, a byte order mark and UTF-16 read the same", async () => {
  const text = "id\tn\r\n7\t0.5\r\n\r\n8\t-1e3\r\n";
  for (const bytes of [text, gzipSync(text), `\ufeff${text}`, Buffer.from(`\ufeff${text}`, "utf16le")]) {
    const [ids, numbers] = await columnsOf(bytes, { id: "id", n: "number" });
    assert.equal(ids!.cells, ["7", "8"]);
    assert.equal(numbers!.cells, [0.5, -1000]);
  }
});

test("64 bits are exact at every length, on both sides of 2^53 and up to 2^63 − 1", async () => {
  const ids = [0n, 9n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n + 12345n, 2n ** 63n - 1n];
  let digits = 1n;
  for (let length = 1; length <= 18; length++) {
    ids.push(digits, 10n * digits - 1n);
    digits = 10n * digits + BigInt(length % 10);
  }
  assert.equal(await idsOf(...ids.map(String)), ids.map(String));
  const [column] = await columnsOf("id\n9223372036854775808\n7\n", { id: "id" });
  assert.equal(column, { as: "id", isText: true, cells: ["9223372036854775808", "7"] });
});

test("7.0 and 7e0 are 7, among names they are names; zeros and names are kept", async () => {
  assert.equal(await idsOf("7.0", "7e0", "7", "1.5e1"), ["7", "7", "7", "15"]);
  assert.equal(await idsOf("7.0", "1.5", "L1"), ["7.0", "1.5", "L1"]);
  assert.equal(await idsOf("007", "7"), ["007", "7"]);
  assert.equal(await idsOf("5", "", "x"), ["5", null, "x"]);
});

test("what is no id is refused with its place", async () => {
  for (const bad of ["nan", "NULL", "NA", "-1", "1.5", "9007199254740993.0", "7.2057594062997e17", "a\u200eb"]) {
    await fails(() => idsOf("3", bad), "file-format", /edges\.csv:3, column "id"/);
  }
});

test("a name in a later batch makes it and the rest text; numbers in another notation before it are refused", async () => {
  const rows = (first: string): string => `${first}\n${Array.from({ length: MANY }, (_, i) => i).join("\n")}\nL1\n5\n`;
  await writeFile(file, `id\n${rows("3")}`);
  const forms: boolean[] = [];
  const table = await openTextTable(file);
  await table.read([{ name: "id", as: "id" }], ({ cells: [cells] }) => {
    if (cells?.as !== "id") throw new Error("ids were wanted");
    forms.push(Array.isArray(cells.ids));
    return true;
  });
  assert.equal(forms, [false, true]);
  await fails(() => columnsOf(`id\n${rows("3.0")}`, { id: "id" }), "file-format", /edges\.csv:2/, /"L1"/, /"3\.0"/);
});

test("numbers are those of Number; text and whole numbers that are not exact are refused", async () => {
  const good = ["1e-3", "-0.1", "123456789.123456789", "1e300", "+5", "9007199254740991"];
  const [column] = await columnsOf(`n\n${good.join("\n")}\n`, { n: "number" });
  assert.equal(column!.cells, good.map(Number));
  for (const bad of ["x", "nan", "1,5", "9007199254740993", "-9007199254740993"]) {
    await fails(() => columnsOf(`n,m\n1,2\n"${bad}",3\n`, { n: "number" }), "file-format", /edges\.csv:3, column "n"/);
  }
});

test("texts come by dictionaries that repeat nothing and grow with the file", async () => {
  const names = Array.from({ length: MANY }, (_, i) => `n${i % 40_000}`);
  const [column] = await columnsOf(`t\n${names.join("\n")}\n`, { t: "text" });
  assert.equal(column!.cells, names);
  await writeFile(file, "t\na\nb\na\n");
  await (await openTextTable(file)).read([{ name: "t", as: "text" }], ({ cells: [cells] }) => {
    if (cells?.as !== "text") throw new Error("text was wanted");
    assert.equal(cells.values, ["a", "b"]);
    return true;
  });
});

test("reading stops when asked to, and begins anew; places count lines, not rows", async () => {
  const lines = Array.from({ length: 2 * MANY }, (_, i) => `${i}`);
  await writeFile(file, `id\n5\n\n6\n${lines.join("\n")}\n`);
  const table = await openTextTable(file);
  assert.equal(table.columns, [{ name: "id", type: "text" }]);
  assert.is(table.rows, null);
  for (let times = 0; times < 2; times++) {
    const starts: number[] = [];
    await table.read([{ name: "id", as: "id" }], ({ rowStart }) => starts.push(rowStart) < 2);
    assert.equal(starts, [0, 65536]);
  }
  assert.match(table.placeOf(0, "id"), /edges\.csv:2, column "id"/);
  assert.match(table.placeOf(1, "id"), /edges\.csv:4/);
  assert.match(table.placeOf(1000, "id"), /edges\.csv:1003/);
  await table.close();
});

test("progress reaches the size of the file; a signal ends the reading with its reason", async () => {
  const text = `id\n${Array.from({ length: 200_000 }, (_, i) => i).join("\n")}\n`;
  await writeFile(file, text);
  const table = await openTextTable(file);
  const done: number[] = [];
  await table.read([{ name: "id", as: "id" }], () => true, { onProgress: (progress) => done.push(progress.done) });
  assert.is(done.at(-1), text.length);
  assert.ok(done.length > 1 && done.every((bytes, i) => i === 0 || bytes >= done[i - 1]!));
  const reason = new Error("enough");
  const reading = table.read([{ name: "id", as: "id" }], () => true, { signal: AbortSignal.abort(reason) });
  assert.is(await reading.catch((cause) => cause), reason);
});

test("a file without names, an unknown column and damage are refused", async () => {
  await fails(() => columnsOf("1,2\n3,4\n", {}), "file-format", /edges\.csv:1/, /names of columns, got numbers only/);
  await fails(() => columnsOf("", {}), "file-truncated");
  await fails(() => openTextTable(join(dir, "absent.csv")), "file-missing");
  await fails(() => columnsOf("pre,post\n1,2\n", { pro: "id" }), "argument", /"pro" \(did you mean "pre"/);
  await fails(() => columnsOf("a,a\n1,2\n", { a: "id" }), "argument", /several/);
  await fails(() => columnsOf("a,b\n1,2\n3\n", { a: "id" }), "file-format", /edges\.csv:3/);
  const packed = gzipSync("a,b\n1,2\n");
  await fails(() => columnsOf(packed.subarray(0, -6), { a: "id" }), "file-truncated");
  await writeFile(file, "a,b\n1,2\n");
  const table = await openTextTable(file);
  await writeFile(file, "a,c\n1,2\n");
  await fails(() => plainColumns(table, { b: "id" }), "file-changed");
});

test("an empty table has columns and no batch", async () => {
  assert.equal(await columnsOf("a,b\n", { a: "id" }), [{ as: "id", isText: false, cells: [] }]);
});

test.run();
