// From a configuration to a model that is ready to train. All errors of the input are found here.

import type { Backend } from "../backend/backend.ts";
import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { orRelease } from "../core/release.ts";
import { eyeExtentOf } from "../data/connectomes.ts";
import type { ControlReport } from "../data/controls.ts";
import type { SelectableNeurons } from "../data/selectors.ts";
import type { TaskNetwork } from "../data/tasks/taskSet.ts";
import { agreed } from "../distributed/agree.ts";
import { type Communicator, SOLO } from "../distributed/communicator.ts";
import type { EvaluationOptions } from "../models/connectomeOdeRnn.ts";
import type { StepOptions } from "../models/connectomeRnn.ts";
import type { Constraint } from "../models/constraint.ts";
import {
  ConnectomeModel,
  type ConnectomeModelOptions,
  ConnectomeODEModel,
  type ConnectomeODEModelOptions,
  modelParameters,
} from "../models/networkModel.ts";
import { type ConnectomeNetworkOptions, hasTimeConstants } from "../models/options.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import { isIdleRole } from "../models/parameters/pattern.ts";
import type { ReadoutLayer, ReadoutOptions } from "../models/readout/layers.ts";
import type { Task } from "../models/task/task.ts";
import { type CheckpointFacts, positionOf, restoreFrom } from "../train/checkpoint.ts";
import { Adam, AdamW, type Optimizer, type ParameterGroup, RMSprop, SGD } from "../train/optimizer.ts";
import { ParameterPenalties, type ParameterPenalty, type PenaltyKind } from "../train/parameterPenalties.ts";
import { constant, cosine, oneCycle, type Schedule, stepDecay, warmUp } from "../train/schedule.ts";
import { Trainer } from "../train/trainer.ts";
import { initialiseFrom, type WarmStart } from "../train/warmStart.ts";
import { type Baseline, baselineNetwork, baselineOf, networkSettings, trainedNumbers } from "./baseline.ts";
import type { TrainConfig } from "./config.ts";
import { isOwnSetting } from "./configLayers.ts";
import type { Key } from "./configOptions.ts";
import { checkReadTimes, evaluationOf, readoutTimesOf } from "./evaluation.ts";
import { hashInputs, type InputFile } from "./inputFiles.ts";
import { type Connectome, initialWeights, loadConnectome, wiringOf } from "./network.ts";
import { PRESETS } from "./presets.ts";
import { chooseProjections, neuronsOfRun, type Projections } from "./projections.ts";
import { checkpointOf } from "./runFiles.ts";
import { type LoadOptions, loadSamples, type SampleSplits, withoutTimes } from "./samples.ts";
import { parameterOptions, type Sharing, sharingOf } from "./sharing.ts";
import { solveOptionsOf } from "./solver.ts";
import { activityPenaltiesOf, checkTargets, knownFor, taskOf } from "./task.ts";
import { underSettings } from "./underSettings.ts";

/** The input of a run, read and checked. */
export interface RunInputs {
  readonly connectome: Connectome;
  /** The control that it is trained with in the place of the connectome; null: itself. */
  readonly control: ControlReport | null;
  /** The connectome, or its control, with the weights that training starts from. */
  readonly weights: Csr;
  /** null: every connection and neuron has its own parameters. */
  readonly sharing: Sharing | null;
  /** The network as training begins, for tasks that are about it. */
  readonly taskNetwork: TaskNetwork;
  readonly projections: Projections;
  /** The network that stands in for the connectome, whose weights and projections the others are; null: none does. */
  readonly baseline: Baseline | null;
  readonly samples: SampleSplits;
  readonly task: Task;
  /** Of generated samples: values of loss and metrics of this task that are known before any training. */
  readonly known: SampleSplits["known"];
  /** The files of network and samples; empty if they were not to be hashed. */
  readonly files: readonly InputFile[];
  /** The samples are those of the run's record, without their numbers. */
  readonly isRecorded: boolean;
}

/** How the input of a run is read. */
export interface RunInputOptions extends LoadOptions {
  /** Hash the files that are read. Default true. */
  readonly hashes?: boolean;
  /** What the record of the run says of its samples, which are then not read. */
  readonly recorded?: SampleSplits;
}

/** The model of a run, in continuous or discrete time. */
export type RunModel = ConnectomeODEModel | ConnectomeModel;

/** How the model of a run is evaluated: as its kind of time says. */
export type RunEvaluation = EvaluationOptions | StepOptions;

export interface Experiment {
  readonly model: RunModel;
  readonly optimizer: Optimizer;
  /** Absent: none. */
  readonly penalties?: ParameterPenalties;
  readonly trainer: Trainer<RunEvaluation>;
  dispose(): void;
}

/** Shows a warning to the user. */
type Warn = (message: string) => void;

