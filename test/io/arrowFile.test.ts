import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as flechette from "@uwdata/flechette";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArrowFile, openArrowSource } from "../../src/io/arrowFile.ts";
import { type OpenFile, openFile } from "../../src/io/files.ts";
import type { CellForm, Cells, ReadProgress, TableFile } from "../../src/io/tableFile.ts";
import { sharedPath } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";
import { ARROW_FILES } from "./arrowFixtures.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("arrowFile");
const dir = tempDir();

type Made = keyof typeof ARROW_FILES;

function bytesOf(name: Made): Uint8Array {
  return new Uint8Array(gunzipSync(Buffer.from(ARROW_FILES[name], "base64")));
}

const open: TableFile[] = [];

/** A table that is closed after the test. */
async function opened(content: Made | Uint8Array, name = "table.feather"): Promise<TableFile> {
  const file = join(dir, name);
  await writeFile(file, typeof content === "string" ? bytesOf(content) : content);
  return openedFile(file);
}

async function openedFile(file: string): Promise<TableFile> {
  const table = await openArrowFile(file);
  open.push(table);
  return table;
}

test.after.each(async () => {
  for (const table of open.splice(0)) await table.close();
});

/** A cell as plain values: null where it is empty. */
function cellOf(cells: Cells, k: number): bigint | number | string | null {
  if (cells.nulls?.[k]) return null;
  return cells.as === "text"
    ? cells.values[cells.valueIdx[k]!]!
    : cells.as === "id"
      ? cells.ids[k]!
      : cells.numbers[k]!;
}

/** Whether the array says what an empty cell is. */
function checkEmpty(cells: Cells, k: number): void {
  if (!cells.nulls?.[k]) return;
  if (cells.as === "text") assert.is(cells.values[cells.valueIdx[k]!], "");
  else if (cells.as === "id") assert.is(cells.ids[k], cells.ids instanceof BigInt64Array ? 0n : "");
  else {
    const isFloat = cells.numbers instanceof Float64Array || cells.numbers instanceof Float32Array;
    assert.ok(Object.is(cells.numbers[k], isFloat ? Number.NaN : 0));
  }
}

async function columnOf(table: TableFile, name: string, as: CellForm): Promise<(bigint | number | string | null)[]> {
  const found: (bigint | number | string | null)[] = [];
  await table.read([{ name, as }], ({ rowStart, count, cells: [cells] }) => {
    assert.is(rowStart, found.length);
    for (let k = 0; k < count; k++) {
      checkEmpty(cells!, k);
      found.push(cellOf(cells!, k));
    }
    return true;
  });
  return found;
}

const WORDS = ["R1", "L1", null, "", "Mi1, a longer name", "R1"];
const FLYWIRE = 720575940629970487n;

const NUMBERS: Readonly<Record<string, readonly (number | null)[]>> = {
  int8: [-128, 2, null, 4, 5, 127],
  int16: [-32768, 2, null, 4, 5, 32767],
  int32: [-(2 ** 31), 2, null, 4, 5, 2 ** 31 - 1],
  int64: [-(2 ** 53), 2, null, 4, 5, 2 ** 53],
  uint8: [0, 2, null, 4, 5, 255],
  uint16: [0, 2, null, 4, 5, 65535],
  uint32: [0, 2, null, 4, 5, 2 ** 32 - 1],
  uint64: [0, 2, null, 4, 5, 2 ** 53],
  float16: [0.5, -2, null, 1024, 2 ** -24, Number.POSITIVE_INFINITY],
  float32: [0.5, -2, null, 2 ** 24 - 1, Math.fround(1e-3), 7],
  float64: [0.5, -2, null, 2 ** 53 - 1, 1e-3, 7],
  bool: [1, 0, null, 1, 1, 0],
  nothing: [null, null, null, null, null, null],
};

