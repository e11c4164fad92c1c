// Sparse matrices in safetensors files, which know dense tensors only: the parts of a COO or CSR matrix under agreed names.

import { type Csr, csrFromCoo, csrFromParts, truthOf } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { shortened } from "../core/text.ts";
import { type ByteSource, withFile } from "./files.ts";
import { checkExtents, type ExtentOptions } from "./limits.ts";
import { readSafetensorsHeader, readTensor, type SafeTensor, type SafetensorsHeader } from "./safetensors.ts";
import { listOf } from "./zip.ts";

/** Names of the parts: COO, and two conventions for CSR, the second one from torch. */
const FORMS: readonly (readonly string[])[] = [
  ["indices", "values"],
  ["crow", "col", "values"],
  ["crow_indices", "col_indices", "values"],
];

/** How a .safetensors file is read. */
export interface ReadSafetensorsOptions extends ExtentOptions {
  /** Prefix of the names, e.g. "rnn.hh" for `rnn.hh.values`; not needed where the file has just one matrix. */
  readonly key?: string;
}

/**
 * A matrix from the tensors `indices` [2, nnz], `values` [nnz] (COO) or `crow` [rows + 1], `col`, `values` (CSR; also `crow_indices`
 * and `col_indices`, as torch calls them), with `shape` [2] beside them; without it the matrix is as large as its indices demand, and
 * square. Entries of `BOOL` that occur twice stay 1.
 *
 * @throws {FileFormatError} no such tensors, or of other shapes; no entries and no shape; extents out of proportion to what is
 *   stored ("file-limit")
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export function readSparseSafetensors(file: string, options: ReadSafetensorsOptions = {}): Promise<Csr> {
  return withFile(file, "a safetensors file", async (source) =>
    readSparseMatrix(source, await readSafetensorsHeader(source, file), file, options),
  );
}

/** The same from an open file; reads the tensors of the matrix only. */
export async function readSparseMatrix(
  source: ByteSource,
  { places }: SafetensorsHeader,
  file: string,
  options: ReadSafetensorsOptions,
): Promise<Csr> {
  const tensors = new Map(places.map((place) => [place.name, place]));
  const { prefix, form } = matrixOf([...tensors.keys()], options.key, file);
  const part = async (
    name: string,
    shape: string,
    fits: (shape: readonly number[]) => boolean,
  ): Promise<SafeTensor> => {
    const place = tensors.get(prefix + name)!;
    if (fits(place.shape)) return readTensor(source, place, file);
    const got = shortened(`[${place.shape.join(", ")}]`, 80);
    throw new FileFormatError(file, `"${prefix}${name}" of shape ${shape}`, got);
  };
  const { data: values, dtype } = await part("values", "[nnz]", (shape) => shape.length === 1);
  const nnz = values.length;
  const shape = tensors.has(`${prefix}shape`)
    ? (await part("shape", "[2]", (s) => s.length === 1 && s[0] === 2)).data
    : null;
  if (nnz === 0 && shape === null) {
    throw new FileFormatError(file, `entries, or a tensor "${prefix}shape" beside them`, "a matrix without either");
  }
  const finish = (csr: Csr): Csr => (dtype === "BOOL" ? truthOf(csr) : csr);
  const extents = (rows: number, cols: number, stored: number): { nRows: number; nCols: number } => {
    const claimed = shape ? { nRows: shape[0]!, nCols: shape[1]! } : { nRows: rows, nCols: cols };
    checkExtents(claimed, stored, file, options);
    return claimed;
  };
  if (form[0] === "indices") {
    const { data } = await part("indices", `[2, ${nnz}]`, (s) => s.length === 2 && s[0] === 2 && s[1] === nnz);
    const extent = largest(data) + 1;
    const rows = data.subarray(0, nnz);
    return finish(csrFromCoo({ ...extents(extent, extent, nnz), rows, cols: data.subarray(nnz), values }, file));
  }
  const { data: rowPtr } = await part(form[0]!, "[rows + 1]", (s) => s.length === 1);
  const { data: colIdx } = await part(form[1]!, `[${nnz}]`, (s) => s.length === 1 && s[0] === nnz);
  const nRows = rowPtr.length - 1;
  const claimed = extents(nRows, Math.max(nRows, largest(colIdx) + 1), nnz + rowPtr.length);
  return finish(csrFromParts({ ...claimed, rowPtr, colIdx, values }, file, { adopt: true }));
}

/** The prefix of the parts' names, with its dot, and the existing parts. */
function matrixOf(names: readonly string[], key: string | undefined, file: string): Found {
  const held = new Set(names);
  const found = prefixesOf(names, key).flatMap((prefix) => {
    const form = FORMS.find((parts) => parts.every((part) => held.has(prefix + part)));
    return form ? [{ prefix, form }] : [];
  });
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    const prefixes = found.map(({ prefix }) => prefix);
    throw new FileFormatError(file, "one sparse matrix, or the key of one", `several: ${listOf(prefixes)}`);
  }
  if (key !== undefined) {
    const [prefix] = prefixesOf(names, key);
    throw new FileFormatError(file, `tensors ${prefix}indices and ${prefix}values`, `tensors ${listOf(names)}`);
  }
  throw new FileFormatError(
    file,
    "a sparse matrix as tensors indices and values, or crow, col and values",
    `tensors ${listOf(names)}`,
    "file-dense",
  );
}

interface Found {
  readonly prefix: string;
  readonly form: readonly string[];
}

/** Prefixes that a matrix may have. */
function prefixesOf(names: readonly string[], key: string | undefined): string[] {
  if (key !== undefined) return [key === "" || key.endsWith(".") ? key : `${key}.`];
  return names.filter((name) => name.endsWith("values")).map((name) => name.slice(0, -"values".length));
}

function largest(indices: ArrayLike<number>): number {
  let max = 0;
  for (let k = 0; k < indices.length; k++) if (indices[k]! > max) max = indices[k]!;
  return max;
}
