// Columns of tables as plain values, to compare them. Ids become text, so that whole numbers keep their digits; an empty cell is null.

import type { CellForm, Cells, TableFile } from "../../src/io/tableFile.ts";

/** A column, all batches joined. */
export interface PlainCells {
  readonly as: CellForm;
  /** Whether a batch of ids came as text. */
  readonly isText: boolean;
  readonly cells: readonly (string | number | null)[];
}

export async function plainColumns(
  table: TableFile,
  wanted: Readonly<Record<string, CellForm>>,
): Promise<PlainCells[]> {
  const columns = Object.entries(wanted).map(([name, as]) => ({ name, as }));
  const found = columns.map(({ as }) => ({ as, isText: false, cells: [] as (string | number | null)[] }));
  let rows = 0;
  await table.read(columns, ({ rowStart, count, cells }) => {
    if (rowStart !== rows) throw new Error(`a batch from row ${rowStart} after ${rows} rows`);
    rows += count;
    for (const [i, column] of cells.entries()) {
      found[i]!.isText ||= column.as === "id" && !(column.ids instanceof BigInt64Array);
      for (let k = 0; k < count; k++) found[i]!.cells.push(cellOf(column, k));
    }
    return true;
  });
  return found;
}

function cellOf(column: Cells, k: number): string | number | null {
  if (column.nulls?.[k] === 1) return null;
  switch (column.as) {
    case "id":
      return String(column.ids[k]);
    case "number":
      return column.numbers[k]!;
    case "text":
      return column.values[column.valueIdx[k]!]!;
  }
}
