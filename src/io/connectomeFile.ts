// The compact file of a connectome: its matrix, the ids of its neurons, their table and where it comes from, in one safetensors file that
// Python reads, too. docs/connectome-files.md has the table of its tensors.

import type { Csr, IndexArray } from "../core/csr.ts";
import { csrFromParts } from "../core/csr.ts";
import { FileFormatError, ShapeError } from "../core/errors.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { splitWhole } from "./decimal.ts";
import { type ByteSource, withFile } from "./files.ts";
import { checkExtents } from "./limits.ts";
import { checkIdText } from "./neuronIds.ts";
import { NEURON_ROLES, type NeuronRole, type NeuronTable } from "./neuronTable.ts";
import type { NumberArray } from "./numbers.ts";
import { type Provenance, parseProvenance, provenanceText } from "./provenance.ts";
import {
  readSafetensorsHeader,
  readTensor,
  readTensorBytes,
  type SafetensorsHeader,
  type SafetensorsType,
  type StreamedTensor,
  type TensorPiece,
  type TensorPlace,
  writeSafetensors,
} from "./safetensors.ts";
import { type ReadSafetensorsOptions, readSparseMatrix } from "./sparseSafetensors.ts";

/** A connectome with all that is known of it. */
export interface ConnectomeContent {
  /** [post, pre]. */
  readonly csr: Csr;
  /** Ids of the neurons, in the order of the rows; null: they are their indices. */
  readonly labels: readonly string[] | null;
  /** Properties of the neurons; null: the file has none. */
  readonly table: NeuronTable | null;
  /** null: the file does not say it. */
  readonly provenance: Provenance | null;
}

/** What a connectome file has besides the matrix. */
export interface ConnectomeFileParts {
  /** Ids of the neurons; whole numbers of 64 bits are stored as such. */
  readonly labels?: readonly string[] | BigInt64Array | null;
  readonly table?: NeuronTable | null;
  readonly provenance?: Provenance | null;
}

/** Metadata: the version of the file; names of the columns, in order; provenance. */
const VERSION = "axograd.connectome";
const COLUMNS = "axograd.columns";
const PROVENANCE = "axograd.provenance";
const THIS_VERSION = "1";

/** Tensors. A list of texts NAME is `text/NAME`, its bytes in UTF-8, and `offsets/NAME`. */
const IDS = "neurons.id";
const TYPE = "neurons.type";
const ROLE = "neurons.role";
const SIGN = "neurons.sign";
const PLACES = ["neurons.x", "neurons.y"] as const;
const columnTensor = (name: string): string => `column.${name}`;

/** Elements that are checked and written at once. */
const PIECE = 2 ** 22;

/**
 * Writes a connectome with its neurons and its provenance as a .safetensors file, durably, with checksums. `readLabelledConnectome` gives all of
 * it back to the bit: the order of the neurons, ids beyond 2^53, the type of the weights. The matrix is written from where it is.
 *
 * @throws {ShapeError} ids or a table of another number of neurons; a number of a text that does not exist
 * @throws {FileFormatError} ids that are none, or occur twice; text that UTF-8 does not have (half a character)
 * @throws {EngineError} "file-write": the old content is still there
 */
export async function writeConnectomeFile(file: string, csr: Csr, parts: ConnectomeFileParts = {}): Promise<void> {
  const { labels = null, table = null, provenance = null } = parts;
  const { nRows, nCols, nnz, rowPtr, colIdx, values } = csr;
  const tensors = new Map<string, StreamedTensor<TensorPiece>>([
    ["crow", streamed("I32", signedView(rowPtr))],
    ["col", colIdx instanceof Uint16Array ? streamed("U16", colIdx) : streamed("I32", signedView(colIdx))],
    ["values", streamed(values instanceof Float32Array ? "F32" : "F64", values.subarray(0, nnz))],
    ["shape", streamed("I64", Uint32Array.of(nRows, nCols))],
  ]);
  if (labels !== null) {
    checkCount("labels", labels.length, nRows);
    addIds(tensors, labels, file);
  }
  if (table !== null) addTable(tensors, table, nRows, file);
  await writeSafetensors(
    file,
    tensors,
    {
      [VERSION]: THIS_VERSION,
      ...(table?.columns && { [COLUMNS]: JSON.stringify([...table.columns.keys()]) }),
      ...(provenance && { [PROVENANCE]: provenanceText(file, provenance) }),
    },
    { checksums: true },
  );
}

