// Ids in a column of text whose cells are coded by a dictionary: each different text is read once.

import { parseWhole64 } from "./decimal.ts";
import type { IdCellsBuilder } from "./idCells.ts";
import type { TextCells } from "./tableFile.ts";

/** Of a whole number of 64 bits. */
const MOST_DIGITS = 19;

const encoder = new TextEncoder();
const digits: Uint8Array = new Uint8Array(4 * MOST_DIGITS);

/** Adds the first `count` cells. @throws {FileFormatError} as `IdCellsBuilder` */
export function addCodedIds(builder: IdCellsBuilder, { values, valueIdx, nulls }: Coded, count: number): void {
  const words = new Uint32Array(2 * values.length);
  const isWhole = values.map((text, i) => {
    if (text.length > MOST_DIGITS) return false;
    return parseWhole64(digits, 0, encoder.encodeInto(text, digits).written, words, i);
  });
  const isChecked = new Uint8Array(values.length);
  for (let k = 0; k < count; k++) {
    const value = valueIdx[k]!;
    if (nulls?.[k] === 1) builder.addNull(k);
    else if (!builder.isText && isWhole[value]) {
      builder.words[2 * k] = words[2 * value]!;
      builder.words[2 * k + 1] = words[2 * value + 1]!;
    } else {
      builder.addText(k, values[value]!, isChecked[value] === 1);
      isChecked[value] = 1;
    }
  }
}

type Coded = Pick<TextCells, "values" | "valueIdx" | "nulls">;
