import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readLabelledConnectome } from "../../src/io/connectome.ts";
import { compareLabels, type ReadLabelsOptions, readLabels, typesOf } from "../../src/io/labels.ts";
import { encodeNpy, writeNpy } from "../../src/io/npy.ts";
import { fails, longs, pickle, tempDir, tensor, testWithData, torchZip } from "./fixtures.ts";

const test = suite("labels");
const dir = tempDir();

/** A .npy file of strings in UCS-4, as NumPy keeps them. */
function npyOfStrings(strings: readonly string[], width: number): Uint8Array {
  const codes = new Uint32Array(strings.length * width);
  strings.forEach((s, i) => {
    codes.set(
      Array.from(s, (c) => c.codePointAt(0)!),
      i * width,
    );
  });
  const bytes = encodeNpy({ shape: [codes.length], data: codes });
  const fields = [`'<u4'`, `(${codes.length},)`] as const;
  const text = Buffer.from(bytes).toString("latin1");
  const typed = text.replace(fields[0], `'<U${width}'`).replace(fields[1], `(${strings.length},)`);
  // The header keeps its length.
  return Buffer.from(typed.replace("\n", `${" ".repeat(text.length - typed.length)}\n`), "latin1");
}

test("types are the distinct labels in order: numbers by size, text by code points", () => {
  assert.equal(typesOf([10, 9, 10, 2]), { types: [2, 9, 10], typeIdx: Uint32Array.of(2, 1, 2, 0) });
  assert.equal(typesOf(["b", "a10", "a9", "B"]).types, ["B", "a10", "a9", "b"]);
  // U+FF5E comes before U+1F600, though its UTF-16 unit comes after.
  assert.equal(typesOf(["\u{1F600}", "\u{FF5E}"]).types, ["\u{FF5E}", "\u{1F600}"]);
  assert.ok(compareLabels("\u{1F601}", "\u{1F600}") > 0);
  assert.ok(compareLabels("a", "ab") < 0);
});

test("vectors of numbers and of strings are read from .npy", async () => {
  await writeNpy(join(dir, "n.npy"), { shape: [3], data: Int32Array.of(7, -1, 7) });
  const numbers = await readLabels(join(dir, "n.npy"));
  assert.equal(numbers, { labels: [7, -1, 7], types: [-1, 7], typeIdx: Uint32Array.of(1, 0, 1) });
  await writeFile(join(dir, "s.npy"), npyOfStrings(["Tm1", "Mi9", "Tm1", "\u{1F600}ä", ""], 4));
  const { labels } = await readLabels(join(dir, "s.npy"), { missing: "none" });
  assert.equal(labels, ["Tm1", "Mi9", "Tm1", "\u{1F600}ä", "none"]);
  await fails(() => readLabels(join(dir, "s.npy")), "file-format", /label 4/, /a label for every neuron/, /got ""/);
});

test("a column of a table is read by name, as numbers if it has no text", async () => {
  const file = join(dir, "n.csv");
  await writeFile(file, 'id,type,n\n0,"T4, a",10\n1,Mi1,9\n');
  assert.equal((await readLabels(file, { column: "type" })).types, ["Mi1", "T4, a"]);
  assert.equal((await readLabels(file, { column: "n" })).types, [9, 10]);
  await writeFile(file, "type\n1\nx\n2\n");
  assert.equal((await readLabels(file, { column: "type" })).labels, ["1", "x", "2"]);
});

test("a vector of whole numbers is read from .pt", async () => {
  const file = join(dir, "t.pt");
  await writeFile(file, torchZip(pickle(tensor("LongStorage", "0", [3])), { "0": longs(4, 0, 4) }));
  assert.equal((await readLabels(file)).typeIdx, Uint32Array.of(1, 0, 1));
  await writeFile(
    file,
    torchZip(pickle({ dict: [["type", tensor("LongStorage", "0", [3])]] }), { "0": longs(4, 0, 4) }),
  );
  assert.equal((await readLabels(file, { key: "type" })).labels, [4, 0, 4]);
});

test("a wrong number of labels names both numbers", async () => {
  await writeNpy(join(dir, "few.npy"), { shape: [2], data: Int8Array.of(1, 2) });
  await fails(() => readLabels(join(dir, "few.npy"), { neurons: 3 }), "file-format", /3 labels, one per neuron, got 2/);
});

