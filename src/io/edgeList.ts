// Edge lists as text: one line per connection with its presynaptic neuron, its postsynaptic neuron and its weight (.csv, .tsv).

import type { Csr } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { type Column, columnIndex, forEachRow, type Row, type TableFormat } from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { type EdgeList, EdgeListBuilder, type NeuronId, type NeuronIdOptions } from "./edgeListBuilder.ts";
import { matrixLines } from "./matrixLines.ts";

/** Which columns of a table make an edge list, by name or by position from 0. */
export interface EdgeColumns {
  /** Default "pre"; column 0 of a table without names. */
  readonly pre?: Column;
  /** Default "post"; column 1 of a table without names. */
  readonly post?: Column;
  /** Default "weight", column 2 of a table without names; null: every line counts 1. */
  readonly weight?: Column | null;
}

/** How an edge list is read. */
export interface EdgeListOptions extends EdgeColumns, NeuronIdOptions, TableFormat {}

const EXPECTED = "an edge list (CSV)";

/**
 * Reads an edge list, gzip or not, in one pass. Row of the matrix = postsynaptic neuron, column = presynaptic neuron; edges that
 * occur more than once are summed.
 *
 * @returns weights in f64
 * @throws {FileFormatError} missing or damaged file; a column that is not there; by file:line, a row of another width, an id or a
 *   weight that is none
 * @throws {ArgumentError} options out of range
 */
export async function readEdgeList(file: string, options: EdgeListOptions = {}): Promise<EdgeList> {
  const builder = new EdgeListBuilder(file, (line) => `${file}:${line}`, options, "f64");
  let pre = 0;
  let post = 1;
  let weight: number | null = 2;
  await forEachRow(file, EXPECTED, options, {
    start(names, width) {
      const named = names !== null;
      pre = columnIndex(options.pre ?? (named ? "pre" : 0), names, width, file);
      post = columnIndex(options.post ?? (named ? "post" : 1), names, width, file);
      const column = options.weight === undefined ? (named ? "weight" : 2) : options.weight;
      weight = column === null ? null : columnIndex(column, names, width, file);
    },
    row(row) {
      const value = weight === null ? 1 : row.number(weight);
      if (Number.isNaN(value)) {
        throw new FileFormatError(`${file}:${row.line}`, "a finite weight", JSON.stringify(row.text(weight!)));
      }
      builder.add(idAt(row, pre), idAt(row, post), value, row.line);
    },
  });
  return builder.build();
}

/**
 * Writes an edge list with the header pre,post,weight, ordered by post, then pre, durably; separated by tabs when the name ends
 * in .tsv. Weights have as many digits as it takes to read the same bits back. Neurons without edges at the end of the matrix
 * leave no trace: read with `neurons`.
 */
export async function writeEdgeList(file: string, csr: Csr): Promise<void> {
  const gap = file.toLowerCase().endsWith(".tsv") ? "\t" : ",";
  const lines = matrixLines(
    csr,
    `pre${gap}post${gap}weight\n`,
    (row, col, value) => `${col}${gap}${row}${gap}${value}\n`,
  );
  await replaceFile(file, lines);
}

function idAt(row: Row, i: number): NeuronId {
  const whole = row.whole(i);
  return whole >= 0 ? whole : row.text(i);
}
