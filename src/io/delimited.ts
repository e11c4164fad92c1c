// Tables of text with a separator between cells (CSV, TSV), row by row as bytes. Cells may be quoted with " (a doubled one stands
// for itself); a quoted cell must not contain a line end. Source: RFC 4180.

import { ArgumentError, FileFormatError, nearestName } from "../core/errors.ts";
import { parseDecimal, parseWhole } from "./decimal.ts";
import { forEachLine } from "./textLines.ts";
import { listOf } from "./zip.ts";

/** A column by its position from 0, or by its name in the header; text of digits that is no name is a position. */
export type Column = string | number;

/** How a table of text is laid out. */
export interface TableFormat {
  /** One character. Default: a tab for .tsv, else a comma. */
  readonly delimiter?: string;
  /** Whether the first line holds names. Default: it does unless all its cells are numbers. */
  readonly header?: boolean;
}

const QUOTE = 34;
const SPACE = 32;

/** One row of a table; valid until the next one is read. */
export class Row {
  /** Line of the file, from 1. */
  line = 0;
  /** How many cells. */
  width = 0;
  readonly #delimiter: number;
  readonly #decoder = new TextDecoder();
  #bytes: Uint8Array = new Uint8Array(0);
  /** Where cell i begins and ends: entries 2i and 2i + 1. */
  readonly #bounds: number[] = [];

  constructor(delimiter: number) {
    this.#delimiter = delimiter;
  }

  /** Splits bytes[begin … end). Returns false where a quote is not closed. */
  split(bytes: Uint8Array, begin: number, end: number, line: number): boolean {
    this.#bytes = bytes;
    this.line = line;
    this.width = 0;
    for (let at = begin; at <= end; at++) {
      let from = at;
      while (from < end && bytes[from] === SPACE) from++;
      let to: number;
      if (bytes[from] === QUOTE && from < end) {
        to = ++from;
        while (to < end && (bytes[to] !== QUOTE || bytes[to + 1] === QUOTE)) to += bytes[to] === QUOTE ? 2 : 1;
        if (to >= end) return false;
        at = to + 1;
        while (at < end && bytes[at] !== this.#delimiter) at++;
      } else {
        at = from;
        while (at < end && bytes[at] !== this.#delimiter) at++;
        to = at;
        while (to > from && bytes[to - 1] === SPACE) to--;
      }
      this.#bounds[2 * this.width] = from;
      this.#bounds[2 * this.width + 1] = to;
      this.width++;
    }
    return true;
  }

  /** The text of cell i, without the spaces and quotes around it. */
  text(i: number): string {
    const from = this.#bounds[2 * i]!;
    const text = this.#decoder.decode(this.#bytes.subarray(from, this.#bounds[2 * i + 1]!));
    return this.#bytes[from - 1] === QUOTE ? text.replaceAll('""', '"') : text;
  }

  /** The number in cell i, or NaN. */
  number(i: number): number {
    return parseDecimal(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!);
  }

  /** The whole number ≥ 0 in cell i where it is one in its shortest form, or −1. */
  whole(i: number): number {
    return parseWhole(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!);
  }
}

/** What receives the rows of a table. */
export interface RowVisitor {
  /** Called once, before any row; `names` is null where the table has no header. */
  start(names: readonly string[] | null, width: number): void;
  /** Throw to stop reading. */
  row(row: Row): void;
}

/**
 * Reads a table row by row; empty lines are skipped.
 *
 * @param expected what the file should be, for the error message
 * @throws {FileFormatError} as `forEachLine`; an empty file, a quote without an end, a row with more or fewer cells than the first
 */
export async function forEachRow(
  file: string,
  expected: string,
  format: TableFormat,
  visitor: RowVisitor,
): Promise<void> {
  const row = new Row(delimiterOf(file, format));
  let width = -1;
  await forEachLine(file, expected, (bytes, begin, end, line) => {
    if (begin === end) return;
    const bad = (what: string, got: string): FileFormatError => new FileFormatError(`${file}:${line}`, what, got);
    if (!row.split(bytes, begin, end, line)) throw bad("a closing quote", "the end of the line");
    if (width < 0) {
      width = row.width;
      const cells = Array.from({ length: width }, (_, i) => i);
      const header = format.header ?? cells.some((i) => Number.isNaN(row.number(i)));
      visitor.start(header ? cells.map((i) => row.text(i)) : null, width);
      if (header) return;
    }
    if (row.width !== width) throw bad(`${width} cells`, `${row.width}`);
    visitor.row(row);
  });
  if (width < 0) throw new FileFormatError(file, expected, "an empty file", "file-truncated");
}

/**
 * The position of a column.
 *
 * @throws {FileFormatError} no such column; names those that there are
 */
export function columnIndex(column: Column, names: readonly string[] | null, width: number, file: string): number {
  const byName = typeof column === "string" && names ? names.indexOf(column) : -1;
  if (byName >= 0) return byName;
  if (/^\d+$/.test(String(column)) && Number(column) < width) return Number(column);
  if (names === null) {
    throw new FileFormatError(file, `column "${column}"`, `${width} columns without names (give positions from 0)`);
  }
  const near = nearestName(String(column), names);
  const hint = near === null ? "" : ` (did you mean "${near}"?)`;
  throw new FileFormatError(file, `a column "${column}"`, `columns ${listOf(names)}${hint}`);
}

function delimiterOf(file: string, { delimiter }: TableFormat): number {
  const character = delimiter ?? (/\.tsv(\.gz)?$/i.test(file) ? "\t" : ",");
  if (character.length !== 1 || character.charCodeAt(0) > 127 || /["\r\n]/.test(character)) {
    throw new ArgumentError("readConnectome", "delimiter", "one ASCII character", JSON.stringify(delimiter));
  }
  return character.charCodeAt(0);
}
