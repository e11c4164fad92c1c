// Columns of published tables by their names, in any style: "Root ID", root_id and rootId are one.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { nearHint } from "../io/joinIds.ts";
import type { TableFile } from "../io/tableFile.ts";

/** Letters and digits alone, lower case. */
export function plainName(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}

/**
 * The first of the known names that a table has: as it is, else in another style.
 *
 * @param chosen  the column that the user names; it must be there
 * @param argument  name of the option for it
 * @returns the column's name in the table; null: none
 * @throws {ArgumentError} the chosen column is not there, with the nearest name
 * @throws {FileFormatError} a name that two columns have
 */
export function columnOf(
  table: Pick<TableFile, "file" | "columns">,
  known: readonly string[],
  chosen: string | undefined,
  argument: string,
): string | null {
  const names = table.columns.map(({ name }) => name);
  if (chosen !== undefined) {
    if (names.includes(chosen)) return chosen;
    const got = `${quoteText(chosen)}${nearHint(chosen, names)}`;
    const list = names.map((name) => quoteText(name, 40)).join(", ");
    throw new ArgumentError(table.file, argument, `one of its columns (${list})`, got);
  }
  for (const name of known) {
    if (names.includes(name)) return name;
    const matches = names.filter((other) => other !== "" && plainName(other) === plainName(name));
    if (matches.length === 1) return matches[0]!;
    if (matches.length > 1) {
      const both = matches.map((match) => quoteText(match)).join(" and ");
      throw new FileFormatError(table.file, `one column ${quoteText(name)} (or --${argument} COLUMN)`, both);
    }
  }
  return null;
}

/** `columnOf`, of which there must be one. */
export function neededColumnOf(
  table: Pick<TableFile, "file" | "columns">,
  known: readonly string[],
  chosen: string | undefined,
  argument: string,
): string {
  const found = columnOf(table, known, chosen, argument);
  if (found !== null) return found;
  const names = table.columns.map(({ name }) => quoteText(name, 40)).join(", ");
  const wanted = known.map((name) => quoteText(name)).join(" or ");
  throw new FileFormatError(table.file, `a column ${wanted} (or --${argument} COLUMN)`, `columns ${names}`);
}
