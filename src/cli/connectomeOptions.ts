// Options of the commands that read a connectome: which columns of a table, which entry of a file, how many neurons.

import type { Command } from "commander";
import type { ReadConnectomeOptions } from "../io/connectome.ts";
import { oneOf, path, wholeNumber } from "./values.ts";

/** What commander makes of the options; `weight` is false for --no-weight. */
export interface GivenReadOptions {
  readonly pre?: string;
  readonly post?: string;
  readonly weight?: string | boolean;
  readonly ids?: "index" | "label";
  readonly order?: "sorted" | "firstSeen";
  readonly neurons?: number;
  readonly maxNeurons?: number;
  readonly delimiter?: string;
  readonly key?: string;
}

export function addReadOptions(command: Command): Command {
  return command
    .option("--pre <column>", "edge lists: column of presynaptic neurons, by name or position from 0 (default: pre)")
    .option("--post <column>", "edge lists: column of postsynaptic neurons (default: post)")
    .option("--weight <column>", "edge lists: column of weights (default: weight)")
    .option("--no-weight", "edge lists: every line counts 1")
    .option(
      "--ids <kind>",
      "edge lists: ids are index or label (default: what they look like)",
      oneOf("--ids", ["index", "label"]),
    )
    .option(
      "--order <order>",
      "edge lists: number labels sorted or firstSeen (default: sorted)",
      oneOf("--order", ["sorted", "firstSeen"]),
    )
    .option("--neurons <count>", "edge lists: rows and columns (default: from the file)", wholeNumber("--neurons", 1))
    .option(
      "--max-neurons <count>",
      "rows and columns that a file may claim (default: 2^24, or 16 per stored number)",
      wholeNumber("--max-neurons", 1),
    )
    .option("--delimiter <character>", "edge lists: between cells (default: comma, tab for .tsv)")
    .option("--key <name>", "which matrix of a .pt, .safetensors or .npz file with several", path("--key"));
}

export function readOptionsOf(given: GivenReadOptions): ReadConnectomeOptions {
  const { weight, ids, order, neurons, maxNeurons, delimiter, key, pre, post } = given;
  return {
    ...(pre !== undefined && { pre }),
    ...(post !== undefined && { post }),
    ...(weight === false && { weight: null }),
    ...(typeof weight === "string" && { weight }),
    ...(ids !== undefined && { ids }),
    ...(order !== undefined && { order }),
    ...(neurons !== undefined && { neurons }),
    ...(maxNeurons !== undefined && { maxNeurons }),
    ...(delimiter !== undefined && { delimiter: delimiter === "\\t" ? "\t" : delimiter }),
    ...(key !== undefined && { key }),
  };
}
