// Writes tables as Arrow files (Feather version 2), batch by batch, not packed.
// Source: Arrow Columnar Format 1.5, "Serialization and Interprocess Communication", and its schemas Message.fbs, Schema.fbs, File.fbs.

import { ArgumentError } from "../core/errors.ts";
import { replaceFile } from "./durable.ts";
import {
  encodeFlatBuffer,
  type FlatFields,
  type FlatNode,
  flatText,
  int8,
  int16,
  int32,
  int64,
  list,
  structs,
  table,
} from "./flatBufferWriter.ts";
import type { Cells, NullMask } from "./tableFile.ts";

/** A column to write. Text of a dictionary has these values, in order; at most 127. */
export type ArrowColumn =
  | { readonly name: string; readonly type: "int64" | "int32" | "double" | "string" }
  | { readonly name: string; readonly type: "dictionary"; readonly values: readonly string[] };

const MAGIC = new TextEncoder().encode("ARROW1");
const VERSION_5 = int16(4);
const [SCHEMA, DICTIONARY, RECORDS] = [1, 2, 3] as const;
/** Numbers of the types in Schema.fbs. */
const TYPES = { int64: 2, int32: 2, double: 3, string: 5, dictionary: 5 } as const;
const MOST_VALUES = 127;
/** Buffers begin at multiples of this. */
const ALIGNMENT = 64;
const encoder = new TextEncoder();

/** Where a message is: begin, bytes of what it says, bytes of its data. */
type Block = readonly [begin: number, metadata: number, body: number];

/**
 * Writes a table durably; no more than a batch is in memory.
 *
 * @param batches  cells of the columns in their order: ids of whole numbers for int64, numbers for int32 and double, text for the rest
 * @param metadata  key and value, stored with the schema
 * @throws {ArgumentError} cells that a column cannot have, or of different lengths
 * @throws {EngineError} "file-write"; the old content is still there
 */
export async function writeArrowFile(
  file: string,
  columns: readonly ArrowColumn[],
  batches: Iterable<readonly Cells[]> | AsyncIterable<readonly Cells[]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await replaceFile(file, parts(columns, batches, metadata));
}

async function* parts(
  columns: readonly ArrowColumn[],
  batches: Iterable<readonly Cells[]> | AsyncIterable<readonly Cells[]>,
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  const blocks: { dictionaries: Block[]; records: Block[] } = { dictionaries: [], records: [] };
  const counted = (bytes: Uint8Array): Uint8Array => {
    at += bytes.length;
    return bytes;
  };
  yield counted(padded(MAGIC, 8));
  const schema = schemaOf(columns, metadata);
  yield counted(message(SCHEMA, schema, 0));
  for (const [id, column] of columns.entries()) {
    if (column.type !== "dictionary") continue;
    const body = new Body();
    body.addText(
      [...column.values],
      Uint32Array.from(column.values, (_, i) => i),
      null,
    );
    const head = message(DICTIONARY, table(int64(id), body.describe(column.values.length)), body.length);
    blocks.dictionaries.push([at, head.length, body.length]);
    yield counted(head);
    for (const bytes of body.parts) yield counted(bytes);
  }
  for await (const cells of batches) {
    const count = checkedCount(columns, cells);
    const body = new Body();
    for (const [i, column] of columns.entries()) addCells(body, column, cells[i]!);
    const head = message(RECORDS, body.describe(count), body.length);
    blocks.records.push([at, head.length, body.length]);
    yield counted(head);
    for (const bytes of body.parts) yield counted(bytes);
  }
  yield Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
  const footer = encodeFlatBuffer(table(VERSION_5, schema, blocksOf(blocks.dictionaries), blocksOf(blocks.records)));
  yield footer;
  yield new Uint8Array(Int32Array.of(footer.length).buffer);
  yield MAGIC;
}

/** A struct has its two lengths apart: 64 bits, 32 and as many to fill up, 64. */
function blocksOf(blocks: readonly Block[]): FlatNode {
  return structs(3, blocks.flat());
}

/** What a message says, with its length before it. */
function message(kind: number, header: FlatFields, bodyBytes: number): Uint8Array {
  const said = encodeFlatBuffer(table(VERSION_5, int8(kind), header, int64(bodyBytes)));
  const bytes = new Uint8Array(8 + said.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xffffffff, true);
  view.setInt32(4, said.length, true);
  bytes.set(said, 8);
  return bytes;
}

function schemaOf(columns: readonly ArrowColumn[], metadata: Readonly<Record<string, string>>): FlatFields {
  const fields = columns.map((column, id) => {
    const isDictionary = column.type === "dictionary";
    // Id, type of the indices, ordered.
    const dictionary = isDictionary ? table(int64(id), table(int32(8), int8(1)), int8(1)) : null;
    return table(flatText(column.name), int8(1), int8(TYPES[column.type]), typeOf(column), dictionary, list([]));
  });
  const entries = Object.entries(metadata).map(([key, value]) => table(flatText(key), flatText(value)));
  return table(int16(0), list(fields), list(entries));
}

