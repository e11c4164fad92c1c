// Edges in tables: one row per connection, per pair and neuropil, or per synapse.

import { FileFormatError } from "../core/errors.ts";
import type { Cells, IdCells, NumberCells, TableFile } from "../io/tableFile.ts";
import { columnOf, neededColumnOf } from "./columnNames.ts";
import type { ColumnChoice } from "./layouts/layout.ts";
import type { EdgeBatch, EdgeSource } from "./types.ts";

/** Names under which tables have the two ends of edges, and their synapses. */
export interface EdgeColumnNames {
  readonly pre: readonly string[];
  readonly post: readonly string[];
  readonly weight: readonly string[];
  /** A table without a column of weights has a row per synapse. */
  readonly rowsMayBeSynapses?: boolean;
}

/**
 * Edges of an open table.
 *
 * @param isSorted  see `EdgeSource`
 * @throws {FileFormatError} a column that the table does not have; in `read`, an empty cell with its place
 * @throws {ArgumentError} a chosen column that the table does not have
 */
export function edgesOfTable(
  table: TableFile,
  names: EdgeColumnNames,
  chosen: ColumnChoice,
  isSorted: boolean,
): EdgeSource & { readonly weightColumn: string | null } {
  const pre = neededColumnOf(table, names.pre, chosen.pre, "pre");
  const post = neededColumnOf(table, names.post, chosen.post, "post");
  const weight = weightOf(table, names, chosen);
  const columns = { pre, post, weight: weight ?? "" };
  return {
    file: table.file,
    rows: table.rows,
    isSorted,
    weightColumn: weight,
    async read(visit, options = {}) {
      const wanted = [
        { name: pre, as: "id" as const },
        { name: post, as: "id" as const },
        ...(weight === null ? [] : [{ name: weight, as: "number" as const }]),
      ];
      await table.read(
        wanted,
        ({ rowStart, count, cells }) => {
          const place = (row: number, column: string): string => table.placeOf(rowStart + row, column);
          cells.forEach((column, k) => {
            refuseEmpty(column, count, (row) => place(row, wanted[k]!.name));
          });
          const weights = weight === null ? null : (cells[2] as NumberCells).numbers;
          const ids = (k: number): EdgeBatch["pre"] => (cells[k] as IdCells).ids;
          return visit({ rowStart, count, pre: ids(0), post: ids(1), weights });
        },
        options,
      );
    },
    placeOf: (row, end) => table.placeOf(row, columns[end]),
  };
}

function weightOf(table: TableFile, names: EdgeColumnNames, { weight }: ColumnChoice): string | null {
  if (weight === null) return null;
  if (names.rowsMayBeSynapses) return columnOf(table, names.weight, weight, "weight");
  return neededColumnOf(table, names.weight, weight, "weight");
}

function refuseEmpty({ as, nulls }: Cells, count: number, placeOf: (row: number) => string): void {
  if (!nulls) return;
  for (let row = 0; row < count; row++) {
    if (nulls[row]) throw new FileFormatError(placeOf(row), as === "id" ? "the id of a neuron" : "a number", "nothing");
  }
}
