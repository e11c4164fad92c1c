// Apache Arrow files and streams, Feather version 2 among them, as tables in columns. A file is read batch by batch: what it says of itself, then the
// buffers of the wanted columns, which are unpacked while the batch before is used. The readers of Arrow for JavaScript take a whole file in memory,
// unpack all columns and believe what bytes claim; so this one is our own.

import { FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { type RawColumn, readColumns, type Unpackers, unpackersFor } from "./arrowBuffers.ts";
import { CellReader, checkForm, type Place } from "./arrowCells.ts";
import { type BatchLayout, type Block, EXPECTED, type Framing, readFraming, readLayout } from "./arrowFraming.ts";
import type { ArrowField } from "./arrowSchema.ts";
import { type OpenFile, openFile } from "./files.ts";
import { elementLimit } from "./limits.ts";
import { ROWS_PER_BATCH, wantedIndices } from "./tableColumns.ts";
import type { ReadTableOptions, TableBatch, TableColumn, TableFile, WantedColumn } from "./tableFile.ts";

/** Batches that are read ahead, if they are small. */
const AHEAD = 4;
const BYTES_AHEAD = 2 ** 25;

/**
 * Opens an Apache Arrow file (Feather version 2) or stream, packed with LZ4, Zstandard or not at all. Of a batch only the wanted columns are read.
 * Ids are read from whole numbers, text, and floating-point numbers where they are whole and exact; numbers from numbers and truth values; text from
 * all of these. Other columns are listed, and refused when they are read. The memory needed is that of some batches.
 *
 * @throws {FileFormatError} another format, damaged or truncated
 */
export async function openArrowFile(file: string): Promise<TableFile> {
  return openArrowSource(await openFile(file, EXPECTED));
}

/** The table in a file that is open; closes it. */
export async function openArrowSource(source: OpenFile): Promise<TableFile> {
  try {
    return new ArrowFile(source, await readFraming(source));
  } catch (cause) {
    await source.close();
    throw cause;
  }
}

class ArrowFile implements TableFile {
  readonly file: string;
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  readonly #source: OpenFile;
  readonly #framing: Framing;
  /** Loaded at the first reading. */
  #unpackers: Promise<Unpackers> | null = null;

  constructor(source: OpenFile, framing: Framing) {
    this.file = source.file;
    this.columns = framing.schema.fields.map(({ name, typeName }) => ({ name, type: typeName }));
    this.rows = framing.rows;
    this.#source = source;
    this.#framing = framing;
  }

  async read(
    wanted: readonly WantedColumn[],
    visit: (batch: TableBatch) => boolean,
    { onProgress, signal }: ReadTableOptions = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const { fields } = this.#framing.schema;
    const indices = wantedIndices(this.file, this.columns, wanted);
    const columns = wanted.map(({ name, as }, i) => {
      const field = fields[indices[i]!]!;
      checkForm(field, as, `${this.file}: column ${quoteText(name, 60)}`);
      return { field, cells: new CellReader(field.type, as, this.file) };
    });
    this.#unpackers ??= unpackersFor(this.#framing.codecs, this.file);
    const unpackers = await this.#unpackers;
    const loading = this.#load(
      columns.map(({ field }) => field),
      unpackers,
    );
    let rowStart = 0;
    try {
      for await (const { layout, fields } of loading) {
        signal?.throwIfAborted();
        if (layout.dictionary !== null) {
          this.#setDictionary(layout, fields, columns);
          continue;
        }
        const { rows } = layout;
        const checked = columns.map(({ cells }, c) => cells.check(fields[c]!));
        for (let begin = 0; begin < rows; begin += ROWS_PER_BATCH) {
          const count = Math.min(ROWS_PER_BATCH, rows - begin);
          const batch = {
            ...{ rowStart: rowStart + begin, count },
            cells: columns.map(({ field, cells }, c) =>
              cells.read(checked[c]!, { begin, count }, (row) => this.placeOf(rowStart + row, field.name)),
            ),
          };
          if (!visit(batch)) return;
          onProgress?.({ done: rowStart + begin + count, total: this.rows });
        }
        rowStart += rows;
      }
    } finally {
      await this.#source.check();
    }
  }

  placeOf(row: number, column: string): string {
    return `${this.file}: row ${row}, column ${quoteText(column, 60)}`;
  }

  async close(): Promise<void> {
    await this.#unpackers?.then(
      (unpackers) => unpackers.close(),
      () => {},
    );
    await this.#source.close();
  }

  /** Batches and dictionaries in order; some are read ahead. */
  async *#load(fields: readonly ArrowField[], unpackers: Unpackers): AsyncGenerator<Loaded> {
    const { blocks } = this.#framing;
    const ahead: { readonly block: Block; readonly loaded: Promise<Loaded | null> }[] = [];
    let bytes = 0;
    try {
      for (let next = 0; next < blocks.length || ahead.length > 0; ) {
        while (next < blocks.length && (ahead.length === 0 || (ahead.length < AHEAD && bytes < BYTES_AHEAD))) {
          const block = blocks[next++]!;
          const loaded = this.#loadBlock(block, fields, unpackers);
          // A failure is reported when its turn comes.
          loaded.catch(() => {});
          ahead.push({ block, loaded });
          bytes += block.bodyBytes;
        }
        const { block, loaded } = ahead.shift()!;
        const it = await loaded;
        bytes -= block.bodyBytes;
        if (it !== null) yield it;
      }
    } finally {
      await Promise.allSettled(ahead.map(({ loaded }) => loaded));
    }
  }

  /** null: a dictionary that no wanted column has. */
  async #loadBlock(block: Block, wanted: readonly ArrowField[], unpackers: Unpackers): Promise<Loaded | null> {
    const layout = await readLayout(this.#source, block, this.#framing.schema);
    const fields = layout.dictionary === null ? wanted : entriesOf(layout.dictionary.id, wanted);
    if (fields.length === 0 && layout.dictionary !== null) return null;
    this.#checkRows(layout, fields);
    return { layout, fields: await readColumns(this.#source, layout, fields, unpackers) };
  }

  /** Rows that take no bytes are not believed in any number. */
  #checkRows({ rows }: BatchLayout, fields: readonly ArrowField[]): void {
    const limit = elementLimit(this.#source.length);
    if (rows > limit && fields.every(({ type }) => type.kind === "null")) {
      throw new FileFormatError(this.file, `at most ${limit} rows without content`, `${rows}`, "file-limit");
    }
  }

  #setDictionary({ dictionary }: BatchLayout, entries: readonly RawColumn[], columns: readonly Column[]): void {
    const { id, isDelta } = dictionary!;
    for (const { field, cells } of columns) {
      if (field.type.kind !== "dictionary" || field.type.id !== id) continue;
      const place: Place = (entry) =>
        `${this.file}: entry ${entry} of the dictionary of column ${quoteText(field.name, 60)}`;
      cells.setDictionary(entries[0]!, isDelta, place);
    }
  }
}

interface Column {
  readonly field: ArrowField;
  readonly cells: CellReader;
}

interface Loaded {
  readonly layout: BatchLayout;
  /** Of the wanted columns, or the entries of a dictionary. */
  readonly fields: readonly RawColumn[];
}

/** The only field of a batch of entries, if a wanted column has this dictionary. */
function entriesOf(id: bigint, wanted: readonly ArrowField[]): readonly ArrowField[] {
  const owner = wanted.find(({ type }) => type.kind === "dictionary" && type.id === id);
  return owner?.entries ? [owner.entries] : [];
}
