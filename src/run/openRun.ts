// A run of the command line in a program: its network, data and training, restored from a checkpoint, to predict or to train further.

import { join } from "node:path";
import type { Backend } from "../backend/backend.ts";
import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import type { SelectableNeurons } from "../data/selectors.ts";
import type { TaskNetwork } from "../data/tasks/taskSet.ts";
import { exists } from "../io/files.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import { saveCheckpoint } from "../train/checkpoint.ts";
import type { Optimizer } from "../train/optimizer.ts";
import type { Trainer } from "../train/trainer.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, settingsOf } from "./configLayers.ts";
import { openDevice } from "./device.ts";
import { evaluationOf } from "./evaluation.ts";
import {
  createModel,
  type Experiment,
  experimentAt,
  loadRunInputs,
  type RunEvaluation,
  type RunInputs,
  type RunModel,
  warmStart,
} from "./experiment.ts";
import { neuronsOfRun } from "./projections.ts";
import { RUN_FILES } from "./runFiles.ts";
import { type BegunWith, checkSameInit, checkSameInputs, readBegun, samplesOnRecord } from "./runStart.ts";
import type { LoadProgress, SampleSplits } from "./samples.ts";
import { runTuningJson } from "./tuning.ts";

/** Settings that may differ from the run's: the places of its files, the device, and what products gather there. */
export type RunPlace = Partial<
  Pick<
    TrainConfig,
    | "connectome"
    | "neuronTable"
    | "data"
    | "validationData"
    | "testData"
    | "dataMemory"
    | "device"
    | "gather"
    | "threads"
    | "memoryBudget"
  >
>;

