// The memory of the machine that the process runs on, and how much of it a tape may take.

import { totalmem } from "node:os";

/** Bytes that the process may use: what the machine has, or the limit of its control group. */
export function machineMemory(): number {
  // 0 or a huge number where no control group limits the process.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), constrained);
}

/**
 * Bytes of a tape in the memory of the CPU (the wasm backend, software adapters), where nobody says how many: little on any machine of
 * today, and enough for the 16 samples that run at once.
 */
export const HOST_TAPE_BYTES: number = 384 * 2 ** 20;
