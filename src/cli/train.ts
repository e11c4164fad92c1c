// `axograd train`: reads and checks all input, opens the device, builds the model, and runs.

import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import type { Backend } from "../backend/backend.ts";
import { ArgumentError, EngineError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { VERSION } from "../core/version.ts";
import { agreed } from "../distributed/agree.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { TimedCommunicator } from "../distributed/timed.ts";
import { type FileHash, hashOf } from "../io/hash.ts";
import { StepProfiler } from "../profile/stepProfile.ts";
import type { TrainConfig } from "../run/config.ts";
import { type Key, optionName } from "../run/configOptions.ts";
import { deviceName, grantedThreads, openDevice } from "../run/device.ts";
import {
  beginExperiment,
  createExperiment,
  loadRunInputs,
  type RunInputs,
  restoreExperiment,
} from "../run/experiment.ts";
import { describeMemory, memoryLimits, planMemory, refuseBeyond } from "../run/memoryPlan.ts";
import { microBatchOf } from "../run/microBatch.ts";
import { PRESETS } from "../run/presets.ts";
import { checkpointOf } from "../run/runFiles.ts";
import { checkSameInit, checkSameInputs } from "../run/runStart.ts";
import { TUNER, type Tuned, type Tuner, type TuningPlan, tuneDevice, tuningPlan } from "../run/tuning.ts";
import { describeWarmStart, type WarmStart } from "../train/warmStart.ts";
import { Console, type Verbosity } from "./console.ts";
import { describeRun, row } from "./describe.ts";
import { LongWork } from "./loading.ts";
import { checkAlike, hostPlanOf, inRanks, ranksOf } from "./ranks.ts";
import { reportRun } from "./report.ts";
import { type BegunRun, readBegunRun } from "./resume.ts";
import { executeRun, type RunParts } from "./run.ts";
import { defaultRunPath, FollowedFolder, RunFolder } from "./runFolder.ts";
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
    process.exitCode = await inRanks(given, (communicator) => trainAs(communicator, given, tuner));
  });
}

/**
 * Trains as one of the processes of `communicator`. Rank 0 talks to the user and writes; the others do everything else alike.
 *
 * @returns the exit code: 0, or that of the signal that stopped the run
 */
