// Tables of connections between cell types, with their signs.

import { FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { type Column, columnIndex, firstLineIsHeader, forEachRow, type Row, type TableFormat } from "./delimited.ts";
import { hasInvisible, isMissing } from "./neuronIds.ts";

/** Connections from neurons of type `pre` to those of type `post`. */
export interface TypeEdge {
  readonly pre: string;
  readonly post: string;
  /** +1 excitatory, −1 inhibitory. */
  readonly sign: 1 | -1;
}

/** The columns of a table of edges between cell types. */
export interface TypeEdgeOptions extends TableFormat {
  /** Default "source_type". */
  readonly pre?: Column;
  /** Default "target_type". */
  readonly post?: Column;
  /** Default "sign": nonzero numbers, whose sign is used. */
  readonly sign?: Column;
}

/**
 * Reads a table (CSV, TSV) with a line per pair of types; other columns are ignored.
 *
 * @throws {FileFormatError} missing file or column, a type or a sign that is none, a pair that occurs twice with different signs (with the line)
 */
export async function readTypeEdges(file: string, options: TypeEdgeOptions = {}): Promise<TypeEdge[]> {
  const edges = new Map<string, TypeEdge>();
  let [pre, post, sign] = [0, 1, 2];
  await forEachRow(file, "a table of connections between types (CSV)", options, {
    isHeader: (first) => {
      const number = options.sign === undefined ? 2 : Number(options.sign);
      return firstLineIsHeader(first, [options.pre, options.post, options.sign], number);
    },
    start(names, width) {
      const named = names !== null;
      pre = columnIndex(options.pre ?? (named ? "source_type" : 0), names, width, file);
      post = columnIndex(options.post ?? (named ? "target_type" : 1), names, width, file);
      sign = columnIndex(options.sign ?? (named ? "sign" : 2), names, width, file);
    },
    row(row) {
      const value = Math.sign(row.number(sign));
      if (value !== 1 && value !== -1) throw row.error(sign, "a sign other than 0");
      const edge: TypeEdge = { pre: typeIn(row, pre), post: typeIn(row, post), sign: value };
      const key = JSON.stringify([edge.pre, edge.post]);
      if (edges.has(key) && edges.get(key)!.sign !== value)
        throw new FileFormatError(
          `${file}:${row.line}`,
          `one sign for ${quoteText(edge.pre)} → ${quoteText(edge.post)}`,
          "both",
        );
      edges.set(key, edge);
    },
  });
  return [...edges.values()];
}

function typeIn(row: Row, i: number): string {
  const type = row.text(i);
  if (isMissing(type) || hasInvisible(type)) throw row.error(i, "the name of a type");
  return type;
}
