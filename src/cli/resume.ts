// Continuing a run: what its folder says of it, and whether what is there now is still the same.

import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import { type Facts, nullIfMissing, readRunStart } from "../report/runRecord.ts";
import { VERSION } from "../train/version.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, resumedConfig, type Settings, settingsOf } from "./configLayers.ts";
import { CONFIG_KEYS } from "./configOptions.ts";
import type { RunFolder } from "./runFolder.ts";
import type { RunStart } from "./summary.ts";
import { type GivenOptions, settingsGiven } from "./trainOptions.ts";

/** A run that was begun. */
export interface BegunRun {
  readonly config: TrainConfig;
  readonly network: Facts;
  readonly data: Facts;
  /** The file; null: it ended before the first one, so it begins again. */
  readonly checkpoint: string | null;
}

/** Facts of network and data that training depends on. */
const NETWORK_FACTS = ["neurons", "synapses", "input", "inputNeurons", "readout", "readoutNeurons"] as const;
const DATA_FACTS = ["train", "validation", "classes"] as const;

/**
 * @param given  options besides --resume; they may only change what the numbers do not depend on
 * @throws {ArgumentError} the folder is that of no run, or an option would change the run
 */
export async function readBegunRun(folder: RunFolder, given: GivenOptions): Promise<BegunRun> {
  for (const name of ["out", "overwrite"] as const) {
    if (given[name] !== undefined) throw new ArgumentError("train --resume", `--${name}`, "no other folder", "one");
  }
  const { saved, network, data } = await readStart(folder);
  const layers = await settingsGiven(given, saved);
  const wanted = layers.reduce<TrainConfig>(resumedConfig, saved);
  const checkpoint = folder.file("checkpoint");
  return { config: wanted, network, data, checkpoint: (await exists(checkpoint)) ? checkpoint : null };
}

/**
 * The configuration that a run was begun with.
 *
 * @throws {ArgumentError} the folder is that of no run, or a setting is wrong
 * @throws {FileFormatError} a damaged record, with the part
 */
export async function readBegunConfig(folder: RunFolder): Promise<TrainConfig> {
  return (await readStart(folder)).saved;
}

async function readStart(folder: RunFolder): Promise<{ saved: TrainConfig; network: Facts; data: Facts }> {
  const file = folder.file("config");
  const start = await nullIfMissing(readRunStart(file));
  if (!start) throw new ArgumentError("run", "folder", "the folder of a run, with a config.json", folder.path);
  const { version, config, network, data } = start;
  // An earlier version had fewer settings; one of this version that lacks one would go on with another value.
  const missing = version === VERSION ? CONFIG_KEYS.find((key) => !Object.hasOwn(config, key)) : undefined;
  if (missing) throw new FileFormatError(file, `a setting at config.${missing}`, "nothing");
  return {
    saved: resolved(
      file,
      settingsOf(config, () => file),
    ),
    network,
    data,
  };
}

/** What contradicts itself is told of the file. */
function resolved(file: string, settings: Settings): TrainConfig {
  try {
    return resolveConfig([settings]);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const { argument, expected, got } = error.facts;
    throw new ArgumentError(file, String(argument), String(expected), String(got));
  }
}

/** @throws {ArgumentError} network or data are not those that the run began with */
export function checkSameMaterials({ network, data }: BegunRun, now: RunStart): void {
  const check = (what: string, before: unknown, after: unknown): void => {
    if (before !== after) {
      throw new ArgumentError("train --resume", what, `${before}, as the run began with`, `${after}`);
    }
  };
  for (const fact of NETWORK_FACTS) check(`network.${fact}`, network[fact], now.network[fact]);
  for (const fact of DATA_FACTS) check(`data.${fact}`, data[fact], now.data[fact]);
}