/**
 * Reads what `writeConnectomeFile` wrote, tensor by tensor, each into the memory that it keeps; or the matrix of another safetensors file
 * (`readSparseSafetensors`), which has neither table nor provenance.
 *
 * @throws {FileFormatError} damaged content, another version; as `readSparseSafetensors`
 * @throws {SparseFormatError} an index out of range, a value that is not finite
 */
export function readConnectomeFile(file: string, options: ReadSafetensorsOptions = {}): Promise<ConnectomeContent> {
  return withFile(file, "a safetensors file", async (source) => {
    const header = await readSafetensorsHeader(source, file);
    const reader = new Reader(source, header, file);
    // With a key a matrix is asked for, and nothing else.
    if (options.key !== undefined || !reader.isConnectome()) {
      const csr = await readSparseMatrix(source, header, file, options);
      return { csr, labels: null, table: null, provenance: null };
    }
    const csr = await reader.matrix(options);
    const labels = await reader.ids(csr.nRows);
    return { csr, labels, table: await reader.table(csr.nRows), provenance: reader.provenance() };
  });
}

// ---- writing -------------------------------------------------------------------------------------------------------------

type Tensors = Map<string, StreamedTensor<TensorPiece>>;

function streamed(dtype: SafetensorsType, data: TensorPiece): StreamedTensor<TensorPiece> {
  return {
    dtype,
    shape: [data.length],
    *pieces() {
      for (let at = 0; at < data.length; at += PIECE) yield data.subarray(at, at + PIECE);
    },
  };
}

/** The same memory as signed numbers, which SciPy and torch take for indices; they are below 2^31. */
function signedView(data: Uint32Array | IndexArray): Int32Array {
  return new Int32Array(data.buffer, data.byteOffset, data.length);
}

function addIds(tensors: Tensors, labels: readonly string[] | BigInt64Array, file: string): void {
  const numbers = labels instanceof BigInt64Array ? labels : wholeIds(labels);
  checkIds(Array.from<string | bigint, string>(labels, String), file);
  if (numbers) tensors.set(IDS, streamed("I64", numbers));
  else addTexts(tensors, IDS, labels as readonly string[], file);
}

/** null: they are not all whole numbers from 0 to 2^63 − 1 in their shortest form. */
function wholeIds(labels: readonly string[]): BigInt64Array | null {
  const numbers = new BigInt64Array(labels.length);
  const words = new Uint32Array(numbers.buffer);
  return labels.every((label, i) => splitWhole(label, words, i)) ? numbers : null;
}

/** @throws {FileFormatError} an id that is none, or occurs twice */
function checkIds(labels: readonly string[], file: string): void {
  const seen = new Set<string>();
  labels.forEach((label, i) => {
    const place = (): string => `${file}: neuron ${i}`;
    checkIdText(label, place);
    seen.add(label);
    if (seen.size <= i) throw new FileFormatError(place(), "every id once", `${quoteText(label)} again`);
  });
}

function addTable(tensors: Tensors, table: NeuronTable, neurons: number, file: string): void {
  const { count, types, typeIdx, role, sign, x, y, columns } = table;
  checkCount("table", count, neurons);
  addCoded(tensors, TYPE, { values: types, valueIdx: typeIdx }, count, file);
  if (role) {
    checkCount("table.role", role.length, count);
    tensors.set(
      ROLE,
      streamed(
        "U8",
        Uint8Array.from(role, (name) => NEURON_ROLES.indexOf(name)),
      ),
    );
  }
  const numbers = [
    [SIGN, "I8", sign],
    [PLACES[0], "F64", x],
    [PLACES[1], "F64", y],
  ] as const;
  for (const [name, dtype, data] of numbers) {
    if (!data) continue;
    checkCount(name, data.length, count);
    tensors.set(name, streamed(dtype, data));
  }
  for (const [name, column] of columns ?? []) addCoded(tensors, columnTensor(name), column, count, file);
}

/** A column as numbers of its texts, in the narrowest type. */
function addCoded(
  tensors: Tensors,
  name: string,
  { values, valueIdx }: NeuronColumn,
  count: number,
  file: string,
): void {
  checkCount(name, valueIdx.length, count);
  const [dtype, numbers] = codesFor(values.length, count);
  for (let i = 0; i < count; i++) {
    if (!(valueIdx[i]! < values.length)) {
      throw new ShapeError("writeConnectomeFile", name, `numbers of ${values.length} texts`, `${valueIdx[i]}`);
    }
    numbers[i] = valueIdx[i]!;
  }
  tensors.set(name, streamed(dtype, numbers));
  addTexts(tensors, name, values, file);
}

