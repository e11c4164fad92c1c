// Reads small text files, such as configurations and records: UTF-8 only, and no longer than the given limit.

import { createReadStream, readFileSync, statSync } from "node:fs";
import { FileFormatError } from "../core/errors.ts";
import { fileError } from "./files.ts";

/** Longest file in bytes, where nothing else is said. */
export const MAX_TEXT_BYTES: number = 1 << 20;

const LINE_FEED = 10;
const UTF16_MARKS: readonly string[] = ["feff", "fffe"];

/**
 * The text of a file, without a byte order mark.
 *
 * @param expected  what the file should be, for error messages
 * @throws {FileFormatError} missing, a directory, unreadable (`code` tells which), longer than `most` bytes, not UTF-8 (with the line)
 */
export async function readTextFile(file: string, expected: string, most: number = MAX_TEXT_BYTES): Promise<string> {
  return textOf(await bytesOf(file, expected, most), file, expected);
}

/** `readTextFile` at once, for short files that are read within other work; not from pipes or devices, which may never end. */
export function readTextFileSync(file: string, expected: string, most: number = MAX_TEXT_BYTES): string {
  let bytes: Uint8Array;
  try {
    const found = statSync(file);
    if (!found.isFile()) throw new FileFormatError(file, `${expected} in a file`, "a folder, pipe or device");
    if (found.size > most) throw new FileFormatError(file, `${expected} of at most ${most} bytes`, "a longer file");
    bytes = readFileSync(file);
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
  return textOf(bytes, file, expected);
}

function textOf(bytes: Uint8Array, file: string, expected: string): string {
  const text = decoded(bytes);
  if (text !== null) return text;
  if (UTF16_MARKS.includes(Buffer.from(bytes.subarray(0, 2)).toString("hex"))) {
    throw new FileFormatError(file, `${expected} in UTF-8`, "UTF-16");
  }
  throw new FileFormatError(`${file}:${firstBadLine(bytes)}`, `${expected} in UTF-8`, "bytes that are not UTF-8");
}

/** Piece by piece, as a pipe has no size and a device no end. */
async function bytesOf(file: string, expected: string, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of createReadStream(file) as AsyncIterable<Uint8Array>) {
      length += piece.length;
      if (length > most) throw new FileFormatError(file, `${expected} of at most ${most} bytes`, "a longer file");
      pieces.push(piece);
    }
  } catch (cause) {
    throw fileError(file, expected, cause);
  }
  return Buffer.concat(pieces);
}

function firstBadLine(bytes: Uint8Array): number {
  let line = 1;
  for (let begin = 0; begin < bytes.length; line++) {
    const end = bytes.indexOf(LINE_FEED, begin);
    if (end < 0 || decoded(bytes.subarray(begin, end)) === null) break;
    begin = end + 1;
  }
  return line;
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}
