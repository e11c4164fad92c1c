// `axograd report`: makes a page about a run from its folder. `axograd train` does so at its end.

import { join } from "node:path";
import type { Command } from "commander";
import { readAnalyses } from "../analysis/record.ts";
import type { Backend } from "../backend/backend.ts";
import { FileFormatError, SolverError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import { groupsByProjections, groupsByType, type NeuronGroup, rolesByProjections } from "../report/groups.ts";
import {
  type DynamicsParameters,
  dynamicsParameters,
  findExamples,
  hasExamples,
  type ObservedModel,
  parameterChanges,
  recordActivity,
} from "../report/observation.ts";
import { assertPng } from "../report/raster.ts";
import { buildReport, type Observations, type Responses, writeReport } from "../report/report.ts";
import { type RunRecord, readRunRecord } from "../report/runRecord.ts";
import type { TrainConfig } from "../run/config.ts";
import { resolveConfig, type Settings } from "../run/configLayers.ts";
import type { Key } from "../run/configOptions.ts";
import { openDevice } from "../run/device.ts";
import { evaluationOf } from "../run/evaluation.ts";
import {
  createModel,
  loadRunInputs,
  type RunInputs,
  type RunModel,
  restoreModel,
  warmStart,
} from "../run/experiment.ts";
import { drivenBy, readBy } from "../run/projections.ts";
import { RUN_FILES } from "../run/runFiles.ts";
import { type BegunWith, checkSameInputs, readBegun } from "../run/runStart.ts";
import type { LoadProgress } from "../run/samples.ts";
import { trajectoryOf } from "../run/trajectory.ts";
import { positionOf } from "../train/checkpoint.ts";
import { Console, warnUser, writeJson, writeLine } from "./console.ts";
import { LongWork } from "./loading.ts";
import { openPage } from "./openPage.ts";
import { addSetting, settingsAmong } from "./trainOptions.ts";
import { path } from "./values.ts";

/** Folder of the plots, within the run's folder. */
const PLOTS = "plots";

/** Settings that may differ from the run's: the places of its files, and the device. */
const KEYS: readonly Key[] = [
  ...(["connectome", "neuronTable", "data", "validationData", "testData", "dataMemory"] as const),
  ...(["device", "gather", "threads"] as const),
];

const HELP = `
Paths of a run are relative to the folder that it was started in. From elsewhere, or on another machine:

  npx axograd report runs/a --connectome here/flyvis_e6_csr.npz --data here/mnist --device auto
`;

type GivenOptions = Settings & {
  readonly out?: string;
  readonly png?: boolean;
  readonly open?: boolean;
  readonly json?: boolean;
};

/** Adds the command to the program; `open` shows the page. */
export function register(program: Command, open: typeof openPage = openPage): void {
  const command = program
    .command("report")
    .description("make a page about a run: curves, confusion, activity, parameters, connectome")
    .argument("<run>", "folder of a run, finished or not")
    .option(
      "--out <file>",
      `the page (default: ${RUN_FILES.report} in the folder; plots go to ${PLOTS}/ there)`,
      path("--out"),
    )
    .option("--png", "also write plots as PNG files; needs the package sharp")
    .option("--open", "open the page in the browser")
    .option("--json", "report the written files as JSON");
  for (const key of KEYS) addSetting(command, key);
  command.addHelpText("after", HELP).action(async (run: string, given: GivenOptions) => {
    const { out, png = false, json = false } = given;
    const settings = settingsAmong(KEYS, given);
    const reading = new LongWork(new Console({ json, quiet: false }));
    const { onProgress } = reading;
    const written = await reportRun(run, { png, settings, onProgress, ...(out ? { file: out } : {}) });
    reading.done();
    if (json) writeJson(written);
    else writeLine(written.file);
    if (given.open) await open(written.file);
  });
}

export interface ReportOptions {
  /** Default: report.html in the folder. */
  readonly file?: string;
  /** Plots as PNG files, too. */
  readonly png?: boolean;
  /** Settings that differ from the run's: the places of its files, the device. */
  readonly settings?: Settings;
  /** Device and inputs of the run, if they are open already. */
  readonly backend?: Backend;
  readonly inputs?: RunInputs;
  /** Called while files are checked and hashed. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface WrittenReport {
  readonly file: string;
  readonly plots: readonly string[];
}

/** Writes the page and the plots of the run in `folder`. */
export async function reportRun(folder: string, options: ReportOptions = {}): Promise<WrittenReport> {
  if (options.png) await assertPng();
  const run = await readRunRecord(folder);
  // Settings that an earlier version did not record have their defaults.
  const begun = await readBegun(folder);
  const config = resolveConfig([begun.config, options.settings ?? {}]);
  const { onProgress } = options;
  const inputs =
    options.inputs ??
    (await loadRunInputs(config, {
      normalisation: begun.samples?.normalisation ?? null,
      ...(onProgress && { onProgress }),
    }));
  try {
    return await writePage(run, begun, config, inputs, options);
  } finally {
    if (!options.inputs) await inputs.samples.release();
  }
}

async function writePage(
  run: RunRecord,
  begun: BegunWith,
  config: TrainConfig,
  inputs: RunInputs,
  options: ReportOptions,
): Promise<WrittenReport> {
  const { folder } = run;
  checkSameInputs("report", begun, inputs);
  const groups = neuronGroups(inputs);
  const observations = await withBackend(config, begun, options.backend, (backend) =>
    observe(run, backend, config, inputs, groups),
  );
  const report = buildReport({
    ...{ run, network: { weights: inputs.weights, groups }, observations },
    analyses: await readAnalyses(folder),
  });
  const file = options.file ?? join(folder, RUN_FILES.report);
  const plots = await writeReport(report, file, join(folder, PLOTS), { png: options.png ?? false });
  return { file, plots };
}

/** Neurons by cell type; without known types, by their projections. */
export function neuronGroups({ connectome, weights, projections }: RunInputs): NeuronGroup[] {
  const { table } = connectome;
  const wired = [weights.nRows, drivenBy(projections), readBy(projections)] as const;
  return table
    ? groupsByType({ ...table, role: table.role ?? rolesByProjections(...wired) })
    : groupsByProjections(...wired);
}

/** Rebuilds the model twice: as it was at the start, then from the checkpoint. null: there is no checkpoint. */
async function observe(
  { folder, start }: RunRecord,
  backend: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  groups: readonly NeuronGroup[],
): Promise<Observations | null> {
  const file = join(folder, RUN_FILES.checkpoint);
  if (!(await exists(file))) return null;
  // Nothing is trained: there are no gradients and no moments.
  const model = createModel(backend, { ...config, trainConnectome: false, trainInput: false }, inputs);
  try {
    const before = await parametersAtStart(model, config);
    const { position } = await restoreModel(model, file, warnUser, (facts) => positionOf(facts, start.stepsPerEpoch));
    const changes = parameterChanges(before, await dynamicsParameters(model));
    const { train, validation, test } = inputs.samples;
    const [sampleSet, samples] = test
      ? (["test", test] as const)
      : validation
        ? (["validation", validation] as const)
        : (["training", train] as const);
    const evaluation = evaluationOf(config, train);
    const observed: ObservedModel = {
      parameters: model.parameters,
      task: model.task,
      numNeurons: model.rnn.options.numNeurons,
      outputs: (input) => model.forward(input, evaluation),
      trajectory: (input, numTimes) => trajectoryOf(model, config, train, input, { numTimes }),
    };
    const respond = async (): Promise<Responses> => ({
      examples: hasExamples(model, samples) ? await findExamples(observed, samples) : null,
      sampleSet,
      activity: await recordActivity(observed, samples, groups),
    });
    // A run that diverged gets a page, too.
    const responses = await respond().catch((error: unknown) => {
      if (error instanceof SolverError) return { failure: error.message };
      throw error;
    });
    return { step: position.step, changes, responses };
  } finally {
    model.dispose();
  }
}

/** Empty if the file that they were taken from no longer exists. */
async function parametersAtStart(model: RunModel, config: TrainConfig): Promise<DynamicsParameters> {
  try {
    await warmStart(model, config);
  } catch (error) {
    if (error instanceof FileFormatError) return new Map();
    throw error;
  }
  return dynamicsParameters(model);
}

async function withBackend<T>(
  config: TrainConfig,
  { tuning }: BegunWith,
  given: Backend | undefined,
  use: (backend: Backend) => Promise<T>,
): Promise<T> {
  if (given) return use(given);
  const backend = await openDevice(config, { warn: warnUser, tuning });
  try {
    return await use(backend);
  } finally {
    await backend.dispose();
  }
}
