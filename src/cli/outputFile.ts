// Files that commands write.

import { FileFormatError } from "../core/errors.ts";
import { exists } from "../io/files.ts";

/** @throws {FileFormatError} "file-exists": a file that must not be replaced */
export async function refuseExisting(file: string, expected = "a new file, or --overwrite"): Promise<void> {
  if (await exists(file)) throw new FileFormatError(file, expected, "an existing one", "file-exists");
}
