// Tables of connections between types of neurons: which type sends to which, and with what sign.

import { FileFormatError } from "../core/errors.ts";
import { type Column, columnIndex, forEachRow, type TableFormat } from "./delimited.ts";

/** Synapses from neurons of type `pre` to those of type `post`. */
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
  /** Default "sign": numbers other than 0, of which the sign counts. */
  readonly sign?: Column;
}

/**
 * Reads a table (CSV, TSV) with a line per pair of types; other columns are ignored.
 *
 * @throws {FileFormatError} missing file or column, a sign that is none, a pair that occurs twice with different signs (with the line)
 */
export async function readTypeEdges(file: string, options: TypeEdgeOptions = {}): Promise<TypeEdge[]> {
  const edges = new Map<string, TypeEdge>();
  let [pre, post, sign] = [0, 1, 2];
  await forEachRow(file, "a table of connections between types (CSV)", options, {
    start(names, width) {
      pre = columnIndex(options.pre ?? "source_type", names, width, file);
      post = columnIndex(options.post ?? "target_type", names, width, file);
      sign = columnIndex(options.sign ?? "sign", names, width, file);
    },
    row(row) {
      const value = Math.sign(row.number(sign));
      if (value !== 1 && value !== -1)
        throw new FileFormatError(`${file}:${row.line}`, "a sign other than 0", JSON.stringify(row.text(sign)));
      const edge: TypeEdge = { pre: row.text(pre), post: row.text(post), sign: value };
      const key = JSON.stringify([edge.pre, edge.post]);
      if (edges.has(key) && edges.get(key)!.sign !== value)
        throw new FileFormatError(`${file}:${row.line}`, `one sign for ${edge.pre} → ${edge.post}`, "both");
      edges.set(key, edge);
    },
  });
  return [...edges.values()];
}
