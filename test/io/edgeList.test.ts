import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Csr } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { type EdgeListOptions, readEdgeList, writeEdgeList } from "../../src/io/edgeList.ts";
import type { EdgeList } from "../../src/io/edgeListBuilder.ts";
import { readLabels } from "../../src/io/labels.ts";
import { note } from "../support/note.ts";
import { fails, tempDir, testWithData } from "./fixtures.ts";

const test = suite("edgeList");
const dir = tempDir();

async function read(text: string | Uint8Array, options: EdgeListOptions = {}, name = "edges.csv"): Promise<EdgeList> {
  await writeFile(join(dir, name), text);
  return readEdgeList(join(dir, name), options);
}

/** Entries as "post<pre:weight". */
function entries(csr: Csr): string {
  const out: string[] = [];
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) out.push(`${i}<${csr.colIdx[k]}:${csr.values[k]}`);
  }
  return out.join(" ");
}

test("rows are postsynaptic, columns presynaptic, repeated edges are summed", async () => {
  const { csr, labels } = await read("pre,post,weight\n0,2,1.5\n2,1,-4\n0,2,0.25\n");
  assert.is(entries(csr), "1<2:-4 2<0:1.75");
  assert.is(csr.nRows, 3);
  assert.is(csr.duplicatesSummed, 1);
  assert.is(labels, null);
});

test("columns are chosen by name or by position, in any order, with others between them", async () => {
  const text = "w;from;note;to\n2;1;a b;0\n";
  const named = { delimiter: ";", pre: "from", post: "to", weight: "w" };
  assert.is(entries((await read(text, named)).csr), "0<1:2");
  assert.is(entries((await read(text, { ...named, pre: 1, post: "3", weight: 0 })).csr), "0<1:2");
});

test("a table without names has pre, post and weight in this order", async () => {
  assert.is(entries((await read("1\t0\t3\n", {}, "edges.tsv")).csr), "0<1:3");
  assert.is(entries((await read("1,0,3\n0,1,1\n", { header: true, pre: 0, post: 1, weight: 2 })).csr), "1<0:1");
});

test("without weights every line counts one", async () => {
  assert.is(entries((await read("pre,post\n0,1\n0,1\n1,0\n", { weight: null })).csr), "0<1:1 1<0:2");
});

test("line ends, a byte order mark, quotes, spaces and empty lines do not matter", async () => {
  const { csr, labels } = await read('\ufeffpre,post,weight\r\n"a, b" , "say ""c""" ,2\r\n\r\n"a, b",x,3');
  assert.equal(labels, ["a, b", 'say "c"', "x"]);
  assert.is(entries(csr), "1<0:2 2<0:3");
});

test("labels are numbered in sorted order, or as first seen", async () => {
  const text = "pre,post,weight\nL2,A1,1\nA1,B,2\n";
  assert.equal((await read(text)).labels, ["A1", "B", "L2"]);
  const seen = await read(text, { order: "firstSeen" });
  assert.equal(seen.labels, ["L2", "A1", "B"]);
  assert.is(entries(seen.csr), "1<0:1 2<1:2");
});

test("ids too large for positions are labels, sorted by size, with all their digits", async () => {
  const [a, b, c] = ["99", "720575940629970488", "720575940629970489"];
  const { csr, labels } = await read(`pre,post,weight\n${c},${b},1\n${a},${c},2\n`);
  assert.equal(labels, [a, b, c]);
  assert.is(entries(csr), "1<2:1 2<0:2");
});

test("small whole numbers before the first label become labels too", async () => {
  const text = "pre,post,weight\n5,3,1\n3,x,2\n3,5,4\n";
  const { csr, labels } = await read(text, { order: "firstSeen" });
  assert.equal(labels, ["5", "3", "x"]);
  assert.is(entries(csr), "0<1:4 1<0:1 2<1:2");
  assert.equal((await read("pre,post,weight\n7,3,1\n", { ids: "label" })).labels, ["3", "7"]);
});

test("given labels set the order and the size; another label is named with its line", async () => {
  const { csr, labels } = await read("pre,post,weight\nb,a,1\n", { labels: ["b", "c", "a"] });
  assert.equal(labels, ["b", "c", "a"]);
  assert.is(entries(csr), "2<0:1");
  await fails(
    () => read("pre,post,weight\nAVAL,AVB,1\n", { labels: ["AVAL", "AVBL"] }),
    "file-format",
    /edges\.csv:2/,
    /"AVB"/,
    /did you mean "AVAL|AVBL"/,
  );
  await fails(() => read("pre,post,weight\n", { labels: ["a", "a"] }), "argument", /labels/);
});

