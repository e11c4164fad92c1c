// Things that hold more than memory of the host, and their fate when they are made half-way.

/** Something that must be given back. */
export interface Releasable {
  /** Idempotent. */
  release(): void;
}

/** The result of `make`. If that throws, `owner` is released first, because nothing else could release it any more. */
export function orRelease<T>(owner: Releasable, make: () => T): T {
  try {
    return make();
  } catch (error) {
    owner.release();
    throw error;
  }
}
