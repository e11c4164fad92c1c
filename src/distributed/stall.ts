// Ranks that wait for another which lives but does not come: it computes, writes or hangs. Nothing ends for that; people may want to look.

/** Milliseconds of waiting before it is said. */
const PATIENCE_MS = 60_000;

/** Notices that calls of some ranks wait for others, from how many calls each has begun. */
export class Stall {
  #counts = "";
  #since = 0;
  #isSaid = false;

  /**
   * @param counts  collective calls that each rank has begun; null: unknown
   * @param now  milliseconds
   * @returns the ranks that the others have waited for too long: once for each wait, else none
   */
  see(counts: readonly (number | null)[], now: number): readonly number[] {
    const text = counts.join();
    if (text !== this.#counts) {
      this.#counts = text;
      this.#since = now;
      this.#isSaid = false;
    }
    if (this.#isSaid || now - this.#since < PATIENCE_MS) return [];
    this.#isSaid = true;
    const most = Math.max(...counts.map((count) => count ?? 0));
    return counts.flatMap((count, rank) => (count !== null && count < most ? [rank] : []));
  }
}
