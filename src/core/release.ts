// What becomes of things made half-way.

import type { Releasable } from "./roundCache.ts";

/** The result of `make`. If it throws, `owner` is released first, as nothing else could release it any more. */
export function orRelease<T>(owner: Releasable, make: () => T): T {
  try {
    return make();
  } catch (error) {
    owner.release();
    throw error;
  }
}
