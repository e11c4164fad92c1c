// Decimal numbers straight from bytes, rounded exactly as `Number` rounds their text. For tables of millions of lines.

/** Powers of ten that f64 holds exactly. */
const EXACT_POWERS = Float64Array.from({ length: 23 }, (_, k) => 10 ** k);
/** Whole numbers of this many digits are exact in f64. */
const EXACT_DIGITS = 15;
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
/** A safe number of arguments of a call. */
const SHORT = 400;

const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const PLUS = 43;
const POINT = 46;

/**
 * The number written in bytes[begin … end), or NaN when that is not a finite decimal number. Surrounding spaces are not allowed.
 *
 * Up to 15 digits times a power of ten up to 10^±22 are one exactly rounded operation on two exact numbers (Clinger, "How to
 * read floating point numbers accurately", PLDI 1990, §2); the rest is left to `Number`.
 */
export function parseDecimal(bytes: Uint8Array, begin: number, end: number): number {
  let at = begin;
  const negative = bytes[at] === MINUS;
  if (negative || bytes[at] === PLUS) at++;
  let mantissa = 0;
  let digits = 0;
  let fraction = -1;
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= ZERO && byte <= NINE) {
      mantissa = mantissa * 10 + (byte - ZERO);
      if (mantissa > 0) digits++;
      if (fraction >= 0) fraction++;
    } else if (byte === POINT && fraction < 0) fraction = 0;
    else return parseSlowly(bytes, begin, end);
  }
  if (digits > EXACT_DIGITS || fraction >= EXACT_POWERS.length || !endsInDigit(bytes, begin, end)) {
    return parseSlowly(bytes, begin, end);
  }
  const magnitude = fraction > 0 ? mantissa / EXACT_POWERS[fraction]! : mantissa;
  return negative ? -magnitude : magnitude;
}

/** The whole number ≥ 0 written in bytes[begin … end) in its shortest form (no sign, no leading zeros) and ≤ 2^53, or −1. */
export function parseWhole(bytes: Uint8Array, begin: number, end: number): number {
  const length = end - begin;
  if (length < 1 || length > 16 || (bytes[begin] === ZERO && length > 1)) return -1;
  let value = 0;
  for (let at = begin; at < end; at++) {
    const byte = bytes[at]!;
    if (byte < ZERO || byte > NINE) return -1;
    value = value * 10 + (byte - ZERO);
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

/** The largest whole number of 64 bits has 19 digits. */
const MOST_DIGITS_64 = 19;
/** Low digits that are taken apart from those before them. */
const LOW_DIGITS = 9;
const TWO_TO_32 = 2 ** 32;
/** High halves of numbers below 2^63. */
const LARGEST_HALF = 2 ** 31;

/**
 * Sets words[2k] and words[2k + 1], the low and the high half of entry k of an array of 64 bits, to the whole number from 0 to 2^63 − 1 that
 * bytes[begin … end) are in its shortest form (no sign, no leading zeros).
 *
 * @returns false where they are none
 */
export function parseWhole64(bytes: Uint8Array, begin: number, end: number, words: Uint32Array, k: number): boolean {
  const length = end - begin;
  if (length < 1 || length > MOST_DIGITS_64 || (bytes[begin] === ZERO && length > 1)) return false;
  // The digits are head · 10^9 + tail; both are below 10^10, so that all steps are exact.
  const split = Math.max(begin, end - LOW_DIGITS);
  let head = 0;
  let tail = 0;
  let at = begin;
  for (; at < split; at++) {
    const byte = bytes[at]!;
    if (byte < ZERO || byte > NINE) return false;
    head = head * 10 + (byte - ZERO);
  }
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte < ZERO || byte > NINE) return false;
    tail = tail * 10 + (byte - ZERO);
  }
  // head = 2^16 h + l; the number is 2^16 · (h · 10^9) + (l · 10^9 + tail), and both terms are below 2^48.
  const upper = Math.floor(head / 65536) * 1e9;
  const lower = (head % 65536) * 1e9 + tail;
  const low = (upper % 65536) * 65536 + (lower % TWO_TO_32);
  const high = Math.floor(upper / 65536) + Math.floor(lower / TWO_TO_32) + (low >= TWO_TO_32 ? 1 : 0);
  if (high >= LARGEST_HALF) return false;
  words[2 * k] = low;
  words[2 * k + 1] = high;
  return true;
}

/** The same for text: the halves become words[2k] and words[2k + 1]. */
export function splitWhole(text: string, words: Int32Array | Uint32Array, k = 0): boolean {
  const { length } = text;
  if (length === 0 || length > MOST_DIGITS_64 || (length > 1 && text.charCodeAt(0) === ZERO)) return false;
  const head = Math.min(EXACT_DIGITS, length);
  let value = 0;
  for (let i = 0; i < head; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (!(digit >= 0 && digit <= 9)) return false;
    value = value * 10 + digit;
  }
  let high = Math.floor(value / TWO_TO_32);
  let low = value - high * TWO_TO_32;
  for (let i = head; i < length; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (!(digit >= 0 && digit <= 9)) return false;
    low = low * 10 + digit;
    const carry = Math.floor(low / TWO_TO_32);
    low -= carry * TWO_TO_32;
    high = high * 10 + carry;
  }
  if (high >= LARGEST_HALF) return false;
  words[2 * k] = low;
  words[2 * k + 1] = high;
  return true;
}

function endsInDigit(bytes: Uint8Array, begin: number, end: number): boolean {
  const last = bytes[end - 1]!;
  return end > begin && last >= ZERO && last <= NINE;
}

function parseSlowly(bytes: Uint8Array, begin: number, end: number): number {
  const own = bytes.subarray(begin, end);
  const text = own.length <= SHORT ? String.fromCharCode(...own) : new TextDecoder("latin1").decode(own);
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}
