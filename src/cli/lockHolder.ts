// The holder of a lock, and whether that process has ended. Process ids can be compared only within one boot of one system and one namespace of
// process ids (each container has its own, often under the same host name).

import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";
import { type Cluster, clusterNow, isQueued } from "./slurmQueue.ts";

/** A Slurm job. After requeueing it has the same id and a higher restart count. */
export interface Job {
  readonly cluster: string;
  readonly id: string;
  /** `<id of the array>_<task>`; null: no task of a job array. */
  readonly task: string | null;
  readonly restarts: number;
}

/** A process as its lock describes it. */
export interface Holder {
  /** Unique; null in locks of earlier versions. */
  readonly id: string | null;
  readonly pid: number;
  readonly host: string;
  /** `<boot>:<ticks>`: start of the process, as the system counts; null: unknown. */
  readonly began: string | null;
  /** The namespace of process ids; null where there are none. */
  readonly namespace: string | null;
  readonly job: Job | null;
  /** Number of the user; null: unknown. */
  readonly user: number | null;
  /** When the lock was taken, for people. */
  readonly since: string;
  /** Counts up while the process lives; null in locks of earlier versions. */
  readonly beat: string | null;
}

/** Knowledge about a process. A suspended one lives, without a heartbeat. */
export type Fate = "alive" | "suspended" | "gone" | "unknown";

/** This process, as it would hold a lock. */
export async function describeSelf(id: string, beat: string): Promise<Holder> {
  return {
    id,
    pid: process.pid,
    host: hostname(),
    began: await beginOf("self"),
    namespace: await linkIfThere("/proc/self/ns/pid"),
    job: jobOf(process.env),
    user: process.getuid?.() ?? null,
    since: new Date().toISOString(),
    beat,
  };
}

/** The Slurm job of an environment. */
export function jobOf(env: Readonly<Record<string, string | undefined>>): Job | null {
  const { SLURM_JOB_ID: id, SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task } = env;
  if (!id) return null;
  return {
    cluster: env.SLURM_CLUSTER_NAME ?? "",
    id,
    task: array && task ? `${array}_${task}` : null,
    restarts: Number(env.SLURM_RESTART_COUNT ?? 0),
  };
}

/** Whether the process of a lock has ended, as far as `me` can know without watching its heartbeat. */
export async function fateOf(holder: Holder, me: Holder): Promise<Fate> {
  if (isRequeued(holder.job, me.job)) return "gone";
  if (!isVisible(holder, me)) {
    // A user may not see the jobs of others.
    const isOurs = holder.job !== null && holder.user !== null && holder.user === me.user;
    return isOurs ? fateOfJob(holder.job, await clusterNow()) : "unknown";
  }
  if (!isRunning(holder.pid)) return "gone";
  const began = (await isProcOurs()) ? await beginOf(`${holder.pid}`) : null;
  if (began === "ended") return "gone";
  if (holder.began !== null && began !== null) return began === holder.began ? "alive" : "gone";
  return holder.beat === null ? "alive" : "unknown";
}

/** Slurm restarts a job only after ending its earlier start. */
function isRequeued(held: Job | null, mine: Job | null): boolean {
  if (!held || !mine || held.cluster !== mine.cluster) return false;
  const isSame = held.id === mine.id || (held.task !== null && held.task === mine.task);
  return isSame && mine.restarts > held.restarts;
}

/** Whether the processes of a job's start have ended, according to Slurm, which forgets jobs some time after their end. */
export function fateOfJob(held: Job, cluster: Cluster | null): Fate {
  if (cluster === null || cluster.name !== held.cluster) return "unknown";
  const job = cluster.jobs.find(({ id, task }) =>
    task === null || held.task === null ? id === held.id : `${task.array}_${task.index}` === held.task,
  );
  if (!job || !isQueued(job) || job.restarts > held.restarts || job.state === "PENDING") return "gone";
  // A process may end before its job does.
  return job.state === "SUSPENDED" || job.state === "STOPPED" ? "suspended" : "unknown";
}

/** Whether the holder's process id is in this namespace. Locks of earlier versions name only the host. */
function isVisible(holder: Holder, me: Holder): boolean {
  if (holder.id === null) return holder.host === me.host;
  if (holder.namespace !== me.namespace) return false;
  const boot = bootOf(holder);
  return boot === bootOf(me) && (boot !== null || holder.host === me.host);
}

function bootOf({ began }: Holder): string | null {
  return began === null ? null : began.slice(0, began.lastIndexOf(":"));
}

/** Whether a visible process has this id. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** If /proc was mounted for another namespace, its ids are not ours. */
async function isProcOurs(): Promise<boolean> {
  return (await linkIfThere("/proc/self")) === `${process.pid}`;
}

/** Boot and clock ticks of a process's start, on Linux; "ended" for a zombie. */
async function beginOf(process: string): Promise<string | null> {
  const stat = await textIfThere(`/proc/${process}/stat`);
  const boot = await textIfThere("/proc/sys/kernel/random/boot_id");
  // The name of the program, in parentheses, may have spaces. After it come the state and, as the 20th field, the start.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  if (fields[0] === "Z" || fields[0] === "X") return "ended";
  return fields[19] && boot ? `${boot.trim()}:${fields[19]}` : null;
}

/** Parses the text of a lock; null: it is no lock, or incomplete. */
export function parseHolder(text: string): Holder | null {
  try {
    const {
      id = null,
      pid,
      host,
      began = null,
      namespace = null,
      job = null,
      user = null,
      since,
      beat = null,
    } = JSON.parse(text);
    return Number.isInteger(pid) && pid > 0 ? { id, pid, host, began, namespace, job, user, since, beat } : null;
  } catch {
    return null;
  }
}

/** The text of a file; null: it cannot be read. */
export async function textIfThere(file: string): Promise<string | null> {
  return readFile(file, "utf8").catch(() => null);
}

async function linkIfThere(path: string): Promise<string | null> {
  return readlink(path).catch(() => null);
}
