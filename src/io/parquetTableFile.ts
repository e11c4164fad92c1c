// Parquet files as tables in columns, decoded in a process of their own (parquetTable.ts).

import { FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { addCodedIds } from "./codedIds.ts";
import { IdCellsBuilder } from "./idCells.ts";
import { idOfValue } from "./neuronIds.ts";
import { cellOf, type Slice } from "./parquetCells.ts";
import { forEachSlice, type ParquetColumn } from "./parquetTable.ts";
import { ROWS_PER_BATCH, wantedIndices } from "./tableColumns.ts";
import type {
  CellForm,
  Cells,
  ReadTableOptions,
  TableBatch,
  TableColumn,
  TableFile,
  WantedColumn,
} from "./tableFile.ts";
import { TextDictionary } from "./textDictionary.ts";

/**
 * Opens a Parquet file: pages stored as they are or packed with snappy, gzip, Brotli, zstd or LZ4. Whole numbers of 64 bits stay exact;
 * ids may be text; ids stored as floating point are refused where it rounds them (from 2^53 on, in single precision from 2^24).
 *
 * @throws {EngineError} "peer-missing": hyparquet is not installed
 * @throws {FileFormatError} missing or damaged file, one that takes more time or memory than a file of its size can need ("file-limit")
 */
export async function openParquetTable(file: string): Promise<TableFile> {
  let table: TableFile | null = null;
  await forEachSlice(file, {
    choose(columns, rows) {
      table = new ParquetTable(file, columns, rows);
      return null;
    },
    rows: () => false,
  });
  return table!;
}

class ParquetTable implements TableFile {
  readonly file: string;
  readonly columns: readonly TableColumn[];
  readonly rows: number;

  constructor(file: string, columns: readonly ParquetColumn[], rows: number) {
    this.file = file;
    this.columns = columns;
    this.rows = rows;
  }

  async read(
    wanted: readonly WantedColumn[],
    visit: (batch: TableBatch) => boolean,
    { onProgress, signal }: ReadTableOptions = {},
  ): Promise<void> {
    const { file, rows } = this;
    const indices = wantedIndices(file, this.columns, wanted);
    let start = 0;
    const readers = wanted.map(({ name, as }, i) => {
      const place = (k: number): string => this.placeOf(start + k, name);
      return readerOf(as, this.columns[indices[i]!]!.type, place);
    });
    // The decoder sends a column once.
    const names = [...new Set(wanted.map(({ name }) => name))];
    const sliceOf = wanted.map(({ name }) => names.indexOf(name));
    const visitor = {
      choose: (columns: readonly ParquetColumn[], count: number) => {
        this.#checkSame(columns, count);
        return names;
      },
      rows: (slices: readonly Slice[], rowStart: number, count: number) => {
        start = rowStart;
        const cells = readers.map((read, i) => read(slices[sliceOf[i]!]!, count));
        const more = visit({ rowStart, count, cells });
        onProgress?.({ done: rowStart + count, total: rows });
        return more;
      },
    };
    await forEachSlice(file, visitor, signal ? { signal } : {});
  }

  placeOf(row: number, column: string): string {
    return `${this.file}: row ${row}, column ${quoteText(column, 60)}`;
  }

  async close(): Promise<void> {}

  /** @throws {FileFormatError} "file-changed" */
  #checkSame(columns: readonly ParquetColumn[], rows: number): void {
    const same =
      rows === this.rows &&
      columns.length === this.columns.length &&
      columns.every(({ name, type }, i) => name === this.columns[i]!.name && type === this.columns[i]!.type);
    if (same) return;
    const expected = "a file that stays as it is while it is in use";
    throw new FileFormatError(this.file, expected, "other columns or rows than before", "file-changed");
  }
}

/** Makes the cells of a batch from what the decoder sent. */
type CellsReader = (slice: Slice, count: number) => Cells;

type PlaceOf = (k: number) => string;

function readerOf(form: CellForm, type: string, placeOf: PlaceOf): CellsReader {
  switch (form) {
    case "id":
      return idReader(type === "FLOAT" ? 2 ** 24 : 2 ** 53, placeOf);
    case "number":
      return (slice) => numbersOf(slice, placeOf);
    case "text":
      return (slice, count) => textsOf(slice, count, placeOf);
  }
}