const TEXTS: Readonly<Record<string, readonly (string | null)[]>> = {
  text: WORDS,
  "large text": WORDS,
  "text view": WORDS,
  coded: ["high", "low", null, "mid", "low", "high"],
  "coded wide": [null, "low", null, "mid", "low", null],
  bool: ["true", "false", null, "true", "true", "false"],
  int16: ["-32768", "2", null, "4", "5", "32767"],
  uint64: ["0", "2", null, "4", "5", "9007199254740992"],
  float64: ["0.5", "-2", null, "9007199254740991", "0.001", "7"],
  "coded ids": ["7", "720575940629970487", null, "7", "720575940629970487", "7"],
};

const IDS: Readonly<Record<string, readonly (bigint | string | null)[]>> = {
  ids: [0n, FLYWIRE, null, 2n ** 63n - 1n, 5n, 6n],
  "id texts": ["0", String(FLYWIRE), null, "x", "5", "6"],
  whole: [0n, 2n, null, 2n ** 53n - 1n, 5n, 6n],
  uint8: [0n, 2n, null, 4n, 5n, 255n],
  uint32: [0n, 2n, null, 4n, 5n, 2n ** 32n - 1n],
  uint64: [0n, 2n, null, 4n, 5n, 2n ** 53n],
  "coded ids": [7n, FLYWIRE, null, 7n, FLYWIRE, 7n],
  coded: ["high", "low", null, "mid", "low", "high"],
};

for (const name of ["stored", "lz4", "zstd", "stream", "lz4Stream"] as const) {
  test(`${name}: cells of every type are read in every form that suits them`, async () => {
    const table = await opened(name);
    assert.is(table.rows, 6);
    for (const [column, expected] of Object.entries(NUMBERS))
      assert.equal(await columnOf(table, column, "number"), expected, column);
    for (const [column, expected] of Object.entries(TEXTS))
      assert.equal(await columnOf(table, column, "text"), expected, column);
    for (const [column, expected] of Object.entries(IDS))
      assert.equal(await columnOf(table, column, "id"), expected, column);
    await table.close();
  });
}

test("rows that were cut out of a larger table are the right ones", async () => {
  const table = await opened("sliced");
  assert.is(table.rows, 4);
  for (const [column, expected] of Object.entries(NUMBERS))
    assert.equal(await columnOf(table, column, "number"), expected.slice(1, 5), column);
  for (const [column, expected] of Object.entries(TEXTS))
    assert.equal(await columnOf(table, column, "text"), expected.slice(1, 5), column);
  await table.close();
});

test("columns are listed with their types, and those that cannot be read are refused by them", async () => {
  const table = await opened("lz4");
  const types = Object.fromEntries(table.columns.map(({ name, type }) => [name, type]));
  const unreadable = {
    list: "list<int64>",
    struct: "struct<a: int64, b: string>",
    union: /^union</,
    dictionaries: "list<dictionary<string>>",
    "binary view": "binary_view",
    decimal: "decimal128(10, 2)",
    timestamp: "timestamp[us, UTC]",
    date: "date32",
    time: "time64[ns]",
    binary: "binary",
    fixed: "fixed_size_list<int32>[2]",
    map: /^map<struct</,
  };
  for (const [name, type] of Object.entries(unreadable)) {
    if (typeof type === "string") assert.is(types[name], type);
    else assert.match(types[name]!, type);
    for (const as of ["id", "number", "text"] as const) await fails(() => columnOf(table, name, as), "file-format");
  }
  await fails(
    () => columnOf(table, "list", "text"),
    "file-format",
    /"list"/,
    /list<int64>, which cannot be read as text/,
  );
  assert.is(types.coded, "dictionary<string, ordered>");
  assert.is(types["coded wide"], "dictionary<string>");
  assert.is(types["text view"], "string_view");
  await fails(() => columnOf(table, "text", "number"), "file-format", /string, which cannot be read as numbers/);
  await fails(() => columnOf(table, "bool", "id"), "file-format", /bool, which cannot be read as ids/);
  await fails(() => columnOf(table, "flaot32", "number"), "argument", /"float32"\?/);
  await table.close();
});

