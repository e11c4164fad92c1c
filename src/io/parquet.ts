// Edge lists in Parquet files, FlyWire's form.

import { FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { columnIndex } from "./delimited.ts";
import type { EdgeColumns } from "./edgeList.ts";
import { type EdgeList, EdgeListBuilder, type NeuronIdOptions, type PlaceOf } from "./edgeListBuilder.ts";
import { idOfValue } from "./neuronIds.ts";
import { cellOf } from "./parquetCells.ts";
import { forEachSlice } from "./parquetTable.ts";

export interface ParquetOptions extends EdgeColumns, NeuronIdOptions {}

/**
 * Reads an edge list from the columns `pre`, `post` and `weight` (see `EdgeColumns`; ids are whole numbers of any size, or text).
 *
 * @returns weights in f32 where the file has single precision, else f64
 * @throws {EngineError} "peer-missing": hyparquet is not installed, or what its compression needs
 * @throws {FileFormatError} missing or damaged file ("file-limit" for one that takes more time or memory than a file of its size can need),
 *   no such column, an id or a weight that is none
 */
export async function readParquetEdgeList(file: string, options: ParquetOptions = {}): Promise<EdgeList> {
  let builder: EdgeListBuilder | null = null;
  let weighted = true;
  let placeOf: PlaceOf = (row) => `${file}: row ${row}`;
  // Single precision rounds whole numbers from 2^24 on.
  let exactTo: readonly [pre: number, post: number] = [2 ** 53, 2 ** 53];
  await forEachSlice(file, {
    choose(columns) {
      const names = columns.map(({ name }) => name);
      const at = (column: string | number): number => columnIndex(column, names, names.length, file);
      const ends = [at(options.pre ?? "pre"), at(options.post ?? "post")] as const;
      const [pre, post] = ends.map((column) => (columns[column]!.type === "FLOAT" ? 2 ** 24 : 2 ** 53));
      exactTo = [pre!, post!];
      placeOf = (row, end) => `${file}: row ${row}, column ${quoteText(names[ends[end === "pre" ? 0 : 1]]!, 60)}`;
      const weight = options.weight === null ? null : at(options.weight ?? "weight");
      weighted = weight !== null;
      const single = weight !== null && columns[weight]!.type === "FLOAT";
      builder = new EdgeListBuilder(file, placeOf, options, single ? "f32" : "f64");
      return [...ends, ...(weight === null ? [] : [weight])].map((column) => names[column]!);
    },
    rows([pre, post, weights], rowStart, count) {
      for (let k = 0; k < count; k++) {
        const row = rowStart + k;
        const value = weighted ? weightOf(cellOf(weights!, k), file, row) : 1;
        const source = idOfValue(cellOf(pre!, k), () => placeOf(row, "pre"), exactTo[0]);
        const target = idOfValue(cellOf(post!, k), () => placeOf(row, "post"), exactTo[1]);
        builder!.add(source, target, value, row);
      }
      return true;
    },
  });
  return builder!.build();
}

function weightOf(cell: unknown, file: string, row: number): number {
  const value = typeof cell === "bigint" ? Number(cell) : cell;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new FileFormatError(`${file}: row ${row}`, "a finite weight", quoteValue(cell));
}
