// Sparse matrices from small dense files. Zeros are dropped piece by piece, so that the dense matrix is never held a second time.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { bytesOfNumber, decodeNumbers, type NumberType } from "./numbers.ts";
import { Triples } from "./triples.ts";

/** Largest dense matrix that is read, by extent and by bytes. A larger one is a mistake, or should be saved as sparse. */
const MAX_EXTENT = 20_000;
const MAX_BYTES = 2 ** 30;
/** Bytes decoded at a time. */
const PIECE_BYTES = 1 << 20;

/** A dense matrix as a file holds it. */
export interface DenseMatrix {
  readonly shape: readonly number[];
  readonly type: NumberType;
  readonly littleEndian: boolean;
  /** True when the row index varies fastest. */
  readonly columnMajor: boolean;
}

/**
 * Checks that a dense tensor is a matrix, and small.
 *
 * @throws {FileFormatError} `code` "file-dense", with the advice to save a sparse one
 */
export function checkDense({ shape, type }: Pick<DenseMatrix, "shape" | "type">, file: string): void {
  const expected = `a sparse matrix, or a dense one of at most ${MAX_EXTENT} rows and columns and 1 GiB`;
  const elements = shape.reduce((product, extent) => product * extent, 1);
  const fits = shape.length === 2 && shape.every((extent) => extent >= 1 && extent <= MAX_EXTENT);
  if (fits && elements * bytesOfNumber(type) < MAX_BYTES) return;
  const got = `a dense tensor of shape (${shape.join(", ")}); save it as a sparse one`;
  throw new FileFormatError(file, expected, got, "file-dense");
}

/**
 * The nonzero entries of a dense matrix.
 *
 * @param pieces its bytes in the order of the file, whole elements each
 * @returns f32 from types of at most 32 floating-point bits, else f64
 * @throws {FileFormatError} as `checkDense`
 * @throws {SparseFormatError} a value that is not finite
 */
export async function csrFromDense(
  matrix: DenseMatrix,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  file: string,
): Promise<Csr> {
  checkDense(matrix, file);
  const { type, littleEndian, columnMajor } = matrix;
  const [nRows, nCols] = matrix.shape as [number, number];
  const minor = columnMajor ? nRows : nCols;
  const triples = new Triples(type === "f4" || type === "f2" || type === "bf2" ? "f32" : "f64");
  let at = 0;
  for await (const piece of pieces) {
    const values = decodeNumbers(piece, type, littleEndian, file);
    for (let k = 0; k < values.length; k++, at++) {
      const value = values[k]!;
      if (value === 0) continue;
      const outer = Math.floor(at / minor);
      if (columnMajor) triples.push(at - outer * minor, outer, value);
      else triples.push(outer, at - outer * minor, value);
    }
  }
  const { rows, cols, values } = triples;
  return csrFromCoo({ nRows, nCols, rows, cols, values }, file);
}

/** Bytes cut into pieces of whole elements. */
export function* piecesOf(bytes: Uint8Array, type: NumberType): Generator<Uint8Array> {
  const step = PIECE_BYTES - (PIECE_BYTES % bytesOfNumber(type));
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}
