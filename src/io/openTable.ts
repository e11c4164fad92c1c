// Opens a table by the extension of its file.

import { FileFormatError } from "../core/errors.ts";
import { openArrowFile } from "./arrowFile.ts";
import { openParquetTable } from "./parquetTableFile.ts";
import type { TableFile } from "./tableFile.ts";
import { openTextTable } from "./textTableFile.ts";

/** Extensions of tables. */
export const TABLE_EXTENSIONS: readonly string[] = [
  ...[".feather", ".arrow", ".parquet"],
  ...[".csv", ".tsv", ".csv.gz", ".tsv.gz"],
];

/**
 * Opens a table.
 *
 * @throws {FileFormatError} missing, unreadable or damaged file, another extension
 * @throws {EngineError} "peer-missing": a package that decodes this file is not installed
 */
export function openTable(file: string): Promise<TableFile> {
  if (/\.(feather|arrow)$/i.test(file)) return openArrowFile(file);
  if (/\.parquet$/i.test(file)) return openParquetTable(file);
  if (/\.[ct]sv(\.gz)?$/i.test(file)) return openTextTable(file);
  throw new FileFormatError(file, `a table ending in ${TABLE_EXTENSIONS.join(", ")}`, "another extension");
}
