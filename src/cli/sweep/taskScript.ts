// The shell of one task of a cluster: it begins the run `$name`, or continues it. Tasks may start again at any time, on any node.

import { resolve } from "node:path";
import { shellWord } from "../../core/text.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

export interface TaskOptions {
  /** Shell text that starts axograd on the machine of the task. */
  readonly program: string;
  /** Shell text of `--threads`, unless the sweep has this setting; "": as many as the machine has. */
  readonly threads: string;
  /** Runs that are stated to take more memory than there is are refused. */
  readonly memoryCheck: boolean;
}

/**
 * Lines for any POSIX shell. Before them, `$name` is set to the name of a run. After them, `"$@"` is the command, whose output belongs into
 * `$log`, and the working directory is that of this process, as paths in configurations are relative to it.
 */
export function taskScript(
  folder: SweepFolder,
  states: readonly RunState[],
  { program, threads, memoryCheck }: TaskOptions,
): string {
  // A setting of the sweep takes precedence over the task's.
  const isGiven = states.some(({ run }) => "threads" in run.settings);
  const shared = isGiven || threads === "" ? "" : ` ${threads}`;
  const unchecked = memoryCheck ? "" : " --no-memory-check";
  return `sweep=${shellWord(resolve(folder.path))}
log="$sweep/logs/$name.log"
# Paths in the configuration are relative to this folder.
cd ${shellWord(process.cwd())} || exit 2
if [ -e "$sweep/runs/$name/${RUN_FILES.config}" ]; then
  set -- --resume "$sweep/runs/$name"
else
  set -- --out "$sweep/runs/$name" --overwrite
fi
set -- ${program} train "$@" --config "$sweep/configs/$name.yaml"${shared}${unchecked}
`;
}
