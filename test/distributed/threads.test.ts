import { suite } from "uvu";
import * as assert from "uvu/assert";
import { slurmGrant } from "../../src/core/slurmGrant.ts";
import { SOLO } from "../../src/distributed/communicator.ts";
import { type CpuGrant, cpusOf, grantedCpus, lengthOfList, quotaOf } from "../../src/distributed/threads.ts";
import { onRanks } from "../support/ranks.ts";

const test = suite("threads");

const grant = (mask: string | null, cpus: number, more: Partial<CpuGrant> = {}): CpuGrant => ({
  ...{ mask, cpus, quota: null, perTask: null, onNode: null },
  ...more,
});
const times = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);

const CASES: readonly {
  readonly name: string;
  readonly hosts: string;
  readonly grants: readonly CpuGrant[];
  readonly cpus: readonly number[];
}[] = [
  { name: "one process", hosts: "a", grants: [grant("0-7", 8)], cpus: [8] },
  { name: "all see all (MPICH)", hosts: "aaa", grants: times(3, grant("0-7", 8)), cpus: [2, 2, 2] },
  { name: "more ranks than CPUs", hosts: "aaaa", grants: times(4, grant("0-1", 2)), cpus: [1, 1, 1, 1] },
  {
    name: "bound to cores (Open MPI)",
    hosts: "aab",
    grants: [grant("0,4", 2), grant("1,5", 2), grant("0,4", 2)],
    cpus: [2, 2, 2],
  },
  {
    name: "two hosts of different sizes",
    hosts: "abb",
    grants: [grant("0-3", 4), grant("0-15", 16), grant("0-15", 16)],
    cpus: [4, 8, 8],
  },
  { name: "no mask (macOS)", hosts: "aa", grants: times(2, grant(null, 10)), cpus: [5, 5] },
  {
    name: "srun on a node that confines nothing",
    hosts: "aa",
    grants: times(2, grant("0-63", 64, { onNode: 4 })),
    cpus: [2, 2],
  },
  { name: "a task of an array with one CPU", hosts: "a", grants: [grant("0-63", 64, { onNode: 1 })], cpus: [1] },
  { name: "CPUs per task", hosts: "aa", grants: times(2, grant("0-63", 64, { perTask: 4, onNode: 16 })), cpus: [4, 4] },
  {
    name: "mpirun starts more ranks than tasks",
    hosts: "aa",
    grants: times(2, grant("0-63", 64, { perTask: 4, onNode: 4 })),
    cpus: [2, 2],
  },
  { name: "a container with a quota", hosts: "aa", grants: times(2, grant("0-63", 64, { quota: 5 })), cpus: [2, 2] },
  { name: "half a CPU", hosts: "a", grants: [grant("0-63", 64, { quota: 0.5 })], cpus: [1] },
];

test("divides what a host grants among its ranks", () => {
  for (const { name, hosts, grants, cpus } of CASES)
    assert.equal(
      grants.map((_, rank) => cpusOf({ rank, hosts: [...hosts] }, grants)),
      cpus,
      name,
    );
});

test("every rank of this machine gets at least one CPU, and one process as many as all of them", async () => {
  const alone = await grantedCpus(SOLO);
  assert.ok(Number.isInteger(alone) && alone >= 1);
  assert.equal(await onRanks(2, grantedCpus), times(2, Math.max(1, Math.floor(alone / 2))));
});

test("reads lists of CPUs, and Slurm's grant within a job", () => {
  assert.equal(["0", "0-3", "0-3,8", "1,3,5-6", "", "a-b"].map(lengthOfList), [1, 4, 5, 4, null, null]);
  assert.equal(slurmGrant({ SLURM_JOB_ID: "1", SLURM_CPUS_PER_TASK: "3", SLURM_CPUS_ON_NODE: "6" }), {
    perTask: 3,
    onNode: 6,
  });
  assert.equal(slurmGrant({ SLURM_JOB_ID: "1", SLURM_CPUS_PER_TASK: "x" }), { perTask: null, onNode: null });
  assert.equal(slurmGrant({ SLURM_CPUS_PER_TASK: "3" }), { perTask: null, onNode: null });
});

test("reads the lowest quota of the control groups, of either version", async () => {
  const among =
    (files: Readonly<Record<string, string>>) =>
    async (file: string): Promise<string | null> =>
      files[file] ?? null;
  const second = {
    "/proc/self/cgroup": "0::/job/step\n",
    "/sys/fs/cgroup/job/step/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/job/cpu.max": "150000 100000\n",
  };
  assert.is(await quotaOf(among(second)), 1.5);
  const first = {
    "/proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/job\n0::/\n",
    "/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "400000\n",
    "/sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
  };
  assert.is(await quotaOf(among(first)), 4);
  assert.is(await quotaOf(among({})), null);
});

test.run();
