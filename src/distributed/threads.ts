// How many CPUs a rank may use: what the launcher, Slurm and the system grant it, shared with the other ranks of its host.

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { type SlurmGrant, slurmGrant } from "../core/slurmGrant.ts";
import type { Communicator } from "./communicator.ts";
import type { Environment } from "./launcher.ts";

/** What one rank knows of its CPUs. */
export interface CpuGrant extends SlurmGrant {
  /** The CPUs that the system schedules it on, as Linux lists them ("0-3,8"); null: unknown. */
  readonly mask: string | null;
  /** Their number. */
  readonly cpus: number;
  /** CPUs' worth of time that its control group has; null: no limit is known. */
  readonly quota: number | null;
}

/**
 * The number of CPUs for this rank: of its affinity mask, divided by the ranks of its host with the same mask (MPICH and unconfined nodes of Slurm
 * give every rank all of them); at most `SLURM_CPUS_PER_TASK`; at most its part of `SLURM_CPUS_ON_NODE` and of the quota of its control group,
 * which its host's ranks share. At least 1. A collective call.
 */
export async function grantedCpus(communicator: Communicator): Promise<number> {
  const grants = await communicator.exchange(await readGrant(process.env));
  return cpusOf(communicator, grants);
}

/** The same from what all ranks know; pure. */
export function cpusOf({ rank, hosts }: Pick<Communicator, "rank" | "hosts">, grants: readonly CpuGrant[]): number {
  const own = grants[rank]!;
  const neighbours = grants.filter((_, other) => hosts[other] === hosts[rank]);
  const sharers = neighbours.filter(({ mask }) => mask === own.mask);
  const limits = [
    own.cpus / sharers.length,
    own.perTask,
    own.onNode === null ? null : own.onNode / neighbours.length,
    own.quota === null ? null : own.quota / neighbours.length,
  ];
  return Math.max(1, Math.floor(Math.min(...limits.filter((limit) => limit !== null))));
}

/** What this process is granted. */
export async function readGrant(env: Environment): Promise<CpuGrant> {
  const status = (await textOf("/proc/self/status")) ?? "";
  const mask = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? null;
  return {
    mask,
    cpus: (mask === null ? null : lengthOfList(mask)) ?? availableParallelism(),
    quota: await quotaOf(textOf),
    ...slurmGrant(env),
  };
}

/** The number of CPUs in a list of Linux: "0-3,8" has 5. null: it is no such list. */
export function lengthOfList(list: string): number | null {
  let count = 0;
  for (const range of list.split(",")) {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (first === undefined) return null;
    count += Number(last ?? first) - Number(first) + 1;
  }
  return count;
}

const CGROUPS = "/sys/fs/cgroup";

/** The lowest quota among the control groups around this process, in CPUs (Linux: cgroup-v2.rst, "cpu.max"; sched-bwc.rst for version 1). */
export async function quotaOf(read: (file: string) => Promise<string | null>): Promise<number | null> {
  const quotas: number[] = [];
  for (const line of ((await read("/proc/self/cgroup")) ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    const isSecond = controllers === "";
    if (!isSecond && !controllers!.split(",").includes("cpu")) continue;
    for (const folder of upwards(path)) {
      const at = join(CGROUPS, isSecond ? "" : "cpu", folder);
      const quota = isSecond
        ? share(...((await read(join(at, "cpu.max"))) ?? "").trim().split(" "))
        : share((await read(join(at, "cpu.cfs_quota_us"))) ?? "", (await read(join(at, "cpu.cfs_period_us"))) ?? "");
      if (quota !== null) quotas.push(quota);
    }
  }
  return quotas.length === 0 ? null : Math.min(...quotas);
}

/** A path and its parents. */
function upwards(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...upwards(parent)];
}

/** Without a limit, the quota is "max" or −1. */
function share(quota = "", period = ""): number | null {
  const [numerator, denominator] = [Number(quota || Number.NaN), Number(period || Number.NaN)];
  return numerator > 0 && denominator > 0 ? numerator / denominator : null;
}

async function textOf(file: string): Promise<string | null> {
  return readFile(file, "utf8").catch(() => null);
}
