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

/** Places closer than this, as a part of the eye, are the same. */
const SAME_PLACE = 1e-6;

/**
 * Of each group the neurons nearest to the middle of the visual field, at x = y = ½; all of those that are equally near. Groups without places stay
 * as they are.
 *
 * @param places  [count] as in a `NeuronTable`; NaN: none
 */
export function nearestToCentre(
  groups: readonly NamedNeurons[],
  { x, y }: { readonly x: ArrayLike<number> | null; readonly y: ArrayLike<number> | null },
): NamedNeurons[] {
  if (x === null || y === null) return [...groups];
  const distance = (i: number): number => Math.hypot(x[i]! - 0.5, y[i]! - 0.5);
  return groups.map(({ name, neurons }) => {
    const placed = neurons.filter((i) => !Number.isNaN(distance(i)));
    const least = placed.reduce((nearest, i) => Math.min(nearest, distance(i)), Infinity);
    const nearest = placed.filter((i) => distance(i) < least + SAME_PLACE);
    return { name, neurons: placed.length === 0 ? neurons : nearest };
  });
}
