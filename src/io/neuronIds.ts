// Ids of neurons, for all readers of edges, labels and tables. The rules:
//
// 1. These ids are refused: empty, a marker of missing values (nan, null, NA, …), a negative number, invisible characters; if stored as floating
//    point, numbers that are not whole or are beyond 2^53, where neighbours become equal.
// 2. If all ids are numbers, 7, 7.0 and 7e0 are the same neuron. Fractions are refused, as are whole numbers beyond 2^53 with a point or an
//    exponent, since they have been rounded.
// 3. If one id is a name, or padded with zeros (007), all ids are names as written. Two names that differ only in the notation of a number, in
//    surrounding spaces or in Unicode form are refused, as they may be one neuron or two.
// 4. Numbers are positions in the matrix, unless they resemble keys of a database (`arePositions`): then they are names, too.
// 5. Names are sorted: numbers by size, whatever their length, before text by code points.

import { FileFormatError } from "../core/errors.ts";
import { compareText, quoteText, quoteValue } from "../core/text.ts";

/** The id of a neuron in a file: a number if it is a whole one from 0 to 2^53 in its shortest form, else text. */
export type NeuronId = number | string;

const SHORTEST_WHOLE = /^(0|[1-9]\d*)$/;
const PADDED_WHOLE = /^(\+\d+|0\d+)$/;
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
/** A longer number with a point or an exponent is not an id. */
const MAX_NUMBER_LENGTH = 400;
const MISSING = /^(nan|null|none|<na>|#?n\/a|NA|[+-]?(inf|Inf|Infinity))$/;
const MISSING_ANY_CASE = /^(nan|null|none|<na>|#?n\/a)$/i;
/** Control and format characters, line separators, halves of characters, and what stands for bytes that were no text. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffd]/u;

/** An id as `NeuronId` demands; the text is not checked. */
export function idOfText(text: string): NeuronId {
  return SHORTEST_WHOLE.test(text) && text.length <= 16 && Number(text) <= Number.MAX_SAFE_INTEGER
    ? Number(text)
    : text;
}

/**
 * The id in a cell of a column with a type.
 *
 * @param exactTo whole numbers below are exact in the type of the column: 2^53 in double, 2^24 in single precision
 * @throws {FileFormatError} neither text nor a whole number ≥ 0 that is exact
 */
export function idOfValue(value: unknown, place: () => string, exactTo: number = 2 ** 53): NeuronId {
  if (typeof value === "string") return idOfText(value);
  if (typeof value === "bigint" && value >= 0n) return idOfText(String(value));
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < exactTo)
    return value === 0 ? 0 : value;
  if (typeof value === "number" && value >= exactTo && Number.isFinite(value)) {
    const expected = `ids below 2^${Math.log2(exactTo)} where they are stored as floating point (larger ones are rounded: store them as integers or text)`;
    throw new FileFormatError(place(), expected, String(value));
  }
  throw new FileFormatError(
    place(),
    EXPECTED,
    value === null || value === undefined ? "nothing" : quoteText(String(value)),
  );
}

const EXPECTED = "the id of a neuron (a whole number from 0, or a name)";

/** Whether a cell says that there is no value: empty, nan, null, NA and their like. */
export function isMissing(text: string): boolean {
  return text.trim() === "" || MISSING.test(text) || MISSING_ANY_CASE.test(text);
}

/** Whether text has invisible characters: control characters, byte order marks, directions, U+FFFD. */
export function hasInvisible(text: string): boolean {
  return INVISIBLE.test(text);
}

/**
 * Checks an id that is text, by rule 1.
 *
 * @throws {FileFormatError} an id that is none
 */
export function checkIdText(text: string, place: () => string): void {
  if (isMissing(text)) throw new FileFormatError(place(), EXPECTED, text === "" ? "an empty cell" : quoteText(text));
  if (text.startsWith("-") && NUMBER.test(text)) throw new FileFormatError(place(), EXPECTED, quoteText(text));
  if (hasInvisible(text)) {
    const kind = text.includes("\ufeff")
      ? " with a byte order mark (files joined by cat?)"
      : " with an invisible character";
    throw new FileFormatError(place(), EXPECTED, `${quoteText(text)}${kind}`);
  }
}

/**
 * The meaning of all different ids of a file, by rules 2 and 3.
 *
 * @param found checked by `checkIdText`; the same one may occur several times
 * @param placeOf where the i-th of them stands, for messages
 * @returns the ids in the same order; equal ones are the same neuron
 * @throws {FileFormatError} numbers that are no ids, or ambiguous ids
 */
export function settleIds(found: readonly NeuronId[], placeOf: (i: number) => string): readonly NeuronId[] {
  const isName = (id: NeuronId): boolean => typeof id === "string" && !isNumberText(id);
  if (!found.some(isName))
    return found.map((id, i) => (typeof id === "number" ? id : numberOfText(id, () => placeOf(i))));
  const spellings = new Map<string, number>();
  found.forEach((id, i) => {
    const key = skeletonOf(id);
    const other = spellings.get(key);
    if (other !== undefined && found[other] !== id) {
      throw new FileFormatError(
        placeOf(i),
        "one spelling of every id",
        `${quoteValue(id)}, and ${quoteValue(found[other]!)} elsewhere: one neuron or two?`,
      );
    }
    spellings.set(key, i);
  });
  return found;
}

/** Whether text is a number, so that it may be an id in another notation than the shortest; numbers padded with zeros are names. */
export function isNumberText(text: string): boolean {
  return NUMBER.test(text) && !PADDED_WHOLE.test(text);
}

/** A number as an id: shortest whole numbers as they are, others by their value where it is exact. */
function numberOfText(text: string, place: () => string): NeuronId {
  if (SHORTEST_WHOLE.test(text)) return idOfText(text);
  if (text.length > MAX_NUMBER_LENGTH) throw new FileFormatError(place(), EXPECTED, quoteText(text));
  const value = Number(text);
  // Beyond sixteen digits `Number` may round a fraction to a whole number.
  const isWhole = Number.isInteger(value) && (significantDigits(text) <= 16 || value >= 2 ** 53);
  if (!isWhole) throw new FileFormatError(place(), EXPECTED, quoteText(text));
  return idOfValue(value, place);
}

/** Digits of a decimal number without the zeros around them: 1.500e+03 has two. */
function significantDigits(text: string): number {
  const mantissa = text.replace(/e.*$/i, "").replace(/\D/g, "");
  return mantissa.replace(/^0+|0+$/g, "").length;
}

/** A key that all spellings of one id share. */
function skeletonOf(id: NeuronId): string {
  if (typeof id === "number") return String(id);
  if (!NUMBER.test(id)) return id.normalize("NFC").trim();
  const digits = wholeDigits(id);
  return digits ?? (Number.isSafeInteger(Number(id)) ? String(Number(id)) : id);
}

/** Ids below this may be positions; larger ones are keys of a database. */
export const MAX_POSITION: number = 2 ** 24;
/** Number of positions that may have no connections, whatever the number of neurons. */
const FEW = 1000;

/**
 * Whether distinct whole numbers are positions in a matrix (rule 4): they start near 0, and at most half of the positions, or a thousand, have
 * no connection. Ids of a database start elsewhere or leave out most numbers.
 *
 * @param count how many there are
 */
export function arePositions(count: number, smallest: number, largest: number): boolean {
  if (largest >= MAX_POSITION) return false;
  return largest < FEW || (smallest < FEW && largest + 1 - count <= Math.max(FEW, count));
}

/** Order of ids, by rule 5. */
export function compareIds(a: NeuronId, b: NeuronId): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [p, q] = [wholeDigits(a), wholeDigits(b)];
  if (p === null || q === null) return p !== null ? -1 : q !== null ? 1 : compareText(String(a), String(b));
  return p.length - q.length || compareText(p, q) || compareText(String(a), String(b));
}

/** The digits of a whole number without zeros before them, or null. */
function wholeDigits(id: NeuronId): string | null {
  if (typeof id === "number") return String(id);
  return /^\+?\d+$/.test(id) ? id.replace(/^\+?0*(?=\d)/, "") : null;
}

/** Ids of declared neurons as labels, in order; null where they are 0, 1, 2, … and say no more than the positions. */
export function labelsOrNull(ids: readonly NeuronId[]): readonly string[] | null {
  return ids.every((id, i) => id === i) ? null : ids.map(String);
}
