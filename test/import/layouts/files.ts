// Files of small tables in the formats that data sets are published in, and ways to damage them.

import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { type DataType, int64, tableFromArrays, tableToIPC, utf8 } from "@uwdata/flechette";

export type Cell = string | number | bigint | null;

/** A table as CSV, or TSV by its name; packed where the name ends in .gz. An empty cell is null. */
export async function writeCsv(
  file: string,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): Promise<void> {
  const gap = /\.tsv(\.gz)?$/.test(file) ? "\t" : ",";
  const text = [header, ...rows].map((row) => `${row.map((cell) => csvText(cell, gap)).join(gap)}\n`).join("");
  await writeFile(file, file.endsWith(".gz") ? gzipSync(text) : text);
}

function csvText(cell: Cell, gap: string): string {
  const text = cell === null ? "" : String(cell);
  return text.includes(gap) || /["\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A column of a Feather file: its type, and its cells, null where they are empty. */
export type FeatherColumn = readonly [type: DataType, cells: readonly (Cell | readonly number[])[]];

/** A table as an Arrow file, not packed, in batches of `batchRows`. */
export async function writeFeather(
  file: string,
  columns: Readonly<Record<string, FeatherColumn>>,
  batchRows = 50,
): Promise<void> {
  const entries = Object.entries(columns);
  const data = entries.map(([name, [, cells]]): [string, unknown[]] => [name, [...cells]]);
  const types = Object.fromEntries(entries.map(([name, [type]]) => [name, type]));
  const bytes = tableToIPC(tableFromArrays(data, { types, maxBatchRows: batchRows }), { format: "file" });
  await writeFile(file, bytes!);
}

export function int64s(cells: readonly (string | number | bigint | null)[]): FeatherColumn {
  return [int64(), cells.map((cell) => (cell === null ? null : BigInt(cell)))];
}

export function texts(cells: readonly (string | null)[]): FeatherColumn {
  return [utf8(), cells];
}

/** Cuts the end off a file. @param share  what remains, from 0 to 1 */
export async function truncate(file: string, share: number): Promise<void> {
  const bytes = await readFile(file);
  await writeFile(file, bytes.subarray(0, Math.floor(share * bytes.length)));
}

/** Flips bits of one byte. @param place  from 0, the first byte, to 1, the end */
export async function flip(file: string, place: number, bits = 0xff): Promise<void> {
  const bytes = await readFile(file);
  bytes[Math.min(bytes.length - 1, Math.floor(place * bytes.length))]! ^= bits;
  await writeFile(file, bytes);
}

/** Replaces text in a file that is not packed. */
export async function replaceText(file: string, from: string | RegExp, to: string): Promise<void> {
  const text = await readFile(file, "utf8");
  const changed = text.replace(from, to);
  if (changed === text) throw new Error(`${file} does not have ${from}`);
  await writeFile(file, changed);
}
