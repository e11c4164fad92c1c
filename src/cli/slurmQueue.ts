// Slurm's answers about the jobs of this user: which wait, which run, which are over (https://slurm.schedmd.com/squeue.html).

import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";

/** A job, or a task of a job array, which has a job id of its own once it runs. */
export interface QueuedJob {
  readonly id: string;
  readonly name: string;
  /** Id of the job array and index of the task; null: no task of an array. */
  readonly task: { readonly array: string; readonly index: number } | null;
  readonly state: string;
  /** How often Slurm has requeued it. */
  readonly restarts: number;
}

/** States of jobs that will not run again under the same id, unless someone requeues them. */
const OVER: ReadonlySet<string> = new Set(
  "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split(" "),
);

/** Whether a job waits or runs. */
export function isQueued({ state }: QueuedJob): boolean {
  return !OVER.has(state);
}

/** The answer of a program, or the reason why there is none. */
export interface Answer {
  readonly failure: string | null;
  /** The program is not installed. */
  readonly isAbsent: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a job must not inherit from the job that submits it: Slurm replaces only some of it. */
const OF_A_JOB = /^SLURM_(?!CONF$|CLUSTERS$)/;

/** Longest wait for an answer of the controller: Slurm's programs may try for minutes. */
const ANSWER_MS = 30_000;

/**
 * Runs a program of Slurm to its end.
 *
 * @param limitMs  after which it is ended, and counts as failed; none: submissions must not be cut off
 */
export async function callSlurm(
  program: string,
  args: readonly string[],
  { cwd, limitMs }: { readonly cwd?: string; readonly limitMs?: number } = {},
): Promise<Answer> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_A_JOB.test(name)));
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: limitMs });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  const failure = await new Promise<string | null>((done) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      done(error.code === "ENOENT" ? `no ${program} in PATH` : error.message),
    );
    child.once("close", (code, signal) => {
      if (code === 0) done(null);
      else if (child.killed) done(`no answer within ${limitMs! / 1000} s`);
      else done(texts.stderr.trim() || (signal ?? `exit code ${code}`));
    });
  });
  return { failure, isAbsent: child.pid === undefined, stdout: texts.stdout.trim(), stderr: texts.stderr.trim() };
}

/** Columns of squeue, with their widths. */
const COLUMNS = ["JobID:24", "ArrayJobID:24", "ArrayTaskID:24", "State:32", "RestartCnt:24", "Name:1024"];

/**
 * The jobs of this user, and of others, as they are now, also those that ended a while ago; or why they are not known.
 *
 * @param others  numbers of users
 */
export async function listJobs(others: readonly number[] = []): Promise<readonly QueuedJob[] | string> {
  const users = [...new Set([process.getuid?.() ?? 0, ...others])].join(",");
  const args = ["--noheader", "--array", "--states=all", `--user=${users}`, `--Format=${COLUMNS.join(",")}`];
  const { failure, stdout } = await callSlurm("squeue", args, { limitMs: ANSWER_MS });
  return failure ?? stdout.split("\n").flatMap((line) => jobOfLine(line) ?? []);
}

function jobOfLine(line: string): QueuedJob | null {
  const [, id, array, index, state, restarts, name] = /^(\d+) +(\S+) +(\S+) +(\S+) +(\d+) +(.*?) *$/.exec(line) ?? [];
  if (id === undefined) return null;
  const task = /^\d+$/.test(index!) ? { array: array!, index: Number(index) } : null;
  return { id, task, state: state!, restarts: Number(restarts), name: name! };
}

/** The cluster that squeue answers for, and this user's jobs there. */
export interface Cluster {
  readonly name: string;
  readonly jobs: readonly QueuedJob[];
}

/** Milliseconds during which questions gather for one answer. */
const GATHER_MS = 20;
let next: Promise<Cluster | null> | null = null;

/** The cluster of this machine, asked once for all who ask at the same time; null: none answers. No answer is older than its question. */
export function clusterNow(): Promise<Cluster | null> {
  next ??= pause(GATHER_MS).then(async () => {
    next = null;
    const [settings, jobs] = await Promise.all([clusterSettings(), listJobs()]);
    const name = settings?.get("ClusterName");
    return name === undefined || typeof jobs === "string" ? null : { name, jobs };
  });
  return next;
}

/** The configuration of the cluster, by the names of slurm.conf; null: none answers. */
export async function clusterSettings(): Promise<ReadonlyMap<string, string> | null> {
  const { failure, stdout } = await callSlurm("scontrol", ["show", "config"], { limitMs: ANSWER_MS });
  if (failure !== null) return null;
  const pairs = stdout.split("\n").map((line) => /^(\w+) *= (.*)$/.exec(line));
  return new Map(pairs.flatMap((pair) => (pair ? [[pair[1]!, pair[2]!.trim()] as const] : [])));
}
