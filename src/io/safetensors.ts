// Safetensors files: named tensors behind a JSON header. Nothing in them is executed, and values never leave typed arrays.
// Source: the format's description in https://github.com/huggingface/safetensors (README, "Format").
//
// Layout: u64 length of the header, the header, the data. Every entry is { dtype, shape, data_offsets: [begin, end] }, counted from
// the start of the data; together the entries cover the data without a gap or an overlap. "__metadata__" holds strings.

import { FileFormatError, ShapeError } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { crc32 } from "./crc32.ts";
import { replaceFile } from "./durable.ts";
import { type ByteSource, withFile } from "./files.ts";
import { countOf } from "./npy.ts";
import { bytesOfNumber, decodeNumbers, type NumberArray, type NumberType, numberTypeOf } from "./numbers.ts";

/** Element types of the format that are read. */
export type SafetensorsType =
  | "BOOL"
  | "U8"
  | "I8"
  | "U16"
  | "I16"
  | "F16"
  | "BF16"
  | "U32"
  | "I32"
  | "F32"
  | "U64"
  | "I64"
  | "F64";

/** Their names in `numbers.ts`. */
const TYPES: Readonly<Record<SafetensorsType, NumberType>> = {
  BOOL: "b1",
  U8: "u1",
  I8: "i1",
  U16: "u2",
  I16: "i2",
  F16: "f2",
  BF16: "bf2",
  U32: "u4",
  I32: "i4",
  F32: "f4",
  U64: "u8",
  I64: "i8",
  F64: "f8",
};

/** A tensor in row-major order. Reading widens F16 and BF16 to f32, I64 and U64 to f64 (values beyond ±2^53 are refused). */
export interface SafeTensor {
  readonly dtype: SafetensorsType;
  /** Empty for a single value. */
  readonly shape: readonly number[];
  readonly data: NumberArray;
}

/** Elements to write; I64 and U64 exactly, or as the numbers that `SafeTensor` has. */
export type TensorPiece = NumberArray | BigInt64Array | BigUint64Array;

/** A tensor that need not be in memory as a whole: its elements in order, piece by piece. */
export interface StreamedTensor<P extends TensorPiece = NumberArray> extends Omit<SafeTensor, "data"> {
  pieces(): AsyncIterable<P> | Iterable<P>;
}

/** Content of a safetensors file: tensors by name, and free text. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The file has checksums, and they are those of its content. */
  readonly verified: boolean;
}

/** The official reader's limit. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";
/** The metadata with the checksums: CRC-32 of the bytes of every tensor by its name, and of the rest of the header. */
const CHECKSUMS = "axograd.crc32";

/** Where a tensor lies in its file. */
export interface TensorPlace {
  readonly name: string;
  readonly type: NumberType;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  /** Bytes of the file, from `begin` to before `end`. */
  readonly begin: number;
  readonly end: number;
  /** CRC-32 that its bytes must have; null if the file says none. */
  readonly crc32: number | null;
}

/** What the header of a safetensors file says. */
export interface SafetensorsHeader {
  /** In the order of the file. */
  readonly places: readonly TensorPlace[];
  readonly metadata: Readonly<Record<string, string>>;
  /** The file has checksums, and the header has its own. */
  readonly verified: boolean;
}

/**
 * The header of a safetensors file, compared with the length of the file.
 *
 * @throws {FileFormatError} cut off, no JSON header, an unknown type, a size that does not fit the shape, gaps, overlaps, bytes left over;
 *   "file-damaged": a header that has another checksum
 */
