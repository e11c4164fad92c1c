// NumPy .npz archives (zips of .npy arrays), and the sparse matrices that scipy.sparse.save_npz keeps in them.

import { type Csr, csrFromCoo, csrFromParts, indexArray, truthOf } from "../core/csr.ts";
import { ArgumentError, FileFormatError, ShapeError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { checkDense, csrFromDense, piecesOf } from "./dense.ts";
import { checkExtents, type ExtentOptions } from "./limits.ts";
import {
  decodeNpy,
  decodeNpyString,
  encodeNpy,
  encodeNpyString,
  type NpyArray,
  type NpyHeader,
  type NpyInput,
  npyData,
  parseNpyHeader,
  shapeText,
} from "./npy.ts";
import type { NumberArray, NumberType } from "./numbers.ts";
import { Triples } from "./triples.ts";
import { listOf, openZip, writeZip, type ZipArchive } from "./zip.ts";

/** Limit of arrays among which a dense matrix is searched. */
const MOST_ARRAYS = 64;

/** An array as it lies in the file, and what messages call it. */
interface RawArray {
  readonly label: string;
  readonly header: NpyHeader;
  readonly bytes: Uint8Array;
}

/** An open .npz file; each array is read on request. `close()` when done. */
export class NpzFile {
  readonly #zip: ZipArchive;

  constructor(zip: ZipArchive) {
    this.#zip = zip;
  }

  /** Array names, without the ".npy" of the entries. */
  get names(): string[] {
    return this.#zip.names.filter((name) => name.endsWith(".npy")).map((name) => name.slice(0, -4));
  }

  has(name: string): boolean {
    return this.#zip.has(`${name}.npy`);
  }

  /** One numeric array. Throws `FileFormatError` when it is missing or not readable as such. */
  async read(name: string): Promise<NpyArray> {
    return decodeNpy(await this.#bytes(name), this.#label(name));
  }

  /** One array that is a single string. */
  async readString(name: string): Promise<string> {
    return decodeNpyString(await this.#bytes(name), this.#label(name));
  }

  /** One array of any kind, its numbers still bytes, which must be as many as its header says. */
  async readRaw(name: string): Promise<RawArray> {
    const bytes = await this.#bytes(name);
    const label = this.#label(name);
    const header = parseNpyHeader(bytes, label);
    return { label, header, bytes: npyData(bytes, header, label) };
  }

  close(): void {
    this.#zip.close();
  }

  async #bytes(name: string): Promise<Uint8Array> {
    if (!this.has(name)) {
      throw new FileFormatError(this.#zip.file, `an array "${name}"`, `arrays ${listOf(this.names)}`);
    }
    return this.#zip.read(`${name}.npy`);
  }

  #label(name: string): string {
    return `${this.#zip.file}[${name}]`;
  }
}

/**
 * Opens a .npz file.
 *
 * @throws {FileFormatError} missing, truncated, not a zip
 */
export async function openNpz(file: string): Promise<NpzFile> {
  return new NpzFile(await openZip(file, "a .npz file"));
}

/** Reads the named arrays of a .npz file, or all of them. */
export async function readNpz(file: string, names?: readonly string[]): Promise<Map<string, NpyArray>> {
  const npz = await openNpz(file);
  try {
    const arrays = new Map<string, NpyArray>();
    for (const name of names ?? npz.names) arrays.set(name, await npz.read(name));
    return arrays;
  } finally {
    npz.close();
  }
}

/** Writes arrays as an uncompressed .npz file that `numpy.load` reads, atomically. */
export async function writeNpz(file: string, arrays: Readonly<Record<string, NpyInput>>): Promise<void> {
  await writeZip(
    file,
    Object.entries(arrays).map(([name, array]) => ({ name: `${name}.npy`, bytes: encodeNpy(array) })),
  );
}

/** How a .npz file is read. */
export interface ReadNpzOptions extends ExtentOptions {
  /** Which array is the dense matrix; not needed where the file has just one array of two dimensions. */
  readonly key?: string;
}

/**
 * A matrix from a .npz file: a sparse one that `scipy.sparse.save_npz` wrote (csr, csc, bsr, coo or dia), or a small dense one that
 * `numpy.savez` wrote. A sparse matrix is never made dense; entries that occur twice are summed (those of a boolean matrix stay
 * 1). Zeros of dense matrices, of the blocks of bsr and of the diagonals of dia are dropped.
 *
 * @throws {FileFormatError} no matrix, or several; another format, arrays missing or of the wrong shape; a dense matrix that is too
 *   large ("file-dense"), extents out of proportion to what is stored ("file-limit")
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export async function readSparseNpz(file: string, options: ReadNpzOptions = {}): Promise<Csr> {
  const npz = await openNpz(file);
  try {
    if (!npz.has("format")) return await denseMatrix(npz, file, options.key);
    if (options.key !== undefined) {
      throw new ArgumentError(
        "readConnectome",
        "key",
        `none for ${file}, which is one sparse matrix`,
        quoteText(options.key),
      );
    }
    const format = await npz.readString("format");
    const read = SPARSE_FORMATS.get(format);
    if (read === undefined) {
      const known = [...SPARSE_FORMATS.keys()].join(", ");
      throw new FileFormatError(file, `a sparse matrix in one of the formats ${known}`, `format ${quoteText(format)}`);
    }
    const { csr, type } = await read(npz, await matrixShape(npz, file), file, options);
    return type === "b1" ? truthOf(csr) : csr;
  } finally {
    npz.close();
  }
}

interface Extents {
  readonly nRows: number;
  readonly nCols: number;
}

/** A matrix, and of what type its values were. */
interface Read {
  readonly csr: Csr;
  readonly type: NumberType;
}

type SparseReader = (npz: NpzFile, shape: Extents, file: string, options: ExtentOptions) => Promise<Read>;

/** The formats of SciPy. Source: scipy/sparse/_matrix_io.py. */
const SPARSE_FORMATS: ReadonlyMap<string, SparseReader> = new Map<string, SparseReader>([
  ["csr", readCsr],
  ["csc", readCsc],
  ["bsr", readBsr],
  ["coo", readCoo],
  ["dia", readDia],
]);

async function readCsr(npz: NpzFile, shape: Extents, file: string, options: ExtentOptions): Promise<Read> {
  const { pointers, indices, values, type } = await compressed(npz, file);
  checkExtents(shape, values.length + pointers.length, file, options);
  return { csr: csrFromParts({ ...shape, rowPtr: pointers, colIdx: indices, values }, file), type };
}

async function readCsc(npz: NpzFile, shape: Extents, file: string, options: ExtentOptions): Promise<Read> {
  const { pointers, indices, values, type } = await compressed(npz, file);
  checkExtents(shape, values.length + pointers.length, file, options);
  const cols = expandPointers(pointers, shape.nCols, values.length, file);
  return { csr: csrFromCoo({ ...shape, rows: indices, cols, values }, file), type };
}

async function readCoo(npz: NpzFile, shape: Extents, file: string, options: ExtentOptions): Promise<Read> {
  const { data: rows } = await vector(npz, file, "row");
  const { data: cols } = await vector(npz, file, "col");
  const { data: values, type } = await vector(npz, file, "data");
  checkExtents(shape, values.length, file, options);
  return { csr: csrFromCoo({ ...shape, rows, cols, values }, file), type };
}

/** Rows of blocks: data [blocks, R, C], the blocks of a row of blocks by `indptr`, their columns in `indices`. */
async function readBsr(npz: NpzFile, shape: Extents, file: string, options: ExtentOptions): Promise<Read> {
  const data = await npz.read("data");
  const [blocks = 0, height = 0, width = 0] = data.shape;
  const fits = height > 0 && width > 0 && shape.nRows % height === 0 && shape.nCols % width === 0;
  if (data.shape.length !== 3 || data.fortranOrder || !fits) {
    const expected = `blocks that fill ${shape.nRows} × ${shape.nCols}, in C order`;
    throw new FileFormatError(`${file}[data]`, expected, `shape ${shapeText(data.shape)}`);
  }
  const { data: pointers } = await vector(npz, file, "indptr");
  const { data: indices } = await vector(npz, file, "indices");
  checkExtents(shape, data.data.length + pointers.length * height, file, options);
  const used = usedOf(pointers, Math.min(indices.length, blocks), file);
  const blockRows = expandPointers(pointers, shape.nRows / height, used, file);
  const triples = triplesLike(data.data);
  for (let b = 0; b < used; b++) {
    for (let k = 0; k < height * width; k++) {
      const value = data.data[b * height * width + k]!;
      const row = blockRows[b]! * height + Math.floor(k / width);
      if (value !== 0) triples.push(row, indices[b]! * width + (k % width), value);
    }
  }
  return { csr: csrOfTriples(triples, shape, file), type: data.type };
}

/** Diagonals: entry (j − offset, j) of diagonal d is data[d, j]. What lies outside of the matrix does not count. */
async function readDia(npz: NpzFile, shape: Extents, file: string, options: ExtentOptions): Promise<Read> {
  const data = await npz.read("data");
  const { data: offsets } = await vector(npz, file, "offsets");
  if (data.shape.length !== 2 || data.fortranOrder || data.shape[0] !== offsets.length) {
    const expected = `${offsets.length} diagonals, in C order`;
    throw new FileFormatError(`${file}[data]`, expected, `shape ${shapeText(data.shape)}`);
  }
  checkExtents(shape, data.data.length, file, options);
  const length = data.shape[1]!;
  const triples = triplesLike(data.data);
  for (let d = 0; d < offsets.length; d++) {
    for (let col = 0; col < Math.min(length, shape.nCols); col++) {
      const row = col - offsets[d]!;
      const value = data.data[d * length + col]!;
      if (value !== 0 && row >= 0 && row < shape.nRows) triples.push(row, col, value);
    }
  }
  return { csr: csrOfTriples(triples, shape, file), type: data.type };
}

function triplesLike(values: NumberArray): Triples {
  return new Triples(values instanceof Float32Array ? "f32" : "f64");
}

function csrOfTriples({ rows, cols, values }: Triples, shape: Extents, file: string): Csr {
  return csrFromCoo({ ...shape, rows, cols, values }, file);
}

/** Writes a matrix as `scipy.sparse.save_npz` does in format csr, for `scipy.sparse.load_npz` and `readSparseNpz`. */
export async function writeSparseNpz(file: string, csr: Csr): Promise<void> {
  const vector = (data: NumberArray): Uint8Array => encodeNpy({ shape: [data.length], data });
  // SciPy wants signed indices; matrices here have fewer than 2^31 rows, columns and entries.
  await writeZip(file, [
    { name: "indices.npy", bytes: vector(Int32Array.from(csr.colIdx)) },
    { name: "indptr.npy", bytes: vector(Int32Array.from(csr.rowPtr)) },
    { name: "format.npy", bytes: encodeNpyString("csr") },
    { name: "shape.npy", bytes: vector(Int32Array.of(csr.nRows, csr.nCols)) },
    { name: "data.npy", bytes: vector(csr.values) },
  ]);
}

/** The index 0 … extent − 1 of the slice each entry is in, from the offsets of the slices. */
export function expandPointers(
  pointers: NumberArray,
  extent: number,
  nnz: number,
  file: string,
): ReturnType<typeof indexArray> {
  if (pointers.length !== extent + 1 || pointers[0] !== 0 || pointers[extent] !== nnz) {
    throw new FileFormatError(
      file,
      `${extent + 1} offsets from 0 to ${nnz}`,
      `${pointers.length} from ${pointers[0]} to ${pointers.at(-1)}`,
    );
  }
  const idx = indexArray(extent, nnz);
  for (let i = 0; i < extent; i++) {
    if (!(pointers[i + 1]! >= pointers[i]!) || !Number.isInteger(pointers[i])) {
      throw new FileFormatError(file, "ascending whole offsets", `${pointers[i]}, ${pointers[i + 1]} at ${i}`);
    }
    idx.fill(i, pointers[i]!, pointers[i + 1]!);
  }
  return idx;
}

async function matrixShape(npz: NpzFile, file: string): Promise<{ nRows: number; nCols: number }> {
  const { data } = await npz.read("shape");
  if (data.length !== 2) throw new FileFormatError(file, "a matrix of two dimensions", `${data.length}`);
  return { nRows: data[0]!, nCols: data[1]! };
}

async function vector(npz: NpzFile, file: string, name: string): Promise<NpyArray> {
  const array = await npz.read(name);
  if (array.shape.length === 1) return array;
  throw new FileFormatError(`${file}[${name}]`, "one dimension", `shape ${shapeText(array.shape)}`);
}

/** The arrays of compressed rows or columns. Indices and values may be longer than the offsets say: the rest is unused room. */
async function compressed(
  npz: NpzFile,
  file: string,
): Promise<{ pointers: NumberArray; indices: NumberArray; values: NumberArray; type: NumberType }> {
  const { data: pointers } = await vector(npz, file, "indptr");
  const { data: indices } = await vector(npz, file, "indices");
  const { data: values, type } = await vector(npz, file, "data");
  if (indices.length !== values.length) {
    throw new ShapeError(file, "indices", `${values.length} indices, one per value`, `${indices.length}`);
  }
  const used = usedOf(pointers, values.length, file);
  return { pointers, indices: indices.subarray(0, used), values: values.subarray(0, used), type };
}

/** How many of the `there` entries the offsets use. */
function usedOf(pointers: NumberArray, there: number, file: string): number {
  const used = pointers.at(-1) ?? 0;
  if (used >= 0 && used <= there && Number.isInteger(used)) return used;
  throw new FileFormatError(`${file}[indptr]`, `offsets up to ${there}, the entries stored`, `${used}`);
}

/** The only array of two dimensions, or the one under `key`, made sparse. */
async function denseMatrix(npz: NpzFile, file: string, key: string | undefined): Promise<Csr> {
  const { label, header, bytes } = key === undefined ? await onlyMatrix(npz, file) : await npz.readRaw(key);
  const { type, shape, littleEndian, fortranOrder } = header;
  if (type === "S" || type === "U") throw new FileFormatError(label, "an array of numbers", "an array of strings");
  const matrix = { shape, type, littleEndian, columnMajor: fortranOrder };
  checkDense(matrix, label);
  return csrFromDense(matrix, piecesOf(bytes, type), label);
}

/** Unpacks each array once: it may be large, and counts towards the limit of the archive. */
async function onlyMatrix(npz: NpzFile, file: string): Promise<RawArray> {
  const held: string[] = [];
  let matrix: RawArray | null = null;
  let matrices = 0;
  for (const name of npz.names.slice(0, MOST_ARRAYS)) {
    const array = await npz.readRaw(name);
    const { type, shape } = array.header;
    held.push(`${name} ${type} ${shapeText(shape)}`);
    if (shape.length !== 2) continue;
    matrix ??= array;
    matrices++;
  }
  if (matrix !== null && matrices === 1) return matrix;
  const expected = "one sparse matrix (scipy.sparse.save_npz), one dense matrix, or the key of one";
  throw new FileFormatError(file, expected, `dense arrays: ${listOf(held)}`, "file-dense");
}
