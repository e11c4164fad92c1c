// The entries of a matrix as text, a line each, in pieces of a few megabytes.

import type { Csr } from "../core/csr.ts";

const ENTRIES_PER_PIECE = 1 << 16;

/**
 * A head, then the lines of all entries, by row, then by column.
 *
 * @param line the text of one entry, with its line end
 */
export function* matrixLines(
  csr: Csr,
  head: string,
  line: (row: number, col: number, value: number) => string,
): Generator<string> {
  let text = head;
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
      text += line(i, csr.colIdx[k]!, csr.values[k]!);
      if (k % ENTRIES_PER_PIECE === ENTRIES_PER_PIECE - 1) {
        yield text;
        text = "";
      }
    }
  }
  if (text !== "") yield text;
}
