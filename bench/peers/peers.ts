// Other implementations of the same operations, as processes that time themselves (protocol.md). Only installed ones take part.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { repositoryRoot } from "../../test/support/shared.ts";
import { readRawF32, writeRaw } from "../arrays.ts";
import type { Results } from "../cases/case.ts";
import type { Contender } from "../measure.ts";
import type { PeerName } from "../row.ts";
import type { BenchSession, PeerFacts } from "../session.ts";
import { checkResults } from "../verify.ts";
import { PeerProcess } from "./process.ts";

export interface Peer extends PeerFacts {
  readonly operations: readonly string[];
  /** @throws {Error} its results differ from the expected ones */
  check(operation: string, expected: Results, bounds: Results): Promise<void>;
  /** The named results of one run. */
  results(operation: string, names: readonly string[]): Promise<Results>;
  contender(operation: string): Contender;
  close(): void;
}

interface PeerKind {
  readonly name: string;
  /** Also does whole training steps. */
  readonly trains?: true;
  /** How to start it; null if it is not installed. */
  command(workFolder: string): Promise<readonly string[] | null>;
}

const SOURCES = join(repositoryRoot(), "bench", "peers");
const run = promisify(execFile);

const KINDS: readonly (PeerKind & { readonly name: PeerName })[] = [
  { name: "native-128", command: (work) => native(work, "native-128", 16, "-msse4.2") },
  { name: "native-wide", command: (work) => native(work, "native-wide", 64, "-march=native") },
  { name: "eigen", command: eigen },
  { name: "scipy", command: () => python("scipy_peer.py", "scipy") },
  { name: "torch", trains: true, command: () => python("torch_peer.py", "torch") },
  { name: "tfjs", command: async () => script("tfjs.js", ["@tensorflow/tfjs-core", "@tensorflow/tfjs-backend-wasm"]) },
  { name: "jax-js", command: async () => script("jaxJs.js", ["@jax-js/jax"]) },
];

/** Files beside the network that peers read: x and g for products, more for a training step. */
export function storeOperands(folder: string, operands: Readonly<Record<string, Float32Array>>): void {
  for (const [name, values] of Object.entries(operands)) writeRaw(join(folder, `${name}.f32`), values);
}

/** Starts what is installed and does the work; notes what is not. */
export async function openPeers(session: BenchSession, batch: number, work: "products" | "step"): Promise<Peer[]> {
  const { folder, threads, dtype, peers: wanted } = session.job;
  if (dtype !== "f32" || session.backend.name !== "wasm") return [];
  const peers: Peer[] = [];
  for (const kind of KINDS.filter((k) => wanted.includes(k.name) && (work === "products" || k.trains))) {
    const command = await kind.command(dirname(folder)).catch((error: unknown) => {
      session.note(`${kind.name}: not built, ${firstLine(error)}`);
      return null;
    });
    if (!command) {
      session.note(`${kind.name}: not installed`);
      continue;
    }
    try {
      peers.push(await startPeer(command, folder, batch, threads));
    } catch (error) {
      session.note(`${kind.name}: ${firstLine(error)}`);
    }
  }
  return peers;
}

async function startPeer(command: readonly string[], folder: string, batch: number, threads: number): Promise<Peer> {
  const [program, ...args] = [...command, folder, `${batch}`, `${threads}`];
  const peer = new PeerProcess(
    // By default OpenMP's threads spin for milliseconds after their work, which slows the next contender.
    spawn(program!, args, {
      env: { ...process.env, OMP_NUM_THREADS: `${threads}`, GOMP_SPINCOUNT: "20000", PYTHONDONTWRITEBYTECODE: "1" },
    }),
  );
  const [name = "", operations = "", usedThreads = "1"] = (await peer.ready()).split("|");
  const results = async (operation: string, names: readonly string[]): Promise<Results> => {
    const prefix = join(folder, `peer-${process.pid}`);
    await peer.ask(`write ${operation} ${prefix}`);
    return Object.fromEntries(names.map((result) => [result, readRawF32(`${prefix}.${result}.f32`)]));
  };
  return {
    name,
    threads: Number(usedThreads),
    operations: operations.split(","),
    results,
    check: async (operation, expected, bounds) =>
      checkResults(name, await results(operation, Object.keys(expected)), expected, bounds),
    contender: (operation) => ({ name, sample: (seconds) => sample(peer, operation, seconds) }),
    close: () => peer.close(),
  };
}

/** In shorter samples the clock's resolution dominates. */
const SAMPLE_SECONDS = 0.05;

async function sample(peer: PeerProcess, operation: string, seconds: number): Promise<number[]> {
  const time = async (repeats: number): Promise<number> => Number(await peer.ask(`time ${operation} ${repeats}`));
  const first = await time(1);
  const repeats = Math.max(1, Math.ceil(Math.min(SAMPLE_SECONDS, seconds) / first));
  const samples = repeats === 1 ? [first] : [];
  for (const end = performance.now() + 1000 * (seconds - first); samples.length === 0 || performance.now() < end; ) {
    samples.push(await time(repeats));
  }
  return samples;
}

// ---- how to start ------------------------------------------------------------------------------------------------------

async function native(
  work: string,
  name: string,
  vectorBytes: number,
  target: string,
): Promise<readonly string[] | null> {
  const defines = [target, `-DVECTOR_BYTES=${vectorBytes}`, `-DPEER_NAME="${name}"`];
  return compiled(work, name, "native.cpp", defines);
}

/** Folders where Eigen's headers may be; AXOGRAD_EIGEN names another one. */
const EIGEN_FOLDERS = ["/usr/include/eigen3", "/usr/local/include/eigen3", "/opt/homebrew/include/eigen3"];

async function eigen(work: string): Promise<readonly string[] | null> {
  const given = process.env.AXOGRAD_EIGEN;
  const folder = [...(given ? [given] : []), ...EIGEN_FOLDERS].find((f) => existsSync(join(f, "Eigen", "Sparse")));
  return folder ? compiled(work, "eigen", "eigen.cpp", ["-march=native", `-I${folder}`]) : null;
}

/** The executable, compiled once per run of the benchmarks; null without a compiler. */
async function compiled(
  work: string,
  name: string,
  source: string,
  options: readonly string[],
): Promise<readonly string[] | null> {
  const program = join(work, name);
  if (existsSync(program)) return [program];
  const compiler = process.env.CXX ?? "g++";
  if (!(await works(compiler, ["--version"]))) return null;
  await run(compiler, ["-std=c++17", "-O3", "-fopenmp", "-w", ...options, join(SOURCES, source), "-o", program]);
  return [program];
}

/** A script for the Python of AXOGRAD_PYTHON, else python3; null if the module is missing. */
async function python(file: string, module: string): Promise<readonly string[] | null> {
  const interpreter = process.env.AXOGRAD_PYTHON ?? "python3";
  return (await works(interpreter, ["-c", `import ${module}`])) ? [interpreter, join(SOURCES, file)] : null;
}

/** A compiled script beside this file; null if its packages are found neither from here nor from the folder AXOGRAD_PEERS. */
function script(file: string, packages: readonly string[]): readonly string[] | null {
  const from = process.env.AXOGRAD_PEERS ? join(process.env.AXOGRAD_PEERS, "package.json") : import.meta.url;
  const { resolve } = createRequire(from);
  try {
    return [
      process.execPath,
      join(dirname(fileURLToPath(import.meta.url)), file),
      ...packages.map((name) => resolve(name)),
    ];
  } catch {
    return null;
  }
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, [...args]);
    return true;
  } catch {
    return false;
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : `${error}`).split("\n", 1)[0]!;
}
