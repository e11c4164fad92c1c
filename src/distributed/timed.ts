// The time that ranks spend on each other.

import type { FloatArray } from "../core/dtype.ts";
import type { Communicator } from "./communicator.ts";

/** A communicator that measures how long its calls take: the exchange itself, and waiting for slower ranks. */
export class TimedCommunicator implements Communicator {
  readonly #inner: Communicator;
  #seconds = 0;

  constructor(inner: Communicator) {
    this.#inner = inner;
  }

  get rank(): number {
    return this.#inner.rank;
  }

  get size(): number {
    return this.#inner.size;
  }

  get hosts(): readonly string[] {
    return this.#inner.hosts;
  }

  get description(): string | null {
    return this.#inner.description;
  }

  /** Since the last call of this. */
  takeSeconds(): number {
    const seconds = this.#seconds;
    this.#seconds = 0;
    return seconds;
  }

  exchange<T>(value: T): Promise<readonly T[]> {
    return this.#timed(() => this.#inner.exchange(value));
  }

  allToAll<A extends FloatArray>(send: readonly A[], receive: readonly A[]): Promise<void> {
    return this.#timed(() => this.#inner.allToAll(send, receive));
  }

  allGather(whole: FloatArray, counts: readonly number[]): Promise<void> {
    return this.#timed(() => this.#inner.allGather(whole, counts));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #timed<T>(call: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await call();
    } finally {
      this.#seconds += (performance.now() - start) / 1000;
    }
  }
}
