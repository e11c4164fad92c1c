// Finds and loads the system's MPI library. koffi calls its functions as they are: nothing is compiled.

import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import type { LibraryHandle } from "koffi";
import { EngineError } from "../../core/errors.ts";
import { setVariable } from "../../core/nativeEnvironment.ts";
import { loadPeer } from "../../core/peer.ts";
import type { Environment, Family } from "../launcher.ts";
import { type Abi, type Handle, MPICH_ABI, openMpiAbi, STANDARD_ABI } from "./abis.ts";

type Koffi = typeof import("koffi").default;

/** An MPI library; its functions return 0 or an error code. Buffers are typed arrays, over shared memory too, or addresses. */
export interface MpiLibrary {
  readonly file: string;
  readonly family: Family | "MPI 5";
  readonly abi: Abi;
  /** Name and version as the library says them, on one line. */
  readonly version: string;
  readonly call: Calls;
  /** @throws {EngineError} "mpi": a function that returned another code than 0 */
  check(code: number, name: string): void;
}

export type Memory = ArrayBufferView | bigint | null;
type Out = [number];

export interface Calls {
  initThread(argc: null, argv: null, level: number, provided: Out): number;
  setErrhandler(comm: Handle, handler: Handle): number;
  rank(comm: Handle, rank: Out): number;
  size(comm: Handle, size: Out): number;
  allgather(send: Memory, n: number, type: Handle, receive: Memory, m: number, of: Handle, comm: Handle): number;
  allgatherv(
    ...args: [Memory, n: number, Handle, Memory, counts: Int32Array, starts: Int32Array, Handle, comm: Handle]
  ): number;
  sendReceive(
    ...args: [
      ...[send: Memory, n: number, type: Handle, to: number, tag: number],
      ...[receive: Memory, n: number, type: Handle, from: number, tag: number],
      ...[comm: Handle, status: bigint],
    ]
  ): number;
  abort(comm: Handle, code: number): number;
  finalize(): number;
}

/** koffi runs native code on stacks of its own; its 1 MiB is little for the transports below MPI. */
const STACK_BYTES = 8 << 20;
/** At least a page, of any kernel. */
const PAGE_BYTES = 65536;
/** Longer than MPI_MAX_ERROR_STRING and MPI_MAX_LIBRARY_VERSION_STRING of any library. */
const TEXT_BYTES = 16384;

/**
 * Loads the library that `AXOGRAD_MPI` names, or the one that fits the launcher.
 *
 * @throws {EngineError} "peer-missing" (koffi), "mpi-library" (none, or not one of MPI)
 */
export async function loadMpi(family: Family | null, env: Environment): Promise<MpiLibrary> {
  const need = { name: "koffi", place: "MPI", need: "several processes need" };
  const koffi = await loadPeer(async () => (await import("koffi")).default, need);
  // Before anything of MPI is loaded. UCX, the transport of many clusters, would take SIGSEGV, by which V8 notices accesses of WASM that are out
  // of bounds: a trap that JavaScript could catch would kill the process.
  if (process.env.UCX_ERROR_SIGNALS === undefined) setVariable("UCX_ERROR_SIGNALS", "");
  const settings = koffi.config();
  if (settings.sync_stack_size! < STACK_BYTES) koffi.config({ ...settings, sync_stack_size: STACK_BYTES });
  if (process.env.UCX_MEM_EVENTS === undefined && !hasRoom(koffi)) setVariable("UCX_MEM_EVENTS", "no");
  const { file, library } = openFirst(koffi, candidates(family, env), env);
  return describe(koffi, file, library);
}

/**
 * UCX tests its hooks for memory by growing the heap by a page and shrinking it again, and shrinks it even if it could not grow: then a page that
 * is in use is gone, and the process crashes. V8 puts its code close behind the heap, so one start in about fifty has no room. Where there is
 * room, this takes a page, which UCX may have.
 */
function hasRoom(koffi: Koffi): boolean {
  if (process.platform !== "linux") return true;
  try {
    return Number(koffi.load(null).func("sbrk", "intptr_t", ["intptr_t"])(PAGE_BYTES)) !== -1;
  } catch {
    return false;
  }
}

function openFirst(
  koffi: Koffi,
  files: readonly string[],
  { AXOGRAD_MPI: named }: Environment,
): { file: string; library: LibraryHandle } {
  const problems: string[] = [];
  for (const file of files) {
    try {
      // Open MPI's plug-ins look up its symbols among the global ones.
      return { file, library: koffi.load(file, { global: true, lazy: true }) };
    } catch (error) {
      problems.push(`${error instanceof Error ? error.message : error}`);
    }
  }
  const message = named
    ? `AXOGRAD_MPI: expected the path of an MPI library (libmpi.so), got ${named}: ${problems.join("; ")}`
    : `MPI: expected an MPI library, found none of ${files.join(", ")}; load its module, install one (apt-get install libopenmpi3, libmpich12), or name the file: AXOGRAD_MPI=/path/libmpi.so`;
  throw new EngineError("mpi-library", message, { tried: [...files] });
}

