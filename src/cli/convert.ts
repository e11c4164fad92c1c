// axograd convert IN OUT: a connectome from one file format to another.

import { resolve } from "node:path";
import type { Command } from "commander";
import { checkRepresentable, withValues } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { DTYPES } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { absolute } from "../data/connectomes.ts";
import {
  CONNECTOME_EXTENSIONS,
  readLabelledConnectome,
  WRITABLE_EXTENSIONS,
  writeConnectome,
} from "../io/connectome.ts";
import { writeLabels } from "../io/labels.ts";
import { addReadOptions, describeLabels, type GivenReadOptions, readOptionsOf } from "./connectomeOptions.ts";
import { writeJson, writeLine } from "./console.ts";
import { refuseExisting } from "./outputFile.ts";
import { oneOf, path } from "./values.ts";

interface GivenOptions extends GivenReadOptions {
  readonly abs?: boolean;
  readonly dtype?: DType;
  readonly labels?: string;
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
    .option("--rectangular", "allow a matrix that is not square")
    .option("--overwrite", "replace files that exist")
    .option("--json", "report as JSON")
    .action((input: string, output: string, given: GivenOptions) => convert(input, output, given));
}

async function convert(input: string, output: string, given: GivenOptions): Promise<void> {
  const { abs = false, dtype, labels: labelsFile, rectangular = false, overwrite = false, json = false } = given;
  if (labelsFile !== undefined && resolve(labelsFile) === resolve(output)) {
    throw new ArgumentError("axograd convert", "--labels", "another file than the connectome's", labelsFile);
  }
  if (!overwrite)
    for (const file of [output, ...(labelsFile === undefined ? [] : [labelsFile])]) await refuseExisting(file);
  const { csr: read, labels } = await readLabelledConnectome(input, { ...readOptionsOf(given), square: !rectangular });
  if (labelsFile !== undefined && labels === null) {
    throw new ArgumentError("axograd convert", "--labels", `${input} with labels of its neurons`, "one with indices");
  }
  const signed = abs ? absolute(read) : read;
  if (dtype !== undefined) checkRepresentable(signed, dtype, input);
  const csr = dtype === undefined ? signed : withValues(signed, valuesAs(dtype, signed.values));
  await writeConnectome(output, csr);
  if (labelsFile !== undefined && labels !== null) await writeLabels(labelsFile, labels);
  const { nRows, nCols, nnz, duplicatesSummed } = csr;
  const type = csr.values instanceof Float32Array ? "f32" : "f64";
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
    };
    writeJson(report);
    return;
  }
  const summed = duplicatesSummed > 0 ? `, ${duplicatesSummed} repeated entries summed` : "";
  const named = describeLabels(labels);
  const kept = labelsFile === undefined ? "--labels FILE keeps them" : `kept in ${labelsFile}`;
  writeLine(`${output}: ${nRows} × ${nCols}, ${nnz} connections, ${type}${summed}`);
  if (named !== "") writeLine(`${named} (${kept})`);
}

function valuesAs(dtype: DType, values: ArrayLike<number>): Float32Array | Float64Array {
  return dtype === "f32" ? Float32Array.from(values) : Float64Array.from(values);
}
