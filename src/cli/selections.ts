// Selections of neurons in words: how many, of which types.

import { formatCount } from "../core/format.ts";
import { plural } from "../core/text.ts";
import { countTypes, type SelectableNeurons, type TypeCount } from "../data/selectors.ts";

/** More types are counted, not named. */
const NAMED_TYPES = 8;

/** How many neurons of which types were selected; for programs. */
export interface SelectionCount {
  readonly neurons: number;
  /** Neurons by type, in the order of the types; null: the types are not known. */
  readonly types: Readonly<Record<string, number>> | null;
}

/** Counts a selection. */
export function countSelection(neurons: SelectableNeurons, indices: ArrayLike<number>): SelectionCount {
  const counts = neurons.types ? countTypes(neurons, indices) : null;
  return {
    neurons: indices.length,
    types: counts && Object.fromEntries(counts.map(({ type, count }) => [type, count])),
  };
}

/** "12 neurons: 8 T4a, 4 T4b"; of many types the most frequent ones. */
export function describeSelection(neurons: SelectableNeurons, indices: ArrayLike<number>): string {
  const total = plural(indices.length, "neuron");
  if (!neurons.types) return total;
  const counts = [...countTypes(neurons, indices)].sort((a, b) => b.count - a.count);
  const named = counts.slice(0, NAMED_TYPES).map(({ type, count }: TypeCount) => `${formatCount(count)} ${type}`);
  const rest = counts.length - named.length;
  return `${total}: ${named.join(", ")}${rest > 0 ? ` and ${plural(rest, "more type")}` : ""}`;
}