test("numbers that would be rounded, and ids that are none, are refused with their place", async () => {
  const table = await opened("stored");
  await fails(
    () => columnOf(table, "ids", "number"),
    "file-format",
    /row 1, column "ids"/,
    /2\^53.*720575940629970487/,
  );
  await fails(() => columnOf(table, "int8", "id"), "file-format", /row 0, column "int8"/, /"-128"/);
  await fails(() => columnOf(table, "int64", "id"), "file-format", /row 0, column "int64"/, /"-9007199254740992"/);
  await fails(() => columnOf(table, "float64", "id"), "file-format", /row 0, column "float64"/, /"0.5"/);
  await table.close();
});

/** A file of one column, written by flechette. */
function byFlechette(
  values: readonly unknown[],
  type: flechette.DataType,
  format: "file" | "stream" = "file",
  maxBatchRows = Number.POSITIVE_INFINITY,
) {
  const column = flechette.columnFromArray(values as unknown[], type, { maxBatchRows });
  return flechette.tableToIPC(flechette.tableFromColumns({ x: column }), { format })!;
}

test("numbers coded by a dictionary are ids as they would be without one", async () => {
  for (const [type, values, expected] of [
    [flechette.int64(), [7n, 2n ** 52n, null, 7n], [7n, 2n ** 52n, null, 7n]],
    [flechette.uint32(), [7, 2 ** 31, null, 7], [7n, 2n ** 31n, null, 7n]],
    [flechette.float64(), [7, 2 ** 52, null, 7], [7n, 2n ** 52n, null, 7n]],
  ] as const) {
    const table = await opened(byFlechette(values, flechette.dictionary(type)));
    assert.equal(await columnOf(table, "x", "id"), expected);
  }
  for (const [type, value] of [
    [flechette.int32(), -5],
    [flechette.float64(), 2 ** 53],
    [flechette.float64(), 7.5],
  ] as const) {
    const table = await opened(byFlechette([value, value], flechette.dictionary(type)));
    await fails(() => columnOf(table, "x", "id"), "file-format");
  }
});

test("batches of a column coded by a dictionary share its list of texts", async () => {
  const texts = Array.from({ length: 40 }, (_, k) => (k % 7 === 3 ? null : `n${k % 5}`));
  const table = await opened(byFlechette(texts, flechette.dictionary(flechette.utf8()), "file", 8));
  const lists = new Set<readonly string[]>();
  let batches = 0;
  await table.read([{ name: "x", as: "text" }], ({ cells: [cells] }) => {
    batches++;
    if (cells!.as === "text") lists.add(cells!.values);
    return true;
  });
  assert.is(batches, 5);
  assert.is(lists.size, 1);
  assert.equal(await columnOf(table, "x", "text"), texts);
});

test("limits of ids: 2^63, and whole numbers that a floating-point type holds exactly", async () => {
  const big = await opened(byFlechette([1n, 2n ** 63n], flechette.uint64()));
  assert.equal(await columnOf(big, "x", "id"), ["1", "9223372036854775808"]);
  await fails(() => columnOf(big, "x", "number"), "file-format", /row 1/);
  const [f32, f64] = [flechette.float32(), flechette.float64()];
  assert.equal(await columnOf(await opened(byFlechette([2 ** 24 - 1], f32)), "x", "id"), [2n ** 24n - 1n]);
  for (const [value, type] of [
    [2 ** 24, f32],
    [2 ** 53, f64],
    [Number.NaN, f64],
    [-1, f64],
    [Number.POSITIVE_INFINITY, f32],
  ] as const) {
    const table = await opened(byFlechette([3, value], type));
    await fails(() => columnOf(table, "x", "id"), "file-format", /row 1, column "x"/);
  }
  for (const value of [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 62n]) {
    const table = await opened(byFlechette([3n, value], flechette.int64()));
    await fails(() => columnOf(table, "x", "number"), "file-format", /row 1/, new RegExp(`got ${value}`));
  }
});

