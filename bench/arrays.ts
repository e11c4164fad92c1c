// Arrays that processes share as files, and seeded arrays, the same inputs for both sides of a comparison.

import { readFileSync, writeFileSync } from "node:fs";
import { deriveKey, keyOfSeed, RandomStream } from "../src/core/random.ts";

type RawArray = Uint32Array | Float32Array;

/** Writes the bytes of an array; little-endian, as is every machine that Node supports. */
export function writeRaw(file: string, data: RawArray): void {
  writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

export function readRawU32(file: string): Uint32Array {
  const bytes = readFileSync(file);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

export function readRawF32(file: string): Float32Array {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** `length` numbers uniform in [low, high), rounded to f32 so that all precisions start from the same numbers. */
export function uniformArray(length: number, purpose: string, low = -1, high = 1): Float32Array {
  const stream = new RandomStream(deriveKey(keyOfSeed(1), `bench ${purpose}`));
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = low + (high - low) * stream.uniform();
  return values;
}
