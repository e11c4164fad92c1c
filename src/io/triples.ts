// Growing coordinate triples (row, column, value), for readers that learn the number of entries only at the end of the file.

import { type DType, type FloatArray, floatArray } from "../core/dtype.ts";

export class Triples {
  #rows: Uint32Array;
  #cols: Uint32Array;
  #values: FloatArray;
  #length = 0;
  readonly #dtype: DType;

  /** @param capacity how many triples to make room for at first */
  constructor(dtype: DType, capacity: number = 1 << 12) {
    this.#dtype = dtype;
    this.#rows = new Uint32Array(capacity);
    this.#cols = new Uint32Array(capacity);
    this.#values = floatArray(dtype, capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** Views of what was pushed; valid until the next push. */
  get rows(): Uint32Array {
    return this.#rows.subarray(0, this.#length);
  }

  get cols(): Uint32Array {
    return this.#cols.subarray(0, this.#length);
  }

  get values(): FloatArray {
    return this.#values.subarray(0, this.#length);
  }

  push(row: number, col: number, value: number): void {
    if (this.#length === this.#rows.length) this.#grow();
    this.#rows[this.#length] = row;
    this.#cols[this.#length] = col;
    this.#values[this.#length++] = value;
  }

  #grow(): void {
    const capacity = Math.ceil(this.#rows.length * 1.5);
    const rows = new Uint32Array(capacity);
    rows.set(this.#rows);
    this.#rows = rows;
    const cols = new Uint32Array(capacity);
    cols.set(this.#cols);
    this.#cols = cols;
    const values = floatArray(this.#dtype, capacity);
    values.set(this.#values);
    this.#values = values;
  }
}
