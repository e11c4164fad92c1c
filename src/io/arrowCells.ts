// Cells of Arrow columns, from buffers of bytes. Where the file has the wanted form, they are views of its bytes; nothing is made per row but numbers
// in arrays that the next batch uses again. What buffers claim (bits of empty cells, offsets, indices) is checked before it is used.

import { FileFormatError } from "../core/errors.ts";
import type { RawColumn } from "./arrowBuffers.ts";
import { damage } from "./arrowFraming.ts";
import type { ArrowField, ArrowType, IntType } from "./arrowSchema.ts";
import { exactNumbers, floatOfHalf, HIGH_OF_EXACT, type WideArray } from "./numbers.ts";
import { StoredIds } from "./storedIds.ts";
import { ROWS_PER_BATCH } from "./tableColumns.ts";
import type { CellForm, Cells, NullMask, NumberCells, TextCells } from "./tableFile.ts";
import { TextDictionary } from "./textDictionary.ts";

/** Rows of a column. */
export interface RowRange {
  readonly begin: number;
  readonly count: number;
}

/** Where row k of the batch is, for messages. */
export type Place = (row: number) => string;

type Numbers = NumberCells["numbers"];
type Whole = Exclude<Numbers, Float32Array | Float64Array> | WideArray;
type FloatType = Extract<ArrowType, { kind: "float" }>;

/** Whole numbers below are exact in a floating-point type of so many bits. */
const EXACT_TO = { 16: 2 ** 11, 32: 2 ** 24, 64: 2 ** 53 } as const;
const TWO_32 = 2 ** 32;
/** Strings up to this length are in the view itself. */
const INLINE_BYTES = 12;
const VIEW_BYTES = 16;
/** A byte of rows takes eight bits of a bitmap. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);
const NO_BYTES = new Uint8Array(0);

interface ArrayType<T> {
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

const INTS: Readonly<Record<IntType["bits"], ArrayType<Whole>>> = {
  ...{ 8: Int8Array, 16: Int16Array, 32: Int32Array, 64: BigInt64Array },
};
const UINTS: Readonly<Record<IntType["bits"], ArrayType<Whole>>> = {
  ...{ 8: Uint8Array, 16: Uint16Array, 32: Uint32Array, 64: BigUint64Array },
};
const FLOATS: Readonly<Record<FloatType["bits"], ArrayType<Float32Array | Float64Array | Uint16Array>>> = {
  ...{ 16: Uint16Array, 32: Float32Array, 64: Float64Array },
};

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Forms in which the cells of a type can be read. */
const FORMS: Readonly<Record<ArrowType["kind"], readonly CellForm[]>> = {
  int: ["id", "number", "text"],
  float: ["id", "number", "text"],
  bool: ["number", "text"],
  text: ["id", "text"],
  "text view": ["id", "text"],
  null: ["id", "number", "text"],
  dictionary: [],
  other: [],
};

const IN_WORDS: Readonly<Record<CellForm, string>> = { id: "ids", number: "numbers", text: "text" };

/**
 * Checks that a column can be read in a form.
 *
 * @throws {FileFormatError} it cannot: "got list<int64>, which cannot be read as text"
 */
export function checkForm({ type, typeName }: ArrowField, as: CellForm, place: string): void {
  const { kind } = type.kind === "dictionary" ? type.values : type;
  if (FORMS[kind].includes(as)) return;
  const wanted = { id: "whole numbers or text", number: "numbers", text: "text or numbers" }[as];
  throw new FileFormatError(place, `a column of ${wanted}`, `${typeName}, which cannot be read as ${IN_WORDS[as]}`);
}

/** Reads the cells of one column, batch by batch. */
export class CellReader {
  readonly #type: ArrowType;
  readonly #as: CellForm;
  readonly #file: string;
  readonly #texts = new TextDictionary();
  #ids: StoredIds | null = null;
  /** Of the rows that are read. */
  #place: Place = () => this.#file;
  readonly #scratch = new Map<string, ArrayBuffer>();
  /** The column's dictionary so far. */
  #entries: Entries | null = null;

  constructor(type: ArrowType, as: CellForm, file: string) {
    this.#type = type;
    this.#as = as;
    this.#file = file;
  }

