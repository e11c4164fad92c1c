import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EngineError } from "../../src/core/errors.ts";
import { type Environment, hasProcessManager, launchOf, withoutLauncher } from "../../src/distributed/launcher.ts";

const test = suite("launcher");

/** As Slurm 22.05 sets them. */
const BATCH = { SLURM_JOB_ID: "7", SLURM_NTASKS: "4", SLURM_NPROCS: "4", SLURM_PROCID: "0", SLURM_LOCALID: "0" };
const task = (rank: number, size: number): Environment => ({
  ...BATCH,
  SLURM_STEP_ID: "0",
  SLURM_PROCID: `${rank}`,
  SLURM_STEP_NUM_TASKS: `${size}`,
});
const openMpi = (rank: number, size: number): Environment => ({
  OMPI_COMM_WORLD_RANK: `${rank}`,
  OMPI_COMM_WORLD_SIZE: `${size}`,
  PMIX_RANK: `${rank}`,
  PMIX_NAMESPACE: "1",
});
const hydra = (rank: number, size: number): Environment => ({
  PMI_RANK: `${rank}`,
  PMI_SIZE: `${size}`,
  PMI_FD: "6",
  HYDI_CONTROL_FD: "7",
});
const pmi2 = (rank: number, size: number): Environment => ({
  ...task(rank, size),
  PMI_RANK: `${rank}`,
  PMI_SIZE: `${size}`,
});

const CASES: readonly (readonly [name: string, env: Environment, found: readonly unknown[] | null])[] = [
  ["no launcher", { PATH: "/bin", OMPI_MCA_btl: "tcp,self", OMPI_ALLOW_RUN_AS_ROOT: "1" }, null],
  ["a batch script that asked for four tasks", BATCH, null],
  ["a step of one task", task(0, 1), null],
  ["a step of one task with PMI-2", pmi2(0, 1), null],
  ["a step of one task with PMIx", { ...task(0, 1), PMIX_RANK: "0" }, null],
  ["a step of tasks", task(2, 4), ["srun of Slurm", null, 2, 4]],
  ["a step with PMIx", { ...task(2, 4), PMIX_RANK: "2" }, ["srun of Slurm", "Open MPI", 2, 4]],
  ["a step with PMI-2", pmi2(2, 4), ["srun of Slurm", "MPICH", 2, 4]],
  ["Open MPI", openMpi(3, 4), ["mpirun of Open MPI", "Open MPI", 3, 4]],
  ["Open MPI, one rank", openMpi(0, 1), ["mpirun of Open MPI", "Open MPI", 0, 1]],
  ["Open MPI in a batch script", { ...BATCH, ...openMpi(3, 4) }, ["mpirun of Open MPI", "Open MPI", 3, 4]],
  ["Open MPI's helper is a task", { ...task(1, 2), ...openMpi(3, 4) }, ["mpirun of Open MPI", "Open MPI", 3, 4]],
  ["MPICH", hydra(3, 4), ["mpirun of MPICH or its kin", "MPICH", 3, 4]],
  ["MPICH's helper is a task", { ...task(1, 2), ...hydra(3, 4) }, ["mpirun of MPICH or its kin", "MPICH", 3, 4]],
  ["MPICH with a port", { PMI_PORT: "n1:4", PMI_ID: "1" }, ["mpirun -pmi-port of MPICH", "MPICH", 1, null]],
  ["MVAPICH", { MV2_COMM_WORLD_RANK: "1", MV2_COMM_WORLD_SIZE: "2" }, ["mpirun of MVAPICH", "MPICH", 1, 2]],
  ["PMIx alone", { PMIX_RANK: "1", PMIX_NAMESPACE: "x" }, ["a launcher with PMIx", "Open MPI", 1, null]],
  [
    "one rank of one that starts four of another",
    { ...openMpi(0, 1), ...hydra(2, 4) },
    ["mpirun of MPICH or its kin", "MPICH", 2, 4],
  ],
  ["numbers that are none", { PMI_RANK: "", PMI_SIZE: "four" }, null],
];

test("finds what started a process", () => {
  for (const [name, env, found] of CASES) {
    const launch = launchOf(env);
    assert.equal(launch && [launch.launcher, launch.family, launch.rank, launch.size], found, name);
  }
});

test("refuses two launchers that say different things", () => {
  const error = thrownBy(() => launchOf({ ...openMpi(1, 2), ...hydra(3, 4) }));
  assert.is(error.code, "launcher");
  assert.match(error.message, /rank 1 of 2, but mpirun of MPICH or its kin says that this is rank 3 of 4/);
});

test("sees whether tasks can find each other", () => {
  assert.not(hasProcessManager({ ...task(0, 2), PMIX_MCA_gds: "hash" }));
  for (const env of [pmi2(0, 2), openMpi(0, 2), { PMI_PORT: "n1:4" }, { PALS_APID: "x" }])
    assert.ok(hasProcessManager(env));
});

test("gives processes an environment without any launcher", () => {
  const kept = { ...BATCH, SLURM_CPUS_PER_TASK: "2", SLURM_CPUS_ON_NODE: "4", PATH: "/bin", AXOGRAD_MPI: "/x" };
  const job = Object.fromEntries(
    Object.entries(kept).filter(([key]) => !["SLURM_PROCID", "SLURM_LOCALID"].includes(key)),
  );
  for (const [name, env] of CASES) {
    const child = withoutLauncher({ ...env, ...kept, AXOGRAD_RANK_PROCESS: "12" });
    assert.is(launchOf(child), null, name);
    assert.equal(child, job, name);
  }
});

function thrownBy(action: () => unknown): EngineError {
  try {
    action();
  } catch (error) {
    if (error instanceof EngineError) return error;
  }
  throw new Error("expected an EngineError");
}

test.run();
