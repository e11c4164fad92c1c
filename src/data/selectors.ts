// Sets of neurons by the columns of their table and by their connections: "superclass=descending & within(2, type=DNa02)".

import type { Csr } from "../core/csr.ts";
import { ArgumentError, nearestName, ShapeError } from "../core/errors.ts";
import {
  type NeuronColumn,
  type NeuronColumns,
  type NeuronGraph,
  parseSelector,
  type SelectorPlace,
} from "../core/selector.ts";
import { candidatesOfSelector, neuronsOfSelector, type SelectorCandidates } from "../core/selectorSets.ts";
import { quoteText } from "../core/text.ts";
import { readIdList } from "../io/idList.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import { largestComponent, withinSteps } from "./graphDistance.ts";

/** What neurons can be selected by; a `NeuronTable` is one. */
export interface SelectableNeurons
  extends Partial<Pick<NeuronTable, "types" | "typeIdx" | "role" | "sign" | "columns">> {
  readonly count: number;
  /** Ids of the neurons, as `readLabelledConnectome` returns them. Default, and null: the table's column id, or else the indices. */
  readonly ids?: readonly (string | number)[] | null;
  /** Connections, [post, pre], for terms like within(2, type=DNa02). Default, and null: they are not known. */
  readonly csr?: Csr | null;
}

/** How many neurons of a type. */
export interface TypeCount {
  readonly type: string;
  readonly count: number;
}

const SIGNS: ReadonlyMap<number, string> = new Map([
  [-1, "inhibitory"],
  [0, "mixed"],
  [1, "excitatory"],
]);

const PLACE: SelectorPlace = { where: "selectNeurons", argument: "selector" };
const known = new WeakMap<SelectableNeurons, NeuronColumns>();

/**
 * The neurons that a selector names, in ascending order, each once.
 *
 * | selector | neurons |
 * |---|---|
 * | `type=T4*,T5a`, `type=T4*\|T5a` | of a type; `*` stands for any text, a comma or a bar continues the values of a column |
 * | `side=left`, `side!=left` | by any column of the table; not of that value |
 * | `side=*`, `side=""` | whose cell has a value, or is empty |
 * | `role=output`, `sign=inhibitory` | by role (input, hidden, output) or sign (excitatory, inhibitory, mixed) |
 * | `id=720575,720576`, `id=@ids.txt`, `@ids.txt` | by id; of a file with an id per line |
 * | `type=@types.txt` | by the values in a file, one per line |
 * | `index=0-99,200` | by index, from 0; ranges include both ends |
 * | `all`, `input`, `hidden`, `output`, `0-99`, `T4a` | without a column: all, a role, indices, or else a type |
 * | `upstream(2, a)`, `downstream(2, a)` | from which, or to which, it takes at most 2 connections to (from) a neuron of a; those of a, too |
 * | `within(2, a)` | in one of these two |
 * | `largest(weak)`, `largest(strong)` | of the largest component, directions ignored or not; of equal ones that of the first neuron |
 * | `a & b`, `a \| b`, `!a`, `(a)` | in both, in one of them, not in it |
 *
 * Commas bind tightest, then `!`, `&`, `|`; `:` is the same as `=`. Double quotes take any character literally: `type="Tm5 (Y)"`; `""` in them
 * is a quote. Names and values are case-sensitive.
 *
 * Behind `|`, a word without a column is a value of the column named before it: `type=T4a|T4b`. It is a union where no column was named
 * (`T4a | 0-99`) and before all, roles and indices. Beside `&` and `!`, values with `|` need parentheses: `(side=L|R) & type=T4a`.
 *
 * @param place  whose argument the selector is, for messages
 * @throws {ArgumentError} a text that is no selector (with the place in it), a column or value that no neuron has (with the nearest one), an
 *   index out of range, connections that are not known, a selection without neurons (with the part that is empty)
 * @throws {FileFormatError} a list of ids that cannot be read
 * @throws {ShapeError} a property with another number of entries than there are neurons, connections of other neurons
 */
export function selectNeurons(neurons: SelectableNeurons, selector: string, place: SelectorPlace = PLACE): Uint32Array {
  return neuronsOfSelector(parseSelector(selector, place), columnsOf(neurons), place, readIdList);
}

/**
 * The neurons that a selector may name, whatever the connections are: terms about connections count as all neurons, under a negation as none.
 * For readers of connections, which have to know the neurons first; `isExact`: connections do not matter.
 *
 * @throws {ArgumentError | FileFormatError | ShapeError} as `selectNeurons`
 */
