// Ids of neurons on the command line: what is made of them is said, and tables are joined by them.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerConvert } from "../../src/cli/convert.ts";
import { register as registerInspect } from "../../src/cli/inspect.ts";
import { readConnectome, readLabelledConnectome } from "../../src/io/connectome.ts";
import { readLabels } from "../../src/io/labels.ts";
import { loadConnectome } from "../../src/run/network.ts";
import { chooseProjections } from "../../src/run/projections.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("ids");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const convert = (...args: readonly string[]): Promise<string> => runCommand(registerConvert, "convert", ...args);

async function load(edges: string, table: string) {
  await writeFile(at("edges.csv"), edges);
  await writeFile(at("table.csv"), table);
  return loadConnectome({ connectome: at("edges.csv"), neuronTable: at("table.csv"), generate: null, columns: 17 });
}

const EDGES = "pre,post,weight\n30,9000,1\n9000,20000,2\n20000,30,3\n";

test("body ids become a matrix of their neurons, and it is said", async () => {
  await writeFile(at("bodies.csv"), EDGES);
  const report = await convert(at("bodies.csv"), at("bodies.npz"));
  assert.match(report, /bodies\.npz: 3 × 3, 3 connections/);
  assert.match(report, /rows are numbered by label, "30" … "20000" \(--labels FILE keeps them\)/);
  const kept = await convert(at("bodies.csv"), at("bodies.mtx"), "--labels", at("ids.csv"));
  assert.match(kept, /kept in .*ids\.csv/);
  assert.equal((await readLabels(at("ids.csv"), { column: "label" })).labels, [30, 9000, 20000]);
  const inspected = await runCommand(registerInspect, "inspect", at("bodies.csv"));
  assert.match(inspected, /ids +rows are numbered by label, "30" … "20000"/);
  const json = await runCommand(registerInspect, "inspect", at("bodies.csv"), "--json");
  assert.is(JSON.parse(json).labels, 3);
  assert.not.match(await runCommand(registerInspect, "inspect", at("bodies.npz")), /numbered by label/);
  const byIndex = await convert(at("bodies.csv"), at("index.npz"), "--ids", "index");
  assert.match(byIndex, /20001 × 20001/);
  assert.not.match(byIndex, /label/);
});

test("labels of files do not act on the terminal", async () => {
  await writeFile(at("long.csv"), `pre,post,weight\n${"x".repeat(10_000)},y,1\n`);
  const report = await convert(at("long.csv"), at("long.npz"));
  assert.ok(report.length < 500);
});

test("headers, matrices with names and GraphML are options of the command line", async () => {
  await writeFile(at("plain.csv"), "A,B\nB,A\n");
  const columns = ["--pre", "0", "--post", "1", "--no-weight"];
  await fails(() => convert(at("plain.csv"), at("p.npz"), ...columns), "file-format", /--header, --no-header/);
  await convert(at("plain.csv"), at("p.npz"), ...columns, "--no-header");
  assert.is((await readConnectome(at("p.npz"))).nnz, 2);
  await convert(at("plain.csv"), at("p.npz"), ...columns, "--header", "--overwrite");
  assert.is((await readConnectome(at("p.npz"))).nnz, 1);
  await writeFile(at("matrix.csv"), ",A,B,C\nA,0,1,0\nB,0,0,2\nC,0,0,0\n");
  await fails(() => convert(at("matrix.csv"), at("m.csv")), "file-format", /--rows/);
  await convert(at("matrix.csv"), at("m.csv"), "--rows", "pre");
  assert.is(await readFile(at("m.csv"), "utf8"), "pre,post,weight\n0,1,1\n1,2,2\n");
  await fails(() => convert(at("matrix.csv"), at("m2.csv"), "--rows", "both"), "argument", /--rows/, /pre, post/);
  const graph = '<graph edgedefault="directed"><node id="b"/><node id="a"/><edge source="a" target="b"/></graph>';
  await writeFile(at("g.graphml"), `<graphml>${graph}</graphml>`);
  await convert(at("g.graphml"), at("g.csv"), "--no-weight", "--labels", at("g-ids.csv"));
  assert.is(await readFile(at("g.csv"), "utf8"), "pre,post,weight\n1,0,1\n");
  assert.equal((await readLabels(at("g-ids.csv"), { column: "label" })).labels, ["b", "a"]);
});

