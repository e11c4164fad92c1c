// Files that a command writes: new ones, unless the user allows it to replace them.

import { access } from "node:fs/promises";
import { FileFormatError } from "../core/errors.ts";

/** @throws {FileFormatError} "file-exists": the file exists */
export async function refuseExisting(file: string): Promise<void> {
  try {
    await access(file);
  } catch {
    return;
  }
  throw new FileFormatError(file, "a new file, or --overwrite", "an existing one", "file-exists");
}