export async function loadRunInputs(config: TrainConfig, options: RunInputOptions = {}): Promise<RunInputs> {
  const { hashes = true, recorded, onProgress } = options;
  checkPreset(config);
  const connectome = await loadConnectome(config);
  const { csr, control } = wiringOf(connectome, config, onProgress);
  const weights = initialWeights(csr, config, connectome.table);
  const sharing = sharingOf(config, connectome, weights);
  const { dynamics, nonlinearity } = config;
  const taskNetwork: TaskNetwork = {
    weights,
    dynamics,
    nonlinearity,
    group: sharing?.shared.group ?? null,
    typeIdx: sharing?.typeIdx ?? null,
    eyeExtent: () => connectome.table && eyeExtentOf(connectome.table),
  };
  const loaded = recorded ?? (await loadSamples(config, taskNetwork, options));
  const samples = config.time === "discrete" ? withoutTimes(loaded) : loaded;
  try {
    const { train } = samples;
    const task = await taskOf(config, samples);
    const isRecorded = recorded !== undefined;
    if (!isRecorded) await checkTargets(task, samples);
    const ends = { ...train, outputs: task.loss.outputs(task.target) };
    const projections = chooseProjections(connectome, ends, config);
    checkReadTimes(config, train);
    const known = knownFor(task, config, samples.known);
    const files = hashes ? await hashInputs(connectome, samples, onProgress) : [];
    const common = { taskNetwork, samples, task, files, isRecorded, known };
    return withBaseline(config, { connectome, control, weights, sharing, projections, baseline: null, ...common });
  } catch (error) {
    await samples.release();
    throw error;
  }
}

/** The same with the network that the wiring puts in place of the connectome, if it does. */
function withBaseline(config: TrainConfig, inputs: RunInputs): RunInputs {
  const name = baselineOf(config);
  if (name === null) return inputs;
  const { samples, task, connectome } = inputs;
  const real = modelOptions({ ...config, wiring: "real" }, inputs);
  const ends = { inputSize: samples.train.inputSize, outputs: task.loss.outputs(task.target) };
  const network = baselineNetwork(name, config, ends, connectome, trainedNumbers(modelParameters(real)));
  // A baseline has no connections of a teacher to find.
  return { ...inputs, ...network, sharing: null, samples: { ...samples, teacher: null } };
}

function checkPreset({ preset, connectome }: TrainConfig): void {
  if (!PRESETS[preset]!.needsConnectome || connectome !== null) return;
  const expected = `--connectome with it: ${preset} has none of its own (axograd import makes one of published files, axograd generate malecns such files)`;
  throw new ArgumentError("train", "--preset", expected, "none");
}

/** The model of a run, with the parameters that training starts from. */
export function createModel(backend: Backend, config: TrainConfig, inputs: RunInputs): RunModel {
  const { time, memoryBudget } = config;
  const { rnn, ...options } = modelOptions(config, inputs);
  if (time === "continuous") {
    const solve = solveOptionsOf(config, inputs.samples.train.steps);
    return new ConnectomeODEModel(backend, { ...options, rnn: { ...rnn, solve } });
  }
  const budget = memoryBudget === null ? {} : { memoryBudgetBytes: memoryBudget * 2 ** 20 };
  return new ConnectomeModel(backend, { ...options, rnn: { ...rnn, ...budget } });
}

/** What is the same in continuous and discrete time. */
function modelOptions(config: TrainConfig, inputs: RunInputs): ConnectomeODEModelOptions & ConnectomeModelOptions {
  const settings = networkSettings(config);
  return {
    task: inputs.task,
    readout: readoutOf(settings, inputs),
    penalties: activityPenaltiesOf(config),
    rnn: networkOf(settings, inputs),
  };
}

function networkOf(config: TrainConfig, inputs: RunInputs): ConnectomeNetworkOptions {
  const { weights, projections, samples, baseline } = inputs;
  const { dynamics } = config;
  return {
    inputSize: samples.train.inputSize,
    numNeurons: weights.nRows,
    inputProjection: projections.inputProjection,
    trainInputProjection: config.trainInput && projections.inputProjection !== null,
    trainConnectome: isConnectomeTrained(config),
    outputProjection: projections.outputProjection,
    ...(projections.outputProjection && { outputProjectionBias: false }),
    trainOutputProjection: false,
    dynamics,
    ...parameterOptions(config, inputs),
    ...(hasTimeConstants(dynamics) && { trainTau: config.trainTau && isConnectomeTrained(config) }),
    ...(baseline?.gates && { gates: baseline.gates }),
    neuronNonlinearity: config.nonlinearity,
    weightConstraint: constraintOf(config),
  };
}