function codesFor(texts: number, count: number): readonly [SafetensorsType, Uint8Array | Uint16Array | Uint32Array] {
  if (texts <= 2 ** 8) return ["U8", new Uint8Array(count)];
  return texts <= 2 ** 16 ? ["U16", new Uint16Array(count)] : ["U32", new Uint32Array(count)];
}

function addTexts(tensors: Tensors, name: string, texts: readonly string[], file: string): void {
  const offsets = new Int32Array(texts.length + 1);
  const bytes = new TextEncoder().encode(texts.join(""));
  let end = 0;
  texts.forEach((text, i) => {
    if (HALF_CHARACTER.test(text)) {
      throw new FileFormatError(`${file}: ${name}`, "whole characters", quoteText(text));
    }
    end += Buffer.byteLength(text);
    offsets[i + 1] = end;
  });
  tensors.set(textTensor(name), streamed("U8", bytes));
  tensors.set(offsetTensor(name), streamed("I32", offsets));
}

const HALF_CHARACTER = /\p{Cs}/u;
const textTensor = (name: string): string => `text/${name}`;
const offsetTensor = (name: string): string => `offsets/${name}`;

function checkCount(argument: string, got: number, neurons: number): void {
  if (got === neurons) return;
  throw new ShapeError("writeConnectomeFile", argument, `${neurons} entries, one per neuron`, `${got}`);
}

// ---- reading -------------------------------------------------------------------------------------------------------------

const CODES: readonly SafetensorsType[] = ["U8", "U16", "U32"];
const INDICES: readonly SafetensorsType[] = ["U16", "I32", "U32", "I64"];

class Reader {
  readonly #source: ByteSource;
  readonly #places: ReadonlyMap<string, TensorPlace>;
  readonly #metadata: SafetensorsHeader["metadata"];
  readonly #file: string;

  constructor(source: ByteSource, { places, metadata }: SafetensorsHeader, file: string) {
    this.#source = source;
    this.#places = new Map(places.map((place) => [place.name, place]));
    this.#metadata = metadata;
    this.#file = file;
  }

