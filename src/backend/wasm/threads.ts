// How many threads a machine serves. Each has an isolate of V8 of its own, which takes memory before it has done anything.

import { availableParallelism } from "node:os";
import { machineMemory } from "../hostMemory.ts";
import { addressSpaceLeft, memorySpace } from "./addressSpace.ts";

/** Resident memory of a waiting thread: 9 MiB in Node 20, 13 MiB in Node 24. */
const THREAD_BYTES = 16 * 2 ** 20;
/** Address space that a thread reserves: 590 MiB in Node 20 to 24, 842 MiB in Node 26. V8 aborts the process if it cannot reserve it. */
const THREAD_SPACE = 896 * 2 ** 20;
/** Waiting threads may take this part of the memory. */
const MEMORY_SHARE = 1 / 8;
/** More threads than cores compute nothing sooner, but a run may come from a larger machine. */
const MOST_PER_CORE = 8;
const MOST_ANYWHERE = 32;

/** What decides how many threads can be served. */
export interface Machine {
  readonly cores: number;
  /** Memory that the process may use. */
  readonly memoryBytes: number;
  /** Address space that it may still take; Infinity: no limit. */
  readonly addressSpaceBytes: number;
}

export function thisMachine(): Machine {
  return {
    cores: availableParallelism(),
    memoryBytes: machineMemory(),
    addressSpaceBytes: addressSpaceLeft(),
  };
}

/** Most threads, the caller's included, that a backend starts on this machine. */
export function mostThreads(machine: Machine = thisMachine()): number {
  const { cores, memoryBytes, addressSpaceBytes } = machine;
  // One thread's space is left to others: that of a run's lock, for one.
  const space = addressSpaceBytes - memorySpace(addressSpaceBytes) - THREAD_SPACE;
  const byMemory = (MEMORY_SHARE * memoryBytes) / THREAD_BYTES;
  const byCores = Math.max(MOST_ANYWHERE, MOST_PER_CORE * cores);
  return Math.max(1, Math.floor(Math.min(byCores, byMemory, 1 + space / THREAD_SPACE)));
}

/** Threads where nobody says how many: one per core. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), mostThreads());
}

/** "2 cores, 23.5 GiB of memory", and the limit of address space where there is one. */
export function describeMachine({ cores, memoryBytes, addressSpaceBytes }: Machine): string {
  const gib = (bytes: number): string => `${Number((bytes / 2 ** 30).toPrecision(3))} GiB`;
  const limited = Number.isFinite(addressSpaceBytes)
    ? `, ${gib(addressSpaceBytes)} of virtual memory left by its limit (ulimit -v)`
    : "";
  return `${cores} core${cores === 1 ? "" : "s"}, ${gib(memoryBytes)} of memory${limited}`;
}
