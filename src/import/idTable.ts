// A hash table from whole numbers of 64 bits to 0, 1, 2, …: two 32-bit halves in typed arrays, since arithmetic with BigInt would take minutes for the
// ends of 150 million edges.

/** The halves of 64-bit numbers, the low one first, as views of the same memory. */
export function halvesOf(ids: BigInt64Array): Int32Array {
  return new Int32Array(ids.buffer, ids.byteOffset, 2 * ids.length);
}

/** Slots of the table per number, at least. */
const SPARSENESS = 2;

/**
 * A well-mixed hash of 32 bits.
 * Source of the multipliers and shifts: Wellons, "Hash Prospector", 2022, public domain.
 */
export function hashOf(low: number, high: number): number {
  let h = low ^ Math.imul(high, 0x9e3779b1);
  h ^= h >>> 16;
  h = Math.imul(h, 0x21f0aaad);
  h ^= h >>> 15;
  h = Math.imul(h, 0x735a2d97);
  return h ^ (h >>> 15);
}

/** Different numbers in the order in which they were added. Open addressing with linear probing. */
export class IdTable {
  /** The halves of number k at 2k and 2k + 1. */
  #keys: Int32Array;
  /** The position of a number, plus 1; 0: the slot is free. */
  #slots: Int32Array;
  #size = 0;

  /** @param capacity numbers to make room for at first */
  constructor(capacity: number = 1024) {
    this.#keys = new Int32Array(2 * Math.max(1, capacity));
    this.#slots = new Int32Array(slotsFor(capacity));
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The position of a number, or −1.
   *
   * @param hash its hash, where that is known
   */
  find(low: number, high: number, hash: number = hashOf(low, high)): number {
    const slots = this.#slots;
    const keys = this.#keys;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const k = slots[slot]! - 1;
      if (k < 0 || (keys[2 * k] === low && keys[2 * k + 1] === high)) return k;
    }
  }

  /** The position of a number, which is added if it is new. */
  add(low: number, high: number): number {
    const known = this.find(low, high);
    if (known >= 0) return known;
    const k = this.#size++;
    if (2 * k === this.#keys.length) {
      const keys = new Int32Array(2 * this.#keys.length);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    this.#keys[2 * k] = low;
    this.#keys[2 * k + 1] = high;
    if (this.#size * SPARSENESS > this.#slots.length) this.#spread();
    else this.#place(k);
    return k;
  }

  /** A copy of the numbers, in order. */
  ids(): BigInt64Array {
    return new BigInt64Array(this.#keys.slice(0, 2 * this.#size).buffer);
  }

  /** Twice the slots. */
  #spread(): void {
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let k = 0; k < this.#size; k++) this.#place(k);
  }

  #place(k: number): void {
    const mask = this.#slots.length - 1;
    let slot = hashOf(this.#keys[2 * k]!, this.#keys[2 * k + 1]!) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = k + 1;
  }
}

function slotsFor(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, SPARSENESS * capacity)));
}
