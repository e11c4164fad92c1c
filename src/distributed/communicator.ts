// What the processes of one training ask of each other. They all run the same program on the same settings (data-parallel training, SPMD):
// whatever follows from settings and data alone each of them computes on its own, and only sums and decisions go through here.

import type { FloatArray } from "../core/dtype.ts";

/**
 * A group of processes ("ranks") that train together. Calls are *collective*: every rank makes the same ones in the same order, and each
 * resolves once all ranks have made it. So a call must never depend on what only one rank knows (a clock, a signal): exchange that first.
 */
export interface Communicator {
  /** This process, from 0. Rank 0 writes files and talks to the user. */
  readonly rank: number;
  readonly size: number;
  /** The host of each rank, by its name. */
  readonly hosts: readonly string[];
  /** In words, for the record of a run: library and launcher. null: one process, which talks to nobody. */
  readonly description: string | null;
  /** What every rank gives, in the order of ranks, the same on all of them. Values are copied as by `structuredClone`. Also a barrier. */
  exchange<T>(value: T): Promise<readonly T[]>;
  /**
   * `send[r]` goes to rank r, and `receive[r]` gets what rank r sends to this one. Both ends agree on each length, which may be 0. All arrays
   * have the same element type on all ranks.
   */
  allToAll<A extends FloatArray>(send: readonly A[], receive: readonly A[]): Promise<void>;
  /**
   * Completes `whole` on every rank: it is cut into pieces of the lengths `counts`, one after another, and piece r is taken from rank r.
   */
  allGather(whole: FloatArray, counts: readonly number[]): Promise<void>;
  /** Leaves the group, after the last collective call; waits for the others to do so. */
  close(): Promise<void>;
}

/** One process that trains alone. Nothing of MPI is loaded for it. */
export const SOLO: Communicator = {
  rank: 0,
  size: 1,
  hosts: ["localhost"],
  description: null,
  exchange: async <T>(value: T) => [value],
  allToAll: async (send, receive) => {
    receive[0]!.set(send[0]!);
  },
  allGather: async () => {},
  close: async () => {},
};
