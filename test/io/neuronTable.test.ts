import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { neuronsOfRole, retinotopicProjection } from "../../src/data/connectomes.ts";
import {
  type NeuronTable,
  type ReadNeuronTableOptions,
  readNeuronTable,
  writeNeuronTable,
} from "../../src/io/neuronTable.ts";
import { fails, tempDir, testWithData } from "./fixtures.ts";

const test = suite("neuronTable");
const dir = tempDir();
const HEADER = "index,cell_type,type_index,u,v,role,sign_class";

async function table(...lines: readonly string[]): Promise<string> {
  const file = join(dir, "neurons.csv");
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

test("types, roles, signs and places are read, the places scaled to the unit square", async () => {
  const file = await table(
    HEADER,
    "0,R1,0,0,-1,input,exc",
    "1,R1,0,0,1,input,exc",
    "2,T4,1,1,0,output,inh",
    "3,X,2,-1,0,hidden,mixed",
  );
  const neurons = await readNeuronTable(file);
  assert.is(neurons.count, 4);
  assert.equal(neurons.types, ["R1", "T4", "X"]);
  assert.equal(neurons.typeIdx, Uint32Array.of(0, 0, 1, 2));
  assert.equal(neurons.role, ["input", "input", "output", "hidden"]);
  assert.equal(neurons.sign, Int8Array.of(1, 1, -1, 0));
  // x = 1.5 v runs from −1.5 to 1.5; y = −√3 (u + v/2) from −√3 to √3.
  assert.equal(neurons.x, Float64Array.of(0, 1, 0.5, 0.5));
  assert.equal(
    neurons.y!.map((y) => Math.round(y * 1e12) / 1e12),
    Float64Array.of(0.75, 0.25, 0, 1),
  );
});

test("columns may come in any order, and Windows line ends are fine", async () => {
  const file = join(dir, "reordered.csv");
  await writeFile(file, "role,v,u,extra,cell_type,type_index,sign_class,index\r\ninput,0,0,?,R1,0,none,0\r\n");
  const neurons = await readNeuronTable(file);
  assert.is(neurons.count, 1);
  assert.equal([neurons.x![0], neurons.y![0]], [0.5, 0.5]);
});

test("a line that does not fit is named with its number", async () => {
  const good = "0,R1,0,0,0,input,exc";
  const cases = [
    ["1,R1,0,0", /:3: expected 7 cells, got 4/],
    ["2,R1,0,0,0,input,exc", /:3, column "index": expected index 1, .*got "2"/],
    ["1,R1,0,0,0,sensor,exc", /role input, hidden or output, got "sensor"/],
    ["1,R1,0,0,0,input,plus", /sign_class .*"plus"/],
    ["1,R1,0,x,0,input,exc", /column "u": expected numbers u and v within .*, got "x"/],
    ["1,R1,0,,0,input,exc", /numbers u and v/],
    ["1,R2,0,0,0,input,exc", /cell type "R1" for type_index 0, got "R2"/],
    ["1,R1,4294967296,0,0,input,exc", /type_index": expected a whole number from 0 to 65535, got 4294967296/],
    ["1,R1,1,0,0,input,exc", /column "type_index": expected 0, the type_index of "R1", got 1/],
    ["1,R1,70000,0,0,input,exc", /:3, column "type_index": expected a whole number from 0 to 65535, got 70000/],
  ] as const;
  for (const [line, pattern] of cases) {
    await fails(async () => readNeuronTable(await table(HEADER, good, line)), "file-format", /neurons\.csv/, pattern);
  }
});

test("missing columns and missing files are named", async () => {
  await fails(
    async () => readNeuronTable(await table("index,kind", "0,A")),
    "file-format",
    /column "cell_type"/,
    /index, kind/,
  );
  await fails(() => readNeuronTable(join(dir, "absent.csv")), "file-missing", /absent\.csv/);
});

test("the column type stands for cell_type where that is missing", async () => {
  const { types, typeIdx, columns } = await readNeuronTable(await table("id,type,class", "0,T4,a", "1,R1,a"));
  assert.equal(
    [types, [...typeIdx], [...columns!.keys()]],
    [
      ["R1", "T4"],
      [1, 0],
      ["id", "type", "class"],
    ],
  );
  const both = await readNeuronTable(await table("type,cell_type", "a,T4", ",R1"));
  assert.equal(both.types, ["R1", "T4"]);
  await fails(
    async () => readNeuronTable(await table("type", "T4", "NA")),
    "file-format",
    /a cell type for every neuron/,
  );
});

test("a table is joined with a connectome by id, and then scaled; rows of other neurons do not matter", async () => {
  const header = "id,cell_type,u,v,role,sign_class";
  const rows = ["30,C,0,1,output,inh", "9,A,0,0,input,exc", "10,B,0,2,hidden,mixed", "777,Z,0,900,input,exc"];
  const neurons = await readNeuronTable(await table(header, ...rows), { ids: ["9", "10", "30"] });
  assert.equal(neurons.types, ["A", "B", "C"]);
  assert.equal(neurons.typeIdx, Uint32Array.of(0, 1, 2));
  assert.equal(neurons.role, ["input", "hidden", "output"]);
  assert.equal(neurons.sign, Int8Array.of(1, 0, -1));
  assert.equal(neurons.x, Float64Array.of(0, 1, 0.5));
  const refuses = async (options: ReadNeuronTableOptions, lines: readonly string[], ...patterns: readonly RegExp[]) =>
    fails(async () => readNeuronTable(await table(...lines), options), "file-format", /neurons\.csv/, ...patterns);
  await refuses({ ids: ["9", "11"] }, [header, ...rows], /none for 1: "11"/, /did you mean "10"/);
  await refuses({ ids: ["9"] }, [header, ...rows, rows[1]!], /:6, column "id"/, /9 again/);
  await refuses(
    { ids: ["9"] },
    [HEADER, "0,R1,0,0,0,input,exc"],
    /a column "id" with the ids .* connectome's file has/,
  );
  await refuses({ ids: ["9"], idColumn: "root_id" }, [header, ...rows], /a column "root_id"/);
  const renamed = await readNeuronTable(await table("root_id,cell_type", "9,A"), { ids: [9], idColumn: "root_id" });
  assert.is(renamed.count, 1);
  // A table with ids and no index says nothing about positions.
  await refuses({}, [header, ...rows], /column "id": expected index 0, .*join by them/);
});

test("only the type is needed; what the table does not say is null", async () => {
  const { columns, ...neurons } = await readNeuronTable(
    await table("cell_type,side", "T4,left", "Mi1,right", "T4,left"),
  );
  assert.equal(columns!.get("side"), { values: ["left", "right"], valueIdx: Uint32Array.of(0, 1, 0) });
  assert.equal(neurons, {
    count: 3,
    types: ["Mi1", "T4"],
    typeIdx: Uint32Array.of(1, 0, 1),
    role: null,
    sign: null,
    x: null,
    y: null,
  });
  assert.throws(() => neuronsOfRole(neurons, "input"), /a column role in the neuron table/);
  assert.throws(() => retinotopicProjection(neurons, { height: 2, width: 2 }), /columns u and v of the neuron table/);
});

test("empty cells are no zeros: places may be missing, all else is refused", async () => {
  const neurons = await readNeuronTable(
    await table(HEADER, "0,A,0,0,0,input,exc", "1,B,1,,,hidden,exc", "2,A,0,1,1,input,exc"),
  );
  assert.equal(Array.from(neurons.x!), [0, Number.NaN, 1]);
  assert.equal(Array.from(neurons.y!), [1, Number.NaN, 0]);
  retinotopicProjection(neurons, { height: 2, width: 2 });
  const blind = { ...neurons, role: ["input", "input", "input"] as const };
  assert.throws(
    () => retinotopicProjection(blind, { height: 2, width: 2 }),
    /a place from 0 to 1, got none \(x of neuron 1\)/,
  );
  const cells = ["0", "A", "0", "0", "0", "input", "exc"];
  const names = HEADER.split(",");
  for (const [k, name] of names.entries()) {
    const line = cells.with(k, "").join(",");
    await fails(
      async () => readNeuronTable(await table(HEADER, line)),
      "file-format",
      new RegExp(`:2, column "${name}"`),
      /got ""/,
    );
  }
  assert.equal((await readNeuronTable(await table("cell_type", '""', "A"), { missing: "?" })).types, ["?", "A"]);
});

test("numbers are decimal numbers", async () => {
  for (const line of [
    "0x0,A,0,0,0",
    "0,A,0b0,0,0",
    "0,A,0,0x10,0",
    "0,A,0,nan,0",
    "0,A,0,0,1e308",
    "0,A,0.5,0,0",
    "0,A,-1,0,0",
  ]) {
    await fails(async () => readNeuronTable(await table(HEADER, `${line},input,exc`)), "file-format", /:2, column/);
  }
});

test("names of the language's own are no signs, roles or types of it", async () => {
  for (const name of ["constructor", "__proto__", "toString"]) {
    await fails(
      async () => readNeuronTable(await table(HEADER, `0,A,0,0,0,input,${name}`)),
      "file-format",
      /sign_class exc, inh/,
    );
    await fails(async () => readNeuronTable(await table(HEADER, `0,A,0,0,0,${name},exc`)), "file-format", /role input/);
    assert.equal((await readNeuronTable(await table("cell_type", name))).types, [name]);
  }
});

test("there may be any number of types", async () => {
  const lines = Array.from({ length: 70_000 }, (_, i) => `${i},T${i},${i}`);
  const { types, typeIdx } = await readNeuronTable(await table("index,cell_type,type_index", ...lines));
  assert.is(types.length, 70_000);
  assert.is(types[typeIdx[69_999]!], "T69999");
  assert.is((await readNeuronTable(await table("cell_type", ...lines.map((_, i) => `T${i}`)))).types.length, 70_000);
  // A small table does not claim many.
  await fails(
    async () => readNeuronTable(await table("cell_type,type_index", "A,4294967295")),
    "file-format",
    /0 to 65535/,
  );
});

test("types are quoted cells, in UTF-8, with one number each; a column counts once", async () => {
  const quoted = await readNeuronTable(await table(HEADER, '0,"A,""B""",0,0,0,input,exc'));
  assert.equal(quoted.types, ['A,"B"']);
  await fails(
    async () => readNeuronTable(await table(HEADER, "0,A,0,0,0,input,exc", "1,A,2,0,0,output,exc")),
    "file-format",
    /:3, column "type_index": expected 0, the type_index of "A", got 2/,
  );
  await fails(
    async () => readNeuronTable(await table(`${HEADER},index`, "0,A,0,0,0,input,exc,7")),
    "file-format",
    /one column "index"/,
  );
  await fails(
    async () => readNeuronTable(await table("index,cell_type,u", "0,A,1")),
    "file-format",
    /columns u and v, or neither/,
  );
  await fails(async () => readNeuronTable(await table(HEADER)), "file-format", /a line per neuron, got none/);
  const latin1 = join(dir, "latin1.csv");
  await writeFile(latin1, Buffer.from(`${HEADER}\n0,TM\xe8,0,0,0,input,exc\n`, "latin1"));
  await fails(() => readNeuronTable(latin1), "file-format", /latin1\.csv:2, column "cell_type"/, /0xe8/);
});

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "the published table has its types and roles", async (file) => {
  const neurons = await readNeuronTable(file);
  assert.is(neurons.count, 1203);
  assert.is(neurons.types.length, 65);
  assert.is(neurons.role!.filter((role) => role === "input").length, 8 * 19);
  assert.ok(neurons.x!.every((x) => x >= 0 && x <= 1) && neurons.y!.every((y) => y >= 0 && y <= 1));
});

test("what is written is read back: types and their numbers, roles, signs, places, all columns", async () => {
  const lines = ["0,b,3,0,-1,input,exc,left", '1,"a, ""x""",0,,,hidden,inh,', "2,b,3,-1,0,output,mixed,ß"];
  const first = await readNeuronTable(await table(`${HEADER},side`, ...lines));
  const file = join(dir, "written.csv");
  await writeNeuronTable(file, first);
  const { columns, ...again } = await readNeuronTable(file);
  const { columns: expected, ...rest } = first;
  // NaN is not equal to itself.
  const bits = ({ x, y }: Pick<NeuronTable, "x" | "y">) =>
    [x, y].map((data) => Buffer.from(data!.buffer).toString("hex"));
  assert.equal({ ...again, x: 0, y: 0 }, { ...rest, x: 0, y: 0 });
  assert.equal(bits(again), bits(rest));
  assert.equal([...columns!.keys()].sort(), [...expected!.keys()].sort());
  assert.equal(columns!.get("side"), expected!.get("side"));
});

test("neurons without a type, and columns whose names mean more to the reader, are written as said", async () => {
  const plain = { role: null, sign: null, x: null, y: null };
  const pair = { values: ["sensor", "motor"], valueIdx: Uint32Array.of(1, 0) };
  const odd = new Map(["role", "cell_type", "cell_type_text", "index"].map((name) => [name, pair] as const));
  const untyped = { count: 2, types: ["", "T4"], typeIdx: Uint32Array.of(1, 0), ...plain, columns: odd };
  const file = join(dir, "untyped.csv");
  await writeNeuronTable(file, untyped, { ids: ["7", "8"] });
  await fails(() => readNeuronTable(file), "file-format", /:3, column "cell_type"/);
  await writeNeuronTable(file, untyped, { ids: ["7", "8"], missing: "unknown" });
  const { columns, ...read } = await readNeuronTable(file, { ids: [8, 7] });
  assert.equal(read, { count: 2, types: ["unknown", "T4"], typeIdx: Uint32Array.of(0, 1), ...plain });
  for (const name of ["role_text", "cell_type_text_", "cell_type_text", "index_text"])
    assert.equal(columns!.get(name)!.values, ["motor", "sensor"]);
  await writeNeuronTable(file, { ...untyped, types: ["", "unknown"] }, { missing: "unknown" });
  assert.equal((await readNeuronTable(file)).types, ["unknown"]);
});

test.run();
