// The recorded start of a run, and whether its inputs are still the same.

import { join } from "node:path";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { type Facts, nullIfMissing, readRunStart } from "../report/runRecord.ts";
import { VERSION } from "../train/version.ts";
import type { WarmStart } from "../train/warmStart.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, type Settings, settingsOf } from "./configLayers.ts";
import { CONFIG_KEYS } from "./configOptions.ts";
import type { RunInputs } from "./experiment.ts";
import { RUN_FILES } from "./runFiles.ts";

/** Settings and inputs at the start of a run. */
export interface BegunWith {
  readonly config: TrainConfig;
  readonly network: Facts;
  readonly data: Facts;
  /** Of a run with `initFrom`: its initial parameters; null: those of the recipe. */
  readonly init: Facts | null;
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
  const { version, config, network, data } = start;
  // An earlier version had fewer settings. A record of this version that lacks one would continue with another value.
  const missing = version === VERSION ? CONFIG_KEYS.find((key) => !Object.hasOwn(config, key)) : undefined;
  if (missing) throw new FileFormatError(file, `a setting at config.${missing}`, "nothing");
  const settings = settingsOf(config, () => file);
  return { config: resolved(file, settings), network, data, init: isObject(start.init) ? start.init : null };
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
  };
  readonly data: Readonly<Record<"train" | "validation" | "test", number>> & {
    readonly source: string;
    /** null: targets are numbers. */
    readonly classes: number | null;
  };
}

export function factsOf({ connectome, projections, samples }: RunInputs): InputFacts {
  const { csr, source, tableFile } = connectome;
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
    },
    data: {
      source: samples.source,
      train: samples.train.count,
      validation: samples.validation?.count ?? 0,
      test: samples.test?.count ?? 0,
      classes: samples.train.target.classes,
    },
  };
}

/** @throws {ArgumentError} the initial parameters are no longer those that the run began with */
export function checkSameInit(where: string, { init }: BegunWith, { file, sha256 }: WarmStart): void {
  // Earlier versions recorded no hash.
  if (init?.sha256 === undefined || init.sha256 === sha256) return;
  throw new ArgumentError(where, "--init-from", `${file} as the run began with it`, "a file that has changed since");
}

/** @throws {ArgumentError} network or data differ from those of the run */
export function checkSameInputs(where: string, { network, data }: BegunWith, inputs: RunInputs): void {
  const now = factsOf(inputs);
  const check = (what: string, before: unknown, after: unknown): void => {
    if (before !== after) throw new ArgumentError(where, what, `${before}, as the run began with`, `${after}`);
  };
  for (const fact of NETWORK_FACTS) check(`network.${fact}`, network[fact], now.network[fact]);
  for (const fact of DATA_FACTS) check(`data.${fact}`, data[fact], now.data[fact]);
}
