// The script of a job array (https://slurm.schedmd.com/job_array.html): each task runs one run of a sweep.

import { basename, join, resolve } from "node:path";
import { scriptCommand } from "../../core/runtime.ts";
import { printable, shellWord } from "../../core/text.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import { MAIN } from "./local.ts";
import { requestedOf, type SlurmOptions } from "./slurmOptions.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";
import { type TaskShell, taskScript } from "./taskScript.ts";

export const SCRIPT = "slurm.sh";

/** One of the job arrays that run the tasks of a script: an array has a limited number of tasks. */
export interface TaskArray {
  /** Of the jobs, unique. */
  readonly name: string;
  /** Index of its first run among those of the script. */
  readonly first: number;
  readonly count: number;
}

/** The start of the names of a sweep's jobs. */
export function jobNameOf(folder: SweepFolder): string {
  return `axograd-${basename(resolve(folder.path)).replace(/[^\w.-]+/g, "-")}`;
}

/** The arguments of sbatch for an array of the script; the script has those of the first one. */
export function submissionOf({ name, first, count }: TaskArray, parallel: number | null): readonly string[] {
  return [`--job-name=${name}`, `--array=${indices(count, parallel)}`, SCRIPT, `${first}`];
}

function indices(count: number, parallel: number | null): string {
  return `0-${count - 1}${parallel === null ? "" : `%${parallel}`}`;
}

/**
 * The script. A task continues its run if it has a record, so that a requeued job continues where it was. Before its time limit, Slurm sends a
 * signal to the shell, which passes it on; the run writes a checkpoint and ends, and if that is further than the last one, the job starts again.
 *
 * @param arrays  at least one
 */
export function slurmScript(
  folder: SweepFolder,
  states: readonly RunState[],
  arrays: readonly TaskArray[],
  options: SlurmOptions,
): string {
  const { parallel, memoryCheck, mpi } = options;
  const { lines, ranks, requeues } = requestedOf(options);
  const [{ name, count }, ...others] = arrays as readonly [TaskArray, ...TaskArray[]];
  const more = others.map((array) => `# then: sbatch ${submissionOf(array, parallel).join(" ")}\n`).join("");
  // -K: if one process ends badly, so do the others. srun does not take the CPUs of a task from the job.
  const cpus = ` \${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"}`;
  const launcher = ranks > 1 ? `srun -K --mpi=${mpi ?? "pmix"} --ntasks=${ranks}${cpus} ` : "";
  const program = [...scriptCommand(), MAIN].map(shellWord).join(" ");
  const shell: TaskShell = {
    program: `${launcher}${program}`,
    threads: ranks > 1 ? "" : `\${threads:+--threads "$threads"}`,
    open: `threads=\${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
place() { cat "$run/${RUN_FILES.checkpointState}" 2> /dev/null; }
before=$(place)
limit=
exec 3> "$log"`,
    close: "exec 3>&-",
    traps: `# Slurm sends the notice of the time limit to this shell alone, other signals to all processes of the job.
trap 'limit=1; kill -USR1 "$train" 2> /dev/null' USR1 USR2
trap : TERM INT HUP`,
    task: `job \${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID on $SLURMD_NODENAME`,
  };
  const requeue = `# It got further, and begins again from there.
if [ -n "$limit" ] && [ "$code" -gt 128 ] && [ "$(place)" != "$before" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
`;
  return `#!/bin/bash
# Submit it from its folder: cd ${printable(shellWord(resolve(folder.path)))} && sbatch ${SCRIPT}
${more}#SBATCH --job-name=${name}
#SBATCH --array=${indices(count, parallel)}
#SBATCH --output=logs/slurm-%A_%a.out
${lines.map((line) => `${line}\n`).join("")}
names=(
${states.map(({ run }) => `  ${shellWord(run.name)}\n`).join("")})
name=\${names[\${1:-0} + \${SLURM_ARRAY_TASK_ID:?submit it with sbatch}]}
${taskScript(folder, states, shell, memoryCheck)}${requeues ? requeue : ""}exit "$code"
`;
}

/** Where the script is. */
export function scriptFile(folder: SweepFolder): string {
  return join(folder.path, SCRIPT);
}