test("files and streams that flechette writes are read as it reads them", async () => {
  const texts = ["a", null, "b", "a", "", "ü, ﬁ, 🧠"];
  for (const format of ["file", "stream"] as const) {
    for (const type of [
      flechette.utf8(),
      flechette.largeUtf8(),
      flechette.dictionary(flechette.utf8(), flechette.int8()),
      flechette.dictionary(flechette.utf8(), flechette.uint16()),
      flechette.dictionary(flechette.utf8(), flechette.uint32()),
    ]) {
      const bytes = byFlechette(texts, type, format);
      const expected = [...flechette.tableFromIPC(bytes).getChild("x")];
      assert.equal(expected, texts);
      assert.equal(await columnOf(await opened(bytes), "x", "text"), expected);
    }
  }
});

test("batches and tables without rows are read as such", async () => {
  const some = await opened("someEmpty");
  assert.is(some.rows, 5);
  assert.equal(await columnOf(some, "id", "id"), [1n, 2n, null, 2n, null]);
  assert.equal(await columnOf(some, "text", "text"), ["a", "b", null, "b", null]);
  for (const name of ["noRows", "noBatches"] as const) {
    const none = await opened(name);
    assert.is(none.rows, 0);
    for (const { name: column, type } of none.columns)
      if (/^(u?int|string|dict)/.test(type)) assert.equal(await columnOf(none, column, "text"), []);
  }
});

test("dictionaries that are replaced, or grow, hold for the batches behind them", async () => {
  assert.equal(await columnOf(await opened("replaced"), "type", "text"), ["a", "b", "d", "c"]);
  assert.equal(await columnOf(await opened("grown"), "type", "text"), ["a", "b", "c", "a"]);
  assert.equal(await columnOf(await opened("grownFile"), "type", "text"), ["a", "b", "c", "a"]);
  assert.equal(await columnOf(await opened("grown"), "type", "id"), ["a", "b", "c", "a"]);
  assert.equal(await columnOf(await opened("replaced"), "id", "number"), [0, 1, 0, 1]);
});

/** A file that counts what is read of it. */
async function counted(name: Made): Promise<{ table: TableFile; bytes: () => number; size: number }> {
  const file = join(dir, "counted.feather");
  await writeFile(file, bytesOf(name));
  const source = await openFile(file, "a table");
  let bytes = 0;
  const counting: OpenFile = {
    ...source,
    read(begin, end) {
      bytes += end - begin;
      return source.read(begin, end);
    },
  };
  return { table: await openArrowSource(counting), bytes: () => bytes, size: source.length };
}

test("of a file only the wanted columns are read, and only until it is enough", async () => {
  const { table, bytes, size } = await counted("edges");
  const atOpening = bytes();
  assert.ok(atOpening < 0.2 * size, `${atOpening} of ${size}`);
  let seen = 0;
  await table.read([{ name: "weight", as: "number" }], ({ count }) => {
    seen += count;
    return true;
  });
  assert.is(seen, 3000);
  const weights = bytes() - atOpening;
  await table.read(
    [
      { name: "body_pre", as: "id" },
      { name: "weight", as: "number" },
    ],
    () => {
      seen++;
      return false;
    },
  );
  assert.is(seen, 3001);
  await table.close();
  assert.ok(weights < 0.5 * size, `${weights} of ${size}`);
  // One batch of six, and those that are read ahead.
  assert.ok(bytes() - atOpening - weights < 0.8 * size);
});

test("progress is reported, and reading can be aborted", async () => {
  const table = await opened("edges");
  const seen: ReadProgress[] = [];
  const wanted = [{ name: "body_post", as: "id" as const }];
  await table.read(wanted, () => true, { onProgress: (progress) => void seen.push(progress) });
  assert.equal(seen.at(-1), { done: 3000, total: 3000 });
  assert.is(seen.length, 6);
  const controller = new AbortController();
  let visits = 0;
  const reason = new Error("enough");
  const stop = (): boolean => {
    visits++;
    controller.abort(reason);
    return true;
  };
  for (let k = 0; k < 2; k++) {
    const end = await table.read(wanted, stop, { signal: controller.signal }).catch((cause) => cause);
    assert.is(end, reason, "as the other readers");
    assert.is(visits, 1);
  }
  await table.close();
  await table.close();
});

