// Runs of a sweep as job arrays of Slurm: what is in its queue, and what is submitted. Jobs are recorded under their names before they are
// submitted, so that a command that is killed in between, or an answer that gets lost, makes no run start twice.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { plural, printable } from "../../core/text.ts";
import { replaceFile } from "../../io/durable.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readTextFile } from "../../io/textFile.ts";
import { nullIfMissing } from "../../report/runRecord.ts";
import { callSlurm, clusterSettings, isQueued, listJobs, type QueuedJob } from "../slurmQueue.ts";
import type { SlurmOptions } from "./slurmOptions.ts";
import { jobNameOf, SCRIPT, scriptFile, slurmScript, submissionOf, type TaskArray } from "./slurmScript.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

/** Submitted jobs, with the runs of their tasks, in order. */
const JOBS = "slurm.json";
/** Longest record: several jobs of 100,000 runs each. */
const JOBS_BYTES = 1 << 28;

/** A job array of the record. */
interface RecordedJob {
  /** Name of the job; null in records of earlier versions. */
  readonly name: string | null;
  /** Its id; null: Slurm has not said it. */
  readonly job: string | null;
  /** This command, or an earlier one, has submitted it; false: it is left to the user. */
  readonly sent: boolean;
  /** Number of the user who has submitted it; null: unknown. */
  readonly user: number | null;
  readonly runs: readonly string[];
}

/** A job array that Slurm has taken. */
export interface Submitted {
  readonly job: string | null;
  readonly name: string;
  readonly runs: readonly string[];
}

/** The outcome of a submission. */
interface Answered {
  /** Tasks that were taken, the first ones of the array. */
  readonly count: number;
  readonly job: string | null;
  /** Why not all of them; null: all were taken. */
  readonly failure: string | null;
  /** Slurm may have taken the array nevertheless. */
  readonly isLost: boolean;
}

const USER = process.getuid?.() ?? null;

/** Looks at the queue, and milliseconds between them, until a job counts as never accepted whose answer got lost. */
const LOOKS = 10;
const LOOK_MS = 500;

/** Most tasks of an array where the cluster does not say it: Slurm's default. */
const MOST_TASKS = 1001;

/** The jobs of a sweep, as its folder records them and as Slurm has them. */
export class SweepJobs {
  readonly folder: SweepFolder;
  /** Those that are in the queue, or may be. */
  #recorded: readonly RecordedJob[];
  /** The runs that wait or run in Slurm's queue. */
  readonly queued: ReadonlySet<string>;

  private constructor(folder: SweepFolder, recorded: readonly RecordedJob[], queued: ReadonlySet<string>) {
    this.folder = folder;
    this.#recorded = recorded;
    this.queued = queued;
  }

  /**
   * @param warn  gets the reason why squeue does not answer where no run will be submitted: then none counts as queued; null: some will be
   * @throws {EngineError} "slurm": squeue does not answer, and there are jobs to ask for
   * @throws {FileFormatError} a damaged record
   */
  static async open(folder: SweepFolder, warn: ((text: string) => void) | null): Promise<SweepJobs> {
    const recorded = await recordedJobs(folder);
    if (recorded.length === 0) return new SweepJobs(folder, [], new Set());
    const isUnsure = ({ name, job, sent }: RecordedJob): boolean => sent && name !== null && job === null;
    let tasks = await tasksOf(recorded);
    for (let look = 1; look < LOOKS && typeof tasks !== "string"; look++) {
      const known = tasks;
      if (!recorded.some((job, k) => isUnsure(job) && known[k]!.length === 0)) break;
      await pause(LOOK_MS);
      tasks = await tasksOf(recorded);
    }
    if (typeof tasks === "string") {
      if (recorded.some(({ sent }) => sent)) {
        if (warn === null) throw unknownQueue(folder, recorded, tasks);
        warn(`Slurm may start runs of this folder, too (job ${namesOf(recorded)}): ${tasks}`);
      }
      return new SweepJobs(folder, recorded, new Set());
    }
    const found = tasks;
    const queued = recorded.flatMap(({ runs }, k) =>
      found[k]!.filter(isQueued).flatMap(({ task }) => runs[task?.index ?? 0] ?? []),
    );
    // Those that are over are forgotten, except for a script that its user may submit later.
    const left = recorded
      .map((job, k) => ({ ...job, job: job.job ?? arrayOf(found[k]![0]) }))
      .filter(({ sent }, k) => !sent || found[k]!.some(isQueued));
    return new SweepJobs(folder, left, new Set(queued));
  }

  /** @throws {ArgumentError} Slurm will start some of the runs, and `launcher` is another one */
  assertNoneQueued(launcher: string): void {
    if (this.queued.size === 0) return;
    const jobs = this.#recorded.filter((job) => this.#isQueued(job)).map(({ job }) => job);
    const count = plural(this.queued.size, "run");
    const expected = `slurm, whose queue has ${count} of the folder (to remove: scancel ${jobs.join(" ")})`;
    throw new ArgumentError("sweep", "--launcher", expected, launcher);
  }

