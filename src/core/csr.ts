// Compressed sparse rows and columns of one matrix, built once and validated. W has shape [post, pre]: row = target neuron,
// column = source neuron, so W·x sums over inputs.

import type { DType, FloatArray } from "./dtype.ts";
import { ShapeError, SparseFormatError } from "./errors.ts";

/** 16-bit when every index fits, else 32-bit. */
export type IndexArray = Uint16Array | Uint32Array;

/** Compressed sparse rows. `colIdx` is strictly ascending within a row; rows may be empty. */
export interface Csr {
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  /** [nRows + 1], rowPtr[i]…rowPtr[i+1] are the entries of row i. */
  readonly rowPtr: Uint32Array;
  readonly colIdx: IndexArray;
  readonly values: FloatArray;
  /** How many entries of the source were added to another one with the same row and column. */
  readonly duplicatesSummed: number;
}

/** Compressed sparse columns of the same matrix, with the permutation from CSR order. */
export interface Csc {
  /** [nCols + 1]. */
  readonly colPtr: Uint32Array;
  /** Strictly ascending within a column. */
  readonly rowIdx: IndexArray;
  /** [nnz]: position in CSC order of the k-th entry in CSR order. */
  readonly cscOfCsr: Uint32Array;
}

/** Coordinate triples; any order, duplicates allowed (they are summed). */
export interface Coo {
  readonly nRows: number;
  readonly nCols: number;
  readonly rows: ArrayLike<number>;
  readonly cols: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** Largest array a matrix may need, in bytes. */
const MAX_ARRAY_BYTES = 2 ** 31;

/** Indices below this take 16 bits. */
const NARROW_EXTENT = 2 ** 16;

/** An index array that can hold 0 … extent − 1. */
export function indexArray(extent: number, length: number): IndexArray {
  return extent <= NARROW_EXTENT ? new Uint16Array(length) : new Uint32Array(length);
}

/**
 * CSR from coordinate triples: a counting sort by row, then each row by column; entries with equal row and column are summed
 * in the order given, and counted in `duplicatesSummed`.
 *
 * @param values f32 input stays f32 (summed in double precision), anything else becomes f64
 * @throws {SparseFormatError} an index out of range or not whole, a value or a sum that is not finite
 * @throws {ShapeError} arrays of different length
 */
export function csrFromCoo(coo: Coo, where = "csrFromCoo"): Csr {
  const { nRows, nCols, rows, cols, values } = coo;
  checkExtent(where, "nRows", nRows);
  checkExtent(where, "nCols", nCols);
  const n = values.length;
  if (rows.length !== n) throw new ShapeError(where, "rows", `${n} indices, one per value`, `${rows.length}`);
  if (cols.length !== n) throw new ShapeError(where, "cols", `${n} indices, one per value`, `${cols.length}`);
  checkSize(where, n);
  const rowPtr = new Uint32Array(nRows + 1);
  for (let k = 0; k < n; k++) {
    checkIndex(where, "rows", rows[k]!, nRows, k);
    checkIndex(where, "cols", cols[k]!, nCols, k);
    checkFinite(where, values[k]!, k);
    rowPtr[rows[k]! + 1]!++;
  }
  for (let i = 0; i < nRows; i++) rowPtr[i + 1]! += rowPtr[i]!;
  const colIdx = indexArray(nCols, n);
  const own = values instanceof Float32Array ? new Float32Array(n) : new Float64Array(n);
  const next = rowPtr.slice(0, nRows);
  for (let k = 0; k < n; k++) {
    const at = next[rows[k]!]!++;
    colIdx[at] = cols[k]!;
    own[at] = values[k]!;
  }
  return csrFromRows({ nRows, nCols, rowPtr, colIdx, values: own }, where, { widen: false });
}

/** Entries of a matrix, in any order within their rows; valid indices, finite values. */
export interface RowEntries {
  readonly nRows: number;
  readonly nCols: number;
  /** [nRows + 1], rowPtr[i]…rowPtr[i+1] are the entries of row i. */
  readonly rowPtr: Uint32Array;
  readonly colIdx: IndexArray;
  readonly values: FloatArray;
}

/** Rows up to this length are sorted by insertion, without arrays of the width of the matrix. */
const SHORT_ROW = 24;

/**
 * CSR from entries in their rows. Those with equal columns are summed in double precision in the order given. Works in place: the arrays given
 * become those of the result, or parts of them.
 *
 * @param widen values of f32 become f64 if a sum is not exact in f32; else sums are rounded to the type of the values
 * @throws {SparseFormatError} a sum that is not finite
 */
export function csrFromRows(entries: RowEntries, where: string, { widen }: { readonly widen: boolean }): Csr {
  const { nRows, nCols, rowPtr, colIdx } = entries;
  let { values } = entries;
  const given = colIdx.length;
  let sums: RowSums | null = null;
  let nnz = 0;
  let begin = 0;
  for (let i = 0; i < nRows; i++) {
    const end = rowPtr[i + 1]!;
    const isShort = end - begin <= SHORT_ROW;
    let isAscending = true;
    for (let k = begin + 1; k < end && isAscending; k++) isAscending = colIdx[k - 1]! < colIdx[k]!;
    let last = end;
    if (!isAscending) {
      if (isShort) sortByInsertion(colIdx, values, begin, end);
      else {
        sums ??= { sum: new Float64Array(nCols), row: new Uint32Array(nCols) };
        last = gatherSums(colIdx, values, begin, end, sums, i + 1);
      }
    }
    const first = nnz;
    for (let k = begin; k < last; ) {
      const c = colIdx[k]!;
      let sum = values[k++]!;
      if (!isAscending) {
        if (!isShort) sum = sums!.sum[c]!;
        else while (k < last && colIdx[k] === c) sum += values[k++]!;
      }
      if (widen && values instanceof Float32Array && Math.fround(sum) !== sum) values = Float64Array.from(values);
      colIdx[nnz] = c;
      values[nnz] = sum;
      // Only sums can still overflow.
      if (!Number.isFinite(values[nnz])) throw sumError(where, values, sum, i, c);
      nnz++;
    }
    rowPtr[i] = first;
    begin = end;
  }
  rowPtr[nRows] = nnz;
  return {
    nRows,
    nCols,
    nnz,
    rowPtr,
    colIdx: nnz === given ? colIdx : colIdx.slice(0, nnz),
    values: nnz === given ? values : values.slice(0, nnz),
    duplicatesSummed: given - nnz,
  };
}

/** Sums of the entries of a row by column; those of an older row are void. */
interface RowSums {
  /** [nCols]. */
  readonly sum: Float64Array;
  /** [nCols], the row of the sum, counted from 1. */
  readonly row: Uint32Array;
}

/**
 * Sums the entries of a long row by column, and moves its different columns, ascending, to its beginning.
 *
 * @returns their end
 */
function gatherSums(
  colIdx: IndexArray,
  values: FloatArray,
  begin: number,
  end: number,
  { sum, row }: RowSums,
  number: number,
): number {
  let last = begin;
  for (let k = begin; k < end; k++) {
    const c = colIdx[k]!;
    if (row[c] === number) sum[c]! += values[k]!;
    else {
      row[c] = number;
      sum[c] = values[k]!;
      colIdx[last++] = c;
    }
  }
  colIdx.subarray(begin, last).sort();
  return last;
}

/** Sorts the entries of a short row by column; equal ones keep their order. */
function sortByInsertion(colIdx: IndexArray, values: FloatArray, begin: number, end: number): void {
  for (let k = begin + 1; k < end; k++) {
    const c = colIdx[k]!;
    const v = values[k]!;
    let at = k;
    for (; at > begin && colIdx[at - 1]! > c; at--) {
      colIdx[at] = colIdx[at - 1]!;
      values[at] = values[at - 1]!;
    }
    colIdx[at] = c;
    values[at] = v;
  }
}

/** The error of a sum of entries that is too large for the type of the values. */
function sumError(where: string, values: FloatArray, sum: number, row: number, col: number): SparseFormatError {
  const [type, largest] = values instanceof Float32Array ? ["f32", "3.4e38"] : ["f64", "1.8e308"];
  const expected = `sums of entries at the same place within the range of ${type}, up to ${largest}`;
  return new SparseFormatError(where, "values", expected, `${sum} in row ${row}, column ${col}`);
}

/** A boolean matrix: entries that occurred more than once, and were summed, become 1 again. */
export function truthOf(csr: Csr): Csr {
  return { ...csr, values: csr.values.map((value) => Math.min(value, 1)) };
}

/**
 * CSR from its three arrays, as files hold them: checked, copied into the narrowest index type. Rows that are unsorted or hold
 * duplicates are sorted and summed (visible in `duplicatesSummed`).
 *
 * @param options.adopt the caller gives the arrays away: those of the right type are taken, not copied
 * @throws {SparseFormatError} pointers that do not ascend, an index out of range, a value that is not finite
 */
export function csrFromParts(
  parts: {
    readonly nRows: number;
    readonly nCols: number;
    readonly rowPtr: ArrayLike<number>;
    readonly colIdx: ArrayLike<number>;
    readonly values: ArrayLike<number>;
  },
  where = "csrFromParts",
  { adopt = false }: { readonly adopt?: boolean } = {},
): Csr {
  const { nRows, nCols, rowPtr, colIdx, values } = parts;
  checkExtent(where, "nRows", nRows);
  checkExtent(where, "nCols", nCols);
  const nnz = values.length;
  checkSize(where, nnz);
  if (rowPtr.length !== nRows + 1) throw new ShapeError(where, "rowPtr", `${nRows + 1} offsets`, `${rowPtr.length}`);
  if (colIdx.length !== nnz) throw new ShapeError(where, "colIdx", `${nnz} indices, one per value`, `${colIdx.length}`);
  if (rowPtr[0] !== 0 || rowPtr[nRows] !== nnz) {
    throw new SparseFormatError(where, "rowPtr", `offsets from 0 to ${nnz}`, `${rowPtr[0]} to ${rowPtr[nRows]}`);
  }
  let ascending = true;
  for (let i = 0; i < nRows; i++) {
    const end = rowPtr[i + 1]!;
    if (!(end >= rowPtr[i]!) || end > nnz || !Number.isInteger(end)) {
      throw new SparseFormatError(where, "rowPtr", "ascending whole offsets", `${rowPtr[i]}, ${end} at row ${i}`);
    }
    let last = -1;
    for (let k = rowPtr[i]!; k < end; k++) {
      const c = colIdx[k]!;
      checkIndex(where, "colIdx", c, nCols, k);
      checkFinite(where, values[k]!, k);
      if (c <= last) ascending = false;
      last = c;
    }
  }
  // Checked: numbers from 0 to below 2^31, the same in both types of 32 bits.
  const unsigned = (array: ArrayLike<number>): ArrayLike<number> =>
    array instanceof Int32Array ? new Uint32Array(array.buffer, array.byteOffset, array.length) : array;
  const [ptr, idx] = adopt ? [unsigned(rowPtr), unsigned(colIdx)] : [rowPtr, colIdx];
  const isNarrow = nCols <= NARROW_EXTENT ? idx instanceof Uint16Array : idx instanceof Uint32Array;
  const takesValues = adopt && (values instanceof Float32Array || values instanceof Float64Array);
  const own = {
    nRows,
    nCols,
    rowPtr: adopt && ptr instanceof Uint32Array ? ptr : Uint32Array.from(ptr),
    colIdx: adopt && isNarrow ? (idx as IndexArray) : copyInto(indexArray(nCols, nnz), idx),
    values: takesValues ? values : values instanceof Float32Array ? values.slice() : Float64Array.from(values),
  };
  return ascending ? { ...own, nnz, duplicatesSummed: 0 } : csrFromRows(own, where, { widen: false });
}

function copyInto(array: IndexArray, from: ArrayLike<number>): IndexArray {
  array.set(from);
  return array;
}

/** Compressed columns of `csr`, and where each of its entries went. O(nnz + nCols). */
export function cscOf(csr: Csr): Csc {
  const rowIdx = indexArray(csr.nRows, csr.nnz);
  const cscOfCsr = new Uint32Array(csr.nnz);
  return { colPtr: fillCsc(csr, rowIdx, cscOfCsr), rowIdx, cscOfCsr };
}

/** `cscOf` into given arrays, for example in a device's memory. Returns `colPtr`. */
export function fillCsc(csr: Csr, rowIdx: IndexArray, cscOfCsr: Uint32Array): Uint32Array {
  const { nRows, nCols, rowPtr, colIdx } = csr;
  const colPtr = columnOffsets(csr);
  const next = colPtr.slice(0, nCols);
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const at = next[colIdx[k]!]!++;
      rowIdx[at] = i;
      cscOfCsr[k] = at;
    }
  }
  return colPtr;
}

