// `axograd sweep`: training runs with every combination of some settings and several seeds, here or on a cluster.

import { basename, extname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Command } from "commander";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { makeFolder } from "../../io/durable.ts";
import { resumedConfig } from "../../run/configLayers.ts";
import { readBegun } from "../../run/runStart.ts";
import { Console, writeJson, writeLine } from "../console.ts";
import { Interruption } from "../interruption.ts";
import { inRanks } from "../ranks.ts";
import { RunLock } from "../runLock.ts";
import { oneOf, path, wholeNumber } from "../values.ts";
import { collect, printResults } from "./collect.ts";
import { divided, type Ranks } from "./divided.ts";
import { type Here, isDone, type RunOptions } from "./local.ts";
import { type PlannedRun, planRuns } from "./plan.ts";
import { queuedRuns, type SlurmOptions, slurmOption, submit, writeSlurmScript } from "./slurm.ts";
import { MOST_RUNS, readSweepFile } from "./sweepFile.ts";
import { type RunState, SweepFolder } from "./sweepFolder.ts";

/** Failed runs that an error names. */
const MOST_TOLD = 20;

const LAUNCHERS = ["local", "slurm"] as const;

/** Options of the commands that train many networks. */
export interface GivenSweepOptions {
  readonly launcher: (typeof LAUNCHERS)[number];
  readonly parallel?: number;
  readonly out?: string;
  readonly slurmOption?: readonly string[];
  readonly dryRun?: boolean;
  readonly takeOver?: boolean;
  readonly memoryCheck?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
FILE is YAML or JSON (npx axograd init --sweep writes one to start from):
  base:                       settings of all runs, as npx axograd init writes them, or the name of such a file
    preset: demo
  seeds: 3                    how many, or a list; every combination is run with each
  grid:                       lists of values; every combination is run
    lr: [1e-3, 3e-4]
  zip:                        lists of equal length that go together
    gain: [1, 2]
    endTime: [5, 3]

Every run is an ordinary training run in DIR/runs/<settings>, with its log in DIR/logs. Repeating the command skips
finished runs and continues interrupted and failed ones. A failed run does not stop the others.

Examples:
  npx axograd sweep lr.yaml --dry-run              what would be run
  npx axograd sweep lr.yaml --parallel 4           four runs at a time, which share the CPU's threads
  npx axograd sweep lr.yaml --launcher slurm --slurm-option time=02:00:00 --slurm-option partition=gpu --slurm-option gres=gpu:1
                                                   a job array, one task per run; with --dry-run only its script, DIR/slurm.sh
  npx axograd collect sweeps/lr                    results so far

More than ${MOST_RUNS.usual} runs are refused, unless --max-runs allows them. A setting that changes nothing in its runs is refused.

If another process works on a run, the sweep waits for it, and continues the run if that process stops. A second command on the same folder
is refused while the first one runs. On a cluster, --slurm-option signal=B:USR1@120 makes a run write a checkpoint two minutes before its
time limit (exit code 138); a requeued job continues from there at once, on any node.

Exit codes: 0 all runs finished (or were submitted); 1 some did not; 2 wrong input, or a folder in use by another process; 128 + n
stopped by signal n.
`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("sweep")
    .description("train with every combination of settings and seeds")
    .argument("<file>", "settings and their values, YAML or JSON")
    .option("--out <dir>", "folder of the sweep (default: sweeps/<name of the file>)", path("--out"))
    .option(
      "--max-runs <n>",
      `limit of runs, up to ${MOST_RUNS.ever}`,
      wholeNumber("--max-runs", 1, MOST_RUNS.ever),
      MOST_RUNS.usual,
    );
  addSweepOptions(command)
    .addHelpText("after", HELP)
    .action(async (file: string, given: GivenSweepOptions & { readonly maxRuns: number }) => {
      process.exitCode = await inRanks(given, (communicator) =>
        divided(communicator, async (ranks) => {
          const runs = planRuns(await readSweepFile(file, given.maxRuns));
          return runSweep(ranks, runs, given.out ?? join("sweeps", basename(file, extname(file))), given);
        }),
      );
    });
}

/** Declares the options for starting runs. */
export function addSweepOptions(command: Command): Command {
  const gather = (text: string, earlier: readonly string[] = []): readonly string[] => {
    slurmOption(text);
    return [...earlier, text];
  };
  return command
    .option(
      "--launcher <name>",
      "local: processes on this machine; slurm: a job array",
      oneOf("--launcher", LAUNCHERS),
      "local",
    )
    .option("--parallel <n>", "runs at a time (default: local 1, slurm no limit)", wholeNumber("--parallel", 1))
    .option("--slurm-option <key=value>", "an option of sbatch; may be repeated", gather)
    .option("--dry-run", "only print what would be run; with slurm, write the script without submitting it")
    .option(
      "--take-over",
      "do not wait for a sign of life from processes on other machines that worked here: they must have ended",
    )
    .option("--no-memory-check", "begin runs that are stated to take more memory than there is")
    .option("--json", "print the results as JSON on stdout")
    .option("--quiet", "no progress");
}

/**
 * Starts or continues the runs of a folder, and collects their results.
 *
 * @param begin  called before any run starts, while no other process works in the folder
 * @returns the exit code
 */
export async function runSweep(
  ranks: Ranks,
  runs: readonly PlannedRun[],
  path: string,
  given: Omit<GivenSweepOptions, "out">,
  begin: (states: readonly RunState[]) => Promise<void> = async () => {},
): Promise<number> {
  const {
    launcher,
    parallel = null,
    slurmOption: options = [],
    dryRun = false,
    json = false,
    quiet = false,
    takeOver = false,
    memoryCheck = true,
  } = given;
  if (launcher === "local" && options.length > 0) {
    throw new ArgumentError("sweep", "--slurm-option", "--launcher slurm with it", "--launcher local");
  }
  const { size, description } = ranks.communicator;
  if (launcher !== "local" && size > 1) {
    const got = `${launcher}, in one of ${size} processes (${description})`;
    throw new ArgumentError("sweep", "--launcher", "local where mpirun or srun starts several processes", got);
  }
  const folder = new SweepFolder(path);
  const console = new Console({ json, quiet });
  await folder.check();
  if (dryRun && launcher === "local") {
    const states = await checkedStates(folder, await folder.states(runs));
    console.info(overview(folder, states));
    for (const { run, status } of states) console.info(`  ${run.name}  ${status}`);
    if (json) writeJson({ folder: folder.path, runs: states.map(planned) });
    return 0;
  }
  await makeFolder(folder.path);
  const lockOptions = { takeOver, onWait: (text: string) => console.status(`${text}; --take-over does not wait`) };
  const lock = await RunLock.take(folder.path, lockOptions);
  try {
    const states = await checkedStates(folder, await folder.settledStates(runs, lockOptions));
    const due = states.filter((state) => !isDone(state));
    console.info(overview(folder, states));
    await begin(states);
    await folder.create(runs);
    if (launcher === "slurm") {
      await launchOnCluster(folder, due, { options, parallel, memoryCheck }, dryRun);
      return 0;
    }
    const work = { folder, due, options: { parallel: parallel ?? 1, takeOver, memoryCheck } };
    return await runHere(ranks, work, { console, assertHeld: () => lock.assertHeld() }, async () => {
      await lock.assertHeld();
      const collected = await collect(folder, runs);
      printResults(collected, { json });
      return collected.runs.filter(({ status }) => status !== "finished");
    });
  } finally {
    await lock.release();
  }
}

/** @throws {ArgumentError} a run cannot be continued with its settings */
async function checkedStates(folder: SweepFolder, states: readonly RunState[]): Promise<readonly RunState[]> {
  for (const state of states) if (state.begun) await checkContinuable(folder, state);
  return states;
}

function planned({ run, status }: RunState): object {
  return { run: run.name, options: run.options, seed: run.config.seed, status };
}

function overview(folder: SweepFolder, states: readonly RunState[]): string {
  const of = (status: string): string => `${states.filter((state) => state.status === status).length} ${status}`;
  const rest = ["finished", "interrupted", "failed", "running"].filter((s) =>
    states.some(({ status }) => status === s),
  );
  return `${folder.path}: ${states.length} runs${rest.length > 0 ? ` (${rest.map(of).join(", ")})` : ""}`;
}

/** @throws {ArgumentError} settings that training depends on differ from those that the run was started with */
async function checkContinuable(folder: SweepFolder, { run }: RunState): Promise<void> {
  const saved = (await readBegun(folder.run(run.name))).config;
  try {
    resumedConfig(saved, run.settings);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { expected, got, argument } = error.facts;
    const hint = `in ${folder.run(run.name)}; another --out begins anew`;
    throw new ArgumentError("sweep", String(argument), `${expected} ${hint}`, String(got));
  }
}

async function launchOnCluster(
  folder: SweepFolder,
  due: readonly RunState[],
  options: SlurmOptions,
  dryRun: boolean,
): Promise<void> {
  const queued = await queuedRuns(folder);
  const free = due.filter(({ run, status }) => status !== "running" && !queued.has(run.name));
  if (queued.size > 0) writeLine(`${queued.size} of the runs are in Slurm's queue already`);
  if (free.length === 0) return;
  const script = await writeSlurmScript(folder, free, options);
  writeLine(`${script}: ${free.length} tasks`);
  if (!dryRun) writeLine(await submit(script, folder, free));
}

