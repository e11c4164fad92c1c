// `axograd sweep`: training runs with every combination of some settings and several seeds, here or on a cluster.

import { basename, extname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Command } from "commander";
import { ArgumentError, EngineError } from "../../core/errors.ts";
import { plural, quoteText, shellWord } from "../../core/text.ts";
import { makeFolder } from "../../io/durable.ts";
import { resumedConfig } from "../../run/configLayers.ts";
import { readBegun } from "../../run/runStart.ts";
import { Console, writeJson } from "../console.ts";
import { Interruption } from "../interruption.ts";
import { inRanks } from "../ranks.ts";
import { RunLock } from "../runLock.ts";
import { oneOf, path, wholeNumber } from "../values.ts";
import { collect, printResults } from "./collect.ts";
import { divided, type Ranks } from "./divided.ts";
import {
  checkKubernetesOptions,
  KUBERNETES_HELP,
  type KubernetesOptions,
  kubernetesOption,
  writeKubernetesJob,
} from "./kubernetes.ts";
import { type Here, isDone, type RunOptions } from "./local.ts";
import { type PlannedRun, planRuns } from "./plan.ts";
import { mpiType, SweepJobs } from "./slurm.ts";
import { parseSlurmOption, requestedOf, type SlurmOptions } from "./slurmOptions.ts";
import { SCRIPT, scriptFile } from "./slurmScript.ts";
import { MOST_RUNS, readSweepFile } from "./sweepFile.ts";
import { type RunState, SweepFolder } from "./sweepFolder.ts";

/** Failed runs that an error names. */
const MOST_TOLD = 20;

const LAUNCHERS = ["local", "slurm", "kubernetes"] as const;
type Launcher = (typeof LAUNCHERS)[number];

