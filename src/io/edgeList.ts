// Edge lists as text: one line per connection with its presynaptic neuron, its postsynaptic neuron and its weight (.csv, .tsv).

import type { Csr } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import {
  type Column,
  columnIndex,
  firstLineIsHeader,
  forEachRow,
  namesText,
  placeOf,
  type TableFormat,
} from "./delimited.ts";
import { replaceFile } from "./durable.ts";
import { type EdgeList, EdgeListBuilder, type NeuronIdOptions, type PlaceOf } from "./edgeListBuilder.ts";
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
 * occur more than once are summed. What ids are is decided in `neuronIds.ts`.
 *
 * @returns weights in f64
 * @throws {FileFormatError} missing or damaged file; a column that is not there, or twice; by file, line and column, a row of another
 *   width, an id or a weight that is none
 * @throws {ArgumentError} options out of range
 */
export async function readEdgeList(file: string, options: EdgeListOptions = {}): Promise<EdgeList> {
  let [pre, post] = [0, 1];
  let weight: number | null = 2;
  let header: readonly string[] | null = null;
  const placeOfEnd: PlaceOf = (line, end) => {
    const column = end === "pre" ? pre : post;
    return placeOf(file, line, header?.[column] ?? column);
  };
  const builder = new EdgeListBuilder(file, placeOfEnd, options, "f64");
  await forEachRow(file, EXPECTED, options, {
    isHeader(first) {
      const number = options.weight === null ? null : positionOf(options.weight, 2);
      const asked = [options.pre, options.post, options.weight ?? undefined];
      return firstLineIsHeader(first, asked, number);
    },
    start(names, width) {
      header = names;
      if (names !== null) refuseMatrix(file, names, options);
      const named = names !== null;
      const indexOf = (column: Column): number => columnIndex(column, names, width, file);
      pre = indexOf(options.pre ?? (named ? "pre" : 0));
      post = indexOf(options.post ?? (named ? "post" : 1));
      const column = options.weight === undefined ? (named ? "weight" : 2) : options.weight;
      weight = column === null ? null : indexOf(column);
    },
    row(row) {
      const value = weight === null ? 1 : row.finite(weight, "a finite weight");
      builder.add(row.id(pre), row.id(post), value, row.line);
    },
  });
  return builder.build();
}

/**
 * Writes an edge list with the header pre,post,weight, ordered by post, then pre, durably; separated by tabs when the name ends
 * in .tsv. Weights have enough digits to read the same bits back. Neurons without edges at the end of the matrix are not recorded: read
 * with `neurons`.
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

/** The position that a column has where the first line is no header. */
function positionOf(column: Column | undefined, byDefault: number): number {
  return column === undefined ? byDefault : Number(column);
}

/** @throws {FileFormatError} a table of neurons × neurons without the option `rows` */
function refuseMatrix(file: string, names: readonly string[], { pre, post }: EdgeListOptions): void {
  const asked = [pre ?? "pre", post ?? "post"].map(String);
  if (names.length < 4 || names[0] !== "" || asked.some((name) => names.includes(name) || /^\d+$/.test(name))) return;
  const expected =
    'columns pre and post; or, for a matrix with names, what its rows are (rows: "pre" or "post", --rows)';
  throw new FileFormatError(file, expected, `columns ${namesText(names)}`);
}
