import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ReadConnectomeOptions, readLabelledConnectome } from "../../src/io/connectome.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("matrixTable");
const dir = tempDir();
const file = join(dir, "matrix.csv");

/** Edges as "pre>post:weight", by post, and the names of all neurons. */
async function read(text: string, options: ReadConnectomeOptions): Promise<string> {
  await writeFile(file, text);
  const { csr, labels } = await readLabelledConnectome(file, options);
  const name = (i: number): string => labels?.[i] ?? String(i);
  const rowOf = (k: number): number => csr.rowPtr.findLastIndex((start) => start <= k);
  const edges = Array.from(csr.values, (w, k) => `${name(csr.colIdx[k]!)}>${name(rowOf(k))}:${w}`);
  return `${edges.join(" ")} | ${labels?.join(",") ?? csr.nRows}`;
}

const TEXT = ",b,a,c\nb,0,2,0\na,0,0,0.5\nc,-1,0,0\n";

test("rows send or receive, as is said; the first line has the order of the neurons", async () => {
  assert.is(await read(TEXT, { rows: "pre" }), "c>b:-1 b>a:2 a>c:0.5 | b,a,c");
  assert.is(await read(TEXT, { rows: "post" }), "a>b:2 c>a:0.5 b>c:-1 | b,a,c");
  // Lines may have another order.
  assert.is(await read(",b,a,c\nc,-1,0,0\nb,0,2,0\na,0,0,0.5\n", { rows: "pre" }), "c>b:-1 b>a:2 a>c:0.5 | b,a,c");
  assert.is(await read(TEXT.replaceAll(",", ";"), { rows: "pre" }), "c>b:-1 b>a:2 a>c:0.5 | b,a,c");
});

test("numbers are ids, not positions, unless they are 0, 1, 2, …", async () => {
  assert.is(await read(",9,10\n10.0,3,0\n9.0,0,0\n", { rows: "pre" }), "10>9:3 | 9,10");
  assert.is(await read(",0,1\n0,0,4\n1,0,0\n", { rows: "pre" }), "0>1:4 | 2");
});

test("without being told what rows are, it is refused with the way on", async () => {
  await fails(() => read(TEXT, {}), "file-format", /rows: "pre" or "post", --rows/);
  const wrong = { rows: "both" } as unknown as ReadConnectomeOptions;
  await fails(() => read(TEXT, wrong), "argument", /"pre" or "post", got "both"/);
  await fails(() => read(TEXT, { rows: "pre", weight: "b" }), "argument", /weight/);
});

test("other neurons in the lines, empty cells and ids that are none are named", async () => {
  const refuses = (text: string, ...patterns: readonly RegExp[]): Promise<void> =>
    fails(() => read(text, { rows: "pre" }), "file-format", /matrix\.csv/, ...patterns);
  await refuses(",a,b\na,0,1\nc,0,0\n", /none for 1: "b"/);
  await refuses(",a,b\na,0,1\na,0,0\n", /:3, column 0: expected every neuron once, got "a" again/);
  await refuses(",a,b\na,0,1\n", /a line for each of the 2 neurons/, /1 lines/);
  await refuses(",a,b\na,0,\nb,0,0\n", /:2, column "b"/, /0 where there is no connection/);
  await refuses(",a,a\na,0,0\nb,0,0\n", /:1, column 2/, /"a" again/);
  await refuses(",a,\na,0,0\nb,0,0\n", /:1, column 2/, /an empty cell/);
  await refuses(",a,b\na,0,0\nnan,0,0\n", /:3/, /"nan"/);
});

test.run();
