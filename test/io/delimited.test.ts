// Forms of tables: separators, quotes, encodings, line ends, headers.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Csr } from "../../src/core/csr.ts";
import { type EdgeListOptions, readEdgeList } from "../../src/io/edgeList.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("delimited");
const dir = tempDir();

async function read(text: string | Uint8Array, options: EdgeListOptions = {}, name = "t.csv"): Promise<string> {
  const file = join(dir, name);
  await writeFile(file, text);
  const { csr, labels } = await readEdgeList(file, options);
  return edgesOf(csr, labels);
}

/** Edges as "pre>post:weight", by post. */
function edgesOf(csr: Csr, labels: readonly string[] | null): string {
  const name = (i: number): string => labels?.[i] ?? String(i);
  const rowOf = (k: number): number => csr.rowPtr.findLastIndex((start) => start <= k);
  return Array.from(csr.values, (w, k) => `${name(csr.colIdx[k]!)}>${name(rowOf(k))}:${w}`).join(" ");
}

function utf16(text: string, bigEndian: boolean): Uint8Array {
  const bytes = Buffer.from(`\ufeff${text}`, "utf16le");
  return bigEndian ? bytes.swap16() : bytes;
}

test("the separator is what the first line has, or what is given", async () => {
  const text = "pre,post,weight\nA,B,1.5\nB,A,-2\n";
  const expected = "B>A:-2 A>B:1.5";
  assert.is(await read(text), expected);
  assert.is(await read(text.replaceAll(",", ";")), expected);
  assert.is(await read(text.replaceAll(",", "\t")), expected);
  assert.is(await read(text, {}, "t.tsv"), expected);
  assert.is(await read(text.replaceAll(",", "|"), { delimiter: "|" }), expected);
  // A quoted separator is none.
  assert.is(await read('"pre";"post";"weight";"a,b"\nA;B;1;x\n'), "A>B:1");
});

test("decimal commas and thousands are refused with what to do", async () => {
  await fails(
    () => read("pre;post;weight\n0;1;3,5\n"),
    "file-format",
    /t\.csv:2, column "weight"/,
    /"3,5"/,
    /decimal point/,
  );
  await fails(() => read('pre,post,weight\n0,1,"1,000"\n'), "file-format", /"1,000"/, /decimal point/);
});

test("UTF-16 with a byte order mark is read, packed or not, across the pieces of a file", async () => {
  const text = "pre,post,weight\r\nné,神経,1\r\n神経,🧠,2\r\n";
  for (const bigEndian of [false, true]) {
    assert.is(await read(utf16(text, bigEndian)), "né>神経:1 神経>🧠:2");
    assert.is(await read(gzipSync(utf16(text, bigEndian)), {}, "t.csv.gz"), "né>神経:1 神経>🧠:2");
  }
  const many = `pre,post,weight\n${"🧠,é,1\n".repeat(250_001)}`;
  assert.is(await read(utf16(many, false)), "🧠>é:250001");
  await fails(() => read(utf16(text, false).subarray(0, -3)), "file-format", /UTF-16/);
});

test("text that is no UTF-8 is refused with line, byte and the way to convert it", async () => {
  const latin1 = Buffer.from("pre,post,weight\nAVAL,n\xe8,1\nn\xe9,AVAL,2\n", "latin1");
  await fails(() => read(latin1), "file-format", /t\.csv:2, column "post"/, /0xe8 at position 7/, /iconv/);
  await fails(() => read(Buffer.from("pré,post,weight\n", "latin1")), "file-format", /t\.csv:1/, /0xe9 at position 3/);
  const cut = Buffer.concat([Buffer.from("pre,post,weight\n0,1,1\nx"), Buffer.of(0xf0, 0x9f), Buffer.from(",1,1\n")]);
  await fails(() => read(cut), "file-format", /t\.csv:3, column "pre"/, /UTF-8/);
});

test("quoted cells may have separators, quotes and line ends in them", async () => {
  const text = 'pre,post,weight,note\nA,B,1,"two\nlines, ""quoted"""\nB,A,2,"\r\n\r\n"\n"A",A,3,""\n';
  assert.is(await read(text), "A>A:3 B>A:2 A>B:1");
  // In the header, too.
  assert.is(await read('"pre\nsynaptic",post,weight\nA,B,1\n', { pre: "pre\nsynaptic" }), "A>B:1");
});

test("lines are counted through quoted line ends", async () => {
  const text = 'pre,post,weight,note\nA,B,1,"a\nb\nc"\nB,A,x,""\n';
  await fails(() => read(text), "file-format", /t\.csv:5, column "weight"/);
});

