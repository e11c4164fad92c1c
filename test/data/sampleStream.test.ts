import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Samples } from "../../src/data/sampleSet.ts";
import { type SampleStreamOptions, sampleStream } from "../../src/data/sampleStream.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("sampleStream");

const shape = {
  inputSize: 2,
  target: { kind: "class", width: 1, classes: 3, times: null },
} as const;

function batch(k: number): Samples {
  return { size: 1, inputs: Float32Array.of(k, 1), targets: Float32Array.of(k % 3), weights: null };
}

async function take(options: SampleStreamOptions, first = 0, most = 5): Promise<Samples[]> {
  const taken: Samples[] = [];
  for await (const samples of sampleStream(options).batches(first)) {
    taken.push(samples);
    if (taken.length === most) break;
  }
  return taken;
}

test("batches of a generator pass through from the one asked for, and the generator is closed", async () => {
  let closed = false;
  const batches = function* (first: number): Generator<Samples> {
    try {
      for (let k = first; ; k++) yield batch(k);
    } finally {
      closed = true;
    }
  };
  assert.equal(await take({ ...shape, batches }, 7, 2), [batch(7), batch(8)]);
  assert.ok(closed);
  assert.equal(sampleStream({ ...shape, batches }).source, "stream");
});

test("batches of an async iterable or a list pass through, too", async () => {
  const batches = async function* (first: number): AsyncGenerator<Samples> {
    yield batch(first);
  };
  assert.equal(await take({ ...shape, batches }, 3), [batch(3)]);
  assert.equal(await take({ ...shape, batches: (first) => [batch(0), batch(1)].slice(first) }, 1), [batch(1)]);
});

const numbers = {
  inputSize: 1,
  steps: 2,
  target: { kind: "numbers", width: 2, classes: null, times: 2 },
  weighted: true,
} as const;
const samples = {
  size: 1,
  inputs: Float64Array.of(1, 2),
  targets: Float64Array.of(1, Number.NaN, 3, 4),
  weights: Float64Array.of(1, 0, 2, 1),
};

test("sequences, numbers at several times and weights", async () => {
  assert.equal(await take({ ...numbers, batches: () => [samples] }), [samples]);
});

/** Batches that are refused as number 4, and what the message says. */
const REFUSED: Readonly<Record<string, readonly [SampleStreamOptions, ...RegExp[]]>> = {
  "inputs too short": [with_({ inputs: Float32Array.of(1) }), /inputs/, /2 numbers/, /1/],
  "targets too long": [with_({ targets: new Float32Array(2) }), /targets/, /1 numbers/],
  "no typed array": [with_({ inputs: [1, 2] as never }), /Float32Array or Float64Array/],
  "a size that is none": [with_({ size: 0 }), /size/],
  NaN: [with_({ inputs: Float32Array.of(1, Number.NaN) }), /NaN at sample 0, input 1/],
  "a class out of range": [with_({ targets: Float32Array.of(3) }), /3 at sample 0/, /0 to 2/],
  "half a class": [with_({ targets: Float32Array.of(0.5) }), /0\.5/],
  "weights of a stream without": [with_({ weights: Float32Array.of(1) }), /not weighted/],
  "no batch": [{ ...shape, batches: () => [null as never] }, /batch/],
  "no weights": [{ ...numbers, batches: () => [{ ...samples, weights: null }] }, /weights/],
  "a negative weight": [
    { ...numbers, batches: () => [{ ...samples, weights: Float64Array.of(1, 0, -1, 1) }] },
    /-1 at sample 0, time 1, output 0/,
  ],
  "a NaN that counts": [
    { ...numbers, batches: () => [{ ...samples, weights: new Float64Array(4).fill(1) }] },
    /NaN at sample 0, time 0, output 1/,
  ],
  "no target that counts": [
    { ...numbers, batches: () => [{ ...samples, weights: new Float64Array(4) }] },
    /a target that counts/,
  ],
  "numbers beyond f32": [
    { ...numbers, dtype: "f32", batches: () => [{ ...samples, inputs: Float64Array.of(1, 1e39) }] },
    /3\.4e38/,
  ],
};

function with_(changes: Partial<Samples>): SampleStreamOptions {
  return { ...shape, batches: () => [{ ...batch(0), ...changes }] };
}

for (const [name, [options, ...patterns]] of Object.entries(REFUSED)) {
  test(`refused: ${name}`, () => fails(() => take(options, 4), "argument", /stream, batch 4/, ...patterns));
}

test("the number of a bad batch counts from the first of all", () =>
  fails(
    () => take({ ...shape, source: "mine", batches: () => [batch(0), batch(1), { ...batch(2), size: 9 }] }, 10),
    "argument",
    /mine, batch 12/,
  ));

test("shapes that are none are refused at once", async () => {
  const batches = (): Samples[] => [];
  await fails(() => sampleStream({ ...shape, inputSize: 0, batches }), "argument", /inputSize/);
  await fails(
    () => sampleStream({ ...shape, target: { ...shape.target, classes: null }, batches }),
    "argument",
    /target/,
  );
  await fails(() => sampleStream({ ...shape, stepz: 3, batches } as never), "argument", /steps/);
});

test("an error of the program passes through", async () => {
  const batches = function* (): Generator<Samples> {
    yield batch(0);
    throw new RangeError("mine");
  };
  let caught: unknown;
  await take({ ...shape, batches }).catch((error) => {
    caught = error;
  });
  assert.instance(caught, RangeError);
});

test.run();