/** Options of the commands that train many networks. */
export interface GivenSweepOptions {
  readonly launcher: Launcher;
  readonly parallel?: number;
  readonly out?: string;
  readonly slurmOption?: readonly string[];
  readonly kubernetesOption?: readonly string[];
  readonly ranks?: number;
  readonly gpus?: number;
  readonly mpi?: string;
  readonly dryRun?: boolean;
  readonly takeOver?: boolean;
  readonly memoryCheck?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
FILE is YAML or JSON (npx axograd init --sweep writes one to start from):
  base:                 settings of all runs, as npx axograd init writes them, or a file's name
    preset: demo
  seeds: 3              how many, or a list; every combination is run with each
  grid:                 lists of values; every combination is run
    lr: [1e-3, 3e-4]
  zip:                  lists of equal length that go together
    gain: [1, 2]
    endTime: [5, 3]
A setting that changes nothing in its runs is refused.

Every run is an ordinary training run in DIR/runs/<settings>, with its log in DIR/logs. The same
command again skips finished runs, and continues interrupted and failed ones. A failed run does
not stop the others. If another process works on a run, the sweep waits for it, and continues the
run if that process stops. A second command on the same folder is refused while the first one
runs.

Examples:
  npx axograd sweep lr.yaml --dry-run         what would be run
  npx axograd sweep lr.yaml --parallel 4      four runs at a time, which share the CPU's threads
  mpirun -n 4 npx axograd sweep lr.yaml       runs divided among four processes
  npx axograd sweep lr.yaml --launcher slurm --gpus 1 --slurm-option time=02:00:00
  npx axograd collect sweeps/lr               results so far

Under mpirun or srun
  Each process takes the next run that none has begun, on its host, with its CPUs and GPU. All
  hosts must share the folder. If a process dies, all end; the same command continues.

--launcher slurm
  submits job arrays with a task per run, and ends. With --dry-run it writes their script,
  DIR/slurm.sh. The same command again is always safe: runs in the queue are not submitted twice,
  and those of dead nodes and cancelled jobs continue from their last checkpoint. Once all are
  finished it shows the results. Two minutes before its time limit a run writes a checkpoint, and
  its job begins again (--slurm-option signal=B:USR1@300: five minutes before; no-requeue: it
  ends). --ranks 4: four processes per run, started by srun, share its batches; --gpus 4: each has
  a GPU, too. Nodes and cores: --slurm-option nodes=4 --slurm-option cpus-per-task=16.

--launcher kubernetes --dry-run
  writes DIR/kubernetes.yaml, an Indexed Job with a pod per run, for kubectl apply -f. Working
  directory and DIR lie on a shared volume, at the same path here and in pods. An evicted pod
  writes a checkpoint, and another one goes on; wrong input is not tried again. Keys of
  --kubernetes-option (for more, edit the manifest):
${KUBERNETES_HELP.replace(/^/gm, "  ")}

Exit codes: 0 all runs finished, or were submitted; 1 some did not; 2 wrong input, or a folder in
use by another process; 128 + n stopped by signal n.
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

/** A plugin of `srun --mpi`. */
function mpiName(text: string): string {
  if (/^\w+$/.test(text)) return text;
  throw new ArgumentError("command line", "--mpi", "a name that srun --mpi=list shows, like pmix", quoteText(text));
}

/** Declares the options for starting runs. */
export function addSweepOptions(command: Command): Command {
  const gather =
    (check: (text: string) => unknown) =>
    (text: string, earlier: readonly string[] = []): readonly string[] => {
      check(text);
      return [...earlier, text];
    };
  return command
    .option(
      "--launcher <name>",
      "local: processes on this machine; slurm: job arrays; kubernetes: the manifest of a job",
      oneOf("--launcher", LAUNCHERS),
      "local",
    )
    .option(
      "--parallel <n>",
      "runs at a time; under mpirun, of each process (default: 1; on a cluster no limit)",
      wholeNumber("--parallel", 1),
    )
    .option(
      "--slurm-option <key=value>",
      "an option of sbatch, like time=02:00:00 or p=gpu; may be repeated",
      gather(parseSlurmOption),
    )
    .option(
      "--kubernetes-option <key=value>",
      "a setting of pods, like cpu=4; may be repeated (npx axograd sweep --help lists them)",
      gather(kubernetesOption),
    )
    .option(
      "--ranks <n>",
      "with slurm: processes of each run, which share its batches (MPI)",
      wholeNumber("--ranks", 1),
    )
    .option("--gpus <n>", "with slurm or kubernetes: GPUs of each run, one per process", wholeNumber("--gpus", 1))
    .option("--mpi <type>", "with --ranks: how srun starts MPI programs (default: pmix, else pmi2)", mpiName)
    .option("--dry-run", "run nothing: print what would be run; with slurm or kubernetes, write script or manifest")
    .option("--take-over", "do not wait for a sign of life from processes on other machines: they must have ended")
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
    dryRun = false,
    json = false,
    quiet = false,
    takeOver = false,
    memoryCheck = true,
  } = given;
  const { size, description } = ranks.communicator;
  if (launcher !== "local" && size > 1) {
    const got = `${launcher}, in one of ${size} processes (${description})`;
    throw new ArgumentError("sweep", "--launcher", "local where mpirun or srun starts several processes", got);
  }
  const folder = new SweepFolder(path);
  const kubernetes = kubernetesOptionsOf(given);
  if (launcher === "kubernetes") checkKubernetesOptions(folder, kubernetes, dryRun);
  const slurm = slurmOptionsOf(given);
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
    await folder.check(true);
    // Before the states: a run that leaves the queue then has its result.
    const jobs = await SweepJobs.open(folder, launcher === "slurm" ? null : (text) => console.warn(text));
    if (launcher !== "slurm") jobs.assertNoneQueued(launcher);
    const states = await checkedStates(folder, await folder.settledStates(runs, lockOptions));
    const due = states.filter((state) => !isDone(state));
    console.info(overview(folder, states));
    await begin(states);
    await folder.create(runs);
    if (launcher === "slurm") {
      await launchOnSlurm(jobs, states, { slurm, dryRun, json, console });
      return 0;
    }
    if (launcher === "kubernetes") {
      const manifest = await writeManifest(folder, freeAmong(due, console), kubernetes, console);
      if (json) writeJson({ folder: folder.path, manifest, runs: states.map(planned) });
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

/** @throws {ArgumentError} options that contradict each other, or have no effect with the launcher */
function slurmOptionsOf(given: Omit<GivenSweepOptions, "out">): SlurmOptions {
  const { launcher, slurmOption: options = [], ranks = null, gpus = null, mpi = null } = given;
  if (launcher !== "slurm") {
    if (options.length > 0) throw needs("slurm", "--slurm-option", launcher);
    if (mpi !== null) throw needs("slurm", "--mpi", launcher);
  }
  if (launcher === "local") {
    const hint = "; on one machine, mpirun -n 4 npx axograd sweep … gives each of four ranks its share of the runs";
    if (ranks !== null) throw needs("slurm", "--ranks", launcher, hint);
    if (gpus !== null) throw needs("slurm", "--gpus", launcher, hint);
  }
  const { parallel = null, memoryCheck = true } = given;
  const slurm = { options, ranks, gpus, mpi, parallel, memoryCheck };
  if (requestedOf(slurm).ranks === 1 && mpi !== null) {
    throw new ArgumentError("sweep", "--mpi", "--ranks of at least 2 with it", "runs of one process");
  }
  return slurm;
}

/** @throws {ArgumentError} options that have no effect with the launcher */
function kubernetesOptionsOf(given: Omit<GivenSweepOptions, "out">): KubernetesOptions {
  const { launcher, kubernetesOption: options = [], ranks = null, gpus = null } = given;
  if (launcher !== "kubernetes" && options.length > 0) throw needs("kubernetes", "--kubernetes-option", launcher);
  const { parallel = null, memoryCheck = true } = given;
  return { options, ranks, gpus, parallel, memoryCheck };
}

function needs(launcher: Launcher, option: string, got: Launcher, hint = ""): ArgumentError {
  return new ArgumentError("sweep", option, `--launcher ${launcher} with it`, `--launcher ${got}${hint}`);
}

interface OnSlurm {
  readonly slurm: SlurmOptions;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly console: Console;
}

/** Submits what is neither in Slurm's queue nor running; collects the results once nothing is left to do. */
async function launchOnSlurm(
  jobs: SweepJobs,
  states: readonly RunState[],
  { slurm, dryRun, json, console }: OnSlurm,
): Promise<void> {
  const { folder, queued } = jobs;
  const due = states.filter((state) => !isDone(state));
  if (queued.size > 0) console.result(`${plural(queued.size, "run")} in Slurm's queue already`);
  const free = freeAmong(
    due.filter(({ run }) => !queued.has(run.name)),
    console,
  );
  const options =
    free.length > 0 && requestedOf(slurm).ranks > 1 ? { ...slurm, mpi: slurm.mpi ?? (await mpiType()) } : slurm;
  const script = free.length > 0 ? scriptFile(folder) : null;
  if (script !== null) {
    const submit = dryRun ? `; submit it with: cd ${shellWord(folder.path)} && sbatch ${SCRIPT}` : "";
    console.result(`${script}: ${plural(free.length, "task")}${submit}`);
  }
  if (script !== null && dryRun) await jobs.prepare(free, options);
  const submitted = script === null || dryRun ? [] : await jobs.submit(free, options);
  for (const { job, name, runs } of submitted)
    console.result(`submitted job ${job ?? name}: ${plural(runs.length, "run")}`);
  const queue = { script, submitted, queued: [...queued] };
  if (dryRun) {
    if (json) writeJson({ folder: folder.path, runs: states.map(planned), slurm: queue });
    return;
  }
  if (!json && due.length > 0) return;
  const collected = await collect(
    folder,
    states.map(({ run }) => run),
  );
  if (json) writeJson({ ...collected, slurm: queue });
  else printResults(collected, { json });
}

/** The runs that a cluster may be given: no process works on them. */
function freeAmong(due: readonly RunState[], console: Console): readonly RunState[] {
  const free = due.filter(({ status }) => status !== "running");
  const nRunning = due.length - free.length;
  if (nRunning > 0) console.result(`${plural(nRunning, "run")} left out, as processes work on them`);
  return free;
}

/** @returns the manifest; null: nothing is left to submit */
async function writeManifest(
  folder: SweepFolder,
  free: readonly RunState[],
  options: KubernetesOptions,
  console: Console,
): Promise<string | null> {
  const job = await writeKubernetesJob(folder, free, options);
  if (job === null) console.result("no manifest: nothing is left to submit");
  else {
    const submit = `submit it with: kubectl apply -f ${shellWord(job.file)}`;
    console.result(`${job.file}: job ${job.name} of ${plural(free.length, "run")}; ${submit}`);
  }
  return job?.file ?? null;
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
