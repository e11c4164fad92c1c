// The ids of a batch, by the rules of neuronIds.ts: whole numbers of 64 bits as long as all ids are such, then text.

import { FileFormatError } from "../core/errors.ts";
import { grown } from "../core/grown.ts";
import { quoteText } from "../core/text.ts";
import { splitWhole } from "./decimal.ts";
import { checkIdText, isNumberText, numberOfText } from "./neuronIds.ts";
import { NullCells } from "./tableColumns.ts";
import type { IdCells } from "./tableFile.ts";

/** What a text is as an id; 0: not known yet. */
const [SHORTEST, RESPELLED, NAME, REFUSED] = [1, 2, 3, 4] as const;
type Kind = typeof SHORTEST | typeof RESPELLED | typeof NAME | typeof REFUSED;

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
  /** By the number of a text: what it is, and the halves of its number. */
  #kinds = new Uint8Array(0);
  #numbers = new Uint32Array(0);
  /** Cells of this batch that were numbers in another notation (7.0), and how they stood there. */
  readonly #respelledAt: Uint32Array;
  readonly #respelledTexts: string[] = [];
  #respelled = 0;
  /** The first of all batches. */
  #firstRespelled: { readonly place: string; readonly text: string } | null = null;
  /** Whether an earlier batch had one. */
  #wereRespelled = false;
  /** The first number of this batch that is no id, which is an error unless an id is a name. */
  #refused: { readonly k: number; readonly text: string } | null = null;

  /**
   * @param rows  of a batch, at most
   * @param placeOf  where cell k of this batch stands
   */
  constructor(rows: number, placeOf: (k: number) => string) {
    this.#ids = new BigInt64Array(rows);
    this.words = new Uint32Array(this.#ids.buffer);
    this.#respelledAt = new Uint32Array(rows);
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
   * Cell k is text.
   *
   * @param number  of this text among the different ones; what it is as an id is found out once
   * @throws {FileFormatError} an id that is none, or a name where an earlier batch had numbers in another notation
   */
  addText(k: number, text: string, number: number): void {
    const kind = this.#kinds[number] || this.#learn(k, text, number);
    if (this.#isText || kind === NAME) {
      this.#textsUntil(k, text)[k] = text;
      return;
    }
    if (kind !== SHORTEST) {
      this.#respelledAt[this.#respelled] = k;
      this.#respelledTexts[this.#respelled++] = text;
      this.#firstRespelled ??= { place: this.#placeOf(k), text };
      if (kind === REFUSED) this.#refused ??= { k, text };
    }
    this.words[2 * k] = this.#numbers[2 * number]!;
    this.words[2 * k + 1] = this.#numbers[2 * number + 1]!;
  }

  /** Texts have other numbers from now on. */
  forgetTexts(): void {
    this.#kinds.fill(0);
  }

  /**
   * The first `count` ids.
   *
   * @throws {FileFormatError} numbers that are no ids, where none is a name
   */
  take(count: number): IdCells {
    if (this.#refused) {
      const { k, text } = this.#refused;
      numberOfText(text, () => this.#placeOf(k));
    }
    return { as: "id", ids: this.#texts ?? this.#ids.subarray(0, count), nulls: this.#nulls.mask(count) };
  }

  /** Begins the next batch. */
  clear(): void {
    this.#nulls.clear();
    this.#wereRespelled = this.#firstRespelled !== null;
    this.#respelled = 0;
    this.#texts = this.#isText ? [] : null;
  }

  #learn(k: number, text: string, number: number): Kind {
    if (number >= this.#kinds.length) {
      const room = Math.max(number + 1, 2 * this.#kinds.length, 64);
      this.#kinds = grown(this.#kinds, room);
      this.#numbers = grown(this.#numbers, 2 * room);
    }
    const kind = splitWhole(text, this.#numbers, number) ? SHORTEST : this.#kindOf(k, text, number);
    this.#kinds[number] = kind;
    return kind;
  }

  #kindOf(k: number, text: string, number: number): Kind {
    checkIdText(text, () => this.#placeOf(k));
    if (!isNumberText(text)) return NAME;
    try {
      const id = numberOfText(text, () => this.#placeOf(k));
      // A whole number from 2^63 on.
      if (typeof id === "string") return NAME;
      splitWhole(String(id), this.#numbers, number);
      return RESPELLED;
    } catch {
      return REFUSED;
    }
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
    for (let i = 0; i < this.#respelled; i++) texts[this.#respelledAt[i]!] = this.#respelledTexts[i]!;
    this.#firstRespelled = null;
    this.#refused = null;
    this.#isText = true;
    this.#texts = texts;
    return texts;
  }
}
