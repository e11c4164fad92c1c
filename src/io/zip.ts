// Zip archives, as .npz and .pt files are: entries are read one at a time, on demand, and checked against their checksum.
// Reading rests on yauzl; the writer makes plain stored entries. Source: PKWARE APPNOTE 6.3.

import { type Entry, fromBufferPromise, openPromise, type ZipFile } from "yauzl";
import { ArgumentError, FileFormatError, ShapeError } from "../core/errors.ts";
import { printable, shortened } from "../core/text.ts";
import { crc32 } from "./crc32.ts";
import { replaceFile } from "./durable.ts";
import { fileError, readHead } from "./files.ts";
import { MOST_BYTES, unpackLimit } from "./limits.ts";

/** Deflate turns at most 1032 bytes into one (zlib technical notes), so a larger claim is a lie; 64 allows for tiny entries. */
const MAX_DEFLATE_RATIO = 1032;
const MAX_ENTRIES = 1 << 20;

/** An entry of the directory. */
interface ZipEntry {
  readonly uncompressedSize: number;
  readonly compressedSize: number;
  readonly crc32: number;
  isCompressed(): boolean;
  isEncrypted(): boolean;
}

/** An entry that lies in the file as it is. */
export interface StoredEntry {
  /** Its first byte in the file. */
  readonly begin: number;
  readonly bytes: number;
  readonly crc32: number;
}

/** The part of yauzl's ZipFile in use; its types are not installed with this package. */
interface OpenZip {
  readonly fileSize: number;
  openReadStreamPromise(entry: ZipEntry): Promise<AsyncIterable<Uint8Array>>;
  readLocalFileHeaderPromise(entry: ZipEntry, options: { minimal: true }): Promise<{ fileDataStart: number }>;
  close(): void;
}

/** An open archive: its directory is in memory, its entries are not. `close()` when done. */
export class ZipArchive {
  /** Path or name, for error messages. */
  readonly file: string;
  /** Bytes that the archive takes on the disk. */
  readonly diskBytes: number;
  readonly #zip: OpenZip;
  readonly #entries: ReadonlyMap<string, ZipEntry>;
  /** Bytes that were unpacked so far, less the packed ones that they came from. */
  #gained = 0;

  constructor(file: string, zip: OpenZip, entries: ReadonlyMap<string, ZipEntry>, diskBytes: number = zip.fileSize) {
    this.file = file;
    this.diskBytes = diskBytes;
    this.#zip = zip;
    this.#entries = entries;
  }

  /** Entry names, in directory order. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Bytes of an entry when it is unpacked, as the directory says. */
  sizeOf(name: string): number {
    return this.#entry(name).uncompressedSize;
  }

  /**
   * Where an entry lies in the file; null if it is packed or encrypted. Nothing has been compared with its checksum yet.
   *
   * @throws {FileFormatError} no such entry, no header where the directory says
   */
  async locate(name: string): Promise<StoredEntry | null> {
    const entry = this.#entry(name);
    if (entry.isCompressed() || entry.isEncrypted()) return null;
    try {
      const { fileDataStart } = await this.#zip.readLocalFileHeaderPromise(entry, { minimal: true });
      return { begin: fileDataStart, bytes: entry.uncompressedSize, crc32: entry.crc32 };
    } catch (cause) {
      throw new FileFormatError(this.file, `a readable entry "${name}"`, messageOf(cause));
    }
  }

  /**
   * The unpacked bytes of one entry, owned by the caller.
   *
   * @throws {FileFormatError} no such entry, encrypted, damaged; with the others more than `unpackLimit` grants ("file-limit")
   */
  async read(name: string): Promise<Uint8Array> {
    const entry = this.#entry(name);
    const { uncompressedSize, compressedSize } = entry;
    if (uncompressedSize > compressedSize * MAX_DEFLATE_RATIO + 64) {
      throw new FileFormatError(this.file, `entry "${name}" of a credible size`, `${uncompressedSize} bytes`);
    }
    this.#gained += Math.max(0, uncompressedSize - compressedSize);
    if (this.#gained > unpackLimit(this.diskBytes) || uncompressedSize > MOST_BYTES) {
      const expected =
        "a zip that unpacks to no more than 64 times its size (if the file is sound, save it uncompressed)";
      throw new FileFormatError(this.file, expected, `${uncompressedSize} bytes of "${name}"`, "file-limit");
    }
    if (compressedSize > this.#zip.fileSize) {
      throw new FileFormatError(
        this.file,
        `the ${compressedSize} bytes of "${name}"`,
        "a shorter file",
        "file-truncated",
      );
    }
    let bytes: Uint8Array;
    try {
      bytes = await collect(await this.#zip.openReadStreamPromise(entry), uncompressedSize);
    } catch (cause) {
      throw new FileFormatError(this.file, `a readable entry "${name}"`, messageOf(cause));
    }
    if (crc32(bytes) !== entry.crc32) {
      throw new FileFormatError(this.file, `entry "${name}" to match its checksum`, "damaged data", "file-damaged");
    }
    return bytes;
  }

  #entry(name: string): ZipEntry {
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw new FileFormatError(this.file, `an entry "${name}"`, `entries ${listOf(this.names)}`);
  }

