// Named arrays as a .npz or .safetensors file, or as a table in CSV.

import { ArgumentError, ShapeError } from "../core/errors.ts";
import { csvCell } from "../core/text.ts";
import { replaceFile } from "./durable.ts";
import { countOf, encodeNpy, encodeNpyStrings, type NpyInput, npyHead, shapeText } from "./npy.ts";
import { bytesOfNumber, type NumberArray, type NumberType, numberTypeOf } from "./numbers.ts";
import { type SafeTensor, type SafetensorsType, type StreamedTensor, writeSafetensors } from "./safetensors.ts";
import { type StreamedZipInput, writeStreamedZip } from "./zip.ts";

/** Endings of the files that `writeArrays` writes. */
export const WRITTEN_EXTENSIONS = [".npz", ".safetensors", ".csv"] as const;

/** Rows of a table that are written at once. */
const ROWS_AT_ONCE = 4096;

/** Numbers of any shape that need not be in memory as a whole; not for .csv. */
export interface StreamedArray {
  readonly type: "f4" | "f8" | "i4";
  readonly shape: readonly number[];
  /** All numbers in row-major order, piece by piece, in arrays of the type; for .npz asked for twice. */
  pieces(): AsyncIterable<NumberArray> | Iterable<NumberArray>;
}

/** Numbers of any shape, or texts. */
export type ArrayToWrite = NpyInput | StreamedArray | readonly string[];