function readoutOf(config: TrainConfig, { projections, samples }: RunInputs): ReadoutOptions {
  const { fcDim, dropout, seed, head, readoutAverage: average } = config;
  // Without connections the features of undriven neurons are the same for all samples and cannot be standardised.
  const standardise = config.standardise && !(config.wiring === "none" && !projections.readsDriven);
  return {
    ...(head === "layers" ? { fcDim, dropout } : { layers: layersOf(projections, config) }),
    ...{ seed, times: readoutTimesOf(config, samples.train), average, standardise },
    // All columns see through the same weights. Their means differ, as cells at the border of an eye have fewer partners.
    ...(standardise && projections.featureChannel && { scaleBy: projections.featureChannel }),
  };
}

/**
 * Convolutions with relu and dropout between them, or no layer. Weights of the last one start at 0, so that the first outputs are constant;
 * those of the others, which must tell channels apart, are uniform within ±1/√(numbers that an output sees).
 */
function layersOf({ convolutions }: Projections, { dropout, seed }: Pick<TrainConfig, "dropout" | "seed">) {
  return convolutions.flatMap(({ csr, group, nGroups, channel, channels }, k): ReadoutLayer[] => {
    const layer = (strengthInit: number | Float64Array): ReadoutLayer => ({
      type: "sparse",
      matrix: csr,
      sharedWeights: { group, nGroups, strengthInit },
      bias: channel,
    });
    if (k === convolutions.length - 1) return [layer(0)];
    const stream = new RandomStream(deriveKey(keyOfSeed(seed), `convolution ${k}`));
    const bound = 1 / Math.sqrt(nGroups / channels);
    const drawn = Float64Array.from({ length: nGroups }, () => (2 * stream.uniform() - 1) * bound);
    return [layer(drawn), { type: "relu" }, { type: "dropout", p: dropout }];
  });
}

/**
 * Model, optimiser and trainer of a configuration. An error leaves nothing on the backend.
 *
 * @param communicator  of the processes that train together
 */
export function createExperiment(
  backend: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  communicator: Communicator = SOLO,
): Experiment {
  const { train } = inputs.samples;
  const neurons = neuronsOfRun(inputs.connectome, inputs.projections);
  const model = createModel(backend, config, inputs);
  const optimizer = orRelease({ release: () => model.dispose() }, () =>
    optimizerOf(backend, model.parameters, config, neurons),
  );
  const disposeOfBoth = () => {
    optimizer.dispose();
    model.dispose();
  };
  const penalties = orRelease({ release: disposeOfBoth }, () =>
    penaltiesOf(backend, model.parameters, config, neurons),
  );
  const dispose = () => {
    penalties?.dispose();
    disposeOfBoth();
  };
  const trainer = orRelease({ release: dispose }, () =>
    underSettings(
      (argument) => (argument.endsWith(".parameters") ? "penalty" : null),
      () =>
        new Trainer<RunEvaluation>({
          model,
          optimizer,
          train,
          batchSize: config.batchSize,
          accumulate: config.accumulate,
          ...(config.microBatch !== null && { microBatch: config.microBatch }),
          communicator,
          seed: config.seed,
          schedule: (lastStep) => scheduleOf(config, lastStep),
          evaluation: evaluationOf(config, train),
          ...(penalties && { penalties }),
        }),
    ),
  );
  return { model, optimizer, trainer, ...(penalties && { penalties }), dispose };
}

function optimizerOf(
  backend: Backend,
  parameters: ParameterSet,
  config: TrainConfig,
  neurons: SelectableNeurons,
): Optimizer {
  const { lr, lrOf, decayOf, freeze, weightDecay, clipNorm, momentum } = config;
  const given: readonly (readonly [Key, ParameterGroup])[] = [
    ...Object.entries(lrOf ?? {}).map(([pattern, own]) => ["lrOf", { parameters: pattern, lr: own }] as const),
    ...Object.entries(decayOf ?? {}).map(
      ([pattern, own]) => ["decayOf", { parameters: pattern, weightDecay: own }] as const,
    ),
    ...(freeze ?? []).map((pattern) => ["freeze", { parameters: pattern, frozen: true }] as const),
  ];
  // Presets, and the settings that a control shares with the real wiring, may name roles of which nothing is trained here.
  const mayBeIdle = (key: Key): boolean => config.wiring !== "real" || !isOwnSetting(config, key);
  const chosen = given.filter(
    ([key, { parameters: pattern }]) => !(mayBeIdle(key) && isIdleRole(pattern, parameters.all())),
  );
  const groups = chosen.map(([, group]) => group);
  const options = { lr, groups, neurons, ...(clipNorm !== null && { clipNorm }) };
  const make = (): Optimizer => {
    switch (config.optimizer) {
      case "adam":
        return weightDecay > 0 || decayOf !== null
          ? new AdamW(backend, parameters, { ...options, weightDecay })
          : new Adam(backend, parameters, options);
      case "sgd":
        return new SGD(backend, parameters, { ...options, weightDecay, momentum });
      case "rmsprop":
        return new RMSprop(backend, parameters, { ...options, weightDecay, momentum });
    }
  };
  // Of all groups together: that they leave nothing to train.
  const keyOf = (argument: string): Key | null =>
    argument === "groups" ? "freeze" : (chosen[Number(/^groups\[(\d+)\]/.exec(argument)?.[1])]?.[0] ?? null);
  return underSettings(keyOf, make);
}

