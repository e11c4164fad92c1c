// `axograd train`: reads and checks all input, opens the device, builds the model, then runs.

import type { Command } from "commander";
import type { Backend } from "../backend/backend.ts";
import { createBackend } from "../backend/select.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { StepProfiler } from "../profile/stepProfile.ts";
import { positionOf, restoreCheckpoint } from "../train/checkpoint.ts";
import { readCheckpoint } from "./checkpoints.ts";
import type { TrainConfig } from "./config.ts";
import { Console, type Verbosity } from "./console.ts";
import { count, describeRun } from "./describe.ts";
import { createExperiment, type Experiment, loadMaterials, type Materials } from "./experiment.ts";
import { PRESETS } from "./presets.ts";
import { reportRun } from "./report.ts";
import { type BegunRun, checkSameMaterials, readBegunRun } from "./resume.ts";
import { executeRun, type RunParts } from "./run.ts";
import { defaultRunPath, RunFolder } from "./runFolder.ts";
import { describeStart, limitsOf } from "./summary.ts";
import { addTrainOptions, configOf, type GivenOptions } from "./trainOptions.ts";

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program.command("train").description("train a classifier of digits and report how well it does");
  addTrainOptions(command).action(async (given: GivenOptions) => {
    const {
      out = null,
      overwrite = false,
      report = true,
      json = false,
      quiet = false,
      profile = false,
      takeOver = false,
      resume,
    } = given;
    if (overwrite && out === null && resume === undefined) {
      throw new ArgumentError("train", "--overwrite", "--out with it, as a folder of its own is always new", "none");
    }
    const presentation = { report, profile, json, quiet, takeOver };
    process.exitCode =
      resume === undefined
        ? await train(await configOf(given), { ...presentation, out, overwrite })
        : await resumeTraining(resume, given, presentation);
  });
}

/** What is said and made of a run. */
interface Presentation extends Verbosity {
  /** A page about the run at its end. */
  readonly report: boolean;
  /** A table of where the time of one step went. */
  readonly profile: boolean;
  /** Take a folder from a process that cannot be asked whether it lives. */
  readonly takeOver: boolean;
}

export interface RunOptions extends Presentation {
  /** Output folder; null: a new one in runs/. */
  readonly out: string | null;
  /** Replace the files of an earlier run. */
  readonly overwrite: boolean;
}

/**
 * Runs a training. Nothing is written before all input is read and checked and the model stands.
 *
 * @returns the exit code: 0, or that of the signal which stopped it
 */
export async function train(config: TrainConfig, options: RunOptions): Promise<number> {
  const folder = folderOf(options.out ?? defaultRunPath(config.preset), options);
  await folder.check(options);
  return trainIn(folder, config, options, null);
}

/** Continues the run in the folder `path` as if it had not been stopped. */
async function resumeTraining(path: string, given: GivenOptions, options: Presentation): Promise<number> {
  const folder = folderOf(path, options);
  await readBegunRun(folder, given);
  await folder.check({ overwrite: true });
  await folder.open();
  // As it is now that no other process can go on with the run.
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

/** The folder is this process's until the page is made. */
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
  if (config.generate) {
    const { neurons, synapses } = config.generate;
    console.status(`making a network of ${count(neurons)} neurons and ${count(synapses)} synapses`);
  }
  const materials = await loadMaterials(config);
  const { device, dtype, threads } = config;
  const opened = await createBackend({ device, dtype, threads, profile: options.profile });
  const profiler = options.profile ? new StepProfiler(opened) : null;
  const backend = profiler?.backend ?? opened;
  try {
    const { report } = options;
    const code = await trainOn({ config, backend, materials, folder, console, report, profiler }, begun);
    if (report && code === 0) await writePage(folder, backend, materials, console);
    return code;
  } finally {
    await backend.dispose();
  }
}

/** Everything that training holds on the device is released at the end: the page needs that memory for a network of its own. */
async function trainOn(
  parts: Omit<RunParts, "experiment" | "start" | "resumed">,
  begun: BegunRun | null,
): Promise<number> {
  const { backend, config, console, materials } = parts;
  const experiment = createExperiment(backend, config, materials);
  try {
    const { trainer } = experiment;
    const start = describeStart(config, materials, backend, trainer);
    if (begun) checkSameMaterials(begun, start);
    const lastStep = trainer.lastStep(limitsOf(config));
    for (const line of describeRun(config, materials, backend.description, lastStep)) console.info(line);
    const { warning } = PRESETS[config.preset]!;
    if (warning) console.warn(warning);
    if (begun?.checkpoint) {
      await restore(begun.checkpoint, experiment);
    } else if (experiment.model.options.standardise) {
      await trainer.calibrate(config.calibration);
    }
    const resumed = begun && { checkpoint: begun.checkpoint !== null };
    return await executeRun({ ...parts, experiment, start, resumed });
  } finally {
    experiment.dispose();
  }
}

/** The file's content, several times that of the network, is not kept. */
async function restore(file: string, experiment: Experiment): Promise<void> {
  const checkpoint = await readCheckpoint(file);
  const position = positionOf(checkpoint, experiment.trainer.stepsPerEpoch);
  restoreCheckpoint(checkpoint, experiment);
  experiment.trainer.seek(position);
}

/**
 * The page about a run. The run is complete without it, so that what goes wrong in making it does not fail the run.
 *
 * @throws {EngineError} "file-write": it cannot be written
 */
async function writePage(folder: RunFolder, backend: Backend, materials: Materials, console: Console): Promise<void> {
  const hint = `try npx axograd report ${folder.path}`;
  try {
    await folder.assertHeld({ now: true });
    await reportRun(folder.path, { backend, materials });
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
    console.warn(`there is no report of this run: ${reason}; ${hint}`);
  }
}
