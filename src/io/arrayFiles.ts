// Named arrays in .npz and .safetensors files and in folders of .npy files, of which any part is read when it is wanted. What they mean is
// decided elsewhere.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import { formatBytes } from "../core/format.ts";
import { crc32 } from "./crc32.ts";
import { type ByteSource, fileError, type OpenFile, openFile } from "./files.ts";
import { checkLength, decodeStrings, NPY_HEAD_BYTES, parseNpyHeader } from "./npy.ts";
import { bytesOfNumber, decodeNumbers, type NumberArray, type NumberType } from "./numbers.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import { openZip } from "./zip.ts";

/** Bytes, and whether they are still those of the file when it was opened. */
export interface CheckedSource extends ByteSource {
  /** @throws {FileFormatError} "file-changed": what has been read does not count */
  check(): Promise<void>;
}

/** An array in a file. */
export interface StoredArray {
  /** File and array, for messages: "data.npz[inputs]". */
  readonly label: string;
  /** "S" and "U": texts. */
  readonly type: NumberType | "S" | "U";
  readonly itemBytes: number;
  readonly littleEndian: boolean;
  /** True if the first index varies fastest. */
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
  /** Its data, counted from their first byte. */
  readonly data: CheckedSource;
  /** The data were unpacked and are in memory. */
  readonly resident: boolean;
  /** CRC-32 that the data must have after bytes with the CRC-32 `before`; null: unknown, or compared already. */
  readonly checksum: { readonly before: number; readonly expected: number } | null;
}

/** Files that are open, and the arrays in them. */
export interface ArrayFile {
  /** Path of the file or folder. */
  readonly path: string;
  /** Every file that belongs to it. */
  readonly files: readonly string[];
  /** All arrays that there are. */
  readonly names: readonly string[];
  /** Those that were asked for. */
  readonly arrays: ReadonlyMap<string, StoredArray>;
  /** Idempotent; reading afterwards fails. */
  close(): Promise<void>;
}

/** Files of arrays that are read, by their extension. */
export const ARRAY_EXTENSIONS = [".npz", ".safetensors"] as const;

/** What is read of the arrays of a file. */
export interface OpenArraysOptions {
  /** The arrays that are wanted, if they are there. Of the others nothing but the names are read. */
  readonly names: readonly string[];
  /** Compressed arrays are unpacked into memory if together they take no more bytes than this. */
  readonly memoryBytes: number;
}

/**
 * Opens a .npz or .safetensors file or a folder of .npy files.
 *
 * @throws {FileFormatError} missing, truncated, damaged, another format; "file-limit": compressed arrays that take too much memory
 */
export async function openArrays(path: string, options: OpenArraysOptions): Promise<ArrayFile> {
  const name = path.toLowerCase();
  if (await isFolder(path)) return openNpyFolder(path, options);
  if (name.endsWith(".npz")) return openNpzArrays(path, options);
  if (name.endsWith(".safetensors")) return openSafetensorsArrays(path, options);
  throw new FileFormatError(path, `a file ending in ${ARRAY_EXTENSIONS.join(" or ")}, or a folder`, "another ending");
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw fileError(path, "arrays", cause);
  }
}

async function openNpzArrays(file: string, options: OpenArraysOptions): Promise<ArrayFile> {
  const expected = "a .npz file";
  const open = await openFile(file, expected);
  return orClose([open], file, async (arrays) => {
    const zip = await openZip(file, expected);
    try {
      let room = options.memoryBytes;
      const names = zip.names.filter(isNpy).map(withoutExtension);
      for (const name of names.filter((name) => options.names.includes(name))) {
        const entry = `${name}.npy`;
        const label = labelOf(file, name);
        const place = await zip.locate(entry);
        if (place !== null) {
          arrays.set(name, await npyArray(partOf(open, place.begin, place.begin + place.bytes), label, place.crc32));
        } else {
          room -= zip.sizeOf(entry);
          if (room < 0) throw tooLarge(label, zip.sizeOf(entry), options.memoryBytes);
          arrays.set(name, { ...(await npyArray(inMemory(await zip.read(entry)), label, null)), resident: true });
        }
      }
      return names;
    } finally {
      zip.close();
    }
  });
}

function tooLarge(label: string, bytes: number, memoryBytes: number): FileFormatError {
  const expected = `compressed arrays of at most ${formatBytes(memoryBytes)} in all (memoryBytes), or numpy.savez instead of numpy.savez_compressed`;
  return new FileFormatError(label, expected, formatBytes(bytes), "file-limit");
}

