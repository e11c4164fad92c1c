// Which columns of a table hold its edges: one row per connection, per pair and neuropil, or per synapse.

import type { TableFile } from "../io/tableFile.ts";
import { columnOf, neededColumnOf } from "./columnNames.ts";
import type { EdgeTableColumns } from "./edges.ts";
import type { ColumnChoice } from "./layouts/layout.ts";

/** Names under which tables have the two ends of edges, and their synapses. */
export interface EdgeColumnNames {
  readonly pre: readonly string[];
  readonly post: readonly string[];
  readonly weight: readonly string[];
  /** A table without a column of weights has a row per synapse. */
  readonly rowsMayBeSynapses?: boolean;
}

/**
 * The columns that hold edges: chosen ones, else those with known names.
 *
 * @throws {FileFormatError} a column that the table does not have
 * @throws {ArgumentError} a chosen column that the table does not have
 */
export function edgeColumnsOf(table: TableFile, names: EdgeColumnNames, chosen: ColumnChoice): EdgeTableColumns {
  return {
    pre: neededColumnOf(table, names.pre, chosen.pre, "pre"),
    post: neededColumnOf(table, names.post, chosen.post, "post"),
    weight: weightColumnOf(table, names, chosen),
  };
}

function weightColumnOf(table: TableFile, names: EdgeColumnNames, { weight }: ColumnChoice): string | null {
  if (weight === null) return null;
  const find = names.rowsMayBeSynapses ? columnOf : neededColumnOf;
  return find(table, names.weight, weight, "weight");
}
