// Edges that are in memory, as a source of batches.

import type { EdgeSource } from "./types.ts";

/** Rows of a batch. */
const BATCH = 1 << 16;

/** Edges between neurons by number. */
export interface IndexedEdges {
  readonly file: string;
  readonly count: number;
  /** Sets pre[k], post[k] and weights[k] to edge `start` + k, for `count` edges. */
  fill(
    start: number,
    count: number,
    pre: BigInt64Array,
    post: BigInt64Array,
    weights: Float64Array,
  ): void | Promise<void>;
  placeOf(row: number): string;
}

/** A source whose ids are the numbers of the neurons. */
export function edgesOfIndices({ file, count, fill, placeOf }: IndexedEdges): EdgeSource {
  return {
    ...{ file, rows: count, isSorted: false, placeOf },
    async read(visit, { onProgress, signal } = {}) {
      const size = Math.min(BATCH, count);
      const [pre, post, weights] = [new BigInt64Array(size), new BigInt64Array(size), new Float64Array(size)];
      for (let start = 0; start < count; start += BATCH) {
        signal?.throwIfAborted();
        const length = Math.min(BATCH, count - start);
        await fill(start, length, pre, post, weights);
        const part = <T extends { subarray(from: number, to: number): T }>(array: T): T => array.subarray(0, length);
        const batch = { rowStart: start, count: length, pre: part(pre), post: part(post), weights: part(weights) };
        if (!visit(batch)) return;
        onProgress?.({ done: start + length, total: count });
      }
    },
  };
}

/** The numbers 0, 1, … count − 1 as names of neurons. */
export function positions(count: number): BigInt64Array {
  return BigInt64Array.from({ length: count }, (_, i) => BigInt(i));
}
