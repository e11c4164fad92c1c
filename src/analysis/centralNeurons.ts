// One neuron of each type: where neurons have places, the central one.

import { groupingColumn, neuronsByColumn } from "../data/neuronGroups.ts";
import type { SelectableNeurons } from "../data/selectors.ts";
import type { NeuronTable } from "../io/neuronTable.ts";

/** Places that differ by less are equally far from the centre: the lower index wins. */
const SAME = 1e-9;

/**
 * The neuron of each type (of each role where types are not known) that lies nearest to the centre of the visual field, x = y = 1/2; of a type
 * without places its first one. In the order of the types.
 */
export function centralNeurons(neurons: SelectableNeurons & Partial<Pick<NeuronTable, "x" | "y">>): Uint32Array {
  const { x = null, y = null } = neurons;
  const distance = (i: number): number => {
    const squared = x && y ? (x[i]! - 0.5) ** 2 + (y[i]! - 0.5) ** 2 : Number.NaN;
    return Number.isNaN(squared) ? Number.POSITIVE_INFINITY : squared;
  };
  const groups = neuronsByColumn(neurons, groupingColumn(neurons), null, {
    where: "centralNeurons",
    argument: "neurons",
  });
  return Uint32Array.from(groups, (group) =>
    group.neurons.reduce((best, i) => (distance(i) < distance(best) - SAME ? i : best)),
  );
}
