// The identity of a file: what a run records of its inputs.

import { createHash } from "node:crypto";
import { readPieces } from "./files.ts";
import type { JsonParts } from "./jsonParts.ts";

/** Identity of a file's content. */
export interface FileHash {
  /** SHA-256, 64 hexadecimal digits. */
  readonly sha256: string;
  readonly bytes: number;
}

/** A file that a run read, as its record has it. */
export interface HashedFile extends FileHash {
  /** What it is to the run: "connectome", "neurons" or "data". */
  readonly role: string;
  /** Its path, relative to the folder in which the run was started. */
  readonly file: string;
}

/**
 * SHA-256 of a file's content and its size, read piece by piece. Source: FIPS 180-4.
 *
 * @param onProgress  called with the bytes that have been read
 * @throws {FileFormatError} missing, a folder, unreadable
 */
export async function hashOf(file: string, onProgress: (bytes: number) => void = () => {}): Promise<FileHash> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of readPieces(file, 0, "a file")) {
    hash.update(piece);
    bytes += piece.length;
    onProgress(bytes);
  }
  return { sha256: hash.digest("hex"), bytes };
}

/** A file as a record in JSON has it. @throws {FileFormatError} a part that is missing or wrong */
export function hashedFileOf(file: JsonParts): HashedFile {
  return {
    role: file.text("role"),
    file: file.text("file"),
    sha256: file.text("sha256"),
    bytes: file.count("bytes"),
  };
}
