// Reads files, whole or in parts: failures of the file system become typed errors, gzip is unpacked. Knows no formats; durable.ts writes.

import { access, type FileHandle, open, readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, gunzip, gunzipSync } from "node:zlib";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { unpackLimit } from "./limits.ts";

/** Systems refuse to read 2 GiB in one call. */
const MOST_AT_ONCE = 1 << 30;

/** A multiple of every element size. */
const PIECE_BYTES = 1 << 20;

/** Packed bytes that hold the head of any format. */
const GZIP_HEAD_BYTES = 1 << 12;
/** Bytes that say which format it is. */
const MAGIC_BYTES = 16;

const gunzipAsync = promisify(gunzip);

/** Plain words for the errors of `fs` that a user can do something about, and a stable code for each. */
const FS_ERRORS: Readonly<Record<string, readonly [got: string, code: string]>> = {
  ENOENT: ["no such file", "file-missing"],
  ENOTDIR: ["a path through something that is not a directory", "file-missing"],
  EISDIR: ["a directory", "file-is-directory"],
  EACCES: ["no permission to read it", "file-unreadable"],
  EPERM: ["no permission to read it", "file-unreadable"],
};

/** Whether a visible file or folder exists at this path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * The typed error for a failed file-system call on `file`.
 *
 * @param expected what the caller wanted there, e.g. "an IDX file"
 */
export function fileError(file: string, expected: string, cause: unknown): FileFormatError {
  if (cause instanceof FileFormatError) return cause;
  const errno = errnoOf(cause);
  const message = cause instanceof Error ? cause.message : String(cause);
  // An error without errno comes from a parser, not from the file system.
  const [got, code] = FS_ERRORS[errno] ?? [message, errno === "" ? "file-format" : "file-unreadable"];
  return new FileFormatError(file, expected, got, code);
}

/**
 * All bytes of a file.
 *
 * @param expected what should be there, for the error message
 * @throws {FileFormatError} missing, a directory, unreadable (`code` tells which)
 */
