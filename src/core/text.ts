// Order of texts, and escapes for texts from files and users: none of their characters may have an effect where they are written.

import { formatCount } from "./format.ts";

/** By code points, as Python and NumPy compare; the units of UTF-16 would put rare characters before common ones. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  // Back to the start of a character that differs in its second half.
  if (i > 0 && isHighSurrogate(a.charCodeAt(i - 1))) i--;
  return a.codePointAt(i)! - b.codePointAt(i)!;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

/** Longest text that is quoted whole. */
const QUOTED_LENGTH = 120;

/** Text in quotes, as JSON writes it, on one line; a long one without its middle, and with its length. */
export function quoteText(text: string, limit: number = QUOTED_LENGTH): string {
  if (text.length <= limit) return jsonText(text);
  const [head, tail] = endsOf(text, limit);
  return `${jsonText(`${head}…${tail}`)} (${formatCount(text.length)} characters)`;
}

/** Any value in a few words: text in quotes, all else as JSON, shortened. Numbers that JSON does not have are written as they are. */
export function quoteValue(value: unknown): string {
  if (typeof value === "string") return quoteText(value);
  if (value === undefined) return "nothing";
  return shortened(printable(typeof value === "number" ? String(value) : valueText(value)), QUOTED_LENGTH);
}

function valueText(value: unknown): string {
  const named = (_: string, part: unknown): unknown =>
    typeof part === "bigint" || (typeof part === "number" && !Number.isFinite(part)) ? String(part) : part;
  try {
    return JSON.stringify(value, named) ?? String(value);
  } catch {
    return "a value that contains itself";
  }
}

/** JSON without control characters that a terminal acts on. */
export function jsonText(value: unknown, indent?: number): string {
  return printable(JSON.stringify(value, null, indent), { lines: true });
}

/**
 * Makes characters visible that a terminal would act on, hide or reorder: control characters, line ends (kept with `lines`), direction
 * overrides, lone surrogates, noncharacters. Joiners of letters (U+200C, U+200D) stay.
 */
export function printable(text: string, { lines = false }: { readonly lines?: boolean } = {}): string {
  return text.replace(UNPRINTABLE, (character) => (lines && character === "\n" ? character : escaped(character)));
}

const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\ufffe\uffff]|(?![\u200c\u200d])\p{Cf}/gu;
const SHORT_FORMS: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** As JSON and JavaScript write it, a unit of UTF-16 at a time. */
function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, k) => character.charCodeAt(k));
  return SHORT_FORMS[character] ?? units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** At most about `limit` characters: of a longer text its two ends, with its length between them. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const [head, tail] = endsOf(text, limit);
  return `${head}… (${formatCount(text.length)} characters) …${tail}`;
}

/** The first two thirds of `limit` and the last third, without half a character. */
function endsOf(text: string, limit: number): [head: string, tail: string] {
  const first = Math.floor((2 * limit) / 3);
  const last = text.length - (limit - first);
  const head = text.slice(0, isHighSurrogate(text.charCodeAt(first - 1)) ? first - 1 : first);
  return [head, text.slice(isHighSurrogate(text.charCodeAt(last - 1)) ? last + 1 : last)];
}

/** The beginning of a text that is longer than `limit` characters, with "…" for the rest. */
export function clipped(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const end = Math.max(1, limit - 1);
  return `${text.slice(0, isHighSurrogate(text.charCodeAt(end - 1)) ? end - 1 : end)}…`;
}

/** Text for attributes and elements of SVG and HTML; characters that XML 1.0 (§2.2) excludes are made visible. */
export function escapeMarkup(text: string): string {
  return printable(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Text for a line or a cell of a table in Markdown (GitHub's, too), which shows it as it is. */
export function escapeMarkdown(text: string): string {
  const entities = printable(text).replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  return entities.replace(/[\\`*_[\]|~$]/g, "\\$&");
}

/** A table in Markdown, whatever its cells contain. */
export function markdownTable(
  columns: readonly (string | number)[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const line = (cells: readonly (string | number)[]): string =>
    `| ${cells.map((cell) => escapeMarkdown(`${cell}`)).join(" | ")} |\n`;
  return `${line(columns)}${"| --- ".repeat(columns.length)}|\n${rows.map(line).join("")}`;
}

/**
 * A cell of CSV (RFC 4180); also quoted if it begins or ends with spaces, which readers drop. Text that a spreadsheet takes for a formula is
 * not changed, as programs read these files, too.
 */
export function csvCell(text: string): string {
  return /[",\r\n]|^ | $/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A line of CSV. A number that is NaN is an empty cell. */
export function csvLine(cells: readonly (string | number)[]): string {
  return `${cells.map((cell) => (Number.isNaN(cell) ? "" : csvCell(`${cell}`))).join(",")}\n`;
}

/** One word for a POSIX shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** 1 → "1 neuron", 2 → "2 neurons". */
export function plural(n: number, noun: string, nouns = `${noun}s`): string {
  return `${formatCount(n)} ${n === 1 ? noun : nouns}`;
}

/** A table as lines: columns two spaces apart, those of `right` with their ends below one another. */
export function alignColumns(texts: readonly (readonly string[])[], right: readonly number[] = []): readonly string[] {
  const rows = texts.map((row) => row.map((text) => printable(text)));
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number): string =>
    right.includes(column) ? text.padStart(widths[column]!) : text.padEnd(widths[column]!);
  return rows.map((row) => row.map(cell).join("  ").trimEnd());
}
