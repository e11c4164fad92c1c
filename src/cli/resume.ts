// Continuing a run: what its folder says of it, and whether what is there now is still the same.

import { readFile } from "node:fs/promises";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { exists } from "../io/files.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, resumedConfig, settingsOf } from "./configLayers.ts";
import { isObject } from "./kinds.ts";
import type { RunFolder } from "./runFolder.ts";
import type { RunStart } from "./summary.ts";
import { type GivenOptions, settingsGiven } from "./trainOptions.ts";

/** A run that was begun. */
export interface BegunRun {
  readonly config: TrainConfig;
  readonly network: Readonly<Record<string, unknown>>;
  readonly data: Readonly<Record<string, unknown>>;
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
 * @throws {ArgumentError} the folder is that of no run
 */
export async function readBegunConfig(folder: RunFolder): Promise<TrainConfig> {
  return (await readStart(folder)).saved;
}

async function readStart(folder: RunFolder): Promise<{ saved: TrainConfig; network: Plain; data: Plain }> {
  const file = folder.file("config");
  const { config, network, data } = await readRecord(file, folder.path);
  return { saved: resolveConfig([settingsOf(config, () => file)]), network, data };
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

type Plain = Readonly<Record<string, unknown>>;

async function readRecord(file: string, folder: string): Promise<{ config: Plain; network: Plain; data: Plain }> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    throw new ArgumentError("run", "folder", "the folder of a run, with a config.json", folder);
  }
  const record = parse(text);
  if (isObject(record) && isObject(record.config) && isObject(record.network) && isObject(record.data)) {
    return { config: record.config, network: record.network, data: record.data };
  }
  throw new FileFormatError(file, "the record of a run", "something else");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
