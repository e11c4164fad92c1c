// Edge lists in Parquet files, FlyWire's form, row group by row group. Reading rests on hyparquet, which users install when they need it.

import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { AsyncBuffer, Compressors, FileMetaData } from "hyparquet";
import { EngineError, FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { columnIndex } from "./delimited.ts";
import type { EdgeColumns } from "./edgeList.ts";
import {
  type EdgeList,
  EdgeListBuilder,
  type NeuronId,
  type NeuronIdOptions,
  type PlaceOf,
} from "./edgeListBuilder.ts";
import { fileError } from "./files.ts";
import { idOfValue } from "./neuronIds.ts";

export interface ParquetOptions extends EdgeColumns, NeuronIdOptions {}

type Hyparquet = typeof import("hyparquet");

const EXPECTED = "a Parquet file";

/** Snappy is built into hyparquet; these come with Node. */
const COMPRESSORS: Compressors = {
  GZIP: (bytes) => new Uint8Array(gunzipSync(bytes)),
  BROTLI: (bytes) => new Uint8Array(brotliDecompressSync(bytes)),
};

/**
 * Reads an edge list from the columns `pre`, `post` and `weight` (see `EdgeColumns`; ids are whole numbers of any size, or text).
 *
 * @returns weights in f32 where the file has single precision, else f64
 * @throws {EngineError} "peer-missing": hyparquet is not installed
 * @throws {FileFormatError} missing or damaged file, a compression that is not supported, no such column, an id or a weight that is none
 */
export async function readParquetEdgeList(file: string, options: ParquetOptions = {}): Promise<EdgeList> {
  const hyparquet = await loadHyparquet(file);
  let metadata: FileMetaData;
  let buffer: AsyncBuffer;
  try {
    buffer = await hyparquet.asyncBufferFromFile(file);
    metadata = await hyparquet.parquetMetadataAsync(buffer);
  } catch (cause) {
    throw fileError(file, EXPECTED, cause);
  }
  const names = hyparquet.parquetSchema(metadata).children.map((child) => child.element.name);
  const nameOf = (column: string | number): string => names[columnIndex(column, names, names.length, file)]!;
  const pre = nameOf(options.pre ?? "pre");
  const post = nameOf(options.post ?? "post");
  const weight = options.weight === null ? null : nameOf(options.weight ?? "weight");
  const isSingle = (column: string | null): boolean =>
    metadata.schema.find((element) => element.name === column)?.type === "FLOAT";
  const single = isSingle(weight);
  const placeOf: PlaceOf = (row, end) => `${file}: row ${row}, column ${quoteText(end === "pre" ? pre : post, 60)}`;
  const idIn = (end: "pre" | "post"): ((cell: unknown, row: number) => NeuronId) => {
    const exactTo = isSingle(end === "pre" ? pre : post) ? 2 ** 24 : 2 ** 53;
    return (cell, row) => idOfValue(cell, () => placeOf(row, end), exactTo);
  };
  const [preOf, postOf] = [idIn("pre"), idIn("post")];
  const columns = [...new Set([pre, post, ...(weight === null ? [] : [weight])])];
  const builder = new EdgeListBuilder(file, placeOf, options, single ? "f32" : "f64");
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const cells = await readGroup(hyparquet, { file, buffer, metadata, columns, rowStart, rowEnd });
    for (let row = rowStart; row < rowEnd; row++) {
      const at = row - rowStart;
      const value = weight === null ? 1 : weightOf(cells.get(weight)![at], file, row);
      builder.add(preOf(cells.get(pre)![at], row), postOf(cells.get(post)![at], row), value, row);
    }
    rowStart = rowEnd;
  }
  return builder.build();
}

interface GroupRequest {
  readonly file: string;
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: string[];
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** The cells of the columns of one row group, by name. */
async function readGroup(hyparquet: Hyparquet, request: GroupRequest): Promise<Map<string, ArrayLike<unknown>>> {
  const { file, buffer, metadata, columns, rowStart, rowEnd } = request;
  const cells = new Map<string, unknown[]>();
  for (const column of columns) cells.set(column, new Array<unknown>(rowEnd - rowStart));
  try {
    await hyparquet.parquetRead({
      file: buffer,
      metadata,
      columns,
      rowStart,
      rowEnd,
      compressors: COMPRESSORS,
      onChunk: (chunk) => {
        const target = cells.get(chunk.columnName)!;
        for (let k = 0; k < chunk.columnData.length; k++) target[chunk.rowStart + k - rowStart] = chunk.columnData[k];
      },
    });
  } catch (cause) {
    throw fileError(file, EXPECTED, cause);
  }
  return cells;
}

async function loadHyparquet(file: string): Promise<Hyparquet> {
  try {
    return await import("hyparquet");
  } catch (cause) {
    throw new EngineError(
      "peer-missing",
      `${file}: Parquet files need the package hyparquet; install it with: npm install hyparquet`,
      { file, package: "hyparquet" },
      cause,
    );
  }
}

function weightOf(cell: unknown, file: string, row: number): number {
  const value = typeof cell === "bigint" ? Number(cell) : cell;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new FileFormatError(`${file}: row ${row}`, "a finite weight", String(cell));
}
