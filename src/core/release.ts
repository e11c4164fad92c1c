// Things that hold more than host memory, and what becomes of them when making something else fails.

/** Something that holds more than host memory. */
export interface Releasable {
  /** Idempotent. */
  release(): void;
}

/** The result of `make`. If it throws, `owner` is released first: nobody else could. */
export function orRelease<T>(owner: Releasable, make: () => T): T {
  try {
    return make();
  } catch (error) {
    owner.release();
    throw error;
  }
}
