// The identity of the program: which code computes a run.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compareText } from "../core/text.ts";

/** The compiled program: `src/` and `wasm/` lie below it. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const WASM = "wasm/axograd.wasm";

/**
 * SHA-256 over names and contents of all files of the compiled program, in the order of their names: two copies with the same hash compute the
 * same, on the same machine and with the same Node.js and packages. It says more than a version or a commit, as it changes with any change
 * that was built.
 */
export async function codeHash(): Promise<string> {
  const entries = await readdir(join(ROOT, "src"), { recursive: true });
  const scripts = entries.filter((name) => name.endsWith(".js")).map((name) => `src/${name.replaceAll("\\", "/")}`);
  const hash = createHash("sha256");
  for (const name of [...scripts, WASM].sort(compareText)) {
    const content = await readFile(join(ROOT, name));
    hash.update(`${name} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}