test("batches are packed alike by LZ4 and Zstandard", async () => {
  const [lz4, zstd] = [await opened("edges", "lz4.feather"), await opened("edgesZstd", "zstd.feather")];
  for (const name of ["body_pre", "body_post", "weight"])
    assert.equal(await columnOf(lz4, name, "id"), await columnOf(zstd, name, "id"));
});

test("other files, and files that end early, are refused by name", async () => {
  const whole = bytesOf("lz4");
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  await fails(() => opened(text("FEA1 and more bytes")), "file-format", /Feather version 2/, /Feather version 1/);
  await fails(() => opened(text("PAR1 and more bytes")), "file-format", /Parquet/);
  await fails(() => opened(text("pre,post,weight\n1,2,3\n")), "file-format", /Arrow/);
  await fails(() => opened(new Uint8Array(0)), "file-format", /an empty file/);
  await fails(() => opened(whole.slice(0, -1)), "file-truncated", /without a footer/);
  await fails(() => opened(whole.slice(0, 10)), "file-truncated");
  await fails(() => opened(bytesOf("stream").slice(0, -300)), "file-truncated", /ends early/);
  await fails(() => openArrowFile(join(dir, "none.feather")), "file-missing");
  await fails(() => openArrowFile(dir), "file-is-directory");
});

test("a stream needs no marker of its end, and nothing may follow it", async () => {
  const stream = bytesOf("stream");
  assert.is((await opened(stream.slice(0, -8))).rows, 6);
  await fails(() => opened(Uint8Array.of(...stream, 1)), "file-format", /1 byte after its end/);
});

/** A copy in which the bytes of `from` are replaced, once. */
function replaced(bytes: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const at = Buffer.from(bytes).indexOf(from);
  assert.ok(at >= 0, "found");
  const copy = bytes.slice();
  copy.set(to, at);
  return copy;
}

const int32s = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer);

test("offsets of text and indices of dictionaries that lie are refused", async () => {
  const texts = byFlechette(["abc", "defgh", "i"], flechette.utf8());
  for (const offsets of [
    [0, -2, 8, 9],
    [0, 8, 3, 9],
    [0, 3, 8, 99],
    [-1, 3, 8, 9],
  ]) {
    const damaged = await opened(replaced(texts, int32s(0, 3, 8, 9), int32s(...offsets)));
    await fails(() => columnOf(damaged, "x", "text"), "file-format", /row \d, column "x"/, /outside of its buffer/);
  }
  const type = flechette.dictionary(flechette.utf8(), flechette.int32());
  const coded = byFlechette(["ab", "cd", "cd", "cd", "cd", "ab"], type);
  for (const index of [2, -1, 2 ** 30]) {
    const damaged = await opened(replaced(coded, int32s(0, 1, 1, 1, 1, 0), int32s(0, index, 1, 1, 1, 0)));
    await fails(() => columnOf(damaged, "x", "text"), "file-format", /row 1/, /of a dictionary of 2/);
  }
  const notText = await opened(replaced(texts, Buffer.from("defgh"), Buffer.from([97, 98, 0xff, 0xfe, 101])));
  await fails(() => columnOf(notText, "x", "text"), "file-format", /row 1/, /UTF-8/);
});

test("batches that overlap, or lie outside of the file, are refused", async () => {
  const whole = bytesOf("edges");
  const view = Buffer.from(whole);
  const footer = whole.length - 10 - view.readInt32LE(whole.length - 10);
  // In the footer stands a list of six blocks: offset, length of the description, length of the body, eight bytes each.
  const marker = (at: number): boolean => at + 4 <= whole.length && view.readUInt32LE(at) === 0xffffffff;
  let list = footer;
  while (!(view.readUInt32LE(list) === 6 && marker(view.readUInt32LE(list + 4)))) list += 4;
  const [first, second] = [list + 4, list + 28];
  const withOffset = (at: number, offset: bigint): Uint8Array => {
    const copy = Buffer.from(whole);
    copy.writeBigInt64LE(offset, at);
    return new Uint8Array(copy);
  };
  await fails(() => opened(withOffset(second, view.readBigInt64LE(first))), "file-format", /overlap/);
  await fails(() => opened(withOffset(second, BigInt(whole.length))), "file-format", /outside the file|overlap/);
  await fails(() => opened(withOffset(second, -8n)), "file-format", /damaged/);
});

