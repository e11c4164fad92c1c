// IDX files: the header and bytes of MNIST and its relatives, plain or gzip. Source: Y. LeCun, http://yann.lecun.com/exdb/mnist/.

import { FileFormatError } from "../core/errors.ts";
import { readBytes, unpackGzip } from "../io/files.ts";

/** Element types of the format; only unsigned bytes are read, the rest are named when refused. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  8: "unsigned byte",
  9: "signed byte",
  11: "short",
  12: "int",
  13: "float",
  14: "double",
};

/** An array of unsigned bytes, last index fastest. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * An IDX array from the bytes of its file.
 *
 * @param nDims how many dimensions it must have: 1 for labels (magic 2049), 3 for images (magic 2051)
 * @throws {FileFormatError} another magic number, too few bytes (`code` "file-truncated") or bytes left over
 */
export function decodeIdx(bytes: Uint8Array, nDims: number, file: string): IdxArray {
  const { shape, count } = headerOf(bytes, nDims, file);
  const headerBytes = headerBytesOf(nDims);
  const found = bytes.length - headerBytes;
  const expected = `${count} bytes of data for ${shape.join(" × ")}`;
  if (found < count) throw truncated(file, expected, found);
  if (found > count) throw new FileFormatError(file, expected, `${found} (bytes left over)`);
  return { shape, data: bytes.subarray(headerBytes) };
}

/** Reads an IDX file, plain or gzip by content. Errors as `decodeIdx`, and a missing or unreadable file. */
export async function readIdx(file: string, nDims: number): Promise<IdxArray> {
  const packed = await readBytes(file, "an IDX file");
  const lengthOf = (head: Uint8Array): number => headerBytesOf(nDims) + headerOf(head, nDims, file).count;
  return decodeIdx(await unpackGzip(packed, file, lengthOf), nDims, file);
}

/** The data's size by its first bytes. */
function headerOf(bytes: Uint8Array, nDims: number, file: string): { shape: number[]; count: number } {
  checkMagic(bytes, nDims, file);
  const headerBytes = headerBytesOf(nDims);
  if (bytes.length < headerBytes) throw truncated(file, `an IDX header of ${headerBytes} bytes`, bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: nDims }, (_, d) => view.getUint32(4 + 4 * d));
  return { shape, count: shape.reduce((product, extent) => product * extent, 1) };
}

function headerBytesOf(nDims: number): number {
  return 4 + 4 * nDims;
}

/** Refuses bytes that do not begin with the magic number of unsigned bytes in `nDims` dimensions. */
function checkMagic(bytes: Uint8Array, nDims: number, file: string): void {
  if (bytes.length < 4) throw truncated(file, `an IDX header of ${headerBytesOf(nDims)} bytes`, bytes.length);
  const magic = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  const wanted = 0x800 + nDims;
  if (magic === wanted) return;
  const type = TYPE_NAMES[(magic >>> 8) & 255];
  const dims = magic & 255;
  const known = magic >>> 16 === 0 && type !== undefined && dims > 0;
  const meaning = known ? ` (${type}, ${dims} dimensions)` : ", which is no IDX file";
  throw new FileFormatError(file, `IDX magic ${wanted} (unsigned byte, ${nDims} dimensions)`, `${magic}${meaning}`);
}

function truncated(file: string, expected: string, bytes: number): FileFormatError {
  return new FileFormatError(file, expected, `${bytes}`, "file-truncated");
}