export async function readBytes(file: string, expected: string): Promise<Uint8Array> {
  try {
    return plain(await readFile(file));
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
}

/** Bytes that are read as they are wanted. */
export interface ByteSource {
  readonly length: number;
  /** The bytes from `begin` to before `end`, which is at most `length`; owned by the caller. */
  read(begin: number, end: number): Promise<Uint8Array>;
}

/** A file that stays open, and must stay as it is. */
export interface OpenFile extends ByteSource {
  readonly file: string;
  /**
   * What has been read is the content that the file had when it was opened.
   *
   * @throws {FileFormatError} "file-changed"
   */
  check(): Promise<void>;
  /** Idempotent; reading afterwards fails. */
  close(): Promise<void>;
}

/**
 * Opens a file for reads at any place, now and later.
 *
 * @throws {FileFormatError} as `readBytes`; reads throw "file-truncated" where it ends too early
 */
export async function openFile(file: string, expected: string): Promise<OpenFile> {
  let handle: FileHandle;
  try {
    // To open a pipe would wait for a writer.
    const kind = await stat(file);
    if (!kind.isFile() && !kind.isDirectory()) throw new FileFormatError(file, expected, "a pipe or device");
    handle = await open(file, "r");
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
  try {
    const before = await handle.stat({ bigint: true });
    if (before.isDirectory()) throw new FileFormatError(file, expected, "a directory", "file-is-directory");
    let closing: Promise<void> | null = null;
    return {
      ...{ file, length: Number(before.size) },
      async read(begin, end) {
        try {
          return await readAt(handle, file, begin, end);
        } catch (cause) {
          throw fileError(file, expected, cause);
        }
      },
      async check() {
        const { size, mtimeNs } = await handle.stat({ bigint: true });
        if (size === before.size && mtimeNs === before.mtimeNs) return;
        const wanted = "a file that stays as it is while it is in use";
        throw new FileFormatError(file, wanted, "one that was written to", "file-changed");
      },
      close() {
        closing ??= handle.close();
        return closing;
      },
    };
  } catch (cause) {
    await handle.close();
    throw fileError(file, expected, cause);
  }
}

/**
 * Opens a file for `use`, and returns its result. Unlike `readBytes`, takes files of any size.
 *
 * @throws {FileFormatError} as `readBytes`; the file became shorter in between
 * @throws {EngineError} those of `use`
 */
export async function withFile<T>(file: string, expected: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  try {
    const handle = await open(file, "r");
    try {
      const read = (begin: number, end: number): Promise<Uint8Array> => readAt(handle, file, begin, end);
      return await use({ length: (await handle.stat()).size, read });
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw cause instanceof EngineError ? cause : fileError(file, expected, cause);
  }
}

async function readAt(handle: FileHandle, file: string, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  for (let got = 0; got < bytes.length; ) {
    const length = Math.min(bytes.length - got, MOST_AT_ONCE);
    const { bytesRead } = await handle.read(bytes, got, length, begin + got);
    if (bytesRead === 0) throw new FileFormatError(file, `${end} bytes`, `${begin + got}`, "file-truncated");
    got += bytesRead;
  }
  return bytes;
}

/** The first `length` bytes of a file, fewer if it is shorter. */
export function readHead(file: string, length: number, expected: string): Promise<Uint8Array> {
  return withFile(file, expected, (source) => source.read(0, Math.min(length, source.length)));
}

/** Bytes of a file. */
export async function sizeOf(file: string, expected: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
}

/** The bytes of a file from `offset` on, in pieces of 1 MiB (the last one shorter), each owned by the caller. */
export async function* readPieces(file: string, offset: number, expected: string): AsyncGenerator<Uint8Array> {
  try {
    const handle = await open(file, "r");
    try {
      for (let at = offset; ; at += PIECE_BYTES) {
        const piece = new Uint8Array(PIECE_BYTES);
        const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, at);
        if (bytesRead > 0) yield piece.subarray(0, bytesRead);
        if (bytesRead < PIECE_BYTES) return;
      }
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
}

/** True when the bytes begin a gzip member (RFC 1952, §2.3.1). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * The bytes themselves, or what they unpack to when they are gzip.
 *
 * @param lengthOf how many bytes the content has by its head, `Infinity` where that does not say; throws where it is none of the kind
 *   wanted, before the rest is unpacked
 * @throws {FileFormatError} truncated or damaged gzip, more than the head says, or than `unpackLimit` grants ("file-limit"); what
 *   `lengthOf` throws
 */
export async function unpackGzip(
  bytes: Uint8Array,
  file: string,
  lengthOf: (head: Uint8Array) => number,
): Promise<Uint8Array> {
  if (!isGzip(bytes)) {
    lengthOf(bytes);
    return bytes;
  }
  const most = unpackLimit(bytes.length);
  let claimed = Number.POSITIVE_INFINITY;
  try {
    const head = headOfGzip(bytes);
    // For a truncated file, the missing end is the better message.
    if (head.length >= MAGIC_BYTES) claimed = lengthOf(head);
    if (claimed !== Number.POSITIVE_INFINITY && claimed > most) throw tooMuchGzip(file);
    return plain(await gunzipAsync(bytes, { maxOutputLength: Math.min(most, claimed + 1) }));
  } catch (cause) {
    if (errnoOf(cause) !== "ERR_BUFFER_TOO_LARGE" || claimed >= most) throw gzipError(file, cause);
    throw new FileFormatError(file, `${claimed} bytes when unpacked`, "more (bytes left over)");
  }
}

/** Unpacks the first bytes of a gzip file. */
function headOfGzip(bytes: Uint8Array): Uint8Array {
  return gunzipSync(bytes.subarray(0, GZIP_HEAD_BYTES), { finishFlush: constants.Z_SYNC_FLUSH });
}

/** The typed error for a failed unpacking of gzip; one that is typed already stays as it is. */
export function gzipError(file: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause;
  const errno = errnoOf(cause);
  if (errno === "Z_BUF_ERROR") {
    return new FileFormatError(file, "a whole gzip file", "one that ends early", "file-truncated");
  }
  if (errno in FS_ERRORS) return fileError(file, "a gzip file", cause);
  if (errno === "ERR_BUFFER_TOO_LARGE") return tooMuchGzip(file);
  const got = `damaged gzip (${cause instanceof Error ? cause.message : cause})`;
  return new FileFormatError(file, "a gzip file", got);
}

/** The error for a gzip file that unpacks to more than `unpackLimit` grants. */
export function tooMuchGzip(file: string): FileFormatError {
  const expected = "gzip that unpacks to no more than 64 times its size (if the file is sound, unpack it with gunzip)";
  return new FileFormatError(file, expected, "more", "file-limit");
}

/** The same memory without Buffer's own `slice`, which would not copy. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** The code of a system's error, like "ENOENT"; empty if there is none. */
export function errnoOf(cause: unknown): string {
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}
