// Texts that a test compares with files of the repository. AXOGRAD_WRITE_TEXTS=1 writes the files instead; read the difference then.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repositoryRoot } from "./shared.ts";

/**
 * Asserts that `text` is what the file `name` below test/ holds.
 *
 * @throws {Error} with the first line that differs, or that there is no such file
 */
export function assertGoldenText(name: string, text: string, folder: string = join(repositoryRoot(), "test")): void {
  const file = join(folder, name);
  if (process.env.AXOGRAD_WRITE_TEXTS) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  if (!existsSync(file)) throw new Error(`${name}: expected a file, got none; AXOGRAD_WRITE_TEXTS=1 writes it`);
  const expected = readFileSync(file, "utf8").split("\n");
  const actual = text.split("\n");
  const at = expected.findIndex((line, i) => line !== actual[i]);
  if (at < 0 && actual.length === expected.length) return;
  const line = at < 0 ? expected.length : at;
  throw new Error(
    `${name}, line ${line + 1}: expected "${expected[line] ?? ""}", got "${actual[line] ?? ""}" ` +
      `(${expected.length} lines, got ${actual.length}); AXOGRAD_WRITE_TEXTS=1 writes the file anew`,
  );
}
