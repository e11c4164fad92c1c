// For every neuron the set of neurons that it sends to, in one array: what connections there are, while they change.

/**
 * Sets whose sizes are known beforehand and do not grow: each is a hash table with open addressing of its own, so that a look-up touches one
 * line of memory as a rule. At most 4 · (members + 1) words for each set.
 */
export class PartnerSets {
  /** Set a lies in words #begin[a] … #begin[a + 1], a power of two of them. */
  readonly #begin: Uint32Array;
  /** 0: free; else a member + 1. */
  readonly #words: Uint32Array;

  /** @param sizes  how many members each set has at most */
  constructor(sizes: ArrayLike<number>) {
    const n = sizes.length;
    this.#begin = new Uint32Array(n + 1);
    for (let a = 0; a < n; a++) {
      const least = Math.ceil(1.5 * sizes[a]!) + 1;
      this.#begin[a + 1] = this.#begin[a]! + 2 ** Math.ceil(Math.log2(least));
    }
    this.#words = new Uint32Array(this.#begin[n]!);
  }

  has(a: number, b: number): boolean {
    const begin = this.#begin[a]!;
    const mask = this.#begin[a + 1]! - begin - 1;
    const wanted = b + 1;
    for (let i = homeOf(b) & mask; ; i = (i + 1) & mask) {
      const word = this.#words[begin + i]!;
      if (word === wanted) return true;
      if (word === 0) return false;
    }
  }

  /** Adds b, which is not in the set, to set a. */
  add(a: number, b: number): void {
    const begin = this.#begin[a]!;
    const mask = this.#begin[a + 1]! - begin - 1;
    let i = homeOf(b) & mask;
    while (this.#words[begin + i] !== 0) i = (i + 1) & mask;
    this.#words[begin + i] = b + 1;
  }

  /** Puts `added`, which is not in set a, in the place of `removed`, which is. */
  replace(a: number, removed: number, added: number): void {
    const words = this.#words;
    const begin = this.#begin[a]!;
    const mask = this.#begin[a + 1]! - begin - 1;
    let free = homeOf(removed) & mask;
    while (words[begin + free] !== removed + 1) free = (free + 1) & mask;
    // Members behind the gap move into it unless that is before their home.
    for (let i = (free + 1) & mask; ; i = (i + 1) & mask) {
      const word = words[begin + i]!;
      if (word === 0) break;
      if (((i - homeOf(word - 1)) & mask) < ((i - free) & mask)) continue;
      words[begin + free] = word;
      free = i;
    }
    words[begin + free] = 0;
    this.add(a, added);
  }

  /** The first word that a look-up of b in set a reads: memory is fetched while other work goes on. */
  touch(a: number, b: number): number {
    const begin = this.#begin[a]!;
    return this.#words[begin + (homeOf(b) & (this.#begin[a + 1]! - begin - 1))]!;
  }
}

/** Fibonacci hashing, with the high bits brought down. */
function homeOf(b: number): number {
  const h = Math.imul(b, 0x9e3779b1);
  return h ^ (h >>> 15);
}