test("files and columns that do not fit are refused", async () => {
  await writeFile(join(dir, "two.csv"), "a,b\n1,2\n");
  await fails(() => readLabels(join(dir, "two.csv")), "argument", /column/, /columns a, b/);
  await fails(() => readLabels(join(dir, "two.csv"), { column: "c" }), "file-format", /column "c"/, /a, b/);
  await writeNpy(join(dir, "matrix.npy"), { shape: [1, 2], data: Int8Array.of(1, 2) });
  await fails(() => readLabels(join(dir, "matrix.npy")), "file-format", /one dimension/, /\(1, 2\)/);
  await fails(() => readLabels(join(dir, "labels.txt")), "file-format", /\.npy, \.csv/);
});

/** Writes a table and reads the labels in it. */
async function labelsOf(
  text: string | Uint8Array,
  options: ReadLabelsOptions = {},
): Promise<readonly (string | number)[]> {
  await writeFile(join(dir, "l.csv"), text);
  return (await readLabels(join(dir, "l.csv"), options)).labels;
}

const TABLE = "id,type,side\n30,C,L\n9,A,R\n10,B,L\n777,D,R\n";

test("labels are joined with a connectome by id, whatever the order of either file", async () => {
  await writeFile(join(dir, "edges.csv"), "pre,post,weight\n30,9,1\n10,30,2\n");
  const { labels: ids } = await readLabelledConnectome(join(dir, "edges.csv"), { ids: "label" });
  assert.equal(ids, ["9", "10", "30"]);
  assert.equal(await labelsOf(TABLE, { column: "type", ids: ids! }), ["A", "B", "C"]);
  assert.equal(await labelsOf(TABLE.replaceAll(/^(\d+),/gm, "$1.0,"), { column: "type", ids: ids! }), ["A", "B", "C"]);
  assert.equal(await labelsOf(TABLE, { column: "type", ids: [777, "30"] }), ["D", "C"]);
  assert.equal(await labelsOf(TABLE.replace("id", "bodyId"), { column: 1, idColumn: "bodyId", ids: ids! }), [
    "A",
    "B",
    "C",
  ]);
  // A table with ids is not taken to have the order of the connectome; the ids themselves are read in the order of the file.
  for (const given of [{}, { ids: null }]) {
    await fails(
      () => labelsOf(TABLE, { column: "type", ...given }),
      "file-format",
      /:2, column "id": expected index 0, .*join/,
    );
  }
  for (const name of ["bodyId", "root_id", "Root ID", "neuron_id", "pt_root_id"]) {
    await fails(
      () => labelsOf(TABLE.replace("id", name), { column: "type" }),
      "file-format",
      /expected index 0, .*join by them/,
    );
  }
  assert.equal(await labelsOf(TABLE, { column: "id" }), [30, 9, 10, 777]);
  assert.equal(await labelsOf(TABLE.replace("id", "key"), { column: "type", ids: null }), ["C", "A", "B", "D"]);
});

test("neurons without a row or with two, and ids of which nobody knows what they are, are refused by name", async () => {
  const ids = ["9", "10", "31", "32", "33", "34", "35"];
  await fails(
    () => labelsOf(TABLE, { column: "type", ids }),
    "file-format",
    /a row for each of the 7 neurons of the connectome, got none for 5: "31", "32", "33", …/,
    /did you mean "30"/,
  );
  await fails(
    () => labelsOf(`${TABLE}9,X,R\n`, { column: "type", ids: ["9"] }),
    "file-format",
    /l\.csv:6, column 0/,
    /9 again/,
  );
  // What no neuron of the connectome has may occur twice.
  assert.equal(await labelsOf(`${TABLE}777,X,R\n`, { column: "type", ids: ["9"] }), ["A"]);
  await fails(
    () => labelsOf(`${TABLE},X,R\n`, { column: "type", ids: ["9"] }),
    "file-format",
    /l\.csv:6, column "id"/,
    /an empty cell/,
  );
  await fails(() => labelsOf(`${TABLE}09,X,R\n`, { column: "type", ids: ["9"] }), "file-format", /one spelling/);
  await fails(() => labelsOf(TABLE, { column: "type", ids: ["9", "9"] }), "file-format", /different ids/);
  await fails(() => labelsOf(TABLE, { column: "type", ids, idColumn: "name" }), "file-format", /column "name"/);
  await writeNpy(join(dir, "x.npy"), { shape: [1], data: Int8Array.of(1) });
  await fails(
    () => readLabels(join(dir, "x.npy"), { ids: ["9"] }),
    "argument",
    /a table \(\.csv, \.tsv\), which has ids/,
  );
});

