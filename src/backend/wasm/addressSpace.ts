// How much address space is left to the process. Batch systems and shared hosts limit it (`ulimit -v`), and WASM reserves far more than it
// uses.

import { readFileSync } from "node:fs";

/** Text of a file below /proc/self. */
type Reader = (file: "limits" | "status") => string;

/** Bytes left to this process; Infinity if there is no limit, or none is known: only Linux has such files. */
export function addressSpaceLeft(read: Reader = (file) => readFileSync(`/proc/self/${file}`, "latin1")): number {
  try {
    const limit = /^Max address space +(\d+)/m.exec(read("limits"))?.[1];
    const usedKib = /^VmSize:\s+(\d+) kB/m.exec(read("status"))?.[1];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit) - 1024 * Number(usedKib ?? 0);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** V8 reserves this for a memory of any size: all that 32-bit addresses and offsets reach, so that the hardware checks bounds. */
export const RESERVED_BYTES: number = 10.25 * 2 ** 30;

/** Bytes of `left` that shared memory may reserve: all that V8 wants, or half of `left` if V8 then checks bounds in code. */
export function memorySpace(left: number): number {
  return left >= RESERVED_BYTES ? RESERVED_BYTES : Math.max(0, left / 2);
}
