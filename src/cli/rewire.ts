// axograd rewire IN OUT: a control of a connectome as a file, with what it keeps and changes.

import { basename } from "node:path";
import type { Command } from "commander";
import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatCount, formatNumber } from "../core/format.ts";
import { plural } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { CONTROL_NAMES, CONTROLS, type ControlName, type ControlReport, makeControl } from "../data/controls.ts";
import { INVARIANTS } from "../data/invariants.ts";
import { MIXED, signsOfNeurons } from "../data/shuffleWeights.ts";
import { blocksByColumn, positionsByColumns } from "../data/tableBlocks.ts";
import {
  CONNECTOME_EXTENSIONS,
  holdsNeurons,
  readLabelledConnectome,
  WRITABLE_EXTENSIONS,
  writeConnectome,
} from "../io/connectome.ts";
import { type HashedFile, hashOf } from "../io/hash.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import type { Provenance } from "../io/provenance.ts";
import { type Connectome, withTable } from "../run/network.ts";
import { addReadOptions, type GivenReadOptions, readOptionsOf } from "./connectomeOptions.ts";
import { Console, writeJson, writeLine } from "./console.ts";
import { LongWork } from "./loading.ts";
import { checkOutput } from "./outputFile.ts";
import { oneOf, path, realNumber, wholeNumber } from "./values.ts";

