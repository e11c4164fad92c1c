// The ids of a batch, by the rules of neuronIds.ts: whole numbers of 64 bits as long as all ids are such, then text.

import { FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { checkIdText, isNumberText, settleIds } from "./neuronIds.ts";
import { NullCells } from "./tableColumns.ts";
import type { IdCells } from "./tableFile.ts";

/** Collects the ids of one column, batch by batch. */
export class IdCellsBuilder {
  /** The two halves of every whole number from 0 to 2^63 − 1, low one first; set them while ids are no text. */
  readonly words: Uint32Array;
  readonly #ids: BigInt64Array;
  readonly #nulls: NullCells;
  readonly #placeOf: (k: number) => string;
  /** The ids of this batch once one is a name. */
  #texts: string[] | null = null;
  #isText = false;
  /** Ids of this batch that were numbers in another notation (7.0), and how they stood there. */
  #respelled: { readonly k: number; readonly text: string }[] = [];
  /** The first of all batches. */
  #firstRespelled: { readonly place: string; readonly text: string } | null = null;
  /** Whether an earlier batch had one. */
  #wereRespelled = false;
  /** Why this batch has no ids unless one is a name. */
  #refusal: unknown = null;

  /**
   * @param rows  of a batch, at most
   * @param placeOf  where cell k of this batch stands
   */
  constructor(rows: number, placeOf: (k: number) => string) {
    this.#ids = new BigInt64Array(rows);
    this.words = new Uint32Array(this.#ids.buffer);
    this.#nulls = new NullCells(rows);
    this.#placeOf = placeOf;
  }

  /** Whether ids are text by now, so that `words` are not used. */
  get isText(): boolean {
    return this.#isText;
  }

  /** Cell k is empty. */
  addNull(k: number): void {
    this.#nulls.add(k);
    if (this.#texts) this.#texts[k] = "";
    else this.#ids[k] = 0n;
  }

  /**
   * Cell k is text: a name, or a number that is not in its shortest form.
   *
   * @param isChecked  whether it is known to be an id
   * @throws {FileFormatError} an id that is none, or a name where an earlier batch had numbers in another notation
   */
  addText(k: number, text: string, isChecked = false): void {
    if (!(isChecked && this.#isText)) checkIdText(text, () => this.#placeOf(k));
    if (this.#isText || !isNumberText(text)) {
      this.#textsUntil(k, text)[k] = text;
      return;
    }
    this.#respelled.push({ k, text });
    this.#firstRespelled ??= { place: this.#placeOf(k), text };
    try {
      const [id] = settleIds([text], () => this.#placeOf(k));
      if (typeof id === "number") this.#ids[k] = BigInt(id);
      else this.#textsUntil(k, text)[k] = text;
    } catch (cause) {
      this.#refusal ??= cause;
    }
  }

  /**
   * The first `count` ids.
   *
   * @throws {FileFormatError} numbers that are no ids, where none is a name
   */
  take(count: number): IdCells {
    if (this.#refusal) throw this.#refusal;
    return { as: "id", ids: this.#texts ?? this.#ids.subarray(0, count), nulls: this.#nulls.mask(count) };
  }

  /** Begins the next batch. */
  clear(): void {
    this.#nulls.clear();
    this.#wereRespelled = this.#firstRespelled !== null;
    this.#respelled = [];
    this.#texts = this.#isText ? [] : null;
  }

  /** The texts of this batch; those of the ids before k, where this is the first name. */
  #textsUntil(k: number, name: string): string[] {
    if (this.#texts) return this.#texts;
    if (this.#wereRespelled) {
      const { place, text } = this.#firstRespelled!;
      const expected = `whole numbers without a point or an exponent, as other ids are names (${quoteText(name)})`;
      throw new FileFormatError(place, expected, quoteText(text));
    }
    const nulls = this.#nulls.mask(k);
    const texts = Array.from(this.#ids.subarray(0, k), (id, i) => (nulls?.[i] === 1 ? "" : String(id)));
    for (const { k: at, text } of this.#respelled) texts[at] = text;
    this.#respelled = [];
    this.#firstRespelled = null;
    this.#refusal = null;
    this.#isText = true;
    this.#texts = texts;
    return texts;
  }
}
