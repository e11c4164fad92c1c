// Blocks and places of neurons, from the columns of their table.

import { ArgumentError } from "../core/errors.ts";
import type { SelectorPlace } from "../core/selector.ts";
import { quoteText } from "../core/text.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import type { Lengths } from "./lengths.ts";
import { columnOfNeurons, type SelectableNeurons } from "./selectors.ts";

/** Whose argument a column is, for messages. */
type Place = Pick<SelectorPlace, "where" | "argument">;

/**
 * The block of every neuron: neurons with the same text in a column (`type`, `side`, …) are in one, those with an empty cell too.
 *
 * @throws {ArgumentError} a column that the neurons do not have, with the nearest one
 */
export function blocksByColumn(neurons: SelectableNeurons, column: string, place: Place): ArrayLike<number> {
  return columnOfNeurons(neurons, column, place).valueIdx;
}

/**
 * Where neurons are: coordinates in columns of their table, an empty cell or NaN for none; without columns, their places in the visual field.
 *
 * @throws {ArgumentError} columns that the neurons do not have, or with other text than numbers; no columns and no places in the visual field
 */
export function positionsByColumns(
  neurons: SelectableNeurons & Partial<Pick<NeuronTable, "x" | "y">>,
  columns: readonly string[] | null,
  place: Place,
): Pick<Lengths, "positions" | "dimensions"> {
  const { count, x, y } = neurons;
  const coordinates = columns ? columns.map((name) => numbersOf(neurons, name, place)) : x && y ? [x, y] : null;
  if (coordinates === null) {
    const expected = "columns of the neuron table with coordinates, as it has no places in the visual field";
    throw new ArgumentError(place.where, place.argument, expected, "none");
  }
  const dimensions = coordinates.length;
  const positions = new Float64Array(count * dimensions);
  coordinates.forEach((coordinate, d) => {
    for (let i = 0; i < count; i++) positions[i * dimensions + d] = coordinate[i]!;
  });
  return { positions, dimensions };
}

function isNone(text: string): boolean {
  return /^(nan)?$/i.test(text.trim());
}

function numbersOf(neurons: SelectableNeurons, name: string, place: Place): Float64Array {
  const { values, valueIdx } = columnOfNeurons(neurons, name, place);
  const numbers = values.map((text) => (isNone(text) ? Number.NaN : Number(text)));
  const wrong = values.find((text, v) => Number.isNaN(numbers[v]) && !isNone(text));
  if (wrong !== undefined || numbers.every(Number.isNaN)) {
    const got = wrong === undefined ? "only empty ones" : quoteText(wrong);
    throw new ArgumentError(place.where, place.argument, `numbers in column ${name}, or empty cells`, got);
  }
  return Float64Array.from(valueIdx, (v) => numbers[v]!);
}
