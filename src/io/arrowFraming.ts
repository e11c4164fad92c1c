// The frame of Arrow IPC files and streams (https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc):
// where the schema, the dictionaries and the record batches are, and where the buffers are in a batch. No content is read here.

import { EngineError, FileFormatError } from "../core/errors.ts";
import { plural, quoteText } from "../core/text.ts";
import {
  type ArrowField,
  type ArrowSchema,
  type Extent,
  NEWEST_VERSION,
  OLDEST_VERSION,
  schemaOf,
} from "./arrowSchema.ts";
import type { OpenFile } from "./files.ts";
import { FlatBufferError, FlatTable } from "./flatBuffer.ts";

export const EXPECTED = "an Arrow or Feather file";

export type Codec = "lz4" | "zstd";

/** A message in the file: an encapsulated FlatBuffer, then its body. */
export interface Block {
  readonly kind: "record" | "dictionary";
  readonly offset: number;
  /** With its prefix and padding. */
  readonly metadataBytes: number;
  readonly bodyBytes: number;
}

/** A record batch, or the entries of a dictionary as one. */
export interface BatchLayout {
  readonly rows: number;
  /** [2 · nodes], rows and empty cells of each. */
  readonly nodes: Float64Array;
  /** [2 · buffers], begin and length of each in the body. */
  readonly buffers: Float64Array;
  /** Buffers of each column of views. */
  readonly views: Float64Array;
  readonly codec: Codec | null;
  /** null in a record batch. */
  readonly dictionary: { readonly id: bigint; readonly isDelta: boolean } | null;
  /** Where the body begins in the file. */
  readonly bodyStart: number;
}

export interface Framing {
  readonly schema: ArrowSchema;
  /** Dictionaries before the batches that refer to them, batches in order. */
  readonly blocks: readonly Block[];
  readonly rows: number;
  readonly codecs: ReadonlySet<Codec>;
  /** A dictionary may replace an earlier one. */
  readonly isStream: boolean;
}

const MAGIC = "ARROW1";
/** Magic of the head with its padding. */
const HEAD_BYTES = 8;
/** Length of the footer, and the magic. */
const TAIL_BYTES = 10;
const CONTINUATION = 0xffffffff;
/** Largest description of a schema or a batch: 2.8 million batches in a footer. */
const MOST_METADATA_BYTES = 2 ** 26;
/** Bytes that hold most messages. */
const GUESS_BYTES = 2 ** 10;

const [SCHEMA, DICTIONARY, RECORD] = [1, 2, 3] as const;

/** @throws {FileFormatError} another format, damaged, truncated */
export async function readFraming(source: OpenFile): Promise<Framing> {
  const head = Buffer.from(await source.read(0, Math.min(HEAD_BYTES, source.length))).toString("latin1");
  if (head.startsWith("FEA1")) {
    const wanted = "Feather version 2, which is Arrow (write it again with pyarrow.feather.write_feather)";
    throw new FileFormatError(source.file, wanted, "Feather version 1");
  }
  if (head.startsWith("PAR1")) throw new FileFormatError(source.file, EXPECTED, "a Parquet file");
  const isStream = !head.startsWith(MAGIC);
  const { schema, blocks } = isStream ? await readStream(source) : await readFooter(source);
  const codecs = new Set<Codec>();
  let rows = 0;
  for (const block of blocks) {
    const layout = await readLayout(source, block, schema);
    if (layout.codec !== null) codecs.add(layout.codec);
    if (block.kind === "record") rows += layout.rows;
  }
  if (!Number.isSafeInteger(rows)) throw damage(source.file, `${rows} rows`);
  return { schema, blocks, rows, codecs, isStream };
}

/**
 * The layout of a message.
 *
 * @throws {FileFormatError} it is not of the kind and length of its block, or has not the columns of the schema
 */
export async function readLayout(source: OpenFile, block: Block, schema: ArrowSchema): Promise<BatchLayout> {
  const { kind, offset, metadataBytes, bodyBytes } = block;
  const bytes = await source.read(offset, offset + metadataBytes);
  return parsed(source.file, `the message at byte ${offset}`, () => {
    const prefix = prefixOf(bytes);
    const end = prefix.bytes + prefix.metadataBytes;
    if (end > bytes.length) throw new FlatBufferError("a description that is longer than its block");
    const message = messageOf(bytes.subarray(prefix.bytes, end));
    const wanted = kind === "record" ? RECORD : DICTIONARY;
    if (message.kind !== wanted || message.bodyBytes !== bodyBytes) throw new FlatBufferError("another message");
    const layout = layoutOf(message, offset + metadataBytes);
    const { dictionary } = layout;
    if (dictionary === null) checkExtent(schema.fields, layout);
    else {
      const owner = schema.fields.find(({ type }) => type.kind === "dictionary" && type.id === dictionary.id);
      // A dictionary of a column within another one is not read.
      if (owner?.entries) checkExtent([owner.entries], layout);
    }
    return layout;
  });
}

