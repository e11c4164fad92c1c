import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readNpz } from "../../src/io/npz.ts";
import { readSafetensors } from "../../src/io/safetensors.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("writeArrays");
const dir = tempDir();
const values = { shape: [2, 2], data: Float32Array.of(0.1, 1 / 3, 1e-30, -2) };

test("numbers to .npz and .safetensors have the same bits and type again", async () => {
  const arrays = {
    values,
    classes: { shape: [2], data: Int32Array.of(3, -1) },
    byte: { shape: [1, 1, 1], data: Uint8Array.of(7) },
  };
  await writeArrays(join(dir, "a.npz"), arrays);
  const read = await readNpz(join(dir, "a.npz"));
  await writeArrays(join(dir, "a.safetensors"), arrays);
  const { tensors } = await readSafetensors(join(dir, "a.safetensors"));
  for (const [name, { shape, data }] of Object.entries(arrays)) {
    assert.equal([read.get(name)?.shape, read.get(name)?.data], [shape, data]);
    assert.equal([tensors.get(name)?.shape, tensors.get(name)?.data], [shape, data]);
  }
});

test("CSV has a column per number, and the shortest numbers that read the same", async () => {
  const file = join(dir, "a.csv");
  await writeArrays(
    file,
    { id: ["a,b", "c"], values, wide: { shape: [2], data: Float64Array.of(0.1, Number.NaN) } },
    { columns: { values: ["x", 'say "y"'] } },
  );
  assert.is(await readFile(file, "utf8"), 'id,x,"say ""y""",wide\n"a,b",0.1,0.33333334,0.1\nc,1e-30,-2,NaN\n');
  await writeArrays(file, { values });
  assert.match(await readFile(file, "utf8"), /^values0,values1\n/);
});

test("every f32 in CSV reads as the same f32", async () => {
  const bits = Uint32Array.from({ length: 5000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 0);
  const data = new Float32Array(bits.buffer).filter(Number.isFinite);
  const file = join(dir, "b.csv");
  await writeArrays(file, { data: { shape: [data.length], data } });
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n").slice(1);
  assert.equal(Float32Array.from(lines, Number), data);
});

test("what a kind of file does not hold is refused, and the old file stays", async () => {
  const file = join(dir, "c.csv");
  await writeArrays(file, { values });
  const before = await readFile(file, "utf8");
  const cube = { shape: [2, 1, 1], data: new Float32Array(2) };
  await fails(() => writeArrays(file, { values, cube }), "argument", /one or two dimensions/, /cube/);
  await fails(() => writeArrays(file, { values, more: ["a"] }), "argument", /2 rows, as in values/, /more/);
  await fails(() => writeArrays(file, { values }, { columns: { values: ["x"] } }), "argument", /2 names/);
  await fails(() => writeArrays(file, { values: { shape: [3], data: values.data } }), "shape", /3 elements/);
  await fails(() => writeArrays(join(dir, "c.safetensors"), { names: ["a"] }), "argument", /texts/);
  await fails(() => writeArrays(join(dir, "c.txt"), { values }), "argument", /\.npz, \.safetensors, \.csv/);
  await fails(() => writeArrays(join(dir, "none", "c.csv"), { values }), "file-write", /no such folder/);
  assert.is(await readFile(file, "utf8"), before);
});

test.run();
