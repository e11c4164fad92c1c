import { setTimeout as pause } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { imageSamples } from "../../src/data/imageSamples.ts";
import { splitTrainValidation, subset } from "../../src/data/imageSet.ts";
import {
  batchCount,
  batches,
  epochOrder,
  firstSamples,
  joinedBatches,
  samplesPerPass,
  sliceOfSamples,
  streamBatches,
} from "../../src/data/loader.ts";
import { MNIST_NORMALISATION } from "../../src/data/mnist.ts";
import { type SampleSet, type SampleStream, type Samples, subsetOfSamples } from "../../src/data/sampleSet.ts";
import { fails } from "../io/fixtures.ts";
import { numberedImages } from "./fixtures.ts";

const test = suite("loader");
const set = numberedImages(10);
const samples = imageSamples(set, { mean: 0, std: 1 / 255 });
const key = [1, 2] as const;
/** Places of the bright pixel of the first images of the test below, with the key above. */
const MOVED: readonly number[] = [11, 11, 11, 11, 6, 12, 16, 18];

async function listOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: Error) => error.message,
  );
}

/** The samples, each reading after some work. */
function readLike(work: (indices: ArrayLike<number>) => Promise<void>): SampleSet {
  return {
    ...samples,
    async read(indices, variation) {
      await work(indices);
      return samples.read(indices, variation);
    },
  };
}

test("without shuffling the batches follow the set, the last one smaller", async () => {
  const all = await listOf(batches(samples, { batchSize: 4 }));
  assert.equal(
    all.map((batch) => batch.size),
    [4, 4, 2],
  );
  assert.equal(all[2]?.indices, Uint32Array.of(8, 9));
  assert.equal(all[2]?.targets, Float32Array.of(2, 0));
  assert.is(all[2]?.weights, null);
  assert.is((await listOf(batches(samples, { batchSize: 4, dropLast: true }))).length, 2);
  assert.equal([batchCount(10, 4), batchCount(10, 4, true), batchCount(0, 4)], [3, 2, 0]);
});

test("a share of each batch, or every so many batches, are those that all would read, with their changes", async () => {
  const options = { batchSize: 4, shuffle: true, key, epoch: 1 } as const;
  const moving: SampleSet = {
    ...samples,
    read: (indices, variation) => {
      const read = samples.read(indices, null) as Samples;
      for (let i = 0; i < indices.length; i++) read.inputs[4 * i] = variation![0] + indices[i]!;
      return read;
    },
  };
  const whole = await listOf(batches(moving, options));
  assert.equal(
    whole.map(({ of }) => of),
    [4, 4, 2],
  );
  const halves = [0, 1].map((k) => {
    const share = (size: number) => ({ first: k * (size >> 1), count: size >> 1 });
    return [...batches(moving, { ...options, share })];
  });
  for (const [index, batch] of whole.entries()) {
    const parts = halves.map((half) => half[index]!);
    for (const part of parts) assert.is(part.of, batch.of);
    for (const name of ["indices", "inputs", "targets"] as const)
      assert.equal(
        parts.flatMap((part) => [...part[name]]),
        [...batch[name]],
      );
    const slice = sliceOfSamples(batch, samples, 1, 1);
    assert.equal([slice.size, [...slice.inputs]], [1, [...batch.inputs.subarray(4, 8)]]);
  }
  const none = await listOf(batches(moving, { ...options, share: () => ({ first: 0, count: 0 }) }));
  assert.equal(
    none.map(({ size, of }) => [size, of]),
    [
      [0, 4],
      [0, 4],
      [0, 2],
    ],
  );
  assert.equal(await listOf(batches(moving, { ...options, firstBatch: 1, stride: 2 })), [whole[1]]);
  assert.equal(
    await listOf(
      batches(
        readLike(async () => {}),
        { batchSize: 4, stride: 2 },
      ),
    ),
    [...batches(samples, { batchSize: 4, stride: 2 })],
  );
  await fails(() => batches(moving, { ...options, stride: 0 }), "argument", /stride/);
  const share = () => ({ first: 1, count: 2 });
  await fails(
    () => listOf(batches(moving, { ...options, share })),
    "argument",
    /some of 2 samples, got 2 from 1 on \(share\)/,
  );
});