/** How arrays are written. */
export interface WriteArraysOptions {
  /** Names of the columns of arrays with two dimensions, for CSV. Default: the name of the array with 0, 1, …: "outputs0". */
  readonly columns?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Writes arrays, atomically and durably. CSV has a line per index of the first dimension and a column per array of one dimension, or several
 * per array of two; f32 is written with as many digits as it takes to read the same number again.
 *
 * @throws {ArgumentError} another ending; for CSV more than two dimensions or different lengths; for .safetensors texts
 * @throws {ShapeError} data that has not the length of its shape
 * @throws {EngineError} "file-write": the old content is still there
 */
export async function writeArrays(
  file: string,
  arrays: Readonly<Record<string, ArrayToWrite>>,
  options: WriteArraysOptions = {},
): Promise<void> {
  for (const [name, array] of Object.entries(arrays)) checkLength(name, array);
  const path = file.toLowerCase();
  if (path.endsWith(".npz")) return writeNpzArrays(file, arrays);
  if (path.endsWith(".safetensors")) return writeTensors(file, arrays);
  if (path.endsWith(".csv")) return writeTable(file, arrays, options);
  throw new ArgumentError("writeArrays", "file", `a name ending in ${WRITTEN_EXTENSIONS.join(", ")}`, file);
}

function checkLength(name: string, array: ArrayToWrite): void {
  if (isTexts(array) || isStreamed(array) || countOf(array.shape) === array.data.length) return;
  const expected = `${countOf(array.shape)} elements for shape ${shapeText(array.shape)}`;
  throw new ShapeError("writeArrays", name, expected, `${array.data.length}`);
}

function isTexts(array: ArrayToWrite): array is readonly string[] {
  return Array.isArray(array);
}

function isStreamed(array: ArrayToWrite): array is StreamedArray {
  return "pieces" in array;
}

async function writeNpzArrays(file: string, arrays: Readonly<Record<string, ArrayToWrite>>): Promise<void> {
  const entries = Object.entries(arrays).map(([name, array]) => ({ name: `${name}.npy`, ...npyEntry(array) }));
  await writeStreamedZip(file, entries);
}

function npyEntry(array: ArrayToWrite): Omit<StreamedZipInput, "name"> {
  if (!isTexts(array) && isStreamed(array)) {
    const { type, shape } = array;
    const head = npyHead(type, shape);
    return {
      size: head.length + countOf(shape) * bytesOfNumber(type),
      async *pieces() {
        yield head;
        for await (const { buffer, byteOffset, byteLength } of array.pieces())
          yield new Uint8Array(buffer, byteOffset, byteLength);
      },
    };
  }
  const bytes = isTexts(array) ? encodeNpyStrings(array) : encodeNpy(array);
  return { size: bytes.length, pieces: () => [bytes] };
}

async function writeTensors(file: string, arrays: Readonly<Record<string, ArrayToWrite>>): Promise<void> {
  const tensors = Object.entries(arrays).map(([name, array]): [string, SafeTensor | StreamedTensor] => {
    if (isTexts(array)) throw new ArgumentError("writeArrays", name, "numbers for a .safetensors file", "texts");
    if (isStreamed(array)) return [name, { ...array, dtype: dtypeOf(array.type) }];
    return [name, { ...array, dtype: tensorType(array.data) }];
  });
  await writeSafetensors(file, new Map(tensors));
}

/** The type of safetensors for a typed array. */
export function tensorType(data: NumberArray): SafetensorsType {
  return dtypeOf(numberTypeOf(data));
}

function dtypeOf(type: NumberType): SafetensorsType {
  return type.replace(/\d/, (bytes) => `${8 * Number(bytes)}`).toUpperCase() as SafetensorsType;
}

// ---- tables --------------------------------------------------------------------------------------------------------------

interface Column {
  readonly name: string;
  cell(row: number): string;
}

async function writeTable(
  file: string,
  arrays: Readonly<Record<string, ArrayToWrite>>,
  { columns = {} }: WriteArraysOptions,
): Promise<void> {
  const all = Object.entries(arrays);
  const rows = lengthOf(all[0]?.[1] ?? []);
  for (const [name, array] of all) {
    if (lengthOf(array) === rows) continue;
    throw new ArgumentError("writeArrays", name, `${rows} rows, as in ${all[0]![0]}`, `${lengthOf(array)}`);
  }
  const table = all.flatMap(([name, array]) => columnsOf(name, array, columns[name]));
  await replaceFile(file, lines(table, rows));
}

function lengthOf(array: ArrayToWrite): number {
  return isTexts(array) ? array.length : (array.shape[0] ?? 0);
}

function columnsOf(name: string, array: ArrayToWrite, names: readonly string[] | undefined): Column[] {
  if (isTexts(array)) return [{ name, cell: (row) => csvCell(array[row]!) }];
  if (isStreamed(array)) throw new ArgumentError("writeArrays", name, "an array in memory for a .csv file", "a stream");
  const { shape, data } = array;
  if (shape.length === 1) return [{ name, cell: (row) => numberText(data, row) }];
  if (shape.length !== 2) {
    const expected = "one or two dimensions for a .csv file (.npz and .safetensors take any number)";
    throw new ArgumentError("writeArrays", name, expected, `shape ${shapeText(shape)}`);
  }
  const width = shape[1]!;
  if (names && names.length !== width) {
    throw new ArgumentError("writeArrays", `columns.${name}`, `${width} names`, `${names.length}`);
  }
  return Array.from({ length: width }, (_, j) => ({
    name: names?.[j] ?? `${name}${j}`,
    cell: (row) => numberText(data, row * width + j),
  }));
}

function* lines(columns: readonly Column[], rows: number): Generator<string> {
  yield `${columns.map(({ name }) => csvCell(name)).join(",")}\n`;
  for (let begin = 0; begin < rows; begin += ROWS_AT_ONCE) {
    let text = "";
    for (let row = begin; row < Math.min(rows, begin + ROWS_AT_ONCE); row++) {
      text += `${columns.map((column) => column.cell(row)).join(",")}\n`;
    }
    yield text;
  }
}

/** The shortest decimal number that reads as the same number of its type. */
export function numberText(data: NumberArray, i: number): string {
  const value = data[i]!;
  if (data instanceof Float32Array) {
    for (let digits = 6; digits < 9; digits++) {
      const short = Number(value.toPrecision(digits));
      if (Math.fround(short) === value) return String(short);
    }
    return String(Number(value.toPrecision(9)));
  }
  return String(value);
}