test("the number of neurons can be given: later ones are empty, larger indices wrong", async () => {
  assert.is((await read("pre,post,weight\n0,1,1\n", { neurons: 9 })).csr.nRows, 9);
  assert.is((await read("pre,post,weight\n", { neurons: 4 })).csr.nnz, 0);
  await fails(() => read("pre,post,weight\n0,9,1\n", { neurons: 9 }), "file-format", /edges\.csv:2/, /0 to 8/, /got 9/);
  await fails(() => read("pre,post,weight\na,b,1\n", { neurons: 1 }), "file-format", /at most 1 neurons/, /got 2/);
  await fails(() => read("pre,post,weight\n", { neurons: 0 }), "argument", /neurons/);
});

test("a missing column is answered with those that there are", async () => {
  const text = "pre_id,post_id,syn_count\n1,2,3\n";
  await fails(() => read(text), "file-format", /column "pre"/, /pre_id, post_id, syn_count/);
  await fails(() => read("1,2\n"), "file-format", /column "2"/, /2 columns without names/);
});

test("malformed lines are named by file and line", async () => {
  const head = "pre,post,weight\n0,1,1\n";
  await fails(() => read(`${head}0,1\n`), "file-format", /edges\.csv:3: expected 3 cells, got 2/);
  await fails(() => read(`${head}0,1,heavy\n`), "file-format", /edges\.csv:3/, /finite weight, got "heavy"/);
  await fails(() => read(`${head}0,1,\n`), "file-format", /finite weight, got ""/);
  await fails(() => read(`${head}0,1,nan\n`), "file-format", /"nan"/);
  await fails(() => read(`${head}0,"1,1\n`), "file-format", /edges\.csv:3/, /closing quote/);
  await fails(
    () => read(`${head}x,1,1\n`, { ids: "index" }),
    "file-format",
    /edges\.csv:3/,
    /index of a neuron/,
    /"x"/,
  );
});

test("empty, missing and cut-off files have their own codes", async () => {
  await fails(() => read(""), "file-truncated", /empty file/);
  await fails(() => read("pre,post,weight\n"), "file-format", /got no edge/);
  await fails(() => readEdgeList(join(dir, "absent.csv")), "file-missing", /absent\.csv/);
  const packed = gzipSync(`pre,post,weight\n${"0,1,1\n".repeat(1000)}`);
  await fails(() => read(packed.subarray(0, packed.length - 20), {}, "cut.csv.gz"), "file-truncated", /gzip/);
  await fails(() => read("a,b\n1,2\n", { delimiter: "::" }), "argument", /delimiter/);
});

test("lines that lie across the pieces of a large file are whole", async () => {
  const stream = new RandomStream(keyOfSeed(3));
  const count = 120_000;
  const lines = Array.from({ length: count }, () => `${stream.below(500)},${stream.below(500)},${stream.uniform()}`);
  const text = `pre,post,weight\n${lines.join("\n")}`;
  assert.ok(text.length > 2 ** 21);
  const plain = await read(text);
  assert.is(plain.csr.nnz + plain.csr.duplicatesSummed, count);
  assert.equal(await read(gzipSync(text, { level: 1 }), {}, "edges.csv.gz"), plain);
  const total = (values: Iterable<number>): number => Array.from(values).reduce((sum, w) => sum + w, 0);
  const expected = total(lines.map((line) => Number(line.split(",")[2])));
  assert.ok(Math.abs(total(plain.csr.values) - expected) < 1e-6);
});

test("writing and reading gives the same bits", async () => {
  const { csr } = await read("pre,post,weight\n0,2,0.1\n1,0,-1e-300\n2,2,12345678.875\n");
  for (const name of ["out.csv", "out.tsv"]) {
    await writeEdgeList(join(dir, name), csr);
    assert.equal((await readEdgeList(join(dir, name))).csr, csr, name);
  }
});

test("half a million edges are read in a moment", async () => {
  const stream = new RandomStream(keyOfSeed(4));
  const lines: string[] = ["pre,post,weight"];
  for (let k = 0; k < 500_000; k++)
    lines.push(`${stream.below(20_000)},${stream.below(20_000)},${stream.below(90) + 1}`);
  await writeFile(join(dir, "large.csv"), lines.join("\n"));
  const start = performance.now();
  const { csr } = await readEdgeList(join(dir, "large.csv"));
  const seconds = (performance.now() - start) / 1000;
  assert.is(csr.nnz + csr.duplicatesSummed, 500_000);
  note(
    `edge list: 500,000 lines of CSV in ${seconds.toFixed(2)} s, so 5 million in about ${(10 * seconds).toFixed(1)} s`,
  );
});

testWithData(
  test,
  ["celegans/edges.csv", "celegans/neurons.csv"],
  "the worm's edges are the same by index and by name",
  async (edges, neurons) => {
    const byIndex = await readEdgeList(edges, { pre: "pre_index", post: "post_index" });
    const { labels } = await readLabels(neurons, { column: "name" });
    assert.is(byIndex.csr.nRows, 300);
    assert.is(byIndex.csr.nnz + byIndex.csr.duplicatesSummed, 5806);
    assert.equal((await readEdgeList(edges, { labels })).csr, byIndex.csr);
  },
);

test.run();