test("content that unpacks to more than a file can need is refused before it is unpacked", async () => {
  // The first packed buffer of 500 numbers, 4,000 bytes, claims more.
  const claim = (bytes: bigint): Uint8Array => {
    const length = Buffer.alloc(8);
    length.writeBigInt64LE(bytes);
    return replaced(bytesOf("edgesZstd"), Buffer.from([0xa0, 0x0f, 0, 0, 0, 0, 0, 0]), length);
  };
  const read = async (content: Uint8Array): Promise<unknown> => columnOf(await opened(content), "body_pre", "id");
  await fails(() => read(claim(2n ** 40n)), "file-limit", /at most \d+ bytes/);
  await fails(() => read(claim(-2n)), "file-format", /-2 bytes/);
  await fails(() => read(claim(3999n)), "file-format", /damaged/);
  await fails(() => read(claim(8000n)), "file-format", /damaged/);
});

test("a block of Zstandard that goes on and on is ended", async () => {
  // A frame of 4,000 bytes: one block with 98,047 sequences of 131,075 bytes, coded as runs of one symbol each (RFC 8878, §3.1.1.3.2).
  const sequences = [0xff, 0xff, 0xff, 0x54, 35, 0, 52, 0x80];
  const block = [((1 + sequences.length) << 3) | 5, 0, 0, 0, ...sequences];
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x60, 0xa0, 0x0e, ...block);
  const endless = await opened(replaced(bytesOf("edgesZstd"), frame.subarray(0, 4), frame));
  const begin = performance.now();
  try {
    await columnOf(endless, "body_pre", "id");
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), /cannot be unpacked/);
  }
  assert.ok(performance.now() - begin < 30_000);
});

const fixture = (name: string): string | null => sharedPath("data", "malecns-fixture", name);
const weights = fixture("connectome-weights-male-cns-v1.0-minconf-0.5.feather");
const neurons = fixture("body-annotations-male-cns-v1.0-minconf-0.5.feather");

testOrSkip(
  test,
  weights !== null && neurons !== null,
  "optional data: malecns-fixture",
  "the layout of MaleCNS is read: edges sorted by weight in batches of 65,536 rows",
  async () => {
    const table = await openedFile(weights!);
    const expected = JSON.parse(await readFile(fixture("expected.json")!, "utf8"));
    assert.is(table.rows, expected.rows);
    const annotations = await openedFile(neurons!);
    const ids = (await columnOf(annotations, "bodyId", "id")) as bigint[];
    const superclass = await columnOf(annotations, "superclass", "text");
    const status = await columnOf(annotations, "status", "text");
    const sets = {
      superclass: new Set(ids.filter((_, k) => superclass[k] !== null)),
      traced: new Set(ids.filter((_, k) => status[k] === "Traced")),
    };
    const found = { superclass: { 1: 0, 3: 0, 5: 0 }, traced: { 1: 0, 3: 0, 5: 0 } };
    const starts: number[] = [];
    const wanted = [
      { name: "body_pre", as: "id" },
      { name: "body_post", as: "id" },
      { name: "weight", as: "number" },
    ] as const;
    let synapses = 0;
    await table.read(wanted, ({ rowStart, count, cells: [pre, post, weight] }) => {
      starts.push(rowStart);
      for (let k = 0; k < count; k++) {
        const value = cellOf(weight!, k) as number;
        synapses += value;
        for (const name of ["superclass", "traced"] as const) {
          const isInside = [pre, post].every((end) => sets[name].has(cellOf(end!, k) as bigint));
          for (const least of [1, 3, 5] as const) if (isInside && value >= least) found[name][least]++;
        }
      }
      return true;
    });
    assert.equal(starts, [0, 65536]);
    assert.equal({ rows: table.rows, ...found, synapses }, expected);
  },
);

test.run();
