// A matrix with rows of every length at which the GPU's kernels change how they walk one.

import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";

/** Below, at and above what one, 4 and 16 threads walk. */
const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 1023, 1024, 1025, 2500];
export const ROWS_OF_LENGTHS: number = 3 * LENGTHS.length;
const COLS = 2600;

/** Every length three times, in no order. */
export function matrixOfLengths(): Csr {
  const stream = new RandomStream(keyOfSeed(11));
  const rows: number[] = [];
  const cols: number[] = [];
  stream.permutation(ROWS_OF_LENGTHS).forEach((k, row) => {
    for (const col of stream.permutation(COLS).slice(0, LENGTHS[k % LENGTHS.length]!)) {
      rows.push(row);
      cols.push(col);
    }
  });
  return csrFromCoo({ nRows: ROWS_OF_LENGTHS, nCols: COLS, rows, cols, values: rows.map(() => stream.normal()) });
}
