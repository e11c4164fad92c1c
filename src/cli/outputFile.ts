// Files that commands write.

import { access } from "node:fs/promises";
import { dirname } from "node:path";
import { FileFormatError } from "../core/errors.ts";
import { writeError } from "../io/durable.ts";
import { exists } from "../io/files.ts";

/**
 * Checks before long work that its result has a place.
 *
 * @throws {FileFormatError} "file-exists": a file that must not be replaced
 * @throws {EngineError} "file-write": there is no such folder
 */
export async function checkOutput(file: string, overwrite: boolean): Promise<void> {
  if (!overwrite) await refuseExisting(file);
  await access(dirname(file)).catch((cause: unknown) => {
    throw writeError(file, cause);
  });
}

/** @throws {FileFormatError} "file-exists": a file that must not be replaced */
export async function refuseExisting(file: string, expected = "a new file, or --overwrite"): Promise<void> {
  if (await exists(file)) throw new FileFormatError(file, expected, "an existing one", "file-exists");
}