test("what is in memory can be iterated at once, images as they are; what is read cannot", async () => {
  const options = { batchSize: 4, shuffle: true, key, epoch: 2, firstBatch: 1 };
  assert.equal([...batches(imageSamples(set), options)], await listOf(batches(set, options)));
  assert.equal([...batches(set, options)].length, 2);
  const slow: SampleSet = { ...samples, read: async (indices, variation) => samples.read(indices, variation) };
  await fails(async () => [...batches(slow, options)], "argument", /for await/);
});

test("pixels become (x / 255 − mean) / std, row by row, with mean and std of the set or given ones", async () => {
  const inputsOf = async (set: SampleSet) => (await set.read([0, 1], null)).inputs;
  assert.equal(await inputsOf(imageSamples(set)), Float32Array.of(0, 0, 0, 0, ...new Array(4).fill(1 / 255)));
  const mnist = await inputsOf(imageSamples({ ...set, normalisation: MNIST_NORMALISATION }));
  assert.is(mnist.length, 8);
  assert.is(mnist[0], Math.fround(-0.1307 / 0.3081));
  assert.is(mnist[4], Math.fround((1 / 255 - 0.1307) / 0.3081));
  assert.equal(await inputsOf(samples), Float32Array.of(0, 0, 0, 0, 1, 1, 1, 1));
  assert.equal(samples.picture, { width: 2, height: 2 });
});

test("a shuffled epoch visits every sample once, with its own target", async () => {
  const seen: number[] = [];
  for await (const batch of batches(samples, { batchSize: 3, shuffle: true, key })) {
    batch.indices.forEach((i, b) => {
      seen.push(i);
      assert.is(batch.targets[b], i % 3);
      assert.is(batch.inputs[4 * b], i);
    });
  }
  const inOrder = Array.from({ length: 10 }, (_, i) => i);
  assert.not.equal(seen, inOrder);
  assert.equal(
    seen.sort((a, b) => a - b),
    inOrder,
  );
});

test("the order is a function of key and epoch alone", () => {
  assert.equal(epochOrder(100, key, 3), epochOrder(100, key, 3));
  assert.not.equal(epochOrder(100, key, 3), epochOrder(100, key, 4));
  assert.not.equal(epochOrder(100, key, 3), epochOrder(100, [1, 3], 3));
});

test("an epoch resumes at any batch with the batches that were left", async () => {
  const options = { batchSize: 3, shuffle: true, key, epoch: 5 } as const;
  const all = await listOf(batches(samples, options));
  for (let firstBatch = 0; firstBatch <= all.length; firstBatch++) {
    assert.equal(await listOf(batches(samples, { ...options, firstBatch })), all.slice(firstBatch));
  }
});

test("shifted images move as a whole, background comes in, and each epoch moves them anew, the same way again", async () => {
  // One bright pixel in the middle of 5 × 5.
  const images = new Uint8Array(20 * 25);
  for (let i = 0; i < 20; i++) images[i * 25 + 12] = 255;
  const dots = { images, labels: new Uint8Array(20), count: 20, height: 5, width: 5, classes: 2 };
  const places = async (shift: number, epoch: number, firstBatch = 0): Promise<number[]> =>
    (await listOf(batches(imageSamples(dots, { shift }), { batchSize: 4, key, epoch, firstBatch }))).flatMap((batch) =>
      Array.from({ length: batch.size }, (_, b) => {
        const image = [...batch.inputs.subarray(25 * b, 25 * (b + 1))];
        assert.is(
          image.reduce((sum, x) => sum + x),
          1,
        );
        return image.indexOf(1);
      }),
    );
  assert.equal(await places(0, 0), new Array<number>(20).fill(12));
  const moved = await places(1, 0);
  // As axograd 0.2 moved them.
  assert.equal(moved.slice(0, 8), MOVED);
  for (const place of moved) assert.ok([6, 7, 8, 11, 12, 13, 16, 17, 18].includes(place), `${place}`);
  assert.ok(new Set(moved).size > 4);
  assert.equal(await places(1, 0, 2), moved.slice(8));
  assert.not.equal(await places(1, 1), moved);
  const [far] = await listOf(
    batches(imageSamples({ ...dots, count: 1 }, { shift: 200 }), { batchSize: 1, key: [1, 1] }),
  );
  assert.ok(far?.inputs.every((x) => x === 0));
  // Without a key, as in evaluation, nothing moves.
  const still = await imageSamples(dots, { shift: 1 }).read([3], null);
  assert.is([...still.inputs].indexOf(1), 12);
});

