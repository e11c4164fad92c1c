// What may help a training that does not learn, in the flags of the command line: settings that the run has and that would change it.

import type { Remedy } from "../train/diagnosis.ts";
import type { TrainConfig } from "./config.ts";
import { CONFIG_OPTIONS, isTaskName, type Key, optionName } from "./configOptions.ts";
import { PRESETS } from "./presets.ts";

/** Puts remedies into the flags of a run, "a smaller --lr"; null: the run has no such setting, or has made that choice already. */
export function inFlags(config: TrainConfig): (remedy: Remedy) => string | null {
  const flags: Readonly<Record<Remedy, string | null>> = {
    "smaller learning rate": `a smaller ${optionName("lr")}`,
    "other learning rate": `another ${optionName("lr")}`,
    "linear read-out": config.fcDim === null ? null : `${optionName("fcDim")} none`,
    "linear read-out, smaller learning rate":
      config.fcDim === null ? null : `${optionName("fcDim")} none with a smaller ${optionName("lr")}`,
    "standardised features": config.standardise ? null : optionName("standardise"),
    "longer time": longerTime(config),
    "larger weights": ifMeant("gain", config, `a larger ${optionName("gain")}`),
    "smaller weights": ifMeant("gain", config, `a smaller ${optionName("gain")}`),
    "other outputs":
      config.head === "groups"
        ? `a larger ${optionName("groupSize")}`
        : config.readout === "all"
          ? null
          : `other neurons to ${optionName("readout")}`,
    "signed rows of equal norm": signedRows(config),
    rectifier: config.nonlinearity === "ReLU" ? null : `${optionName("nonlinearity")} ReLU`,
    "known set-up": knownSetUp(config),
  };
  return (remedy) => flags[remedy];
}

/** `text`, unless the setting has no effect in this run. */
function ifMeant(key: Key, config: TrainConfig, text: string): string | null {
  return CONFIG_OPTIONS[key].needs?.met(config) === false ? null : text;
}

function longerTime({ time }: TrainConfig): string {
  return time === "continuous" ? `a longer ${optionName("endTime")}` : `more ${optionName("recurrences")}`;
}

function signedRows(config: TrainConfig): string | null {
  const { weights, normalise } = config;
  const [signed, rows] = [`${optionName("weights")} signed`, `${optionName("normalise")} rows`];
  const missing = [...(weights === "signed" ? [] : [signed]), ...(normalise === "rows" ? [] : [rows])];
  return missing.length === 0 ? null : ifMeant("weights", config, missing.join(" "));
}

/** A preset that is known to learn these samples. */
function knownSetUp({ data, preset, time }: TrainConfig): string | null {
  const known =
    isTaskName(data) && Object.hasOwn(PRESETS, data) ? data : data === null && time === "continuous" ? "retina" : null;
  return known === null || known === preset ? null : `${optionName("preset")} ${known}, which is known to learn`;
}
