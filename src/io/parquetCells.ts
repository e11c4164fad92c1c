// The cells of a column of a Parquet file: typed arrays where all are of one kind.

import type { WideArray } from "./numbers.ts";
import type { NullMask } from "./tableFile.ts";

/** Cells of a column. An empty one is 0 or "", or null in a column of any values that Parquet has. */
export type Slice =
  | { readonly kind: "numbers"; readonly numbers: Float64Array; readonly nulls: NullMask }
  | { readonly kind: "whole"; readonly whole: WideArray; readonly nulls: NullMask }
  /** Cell i is `values[valueIdx[i]]`; values differ. */
  | {
      readonly kind: "texts";
      readonly values: readonly string[];
      readonly valueIdx: Uint32Array;
      readonly nulls: NullMask;
    }
  | { readonly kind: "other"; readonly cells: readonly unknown[]; readonly nulls: NullMask };

/** A cell as the value that it is; null where it is empty. */
export function cellOf(slice: Slice, i: number): unknown {
  if (slice.nulls?.[i] === 1) return null;
  switch (slice.kind) {
    case "numbers":
      return slice.numbers[i];
    case "whole":
      return slice.whole[i];
    case "texts":
      return slice.values[slice.valueIdx[i]!];
    case "other":
      return slice.cells[i];
  }
}

/** Kinds of cells that a column may have all along: numbers, integers of 64 bits, text. */
type Kind = "numbers" | "whole" | "texts";

/** The cells of a column in a row group; not boxed where all are numbers of one kind. */
export class GroupCells {
  readonly #rows: number;
  readonly #isUnsigned: boolean;
  /** 1 where a cell is empty, or not there. */
  readonly #nulls: Uint8Array;
  /** null: no cell yet that is not empty. "other": cells that differ in kind, or are of another one. */
  #kind: Kind | "other" | null = null;
  #numbers = new Float64Array(0);
  #whole = new BigInt64Array(0);
  #cells: unknown[] = [];
  #count = 0;

  /** @param isUnsigned  integers of 64 bits have no sign; the library gives some of them one */
  constructor(rows: number, isUnsigned: boolean) {
    this.#rows = rows;
    this.#isUnsigned = isUnsigned;
    this.#nulls = new Uint8Array(rows).fill(1);
  }

  /** Adds cells from row `at` on; a file that is damaged may have too many. */
  put(cells: ArrayLike<unknown>, at: number): void {
    const begin = Math.max(0, -at);
    const end = Math.min(cells.length, this.#rows - at);
    if (end <= begin) return;
    this.#count += end - begin;
    if (this.#putWhole(cells, at, begin, end)) return;
    for (let k = begin; k < end; k++) {
      const cell = cells[k];
      if (cell !== null && cell !== undefined) this.#putCell(cell, at + k);
    }
  }

  /** @throws {Error} rows without a cell */
  check(): void {
    if (this.#count < this.#rows) throw new Error(`a column with ${this.#count} cells in ${this.#rows} rows`);
  }

  slice(begin: number, count: number): Slice {
    const own = this.#nulls.slice(begin, begin + count);
    const nulls = own.includes(1) ? own : null;
    switch (this.#kind) {
      case "numbers":
        return { kind: "numbers", numbers: this.#numbers.slice(begin, begin + count), nulls };
      case "whole":
        return { kind: "whole", whole: this.#wide().slice(begin, begin + count), nulls };
      case "texts":
        return { kind: "texts", ...this.#texts(begin, count), nulls };
      default:
        return { kind: "other", cells: Array.from({ length: count }, (_, k) => this.#cells[begin + k] ?? null), nulls };
    }
  }

  /** Copies a typed array at once. */
  #putWhole(cells: ArrayLike<unknown>, at: number, begin: number, end: number): boolean {
    const isWide = cells instanceof BigInt64Array || (cells instanceof BigUint64Array && this.#isUnsigned);
    if (isWide && this.#become("whole")) {
      this.#whole.set(cells.subarray(begin, end), at + begin);
    } else if (isNumberArray(cells) && this.#become("numbers")) {
      this.#numbers.set(cells.subarray(begin, end), at + begin);
    } else return false;
    this.#nulls.fill(0, at + begin, at + end);
    return true;
  }

  #putCell(cell: unknown, row: number): void {
    this.#nulls[row] = 0;
    if (typeof cell === "number" && this.#become("numbers")) this.#numbers[row] = cell;
    else if (this.#isWhole(cell) && this.#become("whole")) this.#whole[row] = cell;
    else if (typeof cell === "string" && this.#become("texts")) this.#cells[row] = cell;
    else {
      this.#becomeOther();
      this.#cells[row] = cell;
    }
  }

  /** Whether a cell is an integer of 64 bits. */
  #isWhole(cell: unknown): cell is bigint {
    if (typeof cell !== "bigint") return false;
    return BigInt.asIntN(64, cell) === cell || (this.#isUnsigned && BigInt.asUintN(64, cell) === cell);
  }

  #wide(): WideArray {
    return this.#isUnsigned ? new BigUint64Array(this.#whole.buffer) : this.#whole;
  }

  /** Whether all cells so far are of this kind. */
  #become(kind: Kind): boolean {
    if (this.#kind !== null) return this.#kind === kind;
    this.#kind = kind;
    if (kind === "numbers") this.#numbers = new Float64Array(this.#rows);
    else if (kind === "whole") this.#whole = new BigInt64Array(this.#rows);
    else this.#cells = new Array<unknown>(this.#rows);
    return true;
  }

  #becomeOther(): void {
    if (this.#kind === "other") return;
    const all: readonly unknown[] | null =
      this.#kind === "numbers"
        ? Array.from(this.#numbers)
        : this.#kind === "whole"
          ? Array.from<bigint>(this.#wide())
          : null;
    if (all) this.#cells = all.map((cell, row) => (this.#nulls[row] === 1 ? null : cell));
    this.#kind = "other";
  }

  #texts(begin: number, count: number): { values: string[]; valueIdx: Uint32Array } {
    const values: string[] = [];
    const entryOf = new Map<string, number>();
    const valueIdx = new Uint32Array(count);
    for (let k = 0; k < count; k++) {
      const text = (this.#cells[begin + k] as string | undefined) ?? "";
      let entry = entryOf.get(text);
      if (entry === undefined) {
        entry = values.length;
        values.push(text);
        entryOf.set(text, entry);
      }
      valueIdx[k] = entry;
    }
    return { values, valueIdx };
  }
}

type Numbers = Float64Array | Float32Array | Int32Array | Uint32Array;

function isNumberArray(cells: ArrayLike<unknown>): cells is Numbers {
  return [Float64Array, Float32Array, Int32Array, Uint32Array].some((kind) => cells instanceof kind);
}
