// The roofline: the rates of this machine, and the least time that they allow for given work.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { Worker } from "node:worker_threads";
import type { Cost } from "../../src/profile/cost.ts";
import type { Roofline, RooflineLevel } from "../row.ts";
import type { ProbeRequest, ProbeStart } from "./probe.ts";

const MIB = 2 ** 20;
/** For systems that do not report their caches. */
const USUAL_CACHES: Caches = { l2: MIB, l3: 32 * MIB };
/** Working set, per thread, that exceeds most caches. */
const DRAM_BYTES = 128 * MIB;
/** Most memory of all threads together. */
const MEMORY_SHARE = 1 / 8;

export interface Caches {
  readonly l2: number;
  readonly l3: number;
}

/**
 * Measures with `threads` threads at once and adds their rates.
 *
 * @param module  compiled rates.as
 * @param seconds per rate
 */
export async function measureRoofline(module: Uint8Array, threads: number, seconds: number): Promise<Roofline> {
  const caches = readCaches();
  const sets = workingSets(caches, totalmem(), threads);
  const start: ProbeStart = { module, maxBytes: Math.max(...Object.values(sets)) };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL("./probe.js", import.meta.url), { workerData: start }),
  );
  const rate = async (request: ProbeRequest): Promise<number> => {
    const answers = workers.map(async (worker) => {
      const answer = once(worker, "message");
      worker.postMessage(request);
      const [value] = (await answer) as [number];
      return value;
    });
    return (await Promise.all(answers)).reduce((sum, x) => sum + x, 0);
  };
  try {
    const level = async (name: RooflineLevel["name"], bytes: number, used: number): Promise<RooflineLevel> => ({
      name,
      bytes,
      bandwidth: await rate({ rate: "read", bytes: used, seconds }),
    });
    return {
      threads,
      flops: await rate({ rate: "flops", seconds }),
      copy: await rate({ rate: "copy", bytes: sets.dram, seconds }),
      levels: [
        await level("L2", caches.l2, sets.l2),
        await level("L3", caches.l3, sets.l3),
        await level("DRAM", totalmem(), sets.dram),
      ],
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/**
 * The least time that the measured rates allow, the longest of these: the work at the multiply-add rate; for each level of memory, the traffic
 * from this level and beyond at its read bandwidth. Traffic belongs to the first level that holds its working set. A bound, not a prediction:
 * gathers of single rows do not reach the bandwidth of sequential reads.
 */
export function allowedSeconds({ flops, traffic }: Cost, roofline: Roofline): number {
  let smaller = 0;
  let longest = flops / roofline.flops;
  for (const { bytes: capacity, bandwidth } of roofline.levels) {
    const bytes = traffic.reduce((sum, t) => (t.workingSet > smaller ? sum + t.bytes : sum), 0);
    longest = Math.max(longest, bytes / bandwidth);
    smaller = capacity;
  }
  return longest;
}

/** Bytes that each of `threads` threads reads to measure a level: half of a cache; for memory twice the last cache, if there is room. */
export function workingSets(
  { l2, l3 }: Caches,
  memoryBytes: number,
  threads: number,
): Record<"l2" | "l3" | "dram", number> {
  const most = (MEMORY_SHARE * memoryBytes) / threads;
  return {
    l2: wholeLines(l2 / 2),
    l3: wholeLines(Math.min(most, Math.max(l3 / 2 / threads, 2 * l2))),
    dram: wholeLines(Math.min(most, Math.max(DRAM_BYTES, (2 * l3) / threads))),
  };
}

function wholeLines(bytes: number): number {
  return Math.floor(bytes / 128) * 128;
}

/** Sizes of the second and third level, from Linux. */
function readCaches(): Caches {
  const folder = "/sys/devices/system/cpu/cpu0/cache";
  const sizes = new Map<number, number>();
  try {
    for (const index of readdirSync(folder).filter((name) => name.startsWith("index"))) {
      const read = (name: string): string => readFileSync(`${folder}/${index}/${name}`, "utf8").trim();
      if (read("type") !== "Instruction") sizes.set(Number(read("level")), Number.parseInt(read("size"), 10) * 1024);
    }
  } catch {
    return USUAL_CACHES;
  }
  return { l2: sizes.get(2) ?? USUAL_CACHES.l2, l3: sizes.get(3) ?? USUAL_CACHES.l3 };
}
