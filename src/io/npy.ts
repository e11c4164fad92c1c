// NumPy .npy arrays (format versions 1, 2 and 3): numbers of fixed size and single strings; object arrays, which are pickles, are
// refused. Source: NumPy Enhancement Proposal 1 and numpy.lib.format.

import type { Csr } from "../core/csr.ts";
import { FileFormatError, ShapeError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { checkDense, csrFromDense } from "./dense.ts";
import { replaceFile } from "./durable.ts";
import { readBytes, readHead, readPieces, sizeOf } from "./files.ts";
import { bytesOfNumber, decodeNumbers, type NumberArray, type NumberType, numberTypeOf } from "./numbers.ts";

const MAGIC = "\x93NUMPY";
/** Headers are a hundred bytes or so; NumPy's own reader refuses more than 10,000. */
const MAX_HEADER_BYTES = 65536;
/** Bytes that hold the whole header of any file that is read. */
export const NPY_HEAD_BYTES: number = 12 + MAX_HEADER_BYTES;
const MOST_ARGUMENTS = 4096;
/** More are not listed in messages. */
const MOST_DIMENSIONS = 8;

const NUMBER_TYPES: readonly string[] = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"];

/** The header of a .npy file. */
export interface NpyHeader {
  /** A number type, or "S" (bytes) or "U" (UCS-4) for strings. */
  readonly type: NumberType | "S" | "U";
  /** Bytes of one element. */
  readonly itemBytes: number;
  readonly littleEndian: boolean;
  /** True when the first index varies fastest. */
  readonly fortranOrder: boolean;
  /** Empty for a single value. */
  readonly shape: readonly number[];
  /** Offset of the data. */
  readonly dataOffset: number;
}

/** A numeric array; `data` in the order of the file. */
export interface NpyArray {
  /** The type in the file; see `decodeNumbers` for what `data` makes of it. */
  readonly type: NumberType;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
  readonly data: NumberArray;
}

/**
 * The header of a .npy file.
 *
 * @param bytes the file, or at least its header
 * @throws {FileFormatError} not a .npy file, cut off, unknown version, a type other than numbers or strings
 */
export function parseNpyHeader(bytes: Uint8Array, file: string): NpyHeader {
  const magic = latin1(bytes.subarray(0, MAGIC.length));
  if (bytes.length < 10 && MAGIC.startsWith(magic)) throw truncated(file, "the .npy header", bytes.length);
  if (magic !== MAGIC) {
    throw new FileFormatError(file, "a .npy array (magic \\x93NUMPY)", `${quoteText(magic)} at its start`);
  }
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw new FileFormatError(file, ".npy version 1, 2 or 3", `version ${version}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw truncated(file, "the .npy header", bytes.length);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES) {
    throw new FileFormatError(file, `a .npy header of at most ${MAX_HEADER_BYTES} bytes`, `${length}`);
  }
  const dataOffset = start + length;
  if (bytes.length < dataOffset) throw truncated(file, `a .npy header of ${dataOffset} bytes`, bytes.length);
  const text = new TextDecoder().decode(bytes.subarray(start, dataOffset));
  const fields =
    /^\{(?=.*'descr': *'([^']*)')(?=.*'fortran_order': *(True|False))(?=.*'shape': *\(([\d, L]*)\)).*\}\s*$/s.exec(
      text,
    );
  if (!fields) {
    if (/'descr': *\[/.test(text)) throw new FileFormatError(file, "an array of plain numbers", "a structured array");
    throw new FileFormatError(file, "a .npy header with descr, fortran_order and shape", quoteText(text.trim()));
  }
  const shape = [...fields[3]!.matchAll(/\d+/g)].map(Number);
  if (!shape.every(Number.isSafeInteger)) throw new FileFormatError(file, "extents up to 2^53", quoteText(fields[3]!));
  return { ...parseDescr(fields[1]!, file), fortranOrder: fields[2] === "True", shape, dataOffset };
}

/**
 * A numeric .npy array from the bytes of its file.
 *
 * @throws {FileFormatError} as `parseNpyHeader`; also strings, data of the wrong length, 64-bit integers beyond ±2^53
 */
export function decodeNpy(bytes: Uint8Array, file: string): NpyArray {
  const header = parseNpyHeader(bytes, file);
  const { type, fortranOrder, shape, littleEndian } = header;
  if (type === "S" || type === "U") throw new FileFormatError(file, "an array of numbers", "an array of strings");
  return { type, fortranOrder, shape, data: decodeNumbers(npyData(bytes, header, file), type, littleEndian, file) };
}

/** A single string (NumPy type S or U, no dimensions), as SciPy stores the name of a sparse format. */
export function decodeNpyString(bytes: Uint8Array, file: string): string {
  const header = parseNpyHeader(bytes, file);
  const { type, shape, littleEndian } = header;
  if ((type !== "S" && type !== "U") || shape.length !== 0) {
    throw new FileFormatError(file, "a single string", `an array of type ${type}, shape ${shapeText(shape)}`);
  }
  const data = npyData(bytes, header, file);
  return textOf(type === "S" ? data : decodeNumbers(data, "u4", littleEndian, file), file);
}

/**
 * An array of fixed-width strings (NumPy types S and U), in the order of the file; the zeros that fill them up are dropped.
 *
 * @throws {FileFormatError} as `parseNpyHeader`; also numbers, data of the wrong length, strings of no width, codes that are no
 *   characters (halves of surrogate pairs are none)
 */
export function decodeNpyStrings(bytes: Uint8Array, file: string): string[] {
  const header = parseNpyHeader(bytes, file);
  return decodeStrings(npyData(bytes, header, file), header, file);
}

/** The same from the data behind a header. */
export function decodeStrings(
  data: Uint8Array,
  { type, shape, itemBytes, littleEndian }: Omit<NpyHeader, "dataOffset">,
  file: string,
): string[] {
  if (type !== "S" && type !== "U") throw new FileFormatError(file, "an array of strings", `an array of type ${type}`);
  const codes = type === "S" ? data : decodeNumbers(data, "u4", littleEndian, file);
  const width = type === "S" ? itemBytes : itemBytes / 4;
  // Any number of strings without width takes no byte.
  if (width === 0) throw new FileFormatError(file, "strings of at least one character", `type ${type}0`);
  return Array.from({ length: countOf(shape) }, (_, i) => textOf(codes.subarray(i * width, (i + 1) * width), file));
}

/** The text of character codes, without the zeros at its end. */
function textOf(codes: NumberArray, file: string): string {
  let length = codes.length;
  while (length > 0 && codes[length - 1] === 0) length--;
  let text = "";
  // Piece by piece: calls do not take any number of arguments.
  for (let at = 0; at < length; at += MOST_ARGUMENTS) {
    const piece = codes.subarray(at, Math.min(length, at + MOST_ARGUMENTS));
    if (!piece.every(isCharacter)) throw new FileFormatError(file, "Unicode characters", "other codes");
    text += String.fromCodePoint(...piece);
  }
  return text;
}

function isCharacter(code: number): boolean {
  return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}

/**
 * The nonzero entries of a small dense matrix, read piece by piece.
 *
 * @throws {FileFormatError} as `decodeNpy` and `checkDense`
 * @throws {SparseFormatError} a value that is not finite
 */
export async function readDenseNpy(file: string): Promise<Csr> {
  const expected = "a .npy file";
  const header = parseNpyHeader(await readHead(file, NPY_HEAD_BYTES, expected), file);
  const { type, shape, dataOffset } = header;
  if (type === "S" || type === "U") throw new FileFormatError(file, "an array of numbers", "an array of strings");
  const matrix = { shape, type, littleEndian: header.littleEndian, columnMajor: header.fortranOrder };
  checkDense(matrix, file);
  checkLength(header, await sizeOf(file, expected), file);
  return csrFromDense(matrix, readPieces(file, dataOffset, expected), file);
}

/** Reads a numeric .npy file. Errors as `decodeNpy`, and a missing or unreadable file. */
export async function readNpy(file: string): Promise<NpyArray> {
  return decodeNpy(await readBytes(file, "a .npy file"), file);
}

/** An array to write, in C order; the type follows from that of `data`. */
export interface NpyInput {
  readonly shape: readonly number[];
  readonly data: NumberArray;
}

/**
 * Bytes of a .npy file (version 1, little-endian, C order, data aligned to 64 bytes as NumPy does).
 *
 * @throws {ShapeError} when `data` has not the length of `shape`
 */
export function encodeNpy({ shape, data }: NpyInput): Uint8Array {
  const count = countOf(shape);
  if (count !== data.length) {
    throw new ShapeError("encodeNpy", "data", `${count} elements for shape ${shapeText(shape)}`, `${data.length}`);
  }
  return withHeader(descrOf(numberTypeOf(data)), shape, bytesOf(data));
}

/** The bytes of such a file before its data. */
export function npyHead(type: NumberType, shape: readonly number[]): Uint8Array {
  return withHeader(descrOf(type), shape, new Uint8Array(0));
}

function descrOf(type: NumberType): string {
  return `${bytesOfNumber(type) === 1 ? "|" : "<"}${type}`;
}

/** Bytes of a .npy file with one byte string (NumPy type S); `text` is ASCII. */
export function encodeNpyString(text: string): Uint8Array {
  return withHeader(`|S${text.length}`, [], new TextEncoder().encode(text));
}

/** Bytes of a .npy file with a list of texts (NumPy type U); zeros at their ends get lost. */
export function encodeNpyStrings(texts: readonly string[]): Uint8Array {
  const codes = texts.map((text) => Array.from(text, (character) => character.codePointAt(0)!));
  const width = codes.reduce((widest, { length }) => Math.max(widest, length), 1);
  const data = new Uint32Array(width * texts.length);
  for (const [i, code] of codes.entries()) data.set(code, i * width);
  return withHeader(`<U${width}`, [texts.length], bytesOf(data));
}

/** Writes `encodeNpy(array)`, atomically. */
export async function writeNpy(file: string, array: NpyInput): Promise<void> {
  await replaceFile(file, [encodeNpy(array)]);
}

/** A shape the way Python writes it: (3, 4), (3,), (). */
export function shapeText(shape: readonly number[]): string {
  if (shape.length > MOST_DIMENSIONS) return `of ${shape.length} dimensions`;
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

function parseDescr(descr: string, file: string): Pick<NpyHeader, "type" | "itemBytes" | "littleEndian"> {
  const parts = /^([<>|=]?)([a-zA-Z?])(\d*)$/.exec(descr);
  const order = parts?.[1] ?? "";
  const kind = parts?.[2] ?? "";
  const size = Number(parts?.[3] || 0);
  if (kind === "O") {
    throw new FileFormatError(file, "an array of numbers", "an object array, which is a pickle and is not read");
  }
  const littleEndian = order !== ">";
  if (kind === "S") return { type: "S", itemBytes: size, littleEndian };
  if (kind === "U") return { type: "U", itemBytes: 4 * size, littleEndian };
  const name = `${kind}${size}`;
  if (!isNumberType(name)) {
    throw new FileFormatError(
      file,
      `an array of one of the types ${NUMBER_TYPES.join(", ")}`,
      `type ${quoteText(descr)}`,
    );
  }
  return { type: name, itemBytes: size, littleEndian };
}

function isNumberType(name: string): name is NumberType {
  return NUMBER_TYPES.includes(name);
}

/**
 * The bytes behind a header.
 *
 * @throws {FileFormatError} fewer or more than the header says
 */
export function npyData(bytes: Uint8Array, header: NpyHeader, file: string): Uint8Array {
  checkLength(header, bytes.length, file);
  return bytes.subarray(header.dataOffset);
}

/**
 * Checks the length of the data behind a header.
 *
 * @param fileBytes of header and data
 * @throws {FileFormatError} fewer or more than the header says
 */
export function checkLength({ shape, itemBytes, dataOffset }: NpyHeader, fileBytes: number, file: string): void {
  const needed = countOf(shape) * itemBytes;
  const found = fileBytes - dataOffset;
  if (found < needed) throw truncated(file, `${needed} bytes of data for shape ${shapeText(shape)}`, found);
  if (found > needed) {
    throw new FileFormatError(file, `${needed} bytes of data for shape ${shapeText(shape)}`, `${found}`);
  }
}

function withHeader(descr: string, shape: readonly number[], data: Uint8Array): Uint8Array {
  const fields = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shapeText(shape)}, }`;
  // Magic, version and length take 10 bytes, the line feed 1; spaces fill up to a multiple of 64.
  const header = `${fields}${" ".repeat((64 - ((fields.length + 11) % 64)) % 64)}\n`;
  const out = new Uint8Array(10 + header.length + data.length);
  out.set(Array.from(MAGIC, (c) => c.charCodeAt(0)));
  out[6] = 1;
  new DataView(out.buffer).setUint16(8, header.length, true);
  out.set(new TextEncoder().encode(header), 10);
  out.set(data, 10 + header.length);
  return out;
}

/** Memory of typed data; like WebAssembly, axograd runs on little-endian machines. */
function bytesOf(data: NumberArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Elements of an array of this shape. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function truncated(file: string, expected: string, bytes: number): FileFormatError {
  return new FileFormatError(file, expected, `${bytes} bytes`, "file-truncated");
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
