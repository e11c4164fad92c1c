// Tables of text with a separator between cells (CSV, TSV), row by row as bytes of UTF-8. Cells may be quoted with " (a doubled one
// stands for itself) and then have separators and line ends in them. Source: RFC 4180.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { printable, quoteText, shortened } from "../core/text.ts";
import { parseDecimal, parseWhole, parseWhole64 } from "./decimal.ts";
import { nearHint } from "./joinIds.ts";
import { checkIdText, idOfText, isMissing, type NeuronId } from "./neuronIds.ts";
import type { ReadTableOptions } from "./tableFile.ts";
import type { TextDictionary } from "./textDictionary.ts";
import { forEachLine, type LineVisitor } from "./textLines.ts";
import { listOf } from "./zip.ts";

/** A column by its position from 0, or by its name in the header; text of digits that is no name is a position. */
export type Column = string | number;

/** How a table of text is laid out. */
export interface TableFormat {
  /** One character. Default: a tab for .tsv, else a comma; if the first line has none, its tab, comma or semicolon. */
  readonly delimiter?: string;
  /**
   * Whether the first line holds names. Default: it does if a column is requested by name, or if the first line has text in a column of
   * numbers; required if neither decides.
   */
  readonly header?: boolean;
}

const QUOTE = 34;
const SPACE = 32;
const LINE_FEED = 10;
const DELIMITERS = [",", ";", "\t"] as const;
/** A longer quoted cell must have lost its closing quote. */
const MAX_ROW_LINES = 1000;
const MAX_ROW_BYTES = 1 << 20;
/** A few kilobytes of gzip can hold millions of separators; no real row has more cells than this. */
const MAX_CELLS = 1 << 20;

/** One row of a table; valid until the next one is read. */
export class Row {
  /** Line of the file in which it begins, from 1. */
  line = 0;
  /** How many cells. */
  width = 0;
  /** Names of the columns; null where the table has none, or while they are read. */
  names: readonly string[] | null = null;
  readonly #file: string;
  readonly #delimiter: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #bytes: Uint8Array = new Uint8Array(0);
  #begin = 0;
  /** Begin and end of cell i: entries 2i and 2i + 1. */
  readonly #bounds: number[] = [];

  constructor(file: string, delimiter: number) {
    this.#file = file;
    this.#delimiter = delimiter;
  }