/** The buffers of a column in a batch: index of the first one, and how many. */
export function buffersOf({ start, extent }: ArrowField, { views }: BatchLayout): { first: number; count: number } {
  const added = (from: number, n: number): number => views.subarray(from, from + n).reduce((a, b) => a + b, 0);
  return {
    first: start.buffers + added(0, start.views),
    count: extent.buffers + added(start.views, extent.views),
  };
}

/** The error for content that contradicts itself. */
export function damage(place: string, what: string, code?: string): FileFormatError {
  return new FileFormatError(place, EXPECTED, `a damaged one (${what})`, code);
}

async function readFooter(source: OpenFile): Promise<Pick<Framing, "schema" | "blocks">> {
  const { file, length } = source;
  if (length < HEAD_BYTES + TAIL_BYTES) throw truncated(file, "a file without a footer");
  const tail = Buffer.from(await source.read(length - TAIL_BYTES, length));
  if (tail.toString("latin1", 4) !== MAGIC) throw truncated(file, "a file without a footer");
  const footerBytes = tail.readInt32LE(0);
  const begin = length - TAIL_BYTES - footerBytes;
  if (footerBytes <= 0 || begin < HEAD_BYTES) throw damage(file, `a footer of ${footerBytes} bytes`);
  if (footerBytes > MOST_METADATA_BYTES) throw tooMuchMetadata(file, footerBytes);
  const bytes = await source.read(begin, length - TAIL_BYTES);
  return parsed(file, "its footer", () => {
    const footer = FlatTable.root(bytes);
    const version = versionOf(footer.int16(0));
    const schema = footer.table(1);
    if (schema === null) throw new FlatBufferError("no schema");
    const blocks: Block[] = [
      ...footer.blocks(2).map((block) => ({ kind: "dictionary" as const, ...block })),
      ...footer.blocks(3).map((block) => ({ kind: "record" as const, ...block })),
    ];
    checkPlaces(blocks, begin);
    return { schema: schemaOf(schema, version), blocks };
  });
}

/** Messages lie between head and footer, and none in another. */
function checkPlaces(blocks: readonly Block[], end: number): void {
  let at = HEAD_BYTES;
  for (const { offset, metadataBytes, bodyBytes } of blocks.toSorted((a, b) => a.offset - b.offset)) {
    if (metadataBytes <= 0 || metadataBytes > MOST_METADATA_BYTES)
      throw new FlatBufferError(`a description of ${metadataBytes} bytes`);
    if (offset < at) throw new FlatBufferError("batches that overlap");
    at = offset + metadataBytes + bodyBytes;
  }
  if (at > end) throw new FlatBufferError("a batch outside the file");
}

async function readStream(source: OpenFile): Promise<Pick<Framing, "schema" | "blocks">> {
  const { file, length } = source;
  let schema: ArrowSchema | null = null;
  const blocks: Block[] = [];
  for (let at = 0; at < length; ) {
    const guess = await source.read(at, Math.min(length, at + GUESS_BYTES));
    const place = `the message at byte ${at}`;
    const notArrow: string | undefined = schema === null ? "other bytes" : undefined;
    const prefix: Prefix = parsed(file, place, () => prefixOf(guess), notArrow);
    if (prefix.metadataBytes === 0) {
      if (at + prefix.bytes < length) throw damage(file, `${plural(length - at - prefix.bytes, "byte")} after its end`);
      break;
    }
    const metadataBytes: number = prefix.bytes + prefix.metadataBytes;
    if (prefix.metadataBytes > MOST_METADATA_BYTES && at + metadataBytes <= length)
      throw tooMuchMetadata(file, prefix.metadataBytes);
    if (at + metadataBytes > length) {
      throw schema === null
        ? new FileFormatError(file, EXPECTED, "other bytes")
        : truncated(file, "one that ends early");
    }
    const bytes: Uint8Array = metadataBytes <= guess.length ? guess : await source.read(at, at + metadataBytes);
    const message: Message = parsed(
      file,
      place,
      () => messageOf(bytes.subarray(prefix.bytes, metadataBytes)),
      notArrow,
    );
    const { kind, bodyBytes } = message;
    if (at + metadataBytes + bodyBytes > length) throw truncated(file, "one that ends early");
    if (kind === SCHEMA) {
      if (schema !== null) throw damage(file, "a second schema");
      schema = parsed(file, place, () => schemaOf(message.header, message.version));
    } else {
      if (schema === null) throw damage(file, "a batch before the schema");
      blocks.push({ kind: kind === RECORD ? "record" : "dictionary", offset: at, metadataBytes, bodyBytes });
    }
    at += metadataBytes + bodyBytes;
  }
  if (schema === null) throw new FileFormatError(file, EXPECTED, length === 0 ? "an empty file" : "no schema");
  return { schema, blocks };
}