  /** Writes the script and records it, for a user who submits it. */
  async prepare(states: readonly RunState[], options: SlurmOptions): Promise<void> {
    await this.#write(states, await this.#arraysFor(states), options, false);
  }

  /**
   * Submits the runs.
   *
   * @throws {EngineError} "slurm": sbatch is missing, or did not take all of them; what it took stays
   */
  async submit(states: readonly RunState[], options: SlurmOptions): Promise<readonly Submitted[]> {
    const arrays = await this.#arraysFor(states);
    await this.#write(states, arrays, options, true);
    const submitted: Submitted[] = [];
    for (const array of arrays) {
      const runs = states.slice(array.first, array.first + array.count).map(({ run }) => run.name);
      const { count, job, failure, isLost } = await this.#send(array, options.parallel, submitted.at(-1)?.job ?? null);
      const taken = runs.slice(0, count);
      if (count > 0) submitted.push({ job, name: array.name, runs: taken });
      if (count > 0) this.#record({ name: array.name, job, sent: true, user: USER, runs: taken });
      if (failure !== null) {
        // The user may submit the others. A job without an answer stays as it was recorded: the next command searches for it.
        const others = arrays.slice(arrays.indexOf(array) + (count > 0 || isLost ? 1 : 0)).map(({ name }) => name);
        for (const own of this.#recorded) if (others.includes(own.name ?? "")) this.#record({ ...own, sent: false });
      }
      await this.#save();
      if (failure !== null) throw this.#refused(failure, submitted, states.length);
    }
    return submitted;
  }

  /** Submits an array; where there is a limit of jobs, which refuses an array as a whole, as much of it as is taken. */
  async #send(planned: TaskArray, parallel: number | null, previous: string | null): Promise<Answered> {
    // A limit of tasks at a time holds for each array, so they follow one another.
    const after = parallel !== null && previous !== null ? [`--dependency=afterany:${previous}`] : [];
    let refused: string | null = null;
    for (let { count } = planned; count > 0; count >>= 1) {
      const args = ["--parsable", ...after, ...submissionOf({ ...planned, count }, parallel)];
      const { failure, isAbsent, stdout } = await callSlurm("sbatch", args, { cwd: this.folder.path });
      if (failure === null) return { count, job: jobId(stdout), failure: refused, isLost: false };
      refused ??= failure;
      if (isLimit(failure)) continue;
      const job = isAbsent ? null : await this.#found(planned.name, isLostAnswer(failure) ? LOOKS : 1);
      if (typeof job === "string")
        return { count, job, failure: count < planned.count ? refused : null, isLost: false };
      return { count: 0, job: null, failure, isLost: job === undefined };
    }
    return { count: 0, job: null, failure: refused, isLost: false };
  }

  /** The id of a job that was accepted although sbatch failed; null: it was not; undefined: unknown. */
  async #found(name: string, looks: number): Promise<string | null | undefined> {
    let jobs: readonly QueuedJob[] | string = "";
    for (let look = 0; look < looks; look++) {
      if (look > 0) await pause(LOOK_MS);
      jobs = await listJobs();
      const job = typeof jobs === "string" ? undefined : jobs.find((one) => one.name === name);
      if (job) return arrayOf(job);
    }
    return typeof jobs === "string" ? undefined : null;
  }

  #record(job: RecordedJob): void {
    this.#recorded = this.#recorded.map((own) => (own.name === job.name ? job : own));
  }

  #refused(failure: string, submitted: readonly Submitted[], count: number): EngineError {
    const script = scriptFile(this.folder);
    const taken = submitted.reduce((sum, { runs }) => sum + runs.length, 0);
    const got = failure.replace(/\s*\n\s*/g, "; ");
    const message =
      taken > 0
        ? `sweep: expected sbatch to take ${plural(count, "run")}, got ${taken} taken (${namesOf(submitted)}), then: ${got}; the same command submits the rest`
        : `sweep: expected sbatch to take ${printable(script)}, got ${got}; on a machine of the cluster, run sbatch ${SCRIPT} in ${printable(this.folder.path)}, or the same command again`;
    return new EngineError("slurm", message, { script, got, submitted });
  }

  async #arraysFor(states: readonly RunState[]): Promise<readonly TaskArray[]> {
    const most = mostTasks(await clusterSettings());
    const name = `${jobNameOf(this.folder)}-${randomBytes(4).toString("hex")}`;
    const starts = Array.from({ length: Math.ceil(states.length / most) }, (_, k) => k * most);
    return starts.map((first, k) => ({
      name: starts.length === 1 ? name : `${name}-${k + 1}`,
      first,
      count: Math.min(most, states.length - first),
    }));
  }

  /** The record comes before anything that it records. A script replaces an earlier one that was left to the user. */
  async #write(
    states: readonly RunState[],
    arrays: readonly TaskArray[],
    options: SlurmOptions,
    sent: boolean,
  ): Promise<void> {
    const script = slurmScript(this.folder, states, arrays, options);
    const names = states.map(({ run }) => run.name);
    const added = arrays.map(({ name, first, count }) => ({
      name,
      job: null,
      sent,
      user: USER,
      runs: names.slice(first, first + count),
    }));
    this.#recorded = [...this.#recorded.filter((job) => job.sent || this.#isQueued(job)), ...added];
    await this.#save();
    await replaceFile(scriptFile(this.folder), [script]);
  }

  #isQueued({ runs }: RecordedJob): boolean {
    return runs.some((run) => this.queued.has(run));
  }

  async #save(): Promise<void> {
    const text = JSON.stringify({ jobs: this.#recorded }, null, 2);
    await replaceFile(join(this.folder.path, JOBS), [`${text}\n`]);
  }
}

