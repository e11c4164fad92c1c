import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { BlockCache, FileRows, MemoryRows, type NumericArray } from "../../src/data/rows.ts";
import { openArrays } from "../../src/io/arrayFiles.ts";
import { tempDir } from "../io/fixtures.ts";
import { normals, writeFolder } from "./sampleFixtures.ts";

const test = suite("rows");
const dir = tempDir();

/** Rows of 4,000 bytes: 4 to a block of 16,000. */
const COUNT = 101;
const WIDTH = 1000;
const BLOCK = 16_000;

async function rowsIn(limitBytes: number) {
  const arrays = { inputs: normals(1, COUNT, WIDTH) };
  const file = await openArrays(await writeFolder(join(dir, "rows"), arrays), { names: ["inputs"], memoryBytes: 0 });
  const stored = file.arrays.get("inputs") as NumericArray;
  let reads = 0;
  const data = {
    ...stored.data,
    read(begin: number, end: number) {
      reads++;
      return stored.data.read(begin, end);
    },
  };
  const cache = new BlockCache(limitBytes);
  const rows = new FileRows({ ...stored, data }, cache);
  const memory = new MemoryRows(arrays.inputs.data, "f4", COUNT);
  const check = async (...indices: number[]): Promise<void> => {
    const [got, expected] = [new Float32Array(indices.length * WIDTH), new Float32Array(indices.length * WIDTH)];
    await rows.gather(indices, got);
    memory.gather(indices, expected);
    assert.equal(got, expected);
  };
  return { file, cache, check, reads: () => reads };
}

test("blocks stay in memory up to the limit, those used last", async () => {
  const { file, cache, check } = await rowsIn(3 * BLOCK);
  await check(0, 1, 3);
  assert.is(cache.loads, 1);
  await check(2, 4, 8);
  assert.is(cache.loads, 3);
  await check(0, 4, 8, 0);
  assert.is(cache.loads, 3);
  await check(12);
  assert.is(cache.bytes, 3 * BLOCK);
  // The block of row 0 was used before those of 4 and 8.
  await check(4, 8, 12);
  assert.is(cache.loads, 4);
  await check(0);
  assert.is(cache.loads, 5);
  await file.close();
});

test("the last block is shorter, and rows beyond the limit are read without being kept", async () => {
  const { file, cache, check } = await rowsIn(BLOCK - 1);
  await check(COUNT - 1, 0);
  assert.is(cache.bytes, 4000);
  await file.close();
});

test("neighbouring blocks are read at once, whatever the order of the rows", async () => {
  const { file, check, reads } = await rowsIn(0);
  const order = Array.from(new RandomStream(keyOfSeed(3)).permutation(COUNT));
  await check(...order);
  assert.is(reads(), 1);
  await check(0, 40, 80);
  assert.is(reads(), 4);
  await file.close();
});

test("any order of rows within any budget gives the rows in memory", async () => {
  for (const limit of [0, BLOCK, 5 * BLOCK, 1e9]) {
    const { file, cache, check } = await rowsIn(limit);
    const stream = new RandomStream(keyOfSeed(limit));
    for (let batch = 0; batch < 30; batch++) await check(...Array.from({ length: 9 }, () => stream.below(COUNT)));
    assert.ok(cache.bytes <= limit);
    await file.close();
  }
});

test.run();
