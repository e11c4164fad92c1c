// How many threads a machine supports. Each thread has its own V8 isolate, which takes memory even when idle.

import { availableParallelism } from "node:os";
import { slurmGrant } from "../../core/slurmGrant.ts";
import { machineMemory } from "../hostMemory.ts";
import { addressSpaceLeft, memorySpace } from "./addressSpace.ts";

/** Resident memory of a waiting thread: 9 MiB in Node 20, 13 MiB in Node 24. */
const THREAD_BYTES = 16 * 2 ** 20;
/** Address space that a thread reserves: 590 MiB in Node 20 to 24, 842 MiB in Node 26. V8 aborts the process if it cannot reserve it. */
const THREAD_SPACE = 896 * 2 ** 20;
/** Waiting threads may take this part of the memory. */
const MEMORY_SHARE = 1 / 8;
/** More threads than cores are no faster, but a run may come from a larger machine. */
const MOST_PER_CORE = 8;
const MOST_ANYWHERE = 32;

/** The facts that limit the number of threads. */
export interface Machine {
  readonly cores: number;
  /** Memory available to the process. */
  readonly memoryBytes: number;
  /** Address space still available to it; Infinity: no limit. */
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
  // Leaves the space of one more thread, for example that of a run's lock.
  const space = addressSpaceBytes - memorySpace(addressSpaceBytes) - THREAD_SPACE;
  const byMemory = (MEMORY_SHARE * memoryBytes) / THREAD_BYTES;
  const byCores = Math.max(MOST_ANYWHERE, MOST_PER_CORE * cores);
  return Math.max(1, Math.floor(Math.min(byCores, byMemory, 1 + space / THREAD_SPACE)));
}

/** Default number of threads: one per core; in a job of Slurm, one per CPU that it was granted, as not every site confines its jobs. */
export function defaultThreads(env: Readonly<Record<string, string | undefined>> = process.env): number {
  const { perTask, onNode } = slurmGrant(env);
  return Math.min(availableParallelism(), mostThreads(), perTask ?? onNode ?? Number.POSITIVE_INFINITY);
}

/** "2 cores, 23.5 GiB of memory", and the limit of address space if there is one. */
export function describeMachine({ cores, memoryBytes, addressSpaceBytes }: Machine): string {
  const gib = (bytes: number): string => `${Number((bytes / 2 ** 30).toPrecision(3))} GiB`;
  const limited = Number.isFinite(addressSpaceBytes)
    ? `, ${gib(addressSpaceBytes)} of virtual memory left by its limit (ulimit -v)`
    : "";
  return `${cores} core${cores === 1 ? "" : "s"}, ${gib(memoryBytes)} of memory${limited}`;
}
