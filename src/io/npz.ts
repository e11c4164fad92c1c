// NumPy .npz archives (zips of .npy arrays), and the sparse matrices that scipy.sparse.save_npz keeps in them.

import { type Csr, csrFromCoo, csrFromParts, indexArray } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import {
  decodeNpy,
  decodeNpyString,
  encodeNpy,
  encodeNpyString,
  type NpyArray,
  type NpyHeader,
  type NpyInput,
  parseNpyHeader,
  shapeText,
} from "./npy.ts";
import type { NumberArray } from "./numbers.ts";
import { listOf, openZip, writeZip, type ZipArchive } from "./zip.ts";

/** An open .npz file: arrays are read one by one, when asked for. `close()` when done. */
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

  /** Type and shape of one array of any kind. */
  async header(name: string): Promise<NpyHeader> {
    return parseNpyHeader(await this.#bytes(name), this.#label(name));
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

/**
 * A sparse matrix that `scipy.sparse.save_npz` wrote, in any of its formats csr, csc and coo. It is never made dense; entries
 * that occur twice are summed.
 *
 * @throws {FileFormatError} dense arrays instead, another format (bsr, dia), arrays missing or of the wrong shape
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export async function readSparseNpz(file: string): Promise<Csr> {
  const npz = await openNpz(file);
  try {
    if (!npz.has("format")) throw await denseInstead(npz, file);
    const format = await npz.readString("format");
    const { nRows, nCols } = await matrixShape(npz, file);
    switch (format) {
      case "csr": {
        const [rowPtr, colIdx, values] = await vectors(npz, file, "indptr", "indices", "data");
        return csrFromParts({ nRows, nCols, rowPtr, colIdx, values }, file);
      }
      case "csc": {
        const [colPtr, rows, values] = await vectors(npz, file, "indptr", "indices", "data");
        const cols = expandPointers(colPtr, nCols, rows.length, file);
        return csrFromCoo({ nRows, nCols, rows, cols, values }, file);
      }
      case "coo": {
        const [rows, cols, values] = await vectors(npz, file, "row", "col", "data");
        return csrFromCoo({ nRows, nCols, rows, cols, values }, file);
      }
      default:
        throw new FileFormatError(
          file,
          "a sparse matrix in format csr, csc or coo",
          `format "${format}" (use .tocsr() first)`,
        );
    }
  } finally {
    npz.close();
  }
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
    if (!(pointers[i + 1]! >= pointers[i]!)) {
      throw new FileFormatError(file, "ascending offsets", `${pointers[i]}, ${pointers[i + 1]} at ${i}`);
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

/** Three one-dimensional arrays of one matrix, the last two of equal length. */
async function vectors(
  npz: NpzFile,
  file: string,
  ...names: readonly [string, string, string]
): Promise<[NumberArray, NumberArray, NumberArray]> {
  const read = async (name: string): Promise<NumberArray> => {
    const { shape, data } = await npz.read(name);
    if (shape.length !== 1) throw new FileFormatError(`${file}[${name}]`, "one dimension", `shape ${shapeText(shape)}`);
    return data;
  };
  return [await read(names[0]), await read(names[1]), await read(names[2])];
}

/** The error for a .npz file that is not of `save_npz`, naming what it holds. */
async function denseInstead(npz: NpzFile, file: string): Promise<FileFormatError> {
  const held: string[] = [];
  for (const name of npz.names.slice(0, 4)) {
    const { type, shape } = await npz.header(name);
    held.push(`${name} ${type} ${shapeText(shape)}`);
  }
  return new FileFormatError(
    file,
    "a sparse matrix as scipy.sparse.save_npz writes it",
    `dense arrays: ${listOf(held)}`,
    "file-dense",
  );
}
