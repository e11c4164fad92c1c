// Damage for files: a copy of some bytes with one to three changes, of the kinds that find faults in readers.

import type { RandomStream } from "../../src/core/random.ts";

type Change = (bytes: Uint8Array, random: RandomStream) => Uint8Array;

/** Numbers that lengths and offsets must not be believed in. */
const LIARS = [0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 500_000_000] as const;
/** Pieces of text that tables, headers and configurations are made of. */
const WORDS = [
  "-1",
  "1e999",
  "nan",
  "99999999",
  "4294967296",
  "0.5",
  '"',
  ",",
  "\n",
  "\t",
  "[",
  "{",
  "*a",
  "\x1b",
  "\ufeff",
];

const CHANGES: readonly Change[] = [flipBit, setByte, cut, repeat, remove, move, lie, insertWord, changeDigit];

/** One to three changes of a copy. */
export function mutate(bytes: Uint8Array, random: RandomStream): Uint8Array {
  // A Buffer's `slice` would share its memory.
  let changed: Uint8Array = new Uint8Array(bytes);
  for (let n = 1 + random.below(2) * random.below(3); n > 0; n--) {
    if (changed.length > 0) changed = CHANGES[random.below(CHANGES.length)]!(changed, random);
  }
  return changed;
}

function flipBit(bytes: Uint8Array, random: RandomStream): Uint8Array {
  bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
}

function setByte(bytes: Uint8Array, random: RandomStream): Uint8Array {
  bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

function cut(bytes: Uint8Array, random: RandomStream): Uint8Array {
  return bytes.slice(0, random.below(bytes.length));
}

/** A piece once more, up to sixteen times. */
function repeat(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const [begin, end] = rangeIn(bytes, random);
  const piece = bytes.slice(begin, end);
  return joined(bytes.slice(0, end), ...Array.from({ length: 1 + random.below(16) }, () => piece), bytes.slice(end));
}

function remove(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const [begin, end] = rangeIn(bytes, random);
  return joined(bytes.slice(0, begin), bytes.slice(end));
}

/** A piece over another place. */
function move(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const [begin, end] = rangeIn(bytes, random);
  return bytes.copyWithin(random.below(bytes.length), begin, end);
}

/** A number of two, four or eight bytes over some place. */
function lie(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const width = 2 << random.below(3);
  const value = LIARS[random.below(LIARS.length)]!;
  const at = random.below(bytes.length);
  for (let b = 0; b < width && at + b < bytes.length; b++) bytes[at + b] = b < 4 ? (value >>> (8 * b)) & 255 : 0;
  return bytes;
}

function insertWord(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const at = random.below(bytes.length + 1);
  const word = new TextEncoder().encode(WORDS[random.below(WORDS.length)]);
  return joined(bytes.slice(0, at), word, bytes.slice(at));
}

function changeDigit(bytes: Uint8Array, random: RandomStream): Uint8Array {
  const digits = [...bytes.keys()].filter((at) => bytes[at]! >= 48 && bytes[at]! <= 57);
  if (digits.length > 0) bytes[digits[random.below(digits.length)]!] = 48 + random.below(10);
  return bytes;
}

/** Part of the bytes, mostly a short one. */
function rangeIn(bytes: Uint8Array, random: RandomStream): [begin: number, end: number] {
  const begin = random.below(bytes.length);
  const longest = random.below(4) === 0 ? bytes.length : 16;
  return [begin, Math.min(bytes.length, begin + 1 + random.below(longest))];
}

function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
