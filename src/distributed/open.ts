// Opens the communicator of this process: over MPI if a launcher has started it as one of several ranks, else alone.

import { fstatSync } from "node:fs";
import { hostname } from "node:os";
import { isMainThread } from "node:worker_threads";
import { EngineError } from "../core/errors.ts";
import { type Communicator, SOLO } from "./communicator.ts";
import { type Environment, hasProcessManager, inWords, type Launch, launchOf, RANK_MARK } from "./launcher.ts";
import type { MpiLibrary } from "./mpi/library.ts";

/** MPI can be initialised once in the life of a process. */
let isOpened = false;

/**
 * The communicator of this process. A process that no launcher has started, a batch script of Slurm and a step of one task are `SOLO`, at once.
 * As one of several ranks (of `mpirun`, or of `srun --mpi=pmix`) it loads the system's MPI library, or that which the variable `AXOGRAD_MPI`
 * names, and waits for all ranks to do so. `mpirun -n 1` gives one rank, for which nothing is loaded.
 *
 * Until it is closed, a process that ends for any reason ends the other ranks, too.
 *
 * @throws {EngineError} "peer-missing": koffi is not installed; "mpi-library": no MPI library; "launcher": launcher and library do not know each
 *   other, or this process is no rank but was started by one; "communicator": opened before
 */
export async function openCommunicator(): Promise<Communicator> {
  const launch = launchOf(process.env);
  if (!launch) return SOLO;
  refuseHeirs(process.env, launch);
  if (launch.size === 1)
    return { ...SOLO, hosts: [hostname()], description: `one rank, started by ${launch.launcher}` };
  if (!isMainThread) throw new EngineError("communicator", "openCommunicator: expected the main thread, got a worker");
  if (isOpened)
    throw new EngineError("communicator", "openCommunicator: this process has opened its communicator before");
  isOpened = true;
  return connect(launch);
}

async function connect(launch: Launch): Promise<Communicator> {
  const { loadMpi } = await import("./mpi/library.ts");
  const { MpiCommunicator } = await import("./mpi/mpiCommunicator.ts");
  refuseClosedPipe(process.env, launch);
  const mpi = await loadMpi(launch.family, process.env);
  if (mpi.family === "Open MPI" && !hasProcessManager(process.env)) throw mismatch(launch, mpi, null);
  initialize(mpi);
  const { rank, size } = placeOf(mpi);
  if ((launch.size ?? size) !== size || (launch.rank ?? rank) !== rank) {
    mpi.call.finalize();
    throw mismatch(launch, mpi, { rank, size });
  }
  process.env[RANK_MARK] = `${process.pid}`;
  const communicator = new MpiCommunicator(mpi, rank, size, `${mpi.version}, started by ${launch.launcher}`);
  await communicator.meet(hostname(), (text) => process.stderr.write(`axograd: ${text}\n`));
  return communicator;
}

/** Errors of later calls are returned, not fatal. */
function initialize({ call, check, abi }: MpiLibrary): void {
  check(call.initThread(null, null, abi.funneled, [0]), "MPI_Init_thread");
  check(call.setErrhandler(abi.world, abi.errorsReturn), "MPI_Comm_set_errhandler");
}

function placeOf({ call, check, abi }: MpiLibrary): { readonly rank: number; readonly size: number } {
  const [rank, size]: [[number], [number]] = [[0], [0]];
  check(call.rank(abi.world, rank), "MPI_Comm_rank");
  check(call.size(abi.world, size), "MPI_Comm_size");
  return { rank: rank[0], size: size[0] };
}

/** A process that a rank has started has its variables, but is not a rank. */
function refuseHeirs(env: Environment, launch: Launch): void {
  const rankProcess = env[RANK_MARK];
  if (rankProcess === undefined || rankProcess === `${process.pid}`) return;
  throw new EngineError(
    "launcher",
    `launcher: ${inWords(launch)}, but process ${rankProcess} is, which has started this one; start processes of a rank with the environment that withoutLauncher returns`,
    { ...launch, process: Number(rankProcess) },
  );
}

/** mpirun of MPICH talks to its ranks through an open socket, which Node does not hand on: npx, npm and yarn lose it. */
function refuseClosedPipe(env: Environment, launch: Launch): void {
  const fd = Number(env.PMI_FD ?? "");
  if (!env.PMI_FD || launch.family !== "MPICH" || isSocket(fd)) return;
  throw new EngineError(
    "launcher",
    `launcher: ${inWords(launch)}, but its socket (PMI_FD=${env.PMI_FD}) is closed: a program between them, such as npx, did not hand it on; start the command itself, mpirun … node_modules/.bin/axograd, or use mpirun -pmi-port`,
    { ...launch },
  );
}

/** MPI says that this process is `got`, and the launcher says something else. */
function mismatch(launch: Launch, mpi: MpiLibrary, got: { rank: number; size: number } | null): EngineError {
  const said = got
    ? `${mpi.version} (${mpi.file}) says rank ${got.rank} of ${got.size}`
    : `${mpi.version} (${mpi.file}) cannot reach it`;
  return new EngineError("launcher", `launcher: ${inWords(launch)}, but ${said}; ${remedy(launch, mpi)}`, {
    ...launch,
    library: mpi.file,
    version: mpi.version,
    mpiRank: got?.rank ?? null,
    mpiSize: got?.size ?? null,
  });
}

function remedy({ launcher, family }: Launch, mpi: MpiLibrary): string {
  if (launcher.startsWith("srun"))
    return mpi.family === "Open MPI"
      ? "start with srun --mpi=pmix (srun --mpi=list shows what there is), or in a batch script with mpirun"
      : "start with srun --mpi=pmi2, or what srun --mpi=list shows and the library was built for, or in a batch script with mpirun";
  return `start with the mpirun of the library, or name the library of ${family ?? "the launcher"}: AXOGRAD_MPI=/path/libmpi.so`;
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false;
  }
}