  /** Replaces the dictionary of the column, or adds entries to it. */
  setDictionary(entries: RawColumn, isDelta: boolean, place: Place): void {
    if (this.#type.kind !== "dictionary") throw damage(this.#file, "entries for a column without a dictionary");
    if (!isDelta) this.#entries = new Entries();
    if (this.#entries === null) throw damage(this.#file, "more entries for a dictionary that is not there");
    // Which ids are numbers is settled batch by batch, by those that occur; text of whole numbers is exact.
    const { values } = this.#type;
    const as = this.#as === "id" && values.kind !== "float" ? "text" : this.#as;
    const reader = new CellReader(values, as, this.#file);
    const column = reader.check(entries);
    for (let begin = 0; begin < column.rows; begin += ROWS_PER_BATCH) {
      const count = Math.min(ROWS_PER_BATCH, column.rows - begin);
      this.#entries.add(reader.read(column, { begin, count }, place), count);
    }
  }

  /** A column whose buffers are as long as its rows need, and whose empty cells are as many as it says. */
  check(column: RawColumn): RawColumn {
    const { rows, nullCount, buffers } = column;
    if (nullCount > rows) throw damage(this.#file, `${nullCount} empty cells in ${rows} rows`);
    if (this.#type.kind === "null") return column;
    const [validity = NO_BYTES, values = NO_BYTES] = buffers;
    if (validity.length > 0 || nullCount > 0) {
      this.#expect(validity, Math.ceil(rows / 8));
      if (zerosOf(validity, rows) !== nullCount)
        throw damage(this.#file, `another number of empty cells than ${nullCount}`);
    }
    this.#expect(values, this.#valueBytes(rows));
    return column;
  }

  /**
   * Cells of some rows; valid until the next call.
   *
   * @param column checked
   */
  read(column: RawColumn, { begin, count }: RowRange, place: Place): Cells {
    const slice = { begin, count, nulls: this.#nullsOf(column, begin, count), place: (k: number) => place(begin + k) };
    const type = this.#type;
    const values = column.buffers[1] ?? NO_BYTES;
    switch (type.kind) {
      case "null":
        return this.#empty(count);
      case "int":
        return this.#ofNumbers(this.#array(values, arrayOf(type), begin, count), slice);
      case "float":
        return this.#ofFloats(type, values, slice);
      case "bool":
        return this.#ofBits(values, slice);
      case "text":
        return this.#ofText(this.#textOf(values, column.buffers[2]!, type.offsetBits, slice), slice);
      case "text view":
        return this.#ofText(this.#textOfViews(values, column.buffers.slice(2), slice), slice);
      case "dictionary":
        return this.#ofDictionary(this.#indices(type.index, values, slice), slice);
      case "other":
        throw damage(this.#file, "a column that cannot be read");
    }
  }

  #valueBytes(rows: number): number {
    const type = this.#type;
    switch (type.kind) {
      case "int":
      case "float":
        return (rows * type.bits) / 8;
      case "bool":
        return Math.ceil(rows / 8);
      case "text":
        return rows === 0 ? 0 : ((rows + 1) * type.offsetBits) / 8;
      case "text view":
        return rows * VIEW_BYTES;
      case "dictionary":
        return (rows * type.index.bits) / 8;
      default:
        return 0;
    }
  }

  #expect(buffer: Uint8Array, bytes: number): void {
    if (buffer.length < bytes) throw damage(this.#file, `a buffer of ${buffer.length} bytes where ${bytes} are needed`);
  }

  /** An array of this reader for one purpose. */
  #room<T>(purpose: string, make: (buffer: ArrayBuffer) => T, bytes: number): T {
    let buffer = this.#scratch.get(purpose);
    if (buffer === undefined || buffer.byteLength < bytes) {
      buffer = new ArrayBuffer(bytes);
      this.#scratch.set(purpose, buffer);
    }
    return make(buffer);
  }

  #nullsOf({ nullCount, buffers }: RawColumn, begin: number, count: number): NullMask {
    if (nullCount === 0 || this.#type.kind === "null") return null;
    const validity = buffers[0]!;
    const nulls = this.#room("nulls", (buffer) => new Uint8Array(buffer, 0, count), count);
    for (let k = 0; k < count; k++) nulls[k] = 1 - bitOf(validity, begin + k);
    return nulls;
  }

  /** Elements as a view of the bytes, or as a copy where they are not aligned. */
  #array<T>(bytes: Uint8Array, Type: ArrayType<T>, begin: number, count: number): T {
    const width = Type.BYTES_PER_ELEMENT;
    const at = bytes.byteOffset + begin * width;
    if (at % width === 0) return new Type(bytes.buffer as ArrayBuffer, at, count);
    return new Type(bytes.slice(begin * width, (begin + count) * width).buffer, 0, count);
  }

  #empty(count: number): Cells {
    const nulls = new Uint8Array(count).fill(1);
    if (this.#as === "id") return { as: "id", ids: new BigInt64Array(count), nulls };
    if (this.#as === "number") return { as: "number", numbers: new Float64Array(count).fill(Number.NaN), nulls };
    return { as: "text", values: [""], valueIdx: new Uint32Array(count), nulls };
  }

  #ofNumbers(cells: Whole, slice: Slice): Cells {
    if (this.#as === "text") return this.#written(cells, slice);
    const isWide = cells instanceof BigInt64Array || cells instanceof BigUint64Array;
    const { count, nulls, place } = slice;
    if (this.#as === "id") {
      const ids = this.#idsAt(place);
      return isWide ? ids.ofWide(cells, nulls) : ids.ofNumbers(cells, EXACT_TO[64], nulls);
    }
    if (isWide) {
      const numbers = this.#room("values", (buffer) => new Float64Array(buffer, 0, count), 8 * count);
      return { as: "number", numbers: exactNumbers(cells, place, nulls, numbers), nulls };
    }
    return { as: "number", numbers: this.#withoutEmpty(cells, 0, nulls), nulls };
  }

  #ofFloats({ bits }: FloatType, bytes: Uint8Array, slice: Slice): Cells {
    const { begin, count, nulls, place } = slice;
    const stored = this.#array(bytes, FLOATS[bits], begin, count);
    const cells = stored instanceof Uint16Array ? this.#halves(stored) : stored;
    if (this.#as === "text") return this.#written(cells, slice);
    if (this.#as === "id") return this.#idsAt(place).ofNumbers(cells, EXACT_TO[bits], nulls);
    return { as: "number", numbers: this.#withoutEmpty(cells, Number.NaN, nulls), nulls };
  }

  #ofBits(bits: Uint8Array, { begin, count, nulls }: Slice): Cells {
    const numbers = this.#room("values", (buffer) => new Uint8Array(buffer, 0, count), count);
    for (let k = 0; k < count; k++) numbers[k] = nulls?.[k] ? 0 : bitOf(bits, begin + k);
    if (this.#as === "number") return { as: "number", numbers, nulls };
    const valueIdx = this.#room("index", (buffer) => new Uint32Array(buffer, 0, count), 4 * count);
    for (let k = 0; k < count; k++) valueIdx[k] = nulls?.[k] ? 2 : numbers[k]!;
    return { as: "text", values: ["false", "true", ...(nulls === null ? [] : [""])], valueIdx, nulls };
  }

  #ofText(cells: TextCells, { count, place }: Slice): Cells {
    return this.#as === "id" ? this.#idsAt(place).ofTexts(cells, count) : cells;
  }

  #idsAt(place: Place): StoredIds {
    this.#place = place;
    this.#ids ??= new StoredIds((k) => this.#place(k));
    return this.#ids;
  }

  #withoutEmpty<T extends Numbers>(cells: T, empty: number, nulls: NullMask): T {
    if (nulls === null) return cells;
    const filled = cells.slice() as T;
    for (let k = 0; k < filled.length; k++) if (nulls[k]) filled[k] = empty;
    return filled;
  }

  /** Numbers in single precision (IEEE 754, binary16). */
  #halves(halves: Uint16Array): Float32Array {
    const { length } = halves;
    const numbers = this.#room("halves", (buffer) => new Float32Array(buffer, 0, length), 4 * length);
    for (let k = 0; k < length; k++) numbers[k] = floatOfHalf(halves[k]!);
    return numbers;
  }

  /** Numbers as text. */
  #written(cells: Numbers | WideArray, slice: Slice): TextCells {
    const width = cells.BYTES_PER_ELEMENT;
    const bytes = new Uint8Array(cells.buffer, cells.byteOffset, cells.byteLength);
    const locate = (k: number, span: Span): void => spanOf(span, bytes, k * width, (k + 1) * width);
    return this.#coded(slice, locate, (k) => String(cells[k]));
  }

  #textOf(offsets: Uint8Array, bytes: Uint8Array, offsetBits: 32 | 64, slice: Slice): TextCells {
    const { begin, count } = slice;
    if (count === 0) return { as: "text", values: [], valueIdx: new Uint32Array(0), nulls: slice.nulls };
    const ends =
      offsetBits === 32
        ? this.#array<Int32Array>(offsets, Int32Array, begin, count + 1)
        : this.#offsets(this.#array<BigInt64Array>(offsets, BigInt64Array, begin, count + 1));
    for (let k = 0; k < count; k++) {
      if (!(ends[k]! >= 0 && ends[k]! <= ends[k + 1]! && ends[k + 1]! <= bytes.length))
        throw damage(slice.place(k), "text outside of its buffer");
    }
    return this.#coded(slice, (k, span) => spanOf(span, bytes, ends[k]!, ends[k + 1]!));
  }

  /** Offsets of 64 bits; those that no number holds exactly become NaN. */
  #offsets(wide: BigInt64Array): Float64Array {
    const words = new Int32Array(wide.buffer, wide.byteOffset, 2 * wide.length);
    const offsets = this.#room("offsets", (buffer) => new Float64Array(buffer, 0, wide.length), 8 * wide.length);
    for (let k = 0; k < wide.length; k++) {
      const high = words[2 * k + 1]!;
      offsets[k] = high >= 0 && high < HIGH_OF_EXACT ? high * TWO_32 + (words[2 * k]! >>> 0) : Number.NaN;
    }
    return offsets;
  }

  #textOfViews(views: Uint8Array, pieces: readonly Uint8Array[], slice: Slice): TextCells {
    const view = new DataView(views.buffer, views.byteOffset, views.length);
    return this.#coded(slice, (k, span) => {
      const at = (slice.begin + k) * VIEW_BYTES;
      const length = view.getInt32(at, true);
      if (length >= 0 && length <= INLINE_BYTES) return spanOf(span, views, at + 4, at + 4 + length);
      const piece = pieces[view.getInt32(at + 8, true)];
      const offset = view.getInt32(at + 12, true);
      if (length < 0 || piece === undefined || offset < 0 || offset + length > piece.length)
        throw damage(slice.place(k), "text outside of its buffer");
      spanOf(span, piece, offset, offset + length);
    });
  }

  /**
   * Codes cells by a dictionary of those that occur.
   *
   * @param locate finds the bytes of a cell, equal for equal cells
   * @param textOf default: the bytes are UTF-8
   */
  #coded({ count, nulls, place }: Slice, locate: Locate, textOf?: (k: number) => string): TextCells {
    const texts = this.#texts;
    texts.beginBatch();
    const valueIdx = this.#room("index", (buffer) => new Uint32Array(buffer, 0, count), 4 * count);
    const span: Span = { bytes: NO_BYTES, begin: 0, end: 0 };
    let row = 0;
    const decode = (): string => {
      if (nulls?.[row] === 1) return "";
      return textOf?.(row) ?? textOfBytes(span.bytes.subarray(span.begin, span.end), () => place(row));
    };
    for (; row < count; row++) {
      if (nulls?.[row] === 1) spanOf(span, NO_BYTES, 0, 0);
      else locate(row, span);
      valueIdx[row] = texts.indexOf(span.bytes, span.begin, span.end, decode);
    }
    return { as: "text", values: texts.values(), valueIdx, nulls };
  }

  #indices(type: IntType, bytes: Uint8Array, { begin, count, nulls, place }: Slice): Uint32Array {
    const stored = this.#array(bytes, arrayOf(type), begin, count);
    const size = this.#entries?.size ?? 0;
    const indices = this.#room("indices", (buffer) => new Uint32Array(buffer, 0, count), 4 * count);
    const isWide = stored instanceof BigInt64Array || stored instanceof BigUint64Array;
    const words = isWide ? new Uint32Array(stored.buffer, stored.byteOffset, 2 * count) : null;
    for (let k = 0; k < count; k++) {
      const index = words === null ? (stored[k] as number) : words[2 * k + 1]! * TWO_32 + words[2 * k]!;
      if (nulls?.[k]) indices[k] = 0;
      else if (index >= 0 && index < size) indices[k] = index;
      else throw damage(place(k), `entry ${String(stored[k])} of a dictionary of ${size}`);
    }
    return indices;
  }

  #ofDictionary(indices: Uint32Array, slice: Slice): Cells {
    const { count, nulls: own } = slice;
    const entries = this.#entries ?? new Entries();
    const { isEmpty } = entries;
    // Without entries all cells are empty.
    let nulls = own;
    if (entries.hasEmpty) {
      nulls = this.#room("empty", (buffer) => new Uint8Array(buffer, 0, count), count);
      for (let k = 0; k < count; k++) nulls[k] = own?.[k] === 1 ? 1 : isEmpty[indices[k]!]!;
    }
    if (this.#as !== "number") {
      const valueIdx = this.#room("index", (buffer) => new Uint32Array(buffer, 0, count), 4 * count);
      for (let k = 0; k < count; k++) valueIdx[k] = nulls?.[k] === 1 ? 0 : indices[k]! + 1;
      return this.#ofText({ as: "text", values: entries.texts, valueIdx, nulls }, slice);
    }
    const numbers = this.#room("values", (buffer) => new Float64Array(buffer, 0, count), 8 * count);
    for (let k = 0; k < count; k++) numbers[k] = nulls?.[k] === 1 ? Number.NaN : entries.numbers[indices[k]!]!;
    return { as: "number", numbers, nulls };
  }
}

