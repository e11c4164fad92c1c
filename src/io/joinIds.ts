// Joins the rows of a table to neurons, by id, as a table may have any order.

import { FileFormatError, nearestName } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { idOfText, type NeuronId, settleIds } from "./neuronIds.ts";

/** A column of ids as it stands in a file. */
export interface IdColumn {
  readonly file: string;
  /** [rows], each one checked. */
  readonly ids: readonly NeuronId[];
  /** Place of the i-th id, for messages. */
  placeOf(row: number): string;
}

/** Number of missing names in a message. */
const EXAMPLES = 3;
/** Limits of the search for similar names, which would otherwise take seconds. */
const HINT_LENGTH = 100;
const HINT_NAMES = 20_000;

/**
 * The row of every neuron. Rows about other neurons are allowed: tables describe whole brains.
 *
 * @param wanted ids of the neurons, in the order of the connectome
 * @returns [neurons]
 * @throws {FileFormatError} a neuron that has no row, or two; ids that are ambiguous (`settleIds`)
 */
export function rowsOfIds(column: IdColumn, wanted: readonly NeuronId[]): Uint32Array {
  const { file } = column;
  const rowOf = new Map<NeuronId, number>();
  const ids = wanted.map((id) => idOfText(String(id)));
  const needed = new Set(settleIds(ids, (i) => `${file}: neuron ${i} of the connectome`));
  if (needed.size < wanted.length)
    throw new FileFormatError(file, "different ids of the connectome's neurons", "one twice");
  settleIds(column.ids, column.placeOf).forEach((id, row) => {
    const first = rowOf.get(id);
    if (first !== undefined && needed.has(id)) {
      throw new FileFormatError(column.placeOf(row), "every neuron once", `${quoteValue(id)} again`);
    }
    if (first === undefined) rowOf.set(id, row);
  });
  const missing = [...needed].filter((id) => !rowOf.has(id)).map(String);
  if (missing.length > 0) {
    const examples = missing.slice(0, EXAMPLES).map((id) => quoteText(id));
    const hint = nearHint(missing[0]!, Array.from(rowOf.keys(), String));
    const expected = `a row for each of the ${needed.size} neurons of the connectome`;
    const more = missing.length > EXAMPLES ? ", …" : "";
    throw new FileFormatError(file, expected, `none for ${missing.length}: ${examples.join(", ")}${more}${hint}`);
  }
  return Uint32Array.from(needed, (id) => rowOf.get(id)!);
}

/** Names under which tables have the ids of their neurons. */
const ID_NAMES = /^(id|(neuron|body|root|pt[ _]root|cell|skeleton)[ _]?id)$/i;

/**
 * The column that shows that the rows of a table have the order of a connectome, since it must count 0, 1, 2, …: `index`, or else the
 * ids of the neurons.
 *
 * @param except a column that is read for itself
 * @returns its name; null: nothing shows it
 */
export function orderColumn(names: readonly string[], except: string | null = null): string | null {
  const name = names.includes("index") ? "index" : names.find((other) => ID_NAMES.test(other));
  return name === undefined || name === except ? null : name;
}

/** The expected value of a neuron in the column of the order. */
export function orderExpected(neuron: number): string {
  return `index ${neuron}, as rows are in the order of the connectome (where it has ids, join by them: option \`ids\`)`;
}

/** " (did you mean …?)" with the name that is nearest, or nothing. */
export function nearHint(name: string, known: readonly string[]): string {
  if (name.length > HINT_LENGTH || known.length > HINT_NAMES) return "";
  const near = nearestName(
    name,
    known.filter(({ length }) => length <= HINT_LENGTH),
  );
  return near === null ? "" : ` (did you mean ${quoteText(near)}?)`;
}