test("an aborted signal ends the iteration at the next batch, with its reason", async () => {
  const controller = new AbortController();
  const iterator = batches(samples, { batchSize: 1, signal: controller.signal });
  await iterator.next();
  controller.abort(new Error("enough"));
  assert.match(await messageOf(iterator.next()), /enough/);
});

test("a set that takes time reads one batch ahead, and leaving the loop waits for it", async () => {
  const events: string[] = [];
  const slow = readLike(async (indices) => {
    events.push(`begin ${indices[0]}`);
    await pause(5);
    events.push(`end ${indices[0]}`);
  });
  assert.equal(
    await listOf(batches(slow, { batchSize: 4, shuffle: true, key })),
    await listOf(batches(samples, { batchSize: 4, shuffle: true, key })),
  );
  events.length = 0;
  for await (const { index } of batches(slow, { batchSize: 2 })) {
    events.push(`step ${index}`);
    await pause(20);
    if (index === 1) break;
  }
  assert.equal(events, ["begin 0", "end 0", "begin 2", "step 0", "end 2", "begin 4", "step 1", "end 4"]);
  events.length = 0;
  // At once: the reading ahead has not ended.
  for await (const _ of batches(slow, { batchSize: 2 })) break;
  assert.equal(events, ["begin 0", "end 0", "begin 2", "end 2"]);
});

test("an error of reading ahead is thrown when its batch is due", async () => {
  const broken = readLike(async (indices) => {
    if (indices[0] === 4) throw new Error("damaged");
  });
  const iterator = batches(broken, { batchSize: 2 });
  for (const index of [0, 1]) {
    assert.is((await iterator.next()).value?.index, index);
    await pause(5);
  }
  assert.match(await messageOf(iterator.next()), /damaged/);
});

test("a set that returns other lengths than it says is named, with the array", async () => {
  const wrong = (change: Partial<Samples>): SampleSet => ({
    ...samples,
    source: "my set",
    read: async (indices, variation) => ({ ...(await samples.read(indices, variation)), ...change }),
  });
  const first = (set: SampleSet) => () => batches(set, { batchSize: 2 }).next();
  await fails(
    first(wrong({ inputs: new Float32Array(7) })),
    "shape",
    /my set: expected \[2, 1, 4\], 8 numbers, got 7 \(inputs\)/,
  );
  await fails(first(wrong({ targets: new Float32Array(3) })), "shape", /my set: expected \[2, 1, 1\].* \(targets\)/);
  await fails(first(wrong({ weights: new Float32Array(2) })), "shape", /my set: expected null.* \(weights\)/);
  await fails(first(wrong({ size: 3 })), "shape", /my set: expected 2 samples, got 3 \(size\)/);
  await fails(first({ ...samples, weighted: true, source: "my set" }), "shape", /my set: .*got none \(weights\)/);
});

/** Batches of two numbered samples, without an end. */
function counting(from: readonly number[] = []): SampleStream {
  const asked = from as number[];
  return {
    ...{ inputSize: 1, steps: null, weighted: false, source: "counter" },
    target: { kind: "numbers", width: 1, classes: null, times: null },
    *batches(first) {
      asked.push(first);
      for (let k = first; ; k++) {
        const inputs = Float32Array.of(2 * k, 2 * k + 1);
        yield { size: 2, inputs, targets: inputs.slice(), weights: null };
      }
    },
  };
}

test("a stream begins at any batch, and its first samples may come from several", async () => {
  const asked: number[] = [];
  const seen: [number, number][] = [];
  for await (const { index, inputs } of streamBatches(counting(asked), { firstBatch: 3 })) {
    seen.push([index, inputs[0]!]);
    if (index === 5) break;
  }
  assert.equal(seen, [
    [3, 6],
    [4, 8],
    [5, 10],
  ]);
  assert.equal(asked, [3]);
  assert.equal((await firstSamples(counting(), 5)).inputs, Float32Array.of(0, 1, 2, 3, 4));
  assert.equal((await firstSamples(samples, 3)).targets, Float32Array.of(0, 1, 2));
  assert.is((await firstSamples(samples, 99)).size, 10);
});

