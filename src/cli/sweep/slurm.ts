// Runs of a sweep as a job array of Slurm (https://slurm.schedmd.com/job_array.html): one script, one task per run.

import { spawn } from "node:child_process";
import { basename, join, resolve } from "node:path";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { printable, quoteText, shellWord } from "../../core/text.ts";
import { replaceFile } from "../../io/durable.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readTextFile } from "../../io/textFile.ts";
import { nullIfMissing } from "../../report/runRecord.ts";
import { MAIN } from "./local.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

const SCRIPT = "slurm.sh";

/** Options of sbatch that the script sets itself. */
const OWN = ["array", "output", "job-name"] as const;

export interface SlurmOptions {
  /** `key=value` for sbatch, or `key` alone. */
  readonly options: readonly string[];
  /** Tasks at a time; null: as many as Slurm starts. */
  readonly parallel: number | null;
  /** Default true: runs that are stated to take more memory than there is are refused. */
  readonly memoryCheck?: boolean;
}

/** The arguments of `#SBATCH` for `key=value`. */
export function slurmOption(text: string): string {
  const [, key, value] = /^(?:--)?([a-z][a-z0-9-]*)(=\P{Cc}+)?$/u.exec(text) ?? [];
  if (key === undefined) {
    const expected = "key=value of sbatch, like time=02:00:00";
    throw new ArgumentError("command line", "--slurm-option", expected, quoteText(text));
  }
  if ((OWN as readonly string[]).includes(key)) {
    throw new ArgumentError("command line", "--slurm-option", `none of ${OWN.join(", ")}, which sweep sets`, key);
  }
  return `--${key}${value ?? ""}`;
}

/** Writes the script, and returns its path. */
export async function writeSlurmScript(
  folder: SweepFolder,
  states: readonly RunState[],
  options: SlurmOptions,
): Promise<string> {
  const file = join(folder.path, SCRIPT);
  await replaceFile(file, [slurmScript(folder, states, options)]);
  return file;
}

/** A task continues its run if it has a record, so that a requeued job continues where it was. */
export function slurmScript(
  folder: SweepFolder,
  states: readonly RunState[],
  { options, parallel, memoryCheck = true }: SlurmOptions,
): string {
  const name = basename(resolve(folder.path)).replace(/[^\w.-]+/g, "-");
  const limit = parallel === null ? "" : `%${parallel}`;
  // A setting of the sweep takes precedence over the job's.
  const isGiven = states.some(({ run }) => "threads" in run.settings);
  const threads = isGiven ? "" : ` \${SLURM_CPUS_PER_TASK:+--threads $SLURM_CPUS_PER_TASK}`;
  const unchecked = memoryCheck ? "" : " --no-memory-check";
  return `#!/bin/bash
# Submit it from its folder: cd ${printable(shellWord(resolve(folder.path)))} && sbatch ${SCRIPT}
#SBATCH --job-name=axograd-${name}
#SBATCH --array=0-${states.length - 1}${limit}
#SBATCH --output=logs/slurm-%A_%a.out
${options.map((option) => `#SBATCH ${slurmOption(option)}\n`).join("")}
names=(
${states.map(({ run }) => `  ${shellWord(run.name)}\n`).join("")})
name=\${names[$SLURM_ARRAY_TASK_ID]}
sweep=${shellWord(resolve(folder.path))}
# Paths in the configuration are relative to this folder.
cd ${shellWord(process.cwd())} || exit 1
if [ -e "$sweep/runs/$name/config.json" ]; then
  target=(--resume "$sweep/runs/$name")
else
  target=(--out "$sweep/runs/$name" --overwrite)
fi
exec ${shellWord(process.execPath)} ${shellWord(MAIN)} train "\${target[@]}" --config "$sweep/configs/$name.yaml"${threads}${unchecked} > "$sweep/logs/$name.log" 2>&1
`;
}

/** Submitted jobs, with the runs of their tasks, in order. */
const JOBS = "slurm.json";
/** Longest record: several jobs of 100,000 runs each. */
const JOBS_BYTES = 1 << 28;

interface SubmittedJob {
  readonly job: string;
  readonly runs: readonly string[];
}

/**
 * Submits the script and records the job.
 *
 * @returns the output of sbatch
 * @throws {EngineError} "slurm": sbatch is missing or refused the script
 */
export async function submit(script: string, folder: SweepFolder, states: readonly RunState[]): Promise<string> {
  const earlier = await submittedJobs(folder);
  const { failure, stdout } = await call("sbatch", [basename(script)], folder.path);
  if (failure !== null) {
    const message = `sweep: expected sbatch to take ${printable(script)}, got ${failure}; on a machine of the cluster, run sbatch ${basename(script)} in ${printable(folder.path)}`;
    throw new EngineError("slurm", message, { script, got: failure });
  }
  const job = /\b\d+\b/.exec(stdout)?.[0];
  const runs = states.map(({ run }) => run.name);
  const jobs = [...earlier, { job, runs }];
  if (job) await replaceFile(join(folder.path, JOBS), [`${JSON.stringify({ jobs }, null, 2)}\n`]);
  return stdout;
}

/** The names of the runs in Slurm's queue, waiting or running; empty if nothing was submitted. */
export async function queuedRuns(folder: SweepFolder): Promise<ReadonlySet<string>> {
  const jobs = await submittedJobs(folder);
  const queued = new Set<string>();
  for (const { job, runs } of jobs) for (const task of await queuedTasks(job, folder)) queued.add(runs[task] ?? "");
  return queued;
}

/**
 * The indices of the queued tasks of a job array.
 *
 * @throws {EngineError} "slurm": squeue is missing
 */
async function queuedTasks(job: string, folder: SweepFolder): Promise<number[]> {
  const { failure, stdout } = await call(
    "squeue",
    ["--noheader", "--array", `--jobs=${job}`, "--format=%K"],
    folder.path,
  );
  // Slurm drops jobs some time after their end.
  if (failure?.includes("Invalid job id")) return [];
  if (failure === null)
    return stdout
      .split(/\s+/)
      .filter((text) => /^\d+$/.test(text))
      .map(Number);
  const message = `sweep: expected squeue to say what is left of job ${job}, got ${failure}; without it, runs could be submitted twice. If the job is over, delete ${join(folder.path, JOBS)}`;
  throw new EngineError("slurm", message, { job, got: failure });
}

/** @throws {FileFormatError} a damaged record; without a record, runs could be submitted twice */
async function submittedJobs(folder: SweepFolder): Promise<readonly SubmittedJob[]> {
  const file = join(folder.path, JOBS);
  const expected = "the jobs that were submitted";
  const text = await nullIfMissing(readTextFile(file, expected, JOBS_BYTES));
  if (text === null) return [];
  const jobs = JsonParts.parse(file, text, expected).objects("jobs");
  return jobs.map((entry) => ({ job: entry.text("job"), runs: entry.texts("runs") }));
}

/** The output of a Slurm program, or the reason of its failure. */
async function call(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<{ failure: string | null; stdout: string }> {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
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
    child.once("close", (code) => done(code === 0 ? null : texts.stderr.trim() || `exit code ${code}`));
  });
  return { failure, stdout: texts.stdout.trim() };
}
