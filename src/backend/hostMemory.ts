// The machine's memory, and the part of it that a tape may take.

import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes that the process may use: those of the machine, or the limit of its control group. */
export function machineMemory(): number {
  // 0 or a huge number where no control group limits the process.
  const constrained = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), constrained);
}

/** Bytes that the process may still take: what the machine has free now, within `machineMemory`. */
export function freeMemory(
  limit: number = machineMemory(),
  read: () => string = () => readFileSync("/proc/meminfo", "latin1"),
): number {
  const left = limit - process.memoryUsage.rss();
  try {
    const available = /^MemAvailable:\s+(\d+) kB/m.exec(read())?.[1];
    return available === undefined ? left : Math.min(left, 1024 * Number(available));
  } catch {
    // Only Linux says what could be freed; other systems count caches as used.
    return left;
  }
}

/** Memory of this process without garbage. */
export interface HostUse {
  /** Resident bytes. */
  readonly resident: number;
  /** Bytes of arrays, among them. */
  readonly arrays: number;
}

/** Collects garbage, so that it does not count, and is not there when memory is needed. */
export function hostUse(): HostUse {
  collectGarbage();
  const { rss, arrayBuffers } = process.memoryUsage();
  return { resident: rss, arrays: arrayBuffers };
}

let collect: (() => void) | null = null;

function collectGarbage(): void {
  collect ??= collector();
  // Arrays are freed behind the collector's back; the second call waits for that.
  collect();
  collect();
}

function collector(): () => void {
  const { Bun } = globalThis as { readonly Bun?: { gc(wait: boolean): void } };
  if (Bun) return () => Bun.gc(true);
  // The one way to V8's collector without an option at its start.
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/**
 * Default bytes of a tape in the CPU's memory (the wasm backend, software adapters): little on any machine of today, and enough for the 16
 * samples that run at once.
 */
export const HOST_TAPE_BYTES: number = 384 * 2 ** 20;
