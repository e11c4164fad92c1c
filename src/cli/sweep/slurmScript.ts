// The script of a job array (https://slurm.schedmd.com/job_array.html): each task runs one run of a sweep.

import { basename, join, resolve } from "node:path";
import { printable, shellWord } from "../../core/text.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import { MAIN } from "./local.ts";
import { requestedOf, type SlurmOptions } from "./slurmOptions.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

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
  // A setting of the sweep takes precedence over the job's.
  const isGiven = ranks > 1 || states.some(({ run }) => "threads" in run.settings);
  const threads = isGiven ? "" : ` \${threads:+--threads "$threads"}`;
  const unchecked = memoryCheck ? "" : " --no-memory-check";
  // -K: if one process ends badly, so do the others. srun does not take the CPUs of a task from the job.
  const cpus = ` \${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"}`;
  const launcher = ranks > 1 ? `srun -K --mpi=${mpi ?? "pmix"} --ntasks=${ranks}${cpus} ` : "";
  const command = `${launcher}${shellWord(process.execPath)} ${shellWord(MAIN)} train "\${target[@]}" --config "$sweep/configs/$name.yaml"`;
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
name=\${names[\${1:-0} + SLURM_ARRAY_TASK_ID]}
sweep=${shellWord(resolve(folder.path))}
run="$sweep/runs/$name" log="$sweep/logs/$name.log"
# Paths in the configuration are relative to this folder.
cd ${shellWord(process.cwd())} || exit 1
if [ -e "$run/${RUN_FILES.config}" ]; then
  target=(--resume "$run")
else
  target=(--out "$run" --overwrite)
fi
threads=\${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
place() { cat "$run/${RUN_FILES.checkpointState}" 2> /dev/null; }
before=$(place)
limit=
${command}${threads}${unchecked} > "$log" 2>&1 &
train=$!
# Slurm sends the notice of the time limit to this shell alone, other signals to all processes of the job.
trap 'limit=1; kill -USR1 "$train" 2> /dev/null' USR1 USR2
trap : TERM INT HUP
wait "$train"
code=$?
# A signal ends the wait, not the run.
while kill -0 "$train" 2> /dev/null; do
  wait "$train"
  code=$?
done
case $code in
  0 | 129 | 130 | 138 | 140 | 143) ;;
  *) # A run that was killed has not said so.
    grep -v '^axograd: warning: ' "$log" | grep -q '^axograd: ' ||
      echo "axograd: the process ended with exit code $code in job \${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID on $SLURMD_NODENAME" >> "$log"
    ;;
esac
${requeues ? requeue : ""}exit "$code"
`;
}

/** Where the script is. */
export function scriptFile(folder: SweepFolder): string {
  return join(folder.path, SCRIPT);
}
