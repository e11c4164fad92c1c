// Limits of memory and work for all readers: they follow the bytes on the disk, not the numbers that a header claims. Content that a format may
// legally omit (rows without entries, runs of equal bytes, a view that repeats its storage) is granted up to a fixed allowance and a multiple of
// the stored bytes. More is refused with the code "file-limit", and the message says how to continue.

import { constants } from "node:buffer";
import { FileFormatError } from "../core/errors.ts";

/** Rows and columns that any matrix may have: as many as edge lists may number their neurons by default. */
const FREE_NEURONS = 2 ** 24;
/** Rows and columns beyond that, per number stored. */
const NEURONS_PER_NUMBER = 16;

/** Bytes that any packed content may unpack to. */
const FREE_BYTES = 2 ** 26;
/** Bytes beyond that, per packed byte. Deflate can expand a byte to a thousand; tables and images expand to ten, rarely more. */
const UNPACKED_PER_BYTE = 64;
/** Largest array that is read. */
export const MOST_BYTES: number = Math.min(2 ** 31, constants.MAX_LENGTH);

/** Elements that any file may have without a byte for each: rows of a packed table, a view that repeats its storage. */
const FREE_ELEMENTS = 2 ** 20;
const ELEMENTS_PER_BYTE = 16;

/** Bytes that `packedBytes` may unpack to if they are kept. */
export function unpackLimit(packedBytes: number): number {
  return Math.min(MOST_BYTES, streamLimit(packedBytes));
}

/** Bytes that `packedBytes` may unpack to if they are processed piece by piece. */
export function streamLimit(packedBytes: number): number {
  return FREE_BYTES + UNPACKED_PER_BYTE * packedBytes;
}

/** Elements that a file of so many bytes may have. */
export function elementLimit(fileBytes: number): number {
  return FREE_ELEMENTS + ELEMENTS_PER_BYTE * fileBytes;
}

/** Limits of a reader of matrices. */
export interface ExtentOptions {
  /**
   * Rows and columns that a file may claim, however few entries it has. Default: 2^24, or 16 per stored number if that is more. A
   * matrix takes 4 bytes per row at least.
   */
  readonly maxNeurons?: number;
}

/**
 * Checks that the rows and columns of a matrix are not out of proportion to what a file stores of it.
 *
 * @param stored numbers that are there: entries, and the offsets of compressed rows or columns
 * @throws {FileFormatError} "file-limit"
 */
export function checkExtents(
  { nRows, nCols }: { readonly nRows: number; readonly nCols: number },
  stored: number,
  file: string,
  { maxNeurons = 0 }: ExtentOptions = {},
): void {
  const limit = Math.max(FREE_NEURONS, NEURONS_PER_NUMBER * stored, maxNeurons);
  // The checks of the matrix report extents that are no numbers.
  if (!(nRows > limit || nCols > limit)) return;
  const numbers = stored === 1 ? "1 stored number" : `${stored} stored numbers`;
  const expected = `at most ${limit} rows and columns for ${numbers} (maxNeurons, or --max-neurons, allows more)`;
  throw new FileFormatError(file, expected, `${nRows} × ${nCols}`, "file-limit");
}
