import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readImageSet, readMnist } from "../../src/data/mnist.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { idx } from "./fixtures.ts";

const test = suite("mnist");
const root = tempDir();

/** Two images of 28 × 28 for training and one to test, with changes. */
async function save(name: string, change: Record<string, Uint8Array> = {}, packed = false): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir);
  const files = {
    "train-images-idx3-ubyte": idx([2, 28, 28], new Uint8Array(2 * 784).fill(9)),
    "train-labels-idx1-ubyte": idx([2], Uint8Array.of(3, 9)),
    "t10k-images-idx3-ubyte": idx([1, 28, 28], new Uint8Array(784)),
    "t10k-labels-idx1-ubyte": idx([1], Uint8Array.of(0)),
    ...change,
  };
  for (const [file, bytes] of Object.entries(files)) {
    await writeFile(join(dir, packed ? `${file}.gz` : file), packed ? gzipSync(bytes) : bytes);
  }
  return dir;
}

test("both parts are read, with or without .gz", async () => {
  for (const packed of [false, true]) {
    const { train, test: held } = await readMnist(await save(`ok${packed}`, {}, packed));
    assert.is(train.count, 2);
    assert.equal(train.labels, Uint8Array.of(3, 9));
    assert.equal([held.count, held.height, held.width, held.classes], [1, 28, 28, 10]);
  }
});

test("names with a dot before idx, as some unpackers write them, are found", async () => {
  for (const end of ["", ".gz"]) {
    const dir = await save(`dots${end}`, {}, end !== "");
    for (const file of await readdir(dir)) await rename(join(dir, file), join(dir, file.replace("-idx", ".idx")));
    assert.is((await readMnist(dir)).train.count, 2);
  }
});

test("no image is refused", async () => {
  const none = {
    "t10k-images-idx3-ubyte": idx([0, 28, 28], new Uint8Array(0)),
    "t10k-labels-idx1-ubyte": idx([0], new Uint8Array(0)),
  };
  await fails(async () => readMnist(await save("none", none)), "file-format", /t10k-images/, /0 of 28 × 28/);
});

test("what is no IDX file is refused before it is unpacked", async () => {
  // 40 MB that are no images at all, and 160 MB of images in 155 KB.
  const zeros = await save("zeros", { "train-images-idx3-ubyte": new Uint8Array(40_000_000) }, true);
  await fails(() => readMnist(zeros), "file-format", /train-images-idx3-ubyte\.gz/, /magic 2051/);
  const side = 400;
  const images = idx([1000, side, side], new Uint8Array(1000 * side * side));
  const bomb = await save("bomb", { "train-images-idx3-ubyte": images }, true);
  await fails(() => readMnist(bomb), "file-limit", /train-images-idx3-ubyte\.gz/, /gunzip/);
  const long = await save(
    "long",
    { "train-images-idx3-ubyte": new Uint8Array([...idx([2, 28, 28], new Uint8Array(1568)), 0, 0]) },
    true,
  );
  await fails(() => readMnist(long), "file-format", /train-images-idx3-ubyte\.gz.*1584 bytes/, /left over/);
});

test("a label outside the classes is named with its place", async () => {
  const dir = await save("label10", { "train-labels-idx1-ubyte": idx([2], Uint8Array.of(3, 10)) });
  await fails(() => readMnist(dir), "file-format", /train-labels/, /0 to 9, got 10 at item 1/);
});

test("more labels than images, or fewer, are refused", async () => {
  const dir = await save("count", { "t10k-labels-idx1-ubyte": idx([2], Uint8Array.of(0, 1)) });
  await fails(() => readMnist(dir), "file-format", /t10k-labels/, /1 labels.*got 2/);
});

test("images of another size are refused by readMnist and read by readImageSet", async () => {
  const dir = await save("size", { "train-images-idx3-ubyte": idx([2, 8, 6], new Uint8Array(96)) });
  await fails(() => readMnist(dir), "file-format", /28 × 28.*8 × 6/);
  const set = await readImageSet(join(dir, "train-images-idx3-ubyte"), join(dir, "train-labels-idx1-ubyte"));
  assert.equal([set.height, set.width], [8, 6]);
});

test("a missing file is named", async () => {
  await fails(() => readMnist(join(root, "nowhere")), "file-missing", /nowhere.*-ubyte/, /\.gz/, /no such folder/);
  const empty = join(root, "empty");
  await mkdir(empty);
  await fails(() => readMnist(empty), "file-missing", /got an empty folder/);
  const dir = await save("other");
  await rename(join(dir, "t10k-labels-idx1-ubyte"), join(dir, "labels.idx1"));
  await fails(() => readMnist(dir), "file-missing", /t10k-labels-idx1-ubyte/, /labels\.idx1/);
});

test("of several bad files the first of the list is named, whichever is found bad first", async () => {
  // The training images fail late, after 40 MB are unpacked; the missing test images fail at once.
  const dir = await save("both", {
    "train-images-idx3-ubyte.gz": gzipSync(idx([50_001, 28, 28], new Uint8Array(50_000 * 784))),
  });
  await rm(join(dir, "train-images-idx3-ubyte"));
  await rm(join(dir, "t10k-images-idx3-ubyte"));
  await fails(() => readMnist(dir), "file-truncated", /train-images-idx3-ubyte\.gz/);
});

testWithData(test, ["mnist"], "the published files hold the published bytes", async (dir) => {
  const { train, test: held } = await readMnist(dir);
  assert.equal([train.count, held.count], [60_000, 10_000]);
  assert.equal(Array.from(train.labels.subarray(0, 5)), [5, 0, 4, 1, 9]);
  assert.equal(Array.from(held.labels.subarray(0, 5)), [7, 2, 1, 0, 4]);
  // The MD5 of the whole training file, header included, as its publisher lists it.
  const md5 = createHash("md5")
    .update(idx([60_000, 28, 28], train.images))
    .digest("hex");
  assert.is(md5, "6bbc9ace898e44ae57da46a324031adb");
});

test.run();