  /** Releases the file; reading afterwards fails. */
  close(): void {
    this.#zip.close();
  }
}

/**
 * Opens a zip file by its directory at the end.
 *
 * @param expected what kind of zip this should be, for the error message, e.g. "a .npz file"
 * @throws {FileFormatError} missing, not a zip (`code` "file-format"), truncated ("file-truncated")
 */
export async function openZip(file: string, expected = "a zip file"): Promise<ZipArchive> {
  const head = await readHead(file, 4, expected);
  checkZip(head, file, expected);
  return archiveOf(file, expected, () => openPromise(file, { autoClose: false }));
}

/**
 * The same for an archive in memory; `bytes` must not change while it is open.
 *
 * @param diskBytes how many bytes of a file it was unpacked from
 */
export async function openZipBytes(
  bytes: Uint8Array,
  file: string,
  expected = "a zip file",
  diskBytes: number = bytes.length,
): Promise<ZipArchive> {
  checkZip(bytes, file, expected);
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return archiveOf(file, expected, () => fromBufferPromise(view), diskBytes);
}

/** True when the bytes begin a zip file that has an entry. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

async function archiveOf(
  file: string,
  expected: string,
  opening: () => Promise<ZipFile>,
  diskBytes?: number,
): Promise<ZipArchive> {
  let zip: ZipFile;
  try {
    zip = await opening();
  } catch (cause) {
    // The signature at the front was right, so a directory that is not found at the end was cut off.
    if (messageOf(cause).startsWith("End of central directory")) {
      throw new FileFormatError(file, `${expected}, whole`, "a zip file without its end", "file-truncated");
    }
    throw fileError(file, expected, cause);
  }
  const entries = new Map<string, Entry>();
  try {
    if (zip.entryCount > MAX_ENTRIES) throw new Error(`${zip.entryCount} entries`);
    for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry);
  } catch (cause) {
    zip.close();
    throw new FileFormatError(file, `${expected} with a sound directory`, messageOf(cause));
  }
  return new ZipArchive(file, zip, entries, diskBytes);
}

/**
 * Refuses bytes that do not begin a zip file.
 *
 * @throws {FileFormatError} empty ("file-truncated"), another kind
 */
export function checkZip(bytes: Uint8Array, file: string, expected: string): void {
  if (bytes.length === 0) throw new FileFormatError(file, expected, "an empty file", "file-truncated");
  if (!isZip(bytes)) {
    throw new FileFormatError(file, `${expected} (a zip archive)`, `a file that begins ${hexOf(bytes.subarray(0, 4))}`);
  }
}

async function collect(stream: AsyncIterable<Uint8Array>, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const chunk of stream) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  if (at !== size) throw new Error(`${at} bytes instead of ${size}`);
  return bytes;
}