/** Options of `openRun`. Paths recorded by the run are relative to the folder in which it was started. */
export interface OpenRunOptions extends RunPlace {
  /**
   * An open device, which the caller keeps, as are its choices of sparse kernels. Default: a new device with the run's choices, disposed of with
   * the run.
   */
  readonly backend?: Backend;
  /**
   * "last" (default); "best": the best on the validation samples; "none": the run at its beginning; or the file of a checkpoint of this run.
   */
  readonly checkpoint?: "last" | "best" | "none" | { readonly file: string };
  /**
   * "none": the samples of the run are not read, to predict from others: `data` has their shapes, and to read them throws. A run with
   * balanced class weights, or of an earlier version, needs its samples. They are read nevertheless where the run at its beginning follows
   * from them: with checkpoint "none" and a standardised read-out. Default "read".
   */
  readonly samples?: "read" | "none";
  /** Called while files are checked and hashed. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** A run of the command line, opened by `openRun`. Its folder is never changed. */
export interface OpenedRun {
  readonly folder: string;
  /** All settings of the run. */
  readonly config: TrainConfig;
  readonly backend: Backend;
  /** A ConnectomeODEModel, or with `--time discrete` a ConnectomeModel. */
  readonly model: RunModel;
  readonly optimizer: Optimizer;
  /** Stands at the checkpoint: `trainer.fit({ steps: step + 100 })` continues with the same numbers as `--resume`. */
  readonly trainer: Trainer<RunEvaluation>;
  /** Samples for training, validation and test. */
  readonly data: SampleSplits;
  /** The weights that training started from, [post, pre]. */
  readonly connectome: Csr;
  /** Cell types, roles and positions; null: no table. */
  readonly neurons: NeuronTable | null;
  /** What its neurons are selected by: their table, without roles there those of input and read-out, and the connections of the file. */
  readonly selectable: SelectableNeurons;
  /** The network as training began, as ready-made tasks take it. */
  readonly taskNetwork: TaskNetwork;
  /** Evaluation times of the run, for `model.forward`, `model.evaluate` and `model.rnn.forward`. */
  readonly evaluation: RunEvaluation;
  /** The file; null: the run is at its beginning. */
  readonly checkpoint: string | null;
  /** Training steps done. */
  readonly step: number;
  /**
   * The model as training began, after a warm start if the run had one, with nothing to train: for comparisons. It takes memory of its own on the
   * device until the caller disposes of it.
   *
   * @throws {FileFormatError | ArgumentError} the file of a warm start is gone, or has changed since
   */
  initialModel(): Promise<RunModel>;
  /** Writes a checkpoint of the current state, with the run's settings. */
  save(file: string): Promise<void>;
  /** Releases model and optimiser, and the device if `openRun` opened it. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const PLACE: Readonly<Record<keyof RunPlace, true>> = {
  connectome: true,
  neuronTable: true,
  data: true,
  validationData: true,
  testData: true,
  dataMemory: true,
  device: true,
  gather: true,
  threads: true,
  memoryBudget: true,
};
const OPTIONS: Readonly<Record<keyof OpenRunOptions, true>> = {
  ...PLACE,
  backend: true,
  checkpoint: true,
  samples: true,
  onProgress: true,
};

/**
 * Opens the run in a folder, whether finished, stopped or still running: reads its settings, network, data and checkpoint, and restores its
 * state. Locks nothing and writes nothing.
 *
 *     await using run = await openRun("runs/a", { checkpoint: "best" });
 *     const { metrics } = await run.trainer.evaluate(run.data.test);
 *
 * @throws {ArgumentError} the folder holds no run or no such checkpoint, or network or data differ from those of the run
 * @throws {FileFormatError} a file that is missing or damaged
 * @throws {BackendError} the device cannot be opened
 */
export async function openRun(folder: string, options: OpenRunOptions = {}): Promise<OpenedRun> {
  checkNames("openRun", options, OPTIONS);
  const begun = await readBegun(folder);
  const config = resolveConfig([begun.config, placeOf(options)]);
  const file = await checkpointFile(folder, options.checkpoint ?? "last");
  const inputs = await inputsOf(begun, config, options);
  const backend = options.backend ?? (await openDevice(config, { tuning: begun.tuning }));
  const close = async (): Promise<void> => {
    await inputs.samples.release();
    if (!options.backend) await backend.dispose();
  };
  try {
    checkPrecision(begun, backend);
    const experiment = await experimentAt(file, backend, config, inputs);
    return opened({ folder, config, begun, checkpoint: file, backend, inputs, experiment, close });
  } catch (error) {
    await close();
    throw error;
  }
}

/** The input of a run, compared with what it began with. */
async function inputsOf(begun: BegunWith, config: TrainConfig, options: OpenRunOptions): Promise<RunInputs> {
  const { samples = "read", checkpoint, onProgress } = options;
  if (samples !== "read" && samples !== "none")
    throw new ArgumentError("openRun", "samples", '"read" or "none"', quoteValue(samples));
  const isCalibrated = checkpoint === "none" && config.standardise;
  const recorded = samples === "none" && !isCalibrated ? samplesOnRecord("openRun", begun) : null;
  const inputs = await loadRunInputs(config, {
    normalisation: begun.samples?.normalisation ?? null,
    ...(recorded && { recorded }),
    ...(onProgress && { onProgress }),
  });
  try {
    checkSameInputs("openRun", begun, inputs);
    return inputs;
  } catch (error) {
    await inputs.samples.release();
    throw error;
  }
}

function placeOf({ backend: _, checkpoint: __, samples: ___, onProgress: ____, ...place }: OpenRunOptions): RunPlace {
  const given = Object.entries(place).filter(([, value]) => value !== undefined);
  return settingsOf(Object.fromEntries(given), () => "openRun");
}

async function checkpointFile(
  folder: string,
  which: NonNullable<OpenRunOptions["checkpoint"]>,
): Promise<string | null> {
  if (which === "none") return null;
  const names = { last: RUN_FILES.checkpoint, best: RUN_FILES.best };
  const isKnown = typeof which === "string" ? Object.hasOwn(names, which) : typeof which.file === "string";
  if (!isKnown)
    throw new ArgumentError("openRun", "checkpoint", '"last", "best", "none" or { file }', quoteValue(which));
  const file = typeof which === "string" ? join(folder, names[which]) : which.file;
  if (await exists(file)) return file;
  throw new ArgumentError("openRun", "checkpoint", `a checkpoint, or "none" for the run as it began`, `no ${file}`);
}

/** A run in f64 must not be rounded silently. */
function checkPrecision({ config }: BegunWith, { dtype }: Backend): void {
  if (config.dtype === "f64" && dtype === "f32")
    throw new ArgumentError("openRun", "backend", "f64, the precision of the run", dtype);
}

async function initialModel(
  backend: Backend,
  config: TrainConfig,
  begun: BegunWith,
  inputs: RunInputs,
): Promise<RunModel> {
  const model = createModel(backend, { ...config, trainConnectome: false, trainInput: false }, inputs);
  try {
    const init = await warmStart(model, config);
    if (init) checkSameInit("openRun", begun, init);
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

interface Parts extends Pick<OpenedRun, "folder" | "config" | "checkpoint" | "backend"> {
  readonly begun: BegunWith;
  readonly inputs: RunInputs;
  readonly experiment: Experiment;
  readonly close: () => Promise<void>;
}

function opened({ inputs, experiment, close, begun, ...parts }: Parts): OpenedRun {
  const { config, backend } = parts;
  const { tuning } = begun;
  const { model, optimizer, trainer } = experiment;
  const dispose = async (): Promise<void> => {
    experiment.dispose();
    await close();
  };
  return {
    ...parts,
    ...{ model, optimizer, trainer },
    data: inputs.samples,
    connectome: inputs.weights,
    neurons: inputs.connectome.table,
    selectable: neuronsOfRun(inputs.connectome, inputs.projections),
    taskNetwork: inputs.taskNetwork,
    evaluation: evaluationOf(config, inputs.samples.train),
    get step() {
      return trainer.position.step;
    },
    initialModel: () => initialModel(backend, config, begun, inputs),
    async save(file) {
      const { position } = trainer;
      const { seed } = config;
      await saveCheckpoint(file, experiment, { position, seed, config, tuning: tuning && runTuningJson(tuning) });
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
