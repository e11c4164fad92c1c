// Runs of a sweep as a job array of Slurm (https://slurm.schedmd.com/job_array.html): one script, one task per run.

import { spawn } from "node:child_process";
import { basename, join, resolve } from "node:path";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { printable, quoteText, shellWord } from "../../core/text.ts";
import { replaceFile } from "../../io/durable.ts";
import { MAIN } from "./local.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

const SCRIPT = "slurm.sh";

/** Options of sbatch that the script sets itself. */
const OWN = ["array", "output", "job-name"] as const;

export interface SlurmOptions {
  /** `key=value` of sbatch, or `key` alone. */
  readonly options: readonly string[];
  /** Tasks at a time; null: as many as Slurm starts. */
  readonly parallel: number | null;
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

/** Writes the script, and returns where it is. */
export async function writeSlurmScript(
  folder: SweepFolder,
  states: readonly RunState[],
  options: SlurmOptions,
): Promise<string> {
  const file = join(folder.path, SCRIPT);
  await replaceFile(file, [slurmScript(folder, states, options)]);
  return file;
}

/** A task continues its run if there is a record of it, so that a job that was requeued goes on where it was. */
export function slurmScript(
  folder: SweepFolder,
  states: readonly RunState[],
  { options, parallel }: SlurmOptions,
): string {
  const name = basename(resolve(folder.path)).replace(/[^\w.-]+/g, "-");
  const limit = parallel === null ? "" : `%${parallel}`;
  // A setting of the sweep comes before what the job was given.
  const isGiven = states.some(({ run }) => "threads" in run.settings);
  const threads = isGiven ? "" : ` \${SLURM_CPUS_PER_TASK:+--threads $SLURM_CPUS_PER_TASK}`;
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
exec ${shellWord(process.execPath)} ${shellWord(MAIN)} train "\${target[@]}" --config "$sweep/configs/$name.yaml"${threads} > "$sweep/logs/$name.log" 2>&1
`;
}

/**
 * Submits the script.
 *
 * @returns what sbatch said
 * @throws {EngineError} "slurm": there is no sbatch, or it refused
 */
export async function submit(script: string, folder: SweepFolder): Promise<string> {
  const child = spawn("sbatch", [basename(script)], { cwd: folder.path, stdio: ["ignore", "pipe", "pipe"] });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  const failure = await new Promise<string | null>((done) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      done(error.code === "ENOENT" ? "no sbatch in PATH" : error.message),
    );
    child.once("close", (code) => done(code === 0 ? null : texts.stderr.trim() || `exit code ${code}`));
  });
  if (failure === null) return texts.stdout.trim();
  const message = `sweep: expected sbatch to take ${printable(script)}, got ${failure}; on a machine of the cluster, run sbatch ${basename(script)} in ${printable(folder.path)}`;
  throw new EngineError("slurm", message, { script, got: failure });
}
