// Reads connectomes from all supported files into one CSR matrix, and writes them: row = postsynaptic neuron, column = presynaptic neuron.

import { stat } from "node:fs/promises";
import type { Csr } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import {
  type ConnectomeContent,
  type ConnectomeFileParts,
  readConnectomeFile,
  writeConnectomeFile,
} from "./connectomeFile.ts";
import { type EdgeListOptions, readEdgeList, writeEdgeList } from "./edgeList.ts";
import type { EdgeList } from "./edgeListBuilder.ts";
import { fileError } from "./files.ts";
import { readGraphml } from "./graphml.ts";
import type { ExtentOptions } from "./limits.ts";
import { readMatrixMarket, writeMatrixMarket } from "./matrixMarket.ts";
import { readMatrixTable } from "./matrixTable.ts";
import { readDenseNpy } from "./npy.ts";
import { readSparseNpz, writeSparseNpz } from "./npz.ts";
import { readParquetEdgeList } from "./parquet.ts";
import { readSparsePt } from "./pt.ts";

/** Options that do not apply to the format are refused; those of edge lists apply to .csv, .tsv and .parquet. */
export interface ReadConnectomeOptions extends EdgeListOptions, ExtentOptions {
  /** Demand as many rows as columns. Default true: a connectome maps neurons to the same neurons. */
  readonly square?: boolean;
  /**
   * Which tensor of a .pt file that holds a dictionary; prefix of the tensors of a .safetensors file; which array of a .npz file;
   * attribute of the nodes of a .graphml file that names the neurons (default: their ids).
   */
  readonly key?: string;
  /**
   * A table (.csv, .tsv) is a matrix with the ids of the neurons in its first line and first column; its rows are the neurons that
   * send ("pre") or that receive ("post"). Default: a table is an edge list.
   */
  readonly rows?: "pre" | "post";
}

type Option = keyof ReadConnectomeOptions;

const OPTIONS: Readonly<Record<Option, true>> = {
  ...{ pre: true, post: true, weight: true, ids: true, order: true, labels: true, neurons: true },
  ...{ delimiter: true, header: true, rows: true, key: true, square: true, maxNeurons: true },
};

interface Format {
  readonly extensions: readonly string[];
  /** Options of this format, besides the common ones. */
  readonly options: readonly Option[];
  read(file: string, options: ReadConnectomeOptions): Promise<Csr | EdgeList | ConnectomeContent>;
  /** Absent for formats that are only read. */
  write?(file: string, csr: Csr, parts: ConnectomeFileParts): Promise<void>;
  /** It holds ids, a table and provenance. */
  readonly isWhole?: true;
}

const COLUMN_OPTIONS: readonly Option[] = ["pre", "post", "weight", "ids", "order", "labels", "neurons"];
const TEXT_OPTIONS: readonly Option[] = [...COLUMN_OPTIONS, "delimiter", "header", "rows"];

/** Options of all formats. */
const COMMON_OPTIONS: readonly Option[] = ["square", "maxNeurons"];

const keyOf = ({ key, maxNeurons }: ReadConnectomeOptions): ExtentOptions & { readonly key?: string } => ({
  ...(key !== undefined && { key }),
  ...(maxNeurons !== undefined && { maxNeurons }),
});

function readMatrix(file: string, options: ReadConnectomeOptions): Promise<Csr> {
  return readMatrixMarket(file, keyOf(options));
}

const FORMATS: readonly Format[] = [
  {
    extensions: [".pt", ".pth", ".pt.gz"],
    options: ["key"],
    read: (file, options) => readSparsePt(file, keyOf(options)),
  },
  {
    extensions: [".npz"],
    options: ["key"],
    read: (file, options) => readSparseNpz(file, keyOf(options)),
    write: writeSparseNpz,
  },
  { extensions: [".npy"], options: [], read: (file) => readDenseNpy(file) },
  {
    extensions: [".safetensors"],
    options: ["key"],
    read: (file, options) => readConnectomeFile(file, keyOf(options)),
    write: writeConnectomeFile,
    isWhole: true,
  },
  { extensions: [".mtx"], options: [], read: readMatrix, write: writeMatrixMarket },
  { extensions: [".mtx.gz"], options: [], read: readMatrix },
  { extensions: [".csv", ".tsv"], options: TEXT_OPTIONS, read: readTable, write: writeEdgeList },
  { extensions: [".csv.gz", ".tsv.gz"], options: TEXT_OPTIONS, read: readTable },
  { extensions: [".parquet"], options: COLUMN_OPTIONS, read: readParquetEdgeList },
  { extensions: [".graphml", ".graphml.gz"], options: ["weight", "key", "order"], read: readGraphml },
];

/** With the option `rows` a table is a matrix with names, else an edge list. */
function readTable(file: string, options: ReadConnectomeOptions): Promise<EdgeList> {
  const { rows, ...rest } = options;
  if (rows === undefined) return readEdgeList(file, rest);
  const stray = COLUMN_OPTIONS.find((name) => options[name] !== undefined);
  if (stray !== undefined) {
    throw new ArgumentError("readConnectome", stray, "no options of edge lists for a matrix with names (rows)", file);
  }
  return readMatrixTable(file, { ...rest, rows });
}

