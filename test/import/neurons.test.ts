// Tables of neurons joined by id: which rows count, what columns are called, what is refused.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as flechette from "@uwdata/flechette";
import { parquetWriteBuffer } from "hyparquet-writer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { SharedSources } from "../../src/import/layouts/layout.ts";
import { type NeuronTableSource, type ReadNeurons, readNeurons } from "../../src/import/neurons.ts";
import { openTable } from "../../src/io/openTable.ts";
import { fails, tempDir } from "../io/fixtures.ts";

const test = suite("neurons");
const dir = tempDir();
let files = 0;

async function source(role: string, text: string, more: Partial<NeuronTableSource> = {}): Promise<NeuronTableSource> {
  const file = join(dir, `${role}${files++}.csv`);
  await writeFile(file, text);
  return { role, table: await openTable(file), idColumns: ["id"], ...more };
}

async function read(sources: readonly NeuronTableSource[], shared: SharedSources = {}): Promise<ReadNeurons> {
  try {
    return await readNeurons(sources, { shared });
  } finally {
    for (const { table } of sources) await table.close();
  }
}

const textsOf = ({ frame }: ReadNeurons, name: string): string[] => {
  const { values, valueIdx } = frame.columns.get(name)!;
  return Array.from(valueIdx, (v) => values[v]!);
};

test("the first table names the neurons and their order; others add columns by id, in any order", async () => {
  const neurons = await source("neurons", "id,type,size\n720575940629970489,A,1.5\n720575940629970487,,2\n7,B,\n");
  const nts = await source("transmitters", "id,nt\n7,GABA\n8,ACH\n720575940629970487,ACH\n8,DA\n");
  const got = await read([neurons, nts]);
  assert.equal(got.frame.ids, BigInt64Array.of(720575940629970489n, 720575940629970487n, 7n));
  assert.equal(textsOf(got, "type"), ["A", "", "B"]);
  assert.equal(textsOf(got, "size"), ["1.5", "2", ""]);
  assert.equal(textsOf(got, "nt"), ["", "ACH", "GABA"]);
  assert.match(got.notes.join("\n"), /2 rows about other neurons left out/);
  assert.match(got.notes.join("\n"), /no row for 1 of 3 neurons/);
  assert.is(got.decision.taken, "numbers");
});

test("columns of whole numbers may be negative; times and lists are left out, and that is said", async () => {
  const feather = join(dir, "typed.feather");
  const columns = {
    id: flechette.columnFromArray([7n, 720575940629970487n], flechette.int64()),
    z: flechette.columnFromArray([-5n, 2n ** 52n], flechette.int64()),
    created: flechette.columnFromArray([new Date(0), new Date(1)], flechette.timestamp()),
    day: flechette.columnFromArray([new Date(0), new Date(1)], flechette.dateDay()),
    list: flechette.columnFromArray([[1], [2]], flechette.list(flechette.int8())),
  };
  await writeFile(feather, flechette.tableToIPC(flechette.tableFromColumns(columns), { format: "file" })!);
  const parquet = join(dir, "typed.parquet");
  const columnData = [
    { name: "id", type: "INT64" as const, data: [7n, 720575940629970487n] },
    { name: "z", type: "INT64" as const, data: [-5n, 2n ** 52n] },
    { name: "created", type: "TIMESTAMP" as const, data: [new Date(0), new Date(1)] },
  ];
  await writeFile(parquet, new Uint8Array(parquetWriteBuffer({ columnData })));
  for (const [file, left] of [
    [feather, /left out: created, day, list$/],
    [parquet, /left out: created$/],
  ] as const) {
    const got = await read([{ role: "neurons", table: await openTable(file), idColumns: ["id"] }]);
    assert.equal([...got.frame.columns.keys()], ["z"]);
    assert.equal(textsOf(got, "z"), ["-5", String(2n ** 52n)]);
    assert.match(got.notes[0]!, left);
  }
});