  /**
   * Splits bytes[begin … end).
   *
   * @returns false where a quote is not closed
   * @throws {FileFormatError} text between a closing quote and the next separator, more than 2^20 cells
   */
  split(bytes: Uint8Array, begin: number, end: number, line: number): boolean {
    this.#bytes = bytes;
    this.#begin = begin;
    this.line = line;
    this.width = 0;
    for (let at = begin; at <= end; at++) {
      if (this.width === MAX_CELLS) {
        throw new FileFormatError(`${this.#file}:${line}`, `at most ${MAX_CELLS} cells`, "more");
      }
      let from = at;
      while (from < end && bytes[from] === SPACE) from++;
      let to: number;
      if (bytes[from] === QUOTE && from < end) {
        to = ++from;
        while (to < end && (bytes[to] !== QUOTE || (to + 1 < end && bytes[to + 1] === QUOTE))) {
          to += bytes[to] === QUOTE ? 2 : 1;
        }
        if (to >= end) return false;
        at = to + 1;
        while (at < end && bytes[at] === SPACE) at++;
        if (at < end && bytes[at] !== this.#delimiter) throw this.#textAfterQuote(at, end);
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

  /**
   * The text of cell i, without the spaces and quotes around it.
   *
   * @throws {FileFormatError} bytes that are no UTF-8
   */
  text(i: number): string {
    const from = this.#bounds[2 * i]!;
    const bytes = this.#bytes.subarray(from, this.#bounds[2 * i + 1]!);
    let text: string;
    try {
      text = this.#decoder.decode(bytes);
    } catch {
      throw this.#notUtf8(i, bytes, from);
    }
    return this.#bytes[from - 1] === QUOTE && from > this.#begin ? text.replaceAll('""', '"') : text;
  }

  /** The entry of a dictionary that has the text of cell i. */
  textIdx(i: number, dictionary: TextDictionary): number {
    const from = this.#bounds[2 * i]!;
    const to = this.#bounds[2 * i + 1]!;
    const isQuoted = from > this.#begin && this.#bytes[from - 1] === QUOTE;
    const hasQuotes = isQuoted && this.#bytes.subarray(from, to).includes(QUOTE);
    return hasQuotes
      ? dictionary.indexOfText(this.text(i))
      : dictionary.indexOf(this.#bytes, from, to, () => this.text(i));
  }

  /** Whether cell i has no characters but spaces. */
  isEmpty(i: number): boolean {
    return this.#bounds[2 * i] === this.#bounds[2 * i + 1];
  }

  /** The number in cell i, or NaN. */
  number(i: number): number {
    return parseDecimal(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!);
  }

  /** The whole number ≥ 0 in cell i where it is one in its shortest form, or −1. */
  whole(i: number): number {
    return parseWhole(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!);
  }

  /** As `parseWhole64`: entry k of an array of 64 bits becomes the whole number in cell i. */
  whole64(i: number, words: Uint32Array, k: number): boolean {
    return parseWhole64(this.#bytes, this.#bounds[2 * i]!, this.#bounds[2 * i + 1]!, words, k);
  }

  /** The id of a neuron in cell i, not checked (`checkIdText`). */
  id(i: number): NeuronId {
    const whole = this.whole(i);
    return whole >= 0 ? whole : idOfText(this.text(i));
  }

  /**
   * The id in cell i.
   *
   * @throws {FileFormatError} as `checkIdText`
   */
  checkedId(i: number): NeuronId {
    const id = this.id(i);
    if (typeof id === "string") checkIdText(id, () => this.place(i));
    return id;
  }

  /** Place of cell i, for messages. */
  place(i: number): string {
    return placeOf(this.#file, this.line, this.names?.[i] ?? i);
  }

  /** The error for cell i: what was expected there. */
  error(i: number, expected: string, got: string = quoteText(this.text(i))): FileFormatError {
    return new FileFormatError(this.place(i), expected, got);
  }

  /** The finite number in cell i. */
  finite(i: number, expected: string): number {
    const value = this.number(i);
    if (!Number.isNaN(value)) return value;
    const text = this.text(i);
    const hint = /^[+-]?\d+(,\d+)+$/.test(text) ? " (numbers have a decimal point, and no comma)" : "";
    throw this.error(i, expected, `${quoteText(text)}${hint}`);
  }

  #textAfterQuote(at: number, end: number): FileFormatError {
    const rest = new TextDecoder().decode(this.#bytes.subarray(at, end));
    const expected = `a separator after the closing quote of cell ${this.width + 1} (a quote within is doubled)`;
    return new FileFormatError(`${this.#file}:${this.line}`, expected, quoteText(rest));
  }

  #notUtf8(i: number, bytes: Uint8Array, from: number): FileFormatError {
    const valid = validUtf8(bytes);
    const byte = bytes[valid]!.toString(16).padStart(2, "0");
    const got = `the byte 0x${byte} at position ${from + valid - this.#begin + 1} of the line, as Latin-1 has it (to convert: iconv -f latin1 -t utf-8)`;
    return this.error(i, "text in UTF-8", got);
  }
}

/** Place of a cell, for messages; `column` is a name or a position. */
export function placeOf(file: string, line: number, column: Column): string {
  const name = typeof column === "number" ? `${column}` : nameText(column);
  return `${file}:${line}, column ${name}`;
}

/** Receiver of the rows of a table. */
export interface RowVisitor {
  /** Whether the first line holds names, where the format does not say it. Default: it does. */
  isHeader?(first: Row): boolean;
  /** Called once, before any row; `names` is null where the table has no header. */
  start(names: readonly string[] | null, width: number): void;
  /** Throw to stop reading. */
  row(row: Row): void;
}

/**
 * Reads a table row by row; empty lines are skipped.
 *
 * @param expected what the file should be, for the error message
 * @param options  progress is in bytes of the file as it is stored
 * @throws {FileFormatError} as `forEachLine`; an empty file, a quote without an end, a row with more or fewer cells than the first
 */
export async function forEachRow(
  file: string,
  expected: string,
  format: TableFormat,
  visitor: RowVisitor,
  options: ReadTableOptions = {},
): Promise<void> {
  let row: Row | null = null;
  const visit = (bytes: Uint8Array, begin: number, end: number, line: number): boolean => {
    const first = row === null;
    row ??= new Row(file, delimiterOf(file, format, bytes.subarray(begin, end)));
    const width = row.width;
    if (!row.split(bytes, begin, end, line)) {
      if (first) row = null;
      else row.width = width;
      return false;
    }
    if (first) {
      checkFirstLine(file, bytes.subarray(begin, end));
      const names = (format.header ?? visitor.isHeader?.(row) ?? true) ? textsOf(row) : null;
      visitor.start(names, row.width);
      row.names = names;
      if (names !== null) return true;
    } else if (row.width !== width) {
      throw new FileFormatError(`${file}:${line}`, `${width} cells`, `${row.width}`);
    }
    visitor.row(row);
    return true;
  };
  // A row whose quoted cell continues in the next line.
  let open: OpenRow | null = null;
  const visitLine: LineVisitor = (bytes, begin, end, line) => {
    if (open !== null) {
      open.add(bytes.subarray(begin, end), line);
      if (open.mayEnd && visit(open.bytes, 0, open.bytes.length, open.line)) open = null;
    } else if (begin !== end && !visit(bytes, begin, end, line)) {
      open = new OpenRow(file, bytes.slice(begin, end), line);
    }
  };
  await forEachLine(file, expected, visitLine, options);
  if (open !== null) throw (open as OpenRow).unclosed("the end of the file");
  if (row === null) throw new FileFormatError(file, expected, "an empty file", "file-truncated");
}

/** The beginning of a row that has a quoted cell over several lines. */
class OpenRow {
  bytes: Uint8Array;
  /** Line in which it begins. */
  readonly line: number;
  /** Whether the last line has an odd number of quotes; only such a line closes an open quote. */
  mayEnd = false;
  readonly #file: string;

  constructor(file: string, bytes: Uint8Array, line: number) {
    this.#file = file;
    this.bytes = bytes;
    this.line = line;
  }

  add(line: Uint8Array, number: number): void {
    if (number - this.line > MAX_ROW_LINES || this.bytes.length + line.length > MAX_ROW_BYTES) {
      throw this.unclosed(`none until line ${number}`);
    }
    const both = new Uint8Array(this.bytes.length + 1 + line.length);
    both.set(this.bytes);
    both[this.bytes.length] = LINE_FEED;
    both.set(line, this.bytes.length + 1);
    this.bytes = both;
    this.mayEnd = line.reduce((odd, byte) => (byte === QUOTE ? !odd : odd), false);
  }

  unclosed(got: string): FileFormatError {
    return new FileFormatError(`${this.#file}:${this.line}`, "a closing quote", got);
  }
}

/**
 * Whether the first line of a table holds names: not where all its cells are numbers; else where a column is asked for by its name,
 * or where the cell that must be a number is text.
 *
 * @param columns those asked for; undefined: by its default name
 * @param number position of a column of numbers; null: there is none
 * @throws {FileFormatError} neither the cells nor the requested columns decide
 */
export function firstLineIsHeader(
  first: Row,
  columns: readonly (Column | undefined)[],
  number: number | null,
): boolean {
  const cells = Array.from({ length: first.width }, (_, i) => i);
  if (cells.every((i) => !Number.isNaN(first.number(i)))) return false;
  if (columns.every((column) => column === undefined) || columns.some((column) => isName(column))) return true;
  if (number === null || number >= first.width) {
    const got = `${listOf(textsOf(first).map((text) => quoteText(text)))} and columns by position`;
    throw new FileFormatError(
      first.place(0),
      "the option header (--header, --no-header), as it is unclear whether the first line holds names",
      got,
    );
  }
  return Number.isNaN(first.number(number)) && !isMissing(first.text(number));
}

function isName(column: Column | undefined): boolean {
  return typeof column === "string" && !/^\d+$/.test(column);
}

/**
 * The position of a column.
 *
 * @throws {FileFormatError} no such column, or a name that several have; names those that there are
 */
export function columnIndex(column: Column, names: readonly string[] | null, width: number, file: string): number {
  const byName = typeof column === "string" && names ? names.indexOf(column) : -1;
  if (byName >= 0) {
    if (names!.lastIndexOf(column as string) === byName) return byName;
    throw new FileFormatError(
      file,
      `one column ${nameText(String(column))} (or its position from 0)`,
      "several of this name",
    );
  }
  if (/^\d+$/.test(String(column)) && Number(column) < width) return Number(column);
  if (names === null) {
    throw new FileFormatError(file, `column "${column}"`, `${width} columns without names (give positions from 0)`);
  }
  const hint = nearHint(String(column), names);
  throw new FileFormatError(file, `a column ${nameText(String(column))}`, `columns ${namesText(names)}${hint}`);
}

/** Names of columns for messages. */
export function namesText(names: readonly string[]): string {
  return listOf(names.map((name) => printable(shortened(name, 60))));
}

function nameText(name: string): string {
  return quoteText(name, 60);
}

function textsOf(row: Row): string[] {
  return Array.from({ length: row.width }, (_, i) => row.text(i));
}

/** @throws {FileFormatError} line ends of old systems */
function checkFirstLine(file: string, line: Uint8Array): void {
  if (line.includes(13)) throw new FileFormatError(`${file}:1`, "lines that end in LF or CR LF", "CR alone");
}

function delimiterOf(file: string, { delimiter }: TableFormat, first: Uint8Array): number {
  if (delimiter !== undefined) {
    if (delimiter.length === 1 && delimiter.charCodeAt(0) < 128 && !/["\r\n]/.test(delimiter)) {
      return delimiter.charCodeAt(0);
    }
    throw new ArgumentError(file, "delimiter", "one ASCII character", quoteText(delimiter));
  }
  const usual = /\.tsv(\.gz)?$/i.test(file) ? "\t" : ",";
  const splits = (character: string): boolean => {
    const row = new Row(file, character.charCodeAt(0));
    try {
      return row.split(first, 0, first.length, 1) && row.width > 1;
    } catch {
      return false;
    }
  };
  const others = splits(usual) ? [] : DELIMITERS.filter(splits);
  return (others.length === 1 ? others[0]! : usual).charCodeAt(0);
}

/** How many bytes at the start are UTF-8. */
function validUtf8(bytes: Uint8Array): number {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    // A piece that ends within a character is valid so far.
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      good = middle;
    } catch {
      bad = middle;
    }
  }
  return Math.min(good, bytes.length - 1);
}
