// The machine's memory, and the part of it that a tape may take.

import { totalmem } from "node:os";

/** Bytes that the process may use: those of the machine, or the limit of its control group. */
export function machineMemory(): number {
  // 0 or a huge number where no control group limits the process.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), constrained);
}

/**
 * Default bytes of a tape in the CPU's memory (the wasm backend, software adapters): little on any machine of today, and enough for the 16
 * samples that run at once.
 */
export const HOST_TAPE_BYTES: number = 384 * 2 ** 20;
