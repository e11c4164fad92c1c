// The shell of a task of a cluster, which does one run of a sweep. The task may start again at any time, on any node.

import { resolve } from "node:path";
import { shellWord } from "../../core/text.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

/** What differs between clusters, as shell text. */
export interface TaskShell {
  /** Starts axograd on the machine of the task. */
  readonly program: string;
  /** `--threads` with its value, for sweeps without this setting; "": as many as the machine has. */
  readonly threads: string;
  /** Opens descriptor 3 for the output of the run; `$log` is the name of its log. */
  readonly open: string;
  /** Closes descriptor 3, and waits until all output is in the log. */
  readonly close: string;
  /** Sets traps for the signals that are passed on to the process `$train`. */
  readonly traps: string;
  /** Names the task: "job 7 on node-3". */
  readonly task: string;
}

/**
 * Lines for any POSIX shell. Before them, `$name` is the name of a run; empty: the task is none of the sweep's. They begin the run, or continue it
 * if it has a record, wait for its end, and leave its exit code in `$code`. If it was killed without a word, its log says so: its state is then "failed", with this reason.
 */
export function taskScript(
  folder: SweepFolder,
  states: readonly RunState[],
  { program, threads, open, close, traps, task }: TaskShell,
  memoryCheck: boolean,
): string {
  // A setting of the sweep takes precedence over the task's.
  const isGiven = states.some(({ run }) => "threads" in run.settings);
  const shared = isGiven || threads === "" ? "" : ` ${threads}`;
  const unchecked = memoryCheck ? "" : " --no-memory-check";
  return `[ -n "$name" ] || { echo "no run has the index of this task" >&2; exit 2; }
sweep=${shellWord(resolve(folder.path))}
run="$sweep/runs/$name" log="$sweep/logs/$name.log"
# Paths in the configuration are relative to this folder.
cd ${shellWord(process.cwd())} || exit 2
if [ -e "$run/${RUN_FILES.config}" ]; then
  set -- --resume "$run"
else
  set -- --out "$run" --overwrite
fi
${open}
${program} train "$@" --config "$sweep/configs/$name.yaml"${shared}${unchecked} >&3 2>&1 3>&- &
train=$!
${traps}
wait "$train"
code=$?
# A signal ends the wait, not the run.
while kill -0 "$train" 2> /dev/null; do
  wait "$train"
  code=$?
done
${close}
case $code in
  0 | 129 | 130 | 138 | 140 | 143) ;;
  *) # A run that was killed has not said so.
    grep -v '^axograd: warning: ' "$log" | grep -q '^axograd: ' ||
      echo "axograd: the process ended with exit code $code in ${task}" | tee -a "$log"
    ;;
esac
`;
}
