// What all readers of tables share: the columns that are wanted, and cells that are read one by one.

import { ArgumentError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { namesText } from "./delimited.ts";
import { nearHint } from "./joinIds.ts";
import type { NullMask, TableColumn, WantedColumn } from "./tableFile.ts";

/** Rows of a batch of a file that has no batches. */
export const ROWS_PER_BATCH: number = 1 << 16;

/**
 * The positions of wanted columns.
 *
 * @throws {ArgumentError} a column that does not exist, or a name that several have
 */
export function wantedIndices(
  file: string,
  columns: readonly TableColumn[],
  wanted: readonly WantedColumn[],
): readonly number[] {
  const names = columns.map(({ name }) => name);
  return wanted.map(({ name }) => {
    const at = names.indexOf(name);
    if (at >= 0 && names.lastIndexOf(name) === at) return at;
    const expected = at < 0 ? "a column of the file" : "a name that one column has";
    const got =
      at < 0 ? `${quoteText(name, 60)}${nearHint(name, names)}` : `${quoteText(name, 60)}, which several have`;
    throw new ArgumentError(file, "columns", `${expected} (it has ${namesText(names)})`, got);
  });
}

/** A mask that is made when the first cell is empty. */
export class NullCells {
  readonly #rows: number;
  #mask: Uint8Array | null = null;
  #any = false;

  constructor(rows: number) {
    this.#rows = rows;
  }

  add(k: number): void {
    this.#mask ??= new Uint8Array(this.#rows);
    this.#mask[k] = 1;
    this.#any = true;
  }

  /** The mask of the first `count` cells. */
  mask(count: number): NullMask {
    return this.#any ? this.#mask!.subarray(0, count) : null;
  }

  clear(): void {
    if (this.#any) this.#mask!.fill(0);
    this.#any = false;
  }
}