test("batches of a stream are joined in order, from any group on", async () => {
  const asked: number[] = [];
  for (const [count, expected] of [
    [3, [12, 13, 14, 15, 16, 17]],
    [1, [4, 5]],
  ] as const) {
    for await (const { index, size, inputs, targets } of joinedBatches(counting(asked), count, { firstBatch: 2 })) {
      assert.equal([index, size], [2, expected.length]);
      assert.equal([inputs, targets], [Float32Array.from(expected), Float32Array.from(expected)]);
      break;
    }
  }
  assert.equal(asked, [6, 2]);
  const indices: number[] = [];
  for await (const { index, inputs } of joinedBatches(counting(), 2)) {
    assert.is(inputs[0], 4 * index);
    if (indices.push(index) === 3) break;
  }
  assert.equal(indices, [0, 1, 2]);
  await fails(() => listOf(joinedBatches(counting(), 0)), "argument", /count/);
});

test("a stream that ends is an error that says at which batch, and its generator is closed", async () => {
  let closed = false;
  const endless = counting();
  const short: SampleStream = {
    ...endless,
    async *batches(first) {
      try {
        for (const batch of endless.batches(first) as Iterable<Samples>) {
          if (batch.inputs[0] === 4) return;
          yield batch;
        }
      } finally {
        closed = true;
      }
    },
  };
  await fails(() => listOf(streamBatches(short)), "stream-ended", /batch 2 of counter/);
  closed = false;
  for await (const _ of streamBatches(short)) break;
  assert.ok(closed);
});

test("a part of a set reads its samples, changed as those of the whole set", async () => {
  const part = subsetOfSamples(samples, [7, 2, 7]);
  assert.is(part.count, 3);
  assert.equal((await part.read([2, 1], null)).targets, Float32Array.of(1, 2));
});

test("wrong options fail at the call, before the first batch", async () => {
  await fails(() => batches(samples, { batchSize: 0 }), "argument", /batchSize/);
  await fails(() => batches(samples, { batchSize: 1.5 }), "argument", /1\.5/);
  await fails(() => batches(samples, { batchSize: 1, shuffle: true }), "argument", /key/);
  await fails(() => batches(samples, { batchSize: 1, firstBatch: -1 }), "argument", /firstBatch/);
  await fails(() => imageSamples(set, { shift: 0.5 }), "argument", /0\.5 \(shift\)/);
  await fails(() => imageSamples(set, { std: 0 }), "argument", /std/);
  await fails(() => imageSamples(set, { mean: Number.NaN }), "argument", /mean/);
  await fails(() => imageSamples(set, { stdev: 1 } as object), "argument", /std/);
  await fails(() => samples.read([10], null), "argument", /0 to 9.*10 at 0/);
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

test("passes take as many samples as bounded arrays hold, whole panels where they can, and at least one", () => {
  const numbers = { kind: "numbers", width: 1, classes: null, times: null } as const;
  const shape = { inputSize: 784, steps: null, target: numbers, weighted: false };
  assert.is(samplesPerPass(shape), 256);
  // 2²⁴ numbers: 2²⁴ / (100 · 2,000 + 1) = 83 samples, of which 80 are five panels.
  assert.is(samplesPerPass({ ...shape, inputSize: 2000, steps: 100 }), 80);
  assert.is(samplesPerPass({ ...shape, inputSize: 20_000, steps: 100 }), 8);
  assert.is(samplesPerPass({ ...shape, inputSize: 166_700, steps: 128 }), 1);
  // Outputs and targets count, too, and so do weights.
  assert.is(samplesPerPass(shape, 2 ** 22), 3);
  const traces = { ...shape, target: { ...numbers, width: 2 ** 20, times: 2 } };
  assert.equal([samplesPerPass(traces), samplesPerPass({ ...traces, weighted: true })], [7, 3]);
});

test.run();
