// A queue of calls on an object that does one thing at a time, such as a model or a solver. Calls run one after another, in order.

import { EngineError } from "./errors.ts";

/** A queued call must not wait for another call on the same queue. */
export class CallQueue {
  /** Names of the calls that have not ended, in order. */
  readonly #pending: string[] = [];
  readonly #releases: (() => void)[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #callback: string | null = null;
  #ended = false;
  /** Error of a queued change, until the next call throws it. */
  #failure: { readonly error: unknown } | null = null;

  /**
   * Runs `call` when the calls before it have ended, whether they succeeded or failed: at once where there are none.
   *
   * @throws {EngineError} "disposed", or "reentrant" from within a callback
   * @throws what a change queued before it threw; `call` is not run then
   */
  async run<T>(name: string, call: () => Promise<T>): Promise<T> {
    this.check(name);
    return this.#inTurn(name, () => {
      this.#throwFailure();
      return call();
    });
  }

  async #inTurn<T>(name: string, call: () => Promise<T>): Promise<T> {
    const isFree = this.#pending.push(name) === 1;
    // Asynchronous, so that a call that throws before its first promise ends like any other.
    const start = async () => call();
    const result = isFree ? start() : this.#last.then(start);
    this.#last = result.then(ignore, ignore);
    try {
      return await result;
    } finally {
      this.#pending.shift();
      this.#releaseAtRest();
    }
  }

  /**
   * Makes a change at once or, behind other calls, in its turn. Nothing awaits a queued change: if it fails, the next call, which would
   * have used it, throws its error, and changes before that call are not made.
   *
   * @throws as `run`
   */
  change(name: string, change: () => void): void {
    this.check(name);
    if (this.isBusy) {
      void this.#inTurn(name, async () => this.#attempt(change));
      return;
    }
    this.#throwFailure();
    change();
  }

  #attempt(change: () => void): void {
    if (this.#failure) return;
    try {
      change();
    } catch (error) {
      this.#failure = { error };
    }
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure.error;
  }

  /** Whether a call has not ended. */
  get isBusy(): boolean {
    return this.#pending.length > 0;
  }

  /** Runs a user's function during a call. Calls from within it are refused, as they would wait for themselves. */
  callback<T>(name: string, callback: () => T): T {
    this.#callback = name;
    try {
      return callback();
    } finally {
      this.#callback = null;
    }
  }

  /** @throws {EngineError} "busy" when one of the named calls has not ended */
  refuseDuring(name: string, calls: readonly string[]): void {
    const pending = this.#pending.find((call) => calls.includes(call));
    if (pending === undefined) return;
    throw new EngineError("busy", `${name}: expected no pending ${pending}, got one in progress (await it first)`, {
      where: name,
      pending,
    });
  }

  /** Refuses calls from now on. Runs `release` once all earlier calls have ended, at once if there are none. */
  end(release: () => void): void {
    this.#ended = true;
    this.afterwards(release);
  }

  /** Runs `release` once all earlier calls have ended. */
  afterwards(release: () => void): void {
    this.#releases.push(release);
    this.#releaseAtRest();
  }

  #releaseAtRest(): void {
    if (!this.isBusy) for (const release of this.#releases.splice(0)) release();
  }

  /** @throws {EngineError} calls are refused: "disposed", or "reentrant" from within a callback */
  check(name: string): void {
    if (this.#ended)
      throw new EngineError("disposed", `${name}: expected an object in use, got one that was disposed of`, {
        where: name,
      });
    if (this.#callback !== null) {
      const where = `${this.#callback}, which ${name} would wait for`;
      throw new EngineError("reentrant", `${name}: expected a call from outside, got one from within ${where}`, {
        where: name,
      });
    }
  }
}

const queues = new WeakMap<object, CallQueue>();

/** The queue of all calls that use `owner`, such as the parameters that a network and its read-out share. */
export function callsOf(owner: object): CallQueue {
  const known = queues.get(owner) ?? new CallQueue();
  queues.set(owner, known);
  return known;
}

function ignore(): void {}
