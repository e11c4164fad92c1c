// Lists of neurons' ids as text files, one id per line.

import { FileFormatError } from "../core/errors.ts";
import type { IdReader } from "../core/selector.ts";
import { replaceFile } from "./durable.ts";
import { checkIdText } from "./neuronIds.ts";
import { readTextFileSync } from "./textFile.ts";

const EXPECTED = "lines with one id each";
/** Some millions of ids. */
const MOST_BYTES = 2 ** 26;

/**
 * The ids in a file, one per line, with their lines; empty lines are skipped.
 *
 * @throws {FileFormatError} missing, no file, longer than 64 MiB, not UTF-8, a line that is no id, no id at all
 */
export const readIdList: IdReader = (file) => {
  const lines = readTextFileSync(file, EXPECTED, MOST_BYTES).split(/\r?\n/);
  const ids = lines.map((text, i) => ({ id: text.trim(), line: i + 1 })).filter(({ id }) => id !== "");
  for (const { id, line } of ids) checkIdText(id, () => `${file}:${line}`);
  if (ids.length === 0) throw new FileFormatError(file, EXPECTED, "none");
  return ids;
};

/** Writes ids, one per line, durably; selectors read the file back as @FILE. */
export async function writeIdList(file: string, ids: readonly (string | number)[]): Promise<void> {
  await replaceFile(file, [ids.map((id) => `${id}\n`).join("")]);
}
