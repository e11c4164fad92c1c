// Options of the commands that read a connectome: which columns of a table, which entry of a file, how many neurons.

import type { Command } from "commander";
import { quoteText } from "../core/text.ts";
import type { ReadConnectomeOptions } from "../io/connectome.ts";
import { oneOf, wholeNumber } from "./values.ts";

/** The options as commander parses them; `weight` is false for --no-weight. */
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
    .option("--no-weight", "edge lists: every line has weight 1")
    .option(
      "--ids <kind>",
      "edge lists: what ids are, index or label (default: index if they start near 0 and have few gaps)",
      oneOf("--ids", ["index", "label"]),
    )
    .option(
      "--order <order>",
      "edge lists: order in which labels are numbered, sorted or firstSeen (default: sorted)",
      oneOf("--order", ["sorted", "firstSeen"]),
    )
    .option("--neurons <count>", "edge lists: number of neurons (default: from the file)", wholeNumber("--neurons", 1))
    .option(
      "--max-neurons <count>",
      "limit of rows and columns that a file may claim (default: 2^24, or 16 per stored number)",
      wholeNumber("--max-neurons", 1),
    )
    .option(
      "--delimiter <character>",
      "tables: separator of cells (default: the comma, tab or semicolon of the first line)",
    )
    .option("--header", "edge lists: the first line holds column names (default: guessed)")
    .option("--no-header", "edge lists: the first line is an edge")
    .option(
      "--rows <neurons>",
      "tables: read a matrix with names, whose rows are the sending (pre) or receiving (post) neurons",
      oneOf("--rows", ["pre", "post"]),
    )
    .option(
      "--key <name>",
      "name of the matrix in a .pt, .safetensors or .npz file with several; name of the attribute with the ids in a .graphml file",
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

/** Says that rows are numbered by the ids of the file, with their range; empty if ids are positions. */
export function describeLabels(labels: readonly string[] | null): string {
  if (labels === null || labels.length === 0) return "";
  const [first, last] = [labels[0]!, labels.at(-1)!].map((label) => quoteText(label, 40));
  const range = labels.length === 1 ? first : `${first} … ${last}`;
  return `rows are numbered by label, ${range}`;
}