/** The entries of a dictionary, as text or as numbers. */
class Entries {
  /** The text of empty cells, then that of each entry. Ids are text, too. */
  readonly texts: string[] = [""];
  readonly numbers: number[] = [];
  /** By entry. */
  readonly isEmpty: (0 | 1)[] = [];
  hasEmpty = false;

  get size(): number {
    return this.isEmpty.length;
  }

  add(cells: Cells, count: number): void {
    for (let k = 0; k < count; k++) {
      const isEmpty = cells.nulls?.[k] === 1;
      this.isEmpty.push(isEmpty ? 1 : 0);
      this.hasEmpty ||= isEmpty;
      if (cells.as === "number") this.numbers.push(cells.numbers[k]!);
      else if (cells.as === "text") this.texts.push(cells.values[cells.valueIdx[k]!]!);
      else this.texts.push(isEmpty ? "" : String(cells.ids[k]));
    }
  }
}

interface Slice extends RowRange {
  readonly nulls: NullMask;
  /** Of row k of the range. */
  readonly place: Place;
}

/** Bytes of a cell; one such object serves all rows. */
interface Span {
  bytes: Uint8Array;
  begin: number;
  end: number;
}

type Locate = (k: number, span: Span) => void;

function spanOf(span: Span, bytes: Uint8Array, begin: number, end: number): void {
  span.bytes = bytes;
  span.begin = begin;
  span.end = end;
}

function arrayOf({ bits, signed }: IntType): ArrayType<Whole> {
  return (signed ? INTS : UINTS)[bits];
}

function bitOf(bits: Uint8Array, at: number): 0 | 1 {
  return ((bits[at >> 3]! >> (at & 7)) & 1) as 0 | 1;
}

/** Bits that are 0 among the first `count`. */
function zerosOf(bits: Uint8Array, count: number): number {
  const whole = count >> 3;
  let zeros = count;
  for (let at = 0; at < whole; at++) zeros -= ONES[bits[at]!]!;
  for (let at = 8 * whole; at < count; at++) zeros -= bitOf(bits, at);
  return zeros;
}

function textOfBytes(bytes: Uint8Array, place: () => string): string {
  try {
    return text.decode(bytes);
  } catch {
    throw new FileFormatError(place(), "text in UTF-8", "bytes that are none");
  }
}
