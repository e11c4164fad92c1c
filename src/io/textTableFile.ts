// Tables of text (CSV, TSV, gzip or not) in columns, batch by batch.

import { FileFormatError } from "../core/errors.ts";
import { forEachRow, placeOf, type Row } from "./delimited.ts";
import { IdCellsBuilder } from "./idCells.ts";
import { EXACT_NUMBER } from "./numbers.ts";
import { NullCells, ROWS_PER_BATCH, wantedIndices } from "./tableColumns.ts";
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

/** How a table of text is laid out. */
export interface TextTableOptions {
  /** One character. Default: as `TableFormat` has it. */
  readonly delimiter?: string;
}

const EXPECTED = "a table of text whose first line names its columns (CSV, TSV)";
/** Ends the reading of a file. */
const STOP = Symbol("stop");

/**
 * Opens a table of text whose first line has the names of its columns: cells separated by a comma, tab or semicolon, packed with gzip or
 * not. Numbers have a decimal point. Ids are settled by `neuronIds.ts`: whole numbers are exact up to 2^63 − 1, and 7.0 is 7 unless an id of
 * the batch is a name.
 *
 * @throws {FileFormatError} missing, unreadable or damaged file, an empty one, one without a line of names
 */
export async function openTextTable(file: string, options: TextTableOptions = {}): Promise<TableFile> {
  const names = await namesOf(file, options);
  return new TextTable(file, options, names);
}

async function namesOf(file: string, { delimiter }: TextTableOptions): Promise<readonly string[]> {
  let found: readonly string[] = [];
  const format = { header: true, ...(delimiter !== undefined && { delimiter }) };
  const stop = (): never => {
    throw STOP;
  };
  await untilStopped(
    forEachRow(file, EXPECTED, format, {
      start(names) {
        found = names!;
        if (names!.every((name) => name !== "" && !Number.isNaN(Number(name)))) {
          throw new FileFormatError(`${file}:1`, "names of columns", "numbers only");
        }
      },
      row: stop,
    }),
  );
  return found;
}

async function untilStopped(reading: Promise<void>): Promise<void> {
  try {
    await reading;
  } catch (cause) {
    if (cause !== STOP) throw cause;
  }
}

class TextTable implements TableFile {
  readonly file: string;
  readonly columns: readonly TableColumn[];
  readonly rows = null;
  readonly #options: TextTableOptions;
  /** Rows whose line is not the one after the row before; their lines. Row 0 is in line 2 unless it stands here. */
  #breaks: number[] = [];
  #lines: number[] = [];

  constructor(file: string, options: TextTableOptions, names: readonly string[]) {
    this.file = file;
    this.#options = options;
    this.columns = names.map((name) => ({ name, type: "text" }));
  }

  async read(
    wanted: readonly WantedColumn[],
    visit: (batch: TableBatch) => boolean,
    options: ReadTableOptions = {},
  ): Promise<void> {
    const { file } = this;
    const indices = wantedIndices(file, this.columns, wanted);
    this.#breaks = [];
    this.#lines = [];
    let [rowStart, count, lastLine] = [0, 0, 1];
    const builders = wanted.map(({ name, as }, i) => {
      const place = (k: number): string => this.placeOf(rowStart + k, name);
      return builderOf(as, indices[i]!, place);
    });
    const deliver = (): void => {
      const cells = builders.map((builder) => builder.take(count));
      if (!visit({ rowStart, count, cells })) throw STOP;
      for (const builder of builders) builder.clear();
      rowStart += count;
      count = 0;
    };
    const { delimiter } = this.#options;
    const format = { header: true, ...(delimiter !== undefined && { delimiter }) };
    const visitor = {
      start: (names: readonly string[] | null) => this.#checkNames(names!),
      row: (row: Row) => {
        if (row.line !== lastLine + 1) {
          this.#breaks.push(rowStart + count);
          this.#lines.push(row.line);
        }
        lastLine = row.line;
        for (const builder of builders) builder.add(row, count);
        count++;
        if (count === ROWS_PER_BATCH) deliver();
      },
    };
    const reading = forEachRow(file, EXPECTED, format, visitor, options).then(() => {
      if (count > 0) deliver();
    });
    await untilStopped(reading);
  }