/** @param exactTo  as `idOfValue` */
function idReader(exactTo: number, placeOf: PlaceOf): CellsReader {
  let builder: IdCellsBuilder | null = null;
  return (slice, count) => {
    if (slice.kind === "whole") {
      checkNotNegative(slice.whole, placeOf);
      return { as: "id", ids: slice.whole, nulls: slice.nulls };
    }
    if (slice.kind === "numbers") {
      for (let k = 0; k < count; k++)
        if (slice.nulls?.[k] !== 1) idOfValue(slice.numbers[k], () => placeOf(k), exactTo);
      return { as: "id", ids: wholeOf(slice.numbers), nulls: slice.nulls };
    }
    builder ??= new IdCellsBuilder(ROWS_PER_BATCH, placeOf);
    builder.clear();
    if (slice.kind === "texts") addCodedIds(builder, slice, count);
    else addOthers(builder, slice, count, placeOf);
    return builder.take(count);
  };
}

/** Integers without sign that need all 64 bits become text; what is no id is refused. */
function addOthers(builder: IdCellsBuilder, slice: Slice, count: number, placeOf: PlaceOf): void {
  for (let k = 0; k < count; k++) {
    const cell = cellOf(slice, k);
    if (cell === null) builder.addNull(k);
    else if (typeof cell === "string") builder.addText(k, cell);
    else {
      const id = idOfValue(cell, () => placeOf(k));
      if (BigInt.asIntN(64, BigInt(id)) === BigInt(id)) builder.addWhole(k, BigInt(id));
      else builder.addText(k, String(id));
    }
  }
}

/** Whole numbers from 0 to 2^53 as integers of 64 bits. */
function wholeOf(numbers: Float64Array): BigInt64Array {
  const ids = new BigInt64Array(numbers.length);
  const words = new Uint32Array(ids.buffer);
  for (let k = 0; k < numbers.length; k++) {
    words[2 * k] = numbers[k]! % 2 ** 32;
    words[2 * k + 1] = numbers[k]! / 2 ** 32;
  }
  return ids;
}

function checkNotNegative(ids: BigInt64Array, placeOf: PlaceOf): void {
  const words = new Int32Array(ids.buffer, ids.byteOffset, 2 * ids.length);
  for (let k = 0; k < ids.length; k++) if (words[2 * k + 1]! < 0) idOfValue(ids[k], () => placeOf(k));
}

function numbersOf(slice: Slice, placeOf: PlaceOf): Cells {
  const { nulls } = slice;
  if (slice.kind !== "numbers" && slice.kind !== "whole") return noNumbers(slice, placeOf);
  const numbers = slice.kind === "numbers" ? slice.numbers : exactNumbers(slice.whole, placeOf);
  if (nulls) for (let k = 0; k < nulls.length; k++) if (nulls[k] === 1) numbers[k] = Number.NaN;
  return { as: "number", numbers, nulls };
}

/** @throws {FileFormatError} a whole number beyond ±2^53 */
function exactNumbers(whole: BigInt64Array, placeOf: PlaceOf): Float64Array {
  const low = new Uint32Array(whole.buffer, whole.byteOffset, 2 * whole.length);
  const high = new Int32Array(whole.buffer, whole.byteOffset, 2 * whole.length);
  const numbers = new Float64Array(whole.length);
  for (let k = 0; k < numbers.length; k++) {
    const value = high[2 * k + 1]! * 2 ** 32 + low[2 * k]!;
    if (!Number.isSafeInteger(value)) {
      throw new FileFormatError(placeOf(k), "a number within ±2^53, where whole numbers are exact", `${whole[k]}`);
    }
    numbers[k] = value;
  }
  return numbers;
}

/** A column of something else: allowed where all cells are empty. */
function noNumbers(slice: Slice, placeOf: PlaceOf): Cells {
  const count = slice.kind === "texts" ? slice.valueIdx.length : (slice as { cells: readonly unknown[] }).cells.length;
  for (let k = 0; k < count; k++) {
    const cell = cellOf(slice, k);
    if (cell !== null) throw new FileFormatError(placeOf(k), "a number, or an empty cell", quoteValue(cell));
  }
  return { as: "number", numbers: new Float64Array(count).fill(Number.NaN), nulls: slice.nulls };
}

/** Numbers and truth values become text, too. */
function textsOf(slice: Slice, count: number, placeOf: PlaceOf): Cells {
  if (slice.kind === "texts") {
    const { values, valueIdx, nulls } = slice;
    return { as: "text", values, valueIdx, nulls };
  }
  const texts = new TextDictionary();
  const valueIdx = new Uint32Array(count);
  for (let k = 0; k < count; k++) {
    const cell = cellOf(slice, k);
    if (typeof cell === "object" && cell !== null) throw new FileFormatError(placeOf(k), "text", quoteValue(cell));
    valueIdx[k] = texts.indexOfText(cell === null ? "" : String(cell));
  }
  return { as: "text", values: texts.values(), valueIdx, nulls: slice.nulls };
}
