// Text files line by line, as bytes of UTF-8: one pass over the file, unpacked on the way where it is gzip and converted where it is
// UTF-16, never held as a whole.

import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { FileFormatError } from "../core/errors.ts";
import { fileError, gzipError, isGzip, readHead, sizeOf, tooMuchGzip } from "./files.ts";
import { streamLimit } from "./limits.ts";
import type { ReadProgress, ReadTableOptions } from "./tableFile.ts";

const CHUNK_BYTES = 1 << 20;
/** Longest line; lines are collected in memory, and no table has longer ones. */
const MAX_LINE_BYTES = 1 << 24;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * Receives a line as bytes[begin … end), without its line end; the bytes are only valid during the call. Lines count from 1.
 * Throw to stop reading.
 */
export type LineVisitor = (bytes: Uint8Array, begin: number, end: number, line: number) => void;

/**
 * Calls `visit` for every line of a file (LF or CR LF; the last one needs no end), and skips a byte order mark.
 *
 * @param expected what the file should be, for the error message
 * @param options  as `readText`
 * @returns how many lines there were
 * @throws {FileFormatError} missing, unreadable, truncated or damaged gzip, gzip of much more than its size ("file-limit"), UTF-16 with half a character, a line of
 *   more than 16 MiB; whatever `visit` throws
 */
export async function forEachLine(
  file: string,
  expected: string,
  visit: LineVisitor,
  options: ReadTableOptions = {},
): Promise<number> {
  let line = 0;
  let rest: Uint8Array = new Uint8Array(0);
  const emit = (bytes: Uint8Array, begin: number, end: number): void => {
    line++;
    let from = begin;
    if (line === 1 && BYTE_ORDER_MARK.every((byte, i) => bytes[begin + i] === byte)) from += BYTE_ORDER_MARK.length;
    visit(bytes, from, end > from && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end, line);
  };
  for await (const chunk of readText(file, expected, options)) {
    let at = 0;
    if (rest.length > 0) {
      const end = chunk.indexOf(LINE_FEED);
      rest = joined(rest, chunk.subarray(0, end < 0 ? chunk.length : end));
      if (rest.length > MAX_LINE_BYTES) {
        throw new FileFormatError(`${file}:${line + 1}`, `a line of at most ${MAX_LINE_BYTES} bytes`, "a longer one");
      }
      if (end < 0) continue;
      emit(rest, 0, rest.length);
      rest = rest.subarray(0, 0);
      at = end + 1;
    }
    for (let end = chunk.indexOf(LINE_FEED, at); end >= 0; end = chunk.indexOf(LINE_FEED, at)) {
      emit(chunk, at, end);
      at = end + 1;
    }
    if (at < chunk.length) rest = chunk.slice(at);
  }
  if (rest.length > 0) emit(rest, 0, rest.length);
  return line;
}

type Decoder = InstanceType<typeof TextDecoder>;

/**
 * The text of a file piece by piece, as bytes of UTF-8 (which are not checked): unpacked where it is gzip, converted where a byte order
 * mark says that it is UTF-16.
 *
 * @param options  progress is in bytes of the file as it is stored
 * @throws {FileFormatError} as `forEachLine`
 * @throws the signal's reason
 */
export async function* readText(
  file: string,
  expected: string,
  { onProgress, signal }: ReadTableOptions = {},
): AsyncGenerator<Uint8Array> {
  let decoder: Decoder | null | undefined;
  const encoder = new TextEncoder();
  const converted = (decode: () => string): Uint8Array => {
    try {
      return encoder.encode(decode());
    } catch {
      throw new FileFormatError(file, "whole characters of UTF-16", "half a one");
    }
  };
  for await (const { bytes: chunk, progress } of chunksOf(file, expected)) {
    signal?.throwIfAborted();
    onProgress?.(progress);
    if (decoder === undefined) decoder = decoderOf(chunk);
    const utf16 = decoder;
    yield utf16 === null ? chunk : converted(() => utf16.decode(chunk, { stream: true }));
  }
  const utf16 = decoder;
  if (utf16) yield converted(() => utf16.decode());
}

/** A decoder of UTF-16, chosen by the byte order mark; null: the text is not UTF-16. */
function decoderOf(start: Uint8Array): Decoder | null {
  const [a, b] = start;
  const encoding = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : null;
  return encoding === null ? null : new TextDecoder(encoding, { fatal: true });
}

interface Chunk {
  readonly bytes: Uint8Array;
  /** Bytes of the file as it is stored. */
  readonly progress: ReadProgress;
}

/** The bytes of a file piece by piece, unpacked where they are gzip. */
async function* chunksOf(file: string, expected: string): AsyncGenerator<Chunk> {
  const packed = isGzip(await readHead(file, 2, expected));
  const source = createReadStream(file, { highWaterMark: CHUNK_BYTES });
  const stream = packed ? source.pipe(createGunzip({ chunkSize: CHUNK_BYTES })) : source;
  if (stream !== source) source.on("error", (cause) => stream.destroy(cause));
  try {
    const total = await sizeOf(file, expected);
    const limit = packed ? streamLimit(total) : Number.POSITIVE_INFINITY;
    let read = 0;
    // The bytes of a Buffer as a plain array, whose `slice` copies.
    for await (const { buffer, byteOffset, byteLength } of stream as AsyncIterable<Uint8Array>) {
      read += byteLength;
      if (read > limit) throw tooMuchGzip(file);
      yield {
        bytes: new Uint8Array(buffer, byteOffset, byteLength),
        progress: { done: Math.min(source.bytesRead, total), total },
      };
    }
  } catch (cause) {
    throw packed ? gzipError(file, cause) : fileError(file, expected, cause);
  } finally {
    source.destroy();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
