// Arrays of samples for tests, and their files.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { SampleSet, Samples } from "../../src/data/sampleSet.ts";
import { type NpyInput, writeNpy } from "../../src/io/npy.ts";
import type { NumberArray } from "../../src/io/numbers.ts";

/** Arrays by name, as files and programs give them. */
export type Arrays = Readonly<Record<string, NpyInput>>;

export function array(shape: readonly number[], data: NumberArray): NpyInput {
  return { shape, data };
}

/** Normal numbers. */
export function normals(seed: number, ...shape: number[]): NpyInput {
  const stream = new RandomStream(keyOfSeed(seed));
  return array(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.normal()),
  );
}

/** 0, 1, …, classes − 1, 0, 1, … */
export function labels(count: number, classes: number): NpyInput {
  return array(
    [count],
    Int32Array.from({ length: count }, (_, i) => i % classes),
  );
}

/** A folder with a .npy file for each array. */
export async function writeFolder(folder: string, arrays: Arrays): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, data] of Object.entries(arrays)) await writeNpy(join(folder, `${name}.npy`), data);
  return folder;
}

/** All samples of a set. */
export async function all(set: SampleSet): Promise<Samples> {
  return set.read(
    Array.from({ length: set.count }, (_, i) => i),
    null,
  );
}

/** Fails unless two sets give the same bits, whole and in any order. */
export async function assertSameSamples(a: SampleSet, b: SampleSet): Promise<void> {
  assert.is(a.count, b.count);
  const order = new RandomStream(keyOfSeed(a.count)).permutation(a.count);
  for (const indices of [Array.from({ length: a.count }, (_, i) => i), order, [0, a.count - 1, 0], []]) {
    const [x, y] = [await a.read(indices, null), await b.read(indices, null)];
    assert.is(x.size, indices.length);
    for (const name of ["inputs", "targets", "weights"] as const) {
      assert.is(x[name]?.constructor, y[name]?.constructor, name);
      assert.equal(bits(x[name]), bits(y[name]), name);
    }
  }
}

function bits(array: Float32Array | Float64Array | null): Uint8Array | null {
  return array && new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