function typeOf({ type }: ArrowColumn): FlatFields {
  if (type === "double") return table(int16(2));
  if (type === "int64" || type === "int32") return table(int32(type === "int64" ? 64 : 32), int8(1));
  return table();
}

function checkedCount(columns: readonly ArrowColumn[], cells: readonly Cells[]): number {
  const lengths = cells.map((column) => lengthOf(column));
  if (lengths.length === columns.length && lengths.every((length) => length === lengths[0])) return lengths[0] ?? 0;
  const expected = `${columns.length} columns of one length`;
  throw new ArgumentError("writeArrowFile", "batches", expected, `lengths ${lengths.join(", ")}`);
}

function lengthOf(cells: Cells): number {
  if (cells.as === "id") return cells.ids.length;
  return cells.as === "number" ? cells.numbers.length : cells.valueIdx.length;
}

function addCells(body: Body, column: ArrowColumn, cells: Cells): void {
  const { type } = column;
  if (type === "int64" && cells.as === "id" && cells.ids instanceof BigInt64Array) {
    body.add(cells.ids.length, cells.nulls, cells.ids);
  } else if (type === "int32" && cells.as === "number" && cells.numbers instanceof Int32Array) {
    body.add(cells.numbers.length, cells.nulls, cells.numbers);
  } else if (type === "double" && cells.as === "number" && cells.numbers instanceof Float64Array) {
    body.add(cells.numbers.length, cells.nulls, cells.numbers);
  } else if (type === "string" && cells.as === "text") body.addText(cells.values, cells.valueIdx, cells.nulls);
  else if (type === "dictionary" && cells.as === "text" && column.values.length <= MOST_VALUES) {
    body.add(cells.valueIdx.length, cells.nulls, Int8Array.from(cells.valueIdx));
  } else throw new ArgumentError("writeArrowFile", "batches", `cells of a column of ${type}`, cells.as);
}

/** The data of a batch: its buffers, and what is said about them. */
class Body {
  readonly parts: Uint8Array[] = [];
  length = 0;
  readonly #nodes: number[] = [];
  readonly #buffers: number[] = [];

  /** A column of `count` cells. */
  add(count: number, nulls: NullMask, ...buffers: readonly ArrayBufferView[]): void {
    const { bits, empty } = validity(nulls, count);
    this.#nodes.push(count, empty);
    for (const { buffer, byteOffset, byteLength } of [bits, ...buffers]) {
      this.#buffers.push(this.length, byteLength);
      const bytes = padded(new Uint8Array(buffer, byteOffset, byteLength), ALIGNMENT);
      this.parts.push(bytes);
      this.length += bytes.length;
    }
  }

  addText(values: readonly string[], valueIdx: Uint32Array, nulls: NullMask): void {
    const encoded = values.map((value) => encoder.encode(value));
    const isNull = (i: number): boolean => nulls?.[i] === 1;
    const offsets = new Int32Array(valueIdx.length + 1);
    for (let i = 0; i < valueIdx.length; i++) {
      offsets[i + 1] = offsets[i]! + (isNull(i) ? 0 : encoded[valueIdx[i]!]!.length);
    }
    const text = new Uint8Array(offsets.at(-1)!);
    for (let i = 0; i < valueIdx.length; i++) if (!isNull(i)) text.set(encoded[valueIdx[i]!]!, offsets[i]!);
    this.add(valueIdx.length, nulls, offsets, text);
  }

  /** A RecordBatch. */
  describe(count: number): FlatFields {
    return table(int64(count), structs(2, this.#nodes), structs(2, this.#buffers));
  }
}

/** A bit per cell, 1 where it is not empty; no bits where none is. */
function validity(nulls: NullMask, count: number): { bits: Uint8Array; empty: number } {
  let empty = 0;
  for (let i = 0; nulls && i < count; i++) if (nulls[i] === 1) empty++;
  const bits = new Uint8Array(empty === 0 ? 0 : Math.ceil(count / 8));
  for (let i = 0; empty > 0 && i < count; i++) if (nulls![i] !== 1) bits[i >> 3]! |= 1 << (i & 7);
  return { bits, empty };
}

/** Bytes with zeros behind them up to a multiple; the same memory where they are one. */
function padded(bytes: Uint8Array, multiple: number): Uint8Array {
  const length = Math.ceil(bytes.length / multiple) * multiple;
  if (length === bytes.length) return bytes;
  const more = new Uint8Array(length);
  more.set(bytes);
  return more;
}
