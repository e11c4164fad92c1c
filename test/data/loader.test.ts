import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTrainValidation, subset } from "../../src/data/imageSet.ts";
import { batchCount, batches, epochOrder } from "../../src/data/loader.ts";
import { fails } from "../io/fixtures.ts";
import { numberedImages } from "./fixtures.ts";

const test = suite("loader");
const set = numberedImages(10);
const key = [1, 2] as const;

test("without shuffling the batches follow the set, the last one smaller", () => {
  const all = [...batches(set, { batchSize: 4 })];
  assert.equal(
    all.map((batch) => batch.size),
    [4, 4, 2],
  );
  assert.equal(all[2]?.indices, Uint32Array.of(8, 9));
  assert.equal(all[2]?.labels, Uint8Array.of(2, 0));
  assert.is([...batches(set, { batchSize: 4, dropLast: true })].length, 2);
  assert.equal([batchCount(10, 4), batchCount(10, 4, true), batchCount(0, 4)], [3, 2, 0]);
});

test("pixels are normalised as (x / 255 − mean) / std, row by row", () => {
  const [batch] = batches(set, { batchSize: 2 });
  assert.is(batch?.images.length, 8);
  assert.is(batch?.images[0], Math.fround(-0.1307 / 0.3081));
  assert.is(batch?.images[4], Math.fround((1 / 255 - 0.1307) / 0.3081));
  const [raw] = batches(set, { batchSize: 2, normalise: { mean: 0, std: 1 / 255 } });
  assert.equal(raw?.images, Float32Array.of(0, 0, 0, 0, 1, 1, 1, 1));
});

test("a shuffled epoch visits every image once, with its own label", () => {
  const seen: number[] = [];
  for (const batch of batches(set, { batchSize: 3, shuffle: true, key, normalise: { mean: 0, std: 1 / 255 } })) {
    batch.indices.forEach((i, b) => {
      seen.push(i);
      assert.is(batch.labels[b], i % 3);
      assert.is(batch.images[4 * b], i);
    });
  }
  assert.not.equal(
    seen,
    Array.from({ length: 10 }, (_, i) => i),
  );
  assert.equal(
    seen.sort((a, b) => a - b),
    Array.from({ length: 10 }, (_, i) => i),
  );
});

test("the order is a function of key and epoch alone", () => {
  assert.equal(epochOrder(100, key, 3), epochOrder(100, key, 3));
  assert.not.equal(epochOrder(100, key, 3), epochOrder(100, key, 4));
  assert.not.equal(epochOrder(100, key, 3), epochOrder(100, [1, 3], 3));
});

test("an epoch resumes at any batch with the batches that were left", () => {
  const options = { batchSize: 3, shuffle: true, key, epoch: 5 } as const;
  const all = [...batches(set, options)];
  for (let firstBatch = 0; firstBatch <= all.length; firstBatch++) {
    assert.equal([...batches(set, { ...options, firstBatch })], all.slice(firstBatch));
  }
});

test("shifted images move as a whole, background comes in, and each epoch moves them anew, the same way again", () => {
  // One bright pixel in the middle of 5 × 5.
  const images = new Uint8Array(20 * 25);
  for (let i = 0; i < 20; i++) images[i * 25 + 12] = 255;
  const dots = { images, labels: new Uint8Array(20), count: 20, height: 5, width: 5, classes: 2 };
  const normalise = { mean: 0, std: 1 };
  const places = (shift: number, epoch: number, firstBatch = 0): number[] =>
    [...batches(dots, { batchSize: 4, key, epoch, shift, normalise, firstBatch })].flatMap((batch) =>
      Array.from({ length: batch.size }, (_, b) => {
        const image = batch.images.subarray(25 * b, 25 * (b + 1));
        assert.is(
          image.reduce((sum, x) => sum + x),
          1,
        );
        return image.indexOf(1);
      }),
    );
  assert.equal(places(0, 0), new Array<number>(20).fill(12));
  const moved = places(1, 0);
  for (const place of moved) assert.ok([6, 7, 8, 11, 12, 13, 16, 17, 18].includes(place), `${place}`);
  assert.ok(new Set(moved).size > 4);
  assert.equal(places(1, 0, 2), moved.slice(8));
  assert.not.equal(places(1, 1), moved);
  const [far] = batches({ ...dots, count: 1 }, { batchSize: 1, key: [1, 1], shift: 200, normalise });
  assert.ok(far?.images.every((x) => x === 0));
});

test("an aborted signal ends the iteration at the next batch, with its reason", () => {
  const controller = new AbortController();
  const iterator = batches(set, { batchSize: 1, signal: controller.signal });
  iterator.next();
  controller.abort(new Error("enough"));
  assert.throws(() => iterator.next(), /enough/);
});

test("wrong options fail at the call, before the first batch", async () => {
  await fails(() => batches(set, { batchSize: 0 }), "argument", /batchSize/);
  await fails(() => batches(set, { batchSize: 1.5 }), "argument", /1\.5/);
  await fails(() => batches(set, { batchSize: 1, shuffle: true }), "argument", /key/);
  await fails(() => batches(set, { batchSize: 1, shift: 1 }), "argument", /key, to shift/);
  await fails(() => batches(set, { batchSize: 1, shift: 0.5, key }), "argument", /0\.5/);
  await fails(() => batches(set, { batchSize: 1, firstBatch: -1 }), "argument", /firstBatch/);
  await fails(() => batches(set, { batchSize: 1, normalise: { mean: 0, std: 0 } }), "argument", /std/);
});

test("a split shares out every image, the same way for the same key", () => {
  const { train, validation } = splitTrainValidation(set, 3, key);
  assert.equal([train.count, validation.count], [7, 3]);
  const firstPixels = (part: typeof set): number[] => Array.from({ length: part.count }, (_, i) => part.images[4 * i]!);
  assert.equal(
    [...firstPixels(train), ...firstPixels(validation)].sort((a, b) => a - b),
    Array.from({ length: 10 }, (_, i) => i),
  );
  assert.equal(splitTrainValidation(set, 3, key).validation, validation);
  assert.not.equal(splitTrainValidation(set, 3, [9, 9]).validation, validation);
});

test("a subset copies the images named, in that order", async () => {
  const part = subset(set, [7, 2, 7]);
  assert.equal(part.labels, Uint8Array.of(1, 2, 1));
  assert.equal([part.images[0], part.images[4], part.images[8]], [7, 2, 7]);
  await fails(() => subset(set, [10]), "argument", /0 to 9.*10 at 0/);
  await fails(() => splitTrainValidation(set, 10, key), "argument", /0 to 9/);
});

test.run();