test("a neuron may have two rows that agree, and none that differ", async () => {
  const twice = "id,type,nt\n1,A,x\n2,B,y\n1,A,x\n";
  assert.equal(textsOf(await read([await source("neurons", twice)]), "type"), ["A", "B"]);
  const differ = await source("neurons", "id,type,nt\n1,A,x\n2,B,y\n1,A,z\n");
  await fails(() => read([differ]), "file-format", /neurons\d+\.csv:4/, /"nt"/, /about 1/, /two different ones/);
  const second = await source("nts", "id,nt\n1,x\n1,\n");
  const first = await source("neurons", "id\n1\n");
  await fails(() => read([first, second]), "file-format", /nts\d+\.csv:3/, /"nt"/);
});

test("rows without an id are counted; a table without neurons is refused", async () => {
  const got = await read([await source("neurons", "id,type\n1,A\n,B\n0,C\n", { noIds: ["0"] })]);
  assert.equal(got.frame.ids, BigInt64Array.of(1n));
  assert.match(got.notes[0]!, /2 rows without an id left out/);
  const none = await source("neurons", "id,type\n,B\n");
  await fails(() => read([none]), "file-format", /a row per neuron/);
});

test("names of columns that two tables have are told apart, unless the columns are equal", async () => {
  const first = await source("neurons", "id,type,group\n1,A,g\n2,B,g\n");
  const second = await source("types", "id,type,group\n1,A,h\n2,B,h\n");
  const got = await read([first, second]);
  assert.equal([...got.frame.columns.keys()], ["type", "group", "types.group"]);
  assert.match(got.notes.join("\n"), /column "group" became "types\.group"/);
});

test("shared columns take the first value that there is, under headers of any style", async () => {
  const text =
    "id,Soma Side,rootSide,instance,consensus_nt,predicted_nt,side\n1,L,R,T_R,unclear,gaba,x\n2,,R,T_L,Unknown,,y\n3,,,T_M,dopamine,gaba,\n";
  const shared: SharedSources = {
    side: ["soma_side", "root_side", { column: "instance", pattern: /_([LRM])$/ }],
    transmitter: ["consensus_nt", "predicted_nt"],
    superclass: ["super_class"],
  };
  const got = await read([await source("neurons", text)], shared);
  assert.equal(textsOf(got, "side"), ["L", "R", "M"]);
  assert.equal(textsOf(got, "file.side"), ["x", "y", ""]);
  assert.equal(textsOf(got, "transmitter"), ["gaba", "", "dopamine"]);
  assert.is(got.frame.columns.has("superclass"), false);
  assert.match(got.notes.join("\n"), /side is Soma Side, else rootSide, else the ending of instance/);
});

test("ids that are names keep their form, also where digits come first", async () => {
  const rows = Array.from({ length: 70_000 }, (_, i) => `${i + 1},T${i % 3}\n`).join("");
  const got = await read([await source("neurons", `id,type\n${rows}AVAL,X\n`)]);
  assert.is(got.frame.ids.length, 70_001);
  assert.equal([got.frame.ids[0], got.frame.ids[65_535], got.frame.ids[70_000]], ["1", "65536", "AVAL"]);
  assert.is(textsOf(got, "type")[65_536], "T1");
  assert.is(got.decision.taken, "names");
});

test("a row may be about two neurons, one on each side", async () => {
  const pairs = await source("neurons", "left,right,type\n1,2,A\n3,no pair,B\n", {
    idColumns: ["left", "right"],
    sides: ["left", "right"],
    noIds: ["no pair"],
  });
  const got = await read([pairs]);
  assert.equal(Array.from(got.frame.ids as readonly string[], String), ["1", "2", "3"]);
  assert.equal(textsOf(got, "type"), ["A", "A", "B"]);
  assert.equal(textsOf(got, "side"), ["left", "right", "left"]);
});

test.run();
