// Matrices as tables with names: the first line and the first column hold the ids of the neurons (.csv, .tsv), as spreadsheets and
// pandas write them.

import { csrFromCoo } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { forEachRow, placeOf, type TableFormat } from "./delimited.ts";
import type { EdgeList } from "./edgeListBuilder.ts";
import { rowsOfIds } from "./joinIds.ts";
import { checkIdText, idOfText, labelsOrNull, type NeuronId, settleIds } from "./neuronIds.ts";
import { Triples } from "./triples.ts";

export interface MatrixTableOptions extends TableFormat {
  /** Which neurons the rows of the table are: those that send ("pre") or those that receive ("post"). Files do not say it. */
  readonly rows: "pre" | "post";
}

/**
 * Reads a matrix with names. Its neurons have the order of the first line; lines may have another one. Zeros are no connections; empty
 * cells are refused.
 *
 * @returns weights [post, pre] in f64; labels null where the ids are 0, 1, 2, …
 * @throws {FileFormatError} missing or damaged file, other neurons in the lines than in the first one, an id or a weight that is none
 * @throws {ArgumentError} `rows` or `delimiter` is none
 */
export async function readMatrixTable(file: string, options: MatrixTableOptions): Promise<EdgeList> {
  const { rows: orientation, delimiter } = options;
  if (orientation !== "pre" && orientation !== "post") {
    throw new ArgumentError("readConnectome", "rows", '"pre" or "post"', quoteText(String(orientation)));
  }
  const { columns, lines, placeOfLine, entries } = await readNamedMatrix(file, {
    ...(delimiter !== undefined && { delimiter }),
  });
  const n = columns.length;
  if (lines.length !== n) {
    throw new FileFormatError(file, `a line for each of the ${n} neurons of the first line`, `${lines.length} lines`);
  }
  const lineOf = rowsOfIds({ file, ids: lines, placeOf: placeOfLine }, columns);
  const neuronOf = new Uint32Array(n);
  lineOf.forEach((line, neuron) => {
    neuronOf[line] = neuron;
  });
  const ofLines = entries.rows.map((line) => neuronOf[line]!);
  const [rows, cols] = orientation === "pre" ? [entries.cols, ofLines] : [ofLines, entries.cols];
  const csr = csrFromCoo({ nRows: n, nCols: n, rows, cols, values: entries.values }, file);
  return { csr, labels: labelsOrNull(columns) };
}

/** A matrix as its file has it: lines and columns may be of different neurons. */
export interface NamedMatrix {
  /** Ids in the first line; different ones. */
  readonly columns: readonly NeuronId[];
  /** Ids of the lines, checked one by one. */
  readonly lines: readonly NeuronId[];
  /** Where the id of a line stands, for messages. */
  placeOfLine(line: number): string;
  /** What is not 0: (line, column, weight). */
  readonly entries: Triples;
}

/**
 * Reads lines of weights behind their ids.
 *
 * @param options.emptyIsZero  an empty cell is no connection, as in spreadsheets. Default false: it is refused
 * @throws {FileFormatError} missing or damaged file, an id or a weight that is none, two columns with the same id
 */
export async function readNamedMatrix(
  file: string,
  { delimiter, emptyIsZero = false }: { readonly delimiter?: string; readonly emptyIsZero?: boolean } = {},
): Promise<NamedMatrix> {
  let columns: readonly NeuronId[] = [];
  const lines: NeuronId[] = [];
  const lineNumbers: number[] = [];
  const entries = new Triples("f64");
  await forEachRow(
    file,
    "a matrix with names (CSV)",
    { header: true, ...(delimiter !== undefined && { delimiter }) },
    {
      start(names) {
        columns = columnIds(file, names!.slice(1));
      },
      row(row) {
        const line = lines.push(row.checkedId(0)) - 1;
        lineNumbers.push(row.line);
        for (let k = 1; k < row.width; k++) {
          if (emptyIsZero && row.text(k) === "") continue;
          const value = row.finite(k, "a weight (0 where there is no connection)");
          if (value !== 0) entries.push(line, k - 1, value);
        }
      },
    },
  );
  return { columns, lines, placeOfLine: (line) => placeOf(file, lineNumbers[line]!, 0), entries };
}

/** The ids of the first line. */
function columnIds(file: string, names: readonly string[]): readonly NeuronId[] {
  const placeOfName = (k: number): string => placeOf(file, 1, k + 1);
  names.forEach((name, k) => {
    checkIdText(name, () => placeOfName(k));
  });
  const ids = settleIds(names.map(idOfText), placeOfName);
  const seen = new Set<NeuronId>();
  ids.forEach((id, k) => {
    if (seen.has(id)) throw new FileFormatError(placeOfName(k), "different ids", `${quoteValue(id)} again`);
    seen.add(id);
  });
  return ids;
}