export function candidatesOf(
  neurons: SelectableNeurons,
  selector: string,
  place: SelectorPlace = PLACE,
): SelectorCandidates {
  return candidatesOfSelector(parseSelector(selector, place), columnsOf(neurons), place, readIdList);
}

/** Whether neurons have ids other than their indices. */
export function hasIds({ ids, columns }: SelectableNeurons): boolean {
  return ids != null || (columns?.has("id") ?? false);
}

/** The id of a neuron, as lists of ids have it (@FILE): its own, that of the table's column id, or its index. */
export function idOf({ ids, columns }: SelectableNeurons, index: number): string {
  const column = columns?.get("id");
  if (ids) return String(ids[index]);
  return column ? column.values[column.valueIdx[index]!]! : String(index);
}

/** How many of some neurons have which type, in the order of the types; one entry without a name where types are not known. */
export function countTypes(
  { types, typeIdx }: Pick<SelectableNeurons, "types" | "typeIdx">,
  indices: ArrayLike<number>,
): readonly TypeCount[] {
  if (!types || !typeIdx) return [{ type: "", count: indices.length }];
  const counts = new Uint32Array(types.length);
  for (let k = 0; k < indices.length; k++) counts[typeIdx[indices[k]!]!]!++;
  return types.flatMap((type, t) => (counts[t]! > 0 ? [{ type, count: counts[t]! }] : []));
}

/**
 * A column of the neurons, as selectors know them: of their table, or type, role, sign, id.
 *
 * @throws {ArgumentError} a column that they do not have, with the nearest one
 */
export function columnOfNeurons(
  neurons: SelectableNeurons,
  name: string,
  { where, argument }: Pick<SelectorPlace, "where" | "argument">,
): NeuronColumn {
  const { columns } = columnsOf(neurons);
  const column = columns.get(name);
  if (column) return column;
  const near = nearestName(name, columns.keys());
  const hint = near ? `, did you mean ${quoteText(near)}?` : "";
  const expected =
    columns.size === 0 ? "a neuron table with columns" : `a column of the neurons: ${[...columns.keys()].join(", ")}`;
  throw new ArgumentError(where, argument, expected, `${quoteText(name)}${hint}`);
}

function columnsOf(neurons: SelectableNeurons): NeuronColumns {
  const made = known.get(neurons) ?? {
    count: neurons.count,
    columns: namedColumns(neurons),
    graph: graphOf(neurons),
  };
  known.set(neurons, made);
  return made;
}

function graphOf({ count, csr }: SelectableNeurons): NeuronGraph | null {
  if (!csr) return null;
  if (csr.nRows !== count || csr.nCols !== count) {
    throw new ShapeError(
      PLACE.where,
      "csr",
      `${count} × ${count}, a row and a column per neuron`,
      `${csr.nRows} × ${csr.nCols}`,
    );
  }
  return {
    reach(seeds, steps, direction) {
      if (direction === "upstream") return withinSteps(csr, seeds, steps, "in");
      const downstream = withinSteps(csr, seeds, steps, "out");
      if (direction === "downstream") return downstream;
      // A step that may take either direction would reach neurons with a common target, too.
      const upstream = withinSteps(csr, seeds, steps, "in");
      return downstream.map((isIn, i) => isIn | upstream[i]!);
    },
    largestComponent: (kind) => largestComponent(csr, kind),
  };
}

/** The table's own columns, and the names that all tables share, which come first. */
function namedColumns({
  count,
  types,
  typeIdx,
  role,
  sign,
  ids,
  columns,
}: SelectableNeurons): NeuronColumns["columns"] {
  const named = new Map<string, NeuronColumn>(columns ?? []);
  if (types && typeIdx) named.set("type", { values: types, valueIdx: typeIdx });
  if (role) named.set("role", columnOf(role));
  if (sign) named.set("sign", columnOf(Array.from(sign, (s) => SIGNS.get(s) ?? String(s))));
  if (ids) named.set("id", columnOf(ids.map(String)));
  // A column of this name counts from 0, or is that of another order.
  named.delete("index");
  for (const [name, { valueIdx }] of named) {
    if (valueIdx.length === count) continue;
    throw new ShapeError(PLACE.where, name, `${count} entries, one per neuron`, `${valueIdx.length}`);
  }
  return named;
}

function columnOf(texts: readonly string[]): NeuronColumn {
  const numbers = new Map<string, number>();
  const valueIdx = Uint32Array.from(texts, (text) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  });
  return { values: [...numbers.keys()], valueIdx };
}
