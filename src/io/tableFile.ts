// Tables in files, in columns and batch by batch: what Feather (Arrow), Parquet and text files have in common. A batch holds typed arrays and no
// object per row, so a file of 150 million rows is read in the memory of one batch.

/** A column of a table. */
export interface TableColumn {
  readonly name: string;
  /** Its type as the file has it, for people: "int64", "dictionary<string>", "text". */
  readonly type: string;
}

/**
 * In which form cells are wanted. "id": names of neurons, exact whole numbers of 64 bits or text, never rounded. "number": numbers.
 * "text": text, coded by a dictionary, because few values repeat in many rows.
 */
export type CellForm = "id" | "number" | "text";

/** A column to read, and how. */
export interface WantedColumn {
  readonly name: string;
  readonly as: CellForm;
}

/** [rows], 1 where a cell is empty (null); null: no cell is. */
export type NullMask = Uint8Array | null;

/**
 * Whole numbers that are ids, or text where one id of the batch is not a whole number from 0 to 2^63 − 1; after a batch of text, all later
 * ones are text. So earlier batches may have numbers: as all of them stood in their shortest form (else the name that comes later is an
 * error), their texts are their digits. An empty cell is 0 or "".
 */
export interface IdCells {
  readonly as: "id";
  readonly ids: BigInt64Array | readonly string[];
  readonly nulls: NullMask;
}

/** Numbers, each as exact as in the file: whole numbers beyond ±2^53 are refused. An empty cell is NaN, or 0 in an array of whole numbers. */
export interface NumberCells {
  readonly as: "number";
  readonly numbers:
    | Float64Array
    | Float32Array
    | Int32Array
    | Uint32Array
    | Int16Array
    | Uint16Array
    | Int8Array
    | Uint8Array;
  readonly nulls: NullMask;
}

/** Text: cell i is `values[valueIdx[i]]`; "" where it is empty. Batches may have different dictionaries. */
export interface TextCells {
  readonly as: "text";
  readonly values: readonly string[];
  readonly valueIdx: Uint32Array;
  readonly nulls: NullMask;
}

/** Cells of a column in the form that was asked for. */
export type Cells = IdCells | NumberCells | TextCells;

/** Rows `rowStart` … `rowStart + count − 1`. Its arrays are valid until the next batch. */
export interface TableBatch {
  readonly rowStart: number;
  readonly count: number;
  /** Of the wanted columns, in their order. */
  readonly cells: readonly Cells[];
}

/** How far the reading of a file is, in its own unit (rows or bytes). */
export interface ReadProgress {
  readonly done: number;
  readonly total: number;
}

/** A table that is open. */
export interface TableFile {
  readonly file: string;
  readonly columns: readonly TableColumn[];
  /** null: not known before the end, as in files of text. */
  readonly rows: number | null;
  /**
   * Reads columns from the first row to the last, batch by batch.
   *
   * @param visit  returns false to stop: what comes later is not read
   * @throws {FileFormatError} damaged content, cells that do not have the wanted form, with their place
   * @throws {ArgumentError} a column that does not exist, with the nearest name
   * @throws {EngineError} "peer-missing": a package that decodes this file is not installed
   * @throws the signal's reason
   */
  read(
    wanted: readonly WantedColumn[],
    visit: (batch: TableBatch) => boolean,
    options?: ReadTableOptions,
  ): Promise<void>;
  /** Where a cell stands, for messages: 'edges.feather: row 12, column "body_pre"'. */
  placeOf(row: number, column: string): string;
  close(): Promise<void>;
}

/** How a table is read. */
export interface ReadTableOptions {
  readonly onProgress?: (progress: ReadProgress) => void;
  readonly signal?: AbortSignal;
}
