// Some samples of a batch: their part of an array, taken out and written back.

import type { Part } from "../backend/desk.ts";
import type { FloatArray } from "../core/dtype.ts";

/** Rows of samples in a host array: [batch, times, width], or [times, batch, width] when time comes first. */
export interface SampleRows {
  readonly batch: number;
  readonly times: number;
  readonly width: number;
  readonly batchFirst: boolean;
}

/** Where the row of (sample, time) begins. */
export function rowAt({ batch, times, width, batchFirst }: SampleRows, sample: number, time: number): number {
  return (batchFirst ? sample * times + time : time * batch + sample) * width;
}

/** The sample that number `index` of the array belongs to. */
export function sampleAt({ batch, times, width, batchFirst }: SampleRows, index: number): number {
  const row = Math.floor(index / width);
  return batchFirst ? Math.floor(row / times) : row % batch;
}

/** The rows of the samples `kept`, as a batch of their own. */
export function gatherSamples(data: ArrayLike<number>, rows: SampleRows, kept: readonly number[]): Float64Array {
  const { times, width } = rows;
  const part = { ...rows, batch: kept.length };
  const gathered = new Float64Array(kept.length * times * width);
  kept.forEach((sample, s) => {
    for (let k = 0; k < times; k++) {
      const [from, to] = [rowAt(rows, sample, k), rowAt(part, s, k)];
      for (let i = 0; i < width; i++) gathered[to + i] = data[from + i]!;
    }
  });
  return gathered;
}

/** The transpose of `gatherSamples`: writes a batch of the samples `kept` to their rows of `into`. */
export function scatterSamples(data: FloatArray, into: FloatArray, rows: SampleRows, kept: readonly number[]): void {
  const { times, width } = rows;
  const part = { ...rows, batch: kept.length };
  kept.forEach((sample, s) => {
    for (let k = 0; k < times; k++) {
      const from = rowAt(part, s, k);
      into.set(data.subarray(from, from + width), rowAt(rows, sample, k));
    }
  });
}

/** The samples first … first + count − 1 at one time, for a desk. */
export function partOf(
  rows: SampleRows,
  { first, count }: { readonly first: number; readonly count: number },
  time: number,
): Part {
  return { first, count, at: (sample, row) => rowAt(rows, sample, time) + row };
}
