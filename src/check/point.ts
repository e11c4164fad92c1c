// Points: everything that a computation depends on, as named arrays on the host.

import { deriveKey, type Key, keyOfSeed, RandomStream } from "../core/random.ts";

export type Point = Readonly<Record<string, Float64Array>>;

/** A separate stream for every purpose. */
export function streamOf(seed: number, ...labels: readonly (string | number)[]): RandomStream {
  return new RandomStream(labels.reduce<Key>((key, label) => deriveKey(key, label), keyOfSeed(seed)));
}

/** [length] standard normal numbers times `scale`, plus `mean`, exactly representable in f32. */
export function normals(stream: RandomStream, length: number, scale = 1, mean = 0): Float64Array {
  return Float64Array.from({ length }, () => Math.fround(mean + scale * stream.normal()));
}

/** The nearest point whose numbers both precisions hold exactly. */
export function representable(point: Point): Point {
  return mapPoint(point, (_, x) => x.map(Math.fround));
}

export function mapPoint(point: Point, f: (name: string, x: Float64Array) => Float64Array): Point {
  return Object.fromEntries(Object.entries(point).map(([name, x]) => [name, f(name, x)]));
}

/** √(mean of squares); 0 for nothing. */
export function rootMeanSquare(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! ** 2;
  return Math.sqrt(sum / Math.max(1, x.length));
}
