// Ids in columns that are stored by their type, as Arrow and Parquet store them: text coded by a dictionary, whole numbers, floating point.

import { grown } from "../core/grown.ts";
import { splitWhole } from "./decimal.ts";
import { IdCellsBuilder } from "./idCells.ts";
import { idOfValue } from "./neuronIds.ts";
import type { WideArray } from "./numbers.ts";
import { ROWS_PER_BATCH } from "./tableColumns.ts";
import type { IdCells, NullMask, NumberCells, TextCells } from "./tableFile.ts";

/** Reads the ids of one column, batch by batch. */
export class StoredIds {
  readonly #builder: IdCellsBuilder;
  readonly #placeOf: (k: number) => string;
  /** The texts of the last batch, and what they are. The same list may have grown. */
  #texts: readonly string[] = [];
  #known = 0;
  /** The two halves of each text that is a whole number of 64 bits. */
  #words = new Uint32Array(0);
  /** By text: whether it is one, and whether it has been checked as an id. */
  #isWhole = new Uint8Array(0);
  #isChecked = new Uint8Array(0);

  /** @param placeOf  where cell k of the batch stands */
  constructor(placeOf: (k: number) => string) {
    this.#builder = new IdCellsBuilder(ROWS_PER_BATCH, placeOf);
    this.#placeOf = placeOf;
  }

  /** Text; each different one is read once. @throws {FileFormatError} as `IdCellsBuilder` */
  ofTexts({ values, valueIdx, nulls }: Pick<TextCells, "values" | "valueIdx" | "nulls">, count: number): IdCells {
    const builder = this.#builder;
    builder.clear();
    this.#learn(values);
    const words = this.#words;
    for (let k = 0; k < count; k++) {
      const value = valueIdx[k]!;
      if (nulls?.[k] === 1) builder.addNull(k);
      else if (!builder.isText && this.#isWhole[value] === 1) {
        builder.words[2 * k] = words[2 * value]!;
        builder.words[2 * k + 1] = words[2 * value + 1]!;
      } else {
        builder.addText(k, values[value]!, this.#isChecked[value] === 1);
        this.#isChecked[value] = 1;
      }
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
      else if (builder.isText || words[2 * k + 1]! >= 2 ** 31) builder.addText(k, String(wide[k]), true);
      else {
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

  #learn(values: readonly string[]): void {
    if (values !== this.#texts) {
      this.#texts = values;
      this.#known = 0;
    }
    const { length } = values;
    if (length > this.#isWhole.length) {
      const room = Math.max(length, 2 * this.#known);
      this.#words = grown(this.#words, 2 * room);
      this.#isWhole = grown(this.#isWhole, room);
      this.#isChecked = grown(this.#isChecked, room);
    }
    for (let i = this.#known; i < length; i++) {
      this.#isWhole[i] = splitWhole(values[i]!, this.#words, i) ? 1 : 0;
      this.#isChecked[i] = 0;
    }
    this.#known = length;
  }
}
