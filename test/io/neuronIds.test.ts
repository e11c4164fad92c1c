// What ids are, by the rules of neuronIds.ts, for edge lists as text.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Csr } from "../../src/core/csr.ts";
import { type EdgeListOptions, readEdgeList } from "../../src/io/edgeList.ts";
import type { EdgeList } from "../../src/io/edgeListBuilder.ts";
import { arePositions, compareIds, idOfText, idOfValue, settleIds } from "../../src/io/neuronIds.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("neuronIds");
const dir = tempDir();
const file = join(dir, "edges.csv");

/** Reads edges, one "pre,post" or "pre,post,weight" each; weights are 1. */
async function read(edges: readonly string[], options: EdgeListOptions = {}): Promise<EdgeList> {
  const lines = edges.map((edge) => (edge.split(",").length === 3 ? edge : `${edge},1`));
  await writeFile(file, ["pre,post,weight", ...lines, ""].join("\n"));
  return readEdgeList(file, options);
}

/** Entries as "post<pre:weight". */
function entries(csr: Csr): string {
  const rowOf = (k: number): number => csr.rowPtr.findLastIndex((start) => start <= k);
  return Array.from(csr.values, (w, k) => `${rowOf(k)}<${csr.colIdx[k]}:${w}`).join(" ");
}

test("whole numbers are the same ids however they are written", async () => {
  const plain = await read(["0,1", "2,10,4", "10,0", "9,3", "1,2", "5,6"]);
  assert.is(plain.labels, null);
  assert.is(plain.csr.nRows, 11);
  const forms: readonly ((id: number) => string)[] = [
    (id) => `${id}.0`,
    (id) => `${id}.`,
    (id) => id.toExponential(18),
    (id) => `${id}E0`,
    (id) => (id % 2 === 0 ? String(id) : `${id}.000`),
  ];
  for (const form of forms) {
    const edges = [
      [0, 1, 1],
      [2, 10, 4],
      [10, 0, 1],
      [9, 3, 1],
      [1, 2, 1],
      [5, 6, 1],
    ].map(([pre, post, weight]) => `${form(pre!)},${form(post!)},${weight}`);
    const { csr, labels } = await read(edges);
    assert.equal([csr, labels], [plain.csr, null], edges[1]);
    assert.equal((await read(edges, { ids: "index" })).csr, plain.csr, edges[1]);
    assert.equal((await read(edges, { ids: "label" })).labels, ["0", "1", "2", "3", "5", "6", "9", "10"]);
  }
});

test("an id as a float in one column and as a whole number in the other is one neuron", async () => {
  const { csr, labels } = await read(["10001.0,10002", "10002.0,10001,2", "10003.0,10001"]);
  assert.equal(labels, ["10001", "10002", "10003"]);
  assert.is(entries(csr), "0<1:2 0<2:1 1<0:1");
});

test("ids that have been rounded are refused: two neurons never become one", async () => {
  for (const id of [
    "7.20575940599457990e17",
    "720575940599457990.0",
    "9007199254740992.0",
    "1e300",
    "9007199254740993e0",
  ]) {
    await fails(
      () => read([`1,2`, `${id},1`]),
      "file-format",
      /edges\.csv:3, column "pre"/,
      /ids below 2\^53/,
      /rounded/,
    );
  }
  // The largest that is exact, and digits that are all there.
  assert.equal((await read(["9007199254740991.0,1", "2,9007199254740991"])).labels, ["1", "2", "9007199254740991"]);
  const [a, b] = ["720575940599457990", "720575940599457991"];
  assert.equal((await read([`${a},${b}`, `${b},${a}`])).labels, [a, b]);
});

test("what is no id is refused where it stands", async () => {
  const cases: readonly (readonly [id: string, ...patterns: RegExp[]])[] = [
    ["", /an empty cell/],
    ['" "', /" "/],
    ...["nan", "NaN", "NULL", "None", "NA", "N/A", "#N/A", "<NA>", "inf", "-Infinity"].map((id) => [id] as const),
    ["-1", /"-1"/],
    ["-5.0"],
    ["1.5", /"1\.5"/],
    ["10.00000000000000000001"],
    ["1\u0000", /"1\\u0000"/, /invisible/],
    ["\ufeff1", /"\\ufeff1"/, /byte order mark/],
    ["A\u001b[2J", /"A\\u001b\[2J"/],
    ["A\u200b", /\\u200b/],
    ["n\ufffd", /invisible/],
  ];
  for (const [id, ...patterns] of cases) {
    for (const edge of [`${id},1`, `1,${id}`]) {
      const column = edge.startsWith("1,") ? /edges\.csv:3, column "post"/ : /edges\.csv:3, column "pre"/;
      await fails(() => read(["0,1", edge]), "file-format", column, /the id of a neuron/, ...patterns);
    }
  }
});

test("ids of a million characters are read or refused at once", async () => {
  const digits = `1${"0".repeat(1_000_000)}1`;
  assert.equal((await read([`${digits},${digits}x`])).labels, [digits, `${digits}x`]);
  assert.equal((await read([`${digits},1`])).labels, ["1", digits]);
  await fails(() => read([`${digits}.0,1`]), "file-format", /the id of a neuron/);
  assert.is((await read([`0${digits},A,1`])).csr.nRows, 2);
});

