// Options of the commands that read a connectome: which columns of a table, which entry of a file, how many neurons.

import type { Command } from "commander";
import { quoteText } from "../core/text.ts";
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
  readonly header?: boolean;
  readonly rows?: "pre" | "post";
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
      "edge lists: ids are index or label (default: index if they begin near 0 and have few gaps)",
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
    .option(
      "--delimiter <character>",
      "tables: between cells (default: what the first line has of comma, tab, semicolon)",
    )
    .option("--header", "edge lists: the first line holds names (default: what it looks like)")
    .option("--no-header", "edge lists: the first line is an edge")
    .option(
      "--rows <neurons>",
      "tables: a matrix with names, its rows are the neurons that send (pre) or receive (post)",
      oneOf("--rows", ["pre", "post"]),
    )
    .option(
      "--key <name>",
      "which matrix of a .pt, .safetensors or .npz file with several; attribute that names the nodes of a .graphml file",
      path("--key"),
    );
}

export function readOptionsOf(given: GivenReadOptions): ReadConnectomeOptions {
  const { weight, ids, order, neurons, maxNeurons, delimiter, header, rows, key, pre, post } = given;
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
    ...(header !== undefined && { header }),
    ...(rows !== undefined && { rows }),
    ...(key !== undefined && { key }),
  };
}

/** That the neurons of a matrix are numbered by the ids of the file, and which they are; nothing where ids are positions. */
export function describeLabels(labels: readonly string[] | null): string {
  if (labels === null || labels.length === 0) return "";
  const [first, last] = [labels[0]!, labels.at(-1)!].map((label) => quoteText(label, 40));
  const range = labels.length === 1 ? first : `${first} … ${last}`;
  return `rows are numbered by label, ${range}`;
}
