// What the folder of a run says of its beginning, and whether what is there now is still the same.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import type { TrainConfig } from "./config.ts";
import { resolveConfig, settingsOf } from "./configLayers.ts";
import type { Materials } from "./experiment.ts";
import { isObject } from "./kinds.ts";
import { RUN_FILES } from "./runFiles.ts";

/** What a run was begun with. */
export interface BegunWith {
  readonly config: TrainConfig;
  readonly network: Plain;
  readonly data: Plain;
}

/** Facts of network and data that training depends on. */
const NETWORK_FACTS = ["neurons", "synapses", "input", "inputNeurons", "readout", "readoutNeurons"] as const;
const DATA_FACTS = ["train", "validation", "classes"] as const;

/**
 * @param folder  of a run, finished or not
 * @throws {ArgumentError} the folder is that of no run
 */
export async function readRunStart(folder: string): Promise<BegunWith> {
  const file = join(folder, RUN_FILES.config);
  const { config, network, data } = await readRecord(file, folder);
  return { config: resolveConfig([settingsOf(config, () => file)]), network, data };
}

/** Network and data of a run as its config.json records them. */
export interface MaterialFacts {
  readonly network: {
    readonly source: string;
    readonly neuronTable: string | null;
    readonly neurons: number;
    readonly synapses: number;
    readonly duplicatesSummed: number;
    readonly input: string;
    readonly inputNeurons: number;
    readonly readout: string;
    readonly readoutNeurons: number;
  };
  readonly data: Readonly<Record<"train" | "validation" | "test" | "classes", number>> & { readonly source: string };
}

export function factsOf({ connectome, wiring, digits }: Materials): MaterialFacts {
  const { csr, source, tableFile } = connectome;
  return {
    network: {
      source,
      neuronTable: tableFile,
      neurons: csr.nRows,
      synapses: csr.nnz,
      duplicatesSummed: csr.duplicatesSummed,
      input: wiring.input,
      inputNeurons: wiring.nDriven,
      readout: wiring.readout,
      readoutNeurons: wiring.outputProjection?.nRows ?? csr.nRows,
    },
    data: {
      source: digits.source,
      train: digits.train.count,
      validation: digits.validation?.count ?? 0,
      test: digits.test?.count ?? 0,
      classes: digits.train.classes,
    },
  };
}

/** @throws {ArgumentError} network or data are not those that the run began with */
export function checkSameMaterials(where: string, { network, data }: BegunWith, materials: Materials): void {
  const now = factsOf(materials);
  const check = (what: string, before: unknown, after: unknown): void => {
    if (before !== after) throw new ArgumentError(where, what, `${before}, as the run began with`, `${after}`);
  };
  for (const fact of NETWORK_FACTS) check(`network.${fact}`, network[fact], now.network[fact]);
  for (const fact of DATA_FACTS) check(`data.${fact}`, data[fact], now.data[fact]);
}

type Plain = Readonly<Record<string, unknown>>;

async function readRecord(
  file: string,
  folder: string,
): Promise<{ readonly config: Plain; readonly network: Plain; readonly data: Plain }> {
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
