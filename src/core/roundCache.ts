// Values that are kept as long as they are used.

import type { Releasable } from "./release.ts";

interface Entry<V> {
  readonly value: V;
  /** Round of the last use. */
  round: number;
}

/** Values by key. Those not used for some rounds are released, so keys that never come again cost nothing. */
export class RoundCache<V extends Releasable> {
  readonly #keep: number;
  readonly #entries = new Map<string, Entry<V>>();
  #round = 0;

  /** @param keep  a value outlives its last use by this many rounds, and at most by twice as many */
  constructor(keep: number) {
    this.#keep = keep;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry) entry.round = this.#round;
    return entry?.value;
  }

  set(key: string, value: V): void {
    this.#entries.set(key, { value, round: this.#round });
  }

  /** Begins the next round. */
  next(): void {
    this.#round++;
    if (this.#round % this.#keep !== 0) return;
    for (const [key, { value, round }] of this.#entries) {
      if (this.#round - round <= this.#keep) continue;
      value.release();
      this.#entries.delete(key);
    }
  }

  clear(): void {
    for (const { value } of this.#entries.values()) value.release();
    this.#entries.clear();
  }
}
