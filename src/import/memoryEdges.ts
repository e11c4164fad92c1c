// Edges between neurons by number, as a source of batches.

import type { EdgeSource } from "./types.ts";

/** Rows of a batch. */
const BATCH = 1 << 16;

export interface IndexedEdges {
  readonly file: string;
  readonly count: number;
  /** See `EdgeSource`. Default false. */
  readonly isSorted?: boolean;
  /** Sets pre[k], post[k] (numbers of neurons) and weights[k] for edges `start` … `start + count − 1`. */
  fill(start: number, count: number, pre: Int32Array, post: Int32Array, weights: Float64Array): void | Promise<void>;
  placeOf(row: number): string;
}

/** A source whose ids are the numbers of the neurons. */
export function edgesOfIndices({ file, count, isSorted = false, fill, placeOf }: IndexedEdges): EdgeSource {
  return {
    ...{ file, rows: count, isSorted, placeOf },
    async read(visit, { onProgress, signal } = {}) {
      const size = Math.min(BATCH, count);
      const [pre, post] = [new WideIndices(size), new WideIndices(size)];
      const weights = new Float64Array(size);
      for (let start = 0; start < count; start += BATCH) {
        signal?.throwIfAborted();
        const length = Math.min(BATCH, count - start);
        await fill(start, length, pre.indices, post.indices, weights);
        const ends = { pre: pre.widened(length), post: post.widened(length) };
        if (!visit({ rowStart: start, count: length, ...ends, weights: weights.subarray(0, length) })) return;
        onProgress?.({ done: start + length, total: count });
      }
    },
  };
}

/** Indices from 0, and the same in 64 bits. */
class WideIndices {
  readonly indices: Int32Array;
  readonly #wide: BigInt64Array;
  /** Low half, high half (0) of each. */
  readonly #halves: Int32Array;

  constructor(size: number) {
    this.indices = new Int32Array(size);
    this.#wide = new BigInt64Array(size);
    this.#halves = new Int32Array(this.#wide.buffer);
  }

  widened(count: number): BigInt64Array {
    for (let k = 0; k < count; k++) this.#halves[2 * k] = this.indices[k]!;
    return this.#wide.subarray(0, count);
  }
}

/** The numbers 0, 1, … count − 1 as names of neurons. */
export function positions(count: number): BigInt64Array {
  return BigInt64Array.from({ length: count }, (_, i) => BigInt(i));
}
