// Numbers for strings of bytes: equal ones have the same, in the order in which they are first seen. Strings are copied into one array; there is no
// object per string.

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv). */
const FNV_PRIME = 0x01000193;
/** A start that files do not know, so they cannot choose strings that collide. */
const HASH_START = Math.floor(Math.random() * 2 ** 32) | 0;
const FIRST_SLOTS = 1 << 10;
const FIRST_BYTES = 1 << 14;

export class ByteInterner {
  #count = 0;
  /** String k is #bytes[#ends[k]] … #bytes[#ends[k + 1] − 1]. */
  #bytes: Uint8Array = new Uint8Array(FIRST_BYTES);
  #ends: Uint32Array = new Uint32Array(FIRST_SLOTS / 2 + 1);
  #hashes: Int32Array = new Int32Array(FIRST_SLOTS / 2);
  /** By hash, with open addressing, at most half full: the string's number and 1, or 0. */
  #slots: Int32Array = new Int32Array(FIRST_SLOTS);

  get count(): number {
    return this.#count;
  }

  /** The number of a string, which is `count` before the call if it is new. */
  indexOf(bytes: Uint8Array, begin: number, end: number): number {
    let hash = HASH_START;
    for (let at = begin; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const k = this.#slots[slot]! - 1;
      if (this.#hashes[k] === hash && this.#equals(k, bytes, begin, end)) return k;
    }
    this.#slots[slot] = this.#count + 1;
    return this.#add(hash, bytes, begin, end);
  }

  /** The bytes of string k, valid until the next call. */
  bytesOf(k: number): Uint8Array {
    return this.#bytes.subarray(this.#ends[k]!, this.#ends[k + 1]!);
  }

  clear(): void {
    this.#count = 0;
    this.#slots.fill(0);
  }

  #equals(k: number, bytes: Uint8Array, begin: number, end: number): boolean {
    const start = this.#ends[k]!;
    if (this.#ends[k + 1]! - start !== end - begin) return false;
    for (let at = begin; at < end; at++) if (this.#bytes[start + at - begin] !== bytes[at]) return false;
    return true;
  }

  #add(hash: number, bytes: Uint8Array, begin: number, end: number): number {
    const k = this.#count++;
    const start = this.#ends[k]!;
    const stop = start + end - begin;
    if (stop > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, stop));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
    }
    for (let at = begin; at < end; at++) this.#bytes[start + at - begin] = bytes[at]!;
    this.#ends[k + 1] = stop;
    this.#hashes[k] = hash;
    if (2 * this.#count >= this.#slots.length) this.#grow();
    return k;
  }

  #grow(): void {
    const slots = 2 * this.#slots.length;
    const ends = new Uint32Array(slots / 2 + 1);
    ends.set(this.#ends);
    const hashes = new Int32Array(slots / 2);
    hashes.set(this.#hashes);
    this.#ends = ends;
    this.#hashes = hashes;
    this.#slots = new Int32Array(slots);
    for (let k = 0; k < this.#count; k++) {
      let slot = hashes[k]! & (slots - 1);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (slots - 1);
      this.#slots[slot] = k + 1;
    }
  }
}