/** The id under which a task was submitted; null: none. */
function arrayOf(job: QueuedJob | undefined): string | null {
  return job?.task?.array ?? job?.id ?? null;
}

/** Records of jobs, by id or name. */
function namesOf(jobs: readonly Pick<RecordedJob, "job" | "name">[]): string {
  return jobs.map(({ job, name }) => job ?? name).join(", ");
}

function unknownQueue(folder: SweepFolder, recorded: readonly RecordedJob[], got: string): EngineError {
  const jobs = namesOf(recorded);
  const message = `sweep: expected squeue to say what is left of job ${jobs}, got ${got}; without it, runs could be submitted twice. If these jobs are over, delete ${printable(join(folder.path, JOBS))}`;
  return new EngineError("slurm", message, { jobs, got });
}

/** The tasks of each recorded job that Slurm knows; or why they are not known. */
async function tasksOf(recorded: readonly RecordedJob[]): Promise<readonly QueuedJob[][] | string> {
  const jobs = await listJobs(recorded.flatMap(({ user }) => user ?? []));
  if (typeof jobs === "string") return jobs;
  return recorded.map(({ name, job }) =>
    jobs.filter((one) => (name !== null && one.name === name) || (job !== null && arrayOf(one) === job)),
  );
}

/** @throws {FileFormatError} a damaged record; without a record, runs could be submitted twice */
async function recordedJobs(folder: SweepFolder): Promise<readonly RecordedJob[]> {
  const file = join(folder.path, JOBS);
  const expected = "the jobs that were submitted";
  const text = await nullIfMissing(readTextFile(file, expected, JOBS_BYTES));
  if (text === null) return [];
  const jobs = JsonParts.parse(file, text, expected).objects("jobs");
  return jobs.map((entry) => ({
    name: entry.has("name") ? entry.textOrNull("name") : null,
    job: entry.textOrNull("job"),
    sent: entry.has("sent") ? entry.flag("sent") : true,
    user: entry.has("user") ? entry.countOrNull("user") : null,
    runs: entry.texts("runs"),
  }));
}

/** `70`, `70;cluster`, or, where a site replaces sbatch, `Submitted batch job 70`. */
function jobId(stdout: string): string | null {
  return (/^(\d+)(?:;\S*)?$/m.exec(stdout) ?? /\bjob (\d+)/.exec(stdout))?.[1] ?? null;
}

/** Whether a smaller array may be taken: limits of an association or a quality of service hold for all of a user's jobs. */
function isLimit(failure: string): boolean {
  return /SubmitJob|job submit limit|accounting\/QOS policy/i.test(failure);
}

/** Whether the controller may have taken a job, and its answer got lost. */
function isLostAnswer(failure: string): boolean {
  return /timed out|contact|connect|communication|zero bytes/i.test(failure);
}

function mostTasks(settings: ReadonlyMap<string, string> | null): number {
  const most = /\bmax_array_tasks=(\d+)/.exec(settings?.get("SchedulerParameters") ?? "")?.[1];
  const size = Number(settings?.get("MaxArraySize") ?? MOST_TASKS);
  return Math.max(1, Math.min(size, Number(most ?? size)));
}

/** How srun starts MPI programs here. @throws {EngineError} "slurm": it does not */
export async function mpiType(): Promise<string> {
  const { isAbsent, stdout, stderr } = await callSlurm("srun", ["--mpi=list"]);
  // Earlier versions print the list on stderr.
  const list = `${stdout}\n${stderr}`;
  if (isAbsent || /^\s*pmix\b/m.test(list)) return "pmix";
  if (/^\s*pmi2\b/m.test(list)) return "pmi2";
  const message = `sweep: expected srun to start MPI programs by pmix or pmi2, got ${printable(list.trim().replace(/\s+/g, " "))} (srun --mpi=list); --mpi chooses another one`;
  throw new EngineError("slurm", message, { list });
}
