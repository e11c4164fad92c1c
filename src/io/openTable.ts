// Tables in files, by the extension of their names.

import { basename } from "node:path";
import { ArgumentError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { openArrowFile } from "./arrowFile.ts";
import { openParquetTable } from "./parquetTableFile.ts";
import type { TableFile } from "./tableFile.ts";
import { openTextTable, type TextTableOptions } from "./textTableFile.ts";

const OPENERS: Readonly<Record<string, (file: string, options: TextTableOptions) => Promise<TableFile>>> = {
  ".feather": openArrowFile,
  ".arrow": openArrowFile,
  ".arrows": openArrowFile,
  ".ipc": openArrowFile,
  ".parquet": openParquetTable,
  ".csv": openTextTable,
  ".csv.gz": openTextTable,
  ".tsv": openTextTable,
  ".tsv.gz": openTextTable,
};

/** Extensions of the files that `openTable` opens, each with its point. */
export const TABLE_EXTENSIONS: readonly string[] = Object.keys(OPENERS);

/** Whether a file has the extension of a table. */
export function isTableName(file: string): boolean {
  return extensionOf(file) !== null;
}

/**
 * Opens a table, in the format that the extension of its name says, in any case: `.feather`, `.arrow`, `.ipc` (files of Apache Arrow), `.arrows`
 * (streams), `.parquet`, `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz`. It holds a file open until `close`.
 *
 * @param options  of tables of text; the others have none
 * @throws {ArgumentError} another extension
 * @throws {FileFormatError} missing, damaged, or of another format than its name says
 * @throws {EngineError} "peer-missing": a package that decodes this file is not installed
 */
export async function openTable(file: string, options: TextTableOptions = {}): Promise<TableFile> {
  const extension = extensionOf(file);
  if (extension !== null) return OPENERS[extension]!(file, options);
  throw new ArgumentError("openTable", "file", `a table (${TABLE_EXTENSIONS.join(", ")})`, quoteText(basename(file)));
}

/** The longest extension that is known, or null. */
function extensionOf(file: string): string | null {
  const name = basename(file).toLowerCase();
  const found = TABLE_EXTENSIONS.filter((extension) => name.endsWith(extension) && name.length > extension.length);
  return found.reduce<string | null>((a, b) => (a === null || b.length > a.length ? b : a), null);
}
