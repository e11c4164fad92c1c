// Some neurons of a network, by index or by a selector of what the network knows of them.

import { ArgumentError } from "../core/errors.ts";
import { type NeuronColumn, type NeuronColumns, parseSelector } from "../core/selector.ts";
import { neuronsOfSelector } from "../core/selectorSets.ts";
import type { NeuronTypes } from "./neuronTypes.ts";

/**
 * Indices, or a selector like "T4a,T5a | 0-99" by index, `type` (if the network has `neuronType`) and `sign` ("excitatory", "inhibitory").
 * For the other columns of a neuron table: `selectNeurons`.
 */
export type NeuronChoice = string | ArrayLike<number>;

/** What neurons are chosen by; every connectome network has it. */
export interface ChoosableNeurons {
  readonly options: { readonly numNeurons: number };
  readonly types: NeuronTypes | null;
  /** ±1 per neuron; null: all excitatory. */
  readonly signs?: ArrayLike<number> | null;
}

/**
 * Indices in the order of the list; of a selector ascending.
 * @throws {ArgumentError} an index out of range, a selector that is none or names no neuron
 */
export function chosenNeurons(
  where: string,
  argument: string,
  neurons: ChoosableNeurons,
  choice: NeuronChoice,
): Uint32Array {
  const place = { where, argument };
  if (typeof choice === "string") return neuronsOfSelector(parseSelector(choice, place), columnsOf(neurons), place);
  return Uint32Array.from(checkedIndices(where, argument, choice, neurons.options.numNeurons));
}

/** @throws {ArgumentError} a number that is no index below `extent` */
export function checkedIndices(where: string, argument: string, indices: ArrayLike<number>, extent: number): number[] {
  const all = Array.from(indices);
  const bad = all.find((i) => !(Number.isInteger(i) && i >= 0 && i < extent));
  if (bad !== undefined) throw new ArgumentError(where, argument, `indices 0 to ${extent - 1}`, `${bad}`);
  return all;
}

function columnsOf({ options: { numNeurons }, types, signs }: ChoosableNeurons): NeuronColumns {
  const columns = new Map<string, NeuronColumn>();
  if (types) columns.set("type", { values: types.types.map(String), valueIdx: types.typeIdx });
  if (signs !== undefined) {
    const valueIdx = Uint8Array.from({ length: numNeurons }, (_, i) => (signs && signs[i]! < 0 ? 1 : 0));
    columns.set("sign", { values: ["excitatory", "inhibitory"], valueIdx });
  }
  return { count: numNeurons, columns };
}
