// Files that survive a crash: written under a temporary name, synced to the disk, then renamed. Readers see the old content or the new one, never
// a part, even after a power failure.

import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { EngineError } from "../core/errors.ts";
import { printable } from "../core/text.ts";

/** Words for failures that a user can fix. */
const WRITE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "no such folder",
  ENOTDIR: "a path through something that is not a folder",
  EEXIST: "a file of this name",
  EISDIR: "a folder of this name",
  ELOOP: "a symbolic link that cannot be followed",
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EROFS: "a read-only file system",
  ENOSPC: "a full disk",
  EDQUOT: "a used-up disk quota",
  EFBIG: "a limit on the size of files",
  EIO: "a disk that fails",
};

/** The typed error for a failed write to `file`; its code is "file-write". */
export function writeError(file: string, cause: unknown): EngineError {
  const errno = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  const got = WRITE_ERRORS[errno] ?? (cause instanceof Error ? cause.message : String(cause));
  return new EngineError(
    "file-write",
    `${printable(file)}: expected a place to write to, got ${got}`,
    { file, errno },
    cause,
  );
}

/**
 * Replaces the content of a file by `parts`, one after another. If making a part fails, passes the error on and keeps the old content.
 *
 * @param head  makes the bytes that replace the beginning once all parts are written
 * @throws {EngineError} "file-write": the disk is full, the folder is missing or not writable; the old content is still there
 */
export async function replaceFile(
  file: string,
  parts: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
  head?: () => Uint8Array,
): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const handle = await open(temporary, "w");
    try {
      for await (const part of parts) await handle.writeFile(part);
      if (head) await writeHead(handle, head());
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (cause) {
    // The reason is the first failure: a path through a file has no temporary either.
    await rm(temporary, { force: true }).catch(() => {});
    throw cause instanceof EngineError ? cause : writeError(file, cause);
  }
}

async function writeHead(handle: FileHandle, head: Uint8Array): Promise<void> {
  for (let at = 0; at < head.length; ) at += (await handle.write(head, at, head.length - at, at)).bytesWritten;
}

/**
 * Makes a folder and its parents. Does not use `recursive`, as mkdir of Node 20 then never returns on file systems that report new names as
 * missing (/proc, automounted folders).
 *
 * @throws {EngineError} "file-write": a part of the path is a file, or must not be made
 */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  const above = dirname(folder);
  if (await isFolder(folder)) return;
  if (above !== folder) await makeFolder(above);
  try {
    await mkdir(folder);
  } catch (cause) {
    // Another process may have been faster.
    if (!(await isFolder(folder))) throw writeError(path, cause);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** Makes a rename durable, except on systems that cannot open a folder (Windows). */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
