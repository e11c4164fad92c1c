import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compareLabels, readLabels, typesOf } from "../../src/io/labels.ts";
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

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "the fly's cell types are read from its table", async (file) => {
  const { labels, types, typeIdx } = await readLabels(file, { column: "cell_type", neurons: 1203 });
  assert.is(types.length, 65);
  assert.is(types[typeIdx[0]!], labels[0]);
  assert.is(labels[0], "R1");
});

test.run();
