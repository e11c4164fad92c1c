// `axograd train`: reads and checks all input, opens the device, builds the model, and runs.

import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import type { Backend } from "../backend/backend.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { StepProfiler } from "../profile/stepProfile.ts";
import type { TrainConfig } from "../run/config.ts";
import { openDevice } from "../run/device.ts";
import {
  beginExperiment,
  createExperiment,
  loadRunInputs,
  type RunInputs,
  restoreExperiment,
} from "../run/experiment.ts";
import { describeMemory, planMemory, refuseBeyond } from "../run/memoryPlan.ts";
import { PRESETS } from "../run/presets.ts";
import { checkpointOf } from "../run/runFiles.ts";
import { checkSameInit, checkSameInputs } from "../run/runStart.ts";
import { TUNER, type Tuner, type TuningPlan, tuneDevice, tuningPlan } from "../run/tuning.ts";
import { describeWarmStart, type WarmStart } from "../train/warmStart.ts";
import { Console, type Verbosity } from "./console.ts";
import { describeRun, row } from "./describe.ts";
import { LongWork } from "./loading.ts";
import { reportRun } from "./report.ts";
import { type BegunRun, readBegunRun } from "./resume.ts";
import { executeRun, type RunParts } from "./run.ts";
import { defaultRunPath, RunFolder } from "./runFolder.ts";
import { describeStart, limitsOf } from "./summary.ts";
import { addTrainOptions, configOf, type GivenOptions } from "./trainOptions.ts";

/**
 * Adds the command to the program.
 *
 * @param tuner  finds the choices of a GPU's sparse kernels; tests have their own
 */
export function register(program: Command, tuner: Tuner = TUNER): void {
  const command = program.command("train").description("train a network on samples and report how good it is");
  addTrainOptions(command).action(async (given: GivenOptions) => {
    const {
      out = null,
      overwrite = false,
      report = true,
      json = false,
      quiet = false,
      profile = false,
      takeOver = false,
      memoryCheck = true,
      resume,
    } = given;
    if (overwrite && out === null && resume === undefined) {
      throw new ArgumentError("train", "--overwrite", "--out with it, as the default folder is always new", "none");
    }
    const presentation = { report, profile, json, quiet, takeOver, memoryCheck, tuner };
    process.exitCode =
      resume === undefined
        ? await train(await configOf(given), { ...presentation, out, overwrite })
        : await resumeTraining(resume, given, presentation);
  });
}

/** Output of a run. */
interface Presentation extends Verbosity {
  /** Make a page about the run at its end. */
  readonly report: boolean;
  /** Print a profile of one step. */
  readonly profile: boolean;
  /** Refuse a run that needs more memory than there is. */
  readonly memoryCheck: boolean;
  /** Take the folder without watching the heartbeat of its process. */
  readonly takeOver: boolean;
  readonly tuner: Tuner;
}

export interface RunOptions extends Presentation {
  /** Output folder; null: a new one in runs/. */
  readonly out: string | null;
  /** Replace the files of an earlier run. */
  readonly overwrite: boolean;
}

/**
 * Runs a training. Writes nothing before all input is read and checked and the model is built.
 *
 * @returns the exit code: 0, or that of the signal that stopped the run
 */
export async function train(config: TrainConfig, options: RunOptions): Promise<number> {
  const folder = folderOf(options.out ?? defaultRunPath(config.preset), options);
  await checkInitFrom(config, folder);
  await folder.check(options);
  return trainIn(folder, config, options, null);
}

/** The page, and a run that starts again, read the initial parameters a second time. */
async function checkInitFrom({ initFrom }: TrainConfig, { path }: RunFolder): Promise<void> {
  if (initFrom === null || resolve(dirname(await checkpointOf(initFrom))) !== resolve(path)) return;
  throw new ArgumentError("train", "--init-from", "a file outside the folder of the new run", initFrom);
}

/** Continues the run in the folder `path` as if it had not been stopped. */
async function resumeTraining(path: string, given: GivenOptions, options: Presentation): Promise<number> {
  const folder = folderOf(path, options);
  await readBegunRun(folder, given);
  await folder.check({ overwrite: true });
  await folder.open();
  // Read again: no other process can continue the run now.
  const begun = await readBegunRun(folder, given).catch(async (error: unknown) => {
    await folder.release();
    throw error;
  });
  return trainIn(folder, begun.config, options, begun);
}

function folderOf(path: string, options: Presentation): RunFolder {
  const console = new Console(options);
  return new RunFolder(path, {
    takeOver: options.takeOver,
    onWait: (text) => console.status(`${text}; --take-over does not wait`),
  });
}

/** Keeps the folder locked until the page is made. */
async function trainIn(
  folder: RunFolder,
  config: TrainConfig,
  options: Presentation,
  begun: BegunRun | null,
): Promise<number> {
  try {
    return await trainWith(folder, config, options, begun);
  } finally {
    await folder.release();
  }
}

