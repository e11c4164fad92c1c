// Large data that tests may use but the repository does not hold: goldens of the reference, connectomes, data sets.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * A path in the optional data folder: the one that AXOGRAD_SHARED names, else `shared` beside the repository.
 *
 * @returns null where the folder, or what is asked for in it, is absent; skip the test then (`testOrSkip`)
 */
export function sharedPath(...parts: readonly string[]): string | null {
  const folder = process.env.AXOGRAD_SHARED ?? join(repositoryRoot(), "..", "shared");
  const path = join(folder, ...parts);
  return existsSync(path) ? path : null;
}

/** The folder of package.json, above this file wherever it was compiled to. */
export function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("repositoryRoot: expected a package.json above this file, got none");
    folder = parent;
  }
  return folder;
}