async function openSafetensorsArrays(file: string, options: OpenArraysOptions): Promise<ArrayFile> {
  const open = await openFile(file, "a safetensors file");
  return orClose([open], file, async (arrays) => {
    const { places } = await readSafetensorsHeader(open, file);
    for (const { name, type, shape, begin, end, crc32: sum } of places) {
      if (!options.names.includes(name)) continue;
      arrays.set(name, {
        ...{ label: labelOf(file, name), type, shape, itemBytes: bytesOfNumber(type) },
        ...{ littleEndian: true, fortranOrder: false, resident: false, data: partOf(open, begin, end) },
        checksum: sum === null ? null : { before: 0, expected: sum },
      });
    }
    return places.map(({ name }) => name);
  });
}

async function openNpyFolder(folder: string, options: OpenArraysOptions): Promise<ArrayFile> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter(isNpy).map(withoutExtension).sort();
  } catch (cause) {
    throw fileError(folder, "a folder of .npy files", cause);
  }
  const open: OpenFile[] = [];
  return orClose(open, folder, async (arrays) => {
    for (const name of names.filter((name) => options.names.includes(name))) {
      const file = join(folder, `${name}.npy`);
      const source = await openFile(file, "a .npy file");
      open.push(source);
      arrays.set(name, await npyArray(source, file, null));
    }
    return names;
  });
}

function isNpy(name: string): boolean {
  return name.endsWith(".npy");
}

function withoutExtension(name: string): string {
  return name.slice(0, -".npy".length);
}

/** Fills in the arrays of open files and returns the names of all; the files are closed if they cannot be read. */
async function orClose(
  open: readonly OpenFile[],
  path: string,
  fill: (arrays: Map<string, StoredArray>) => Promise<readonly string[]>,
): Promise<ArrayFile> {
  const close = async (): Promise<void> => {
    await Promise.all(open.map((file) => file.close()));
  };
  try {
    const arrays = new Map<string, StoredArray>();
    const names = await fill(arrays);
    return { path, files: open.map(({ file }) => file), names, arrays, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function npyArray(file: CheckedSource, label: string, crc: number | null): Promise<StoredArray> {
  const head = await file.read(0, Math.min(NPY_HEAD_BYTES, file.length));
  const header = parseNpyHeader(head, label);
  checkLength(header, file.length, label);
  const { type, itemBytes, littleEndian, fortranOrder, shape, dataOffset } = header;
  return {
    ...{ label, type, itemBytes, littleEndian, fortranOrder, shape, resident: false },
    data: partOf(file, dataOffset, file.length),
    checksum: crc === null ? null : { before: crc32(head.subarray(0, dataOffset)), expected: crc },
  };
}

/**
 * The bytes of an array from first to last, which are compared with their checksum at the end.
 *
 * @throws {FileFormatError} "file-damaged": another checksum; "file-changed"
 */
export class SequentialBytes {
  readonly #array: StoredArray;
  #at = 0;
  #sum: number;

  constructor(array: StoredArray) {
    this.#array = array;
    this.#sum = array.checksum?.before ?? 0;
  }

  /** The next bytes, at most as many as there are. */
  async next(length: number): Promise<Uint8Array> {
    const { data, checksum, label } = this.#array;
    const bytes = await data.read(this.#at, this.#at + length);
    this.#at += length;
    await data.check();
    if (checksum === null) return bytes;
    this.#sum = crc32(bytes, this.#sum);
    if (this.#at === data.length && this.#sum !== checksum.expected) {
      throw new FileFormatError(label, "data that match their checksum", "damaged data", "file-damaged");
    }
    return bytes;
  }
}

/** All numbers of a small array, in the order of the file. @throws {FileFormatError} texts, damaged data */
export async function numbersOf(array: StoredArray): Promise<NumberArray> {
  const { type, littleEndian, label } = array;
  if (type === "S" || type === "U") throw new FileFormatError(label, "an array of numbers", "an array of texts");
  return decodeNumbers(await new SequentialBytes(array).next(array.data.length), type, littleEndian, label);
}

/** All texts of a small array. @throws {FileFormatError} numbers, damaged data */
export async function textsOf(array: StoredArray): Promise<string[]> {
  return decodeStrings(await new SequentialBytes(array).next(array.data.length), array, array.label);
}

function labelOf(file: string, name: string): string {
  return `${file}[${name}]`;
}

function partOf(source: CheckedSource, begin: number, end: number): CheckedSource {
  const read = (from: number, to: number): Promise<Uint8Array> => source.read(begin + from, begin + to);
  return { length: end - begin, read, check: () => source.check() };
}

function inMemory(bytes: Uint8Array): CheckedSource {
  return { length: bytes.length, read: async (begin, end) => bytes.subarray(begin, end), check: async () => {} };
}