interface Prefix {
  readonly bytes: number;
  readonly metadataBytes: number;
}

/** What stands before the FlatBuffer of a message: its length, since version 0.15 after a marker. */
function prefixOf(bytes: Uint8Array): Prefix {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isMarked = view.getUint32(0, true) === CONTINUATION;
  const metadataBytes = view.getInt32(isMarked ? 4 : 0, true);
  if (metadataBytes < 0) throw new FlatBufferError(`a description of ${metadataBytes} bytes`);
  return { bytes: isMarked ? 8 : 4, metadataBytes };
}

interface Message {
  readonly version: number;
  readonly kind: typeof SCHEMA | typeof DICTIONARY | typeof RECORD;
  readonly header: FlatTable;
  readonly bodyBytes: number;
}

function messageOf(bytes: Uint8Array): Message {
  const table = FlatTable.root(bytes);
  const version = versionOf(table.int16(0));
  const kind = table.uint8(1);
  const header = table.table(2);
  if ((kind !== SCHEMA && kind !== DICTIONARY && kind !== RECORD) || header === null)
    throw new FlatBufferError("a message of another kind");
  return { version, kind, header, bodyBytes: table.count(3) };
}

function versionOf(version: number): number {
  if (version >= OLDEST_VERSION && version <= NEWEST_VERSION) return version;
  throw new FlatBufferError(`version ${version + 1} of the format, not 4 or 5`);
}

function layoutOf({ kind, header, bodyBytes }: Message, bodyStart: number): BatchLayout {
  const dictionary = kind === DICTIONARY ? { id: header.int64(0), isDelta: header.bool(2) } : null;
  const batch = kind === DICTIONARY ? header.table(1) : header;
  if (batch === null) throw new FlatBufferError("a dictionary without entries");
  const buffers = batch.counts(2, 2);
  for (let k = 0; k < buffers.length; k += 2) {
    if (buffers[k]! + buffers[k + 1]! > bodyBytes) throw new FlatBufferError("a buffer outside its batch");
  }
  const [rows, nodes, views] = [batch.count(0), batch.counts(1, 2), batch.counts(4)];
  return { rows, nodes, buffers, views, codec: codecOf(batch.table(3)), dictionary, bodyStart };
}

function codecOf(compression: FlatTable | null): Codec | null {
  if (compression === null) return null;
  const codec = (["lz4", "zstd"] as const)[compression.uint8(0)];
  if (codec === undefined || compression.uint8(1) !== 0) throw new FlatBufferError("compression of an unknown kind");
  return codec;
}

/** A batch has the nodes and buffers that its columns need, each column with as many rows as the batch. */
function checkExtent(fields: readonly ArrowField[], { rows, nodes, buffers, views }: BatchLayout): void {
  const last = fields.at(-1);
  const after = (part: keyof Extent): number => (last === undefined ? 0 : last.start[part] + last.extent[part]);
  const wanted = after("buffers") + views.reduce((a, b) => a + b, 0);
  if (nodes.length !== 2 * after("nodes") || buffers.length !== 2 * wanted || views.length !== after("views"))
    throw new FlatBufferError("a batch with other columns than the file");
  for (const { name, start } of fields) {
    if (nodes[2 * start.nodes] !== rows)
      throw new FlatBufferError(`${quoteText(name, 60)} has not the rows of its batch`);
  }
}

/** What `parse` returns; what is wrong with the bytes becomes the typed error. */
function parsed<T>(file: string, place: string, parse: () => T, got?: string): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    if (!(cause instanceof FlatBufferError || cause instanceof RangeError)) throw cause;
    if (got !== undefined) throw new FileFormatError(file, EXPECTED, got);
    throw damage(file, `${place}: ${cause instanceof FlatBufferError ? cause.message : "an offset outside of it"}`);
  }
}

function truncated(file: string, got: string): FileFormatError {
  return new FileFormatError(file, `a whole ${EXPECTED.replace(/^an? /, "")}`, got, "file-truncated");
}

function tooMuchMetadata(file: string, bytes: number): FileFormatError {
  const expected = `descriptions of at most ${MOST_METADATA_BYTES} bytes`;
  return new FileFormatError(file, expected, `${bytes}`, "file-limit");
}
