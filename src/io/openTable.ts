// Opens a table by the extension of its file.

import { openArrowFile } from "./arrowFile.ts";
import type { TableFile } from "./tableFile.ts";
import { openTextTable } from "./textTableFile.ts";

export function openTable(file: string): Promise<TableFile> {
  return /\.(feather|arrow)$/i.test(file) ? openArrowFile(file) : openTextTable(file);
}
