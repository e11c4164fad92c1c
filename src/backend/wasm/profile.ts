// The kinds of work that a profile tells apart; the position in the list is the row of the profile table in shared memory.

export const PROFILE_KINDS = [
  "matmul sparse",
  "matmulT sparse",
  "matmul dense",
  "matmulT dense",
  "pointwise", //  state phases without a contraction
  "vector", //     phases over plain vectors
  "sample", //     phases of one row
  "reduction", //  folding the partial results of reductions over rows
  "barrier", //    thread 0 waiting for the others
] as const;

/** Bytes of the profile table: a pair of doubles (milliseconds, runs) per kind. */
export const PROFILE_BYTES: number = 16 * PROFILE_KINDS.length;
