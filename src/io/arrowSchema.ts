// The columns of an Arrow file and their types (Schema.fbs of Apache Arrow), and which nodes and buffers of a record batch belong to each.

import { FlatBufferError, type FlatTable } from "./flatBuffer.ts";

/** Whole numbers. */
export interface IntType {
  readonly kind: "int";
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
}

/** Types by the way in which their cells are read; "other": not at all. */
export type ArrowType =
  | IntType
  | { readonly kind: "float"; readonly bits: 16 | 32 | 64 }
  | { readonly kind: "bool" | "null" | "text view" | "other" }
  | { readonly kind: "text"; readonly offsetBits: 32 | 64 }
  | { readonly kind: "dictionary"; readonly id: bigint; readonly index: IntType; readonly values: ArrowType };

/** What a column takes of a record batch: nodes, buffers, and counts of buffers that depend on the batch (of views). */
export interface Extent {
  readonly nodes: number;
  readonly buffers: number;
  readonly views: number;
}

export interface ArrowField {
  readonly name: string;
  readonly type: ArrowType;
  /** For people: "int64", "dictionary<string>". */
  readonly typeName: string;
  readonly extent: Extent;
  /** Extent of the fields before it. */
  readonly start: Extent;
  /** The entries of a dictionary, as the only column of a batch. */
  readonly entries: ArrowField | null;
}

export interface ArrowSchema {
  readonly fields: readonly ArrowField[];
}

/** Numbers of versions in the format: 0.8, of 2017, and 1.0, of 2020, which differ in unions only. */
export const OLDEST_VERSION = 3;
export const NEWEST_VERSION = 4;

const NO_EXTENT: Extent = { nodes: 0, buffers: 0, views: 0 };
const BIG_ENDIAN = 1;
const UNITS = ["s", "ms", "us", "ns"] as const;

/** @throws {FlatBufferError | RangeError} no such table, or columns of unknown types */
export function schemaOf(table: FlatTable, version: number): ArrowSchema {
  if (table.int16(0) === BIG_ENDIAN) throw new FlatBufferError("numbers with the most significant byte first");
  let extent = NO_EXTENT;
  const fields = table.tables(1).map((child) => {
    const field = { ...fieldOf(child, version), start: extent };
    extent = sum([extent, field.extent]);
    return field;
  });
  checkDictionaries(fields);
  return { fields };
}

/** Columns may share a dictionary, but not its numbers and its texts. */
function checkDictionaries(fields: readonly ArrowField[]): void {
  const types = new Map<bigint, string>();
  for (const { type, entries } of fields) {
    if (type.kind !== "dictionary" || entries === null) continue;
    const other = types.get(type.id) ?? entries.typeName;
    if (other !== entries.typeName) throw new FlatBufferError(`a dictionary of ${other} and of ${entries.typeName}`);
    types.set(type.id, entries.typeName);
  }
}

type Field = Omit<ArrowField, "start">;

function fieldOf(table: FlatTable, version: number): Field {
  const children = table.tables(5).map((child) => fieldOf(child, version));
  const plain = typeOf(table.uint8(2), table.table(3), children, version);
  const coding = table.table(4);
  const name = table.text(0) ?? "";
  if (coding === null) return { name, ...plain, entries: null };
  return { name, ...dictionaryOf(coding, plain), entries: { name, ...plain, start: NO_EXTENT, entries: null } };
}

type Typed = Pick<Field, "type" | "typeName" | "extent">;

function dictionaryOf(coding: FlatTable, { type, typeName }: Typed): Typed {
  const indexTable = coding.table(1);
  const index = indexTable === null ? ({ kind: "int", bits: 32, signed: true } as const) : intOf(indexTable);
  return {
    type: { kind: "dictionary", id: coding.int64(0), index, values: type },
    typeName: `dictionary<${typeName}${coding.bool(2) ? ", ordered" : ""}>`,
    extent: extentOf(2),
  };
}

