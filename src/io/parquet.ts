// Edge lists in Parquet files, FlyWire's form.

import { FileFormatError } from "../core/errors.ts";
import { columnIndex } from "./delimited.ts";
import type { EdgeColumns } from "./edgeList.ts";
import { canonicalId, type EdgeList, EdgeListBuilder, type NeuronIdOptions } from "./edgeListBuilder.ts";
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
  await forEachSlice(file, {
    choose(columns) {
      const names = columns.map(({ name }) => name);
      const at = (column: string | number): number => columnIndex(column, names, names.length, file);
      const ends = [at(options.pre ?? "pre"), at(options.post ?? "post")];
      const weight = options.weight === null ? null : at(options.weight ?? "weight");
      weighted = weight !== null;
      const single = weight !== null && columns[weight]!.type === "FLOAT";
      builder = new EdgeListBuilder(file, (row) => `${file}: row ${row}`, options, single ? "f32" : "f64");
      return [...ends, ...(weight === null ? [] : [weight])].map((column) => names[column]!);
    },
    rows([pre, post, weights], rowStart, count) {
      for (let k = 0; k < count; k++) {
        const row = rowStart + k;
        const value = weighted ? weightOf(weights![k], file, row) : 1;
        builder!.add(idOf(pre![k], file, row), idOf(post![k], file, row), value, row);
      }
    },
  });
  return builder!.build();
}

function idOf(cell: unknown, file: string, row: number): number | string {
  if (typeof cell === "number" || typeof cell === "bigint" || typeof cell === "string") return canonicalId(cell);
  throw new FileFormatError(`${file}: row ${row}`, "the id of a neuron", String(cell));
}

function weightOf(cell: unknown, file: string, row: number): number {
  const value = typeof cell === "bigint" ? Number(cell) : cell;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new FileFormatError(`${file}: row ${row}`, "a finite weight", String(cell));
}