export async function readSafetensorsHeader(source: ByteSource, file: string): Promise<SafetensorsHeader> {
  if (source.length < 8) throw truncated(file, "a header length of 8 bytes", source.length);
  const words = await source.read(0, 8);
  const headerBytes = Number(new DataView(words.buffer, words.byteOffset, 8).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new FileFormatError(file, `a safetensors header of at most ${MAX_HEADER_BYTES} bytes`, `${headerBytes}`);
  }
  const start = 8 + headerBytes;
  if (source.length < start) throw truncated(file, `a header of ${headerBytes} bytes`, source.length - 8);
  const header = parseHeader(await source.read(8, start), file);
  const dataBytes = source.length - start;
  const entries = header.entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin < covered)
      throw new FileFormatError(file, `${quoteText(name)} to begin at ${covered} or later`, `an overlap at ${begin}`);
    if (begin > covered)
      throw new FileFormatError(file, `${quoteText(name)} to begin at ${covered}`, `a gap up to ${begin}`);
    covered = end;
  }
  if (dataBytes < covered) throw truncated(file, `${covered} bytes of data`, dataBytes);
  if (dataBytes > covered) {
    throw new FileFormatError(file, `${covered} bytes of data`, `${dataBytes} (bytes left over)`);
  }
  const { [CHECKSUMS]: text, ...metadata } = header.metadata;
  const sums = text === undefined ? null : parseChecksums(text, file);
  if (sums) checkSum(file, METADATA, hex(crc32(headerText(entries, metadata))), sumOf(sums, METADATA));
  const places = entries.map(({ name, dtype, shape, begin, end }) => {
    const type = TYPES[dtype];
    const sum = sums && checkedSum(file, name, sumOf(sums, name));
    return { name, type, dtype, shape, begin: start + begin, end: start + end, crc32: sum };
  });
  return { places, metadata, verified: sums !== null };
}

/**
 * Tensors and metadata from the bytes of a file; holds at most one raw tensor in memory besides the result.
 *
 * @throws {FileFormatError} as `readSafetensorsHeader`; "file-damaged": a tensor that has another checksum
 */
export async function decodeSafetensors(source: ByteSource, file: string): Promise<SafetensorsFile> {
  const { places, metadata, verified } = await readSafetensorsHeader(source, file);
  const tensors = new Map<string, SafeTensor>();
  for (const place of places) tensors.set(place.name, await readTensor(source, place, file));
  return { tensors, metadata, verified };
}

/**
 * One tensor of a file, in the memory that was read.
 *
 * @throws {FileFormatError} a 64-bit integer beyond ±2^53; "file-damaged": a tensor that has another checksum
 */
export async function readTensor(source: ByteSource, place: TensorPlace, file: string): Promise<SafeTensor> {
  const { name, dtype, shape, type } = place;
  const bytes = await readTensorBytes(source, place, file);
  return { dtype, shape, data: decodeNumbers(bytes, type, true, `${file}: ${quoteText(name)}`, true) };
}

/** The bytes of one tensor, owned by the caller. @throws {FileFormatError} "file-damaged": it has another checksum */
export async function readTensorBytes(
  source: ByteSource,
  { name, begin, end, crc32: sum }: TensorPlace,
  file: string,
): Promise<Uint8Array> {
  const bytes = await source.read(begin, end);
  if (sum !== null) checkSum(file, name, hex(crc32(bytes)), hex(sum));
  return bytes;
}

/** Reads a tensor from its beginning, some elements at a time, for what need not be in memory as a whole. */
export class TensorReader {
  readonly #source: ByteSource;
  readonly #place: TensorPlace;
  readonly #file: string;
  #at: number;
  #sum = 0;

  constructor(source: ByteSource, place: TensorPlace, file: string) {
    this.#source = source;
    this.#place = place;
    this.#file = file;
    this.#at = place.begin;
  }