/**
 * Files to try, in order: first those that understand the launcher; of each kind those of the module that is loaded, those beside the launcher,
 * and what the system's loader finds.
 */
export function candidates(family: Family | null, env: Environment): readonly string[] {
  if (env.AXOGRAD_MPI) return [env.AXOGRAD_MPI];
  const openMpi = [so("mpi", 40)];
  const mpich = [so("mpi", 12), so("mpich", 12), so("mpi_cray", 12)];
  const either = [so("mpi_abi", 0), so("mpi", null)];
  const folders = [...pathOf(env.LD_LIBRARY_PATH), ...launcherFolders(env)];
  const everywhere = (names: readonly string[]): readonly string[] => [
    ...folders.flatMap((folder) => names.map((name) => join(folder, name))).filter((file) => existsSync(file)),
    ...names,
  ];
  if (family === null) return everywhere([...openMpi, ...mpich, ...either]);
  const [own, other] = family === "MPICH" ? [mpich, openMpi] : [openMpi, mpich];
  return [...everywhere([...own, ...either]), ...everywhere(other)];
}

function so(name: string, version: number | null): string {
  if (process.platform === "darwin") return `lib${name}${version === null ? "" : `.${version}`}.dylib`;
  return `lib${name}.so${version === null ? "" : `.${version}`}`;
}

/** An installation of MPI has bin/mpirun and lib/. */
function launcherFolders(env: Environment): readonly string[] {
  const bin = pathOf(env.PATH).find((folder) => existsSync(join(folder, "mpirun")));
  if (bin === undefined) return [];
  const root = dirname(dirname(realpathSync(join(bin, "mpirun"))));
  return [join(root, "lib"), join(root, "lib64")];
}

function pathOf(text: string | undefined): readonly string[] {
  return (text ?? "").split(delimiter).filter((folder) => folder !== "");
}

function describe(koffi: Koffi, file: string, library: LibraryHandle): MpiLibrary {
  try {
    const family = familyOf(koffi, library);
    const abi = { "Open MPI": openMpiAbi, MPICH: () => MPICH_ABI, "MPI 5": () => STANDARD_ABI }[family](library);
    const out = koffi.out("int *");
    const text = (name: string, ...before: number[]): string => {
      const types = [...before.map(() => "int"), "void *", out];
      const [bytes, length]: [Buffer, Out] = [Buffer.alloc(TEXT_BYTES), [0]];
      library.func(name, "int", types)(...before, bytes, length);
      return bytes.toString("utf8", 0, length[0]).replace(/\0.*$/s, "").trim();
    };
    return {
      file,
      family,
      abi,
      version: versionOf(text("MPI_Get_library_version")),
      call: callsOf(library, abi.handle, out),
      check: (code, name) => {
        if (code === 0) return;
        throw new EngineError("mpi", `${name}: ${text("MPI_Error_string", code)}`, { function: name, mpiCode: code });
      },
    };
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError(
      "mpi-library",
      `${file}: expected an MPI library, got a file without its functions`,
      { file },
      error,
    );
  }
}

function callsOf(library: LibraryHandle, handle: Abi["handle"], out: ReturnType<Koffi["out"]>): Calls {
  const part = ["void *", "int", handle];
  const of = (name: string, ...types: (string | typeof out)[]) => library.func(name, "int", types as string[]);
  return {
    initThread: of("MPI_Init_thread", "void *", "void *", "int", out),
    setErrhandler: of("MPI_Comm_set_errhandler", handle, handle),
    rank: of("MPI_Comm_rank", handle, out),
    size: of("MPI_Comm_size", handle, out),
    allgather: of("MPI_Allgather", ...part, ...part, handle),
    allgatherv: of("MPI_Allgatherv", ...part, "void *", "void *", "void *", handle, handle),
    sendReceive: of("MPI_Sendrecv", ...part, "int", "int", ...part, "int", "int", handle, "void *"),
    abort: of("MPI_Abort", handle, "int"),
    finalize: of("MPI_Finalize"),
  };
}

/** Open MPI 6 and MPICH 4.3 have the function of the standard interface in their own libraries, too, and say -1 there. */
function familyOf(koffi: Koffi, library: LibraryHandle): MpiLibrary["family"] {
  if (has(library, "MPI_Abi_get_version")) {
    const [major, minor]: [Out, Out] = [[-1], [-1]];
    library.func("MPI_Abi_get_version", "int", [koffi.out("int *"), koffi.out("int *")] as never)(major, minor);
    if (major[0] > 0) return "MPI 5";
  }
  return has(library, "ompi_mpi_comm_world") ? "Open MPI" : "MPICH";
}

function has(library: LibraryHandle, symbol: string): boolean {
  try {
    return library.symbol(symbol) !== null;
  } catch {
    return false;
  }
}

/** "Open MPI v4.1.4, package: …" → "Open MPI v4.1.4"; "MPICH Version:      4.0.2\n…" → "MPICH 4.0.2". */
function versionOf(text: string): string {
  return text
    .split(/[\n,]/)[0]!
    .replace(/ ?Version:\s*/, " ")
    .trim();
}
