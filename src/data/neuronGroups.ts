// Groups of neurons by a column of their table.

import type { SelectorPlace } from "../core/selector.ts";
import { columnOfNeurons, type SelectableNeurons } from "./selectors.ts";

/** Neurons with the same value in a column. */
export interface NamedNeurons {
  readonly name: string;
  /** Indices, ascending. */
  readonly neurons: Uint32Array;
}

/** The column that neurons are grouped by unless another is named: their type; without types their role. */
export function groupingColumn({ types }: SelectableNeurons): string {
  return types ? "type" : "role";
}

/**
 * The neurons of a selection by the values of a column (`type`, `side`, …), in the order of the column's values; groups without neurons are left
 * out, and so are neurons with an empty cell.
 *
 * @param among  indices, each once; null: all
 * @param place  whose argument the column is, for messages
 * @throws {ArgumentError} a column that the neurons do not have, with the nearest one
 */
export function neuronsByColumn(
  neurons: SelectableNeurons,
  column: string,
  among: ArrayLike<number> | null,
  place: Pick<SelectorPlace, "where" | "argument"> = { where: "neuronsByColumn", argument: "column" },
): NamedNeurons[] {
  const { values, valueIdx } = columnOfNeurons(neurons, column, place);
  const members = values.map(() => [] as number[]);
  const add = (i: number): void => {
    members[valueIdx[i]!]!.push(i);
  };
  if (among === null) for (let i = 0; i < neurons.count; i++) add(i);
  else for (let k = 0; k < among.length; k++) add(among[k]!);
  return members.flatMap((own, v) =>
    own.length === 0 || values[v] === "" ? [] : [{ name: values[v]!, neurons: Uint32Array.from(own).sort() }],
  );
}
