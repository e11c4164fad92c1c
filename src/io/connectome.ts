// Connectome files of any supported kind to one CSR matrix: row = postsynaptic neuron, column = presynaptic neuron.

import { stat } from "node:fs/promises";
import type { Csr } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { fileError } from "./files.ts";
import { readSparseNpz } from "./npz.ts";
import { readSparsePt } from "./pt.ts";

export interface ReadConnectomeOptions {
  /** Demand as many rows as columns. Default true: a connectome maps neurons to the same neurons. */
  readonly square?: boolean;
  /** Which tensor of a .pt file that holds a dictionary. */
  readonly key?: string;
}

interface Reader {
  readonly extension: string;
  read(file: string, options: ReadConnectomeOptions): Promise<Csr>;
}

const readPt = (file: string, { key }: ReadConnectomeOptions): Promise<Csr> =>
  readSparsePt(file, key === undefined ? {} : { key });

const READERS: readonly Reader[] = [
  { extension: ".pt", read: readPt },
  { extension: ".pth", read: readPt },
  { extension: ".pt.gz", read: readPt },
  { extension: ".npz", read: (file) => readSparseNpz(file) },
];

/** Extensions that `readConnectome` takes. */
export const CONNECTOME_EXTENSIONS: readonly string[] = READERS.map((reader) => reader.extension);

/**
 * Reads a connectome: a PyTorch sparse tensor (.pt, .pth, .pt.gz) or a SciPy sparse matrix (.npz).
 *
 * @returns weights [post, pre], f32 where the file has f32, else f64
 * @throws {FileFormatError} missing file, a directory, unknown extension, damaged or dense content, not square
 * @throws {SparseFormatError} an index out of range, a weight that is not finite
 */
export async function readConnectome(file: string, options: ReadConnectomeOptions = {}): Promise<Csr> {
  const { square = true } = options;
  const expected = "a connectome file";
  try {
    if ((await stat(file)).isDirectory()) {
      throw new FileFormatError(file, expected, "a directory", "file-is-directory");
    }
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
  const reader = READERS.find(({ extension }) => file.toLowerCase().endsWith(extension));
  if (!reader) {
    throw new FileFormatError(file, `a file ending in ${CONNECTOME_EXTENSIONS.join(", ")}`, "another extension");
  }
  const csr = await reader.read(file, options);
  if (square && csr.nRows !== csr.nCols) {
    throw new FileFormatError(file, "as many rows as columns (post and pre neurons)", `${csr.nRows} × ${csr.nCols}`);
  }
  return csr;
}
