// Reads FlatBuffers (https://flatbuffers.dev/internals), in which Arrow writes what it says about its data. No offset is believed: each read is
// checked by DataView, vectors have room for their elements, and no more tables are read than the bytes can hold.

/** Bytes that are no FlatBuffer, or none with sensible values. */
export class FlatBufferError extends Error {}

/** Tables within tables within …: more is an attack on the stack. */
const DEEPEST = 64;
/** Bytes that each table has at least: the offset of its layout. */
const LEAST_TABLE_BYTES = 4;

interface Source {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  tablesLeft: number;
}

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A table: fields by their number in the schema, each of which may be absent. */
export class FlatTable {
  readonly #source: Source;
  readonly #at: number;
  readonly #layout: number;
  readonly #layoutBytes: number;
  readonly #depth: number;

  private constructor(source: Source, at: number, depth: number) {
    if (source.tablesLeft-- === 0 || depth > DEEPEST) throw new FlatBufferError("tables that contain one another");
    this.#source = source;
    this.#at = at;
    this.#layout = at - source.view.getInt32(at, true);
    this.#layoutBytes = source.view.getUint16(this.#layout, true);
    this.#depth = depth;
  }

  /** The outermost table. @throws {FlatBufferError | RangeError} and so do all reads */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const source = { bytes, view, tablesLeft: Math.floor(bytes.length / LEAST_TABLE_BYTES) };
    return new FlatTable(source, view.getUint32(0, true), 0);
  }

  bool(field: number): boolean {
    return this.uint8(field) !== 0;
  }

  uint8(field: number, absent = 0): number {
    const at = this.#find(field);
    return at === null ? absent : this.#source.view.getUint8(at);
  }

  int16(field: number, absent = 0): number {
    const at = this.#find(field);
    return at === null ? absent : this.#source.view.getInt16(at, true);
  }

  int32(field: number, absent = 0): number {
    const at = this.#find(field);
    return at === null ? absent : this.#source.view.getInt32(at, true);
  }

  /** A length, a count or an offset of 64 bits. */
  count(field: number): number {
    const at = this.#find(field);
    return at === null ? 0 : this.#countAt(at);
  }

  /** Any number of 64 bits. */
  int64(field: number): bigint {
    const at = this.#find(field);
    return at === null ? 0n : this.#source.view.getBigInt64(at, true);
  }

  text(field: number): string | null {
    const at = this.#target(field);
    if (at === null) return null;
    const length = this.#lengthAt(at, 1);
    try {
      return text.decode(this.#source.bytes.subarray(at + 4, at + 4 + length));
    } catch {
      throw new FlatBufferError("a name that is no text");
    }
  }

  table(field: number): FlatTable | null {
    const at = this.#target(field);
    return at === null ? null : new FlatTable(this.#source, at, this.#depth + 1);
  }

  tables(field: number): FlatTable[] {
    const at = this.#target(field);
    if (at === null) return [];
    const { view } = this.#source;
    return Array.from({ length: this.#lengthAt(at, 4) }, (_, k) => {
      const entry = at + 4 + 4 * k;
      return new FlatTable(this.#source, entry + view.getUint32(entry, true), this.#depth + 1);
    });
  }

  /** A vector of structures of whole numbers of 64 bits, or of one such number: their lengths, counts or offsets one after another. */
  counts(field: number, perItem = 1): Float64Array {
    const at = this.#target(field);
    if (at === null) return new Float64Array(0);
    const length = perItem * this.#lengthAt(at, 8 * perItem);
    return Float64Array.from({ length }, (_, k) => this.#countAt(at + 4 + 8 * k));
  }

  /** A vector of structures of an offset, a length of 32 bits and a length of 64. */
  blocks(field: number): { readonly offset: number; readonly metadataBytes: number; readonly bodyBytes: number }[] {
    const at = this.#target(field);
    if (at === null) return [];
    return Array.from({ length: this.#lengthAt(at, 24) }, (_, k) => {
      const block = at + 4 + 24 * k;
      return {
        offset: this.#countAt(block),
        metadataBytes: this.#source.view.getInt32(block + 8, true),
        bodyBytes: this.#countAt(block + 16),
      };
    });
  }

  /** Where a field is stored, or null. */
  #find(field: number): number | null {
    const entry = 4 + 2 * field;
    if (entry + 2 > this.#layoutBytes) return null;
    const offset = this.#source.view.getUint16(this.#layout + entry, true);
    return offset === 0 ? null : this.#at + offset;
  }

  /** Where the text, table or vector of a field is stored, or null. */
  #target(field: number): number | null {
    const at = this.#find(field);
    return at === null ? null : at + this.#source.view.getUint32(at, true);
  }

  #lengthAt(at: number, stride: number): number {
    const { view } = this.#source;
    const length = view.getUint32(at, true);
    if (at + 4 + length * stride > view.byteLength) throw new FlatBufferError("a list that goes beyond its end");
    return length;
  }

  #countAt(at: number): number {
    const count = this.#source.view.getBigInt64(at, true);
    if (count < 0n || count > Number.MAX_SAFE_INTEGER) throw new FlatBufferError(`the length or offset ${count}`);
    return Number(count);
  }
}