test("a quote without an end is refused where it begins, soon", async () => {
  await fails(
    () => read('pre,post,weight\n0,1,1\n0,"1,1\n'),
    "file-format",
    /t\.csv:3: expected a closing quote, got the end/,
  );
  const long = `pre,post,weight\n"0,1,1\n${"1,0,2\n".repeat(100_000)}`;
  await fails(() => read(long), "file-format", /t\.csv:2: expected a closing quote, got none until line 1003/);
  const open = `pre,post,weight\n"0,1,1\n${`1,"0",${"x".repeat(4000)}\n`.repeat(1000)}`;
  await fails(() => read(open), "file-format", /t\.csv:2: expected a/);
});

test("text after a closing quote is not dropped", async () => {
  await fails(
    () => read('pre,post,weight\n"A"B,C,1\n'),
    "file-format",
    /t\.csv:2/,
    /after the closing quote of cell 1/,
    /"B,C,1"/,
  );
});

test("a small gzip file of a great many lines is refused", async () => {
  const head = gzipSync("pre,post,weight\n0,1,1\n");
  const empty = gzipSync(Buffer.alloc(2 ** 20, "\n"));
  const bomb = Buffer.concat([head, ...new Array<Uint8Array>(200).fill(empty)]);
  await fails(() => read(bomb, {}, "bomb.csv.gz"), "file-limit", /bomb\.csv\.gz/, /64 times its size/);
});

test("a line of a great many cells is refused", async () => {
  const wide = gzipSync(`pre,post,weight${",".repeat(2 ** 20)}\n`);
  await fails(() => read(wide, {}, "wide.csv.gz"), "file-format", /wide\.csv\.gz:1: expected at most 1048576 cells/);
});

test("CR alone is no line end", async () => {
  await fails(() => read("pre,post,weight\r0,1,1\r1,0,2\r"), "file-format", /LF or CR LF, got CR alone/);
});

test("a byte order mark in the middle, as of files joined by cat, is refused", async () => {
  const part = "\ufeffpre,post,weight\n0,1,1\n";
  await fails(() => read(`${part}\ufeff1,0,2\n`), "file-format", /t\.csv:3/, /byte order mark/);
  await fails(() => read(part + part), "file-format", /t\.csv:3, column "weight"/);
});

test("the first line is an edge where columns are given by position and its weight is a number", async () => {
  const byPosition = { pre: 0, post: 1, weight: 2 };
  const text = "AVAL,AVAR,3\nAVAR,AVAL,2\n";
  assert.is(await read(text, byPosition), "AVAR>AVAL:2 AVAL>AVAR:3");
  assert.is(await read(text, { pre: "0", post: "1", weight: "2" }), "AVAR>AVAL:2 AVAL>AVAR:3");
  assert.is(await read(text, { pre: 0, post: 1 }), "AVAR>AVAL:2 AVAL>AVAR:3");
  assert.is(await read(text, { header: false }), "AVAR>AVAL:2 AVAL>AVAR:3");
  assert.is(await read(text, { ...byPosition, header: true }), "AVAR>AVAL:2");
  assert.is(await read(`from,to,count\n${text}`, byPosition), "AVAR>AVAL:2 AVAL>AVAR:3");
  await fails(() => read("AVAL,AVAR,\nAVAR,AVAL,2\n", byPosition), "file-format", /t\.csv:1, column 2/, /got ""/);
  await fails(() => read("AVAL,AVAR,nan\nAVAR,AVAL,2\n", byPosition), "file-format", /t\.csv:1, column 2/, /got "nan"/);
});

test("where nothing tells whether the first line holds names, it must be said", async () => {
  const options = { pre: 0, post: 1, weight: null };
  await fails(() => read("AVAL,AVAR\nAVAR,AVAL\n", options), "file-format", /first line holds names/, /--no-header/);
  assert.is(await read("AVAL,AVAR\nAVAR,AVAL\n", { ...options, header: false }), "AVAR>AVAL:1 AVAL>AVAR:1");
  assert.is(await read("AVAL,AVAR\nAVAR,AVAL\n", { ...options, header: true }), "AVAR>AVAL:1");
  assert.is(await read("0,1\n1,0\n", options), "1>0:1 0>1:1");
});

test("a name that several columns have is refused, if it is asked for", async () => {
  const text = "pre,post,weight,weight\n0,1,1,2\n1,0,3,4\n";
  await fails(() => read(text), "file-format", /one column "weight" \(or its position from 0\), got several/);
  assert.is(await read(text, { weight: 3 }), "1>0:4 0>1:2");
  assert.is(await read("pre,post,weight,x,x\n0,1,1,2,3\n"), "0>1:1");
});

test("names of columns are quoted in messages, long lists are cut", async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `column${i}\u001b[2J`);
  try {
    await read(`${names.join(",")}\n`);
  } catch (error) {
    const { message } = error as Error;
    assert.ok(message.length < 600, message);
    assert.not.match(message, /\p{Cc}/u);
    return;
  }
  assert.unreachable();
});

test.run();
