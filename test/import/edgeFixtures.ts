// Edges in memory, as a file would give them, batch by batch.

import type { EdgeSource, NeuronIds } from "../../src/import/types.ts";

/** An edge: pre, post, weight. */
export type Edge = readonly [pre: bigint | string, post: bigint | string, weight: number];

export interface MadeSource extends EdgeSource {
  /** Batches that were read so far. */
  batches(): number;
}

export interface SourceOptions {
  readonly batch?: number;
  readonly isSorted?: boolean;
  readonly file?: string;
  /** Rows are known beforehand. Default true. */
  readonly isCounted?: boolean;
}

/** A source of these edges. Its batches share their arrays, so that nothing may keep them. */
export function edgesIn(edges: readonly Edge[], options: SourceOptions = {}): MadeSource {
  const { batch = 4, isSorted = false, file = "edges.feather", isCounted = true } = options;
  let batches = 0;
  const weights = new Float64Array(batch);
  const numbers = [new BigInt64Array(batch), new BigInt64Array(batch)] as const;
  const idsOf = (rows: readonly Edge[], end: 0 | 1): NeuronIds => {
    if (!rows.every((row) => typeof row[end] === "bigint")) return rows.map((row) => String(row[end]));
    const ids = numbers[end].subarray(0, rows.length);
    rows.forEach((row, k) => {
      ids[k] = row[end] as bigint;
    });
    return ids;
  };
  return {
    file,
    rows: isCounted ? edges.length : null,
    isSorted,
    batches: () => batches,
    placeOf: (row, end) => `${file}: row ${row}, ${end}`,
    async read(visit, { onProgress, signal } = {}) {
      for (let rowStart = 0; rowStart < edges.length; rowStart += batch) {
        signal?.throwIfAborted();
        const rows = edges.slice(rowStart, rowStart + batch);
        batches++;
        rows.forEach((row, k) => {
          weights[k] = row[2];
        });
        const ids = { pre: idsOf(rows, 0), post: idsOf(rows, 1) };
        if (!visit({ rowStart, count: rows.length, ...ids, weights: weights.subarray(0, rows.length) })) return;
        onProgress?.({ done: rowStart + rows.length, total: edges.length });
      }
    },
  };
}
