// Collects the ids at the ends of edges that come without a table of neurons.

import { splitWhole } from "../io/decimal.ts";
import { checkIdText } from "../io/neuronIds.ts";
import { idIndexOf, type PlaceOfId, refuseNegative } from "./idIndex.ts";
import { type IdPolicy, neuronsOfIds, type SettledIds, settleNeuronIds } from "./idPolicy.ts";
import { halvesOf, IdTable } from "./idTable.ts";
import type { NeuronIds } from "./types.ts";

/** Neurons of collected ids. */
export interface CollectedNeurons extends SettledIds {
  /** The neuron of a code that `IdCollector` gave. */
  readonly indexOf: Int32Array;
}

/**
 * Gives ids codes as they occur: twice the position among the whole numbers of 64 bits, or among all other texts, plus 1. Their meaning is known only
 * after the last one.
 */
export class IdCollector {
  readonly #numbers = new IdTable();
  readonly #texts = new Map<string, number>();
  /** Where each text occurred first. */
  readonly #places: string[] = [];
  readonly #halves = new Int32Array(2);

  /** Sets out[k] to the code of ids[k]. */
  lookup(ids: NeuronIds, out: Int32Array, placeOf: PlaceOfId): void {
    if (!(ids instanceof BigInt64Array)) {
      const halves = this.#halves;
      for (let k = 0; k < ids.length; k++) {
        const isShortest = splitWhole(ids[k]!, halves);
        out[k] = isShortest ? 2 * this.#numbers.add(halves[0]!, halves[1]!) : this.#codeOfText(ids[k]!, k, placeOf);
      }
      return;
    }
    const halves = halvesOf(ids);
    for (let k = 0; k < ids.length; k++) {
      const high = halves[2 * k + 1]!;
      if (high < 0) refuseNegative(ids, k, placeOf);
      out[k] = 2 * this.#numbers.add(halves[2 * k]!, high);
    }
  }

  #codeOfText(text: string, k: number, placeOf: PlaceOfId): number {
    const known = this.#texts.get(text);
    if (known !== undefined) return 2 * known + 1;
    checkIdText(text, () => placeOf(k));
    const position = this.#texts.size;
    this.#texts.set(text, position);
    this.#places.push(placeOf(k));
    return 2 * position + 1;
  }

  /** @throws {FileFormatError} ids that are ambiguous, or not what the policy demands */
  settle(policy: IdPolicy, files: string): CollectedNeurons {
    const numbers = this.#numbers.ids();
    const isMixed = this.#texts.size > 0;
    const found: NeuronIds = isMixed ? [...Array.from(numbers, String), ...this.#texts.keys()] : numbers;
    const placeOf = (i: number): string => this.#places[i - numbers.length] ?? files;
    const settled = settleNeuronIds(found, policy, placeOf);
    const neurons = neuronsOfIds(settled.ids, settled.decision, files);
    const places = new Int32Array(found.length);
    idIndexOf(neurons.ids, () => files, policy).lookup(settled.ids, places);
    const indexOf = new Int32Array(2 * Math.max(numbers.length, this.#texts.size));
    for (let i = 0; i < numbers.length; i++) indexOf[2 * i] = places[i]!;
    for (let i = numbers.length; i < found.length; i++) indexOf[2 * (i - numbers.length) + 1] = places[i]!;
    return { ...neurons, indexOf };
  }
}