/** null: none. Their names are those of the settings: "l2:weights". */
function penaltiesOf(
  backend: Backend,
  parameters: ParameterSet,
  { penalty }: TrainConfig,
  neurons: SelectableNeurons,
): ParameterPenalties | null {
  if (penalty === null) return null;
  const terms = Object.entries(penalty).map(([name, weight]): ParameterPenalty => {
    const colon = name.indexOf(":");
    const kind = name.slice(0, colon) as PenaltyKind;
    return { name, kind, parameters: name.slice(colon + 1), weight };
  });
  return underSettings(
    () => "penalty",
    () => new ParameterPenalties(backend, parameters, terms, { neurons }),
  );
}

/**
 * Restores model, optimiser and trainer from a checkpoint. Does not keep its content, which is several times as large as the network.
 *
 * @param warn  gets a warning about a checkpoint without checksums
 * @throws {FileFormatError} damaged, of another network, or with a position that contradicts itself
 */
export async function restoreExperiment(experiment: Experiment, file: string, warn?: Warn): Promise<void> {
  const { trainer } = experiment;
  const facts = await restoreFrom(file, experiment, (found) => {
    warnUnverified(found, warn);
    positionOf(found, trainer.stepsPerEpoch);
  });
  trainer.seek(facts.position);
}

/**
 * Restores the model from a checkpoint, for any images.
 *
 * @param warn  gets a warning about a checkpoint without checksums
 * @throws {FileFormatError} damaged, or of another network
 */
export async function restoreModel(
  model: Experiment["model"],
  file: string,
  warn?: Warn,
  accept: (facts: CheckpointFacts) => void = () => {},
): Promise<CheckpointFacts> {
  return restoreFrom(file, { model }, (facts) => {
    warnUnverified(facts, warn);
    accept(facts);
  });
}

function warnUnverified({ file, verified }: CheckpointFacts, warn: Warn = () => {}): void {
  if (verified) return;
  warn(`${file} has no checksums, as an earlier version of axograd wrote it: damage may pass unnoticed`);
}

/**
 * Prepares a run for its first step: sets its initial parameters, and fixes the statistics of its features.
 *
 * @returns a report of the parameters taken from elsewhere; null: they are those of the recipe
 */
export async function beginExperiment(
  { model, trainer }: Experiment,
  config: TrainConfig,
  communicator: Communicator = SOLO,
): Promise<WarmStart | null> {
  const init = await agreed(communicator, () => warmStart(model, config));
  if (model.standardised) await trainer.calibrate(config.calibration);
  return init;
}

/** Sets the initial parameters of a run; null: they are those of the recipe. */
export async function warmStart(
  model: Experiment["model"],
  { initFrom, initOnly }: TrainConfig,
): Promise<WarmStart | null> {
  if (initFrom === null) return null;
  return initialiseFrom(model, await checkpointOf(initFrom), initOnly === null ? {} : { only: initOnly });
}

/** The experiment of a configuration, restored from the checkpoint `file`; null: at its beginning. */
export async function experimentAt(
  file: string | null,
  backend: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  warn?: Warn,
): Promise<Experiment> {
  const experiment = createExperiment(backend, config, inputs);
  try {
    if (file === null) await beginExperiment(experiment, config);
    else await restoreExperiment(experiment, file, warn);
    return experiment;
  } catch (error) {
    experiment.dispose();
    throw error;
  }
}

/** A network without connections must stay one: training would grow them. */
export function isConnectomeTrained({ trainConnectome, wiring }: TrainConfig): boolean {
  return trainConnectome && wiring !== "none";
}

function scheduleOf(config: TrainConfig, lastStep: number): Schedule {
  const { schedule, warmUp: rise, decayEvery, decayFactor } = config;
  const steps = Math.max(1, lastStep - rise);
  const after = {
    constant,
    step: stepDecay(decayEvery ?? Math.ceil(steps / 3), decayFactor),
    cosine: cosine(steps),
    "one-cycle": oneCycle(steps),
  }[schedule];
  return rise > 0 ? warmUp(rise, after) : after;
}

function constraintOf({ weights, keepSigns }: TrainConfig): Constraint {
  if (weights === "abs") return { min: 0 };
  return keepSigns ? "sign" : "none";
}
