// Starts programs as several ranks, by the launchers of the MPI libraries that this machine has.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";

/** Implementations of MPI, by the names of Debian's launchers. */
export const IMPLEMENTATIONS = ["openmpi", "mpich"] as const;

export type Implementation = (typeof IMPLEMENTATIONS)[number];

export interface Launched {
  /** What the launcher ended with; null: it was killed, as the time was over. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

export interface LaunchOptions {
  readonly implementation: Implementation;
  readonly ranks: number;
  /** Program and arguments. "node" is the one that runs the tests. */
  readonly command: readonly [program: string, ...args: string[]];
  /** Options of the launcher. */
  readonly options?: readonly string[];
  /** Added to the environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Seconds after which all of it is killed. */
  readonly timeoutS?: number;
}

/** Programs of implementation that are there, by whether their `--version` runs. */
export function hasMpirun(implementation: Implementation): boolean {
  const found = known.get(implementation) ?? spawnSync(launcherOf(implementation), ["--version"]).status === 0;
  known.set(implementation, found);
  return found;
}

const known = new Map<Implementation, boolean>();

export function launcherOf(implementation: Implementation): string {
  return `mpirun.${implementation}`;
}

/** Why tests of an implementation are skipped. */
export function mpirunMissing(implementation: Implementation): string {
  return `${launcherOf(implementation)} is not installed`;
}

/** Runs a program as several ranks, to its end or until the time is over. */
export async function mpirun(options: LaunchOptions): Promise<Launched> {
  return startMpirun(options).finished;
}

/** Starts it; the child is the launcher. */
export function startMpirun({
  implementation,
  ranks,
  command: [program, ...args],
  options = [],
  env = {},
  cwd,
  timeoutS = 60,
}: LaunchOptions): { readonly child: ChildProcess; readonly finished: Promise<Launched> } {
  const began = performance.now();
  const launcher = [...(implementation === "openmpi" ? ["--oversubscribe"] : []), "-n", `${ranks}`, ...options];
  const child = spawn(
    launcherOf(implementation),
    [...launcher, program === "node" ? process.execPath : program, ...args],
    {
      cwd,
      env: { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that all can be killed.
      detached: true,
    },
  );
  const timer = setTimeout(() => killGroup(child), 1000 * timeoutS);
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  const finished = new Promise<Launched>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...texts, seconds: (performance.now() - began) / 1000 });
    });
  });
  return { child, finished };
}

/** The launcher and what it has started. Open MPI's ranks have groups of their own, and end with their launcher. */
function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}
