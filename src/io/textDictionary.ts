// Different texts of a column, found by their bytes: a text that repeats in many rows is decoded once.

import { ByteInterner } from "./byteInterner.ts";

export class TextDictionary {
  readonly #encoder = new TextEncoder();
  readonly #interner = new ByteInterner();
  #values: string[] = [];
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

  /** Forgets all entries. */
  clear(): void {
    this.#interner.clear();
    this.#values = [];
    this.#handedOut = [];
  }

  /**
   * The entry of a text that is there as bytes[begin … end) of UTF-8; a new one where there is none.
   *
   * @param decode  makes the text of a new entry; what it throws ends the use of the dictionary
   */
  indexOf(bytes: Uint8Array, begin: number, end: number, decode: () => string): number {
    const entry = this.#interner.indexOf(bytes, begin, end);
    if (entry === this.#values.length) this.#values.push(decode());
    return entry;
  }

  indexOfText(text: string): number {
    const bytes = this.#encoder.encode(text);
    return this.indexOf(bytes, 0, bytes.length, () => text);
  }
}