function intOf(table: FlatTable): IntType {
  const bits = table.int32(0);
  if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64)
    throw new FlatBufferError(`whole numbers of ${bits} bits`);
  return { kind: "int", bits, signed: table.bool(1) };
}

/** Buffers of its own, besides the children. */
function extentOf(buffers: number, children: readonly Field[] = [], views = 0): Extent {
  return sum([{ nodes: 1, buffers, views }, ...children.map(({ extent }) => extent)]);
}

function sum(extents: readonly Extent[]): Extent {
  return extents.reduce((a, b) => ({
    nodes: a.nodes + b.nodes,
    buffers: a.buffers + b.buffers,
    views: a.views + b.views,
  }));
}

/** The types by their number in the union `Type`. */
function typeOf(number: number, table: FlatTable | null, children: readonly Field[], version: number): Typed {
  const inner = children.map(({ name, typeName }) => `${name}: ${typeName}`).join(", ");
  const items = children.map(({ typeName }) => typeName).join(", ");
  const other = (typeName: string, buffers: number, views = 0): Typed => ({
    type: { kind: "other" },
    typeName,
    extent: extentOf(buffers, children, views),
  });
  const cells = (type: ArrowType, typeName: string, buffers: number, views = 0): Typed => ({
    ...{ type, typeName },
    extent: extentOf(buffers, [], views),
  });
  const need = (): FlatTable => {
    if (table === null) throw new FlatBufferError("a type without its details");
    return table;
  };
  const unit = (absent: number): string => UNITS[need().int16(0, absent)] ?? "?";
  switch (number) {
    case 1:
      return cells({ kind: "null" }, "null", 0);
    case 2: {
      const type = intOf(need());
      return cells(type, `${type.signed ? "" : "u"}int${type.bits}`, 2);
    }
    case 3: {
      const bits = ([16, 32, 64] as const)[need().int16(0)];
      if (bits === undefined) throw new FlatBufferError("numbers of unknown precision");
      return cells({ kind: "float", bits }, `float${bits}`, 2);
    }
    case 4:
      return other("binary", 3);
    case 5:
      return cells({ kind: "text", offsetBits: 32 }, "string", 3);
    case 6:
      return cells({ kind: "bool" }, "bool", 2);
    case 7:
      return other(`decimal${need().int32(2, 128)}(${need().int32(0)}, ${need().int32(1)})`, 2);
    case 8:
      return other(need().int16(0, 1) === 0 ? "date32" : "date64", 2);
    case 9:
      return other(`time${need().int32(1, 32)}[${unit(1)}]`, 2);
    case 10: {
      const zone = need().text(1);
      return other(`timestamp[${unit(0)}${zone === null ? "" : `, ${zone}`}]`, 2);
    }
    case 11:
      return other("interval", 2);
    case 12:
      return other(`list<${items}>`, 2);
    case 13:
      return other(`struct<${inner}>`, 1);
    case 14:
      return other(`union<${inner}>`, need().int16(0) + 1 + (version < NEWEST_VERSION ? 1 : 0));
    case 15:
      return other(`fixed_size_binary[${need().int32(0)}]`, 2);
    case 16:
      return other(`fixed_size_list<${items}>[${need().int32(0)}]`, 1);
    case 17:
      return other(`map<${items}>`, 2);
    case 18:
      return other(`duration[${unit(1)}]`, 2);
    case 19:
      return other("large_binary", 3);
    case 20:
      return cells({ kind: "text", offsetBits: 64 }, "large_string", 3);
    case 21:
      return other(`large_list<${items}>`, 2);
    case 22:
      return other(`run_end_encoded<${items}>`, 0);
    case 23:
      return other("binary_view", 2, 1);
    case 24:
      return cells({ kind: "text view" }, "string_view", 2, 1);
    case 25:
      return other(`list_view<${items}>`, 3);
    case 26:
      return other(`large_list_view<${items}>`, 3);
    default:
      throw new FlatBufferError(`a column of the unknown type ${number}`);
  }
}