/** A run that is not finished, and the reason. */
interface Unfinished {
  readonly run: string;
  readonly status: string;
  readonly error: string | null;
}

interface Work {
  readonly folder: SweepFolder;
  readonly due: readonly RunState[];
  readonly options: RunOptions;
}

async function runHere(
  { communicator, launch }: Ranks,
  { folder, due, options }: Work,
  own: Pick<Here, "console" | "assertHeld">,
  conclude: () => Promise<readonly Unfinished[]>,
): Promise<number> {
  const interruption = new Interruption(communicator);
  try {
    await launch(folder, due, options, { ...own, interruption });
    const unfinished = await conclude();
    if (interruption.cause) return interruption.exitCode(0);
    await nextTurn();
    if (interruption.failure) throw interruption.failure;
    if (unfinished.length === 0) return 0;
    const told = unfinished.slice(0, MOST_TOLD).map(({ run, status, error }) => `\n  ${run}: ${error ?? status}`);
    const others =
      unfinished.length > MOST_TOLD ? `\n  and ${unfinished.length - MOST_TOLD} more: npx axograd collect` : "";
    const list = [...told, others].join("");
    const failed = unfinished.every(({ status }) => status === "failed") ? "failed" : "did not";
    const message = `sweep: expected all runs to finish, got ${unfinished.length} that ${failed}; the same command tries them again:${list}`;
    throw new EngineError("runs-failed", message, { failed: unfinished });
  } finally {
    interruption.dispose();
  }
}