test("a long id is told by its two ends", async () => {
  const id = `-${"1".repeat(100_000)}`;
  try {
    await read([`${id},0`]);
  } catch (error) {
    assert.ok((error as Error).message.length < 400);
    return;
  }
  assert.unreachable();
});

test("spellings of which nobody knows whether they are one neuron are refused", async () => {
  const pairs: readonly (readonly [string, string])[] = [
    ["1", "01"],
    ["1", "+1"],
    ["007", "7.0"],
    ["AVAL", '" AVAL"'],
    ["n\u00e9", "ne\u0301"],
  ];
  for (const [a, b] of pairs) {
    await fails(
      () => read([`0,${a}`, `${b},0`]),
      "file-format",
      /edges\.csv:3, column "pre"/,
      /one spelling of every id/,
    );
  }
  // Names beside numbers: 1 and 1.0 are spellings of one.
  await fails(() => read(["x,1", "1.0,x"]), "file-format", /"1\.0", and 1 elsewhere/);
});

test("ids padded with zeros are names, sorted by size", async () => {
  const { csr, labels } = await read(["010,002", "002,001"]);
  assert.equal(labels, ["001", "002", "010"]);
  assert.is(entries(csr), "0<1:1 1<2:1");
});

test("numbers among names stay as they stand", async () => {
  assert.equal((await read(["AVAL,1.5", "1E2,AVAL"])).labels, ["1.5", "1E2", "AVAL"]);
});

test("keys of a data base are labels, not positions: nearly all rows would be empty", async () => {
  const bodies = Array.from({ length: 60 }, (_, i) => 10_000 + ((i * 7919) % 48_000));
  const edges = bodies.map((id, i) => `${id},${bodies[(i + 1) % 60]}`);
  const { csr, labels } = await read(edges);
  assert.is(csr.nRows, 60);
  assert.equal(labels, [...bodies].sort((a, b) => a - b).map(String));
  assert.is((await read(edges, { ids: "index" })).csr.nRows, Math.max(...bodies) + 1);
  assert.is((await read(edges, { neurons: 60_000 })).csr.nRows, 60_000);
  await fails(() => read(edges, { neurons: 60 }), "file-format", /from 0 to 59/, /--ids label/);
  // As floats, they are the same ids.
  assert.equal(await read(bodies.map((id, i) => `${id}.0,${bodies[(i + 1) % 60]}.0`)), { csr, labels });
});

test("what makes positions of numbers", () => {
  // The largest id of a small network, with many gaps.
  assert.ok(arePositions(2, 0, 999));
  assert.not(arePositions(2, 0, 2001));
  // At most half of the rows are empty, and the first ones are not.
  assert.ok(arePositions(5000, 0, 9999));
  assert.not(arePositions(4999, 0, 9999));
  assert.ok(arePositions(5000, 999, 9999));
  assert.not(arePositions(9000, 1000, 9999));
  assert.not(arePositions(2 ** 24, 0, 2 ** 24));
  assert.ok(arePositions(2 ** 24, 0, 2 ** 24 - 1));
});

test("ids are sorted by size, whatever their length, before names by code points", () => {
  const sorted = [2, 10, "0011", 9007199254740991, "9007199254740993", "99999999999999999999", "A", "b"];
  assert.equal([...sorted].reverse().sort(compareIds), sorted);
});

test("given labels are found in other forms of the same number, but not in padded ones", async () => {
  const labels = [10, "7", "A"];
  assert.is(entries((await read(["7.0,10", "A,1e1"], { labels })).csr), "0<1:1 0<2:1");
  await fails(() => read(["07,10"], { labels }), "file-format", /column "pre"/, /one of the labels given, got "07"/);
  await fails(() => read(["7.5,10"], { labels }), "file-format", /one of the labels given, got "7\.5"/);
});

test("ids in columns with a type: whole numbers that are exact, text, nothing else", async () => {
  const place = (): string => "row 3";
  assert.equal(
    [3, 3n, "3", "x", 2n ** 60n].map((id) => idOfValue(id, place)),
    [3, 3, 3, "x", String(2n ** 60n)],
  );
  assert.is(Object.is(idOfValue(-0, place), 0), true);
  assert.is(idOfValue(2 ** 53 - 1, place), 2 ** 53 - 1);
  for (const bad of [-1, -1n, 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, undefined, new Date(0), {}]) {
    await fails(() => idOfValue(bad, place), "file-format", /^row 3: expected the id of a neuron/);
  }
  await fails(() => idOfValue(2 ** 53, place), "file-format", /ids below 2\^53/);
  assert.is(idOfValue(2 ** 24 - 1, place, 2 ** 24), 2 ** 24 - 1);
  await fails(() => idOfValue(2 ** 24, place, 2 ** 24), "file-format", /ids below 2\^24/);
});

test("the meaning of ids does not depend on their order", () => {
  const place = (): string => "here";
  const texts = ["3.0", "2", "1e1", "0.0", "99999999999999999999"];
  for (let shift = 0; shift < texts.length; shift++) {
    const turned = [...texts.slice(shift), ...texts.slice(0, shift)].map(idOfText);
    const settled = new Set(settleIds(turned, place));
    assert.equal([...settled].sort(compareIds), [0, 2, 3, 10, "99999999999999999999"]);
  }
});

test.run();
