import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decodeIdx, readIdx } from "../../src/data/idx.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { idx } from "./fixtures.ts";

const test = suite("idx");
const dir = tempDir();
const images = idx([2, 2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));

test("shape and bytes are read, plain or gzip", async () => {
  for (const [name, bytes] of [
    ["plain", images],
    ["packed.gz", gzipSync(images)],
    ["packed-without-gz", gzipSync(images)],
  ] as const) {
    await writeFile(join(dir, name), bytes);
    const { shape, data } = await readIdx(join(dir, name), 3);
    assert.equal(shape, [2, 2, 3]);
    assert.equal(data, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  }
});

test("another magic number is refused with its meaning", async () => {
  await fails(
    () => decodeIdx(images, 1, "labels"),
    "file-format",
    /labels: expected IDX magic 2049.*2051.*3 dimensions/,
  );
  const floats = images.slice();
  floats[2] = 13;
  await fails(() => decodeIdx(floats, 3, "f"), "file-format", /float, 3 dimensions/);
  await fails(() => decodeIdx(Uint8Array.of(1, 2, 3, 4, 5), 3, "f"), "file-format", /no IDX file/);
});

test("a file cut anywhere is truncated, bytes left over are counted", async () => {
  for (let length = 0; length < images.length; length++) {
    await fails(() => decodeIdx(images.slice(0, length), 3, "cut"), "file-truncated", /cut/);
  }
  await fails(() => decodeIdx(Uint8Array.of(...images, 0, 0), 3, "long"), "file-format", /12 bytes.*2 × 2 × 3.*14/);
});

test("a damaged or missing file is named", async () => {
  await writeFile(join(dir, "cut.gz"), gzipSync(images).subarray(0, 20));
  await fails(() => readIdx(join(dir, "cut.gz"), 3), "file-truncated", /cut\.gz/, /gzip/);
  await fails(() => readIdx(join(dir, "absent"), 3), "file-missing", /absent/);
});

test.run();