async function trainWith(
  folder: RunFolder,
  config: TrainConfig,
  options: Presentation,
  begun: BegunRun | null,
): Promise<number> {
  const console = new Console(options);
  if (config.generate !== null && typeof config.generate !== "string") {
    const { neurons, connections } = config.generate;
    console.status(`making a network of ${formatCount(neurons)} neurons and ${formatCount(connections)} connections`);
  }
  const plan: TuningPlan = begun ? { how: "run", recorded: begun.tuning } : await tuningPlan(config.tune);
  const reading = new LongWork(console);
  const inputs = await loadRunInputs(config, {
    normalisation: begun?.samples?.normalisation ?? null,
    onProgress: reading.onProgress,
  });
  reading.done();
  try {
    const opened = await openDevice(config, { profile: options.profile, warn: (message) => console.warn(message) });
    const profiler = options.profile ? new StepProfiler(opened) : null;
    const backend = profiler?.backend ?? opened;
    try {
      return await trainOn({ config, backend, inputs, folder, console, profiler }, begun, { ...options, opened, plan });
    } finally {
      await backend.dispose();
    }
  } finally {
    await inputs.samples.release();
  }
}

/** How the device is tuned. */
interface Tuning {
  /** The device itself: `backend` may be one that observes it. */
  readonly opened: Backend;
  readonly plan: TuningPlan;
}

async function trainOn(
  parts: Omit<RunParts, "experiment" | "start" | "resumed" | "page" | "warnings">,
  begun: BegunRun | null,
  { report, memoryCheck, tuner, opened, plan }: Tuning & Pick<Presentation, "report" | "memoryCheck" | "tuner">,
): Promise<number> {
  const { backend, config, console, folder, inputs } = parts;
  if (begun) checkSameInputs("train --resume", begun, inputs);
  const memory = await planMemory(backend, config, inputs, { isContinued: begun?.checkpoint != null });
  if (memoryCheck) refuseBeyond(memory);
  const warnings: string[] = [];
  const tuned = await tuneDevice(opened, plan, {
    csr: inputs.weights,
    lanes: memory.lanes,
    tuner,
    warn: (message) => {
      console.warn(message);
      warnings.push(message);
    },
    onTrials: (adapter) => console.status(`trying choices of sparse kernels on ${adapter}, for 1.5 s at most`),
  });
  const experiment = createExperiment(backend, config, inputs);
  try {
    const { trainer } = experiment;
    // A run that goes on on a CPU keeps its record, should it return to a GPU.
    const start = describeStart(config, inputs, backend, trainer, tuned?.tuning ?? begun?.tuning);
    const lastStep = trainer.lastStep(limitsOf(config));
    for (const line of describeRun(config, inputs, backend.description, lastStep)) console.info(line);
    if (tuned) console.info(row("tuning", tuned.text));
    console.info(row("memory", describeMemory(memory)));
    const { warning } = PRESETS[config.preset]!;
    if (warning) console.warn(warning);
    if (begun?.checkpoint) await restoreExperiment(experiment, begun.checkpoint, (message) => console.warn(message));
    const begins = begun?.checkpoint ? null : await beginExperiment(experiment, config);
    if (begins && begun) checkSameInit("train --resume", begun, begins);
    if (begins) tellWarmStart(begins, console);
    const init = begins ?? begun?.init;
    const resumed = begun && { checkpoint: begun.checkpoint !== null };
    const page = (): Promise<void> => {
      // The page builds a second network and needs the device's memory.
      experiment.dispose();
      return writePage(folder, backend, inputs, console);
    };
    return await executeRun({
      ...parts,
      ...{ experiment, warnings },
      start: { ...start, memory, ...(init && { init }) },
      resumed,
      page: report ? page : null,
    });
  } finally {
    experiment.dispose();
  }
}

/** Reports the parameters that a run starts from, and warns about those that did not fit. */
function tellWarmStart(init: WarmStart, console: Console): void {
  const [summary, ...rest] = describeWarmStart(init);
  console.info(`begins with ${summary}`);
  for (const line of rest) console.warn(line);
}

/**
 * Makes the page about a run. The run is complete without it, so a failure is only a warning.
 *
 * @throws {EngineError} "file-write": it cannot be written
 */
async function writePage(folder: RunFolder, backend: Backend, inputs: RunInputs, console: Console): Promise<void> {
  const hint = `try npx axograd report ${folder.path}`;
  try {
    await folder.assertHeld();
    await reportRun(folder.path, { backend, inputs });
  } catch (error) {
    if (error instanceof EngineError && error.code === "file-write") {
      throw new EngineError(
        error.code,
        `${error.message}; the run is complete but for its page: ${hint}`,
        error.facts,
        error,
      );
    }
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`the report of this run could not be made: ${reason}; ${hint}`);
  }
}
