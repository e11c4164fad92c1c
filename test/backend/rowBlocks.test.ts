// How the rows of a sparse matrix are dealt out to the threads of a GPU.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { rowBlocks } from "../../src/backend/webgpu/rowBlocks.ts";
import { checkChoices, SPARSE_TUNING, type SparseTuning } from "../../src/backend/webgpu/sparseTuning.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { logNormalConnectome } from "../../src/data/connectomes.ts";
import { matrixOfLengths, ROWS_OF_LENGTHS } from "../support/rowLengths.ts";

const ABSENT = 0xffffffff;
/** Threads that walk a row, in the order of the table. */
const PARTS = [64, 16, 4, 1];

/** Trips that threads have to make, as a share of those that they take: 16 are in step, so all take as many as the longest of them. */
function activeShare(words: Uint32Array, tripsAt: number, blocks: readonly number[]): number {
  let [done, waited, entry] = [0, 0, 0];
  blocks.forEach((count, kind) => {
    const perBlock = 64 / PARTS[kind]!;
    const inStep = Math.max(1, 16 / PARTS[kind]!);
    for (let at = 0; at < count * perBlock; at += inStep) {
      const trips = Array.from({ length: inStep }, (_, k) => {
        const [first, end] = [words[3 * (entry + at + k) + 1]!, words[3 * (entry + at + k) + 2]!];
        return Math.ceil((end - first) / (4 * PARTS[kind]!));
      });
      done += trips.reduce((sum, n) => sum + n, 0);
      waited += inStep * Math.max(...trips);
    }
    entry += count * perBlock;
  });
  assert.is(3 * entry, tripsAt);
  return done / waited;
}

function kindsOf(table: ReturnType<typeof rowBlocks>): number[] {
  const { blocks64, blocks16, blocks4, blocks } = table;
  return [blocks64, blocks16, blocks4, blocks - blocks64 - blocks16 - blocks4];
}

test("a row is in the table once, among rows of its kind", () => {
  const csr = matrixOfLengths();
  const made = rowBlocks(csr.rowPtr, csr.colIdx, SPARSE_TUNING);
  const seen: number[] = [];
  let entry = 0;
  kindsOf(made).forEach((count, kind) => {
    assert.is(count % 4, 0);
    for (let k = 0; k < (count * 64) / PARTS[kind]!; k++, entry++) {
      const [row, first, end] = made.words.subarray(3 * entry, 3 * entry + 3) as unknown as [number, number, number];
      if (row === ABSENT) continue;
      seen.push(row);
      assert.equal([first, end], [csr.rowPtr[row], csr.rowPtr[row + 1]]);
      const above = SPARSE_TUNING.limits.filter((limit) => end - first > limit).length;
      assert.is(PARTS[kind], [1, 4, 16, 64][above]);
    }
  });
  assert.equal(
    seen.sort((a, b) => a - b),
    Array.from({ length: ROWS_OF_LENGTHS }, (_, row) => row),
  );
});

test("windows sort rows by length, and threads in step wait less", () => {
  const csr = logNormalConnectome({ neurons: 6000, connections: 300_000, seed: 1 });
  const shareOf = (window: number): number => {
    const made = rowBlocks(csr.rowPtr, csr.colIdx, { ...SPARSE_TUNING, window });
    return activeShare(made.words, made.tripsAt, kindsOf(made));
  };
  assert.ok(shareOf(1) < 0.75, `${shareOf(1)}`);
  assert.ok(shareOf(SPARSE_TUNING.window) > 0.9, `${shareOf(SPARSE_TUNING.window)}`);
});

test("a choice that no kernel has is refused", () => {
  const wrong: readonly Partial<SparseTuning>[] = [
    { limits: [16, 8, 1024] },
    { limits: [16, 256] as unknown as [number, number, number] },
    { window: 0 },
    { window: 1.5 },
    { panels: 3 },
    { gradPanels: 16 },
    { exchange: "mail" as "quads" },
  ];
  for (const choice of wrong) {
    const name = `sparseTuning.${Object.keys(choice)[0]}`;
    assert.throws(
      () => checkChoices(choice),
      (error: unknown) => error instanceof ArgumentError && error.message.includes(`(${name})`),
    );
  }
  checkChoices({ limits: [16, 256, Number.POSITIVE_INFINITY], window: Number.POSITIVE_INFINITY });
});

test.run();