export async function trainAs(communicator: Communicator, given: GivenOptions, tuner: Tuner = TUNER): Promise<number> {
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
  const talks = communicator.rank === 0;
  const verbosity = { json, quiet, silent: !talks };
  const presentation = {
    report: report && talks,
    profile: profile && talks,
    takeOver,
    memoryCheck,
    tuner,
    ...verbosity,
  };
  await checkAlike(communicator, "train", { "version of axograd": VERSION });
  await agreed(communicator, async () => {
    if (overwrite && out === null && resume === undefined)
      throw new ArgumentError("train", "--overwrite", "--out with it, as the default folder is always new", "none");
  });
  const threads = await grantedThreads(communicator);
  if (resume !== undefined) return resumeTraining(resume, given, { ...presentation, communicator, threads });
  const config = await agreed(communicator, () => configOf(given, { threads }));
  return train(config, { ...presentation, communicator, out, overwrite });
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
  /** The processes that train together. */
  readonly communicator: Communicator;
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
async function train(config: TrainConfig, options: RunOptions): Promise<number> {
  const { communicator } = options;
  // A folder by the clock: that of rank 0.
  const [path = ""] = await communicator.exchange(options.out ?? defaultRunPath(config.preset));
  const folder = folderOf(path, options);
  await agreed(communicator, async () => {
    await checkInitFrom(config, folder);
    await folder.check(options);
  });
  return trainIn(folder, config, options, null);
}

/** The page, and a run that starts again, read the initial parameters a second time. */
async function checkInitFrom({ initFrom }: TrainConfig, { path }: RunFolder): Promise<void> {
  if (initFrom === null || resolve(dirname(await checkpointOf(initFrom))) !== resolve(path)) return;
  throw new ArgumentError("train", "--init-from", "a file outside the folder of the new run", initFrom);
}

/** Continues the run in the folder `path` as if it had not been stopped. */
async function resumeTraining(
  path: string,
  given: GivenOptions,
  options: Presentation & { readonly threads: number },
): Promise<number> {
  const { communicator, threads } = options;
  const folder = folderOf(path, options);
  const read = (): Promise<BegunRun> => readBegunRun(folder, given, { ranks: communicator.size, threads });
  await agreed(communicator, async () => {
    await read();
    await folder.check({ overwrite: true });
  });
  await agreed(communicator, () => folder.open());
  // Read again: no other process can continue the run now.
  const begun = await agreed(communicator, read).catch(async (error: unknown) => {
    await folder.release();
    throw error;
  });
  return trainIn(folder, begun.config, options, begun);
}

function folderOf(path: string, options: Presentation): RunFolder {
  if (options.communicator.rank > 0) return new FollowedFolder(path);
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
  const { communicator } = options;
  const console = new Console(options);
  await checkSameSettings(communicator, config);
  if (config.generate !== null && typeof config.generate !== "string") {
    const { neurons, connections } = config.generate;
    console.status(`making a network of ${formatCount(neurons)} neurons and ${formatCount(connections)} connections`);
  }
  const plan: TuningPlan = begun
    ? { how: "run", recorded: begun.tuning }
    : await agreed(communicator, () => tuningPlan(config.tune));
  const reading = new LongWork(console);
  const inputs = await agreed(communicator, () =>
    loadRunInputs(config, {
      normalisation: begun?.samples?.normalisation ?? null,
      onProgress: reading.onProgress,
    }),
  );
  reading.done();
  try {
    await checkSameFiles(communicator, inputs, begun);
    const opened = await agreed(communicator, () =>
      openDevice(config, { profile: options.profile, warn: (message) => console.warn(message), communicator }),
    );
    const profiler = options.profile ? new StepProfiler(opened) : null;
    const backend = profiler?.backend ?? opened;
    try {
      const microBatch = await agreed(communicator, async () =>
        microBatchOf(config, inputs.samples.train, opened, communicator),
      );
      const parts = { config: { ...config, microBatch }, backend, inputs, folder, console, profiler, communicator };
      return await trainOn(parts, begun, { ...options, opened, plan });
    } finally {
      await backend.dispose();
    }
  } finally {
    await inputs.samples.release();
  }
}

/** Every process reads the settings for itself. Each may have as many threads as its machine grants it. */
async function checkSameSettings(communicator: Communicator, { threads: _, ...config }: TrainConfig): Promise<void> {
  const settings = Object.entries(config).map(([key, value]) => [optionName(key as Key), JSON.stringify(value)]);
  await checkAlike(communicator, "train", Object.fromEntries(settings));
}

/** Every process reads the files for itself: where machines have disks of their own, they may differ. */
async function checkSameFiles(communicator: Communicator, { files }: RunInputs, begun: BegunRun | null): Promise<void> {
  if (communicator.size === 1) return;
  const hashes = await agreed(communicator, async () => {
    const checkpoint = begun?.checkpoint ? await hashOf(begun.checkpoint) : null;
    const state = begun ? [["checkpoint, in a folder that all hosts see", contentOf(checkpoint)]] : [];
    return [...files.map((file) => [file.file, contentOf(file)]), ...state];
  });
  await checkAlike(communicator, "train", Object.fromEntries(hashes));
}

function contentOf(file: FileHash | null): string {
  return file ? `SHA-256 ${file.sha256.slice(0, 12)}… of ${formatCount(file.bytes)} bytes` : "none";
}

/** How the device is tuned. */
interface Tuning {
  /** The device itself: `backend` may be one that observes it. */
  readonly opened: Backend;
  readonly plan: TuningPlan;
}

/** The parts of a run before its model is built. */
type Prepared = Omit<RunParts, "experiment" | "start" | "resumed" | "page" | "warnings"> & {
  readonly communicator: Communicator;
};

async function trainOn(
  parts: Prepared,
  begun: BegunRun | null,
  { report, memoryCheck, tuner, opened, plan }: Tuning & Pick<Presentation, "report" | "memoryCheck" | "tuner">,
): Promise<number> {
  const { backend, config, console, folder, inputs, communicator } = parts;
  const warnings: string[] = [];
  const warn = (message: string): void => {
    console.warn(message);
    warnings.push(message);
  };
  const memory = await agreed(communicator, async () => {
    if (begun) checkSameInputs("train --resume", begun, inputs);
    return planMemory(backend, config, inputs, { isContinued: begun?.checkpoint != null, communicator });
  });
  const host = await hostPlanOf(communicator, memory);
  if (memoryCheck) await agreed(communicator, async () => refuseBeyond(memory, memoryLimits(), host));
  const tuned = await tuneAlike(communicator, plan, (chosen) =>
    tuneDevice(opened, chosen, {
      csr: inputs.weights,
      lanes: memory.lanes,
      tuner,
      warn,
      onTrials: (adapter) => console.status(`trying choices of sparse kernels on ${adapter}, for 1.5 s at most`),
    }),
  );
  const timed = new TimedCommunicator(communicator);
  const experiment = await agreed(communicator, async () => createExperiment(backend, config, inputs, timed));
  try {
    const { trainer } = experiment;
    const ranks = await ranksOf(communicator, { threads: config.threads, device: deviceName(opened) });
    // A run that goes on on a CPU keeps its record, should it return to a GPU.
    const tuning = tuned?.tuning ?? begun?.tuning ?? null;
    const start = describeStart(config, inputs, backend, trainer, { tuning, ranks });
    const lastStep = trainer.lastStep(limitsOf(config));
    for (const line of describeRun(config, inputs, backend.description, lastStep, ranks)) console.info(line);
    if (tuned) console.info(row("tuning", tuned.text));
    console.info(row("memory", describeMemory(memory)));
    const { warning } = PRESETS[config.preset]!;
    if (warning) console.warn(warning);
    const { checkpoint = null } = begun ?? {};
    if (checkpoint !== null) {
      await agreed(communicator, () => restoreExperiment(experiment, checkpoint, (message) => console.warn(message)));
      if (begun!.isUngrouped && config.microBatch !== null) warn(regrouped(config.microBatch, trainer.position.step));
    }
    const begins = checkpoint !== null ? null : await beginExperiment(experiment, config, communicator);
    if (begins) {
      await checkAlike(communicator, "train", { [begins.file]: begins.sha256 });
      if (begun) checkSameInit("train --resume", begun, begins);
      tellWarmStart(begins, console);
    }
    const init = begins ?? begun?.init;
    const resumed = begun && { checkpoint: checkpoint !== null };
    const page = (): Promise<void> => {
      // The page builds a second network and needs the device's memory.
      experiment.dispose();
      return writePage(folder, backend, inputs, console);
    };
    return await executeRun({
      ...parts,
      ...{ experiment, warnings },
      ...(communicator.size > 1 && { exchangeSeconds: () => timed.takeSeconds() }),
      start: { ...start, memory, ...(init && { init }) },
      resumed,
      page: report ? page : null,
    });
  } finally {
    experiment.dispose();
  }
}

/** The choices of rank 0 for the devices of all processes, as far as they make the numbers; the same card gets them whole. */
async function tuneAlike(
  communicator: Communicator,
  plan: TuningPlan,
  tune: (plan: TuningPlan) => Promise<Tuned | null>,
): Promise<Tuned | null> {
  const leads = communicator.rank === 0;
  const own = await agreed(communicator, async () => (leads ? tune(plan) : null));
  const [recorded = null] = await communicator.exchange(own?.tuning ?? null);
  return agreed(communicator, async () => (leads || !recorded ? own : tune({ how: "run", recorded })));
}

/** The order of sums of a run changes once: it is said where. */
function regrouped(microBatch: number, step: number): string {
  return `from step ${formatCount(step + 1)} on, gradients are added in micro-batches of ${microBatch}: the last bits of the numbers differ from those of a run that goes on without them`;
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
