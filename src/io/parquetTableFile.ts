// Parquet files as tables in columns, decoded in a process of their own (parquetTable.ts).

import { FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { idOfValue } from "./neuronIds.ts";
import { exactNumbers } from "./numbers.ts";
import { cellOf, type Slice } from "./parquetCells.ts";
import { forEachSlice, type ParquetColumn } from "./parquetTable.ts";
import { StoredIds } from "./storedIds.ts";
import { wantedIndices } from "./tableColumns.ts";
import type {
  CellForm,
  Cells,
  ReadTableOptions,
  TableBatch,
  TableColumn,
  TableFile,
  TextCells,
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

type OtherCells = Extract<Slice, { kind: "other" }>;

function readerOf(form: CellForm, type: string, placeOf: PlaceOf): CellsReader {
  switch (form) {
    case "id":
      return idReader(type === "FLOAT" ? 2 ** 24 : 2 ** 53, placeOf);
    case "number":
      return (slice) => numbersOf(slice, placeOf);
    case "text":
      return textReader(placeOf);
  }
}

/** @param exactTo  as `idOfValue` */
function idReader(exactTo: number, placeOf: PlaceOf): CellsReader {
  let ids: StoredIds | null = null;
  return (slice, count) => {
    ids ??= new StoredIds(placeOf);
    switch (slice.kind) {
      case "whole":
        return ids.ofWide(slice.whole, slice.nulls);
      case "numbers":
        return ids.ofNumbers(slice.numbers, exactTo, slice.nulls);
      case "texts":
        return ids.ofTexts(slice, count);
      case "other":
        return ids.ofTexts(idTexts(slice, exactTo, placeOf), count);
    }
  };
}

/** @throws {FileFormatError} cells that are no ids */
function idTexts({ cells, nulls }: OtherCells, exactTo: number, placeOf: PlaceOf): TextCells {
  const values = cells.map((cell, k) => (cell === null ? "" : String(idOfValue(cell, () => placeOf(k), exactTo))));
  return { as: "text", values, valueIdx: Uint32Array.from(values, (_, k) => k), nulls };
}

function numbersOf(slice: Slice, placeOf: PlaceOf): Cells {
  const { nulls } = slice;
  switch (slice.kind) {
    case "whole":
      return { as: "number", numbers: exactNumbers(slice.whole, placeOf, nulls), nulls };
    case "numbers":
      if (nulls) for (let k = 0; k < nulls.length; k++) if (nulls[k] === 1) slice.numbers[k] = Number.NaN;
      return { as: "number", numbers: slice.numbers, nulls };
    case "texts":
      return {
        as: "number",
        numbers: numbersOfOthers(
          Array.from(slice.valueIdx, (_, k) => cellOf(slice, k)),
          placeOf,
        ),
        nulls,
      };
    case "other":
      return { as: "number", numbers: numbersOfOthers(slice.cells, placeOf), nulls };
  }
}

/** Truth values are numbers; all else must be empty. */
function numbersOfOthers(cells: readonly unknown[], placeOf: PlaceOf): Float64Array {
  return Float64Array.from(cells, (cell, k) => {
    if (cell === null) return Number.NaN;
    if (typeof cell === "boolean") return Number(cell);
    throw new FileFormatError(placeOf(k), "a number, or an empty cell", quoteValue(cell));
  });
}

/** Numbers and truth values become text, too. */
function textReader(placeOf: PlaceOf): CellsReader {
  const texts = new TextDictionary();
  return (slice, count) => {
    const { nulls } = slice;
    if (slice.kind === "texts") return { as: "text", values: slice.values, valueIdx: slice.valueIdx, nulls };
    texts.beginBatch();
    const valueIdx = new Uint32Array(count);
    if (slice.kind === "other") {
      for (let k = 0; k < count; k++) {
        const cell = slice.cells[k]!;
        if (typeof cell === "object" && cell !== null) throw new FileFormatError(placeOf(k), "text", quoteValue(cell));
        valueIdx[k] = texts.indexOfText(cell === null ? "" : String(cell));
      }
    } else {
      const cells = slice.kind === "whole" ? slice.whole : slice.numbers;
      const bytes = new Uint8Array(cells.buffer, cells.byteOffset, cells.byteLength);
      const width = cells.BYTES_PER_ELEMENT;
      for (let k = 0; k < count; k++) {
        const end = nulls?.[k] === 1 ? k * width : (k + 1) * width;
        valueIdx[k] = texts.indexOf(bytes, k * width, end, () => (nulls?.[k] === 1 ? "" : String(cells[k])));
      }
    }
    return { as: "text", values: texts.values(), valueIdx, nulls };
  };
}