test("by position, an index in the table must count from 0", async () => {
  assert.equal(await labelsOf("index,type\n0,A\n1,B\n", { column: "type" }), ["A", "B"]);
  await fails(
    () => labelsOf("index,type\n1,B\n0,A\n", { column: "type" }),
    "file-format",
    /l\.csv:2, column "index": expected index 0/,
  );
  assert.equal(await labelsOf("index,type\n1,B\n0,A\n", { column: "type", ids: [0, 1], idColumn: "index" }), [
    "A",
    "B",
  ]);
});

test("labels that are none are refused where they stand, or get a name", async () => {
  for (const none of ["", "nan", "NaN", "NA", "<NA>", "None", "null"]) {
    const text = `id,type\n0,A\n1,${none}\n`;
    await fails(
      () => labelsOf(text, { column: "type" }),
      "file-format",
      /l\.csv:3, column 1/,
      /a label for every neuron/,
    );
    assert.equal(await labelsOf(text, { column: "type", missing: "unknown" }), ["A", "unknown"]);
    // The rows of other neurons do not matter.
    assert.equal(await labelsOf(text, { column: "type", ids: [0] }), ["A"]);
  }
  await fails(() => labelsOf("id,n\n0,3\n1,inf\n", { column: "n" }), "file-format", /"inf"/);
  await fails(
    () => labelsOf("id,type\n0,A\u0000\n", { column: "type" }),
    "file-format",
    /visible characters, got "A\\u0000"/,
  );
  await fails(() => labelsOf(Buffer.from("id,type\n0,T\xe8\n", "latin1"), { column: "type" }), "file-format", /0xe8/);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    await writeNpy(join(dir, "nan.npy"), { shape: [2], data: Float64Array.of(1, bad) });
    await fails(() => readLabels(join(dir, "nan.npy")), "file-format", /label 1/, new RegExp(String(bad)));
  }
  await writeFile(join(dir, "control.npy"), npyOfStrings(["A\u0001"], 2));
  await fails(
    () => readLabels(join(dir, "control.npy")),
    "file-format",
    /label 0: .*visible characters, got "A\\u0001"/,
  );
});

test("labels that are large whole numbers stay different", async () => {
  const large = ["720575940599457990", "720575940599457991"];
  assert.equal(await labelsOf(`root_id\n${large.join("\n")}\n`, { column: "root_id" }), large);
  assert.equal(await labelsOf("n\n1.50\n1.5\n-1\n", { column: "n" }), [1.5, 1.5, -1]);
});

test("the first line of a column without a name is a label or not, by what follows or by how many there are", async () => {
  assert.equal(await labelsOf("Tm1\nMi9\nTm1\n", { header: false }), ["Tm1", "Mi9", "Tm1"]);
  assert.equal(await labelsOf("Tm1\nMi9\nTm1\n", { neurons: 3 }), ["Tm1", "Mi9", "Tm1"]);
  assert.equal(await labelsOf("type\nMi9\nTm1\n", { neurons: 2 }), ["Mi9", "Tm1"]);
  assert.equal(await labelsOf("cluster\n4\n2\n"), [4, 2]);
  assert.equal(await labelsOf("4\n2\n"), [4, 2]);
  assert.equal(await labelsOf("id;type\n0;A\n", { column: 1, header: true }), ["A"]);
  await fails(() => labelsOf("Tm1\nMi9\nTm1\n"), "file-format", /l\.csv:1, column 0/, /header: true or false/, /"Tm1"/);
  await fails(() => labelsOf("1,Tm1\n2,Mi9\n", { column: 1 }), "file-format", /header: true or false/);
});

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "the fly's cell types are read from its table", async (file) => {
  const { labels, types, typeIdx } = await readLabels(file, { column: "cell_type", neurons: 1203 });
  assert.is(types.length, 65);
  assert.is(types[typeIdx[0]!], labels[0]);
  assert.is(labels[0], "R1");
});

test.run();
