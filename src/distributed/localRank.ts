// The place of a rank among the ranks of its host, by which they divide the host's GPUs.

import type { Communicator } from "./communicator.ts";

/** The number of ranks of the same host before this one, and the number of all ranks there. */
export function localRank({ rank, hosts }: Pick<Communicator, "rank" | "hosts">): {
  readonly localRank: number;
  readonly localSize: number;
} {
  const isHere = (host: string): boolean => host === hosts[rank];
  return { localRank: hosts.slice(0, rank).filter(isHere).length, localSize: hosts.filter(isHere).length };
}
