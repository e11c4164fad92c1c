// Writes FlatBuffers (https://flatbuffers.dev/internals), for what Arrow files say about their data. Parents stand before their children, and
// everything at a multiple of eight bytes, so that no field needs to be placed for its size.

/** A number of 1, 2, 4 or 8 bytes in a table. */
export interface FlatNumber {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly value: number;
}

/** A table: fields by their number in the schema; null: absent. */
export interface FlatFields {
  readonly kind: "table";
  readonly fields: readonly (FlatNumber | FlatNode | null)[];
}

export type FlatNode =
  | FlatFields
  | { readonly kind: "text"; readonly text: string }
  /** Tables or texts. */
  | { readonly kind: "list"; readonly items: readonly FlatNode[] }
  /** Structs of whole numbers of 64 bits: a multiple of `size` numbers. */
  | { readonly kind: "structs"; readonly size: number; readonly numbers: readonly number[] };

export const table = (...fields: FlatFields["fields"]): FlatFields => ({ kind: "table", fields });
export const flatText = (text: string): FlatNode => ({ kind: "text", text });
export const list = (items: readonly FlatNode[]): FlatNode => ({ kind: "list", items });
export const structs = (size: number, numbers: readonly number[]): FlatNode => ({ kind: "structs", size, numbers });
export const int8 = (value: number): FlatNumber => ({ bytes: 1, value });
export const int16 = (value: number): FlatNumber => ({ bytes: 2, value });
export const int32 = (value: number): FlatNumber => ({ bytes: 4, value });
export const int64 = (value: number): FlatNumber => ({ bytes: 8, value });

const ALIGNMENT = 8;
const OFFSET_BYTES = 4;
const encoder = new TextEncoder();

/** The bytes of a buffer with this table as its root; a multiple of eight. */
export function encodeFlatBuffer(root: FlatFields): Uint8Array {
  const writer = new Writer();
  const at = writer.take(OFFSET_BYTES);
  writer.link(at, writer.put(root));
  return writer.bytes();
}

class Writer {
  #bytes = new Uint8Array(1 << 10);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  bytes(): Uint8Array {
    return this.#bytes.slice(0, aligned(this.#end));
  }

  /** Zeros at the next aligned place. @returns where they begin */
  take(length: number): number {
    const at = aligned(this.#end);
    this.#end = at + length;
    if (aligned(this.#end) > this.#bytes.length) {
      const more = new Uint8Array(Math.max(2 * this.#bytes.length, aligned(this.#end)));
      more.set(this.#bytes);
      this.#bytes = more;
      this.#view = new DataView(more.buffer);
    }
    return at;
  }

  /** Makes the offset at a place lead to a node. */
  link(at: number, node: number): void {
    this.#view.setUint32(at, node - at, true);
  }

  /** @returns where the node is */
  put(node: FlatNode): number {
    switch (node.kind) {
      case "table":
        return this.#putTable(node);
      case "text":
        return this.#putText(node.text);
      case "list":
        return this.#putList(node.items);
      case "structs":
        return this.#putStructs(node.size, node.numbers);
    }
  }

  #putTable({ fields }: FlatFields): number {
    // The layout: its bytes, those of the table, and the place of each field; then the table, which begins with the way back.
    const layout = this.take(4 + 2 * fields.length);
    const at = this.take(ALIGNMENT * (1 + fields.length));
    this.#view.setUint16(layout, 4 + 2 * fields.length, true);
    this.#view.setUint16(layout + 2, ALIGNMENT * (1 + fields.length), true);
    this.#view.setInt32(at, at - layout, true);
    fields.forEach((field, i) => {
      if (field === null) return;
      const place = ALIGNMENT * (1 + i);
      this.#view.setUint16(layout + 4 + 2 * i, place, true);
      if ("kind" in field) this.link(at + place, this.put(field));
      else this.#putNumber(at + place, field);
    });
    return at;
  }

  #putNumber(at: number, { bytes, value }: FlatNumber): void {
    if (bytes === 1) this.#view.setInt8(at, value);
    else if (bytes === 2) this.#view.setInt16(at, value, true);
    else if (bytes === 4) this.#view.setInt32(at, value, true);
    else this.#view.setBigInt64(at, BigInt(value), true);
  }

  #putText(text: string): number {
    const bytes = encoder.encode(text);
    // A zero follows, which the length does not count.
    const at = this.take(OFFSET_BYTES + bytes.length + 1);
    this.#view.setUint32(at, bytes.length, true);
    this.#bytes.set(bytes, at + OFFSET_BYTES);
    return at;
  }

  #putList(items: readonly FlatNode[]): number {
    const at = this.take(OFFSET_BYTES * (1 + items.length));
    this.#view.setUint32(at, items.length, true);
    items.forEach((item, i) => {
      this.link(at + OFFSET_BYTES * (1 + i), this.put(item));
    });
    return at;
  }

  #putStructs(size: number, numbers: readonly number[]): number {
    // The structs, not their count, are aligned.
    const at = this.take(ALIGNMENT + 8 * numbers.length) + OFFSET_BYTES;
    this.#view.setUint32(at, numbers.length / size, true);
    numbers.forEach((number, i) => {
      this.#view.setBigInt64(at + OFFSET_BYTES + 8 * i, BigInt(number), true);
    });
    return at;
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
