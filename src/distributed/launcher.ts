// What started this process: one of several by a launcher of MPI or as a task of Slurm, or alone. From the environment; pure.

import { EngineError } from "../core/errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The implementations of MPI that come with launchers of their own. */
export type Family = "Open MPI" | "MPICH";

/** What a launcher says about this process. */
export interface Launch {
  readonly launcher: string;
  /** The libraries that understand this launcher; null: any may. */
  readonly family: Family | null;
  /** null: the launcher says it to the library alone. */
  readonly rank: number | null;
  readonly size: number | null;
}

interface Variables {
  readonly launcher: string;
  readonly family: Family | null;
  readonly rank: string;
  readonly size: string | null;
}

/** What launchers of MPI set, the more specific first. Those of Intel MPI, Cray and Flux set the variables of PMI, too. */
const LAUNCHERS: readonly Variables[] = [
  { launcher: "mpirun of Open MPI", family: "Open MPI", rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE" },
  { launcher: "mpirun of MVAPICH", family: "MPICH", rank: "MV2_COMM_WORLD_RANK", size: "MV2_COMM_WORLD_SIZE" },
  { launcher: "mpirun of MPICH or its kin", family: "MPICH", rank: "PMI_RANK", size: "PMI_SIZE" },
  { launcher: "mpirun -pmi-port of MPICH", family: "MPICH", rank: "PMI_ID", size: null },
];
const SLURM: Variables = {
  launcher: "srun of Slurm",
  family: null,
  rank: "SLURM_PROCID",
  size: "SLURM_STEP_NUM_TASKS",
};
const PMIX: Variables = { launcher: "a launcher with PMIx", family: "Open MPI", rank: "PMIX_RANK", size: null };

/** The number of a process on its host, by Slurm, Open MPI, MPICH and Intel MPI, MVAPICH. */
const LOCAL_RANKS = ["SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK"];

/** What the processes that a rank starts must not believe of themselves. What users set (`…_MCA_…`) goes, too: it is for MPI. */
const LAUNCHER_VARIABLES =
  /^(OMPI|ORTE|PRTE|PMIX|PMI2?|MV2|MPIEXEC|HYDI?|HYDRA|PALS|ALPS)_|^MPI_LOCAL|^SLURM_(STEP(?!_GPUS$)|PROCID$|LOCALID$|GTIDS$|TASK_PID$|SRUN_COMM|LAUNCH_NODE)/;

/** Marks a process that has opened its communicator, with its process id: whoever inherits it is no rank. */
export const RANK_MARK = "AXOGRAD_RANK_PROCESS";

/**
 * What started this process as a rank; null: it is alone. A batch script of Slurm is alone, whatever the number of tasks it asked for, and so
 * is a step of one task: shells and runs of a sweep are such.
 *
 * @throws {EngineError} "launcher": two launchers say different things
 */
export function launchOf(env: Environment): Launch | null {
  const claims = LAUNCHERS.map((variables) => claimOf(variables, env)).filter((claim) => claim !== null);
  const slurm = claimOf(SLURM, env);
  const [claim, ...others] = claims.some(isSeveral) ? claims.filter(isSeveral) : claims;
  if (!claim) return claimOfTask(slurm, env);
  for (const other of others) {
    if (claim.size !== null && other.size !== null && (claim.size !== other.size || claim.rank !== other.rank))
      throw new EngineError(
        "launcher",
        `launcher: ${inWords(claim)}, but ${inWords(other)}; start each rank by one launcher, from a shell that none has started`,
        { claim: { ...claim }, other: { ...other } },
      );
  }
  // srun --mpi=pmi2. Under mpirun the tasks of Slurm are its helpers on the nodes.
  if (claim.family === "MPICH" && slurm?.size === claim.size && slurm.rank === claim.rank)
    return claim.size === 1 ? null : { ...claim, launcher: slurm.launcher };
  return claim;
}

/** A process that no launcher of MPI has started. */
function claimOfTask(slurm: Launch | null, env: Environment): Launch | null {
  const pmix = claimOf(PMIX, env);
  if (!slurm) return pmix;
  return isSeveral(slurm) ? { ...slurm, family: pmix?.family ?? null } : null;
}

function isSeveral(launch: Launch): boolean {
  return launch.size !== 1;
}

function claimOf({ launcher, family, rank, size }: Variables, env: Environment): Launch | null {
  const said = [rank, size].map((name) => (name === null ? null : numberOf(env[name])));
  if (said[0] === null || (size !== null && said[1] === null)) return null;
  return { launcher, family, rank: said[0]!, size: said[1]! };
}

function numberOf(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

/** Number of the process on its host; null: no launcher says. */
export function localRankOf(env: Environment): number | null {
  return LOCAL_RANKS.map((name) => numberOf(env[name])).find((rank) => rank !== null) ?? null;
}

export function inWords({ launcher, rank, size }: Launch): string {
  return `${launcher} says that this is rank ${rank}${size === null ? "" : ` of ${size}`}`;
}

/** Whether anything is there through which tasks of Slurm find each other. Slurm's own library of PMI-1 needs no variable. */
export function hasProcessManager(env: Environment): boolean {
  return Object.keys(env).some((name) => /^(PMI2?|PALS|ALPS)_|^PMIX_(RANK|NAMESPACE|SERVER)/.test(name));
}

/** An environment for processes that this one starts, in which no launcher says that they are ranks. Slurm's variables of the job stay, and the GPUs that it gave. */
export function withoutLauncher(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name !== RANK_MARK && !LAUNCHER_VARIABLES.test(name)),
  );
}
