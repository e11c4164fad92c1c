// The recorded start of a run, and whether its inputs are still the same.

import { join } from "node:path";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import type { TargetShape } from "../core/targets.ts";
import { VERSION } from "../core/version.ts";
import type { ControlReport } from "../data/controls.ts";
import type { HashedFile } from "../io/hash.ts";
import type { Provenance } from "../io/provenance.ts";
import { type Facts, nullIfMissing, type RunStartFacts, readRunStart, type SampleFacts } from "../report/runRecord.ts";
import type { WarmStart } from "../train/warmStart.ts";
import { type BaselineFacts, factsOfBaseline } from "./baseline.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, type Settings, settingsOf } from "./configLayers.ts";
import { CONFIG_KEYS } from "./configOptions.ts";
import type { RunInputs } from "./experiment.ts";
import { checkSameFiles, type InputFile } from "./inputFiles.ts";
import { RUN_FILES } from "./runFiles.ts";
import { type RecordedSamples, recordedSamples, type SampleSplits, type TargetCounts } from "./samples.ts";
import { type RunTuning, runTuningOf } from "./tuning.ts";

/** Settings and inputs at the start of a run. */
export interface BegunWith {
  readonly config: TrainConfig;
  readonly network: Facts;
  readonly data: Facts;
  /** The shapes of its samples; null: an earlier version did not record them. */
  readonly samples: RecordedSamples | null;
  /** The files that it read; null: an earlier version did not hash them. */
  readonly files: readonly HashedFile[] | null;
  /** Of a run with `initFrom`: its initial parameters; null: those of the recipe. */
  readonly init: Facts | null;
  /** The choices of sparse kernels; null: the default ones, of a run that no GPU has computed, or of an earlier version. */
  readonly tuning: RunTuning | null;
  /** How many processes trained together. */
  readonly ranks: number;
}

/** Facts of network and data on which training depends. */
const NETWORK_FACTS = ["neurons", "connections", "input", "inputNeurons", "readout", "readoutNeurons"] as const;
const DATA_FACTS = ["train", "validation", "classes"] as const;

/**
 * @param folder  of a run, finished or not
 * @throws {ArgumentError} the folder holds no run, or a setting is wrong
 * @throws {FileFormatError} a damaged record; names the part
 */
export async function readBegun(folder: string): Promise<BegunWith> {
  const file = join(folder, RUN_FILES.config);
  const start = await nullIfMissing(readRunStart(file));
  if (!start) throw new ArgumentError("run", "folder", "the folder of a run, with a config.json", folder);
  const { version, config, network, data, samples, files } = start;
  // An earlier version had fewer settings. A record of this version that lacks one would continue with another value.
  const missing = version === VERSION ? CONFIG_KEYS.find((key) => !Object.hasOwn(config, key)) : undefined;
  if (missing) throw new FileFormatError(file, `a setting at config.${missing}`, "nothing");
  const settings = settingsOf(config, () => file);
  const { target } = start.task;
  const recorded = samples && recordOf(samples, target, data);
  const init = isObject(start.init) ? start.init : null;
  const tuning = start.tuning && runTuningOf(file, start.tuning);
  const ranks = isObject(start.ranks) && Array.isArray(start.ranks.hosts) ? start.ranks.hosts.length : 1;
  return { config: resolved(file, settings), network, data, samples: recorded, files, init, tuning, ranks };
}

function recordOf(
  { picture, classNames, outputNames, ...facts }: SampleFacts,
  target: TargetShape,
  { source, train, validation, test = 0 }: RunStartFacts["data"],
): RecordedSamples {
  return {
    ...{ ...facts, target, source, sizes: { train, validation: Number(validation), test: Number(test) } },
    ...(picture && { picture }),
    ...(classNames && { classNames }),
    ...(outputNames && { outputNames }),
  };
}

/** Errors about contradictory settings name the file. */
function resolved(file: string, settings: Settings): TrainConfig {
  try {
    return resolveConfig([settings]);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { argument, expected, got } = error.facts;
    throw new ArgumentError(file, String(argument), String(expected), String(got));
  }
}