test("a neuron table is joined with edges between ids, whatever its order", async () => {
  const table =
    "id,cell_type,u,v,role\n20000,out,0,1,output\n30,in,0,0,input\n1,other,5,5,input\n9000,mid,0,0,hidden\n";
  const connectome = await load(EDGES, table);
  const { labels } = await readLabelledConnectome(at("edges.csv"));
  assert.equal(labels, ["30", "9000", "20000"]);
  assert.equal(connectome.table!.role, ["input", "hidden", "output"]);
  assert.equal(
    Array.from(connectome.table!.typeIdx, (t) => connectome.table!.types[t]),
    ["in", "mid", "out"],
  );
  await fails(() => load(EDGES, table.replace("9000,", "9001,")), "file-format", /table\.csv/, /none for 1: "9000"/);
  await fails(
    () => load(EDGES, table.replace("id,", "index,")),
    "file-format",
    /a column "id"/,
    /connectome's file has/,
  );
});

test("without ids a table has the order of the connectome and its length", async () => {
  const edges = "pre,post,weight\n0,1,1\n1,2,2\n";
  const table = "index,cell_type\n0,A\n1,B\n2,C\n";
  assert.equal((await load(edges, table)).table!.types, ["A", "B", "C"]);
  assert.equal((await load(edges, "cell_type\nA\nB\nC\n")).table!.count, 3);
  await fails(() => load(edges, "cell_type\nA\nB\n"), "file-format", /table\.csv: expected 3 neurons/, /got 2/);
  await fails(() => load(edges, "index,cell_type\n1,B\n0,A\n2,C\n"), "file-format", /expected index 0/);
  await fails(
    () => load(edges, "id,cell_type\n1,B\n0,A\n2,C\n"),
    "file-format",
    /column "id": expected index 0, .*join by them/,
  );
});

test("a table without roles or places wires as no table does, unless they are asked for", async () => {
  const connectome = await load("pre,post,weight\n0,1,1\n1,2,2\n2,0,1\n", "cell_type\nA\nB\nC\n");
  const image = { picture: { height: 1, width: 1 }, inputSize: 1, outputs: 10 };
  const given = {
    head: "layers",
    headScale: 1,
    inputScale: 1,
    groupSize: 1,
    kernel: 2,
    hiddenChannels: null,
    seed: 0,
  } as const;
  const projections = chooseProjections(connectome, image, { input: "auto", readout: "auto", ...given });
  assert.equal([projections.input, projections.readout], ["random", "no-input"]);
  const asked = (config: { input: string; readout: string }) => () =>
    chooseProjections(connectome, image, { ...config, ...given });
  await fails(asked({ input: "retinotopic", readout: "auto" }), "argument", /columns u and v/);
  await fails(asked({ input: "auto", readout: "output" }), "argument", /a column role/);
});

/** Settings of a read-out that need no choice of neurons. */
const READ_OUT = {
  inputScale: 1,
  head: "layers",
  headScale: 1,
  groupSize: 1,
  kernel: 2,
  hiddenChannels: null,
  seed: 0,
} as const;

test("a read-out by selector takes exactly the neurons that it names, with input or without", async () => {
  const table = "id,cell_type,side\n9000,A,left\n30,B,left\n20000,B,right\n";
  const connectome = await load(EDGES, table);
  const image = { picture: { height: 1, width: 1 }, inputSize: 1, outputs: 10 };
  const given = { ...READ_OUT, input: "auto" } as const;
  const choose = (readout: string) => chooseProjections(connectome, image, { ...given, readout });
  const { inputProjection } = choose("all");
  const driven = [0, 1, 2].filter((i) => inputProjection!.rowPtr[i + 1]! > inputProjection!.rowPtr[i]!);
  assert.is(driven.length, 1);
  for (const [selector, expected] of [
    ["side:left", [0, 1]],
    ["type:B & !id:30", [2]],
    ["input", driven],
    ["all & index:0-2", [0, 1, 2]],
  ] as const) {
    const { outputProjection, readout, readsDriven } = choose(selector);
    assert.equal([...outputProjection!.colIdx], expected, selector);
    assert.equal([readout, readsDriven], [selector, (expected as readonly number[]).includes(driven[0]!)]);
  }
  await fails(() => choose("type:C"), "argument", /train: expected a type that a neuron has .*\(--readout\)/);
});