/** One entry to write. */
export interface ZipInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** An entry that need not be in memory as a whole. */
export interface StreamedZipInput {
  readonly name: string;
  readonly size: number;
  /** Its bytes, piece by piece; asked for twice, as their checksum comes before them. */
  pieces(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/**
 * Bytes of a zip archive of stored (uncompressed) entries, dated 1980-01-01 so that equal content gives equal files.
 *
 * @throws {ArgumentError} more than the format holds without its 64-bit extension (65,534 entries, 4 GiB)
 */
export function encodeZip(entries: readonly ZipInput[]): Uint8Array {
  const headers = entries.map(({ name, bytes }) => headerOf(name, bytes.length, crc32(bytes)));
  const total = archiveBytes(headers);
  const out = new Uint8Array(total);
  let at = 0;
  const put = (part: Uint8Array): void => {
    out.set(part, at);
    at += part.length;
  };
  entries.forEach(({ bytes }, i) => {
    put(localPart(headers[i]!));
    put(bytes);
  });
  put(directoryPart(headers));
  return out;
}

/** Writes `encodeZip(entries)`, atomically. */
export async function writeZip(file: string, entries: readonly ZipInput[]): Promise<void> {
  await replaceFile(file, [encodeZip(entries)]);
}

/**
 * Writes the same archive with no more than a piece of an entry in memory.
 *
 * @throws {ArgumentError} as `encodeZip`, before anything is written
 * @throws {ShapeError} pieces of another length than `size`
 */
export async function writeStreamedZip(file: string, entries: readonly StreamedZipInput[]): Promise<void> {
  archiveBytes(entries.map(({ name, size }) => headerOf(name, size, 0)));
  await replaceFile(file, streamZip(entries));
}

async function* streamZip(entries: readonly StreamedZipInput[]): AsyncGenerator<Uint8Array> {
  const headers: EntryHeader[] = [];
  for (const entry of entries) {
    let sum = 0;
    let length = 0;
    for await (const piece of entry.pieces()) {
      sum = crc32(piece, sum);
      length += piece.length;
    }
    if (length !== entry.size) throw new ShapeError("writeZip", entry.name, `${entry.size} bytes`, `${length}`);
    const header = headerOf(entry.name, length, sum);
    headers.push(header);
    yield localPart(header);
    yield* entry.pieces();
  }
  yield directoryPart(headers);
}

interface EntryHeader {
  readonly name: Uint8Array;
  readonly size: number;
  readonly crc32: number;
}

function headerOf(name: string, size: number, crc: number): EntryHeader {
  return { name: new TextEncoder().encode(name), size, crc32: crc };
}

const LOCAL_BYTES = 30;
const DIRECTORY_BYTES = 46;
const END_BYTES = 22;

/** @throws {ArgumentError} too many for the format */
function archiveBytes(headers: readonly EntryHeader[]): number {
  const each = headers.map(({ name, size }) => LOCAL_BYTES + DIRECTORY_BYTES + 2 * name.length + size);
  const total = each.reduce((sum, bytes) => sum + bytes, END_BYTES);
  if (headers.length <= 65534 && total < 2 ** 32) return total;
  const got = `${headers.length}, ${total} bytes`;
  throw new ArgumentError("encodeZip", "entries", "at most 65534 entries and 4 GiB", got);
}

/** Writes the fields that the local header and the directory share, from "version needed" to "extra length". */
function putCommon(view: DataView, at: number, { name, size, crc32: sum }: EntryHeader): void {
  view.setUint16(at, 20, true); // version 2.0
  view.setUint16(at + 2, 0x0800, true); // names are UTF-8
  view.setUint16(at + 8, 0x0021, true); // date: 1980-01-01
  view.setUint32(at + 10, sum, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, name.length, true);
}

/** The bytes before those of an entry. */
function localPart(header: EntryHeader): Uint8Array {
  const out = new Uint8Array(LOCAL_BYTES + header.name.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, 0x04034b50, true);
  putCommon(view, 4, header);
  out.set(header.name, LOCAL_BYTES);
  return out;
}

/** The bytes after the last entry. */
function directoryPart(headers: readonly EntryHeader[]): Uint8Array {
  const length = headers.reduce((sum, { name }) => sum + DIRECTORY_BYTES + name.length, 0);
  const out = new Uint8Array(length + END_BYTES);
  const view = new DataView(out.buffer);
  let at = 0;
  let offset = 0;
  for (const header of headers) {
    const { name, size } = header;
    view.setUint32(at, 0x02014b50, true);
    view.setUint16(at + 4, 20, true);
    putCommon(view, at + 6, header);
    view.setUint32(at + 42, offset, true);
    out.set(name, at + DIRECTORY_BYTES);
    at += DIRECTORY_BYTES + name.length;
    offset += LOCAL_BYTES + name.length + size;
  }
  view.setUint32(at, 0x06054b50, true);
  view.setUint16(at + 8, headers.length, true);
  view.setUint16(at + 10, headers.length, true);
  view.setUint32(at + 12, length, true);
  view.setUint32(at + 16, offset, true);
  return out;
}

/** Names for a message: all of a few, the first of many. */
export function listOf(names: readonly string[]): string {
  if (names.length === 0) return "(none)";
  const shown = names.slice(0, 8).map(shortName).join(", ");
  return names.length > 8 ? `${shown}, … (${names.length} in all)` : shown;
}

function shortName(name: string): string {
  return shortened(printable(name), 60);
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
