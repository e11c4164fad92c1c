// A set of ids of 64 bits, by open addressing over their two words: what a filter by neurons costs at least.

export class IdSet {
  readonly #words: Int32Array;
  readonly #slots: Int32Array;

  constructor(ids: BigInt64Array) {
    this.#words = new Int32Array(ids.buffer, ids.byteOffset, 2 * ids.length);
    this.#slots = new Int32Array(4 * 2 ** Math.ceil(Math.log2(Math.max(ids.length, 1))));
    for (let k = 0; k < ids.length; k++) {
      let slot = this.#slotOf(this.#words[2 * k]!, this.#words[2 * k + 1]!);
      while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1);
      this.#slots[slot] = k + 1;
    }
  }

  /** Rows k whose two ids are both in the set. */
  countPairs(a: BigInt64Array, b: BigInt64Array, count: number): number {
    const [first, second] = [a, b].map((ids) => new Int32Array(ids.buffer, ids.byteOffset, 2 * count));
    let pairs = 0;
    for (let k = 0; k < count; k++) if (this.#has(first!, k) && this.#has(second!, k)) pairs++;
    return pairs;
  }

  #has(words: Int32Array, k: number): boolean {
    const [low, high] = [words[2 * k]!, words[2 * k + 1]!];
    for (let slot = this.#slotOf(low, high); ; slot = (slot + 1) & (this.#slots.length - 1)) {
      const at = this.#slots[slot]! - 1;
      if (at < 0) return false;
      if (this.#words[2 * at] === low && this.#words[2 * at + 1] === high) return true;
    }
  }

  #slotOf(low: number, high: number): number {
    const hash = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
    return (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
  }
}
