// Groups of neurons as options of analyses choose them: by a column, perhaps only among some neurons.

import { ArgumentError } from "../../core/errors.ts";
import { plural, quoteText } from "../../core/text.ts";
import { groupingColumn, type NamedNeurons, neuronsByColumn } from "../../data/neuronGroups.ts";
import { type SelectableNeurons, selectNeurons } from "../../data/selectors.ts";

/** Which groups are wanted, and by which command. */
export interface GroupsWanted {
  readonly where: string;
  /** The option that names the column. */
  readonly option: string;
  /** Default: type, or role where types are not known. */
  readonly column: string | undefined;
  /** A selector (`--among`); default: all neurons. */
  readonly among: string | undefined;
  /** Says how many neurons are in no group, as their cell is empty. */
  readonly note: (text: string) => void;
}

/** @throws {ArgumentError} an unknown column, one that is empty in all of the neurons, a selector without neurons */
export function readGroups(
  neurons: SelectableNeurons,
  { where, option, among, note, ...wanted }: GroupsWanted,
): NamedNeurons[] {
  const chosen = among === undefined ? null : selectNeurons(neurons, among, { where, argument: "--among" });
  const column = wanted.column ?? groupingColumn(neurons);
  const groups = neuronsByColumn(neurons, column, chosen, { where, argument: option });
  if (groups.length === 0)
    throw new ArgumentError(where, option, "a column with values", `${quoteText(column)}, empty in all these neurons`);
  const left = (chosen?.length ?? neurons.count) - groups.reduce((sum, group) => sum + group.neurons.length, 0);
  if (left > 0) note(`note: ${plural(left, "neuron")} without ${column} left out`);
  return groups;
}
