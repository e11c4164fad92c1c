// Ids in columns that are stored by their type, as Arrow and Parquet store them: text coded by a dictionary, whole numbers, floating point.

import { IdCellsBuilder } from "./idCells.ts";
import { idOfValue } from "./neuronIds.ts";
import type { WideArray } from "./numbers.ts";
import { ROWS_PER_BATCH } from "./tableColumns.ts";
import type { IdCells, NullMask, NumberCells, TextCells } from "./tableFile.ts";

/** Reads the ids of one column, batch by batch. */
export class StoredIds {
  readonly #builder: IdCellsBuilder;
  readonly #placeOf: (k: number) => string;
  /** The list of the last texts; it may have grown since. */
  #values: readonly string[] = [];

  /** @param placeOf  where cell k of the batch stands */
  constructor(placeOf: (k: number) => string) {
    this.#builder = new IdCellsBuilder(ROWS_PER_BATCH, placeOf);
    this.#placeOf = placeOf;
  }

  /** Text; what each different one is as an id is found out once. @throws {FileFormatError} as `IdCellsBuilder` */
  ofTexts({ values, valueIdx, nulls }: Pick<TextCells, "values" | "valueIdx" | "nulls">, count: number): IdCells {
    const builder = this.#builder;
    builder.clear();
    if (values !== this.#values) builder.forgetTexts();
    this.#values = values;
    for (let k = 0; k < count; k++) {
      const value = valueIdx[k]!;
      if (nulls?.[k] === 1) builder.addNull(k);
      else builder.addText(k, values[value]!, value);
    }
    return builder.take(count);
  }

  /** Whole numbers of 64 bits; those from 2^63 on are text. @throws {FileFormatError} a negative one */
  ofWide(wide: WideArray, nulls: NullMask): IdCells {
    const { length: count } = wide;
    const words = new Uint32Array(wide.buffer, wide.byteOffset, 2 * count);
    let isWide = false;
    for (let k = 0; k < count; k++) {
      if (words[2 * k + 1]! < 2 ** 31 || nulls?.[k] === 1) continue;
      if (wide instanceof BigInt64Array) idOfValue(wide[k], () => this.#placeOf(k));
      isWide = true;
    }
    const builder = this.#builder;
    if (!isWide && !builder.isText && nulls === null) {
      return { as: "id", ids: new BigInt64Array(wide.buffer, wide.byteOffset, count), nulls };
    }
    builder.clear();
    for (let k = 0; k < count; k++) {
      if (nulls?.[k] === 1) builder.addNull(k);
      else if (builder.isText || words[2 * k + 1]! >= 2 ** 31) {
        builder.forgetTexts();
        builder.addText(k, String(wide[k]), 0);
      } else {
        builder.words[2 * k] = words[2 * k]!;
        builder.words[2 * k + 1] = words[2 * k + 1]!;
      }
    }
    return builder.take(count);
  }

  /**
   * Numbers that double precision holds.
   *
   * @param exactTo as `idOfValue`
   * @throws {FileFormatError} one that is not whole, negative, or may have been rounded
   */
  ofNumbers(numbers: NumberCells["numbers"], exactTo: number, nulls: NullMask): IdCells {
    const { length: count } = numbers;
    const builder = this.#builder;
    builder.clear();
    for (let k = 0; k < count; k++) {
      if (nulls?.[k] === 1) {
        builder.addNull(k);
        continue;
      }
      const number = numbers[k]!;
      if (!(number >= 0 && number < exactTo && Number.isInteger(number))) {
        idOfValue(number, () => this.#placeOf(k), exactTo);
      }
      builder.words[2 * k] = number;
      builder.words[2 * k + 1] = Math.floor(number / 2 ** 32);
    }
    return builder.take(count);
  }
}