interface GivenOptions extends GivenReadOptions {
  readonly control: ControlName;
  readonly seed: number;
  readonly swapsPerEdge?: number;
  readonly blocks?: string;
  readonly positions?: string;
  readonly binWidth?: number;
  readonly neuronTable?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
Controls:
${CONTROL_NAMES.map((name) => `  ${name.padEnd(22)}${CONTROLS[name].summary}`).join("\n")}

What the control keeps is checked before it is written. A control is a function of the connectome, the options and the seed.

Examples:
  npx axograd rewire fly.safetensors fly-swapped.safetensors --control swapped --seed 3
  npx axograd rewire fly.safetensors fly-blocks.safetensors --control swapped-blocks --blocks type
  npx axograd rewire flyvis_e6_csr.npz collapsed.npz --control collapsed --json`;

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("rewire")
    .description("make a control of a connectome: one that lacks a property and keeps others")
    .argument("<in>", `file to read: ${CONNECTOME_EXTENSIONS.join(", ")}`)
    .argument("<out>", `file to write: ${WRITABLE_EXTENSIONS.join(", ")}`)
    .requiredOption("--control <name>", "which control, see below", oneOf("--control", CONTROL_NAMES))
    .option("--seed <n>", "seed", wholeNumber("--seed", 0), 0)
    .option(
      "--swaps-per-edge <n>",
      "controls by swaps: swaps that are attempted for each connection (default: 5)",
      wholeNumber("--swaps-per-edge", 0, 10_000),
    )
    .option(
      "--blocks <column>",
      "swapped-blocks: column of the neuron table whose values are the blocks (default: type)",
    )
    .option(
      "--positions <columns>",
      "swapped-distance: columns of the neuron table that are coordinates, separated by commas (default: places in the visual field)",
    )
    .option(
      "--bin-width <x>",
      "swapped-distance: width of a bin of lengths (default: a twentieth of the extent of all neurons)",
      realNumber("--bin-width", { above: 0 }),
    )
    .option(
      "--neuron-table <file>",
      "table of the neurons (default: that of the connectome's file, or X_neurons.csv beside it)",
      path("--neuron-table"),
    );
  addReadOptions(command)
    .option("--overwrite", "replace a file that exists")
    .option("--json", "report as JSON")
    .addHelpText("after", EXAMPLES)
    .action((input: string, output: string, given: GivenOptions) => rewireFile(input, output, given));
}

async function rewireFile(input: string, output: string, given: GivenOptions): Promise<void> {
  const { control, seed, swapsPerEdge, overwrite = false, json = false } = given;
  checkEffects(given);
  await checkOutput(output, overwrite);
  const work = new LongWork(new Console({ json, quiet: false }));
  const { onProgress } = work;
  const hash = await hashOf(input);
  const content = await readLabelledConnectome(input, readOptionsOf(given));
  const connectome = await withTable(input, content, given.neuronTable ?? null);
  const { csr, report } = makeControl(connectome.csr, control, {
    seed,
    ...(swapsPerEdge !== undefined && { swapsPerEdge }),
    ...fromTable(connectome, given),
    onProgress: (done, total) => onProgress({ work: `making ${control}`, done, total }),
  });
  const provenance = provenanceOf(connectome, { role: "connectome", file: input, ...hash }, given, report);
  const { ids: labels } = connectome;
  const changesSigns = CONTROLS[control].changes.includes("signs");
  const table = connectome.table && changesSigns ? withSigns(connectome.table, csr) : connectome.table;
  await writeConnectome(
    output,
    csr,
    holdsNeurons(output) ? { labels: labels?.map(String) ?? null, table, provenance } : {},
  );
  work.done();
  if (json) {
    const size = { neurons: csr.nRows, connections: csr.nnz };
    writeJson({ input, ...hash, output, ...size, ...report, provenance: holdsNeurons(output) ? provenance : null });
    return;
  }
  for (const line of reportLines(input, output, report)) writeLine(line);
}

/** Refuses options that have no effect. */
function checkEffects({ control, swapsPerEdge, blocks, positions, binWidth }: GivenOptions): void {
  const { swaps, needs } = CONTROLS[control];
  const idle: readonly (readonly [string, unknown, boolean, string])[] = [
    ["--swaps-per-edge", swapsPerEdge, swaps, "a control by swaps"],
    ["--blocks", blocks, needs === "blocks", "--control swapped-blocks"],
    ["--positions", positions, needs === "lengths", "--control swapped-distance"],
    ["--bin-width", binWidth, needs === "lengths", "--control swapped-distance"],
  ];
  for (const [option, value, hasEffect, expected] of idle) {
    if (value !== undefined && !hasEffect) {
      throw new ArgumentError("axograd rewire", option, `${expected} with it`, `--control ${control}`);
    }
  }
}

/** Blocks or lengths, as the control needs them. */
function fromTable({ table, csr, ids }: Connectome, { control, blocks = "type", positions, binWidth }: GivenOptions) {
  const { needs } = CONTROLS[control];
  if (needs === null) return {};
  const where = "axograd rewire";
  if (table === null)
    throw new ArgumentError(where, "--neuron-table", `a table of the neurons with ${control}`, "none");
  const neurons = { ...table, count: csr.nRows, ids };
  if (needs === "blocks") return { blocks: blocksByColumn(neurons, blocks, { where, argument: "--blocks" }) };
  const columns = positions?.split(",").map((name) => name.trim()) ?? null;
  const places = positionsByColumns(neurons, columns, { where, argument: "--positions" });
  return { lengths: { ...places, ...(binWidth !== undefined && { binWidth }) } };
}

/** Signs are those of the outputs in the control; neurons without outputs keep theirs. */
function withSigns(table: NeuronTable, csr: Csr): NeuronTable {
  if (table.sign === null) return table;
  const signs = signsOfNeurons(csr);
  return { ...table, sign: table.sign.map((own, i) => (signs[i] === 0 ? own : signs[i] === MIXED ? 0 : signs[i]!)) };
}

/** That of the original with one more step; of a file without one, the file is the source. */
function provenanceOf(
  { provenance, csr }: Connectome,
  source: HashedFile,
  { control, blocks, positions }: GivenOptions,
  { seed, mixing, binWidth }: ControlReport,
): Provenance {
  const { needs } = CONTROLS[control];
  const rules = {
    control,
    controlSeed: seed,
    ...(mixing && { swapsPerEdge: mixing.swapsPerEdge }),
    ...(needs === "blocks" && { blocks: blocks ?? "type" }),
    ...(needs === "lengths" && { positions: positions ?? "visual field", binWidth: binWidth! }),
  };
  const swaps = mixing ? `, ${plural(mixing.swapsPerEdge, "swap")} per connection` : "";
  const step = {
    step: `${control}${swaps}, seed ${seed}, from SHA-256 ${source.sha256}`,
    ...{ neurons: csr.nRows, connections: csr.nnz, synapses: null },
  };
  const origin: Provenance = provenance ?? {
    ...{ format: 1, dataset: basename(source.file), layout: "connectome file", axograd: VERSION },
    ...{ created: new Date().toISOString(), sources: [], rules: {}, steps: [] },
  };
  return {
    ...origin,
    sources: [...origin.sources, source],
    rules: { ...origin.rules, ...rules },
    steps: [...origin.steps, step],
  };
}

/** What was made, what it keeps and what it changes. */
export function reportLines(input: string, output: string, report: ControlReport): string[] {
  const { control, summary, seed, keeps, changes, moved, mixing, binWidth } = report;
  const percent = (part: number): string => `${formatNumber(100 * part)} %`;
  // Counts in full.
  const number = (value: number): string => (Number.isSafeInteger(value) ? formatCount(value) : formatNumber(value));
  const swaps = mixing && [
    `swaps: ${formatCount(mixing.accepted)} of ${formatCount(mixing.attempted)} that were attempted, ${mixing.swapsPerEdge} per connection; ${plural(mixing.fixed, "connection")} could not move`,
  ];
  return [
    `${output}: ${control} of ${input}, seed ${seed}: ${summary}`,
    ...(CONTROLS[control].keeps.includes("pattern")
      ? []
      : [`${percent(moved)} of the connections are between other neurons`]),
    ...(swaps ?? []),
    ...(binWidth === undefined ? [] : [`lengths in bins of ${formatNumber(binWidth)}`]),
    "keeps (checked):",
    ...keeps.map(({ name, value }) => `  ${INVARIANTS[name].meaning} (${INVARIANTS[name].value}: ${number(value)})`),
    "need not keep:",
    ...changes.map(({ name, before, after, differing }) => {
      const { meaning, value } = INVARIANTS[name];
      return `  ${meaning} (${value}: ${number(before)}, then ${number(after)}; ${formatCount(differing)} differ)`;
    }),
  ];
}