/** Network and data of a run as its config.json records them. */
export interface InputFacts {
  readonly network: {
    readonly source: string;
    readonly neuronTable: string | null;
    readonly neurons: number;
    readonly connections: number;
    readonly duplicatesSummed: number;
    readonly input: string;
    readonly inputNeurons: number;
    readonly readout: string;
    readonly readoutNeurons: number;
    /** Neurons that selectors name where groups are drawn among them: of --input; of --readout, and those of them that get input. */
    readonly inputSelected?: number;
    readonly readoutSelected?: number;
    readonly readoutLeftOut?: number;
    /** Of a network in place of the connectome: its size and trained numbers, and those of the connectome. */
    readonly baseline?: BaselineFacts;
  };
  readonly data: Readonly<Record<"train" | "validation" | "test", number>> & {
    readonly source: string;
    /** null: targets are numbers. */
    readonly classes: number | null;
    /** What a user should know of the samples. */
    readonly notes: readonly string[];
    /** Of sample files. */
    readonly counts: TargetCounts | null;
    /** Of generated samples: values of metrics that are known before any training. */
    readonly known: SampleSplits["known"];
  } & Omit<SampleFacts, "normalisation"> & {
      readonly normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] } | null;
    };
  readonly files: readonly InputFile[];
  /** How the connectome was made of published files; null: its file does not say it, or it was generated. */
  readonly provenance: Provenance | null;
  /** The control that is trained in the place of the connectome: what it keeps and changes, as it was measured; null: none. */
  readonly control: ControlReport | null;
}

export function factsOf({
  connectome,
  control,
  projections,
  baseline,
  samples,
  task,
  files,
  known,
}: RunInputs): InputFacts {
  const { csr, source, tableFile } = connectome;
  const { inputSelected, readoutSelected } = projections;
  const { train, normalisation } = samples;
  return {
    network: {
      source,
      neuronTable: tableFile,
      neurons: csr.nRows,
      connections: csr.nnz,
      duplicatesSummed: csr.duplicatesSummed,
      input: projections.input,
      inputNeurons: projections.nDriven,
      readout: projections.readout,
      readoutNeurons: projections.outputProjection?.nRows ?? csr.nRows,
      ...(baseline && { baseline: factsOfBaseline(baseline) }),
      ...(inputSelected !== null && { inputSelected }),
      ...(readoutSelected && { readoutSelected: readoutSelected.neurons, readoutLeftOut: readoutSelected.leftOut }),
    },
    data: {
      source: samples.source,
      train: samples.train.count,
      validation: samples.validation?.count ?? 0,
      test: samples.test?.count ?? 0,
      classes: train.target.classes,
      inputSize: train.inputSize,
      steps: train.steps,
      weighted: train.weighted,
      picture: train.picture ?? null,
      classNames: train.classNames ?? null,
      outputNames: train.outputNames ?? null,
      normalisation: normalisation && { mean: [...normalisation.mean], std: [...normalisation.std] },
      centre: task.centre ? Array.from(task.centre) : null,
      notes: samples.notes,
      counts: samples.counts,
      known,
    },
    files,
    provenance: connectome.provenance,
    control,
  };
}

/** @throws {ArgumentError} the initial parameters are no longer those that the run began with */
export function checkSameInit(where: string, { init }: BegunWith, { file, sha256 }: WarmStart): void {
  // Earlier versions recorded no hash.
  if (init?.sha256 === undefined || init.sha256 === sha256) return;
  throw new ArgumentError(where, "--init-from", `${file} as the run began with it`, "a file that has changed since");
}

/**
 * The samples of a run by its record, to predict from others.
 *
 * @param atStart  the run as it began, not a checkpoint
 * @throws {ArgumentError} the record is of an earlier version, or the loss or the read-out's statistics depend on the samples themselves
 */
export function samplesOnRecord(where: string, begun: BegunWith, { atStart }: AtStart): SampleSplits {
  const { samples, config } = begun;
  if (samples && needsOfSamples(config, { atStart }) === null) return recordedSamples(samples);
  const got = samples ? needsOfSamples(config, { atStart })! : "one of an earlier version";
  throw new ArgumentError(where, "samples", "a run whose record says enough to do without its samples", got);
}

/** Whether the samples of a run need not be read to predict from others. */
export function hasSamplesOnRecord({ samples, config }: BegunWith, { atStart }: AtStart): boolean {
  return samples !== null && needsOfSamples(config, { atStart }) === null;
}

interface AtStart {
  readonly atStart: boolean;
}

/** The setting for which samples are read; null: none. A checkpoint has the statistics of the read-out. */
function needsOfSamples({ classWeights, standardise }: TrainConfig, { atStart }: AtStart): string | null {
  if (classWeights !== "none") return `--class-weights ${classWeights}`;
  return atStart && standardise ? "--standardise, without a checkpoint" : null;
}

/** @throws {ArgumentError} files, network or data differ from those of the run */
export function checkSameInputs(where: string, { network, data, files }: BegunWith, inputs: RunInputs): void {
  if (files) checkSameFiles(where, files, inputs.files, inputs.isRecorded ? ["connectome", "neurons"] : undefined);
  const now = factsOf(inputs);
  const check = (what: string, before: unknown, after: unknown): void => {
    if (before !== after) throw new ArgumentError(where, what, `${before}, as the run began with`, `${after}`);
  };
  for (const fact of NETWORK_FACTS) check(`network.${fact}`, network[fact], now.network[fact]);
  for (const fact of DATA_FACTS) check(`data.${fact}`, data[fact], now.data[fact]);
}
