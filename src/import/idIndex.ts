// Finds neurons by id, in any form in which tables write ids, hundreds of millions of times.

import { FileFormatError } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { splitWhole } from "../io/decimal.ts";
import { checkIdText, idOfText, isName, numberOfText, spellingError, spellingKey } from "../io/neuronIds.ts";
import { type IdDecision, type IdPolicy, settleNeuronIds } from "./idPolicy.ts";
import { halvesOf, hashOf, IdTable } from "./idTable.ts";
import type { IdIndex, NeuronIds } from "./types.ts";

/** An index that says what ids were taken for. */
export interface NeuronIdIndex extends IdIndex {
  readonly decision: IdDecision;
}

/** Where the k-th id of a lookup stands, for messages. */
export type PlaceOfId = (k: number) => string;

/**
 * An index of neurons by id. What ids mean follows the neurons' own: if those are numbers, "7", 7 and "7.0" are one neuron; if they are names, ids are
 * compared as written, and one that differs from a neuron's only in its notation ("007" and "7") is refused.
 *
 * @param placeOf where the id of a neuron stands, for messages
 * @throws {FileFormatError} an id that is none, one that occurs twice, two that may be one neuron or two
 */
export function idIndexOf(ids: NeuronIds, placeOf: PlaceOfId, policy: IdPolicy = "auto"): NeuronIdIndex {
  const { ids: settled, decision } = settleNeuronIds(ids, policy, placeOf);
  return settled instanceof BigInt64Array
    ? new NumberIndex(settled, decision, placeOf)
    : new TextIndex(settled, decision, placeOf);
}

/** Bits of the filter per neuron, and the most in all: it should stay in the processor's cache. */
const FILTER_BITS = 16;
const MOST_FILTER_BITS = 2 ** 27;

class NumberIndex implements NeuronIdIndex {
  readonly ids: BigInt64Array;
  readonly count: number;
  readonly decision: IdDecision;
  readonly #table: IdTable;
  /** Bit `hash mod bits` is set for the hash of every neuron: most ids of a published table are of fragments, and end here. */
  readonly #filter: Int32Array;
  readonly #halves = new Int32Array(2);

  constructor(ids: BigInt64Array, decision: IdDecision, placeOf: PlaceOfId) {
    this.ids = ids;
    this.count = ids.length;
    this.decision = decision;
    this.#table = new IdTable(ids.length);
    const bits = Math.min(MOST_FILTER_BITS, 2 ** Math.ceil(Math.log2(Math.max(32, FILTER_BITS * ids.length))));
    this.#filter = new Int32Array(bits / 32);
    const mask = this.#filter.length - 1;
    const halves = halvesOf(ids);
    for (let i = 0; i < ids.length; i++) {
      const [low, high] = [halves[2 * i]!, halves[2 * i + 1]!];
      const k = this.#table.add(low, high);
      if (k < i) throw duplicateError(String(ids[i]), k, i, placeOf);
      const hash = hashOf(low, high);
      this.#filter[(hash >>> 5) & mask]! |= 1 << (hash & 31);
    }
  }

  lookup(ids: NeuronIds, out: Int32Array, placeOf: PlaceOfId = rowPlace): void {
    if (!(ids instanceof BigInt64Array)) {
      const halves = this.#halves;
      for (let k = 0; k < ids.length; k++) {
        const isShortest = splitWhole(ids[k]!, halves);
        out[k] = isShortest ? this.#table.find(halves[0]!, halves[1]!) : this.#findOther(ids[k]!, k, placeOf);
      }
      return;
    }
    const table = this.#table;
    const filter = this.#filter;
    const mask = filter.length - 1;
    const halves = halvesOf(ids);
    for (let k = 0; k < ids.length; k++) {
      const low = halves[2 * k]!;
      const high = halves[2 * k + 1]!;
      const hash = hashOf(low, high);
      const mayBe = (filter[(hash >>> 5) & mask]! >>> (hash & 31)) & 1;
      out[k] = mayBe === 1 ? table.find(low, high, hash) : -1;
      // No closure here: it would take memory for every id.
      if (high < 0) refuseNegative(ids, k, placeOf);
    }
  }

  /** Looks for an id that is no whole number in its shortest form. */
  #findOther(text: string, k: number, placeOf: PlaceOfId): number {
    checkIdText(text, () => placeOf(k));
    if (!isName(idOfText(text))) {
      const digits = String(numberOfText(text, () => placeOf(k)));
      return splitWhole(digits, this.#halves) ? this.#table.find(this.#halves[0]!, this.#halves[1]!) : -1;
    }
    // A name is none of the neurons, unless it is written as one of their numbers is, but for zeros or spaces.
    const key = spellingKey(text);
    if (splitWhole(key, this.#halves) && this.#table.find(this.#halves[0]!, this.#halves[1]!) >= 0) {
      throw spellingError(text, key, placeOf(k));
    }
    return -1;
  }
}

class TextIndex implements NeuronIdIndex {
  readonly ids: readonly string[];
  readonly count: number;
  readonly decision: IdDecision;
  readonly #numbers = new Map<string, number>();
  /** Of the neurons whose ids have other spellings, by what those share. */
  readonly #spellings = new Map<string, number>();

  constructor(ids: readonly string[], decision: IdDecision, placeOf: PlaceOfId) {
    this.ids = ids;
    this.count = ids.length;
    this.decision = decision;
    ids.forEach((id, i) => {
      const first = this.#numbers.get(id);
      if (first !== undefined) throw duplicateError(id, first, i, placeOf);
      this.#numbers.set(id, i);
      const key = spellingKey(id);
      if (key !== id) this.#spellings.set(key, i);
    });
  }

  lookup(ids: NeuronIds, out: Int32Array, placeOf: PlaceOfId = rowPlace): void {
    const isWhole = ids instanceof BigInt64Array;
    for (let k = 0; k < ids.length; k++) {
      const id = isWhole ? String(ids[k]) : (ids[k] as string);
      out[k] = this.#numbers.get(id) ?? this.#findOther(id, k, placeOf);
    }
  }

  /** Looks for an id that no neuron has as written. */
  #findOther(id: string, k: number, placeOf: PlaceOfId): number {
    checkIdText(id, () => placeOf(k));
    if (this.decision.taken === "numbers" && !isName(idOfText(id))) {
      return this.#numbers.get(String(numberOfText(id, () => placeOf(k)))) ?? -1;
    }
    const key = spellingKey(id);
    const similar = this.#numbers.get(key) ?? this.#spellings.get(key);
    if (similar !== undefined) throw spellingError(id, this.ids[similar]!, placeOf(k));
    return -1;
  }
}

/** @throws {FileFormatError} always, naming the place of a negative number */
export function refuseNegative(ids: BigInt64Array, k: number, placeOf: PlaceOfId): void {
  checkIdText(String(ids[k]), () => placeOf(k));
}

function rowPlace(k: number): string {
  return `id ${k}`;
}

function duplicateError(id: string, first: number, second: number, placeOf: PlaceOfId): FileFormatError {
  return new FileFormatError(
    placeOf(second),
    "every neuron once",
    `${quoteText(id)} again (first at ${placeOf(first)})`,
  );
}
