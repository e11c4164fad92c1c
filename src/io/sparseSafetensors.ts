// Sparse matrices in safetensors files, which know dense tensors only: the parts of a COO or CSR matrix under agreed names.

import { type Csr, csrFromCoo, csrFromParts } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "./safetensors.ts";
import { listOf } from "./zip.ts";

/** Names of the parts; those of the second form are torch's `crow_indices`, `col_indices` and `values`. */
const COO = ["indices", "values"] as const;
const CSR = ["crow", "col", "values"] as const;

/**
 * A matrix from the tensors `indices` [2, nnz], `values` [nnz] (COO) or `crow` [rows + 1], `col`, `values` (CSR), with `shape`
 * [2] beside them; without it the matrix is as large as its indices demand, and square.
 *
 * @param options.key prefix of the names, e.g. "rnn.hh" for `rnn.hh.values`; not needed where the file has just one matrix
 * @throws {FileFormatError} no such tensors, or of other shapes
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export async function readSparseSafetensors(file: string, options: { readonly key?: string } = {}): Promise<Csr> {
  const { tensors } = await readSafetensors(file);
  const prefix = prefixOf([...tensors.keys()], options.key, file);
  const part = (name: string, shape: string, fits: (shape: readonly number[]) => boolean): SafeTensor => {
    const tensor = tensors.get(prefix + name)!;
    if (!fits(tensor.shape)) {
      throw new FileFormatError(file, `"${prefix}${name}" of shape ${shape}`, `[${tensor.shape.join(", ")}]`);
    }
    return tensor;
  };
  const values = part("values", "[nnz]", (shape) => shape.length === 1).data;
  const nnz = values.length;
  const shape = tensors.has(`${prefix}shape`) ? part("shape", "[2]", (s) => s.length === 1 && s[0] === 2).data : null;
  if (tensors.has(`${prefix}indices`)) {
    const { data } = part("indices", `[2, ${nnz}]`, (s) => s.length === 2 && s[0] === 2 && s[1] === nnz);
    const extent = largest(data) + 1;
    const [nRows, nCols] = shape ? [shape[0]!, shape[1]!] : [extent, extent];
    return csrFromCoo({ nRows, nCols, rows: data.subarray(0, nnz), cols: data.subarray(nnz), values }, file);
  }
  const rowPtr = part("crow", "[rows + 1]", (s) => s.length === 1).data;
  const colIdx = part("col", `[${nnz}]`, (s) => s.length === 1 && s[0] === nnz).data;
  const [nRows, nCols] = shape
    ? [shape[0]!, shape[1]!]
    : [rowPtr.length - 1, Math.max(rowPtr.length - 1, largest(colIdx) + 1)];
  return csrFromParts({ nRows, nCols, rowPtr, colIdx, values }, file);
}

/**
 * Writes a matrix as `indices` (I64, [2, nnz], sorted by row, then column), `values` and `shape`, durably. In Python:
 * `t = safetensors.torch.load_file(f); w = torch.sparse_coo_tensor(t["indices"], t["values"], tuple(t["shape"]))`.
 */
export async function writeSparseSafetensors(file: string, csr: Csr): Promise<void> {
  const { nRows, nCols, nnz, rowPtr, colIdx, values } = csr;
  const indices = new Uint32Array(2 * nnz);
  for (let i = 0; i < nRows; i++) indices.fill(i, rowPtr[i]!, rowPtr[i + 1]!);
  indices.set(colIdx, nnz);
  await writeSafetensors(
    file,
    new Map<string, SafeTensor>([
      ["indices", { dtype: "I64", shape: [2, nnz], data: indices }],
      ["values", { dtype: values instanceof Float32Array ? "F32" : "F64", shape: [nnz], data: values }],
      ["shape", { dtype: "I64", shape: [2], data: Uint32Array.of(nRows, nCols) }],
    ]),
  );
}

/** What stands before the names of the parts, with its dot. */
function prefixOf(names: readonly string[], key: string | undefined, file: string): string {
  const has = (prefix: string, parts: readonly string[]): boolean => parts.every((p) => names.includes(prefix + p));
  const isMatrix = (prefix: string): boolean => has(prefix, COO) || has(prefix, CSR);
  if (key !== undefined) {
    const prefix = key === "" || key.endsWith(".") ? key : `${key}.`;
    if (isMatrix(prefix)) return prefix;
    throw new FileFormatError(file, `tensors ${prefix}indices and ${prefix}values`, `tensors ${listOf(names)}`);
  }
  const prefixes = names.filter((n) => n.endsWith("values")).map((n) => n.slice(0, -"values".length));
  const found = prefixes.filter(isMatrix);
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    throw new FileFormatError(file, "one sparse matrix, or the key of one", `several: ${listOf(found)}`);
  }
  throw new FileFormatError(
    file,
    "a sparse matrix as tensors indices and values, or crow, col and values",
    `tensors ${listOf(names)}`,
    "file-dense",
  );
}

function largest(indices: ArrayLike<number>): number {
  let max = 0;
  for (let k = 0; k < indices.length; k++) if (indices[k]! > max) max = indices[k]!;
  return max;
}