  placeOf(row: number, column: string): string {
    return placeOf(this.file, this.#lineOf(row), column);
  }

  async close(): Promise<void> {}

  /** The line of a row that has been read. */
  #lineOf(row: number): number {
    let [low, high] = [0, this.#breaks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#breaks[middle]! <= row) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? row + 2 : this.#lines[low - 1]! + row - this.#breaks[low - 1]!;
  }

  /** @throws {FileFormatError} "file-changed" */
  #checkNames(names: readonly string[]): void {
    const same = names.length === this.columns.length && this.columns.every(({ name }, i) => name === names[i]);
    if (same) return;
    const expected = "a file that stays as it is while it is in use";
    throw new FileFormatError(this.file, expected, "other columns than before", "file-changed");
  }
}

/** Collects the cells of a column, row by row. */
interface CellsBuilder {
  /** Cell k of the batch. */
  add(row: Row, k: number): void;
  /** The first `count` cells; they are valid until `clear`. */
  take(count: number): Cells;
  /** Begins the next batch. */
  clear(): void;
}

function builderOf(form: CellForm, column: number, placeOf: (k: number) => string): CellsBuilder {
  switch (form) {
    case "id":
      return new IdColumn(column, placeOf);
    case "number":
      return new NumberColumn(column);
    case "text":
      return new TextColumn(column);
  }
}

class IdColumn implements CellsBuilder {
  readonly #column: number;
  readonly #ids: IdCellsBuilder;
  readonly #texts = new TextDictionary();

  constructor(column: number, placeOf: (k: number) => string) {
    this.#column = column;
    this.#ids = new IdCellsBuilder(ROWS_PER_BATCH, placeOf);
  }

  add(row: Row, k: number): void {
    const ids = this.#ids;
    if (!ids.isText && row.whole64(this.#column, ids.words, k)) return;
    if (row.isEmpty(this.#column)) {
      ids.addNull(k);
      return;
    }
    const entry = row.textIdx(this.#column, this.#texts);
    ids.addText(k, this.#texts.text(entry), entry);
  }

  take(count: number): Cells {
    return this.#ids.take(count);
  }

  clear(): void {
    this.#ids.clear();
    if (this.#texts.beginBatch()) this.#ids.forgetTexts();
  }
}

class NumberColumn implements CellsBuilder {
  readonly #column: number;
  readonly #numbers = new Float64Array(ROWS_PER_BATCH);
  readonly #nulls = new NullCells(ROWS_PER_BATCH);

  constructor(column: number) {
    this.#column = column;
  }

  add(row: Row, k: number): void {
    const column = this.#column;
    if (row.isEmpty(column)) {
      this.#numbers[k] = Number.NaN;
      this.#nulls.add(k);
      return;
    }
    const value = row.finite(column, "a number, or an empty cell");
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER && /^[+-]?\d+$/.test(row.text(column))) {
      throw row.error(column, EXACT_NUMBER);
    }
    this.#numbers[k] = value;
  }

  take(count: number): Cells {
    return { as: "number", numbers: this.#numbers.subarray(0, count), nulls: this.#nulls.mask(count) };
  }

  clear(): void {
    this.#nulls.clear();
  }
}

class TextColumn implements CellsBuilder {
  readonly #column: number;
  readonly #texts = new TextDictionary();
  readonly #valueIdx = new Uint32Array(ROWS_PER_BATCH);
  readonly #nulls = new NullCells(ROWS_PER_BATCH);

  constructor(column: number) {
    this.#column = column;
  }

  add(row: Row, k: number): void {
    if (row.isEmpty(this.#column)) this.#nulls.add(k);
    this.#valueIdx[k] = row.textIdx(this.#column, this.#texts);
  }

  take(count: number): Cells {
    const valueIdx = this.#valueIdx.subarray(0, count);
    return { as: "text", values: this.#texts.values(), valueIdx, nulls: this.#nulls.mask(count) };
  }

  clear(): void {
    this.#nulls.clear();
    this.#texts.beginBatch();
  }
}