  /** Elements not yet read. */
  get left(): number {
    return (this.#place.end - this.#at) / bytesOfNumber(this.#place.type);
  }

  /**
   * The next elements, at most `count`.
   *
   * @throws {FileFormatError} as `readTensor`; "file-damaged" with the last element
   */
  async next(count: number): Promise<NumberArray> {
    const { name, type, end, crc32: expected } = this.#place;
    const stop = Math.min(end, this.#at + count * bytesOfNumber(type));
    const bytes = await this.#source.read(this.#at, stop);
    this.#at = stop;
    this.#sum = crc32(bytes, this.#sum);
    if (stop === end && expected !== null) checkSum(this.#file, name, hex(this.#sum), hex(expected));
    return decodeNumbers(bytes, type, true, `${this.#file}: ${quoteText(name)}`, true);
  }
}

/** Reads a file. Errors as `decodeSafetensors`, and a missing or unreadable file. */
export function readSafetensors(file: string): Promise<SafetensorsFile> {
  return withFile(file, "a safetensors file", (source) => decodeSafetensors(source, file));
}

/** Wide elements first, so that every tensor is aligned to its element. */
function inFileOrder<T extends Omit<SafeTensor, "data">>(tensors: ReadonlyMap<string, T>): [string, T][] {
  const width = ({ dtype }: T): number => bytesOfNumber(TYPES[dtype]);
  return [...tensors].sort(([, a], [, b]) => width(b) - width(a));
}

/** The bytes before the data: the length of the header, and the header. */
function headOf(
  ordered: readonly (readonly [string, Omit<SafeTensor, "data">])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [[METADATA, metadata]] : [];
  let offset = 0;
  for (const [name, { dtype, shape }] of ordered) {
    const end = offset + countOf(shape) * bytesOfNumber(TYPES[dtype]);
    header.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  // Spaces fill the header up, so that the data begin at a multiple of 8.
  const length = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(json, 8);
  return head;
}

/**
 * Writes a file durably: a temporary beside it, synced, renamed. Of streamed tensors no more than a piece is in memory.
 *
 * @param options.checksums  add checksums, which `readSafetensors` verifies
 * @throws {ShapeError} data that has not the length of its shape; what streaming throws. The old content is still there
 */
export async function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, SafeTensor | StreamedTensor<TensorPiece>>,
  metadata: Readonly<Record<string, string>> = {},
  { checksums = false }: { readonly checksums?: boolean } = {},
): Promise<void> {
  const ordered = inFileOrder(tensors);
  if (!checksums) {
    await replaceFile(file, streamSafetensors(ordered, headOf(ordered, metadata)));
    return;
  }
  // Known only when all is written; the header then takes their place, of the same length.
  const sums = new Map(ordered.map(([name]) => [name, 0]));
  sums.set(METADATA, crc32(headerText(namedEntries(ordered), metadata)));
  const head = (): Uint8Array => headOf(ordered, { ...metadata, [CHECKSUMS]: checksumText(sums) });
  const summed = streamSafetensors(ordered, head(), (name, bytes) => sums.set(name, crc32(bytes, sums.get(name))));
  await replaceFile(file, summed, head);
}

async function* streamSafetensors(
  ordered: readonly (readonly [string, SafeTensor | StreamedTensor<TensorPiece>])[],
  head: Uint8Array,
  see: (name: string, bytes: Uint8Array) => void = () => {},
): AsyncGenerator<Uint8Array> {
  yield head;
  for (const [name, tensor] of ordered) {
    let count = 0;
    for await (const piece of "data" in tensor ? [tensor.data] : tensor.pieces()) {
      count += piece.length;
      const bytes = bytesOfNumbers(name, tensor.dtype, piece);
      see(name, bytes);
      yield bytes;
    }
    checkCount(name, tensor.shape, count);
  }
}

// ---- checksums -----------------------------------------------------------------------------------------------------------

/** All that the header says but where tensors are, which the other checksums show. */
function headerText(
  entries: readonly Pick<Entry, "name" | "dtype" | "shape">[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const byName = (a: readonly unknown[], b: readonly unknown[]): number => (`${a[0]}` < `${b[0]}` ? -1 : 1);
  const tensors = entries.map(({ name, dtype, shape }) => [name, dtype, shape]).sort(byName);
  return new TextEncoder().encode(JSON.stringify([Object.entries(metadata).sort(byName), tensors]));
}

function namedEntries(
  ordered: readonly (readonly [string, Omit<SafeTensor, "data">])[],
): Pick<Entry, "name" | "dtype" | "shape">[] {
  return ordered.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
}

/** As long for any checksums. */
function checksumText(sums: ReadonlyMap<string, number>): string {
  return JSON.stringify(Object.fromEntries([...sums].map(([name, sum]) => [name, hex(sum)])));
}

function hex(sum: number): string {
  return sum.toString(16).padStart(8, "0");
}

function parseChecksums(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    const sums: unknown = JSON.parse(text);
    if (isObject(sums)) return sums;
  } catch {}
  throw new FileFormatError(file, `checksums in ${CHECKSUMS}`, "something else: the file is damaged", "file-damaged");
}

function sumOf(sums: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(sums, name) ? sums[name] : "none";
}

/** The checksum as a number. */
function checkedSum(file: string, name: string, sum: unknown): number {
  if (typeof sum === "string" && /^[0-9a-f]{8}$/.test(sum)) return Number.parseInt(sum, 16);
  throw damaged(file, `${quoteText(name)} with a checksum`, `${quoteValue(sum)}: the file is damaged`);
}

function checkSum(file: string, name: string, got: string, expected: unknown): void {
  if (got !== expected) throw damaged(file, `"${name}" with the checksum ${expected}`, `${got}: the file is damaged`);
}

function damaged(file: string, expected: string, got: string): FileFormatError {
  return new FileFormatError(file, expected, got, "file-damaged");
}

interface Entry {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseHeader(bytes: Uint8Array, file: string): { entries: Entry[]; metadata: Record<string, string> } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new FileFormatError(file, "a safetensors header in JSON", "something else");
  }
  if (!isObject(parsed)) throw new FileFormatError(file, "a safetensors header with named entries", "other JSON");
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(parsed)) {
    if (name === METADATA) metadata = parseMetadata(value, file);
    else entries.push(parseEntry(name, value, file));
  }
  return { entries, metadata };
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  const strings = isObject(value) && Object.values(value).every((v) => typeof v === "string");
  if (!strings) throw new FileFormatError(file, `strings in ${METADATA}`, "other JSON");
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, file: string): Entry {
  const bad = (expected: string, got: unknown): FileFormatError =>
    new FileFormatError(file, `${quoteText(name)} with ${expected}`, quoteValue(got));
  if (!isObject(value)) throw bad("dtype, shape and data_offsets", value);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isType(dtype)) throw bad(`a dtype of ${Object.keys(TYPES).join(", ")}`, dtype);
  if (!isCounts(shape)) throw bad("a shape of whole numbers", shape);
  if (!isCounts(offsets) || offsets.length !== 2) throw bad("two data_offsets", offsets);
  const [begin, end] = offsets as [number, number];
  const needed = countOf(shape) * bytesOfNumber(TYPES[dtype]);
  if (end - begin !== needed) throw bad(`${needed} bytes for shape ${quoteValue(shape)} of ${dtype}`, end - begin);
  return { name, dtype, shape, begin, end };
}