/** Extensions that `readConnectome` takes. */
export const CONNECTOME_EXTENSIONS: readonly string[] = FORMATS.flatMap((format) => format.extensions);

/** Extensions that `writeConnectome` takes. */
export const WRITABLE_EXTENSIONS: readonly string[] = FORMATS.flatMap((format) =>
  format.write ? format.extensions : [],
);

/**
 * Reads a connectome by its extension: a PyTorch tensor (.pt, .pth, .pt.gz), a SciPy sparse matrix or an archive of NumPy arrays
 * (.npz), a NumPy array (.npy), a matrix in .safetensors, a Matrix Market file (.mtx), an edge list (.csv, .tsv, .parquet), a
 * matrix with names (.csv, .tsv with `rows`), or a directed graph (.graphml); text also packed with gzip. Where a file has ids that
 * are no positions, its neurons are numbered in their order; which they are, `readLabelledConnectome` says
 * (docs/connectome-files.md).
 *
 * @returns weights [post, pre], f32 where the file has f32, else f64
 * @throws {FileFormatError} missing file, a directory, unknown extension, damaged or large dense content, not square, rows out of
 *   proportion to what is stored ("file-limit", see `maxNeurons`)
 * @throws {SparseFormatError} an index out of range, a weight that is not finite
 * @throws {ArgumentError} an option that does not exist, or that the kind of file does not take
 */
export async function readConnectome(file: string, options: ReadConnectomeOptions = {}): Promise<Csr> {
  return (await readLabelledConnectome(file, options)).csr;
}

/**
 * The same with the labels of the neurons, where the file has labels instead of positions, in the order of the rows, and with the table of
 * neurons and the provenance that a file of `writeConnectome` may have. Join labels and neuron tables by them: `readLabels` and
 * `readNeuronTable` with `ids`. Errors as `readConnectome`.
 */
export async function readLabelledConnectome(
  file: string,
  options: ReadConnectomeOptions = {},
): Promise<ConnectomeContent> {
  const { square = true } = options;
  const expected = "a connectome file";
  try {
    if ((await stat(file)).isDirectory()) {
      throw new FileFormatError(file, expected, "a directory", "file-is-directory");
    }
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
  const format = formatOf(file, CONNECTOME_EXTENSIONS);
  checkOptions(file, format, options);
  const content = await format.read(file, options);
  const whole = { table: null, provenance: null, ...("csr" in content ? content : { csr: content, labels: null }) };
  const { nRows, nCols } = whole.csr;
  if (square && nRows !== nCols) {
    throw new FileFormatError(file, "as many rows as columns (post and pre neurons)", `${nRows} × ${nCols}`);
  }
  return whole;
}

/**
 * Writes a connectome by its extension (.safetensors, .npz, .mtx, .csv, .tsv), atomically; reading gives back the same weights to
 * the bit, those of text files in f64. Only .safetensors holds the parts beside the matrix, with checksums: ids (beyond 2^53, too), table and
 * provenance.
 *
 * @throws {FileFormatError} an extension that is not written
 * @throws {ArgumentError} a part that this kind of file cannot hold
 * @throws {ShapeError} ids or a table of another number of neurons
 * @throws {FileFormatError} ids that are none, or occur twice
 * @throws {EngineError} a place that cannot be written to
 */
export async function writeConnectome(file: string, csr: Csr, parts: ConnectomeFileParts = {}): Promise<void> {
  const format = formatOf(file, WRITABLE_EXTENSIONS);
  const stray = format.isWhole ? undefined : PARTS.find((name) => parts[name] != null);
  if (stray) throw new ArgumentError("writeConnectome", stray, "a file that holds it (.safetensors)", file);
  await format.write!(file, csr, parts);
}

/** Whether a file of this extension holds ids, table and provenance. @throws {FileFormatError} an extension that is not written */
export function holdsNeurons(file: string): boolean {
  return formatOf(file, WRITABLE_EXTENSIONS).isWhole === true;
}

const PARTS = ["labels", "table", "provenance"] as const;

function checkOptions(file: string, { options: taken }: Format, given: ReadConnectomeOptions): void {
  checkNames("readConnectome", given, OPTIONS);
  const { maxNeurons = 1 } = given;
  if (!(Number.isInteger(maxNeurons) && maxNeurons >= 1 && maxNeurons <= 2 ** 31)) {
    throw new ArgumentError("readConnectome", "maxNeurons", "a whole number from 1 to 2^31", quoteValue(maxNeurons));
  }
  for (const name of Object.keys(given) as Option[]) {
    if (given[name] === undefined || COMMON_OPTIONS.includes(name) || taken.includes(name)) continue;
    const takers = FORMATS.filter(({ options }) => options.includes(name));
    const extensions = takers.flatMap((format) => format.extensions).join(", ");
    throw new ArgumentError("readConnectome", name, `a file that it applies to (${extensions})`, file);
  }
}

function formatOf(file: string, extensions: readonly string[]): Format {
  const extension = extensions.find((e) => file.toLowerCase().endsWith(e));
  if (extension === undefined) {
    throw new FileFormatError(file, `a file ending in ${extensions.join(", ")}`, "another extension");
  }
  return FORMATS.find((format) => format.extensions.includes(extension))!;
}
