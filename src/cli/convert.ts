// axograd convert IN OUT: a connectome from one file format to another.

import { resolve } from "node:path";
import type { Command } from "commander";
import { type Csr, checkRepresentable, withValues } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { DTYPES } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { plural } from "../core/text.ts";
import { absolute } from "../data/connectomes.ts";
import {
  CONNECTOME_EXTENSIONS,
  holdsNeurons,
  readLabelledConnectome,
  WRITABLE_EXTENSIONS,
  writeConnectome,
} from "../io/connectome.ts";
import type { ConnectomeContent } from "../io/connectomeFile.ts";
import { writeLabels } from "../io/labels.ts";
import { type NeuronTable, writeNeuronTable } from "../io/neuronTable.ts";
import type { Provenance } from "../io/provenance.ts";
import { addReadOptions, describeLabels, type GivenReadOptions, readOptionsOf } from "./connectomeOptions.ts";
import { writeJson, writeLine } from "./console.ts";
import { checkOutput } from "./outputFile.ts";
import { oneOf, path } from "./values.ts";

interface GivenOptions extends GivenReadOptions {
  readonly abs?: boolean;
  readonly dtype?: DType;
  readonly labels?: string;
  readonly neuronTable?: string;
  readonly rectangular?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = program
    .command("convert")
    .description("convert a connectome to another file format")
    .argument("<in>", `file to read: ${CONNECTOME_EXTENSIONS.join(", ")}`)
    .argument("<out>", `file to write: ${WRITABLE_EXTENSIONS.join(", ")}`);
  addReadOptions(command)
    .option("--abs", "take absolute values of the weights")
    .option("--dtype <type>", "write weights as f32 or f64 (default: as read)", oneOf("--dtype", DTYPES))
    .option("--labels <file>", "also write the neurons' labels, as a .csv table", path("--labels"))
    .option("--neuron-table <file>", "also write the table of the neurons, as .csv", path("--neuron-table"))
    .option("--rectangular", "allow a matrix that is not square")
    .option("--overwrite", "replace files that exist")
    .option("--json", "report as JSON")
    .action((input: string, output: string, given: GivenOptions) => convert(input, output, given));
}

async function convert(input: string, output: string, given: GivenOptions): Promise<void> {
  const { labels: labelsFile, neuronTable: tableFile, rectangular = false, overwrite = false, json = false } = given;
  const files = [output, labelsFile, tableFile].filter((file) => file !== undefined);
  checkOwnFile("--labels", labelsFile, files);
  checkOwnFile("--neuron-table", tableFile, files);
  for (const file of files) await checkOutput(file, overwrite);
  const isWhole = holdsNeurons(output);
  const content = await readLabelledConnectome(input, { ...readOptionsOf(given), square: !rectangular });
  const { labels, table } = content;
  if (labelsFile !== undefined && labels === null) {
    throw new ArgumentError("axograd convert", "--labels", `${input} with labels of its neurons`, "one with indices");
  }
  if (tableFile !== undefined && table === null) {
    throw new ArgumentError("axograd convert", "--neuron-table", `${input} with a table of neurons`, "one without");
  }
  const { csr, provenance } = converted(content, input, given);
  await writeConnectome(output, csr, isWhole ? { labels, table, provenance } : {});
  if (labelsFile !== undefined && labels !== null) await writeLabels(labelsFile, labels);
  if (tableFile !== undefined && table !== null)
    await writeNeuronTable(tableFile, table, { ids: labels, missing: UNTYPED });
  const { nRows, nCols, nnz, duplicatesSummed } = csr;
  const type = csr.values instanceof Float32Array ? "f32" : "f64";
  const lost = isWhole ? {} : lostParts(content, given);
  if (json) {
    const report = {
      input,
      output,
      nRows,
      nCols,
      connections: nnz,
      duplicatesSummed,
      dtype: type,
      labels: labels?.length ?? null,
      lost: Object.keys(lost),
    };
    writeJson(report);
    return;
  }
  const summed = duplicatesSummed > 0 ? `, ${duplicatesSummed} repeated entries summed` : "";
  const named = describeLabels(labels);
  const kept = labelsFile === undefined ? `kept in ${output}` : `kept in ${labelsFile}`;
  writeLine(`${output}: ${nRows} × ${nCols}, ${nnz} connections, ${type}${summed}`);
  if (named !== "") writeLine(`${named} (${lost.ids ?? kept})`);
  const untyped = tableFile !== undefined && table ? untypedOf(table) : 0;
  if (untyped > 0) writeLine(`${plural(untyped, "neuron")} without a type: "${UNTYPED}" in ${tableFile}`);
  if (lost.table) writeLine(`without the table of the neurons (${lost.table})`);
  if (lost.provenance) writeLine(`without its provenance (${lost.provenance})`);
}

/** The type of neurons without one, in tables that need one for each. */
const UNTYPED = "unknown";

function untypedOf({ types, typeIdx }: NeuronTable): number {
  return typeIdx.reduce((count, t) => count + (types[t] === "" ? 1 : 0), 0);
}

function checkOwnFile(option: string, file: string | undefined, files: readonly string[]): void {
  if (file === undefined || files.filter((other) => resolve(other) === resolve(file)).length === 1) return;
  throw new ArgumentError("axograd convert", option, "another file than the connectome's and the others", file);
}

/** The matrix as it is written, and its provenance, which says what was done to it. */
function converted(
  { csr: read, provenance }: ConnectomeContent,
  input: string,
  { abs = false, dtype }: GivenOptions,
): { readonly csr: Csr; readonly provenance: Provenance | null } {
  const signed = abs ? absolute(read) : read;
  if (dtype !== undefined) checkRepresentable(signed, dtype, input);
  const csr = dtype === undefined ? signed : withValues(signed, valuesAs(dtype, signed.values));
  const done = [...(abs ? ["absolute values of the weights"] : []), ...(dtype ? [`weights as ${dtype}`] : [])];
  const counts = { neurons: csr.nRows, connections: csr.nnz, synapses: null };
  const steps = done.map((step) => ({ step, ...counts }));
  return { csr, provenance: provenance && { ...provenance, steps: [...provenance.steps, ...steps] } };
}

/** What a file without neurons loses, as no other file gets it, and what keeps it. */
function lostParts(
  { labels, table, provenance }: ConnectomeContent,
  { labels: labelsFile, neuronTable }: GivenOptions,
): Partial<Record<"ids" | "table" | "provenance", string>> {
  return {
    ...(labels && labelsFile === undefined && { ids: "--labels FILE keeps them" }),
    ...(table && neuronTable === undefined && { table: "--neuron-table FILE keeps it" }),
    ...(provenance && { provenance: ".safetensors keeps it" }),
  };
}

function valuesAs(dtype: DType, values: ArrayLike<number>): Float32Array | Float64Array {
  return dtype === "f32" ? Float32Array.from(values) : Float64Array.from(values);
}
