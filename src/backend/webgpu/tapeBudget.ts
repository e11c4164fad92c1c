// How much of an adapter's memory a tape may take where nobody says. Dawn knows the heaps of an adapter, but its binding for Node does not
// tell them (`adapter.info` has no `memoryHeaps`, whatever features are asked for), and no limit speaks of memory: `maxBufferSize` is 1 TiB on
// an NVIDIA card. So this is no share of what the device has, but what is safe to ask for; the device's refusal is heard (`buffersIfRoom`).

import { HOST_TAPE_BYTES, machineMemory } from "../hostMemory.ts";
import type { AdapterInfo } from "./dawn.ts";

/**
 * Of the machine's memory. A GPU that shares it (an integrated one, Apple's) leaves three quarters to everybody else; machines with cards have
 * memory in proportion to them, and where a card has less it refuses.
 */
const SHARE = 1 / 4;
/** On Windows a card that is full refuses nothing: memory is moved to that of the CPU. Recomputing is faster than getting it back. */
const MOST_WHERE_MEMORY_MOVES = 2 * 2 ** 30;

/** Bytes of a tape on an adapter, where nobody says how many. */
export function tapeBudget(
  { isSoftware }: Pick<AdapterInfo, "isSoftware">,
  memoryBytes: number = machineMemory(),
  platform: string = process.platform,
): number {
  if (isSoftware) return HOST_TAPE_BYTES;
  const most = platform === "win32" ? MOST_WHERE_MEMORY_MOVES : Number.POSITIVE_INFINITY;
  return Math.max(HOST_TAPE_BYTES, Math.min(Math.floor(SHARE * memoryBytes), most));
}
