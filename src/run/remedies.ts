// What may help a training that does not learn, in the flags of the command line.

import type { Remedy } from "../train/diagnosis.ts";
import { optionName } from "./configOptions.ts";

const [lr, fcDim, standardise] = [optionName("lr"), optionName("fcDim"), optionName("standardise")];
const gain = optionName("gain");

const FLAGS: Readonly<Record<Remedy, string>> = {
  "smaller learning rate": `a smaller ${lr}`,
  "other learning rate": `another ${lr}`,
  "linear read-out": `${fcDim} none`,
  "linear read-out, smaller learning rate": `${fcDim} none with a smaller ${lr}`,
  "standardised features": standardise,
  "longer time": `a longer ${optionName("endTime")}`,
  "larger weights": `a larger ${gain}`,
  "smaller weights": `a smaller ${gain}`,
  "other outputs": `other neurons to ${optionName("readout")}`,
  "signed rows of equal norm": `${optionName("weights")} signed ${optionName("normalise")} rows`,
  rectifier: `${optionName("nonlinearity")} ReLU`,
  "known set-up": `${optionName("preset")} retina, which is known to learn`,
};

/** "a smaller --lr". */
export function inFlags(remedy: Remedy): string {
  return FLAGS[remedy];
}