test("an input by selector drives groups among its neurons; groups are read out among those of a selector without input", async () => {
  const n = 40;
  const rows = Array.from({ length: n }, (_, i) => `${i},${i < 12 ? "sensory" : i < 30 ? "descending" : "central"}`);
  const table = `id,superclass,cell_type\n${rows.map((row) => `${row},A`).join("\n")}\n`;
  const edges = Array.from({ length: n }, (_, i) => `${i},${(i + 1) % n},1`).join("\n");
  const connectome = await load(`pre,post,weight\n${edges}\n`, table);
  const ends = { inputSize: 3, outputs: 4 };
  const given = {
    inputScale: 1,
    head: "groups",
    headScale: 1,
    groupSize: 2,
    kernel: 2,
    hiddenChannels: null,
    seed: 0,
  } as const;
  const choose = (input: string, readout: string, groupSize = 2) =>
    chooseProjections(connectome, ends, { ...given, input, readout, groupSize });
  const drivenBy = ({ inputProjection }: ReturnType<typeof choose>): number[] =>
    Array.from({ length: n }, (_, i) => i).filter((i) => inputProjection!.rowPtr[i + 1]! > inputProjection!.rowPtr[i]!);
  const readBy = ({ outputProjection }: ReturnType<typeof choose>): number[] => [...outputProjection!.colIdx];

  const chosen = choose("superclass=sensory", "superclass=descending");
  assert.equal([chosen.input, chosen.nDriven, chosen.inputSelected], ["superclass=sensory", 6, 12]);
  assert.ok(drivenBy(chosen).every((i) => i < 12));
  assert.equal([chosen.readout, chosen.readoutSelected], ["superclass=descending", { neurons: 18, leftOut: 0 }]);
  assert.is(new Set(readBy(chosen)).size, 8, "groups are disjoint");
  assert.ok(readBy(chosen).every((i) => i >= 12 && i < 30));

  const all = choose("all", "auto");
  assert.equal(drivenBy(all), drivenBy(choose("groups", "auto")), "all neurons: the groups of --input groups");
  assert.equal(readBy(choose("groups", "no-input")), readBy(choose("groups", "auto")));
  assert.equal([all.readout, all.readoutSelected], ["groups", null]);

  const overlap = choose("superclass=descending", "superclass=descending|central");
  const driven = drivenBy(overlap);
  assert.equal(overlap.readoutSelected, { neurons: 28, leftOut: 6 });
  assert.ok(readBy(overlap).every((i) => !driven.includes(i)));

  await fails(
    () => choose("superclass=sensory", "auto", 5),
    "argument",
    /at most 4, for 3 input groups among 12 neurons/,
  );
  await fails(
    () => choose("superclass=sensory", "superclass=sensory", 4),
    "argument",
    /neurons without input, as --head groups reads out no others, got 12 neurons, all with input \(--readout\)/,
  );
  await fails(() => choose("superclass=sensry", "auto"), "argument", /nearest "sensory".*\(--input\)/);
  await fails(() => choose("retinotopc", "auto"), "argument", /nearest "retinotopic".*\(--input\)/);
  await fails(() => choose("groups", "no-inptu"), "argument", /nearest "no-input".*\(--readout\)/);
});

test("selectors of inputs and read-outs may ask for connections", async () => {
  const connectome = await load(EDGES, "id,cell_type\n30,A\n9000,B\n20000,C\n");
  const ends = { inputSize: 1, outputs: 2 };
  const { outputProjection } = chooseProjections(connectome, ends, {
    ...READ_OUT,
    input: "type=A",
    readout: "downstream(1, input)",
  });
  assert.equal([...outputProjection!.colIdx], [0, 1]);
});

test.run();
