// Different texts of a column, found by their bytes: a text that repeats in many rows is decoded once.

import { grown } from "../core/grown.ts";
import { ROWS_PER_BATCH } from "./tableColumns.ts";

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv). */
const FNV_PRIME = 0x01000193;
/** A start that files do not know, so they cannot choose texts that collide. */
const HASH_START = Math.floor(Math.random() * 2 ** 32) | 0;
const FIRST_SLOTS = 1 << 10;
/** More texts than the rows of a batch do not repeat much. */
const MOST_TEXTS = ROWS_PER_BATCH;

export class TextDictionary {
  readonly #encoder = new TextEncoder();
  #values: string[] = [];
  /** Entry + 1 by hash, 0 where there is none; at most half are used. */
  #slots = new Int32Array(FIRST_SLOTS);
  #hashes = new Int32Array(FIRST_SLOTS / 2);
  /** Bytes of entry i: from ends[i − 1] to ends[i]. */
  #ends = new Uint32Array(FIRST_SLOTS / 2);
  #bytes = new Uint8Array(16 * FIRST_SLOTS);
  #handedOut: readonly string[] = [];

  get size(): number {
    return this.#values.length;
  }

  /** The text of an entry. */
  text(entry: number): string {
    return this.#values[entry]!;
  }

  /** The texts by entry, as they are now; the same array as before where none was added. */
  values(): readonly string[] {
    if (this.#handedOut.length !== this.#values.length) this.#handedOut = this.#values.slice();
    return this.#handedOut;
  }

  /** Forgets all entries where they are too many to be worth the memory. @returns whether it did */
  beginBatch(): boolean {
    if (this.#values.length <= MOST_TEXTS) return false;
    this.#values = [];
    this.#slots.fill(0);
    this.#handedOut = [];
    return true;
  }

  /** The entry of a text that is there as bytes[begin … end) of UTF-8; a new one where there is none, of which `decode` makes the text. */
  indexOf(bytes: Uint8Array, begin: number, end: number, decode: () => string): number {
    let hash = HASH_START;
    for (let at = begin; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
    // Mixes the high bits, which depend on all bytes, into the low ones.
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot]! - 1;
      if (this.#hashes[entry] === hash && this.#has(entry, bytes, begin, end)) return entry;
    }
    return this.#add(bytes, begin, end, hash, slot, decode());
  }

  indexOfText(text: string): number {
    const bytes = this.#encoder.encode(text);
    return this.indexOf(bytes, 0, bytes.length, () => text);
  }

  #has(entry: number, bytes: Uint8Array, begin: number, end: number): boolean {
    let at = this.#beginOf(entry);
    if (this.#ends[entry]! - at !== end - begin) return false;
    for (let k = begin; k < end; k++) if (this.#bytes[at++] !== bytes[k]) return false;
    return true;
  }

  #beginOf(entry: number): number {
    return entry === 0 ? 0 : this.#ends[entry - 1]!;
  }

  #add(bytes: Uint8Array, begin: number, end: number, hash: number, slot: number, text: string): number {
    const entry = this.#values.length;
    const from = this.#beginOf(entry);
    const to = from + end - begin;
    if (to > this.#bytes.length) this.#bytes = grown(this.#bytes, Math.max(to, 2 * this.#bytes.length));
    for (let k = begin; k < end; k++) this.#bytes[from + k - begin] = bytes[k]!;
    this.#ends[entry] = to;
    this.#hashes[entry] = hash;
    this.#slots[slot] = entry + 1;
    this.#values.push(text);
    if (this.#values.length === this.#hashes.length) this.#grow();
    return entry;
  }

  #grow(): void {
    const count = this.#hashes.length;
    this.#hashes = grown(this.#hashes, 2 * count);
    this.#ends = grown(this.#ends, 2 * count);
    this.#slots = new Int32Array(4 * count);
    const mask = this.#slots.length - 1;
    for (let entry = 0; entry < count; entry++) {
      let slot = this.#hashes[entry]! & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry + 1;
    }
  }
}