/** Where each column begins among the entries sorted by column, and their number: [nCols + 1]. */
export function columnOffsets({ nCols, nnz, colIdx }: Csr): Uint32Array {
  const colPtr = new Uint32Array(nCols + 1);
  for (let k = 0; k < nnz; k++) colPtr[colIdx[k]! + 1]!++;
  for (let j = 0; j < nCols; j++) colPtr[j + 1]! += colPtr[j]!;
  return colPtr;
}

/** How many entries lie between each offset and the next: of rows from `rowPtr`, of columns from `columnOffsets`. */
export function lengthsOf(offsets: Uint32Array): Uint32Array {
  const lengths = new Uint32Array(offsets.length - 1);
  for (let i = 0; i < lengths.length; i++) lengths[i] = offsets[i + 1]! - offsets[i]!;
  return lengths;
}

/** The same pattern with other values (not copied). */
export function withValues(csr: Csr, values: FloatArray): Csr {
  if (values.length !== csr.nnz) throw new ShapeError("withValues", "values", `${csr.nnz}`, `${values.length}`);
  return { ...csr, values };
}

/** The same matrix with `f` applied to every stored value. */
export function mapValues(csr: Csr, f: (value: number, row: number, col: number) => number): Csr {
  const values = csr.values.slice();
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) values[k] = f(csr.values[k]!, i, csr.colIdx[k]!);
  }
  return { ...csr, values };
}