  /** @throws {FileFormatError} another version, or a connectome file that lost its metadata, and with it what its neurons are */
  isConnectome(): boolean {
    const version = this.#metadata[VERSION];
    if (version === THIS_VERSION) return true;
    if (version !== undefined) {
      const expected = `a connectome file of version ${THIS_VERSION} (a later version of axograd may read others)`;
      throw new FileFormatError(this.#file, expected, `version ${quoteText(version)}`);
    }
    if (![IDS, textTensor(IDS), TYPE].some((name) => this.#places.has(name))) return false;
    const expected = `the metadata ${VERSION}: "${THIS_VERSION}" beside its neurons (key: "", --key "", reads the matrix alone)`;
    throw new FileFormatError(this.#file, expected, "none: it was lost when the file was written");
  }

  async matrix(options: ReadSafetensorsOptions): Promise<Csr> {
    const values = await this.#vector("values", ["F32", "F64"]);
    const rowPtr = await this.#vector("crow", ["I32", "U32", "I64"]);
    const colIdx = await this.#vector("col", INDICES, values.length);
    const shape = await this.#vector("shape", ["I64"], 2);
    const extents = { nRows: shape[0]!, nCols: shape[1]! };
    checkExtents(extents, values.length + rowPtr.length, this.#file, options);
    return csrFromParts({ ...extents, rowPtr, colIdx, values }, this.#file, { adopt: true });
  }

  /** null: neurons are numbered. */
  async ids(neurons: number): Promise<readonly string[] | null> {
    const place = this.#places.get(IDS);
    const isText = this.#places.has(textTensor(IDS));
    if (!place && !isText) return null;
    const labels = place ? await this.#wholeNumbers(place, neurons) : await this.#texts(IDS);
    if (labels.length !== neurons) throw this.#error(`${neurons} ids, one per neuron`, `${labels.length}`);
    checkIds(labels, this.#file);
    return labels;
  }

  async table(neurons: number): Promise<NeuronTable | null> {
    const names = this.#columnNames();
    if (!this.#places.has(TYPE)) {
      if (names === null) return null;
      throw this.#error(`the tensor ${TYPE} beside columns of neurons`, "none");
    }
    const type = await this.#coded(TYPE, neurons);
    const columns = new Map<string, NeuronColumn>();
    for (const name of names ?? []) columns.set(name, await this.#coded(columnTensor(name), neurons));
    const optional = async (name: string, dtype: SafetensorsType): Promise<NumberArray | null> =>
      this.#places.has(name) ? this.#vector(name, [dtype], neurons) : null;
    const sign = (await optional(SIGN, "I8")) as Int8Array | null;
    const bad = sign?.find((s) => Math.abs(s) > 1);
    if (bad !== undefined) throw this.#error(`signs −1, 0 and 1 in ${SIGN}`, `${bad}`);
    return {
      count: neurons,
      types: type.values,
      typeIdx: type.valueIdx,
      role: this.#roles(await optional(ROLE, "U8")),
      sign,
      x: (await optional(PLACES[0], "F64")) as Float64Array | null,
      y: (await optional(PLACES[1], "F64")) as Float64Array | null,
      ...(names && { columns }),
    };
  }

  provenance(): Provenance | null {
    const text = this.#metadata[PROVENANCE];
    return text === undefined ? null : parseProvenance(`${this.#file}: ${PROVENANCE}`, text);
  }

  #columnNames(): readonly string[] | null {
    const text = this.#metadata[COLUMNS];
    if (text === undefined) return null;
    let names: unknown;
    try {
      names = JSON.parse(text);
    } catch {}
    const isList = Array.isArray(names) && names.every((name) => typeof name === "string");
    if (isList && new Set(names as string[]).size === (names as string[]).length) return names as string[];
    throw this.#error(`a list of different names in ${COLUMNS}`, quoteValue(text));
  }

  #roles(numbers: NumberArray | null): readonly NeuronRole[] | null {
    return (
      numbers &&
      Array.from(numbers, (k) => {
        const role = NEURON_ROLES[k];
        if (role === undefined) throw this.#error(`roles 0 to ${NEURON_ROLES.length - 1} in ${ROLE}`, `${k}`);
        return role;
      })
    );
  }

  async #coded(name: string, neurons: number): Promise<{ values: readonly string[]; valueIdx: Uint32Array }> {
    const numbers = await this.#vector(name, CODES, neurons);
    const values = await this.#texts(name);
    const bad = numbers.find((k) => k >= values.length);
    if (bad !== undefined) throw this.#error(`numbers of ${values.length} texts in ${quoteText(name)}`, `${bad}`);
    return { values, valueIdx: numbers instanceof Uint32Array ? numbers : Uint32Array.from(numbers) };
  }

  async #texts(name: string): Promise<readonly string[]> {
    const bytes = (await this.#vector(textTensor(name), ["U8"])) as Uint8Array;
    const offsets = await this.#vector(offsetTensor(name), ["I32"]);
    const bad = (got: string): FileFormatError =>
      this.#error(`ascending offsets from 0 to ${bytes.length} in ${quoteText(offsetTensor(name))}`, got);
    if (offsets.length === 0) throw bad("none");
    if (offsets[0] !== 0) throw bad(`${offsets[0]} at first`);
    if (offsets.at(-1) !== bytes.length) throw bad(`${offsets.at(-1)} at last`);
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return Array.from({ length: offsets.length - 1 }, (_, i) => {
      const [from, to] = [offsets[i]!, offsets[i + 1]!];
      if (!(from <= to && to <= bytes.length)) throw bad(`${from}, ${to} at text ${i}`);
      try {
        return decoder.decode(bytes.subarray(from, to));
      } catch {
        throw this.#error(`text in UTF-8 in ${quoteText(textTensor(name))}`, `other bytes at text ${i}`);
      }
    });
  }

  async #wholeNumbers(place: TensorPlace, neurons: number): Promise<readonly string[]> {
    this.#check(place, ["I64"], neurons);
    const { buffer, byteOffset } = await readTensorBytes(this.#source, place, this.#file);
    return Array.from(new BigInt64Array(buffer, byteOffset, neurons), String);
  }

  /** A tensor of one dimension, of one of some types. */
  async #vector(name: string, dtypes: readonly SafetensorsType[], length?: number): Promise<NumberArray> {
    const place = this.#places.get(name);
    if (!place) throw this.#error(`a tensor ${quoteText(name)}`, "none");
    this.#check(place, dtypes, length);
    return (await readTensor(this.#source, place, this.#file)).data;
  }

  #check({ name, dtype, shape }: TensorPlace, dtypes: readonly SafetensorsType[], length = shape[0]): void {
    const wanted = `${quoteText(name)} of type ${dtypes.join(", ")}`;
    if (!dtypes.includes(dtype)) throw this.#error(wanted, dtype);
    if (shape.length === 1 && shape[0] === length) return;
    throw this.#error(`${wanted} and shape [${length ?? "n"}]`, `[${shape.join(", ")}]`);
  }

  #error(expected: string, got: string): FileFormatError {
    return new FileFormatError(this.#file, expected, got);
  }
}
