// The default budget of a tape on an adapter. The memory of an adapter is unknown: Dawn knows its heaps, but the Node binding does not report
// them (`adapter.info` has no `memoryHeaps`, whatever features are requested), and no limit is about memory: `maxBufferSize` is 1 TiB on an
// NVIDIA card. So the budget is an amount that is safe to request. The device may refuse it, which the tape handles (`buffersIfRoom`).

import { HOST_TAPE_BYTES, machineMemory } from "../hostMemory.ts";
import type { AdapterInfo } from "./dawn.ts";

/**
 * Share of the machine's memory. A GPU that shares it (integrated, Apple's) leaves three quarters to everything else. Machines with cards
 * usually have memory in proportion to them; a card with less refuses.
 */
const SHARE = 1 / 4;
/** On Windows a full card does not refuse: it moves memory to the CPU's. Recomputing is faster than moving it back. */
const MOST_WHERE_MEMORY_MOVES = 2 * 2 ** 30;

/** Default bytes of a tape on an adapter. */
export function tapeBudget(
  { isSoftware }: Pick<AdapterInfo, "isSoftware">,
  memoryBytes: number = machineMemory(),
  platform: string = process.platform,
): number {
  if (isSoftware) return HOST_TAPE_BYTES;
  const most = platform === "win32" ? MOST_WHERE_MEMORY_MOVES : Number.POSITIVE_INFINITY;
  return Math.max(HOST_TAPE_BYTES, Math.min(Math.floor(SHARE * memoryBytes), most));
}