/**
 * Refuses finite values that overflow in single precision.
 *
 * @throws {SparseFormatError} a value beyond ±3.4e38 where `dtype` is f32
 */
export function checkRepresentable(csr: Csr, dtype: DType, where: string): void {
  if (dtype === "f64" || csr.values instanceof Float32Array) return;
  const at = csr.values.findIndex((value) => !Number.isFinite(Math.fround(value)));
  if (at < 0) return;
  throw new SparseFormatError(
    where,
    "values",
    "numbers in the range of f32, up to 3.4e38",
    `${csr.values[at]} at entry ${at}`,
  );
}

function checkExtent(where: string, name: string, n: number): void {
  if (!Number.isInteger(n) || n < 1 || n > 2 ** 31) {
    throw new SparseFormatError(where, name, "a whole number from 1 to 2^31", `${n}`);
  }
}

function checkSize(where: string, nnz: number): void {
  if (nnz * 4 > MAX_ARRAY_BYTES) {
    throw new SparseFormatError(where, "values", `at most ${MAX_ARRAY_BYTES / 4} stored entries`, `${nnz}`);
  }
}

function checkIndex(where: string, name: string, index: number, extent: number, at: number): void {
  if (!(index >= 0 && index < extent) || !Number.isInteger(index)) {
    throw new SparseFormatError(where, name, `an index from 0 to ${extent - 1}`, `${index} at entry ${at}`);
  }
}

function checkFinite(where: string, value: number, at: number): void {
  if (!Number.isFinite(value))
    throw new SparseFormatError(where, "values", "finite numbers", `${value} at entry ${at}`);
}