function checkCount(name: string, shape: readonly number[], got: number): void {
  const count = countOf(shape);
  if (got === count) return;
  throw new ShapeError("writeSafetensors", name, `${count} elements for shape [${shape.join(", ")}]`, `${got}`);
}

/** The memory of numbers in the form of the file. Like WebAssembly, axograd runs on little-endian machines. */
function bytesOfNumbers(name: string, dtype: SafetensorsType, data: TensorPiece): Uint8Array {
  const own = elementsOf(dtype, data);
  if (own === null) throw new ShapeError("writeSafetensors", name, `an array of type ${dtype}`, data.constructor.name);
  return new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
}

/** The numbers as the file has them; null: another type. */
function elementsOf(dtype: SafetensorsType, data: TensorPiece): ArrayBufferView | null {
  if (data instanceof BigInt64Array) return dtype === "I64" ? data : null;
  if (data instanceof BigUint64Array) return dtype === "U64" ? data : null;
  if (dtype === "I64" || dtype === "U64") return wideWords(data);
  const fits = numberTypeOf(data) === TYPES[dtype] || (dtype === "BOOL" && data instanceof Uint8Array);
  return fits ? data : null;
}

/** 64-bit integers as pairs of 32-bit words, low word first. */
function wideWords(values: NumberArray): Uint32Array {
  const words = new Uint32Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    words[2 * i] = values[i]! >>> 0;
    words[2 * i + 1] = Math.floor(values[i]! / 2 ** 32) >>> 0;
  }
  return words;
}

function isType(name: unknown): name is SafetensorsType {
  return typeof name === "string" && Object.hasOwn(TYPES, name);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function truncated(file: string, expected: string, bytes: number): FileFormatError {
  return new FileFormatError(file, expected, `${bytes}`, "file-truncated");
}
