import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
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
    ["2,R1,0,0,0,input,exc", /:3, column "index": expected index 1, got "2"/],
    ["1,R1,0,0,0,sensor,exc", /role input, hidden or output, got "sensor"/],
    ["1,R1,0,0,0,input,plus", /sign_class .*"plus"/],
    ["1,R1,0,x,0,input,exc", /column "u": expected numbers u and v within .*, got "x"/],
    ["1,R1,0,,0,input,exc", /numbers u and v/],
    ["1,R2,0,0,0,input,exc", /cell type "R1" for type_index 0, got "R2"/],
    ["1,R1,70000,0,0,input,exc", /:3, column "type_index": expected a whole number from 0 to 65535, got 70000/],
  ] as const;
  for (const [line, pattern] of cases) {
    await fails(async () => readNeuronTable(await table(HEADER, good, line)), "file-format", /neurons\.csv/, pattern);
  }
});

test("missing columns and missing files are named", async () => {
  await fails(
    async () => readNeuronTable(await table("index,type", "0,A")),
    "file-format",
    /column "cell_type"/,
    /index, type/,
  );
  await fails(() => readNeuronTable(join(dir, "absent.csv")), "file-missing", /absent\.csv/);
});

testWithData(test, ["flyvis/flyvis_e2_neurons.csv"], "the published table has its types and roles", async (file) => {
  const neurons = await readNeuronTable(file);
  assert.is(neurons.count, 1203);
  assert.is(neurons.types.length, 65);
  assert.is(neurons.role!.filter((role) => role === "input").length, 8 * 19);
  assert.ok(neurons.x!.every((x) => x >= 0 && x <= 1) && neurons.y!.every((y) => y >= 0 && y <= 1));
});

test.run();
