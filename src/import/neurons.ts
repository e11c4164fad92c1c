// Neurons of published tables: one frame of columns, joined by id from annotations, transmitters, types and whatever else there is.
// Rows are read in batches into one number per neuron and column; rows about others are counted.

import { FileFormatError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { plural, quoteText } from "../core/text.ts";
import type {
  CellForm,
  IdCells,
  NumberCells,
  TableColumn,
  TableFile,
  TextCells,
  WantedColumn,
} from "../io/tableFile.ts";
import { plainName } from "./columnNames.ts";
import { idIndexOf } from "./idIndex.ts";
import type { IdDecision, IdPolicy } from "./idPolicy.ts";
import { type ColumnSource, SHARED_COLUMNS, type SharedColumn, type SharedSources } from "./layouts/layout.ts";
import type { IdIndex, NeuronFrame, NeuronIds } from "./types.ts";

/** A table of neurons. */
export interface NeuronTableSource {
  /** "neurons", "transmitters", …: goes before names of columns that an earlier table has, too. */
  readonly role: string;
  readonly table: TableFile;
  /** Columns of ids: a row is about the neuron of each of them. */
  readonly idColumns: readonly string[];
  /** The side of the neurons of each column of ids, where that is what the columns mean. */
  readonly sides?: readonly string[];
  /** Ids that mean "no neuron". */
  readonly noIds?: readonly string[];
}

export interface NeuronsOptions {
  readonly shared: SharedSources;
  /** What ids are taken for. Default "auto". */
  readonly policy?: IdPolicy;
  /** Neurons that are known already, and where each stands: no table adds one. */
  readonly known?: { readonly ids: NeuronIds; placeOf(neuron: number): string };
  readonly signal?: AbortSignal;
}

/** A frame, and what was renamed or left out, a sentence each. */
export interface ReadNeurons {
  readonly frame: NeuronFrame;
  readonly decision: IdDecision;
  readonly notes: readonly string[];
}

/** Names of transmitters that say none. */
const NO_TRANSMITTER = new Set(["", "unclear", "unknown", "none", "nan", "na", "null"]);
const NOT_TEXT = /^$|^(large_?)?(list|struct|map|union|binary|fixed|interval|duration|date|time|decimal\d+\(|run_end)/i;
const NUMBER = /^(u?int(8|16|32)|float|double|half|decimal)/i;

/**
 * Reads tables of neurons. The first one says which neurons there are, and their order, unless they are known; all add columns. Rows without an id are counted.
 *
 * @throws {FileFormatError} an id that a table has twice, unless all cells agree (with place and column); no neuron; what reading throws
 */
export async function readNeurons(
  sources: readonly NeuronTableSource[],
  { shared, policy, known, signal }: NeuronsOptions,
): Promise<ReadNeurons> {
  const [first] = sources;
  const options = signal ? { signal } : {};
  const notes: string[] = [];
  const { ids, placeOf } = known ?? (await idsOf(first!, notes, options));
  const index = idIndexOf(ids, placeOf, policy);
  const columns = new Map<string, NeuronColumn>();
  for (const source of sources) {
    await readColumns(source, index, columns, notes, options, !known && source === first);
  }
  addShared(columns, shared, notes);
  return { frame: { ids: index.ids, columns }, decision: index.decision, notes };
}

/** The distinct ids of a table, in its order, and the first row of each. */
async function idsOf(
  source: NeuronTableSource,
  notes: string[],
  options: { signal?: AbortSignal },
): Promise<{ ids: NeuronIds; placeOf(neuron: number): string }> {
  const { table, idColumns } = source;
  let rowOf = new Map<bigint | string, number>();
  let withoutId = 0;
  const noIds = new Set(source.noIds ?? []);
  await table.read(
    idColumns.map((name) => ({ name, as: "id" as const })),
    ({ rowStart, count, cells }) => {
      const columns = cells as readonly IdCells[];
      // Once a column has a name, all ids are text; those before it stood there as their digits.
      const isText = columns.some(({ ids }) => !(ids instanceof BigInt64Array));
      if (isText) rowOf = new Map(Array.from(rowOf, ([id, row]) => [String(id), row]));
      for (let row = 0; row < count; row++) {
        let named = 0;
        for (const { ids, nulls } of columns) {
          const id = isText ? String(ids[row]) : ids[row]!;
          if (nulls?.[row] || noIds.has(String(id))) continue;
          if (!rowOf.has(id)) rowOf.set(id, rowStart + row);
          named++;
        }
        if (named === 0) withoutId++;
      }
      return true;
    },
    options,
  );
  if (rowOf.size === 0) throw new FileFormatError(table.file, "a row per neuron", "none");
  if (withoutId > 0) notes.push(`${table.file}: ${plural(withoutId, "row")} without an id left out`);
  const rows = [...rowOf.values()];
  return { ids: idsFrom([...rowOf.keys()]), placeOf: (i) => table.placeOf(rows[i]!, idColumns[0]!) };
}

/** Whole numbers where all are, else text. */
export function idsFrom(ids: readonly (bigint | string)[]): NeuronIds {
  if (ids.every((id) => typeof id === "bigint")) return BigInt64Array.from(ids as readonly bigint[]);
  return ids.map(String);
}

/** Adds the columns of a table. */
async function readColumns(
  source: NeuronTableSource,
  index: IdIndex,
  columns: Map<string, NeuronColumn>,
  notes: string[],
  options: { signal?: AbortSignal },
  isFirst: boolean,
): Promise<void> {
  const { table, role, idColumns, sides } = source;
  const taken = table.columns.filter(({ name }) => !idColumns.includes(name));
  const left = taken.filter(({ type }) => NOT_TEXT.test(type)).map(({ name }) => name);
  if (left.length > 0) notes.push(`${table.file}: columns that are no text left out: ${left.join(", ")}`);
  const builders = taken
    .filter(({ name }) => name !== "" && !left.includes(name))
    .map((column) => new ColumnBuilder(column, index.count));
  const side = sides ? new ColumnBuilder({ name: "side", type: "text" }, index.count) : null;
  const wanted: readonly WantedColumn[] = [
    ...idColumns.map((name) => ({ name, as: "id" as const })),
    ...builders.map(({ name, form }) => ({ name, as: form })),
  ];
  const hasRow = new Uint8Array(index.count);
  let unknownRows = 0;
  const noIds = new Set(source.noIds ?? []);
  let neurons = new Int32Array(0);
  await table.read(
    wanted,
    ({ rowStart, count, cells }) => {
      if (neurons.length < count) neurons = new Int32Array(count);
      for (const builder of builders) builder.begin();
      const others = cells.slice(idColumns.length) as (NumberCells | TextCells)[];
      idColumns.forEach((idColumn, k) => {
        const { ids, nulls } = cells[k] as IdCells;
        index.lookup(ids, neurons, (row) => table.placeOf(rowStart + row, idColumn));
        for (let row = 0; row < count; row++) {
          const neuron = nulls?.[row] ? -1 : neurons[row]!;
          if (neuron < 0) {
            if (!nulls?.[row] && !noIds.has(String(ids[row]))) unknownRows++;
            continue;
          }
          const isAgain = hasRow[neuron] === 1;
          hasRow[neuron] = 1;
          for (let c = 0; c < builders.length; c++) {
            if (builders[c]!.set(neuron, others[c]!, row, isAgain)) continue;
            const place = table.placeOf(rowStart + row, builders[c]!.name);
            const expected = `the same ${quoteText(builders[c]!.name)} in every row about ${ids[row]} (column ${idColumn})`;
            throw new FileFormatError(place, expected, "two different ones");
          }
          side?.setText(neuron, sides![k]!);
        }
      });
      return true;
    },
    options,
  );
  for (const builder of [...builders, ...(side ? [side] : [])]) {
    const name = columns.has(builder.name) ? `${role}.${builder.name}` : builder.name;
    const column = builder.column();
    if (name !== builder.name) {
      if (areEqual(column, columns.get(builder.name)!)) continue;
      notes.push(`${table.file}: column ${quoteText(builder.name)} became ${quoteText(name)}`);
    }
    columns.set(name, column);
  }
  if (isFirst) return;
  const without = hasRow.reduce((sum, has) => sum + 1 - has, 0);
  if (unknownRows > 0) notes.push(`${table.file}: ${plural(unknownRows, "row")} about other neurons left out`);
  if (without > 0) notes.push(`${table.file}: no row for ${formatCount(without)} of ${plural(index.count, "neuron")}`);
}

/** Builds the column of a property, a number per neuron: that of its text among the distinct ones. */
class ColumnBuilder {
  readonly name: string;
  readonly form: CellForm;
  /** Distinct texts, or numbers; the first one is "no value". */
  readonly #known = new Map<string | number, number>([["", 0]]);
  readonly #valueIdx: Uint32Array;
  /** Numbers of the texts of a batch; −1: not met yet. */
  #ofBatch = new Int32Array(0);
  #isNew = false;

  constructor({ name, type }: TableColumn, neurons: number) {
    this.name = name;
    // Whole numbers of 64 bits stay exact as text.
    this.form = NUMBER.test(type) ? "number" : "text";
    this.#valueIdx = new Uint32Array(neurons);
  }

  /** A new batch: its dictionary may be another one. */
  begin(): void {
    this.#isNew = true;
  }

  /** Takes a cell. @returns false where the neuron has another value already */
  set(neuron: number, cells: NumberCells | TextCells, row: number, isAgain: boolean): boolean {
    return this.#put(neuron, cells.nulls?.[row] ? 0 : this.#numberOf(cells, row), isAgain);
  }

  setText(neuron: number, text: string): void {
    this.#put(neuron, this.#number(text), false);
  }

  column(): NeuronColumn {
    return { values: Array.from(this.#known.keys(), String), valueIdx: this.#valueIdx };
  }

  #put(neuron: number, number: number, isAgain: boolean): boolean {
    if (isAgain) return this.#valueIdx[neuron] === number;
    this.#valueIdx[neuron] = number;
    return true;
  }

  #numberOf(cells: NumberCells | TextCells, row: number): number {
    if (cells.as === "number") {
      const value = cells.numbers[row]!;
      return Number.isNaN(value) ? 0 : this.#number(value);
    }
    if (this.#isNew) {
      this.#isNew = false;
      if (this.#ofBatch.length < cells.values.length) this.#ofBatch = new Int32Array(cells.values.length);
      this.#ofBatch.fill(-1);
    }
    const local = cells.valueIdx[row]!;
    if (this.#ofBatch[local]! < 0) this.#ofBatch[local] = this.#number(cells.values[local]!);
    return this.#ofBatch[local]!;
  }

  #number(value: string | number): number {
    const number = this.#known.get(value) ?? this.#known.size;
    if (number === this.#known.size) this.#known.set(value, number);
    return number;
  }
}

function areEqual(a: NeuronColumn, b: NeuronColumn): boolean {
  for (let i = 0; i < a.valueIdx.length; i++) {
    if (a.values[a.valueIdx[i]!] !== b.values[b.valueIdx[i]!]) return false;
  }
  return true;
}

/** Adds the columns that all data sets share. A column of such a name that is not their source gets another name. */
function addShared(columns: Map<string, NeuronColumn>, shared: SharedSources, notes: string[]): void {
  const made = new Map<SharedColumn, NeuronColumn>();
  for (const name of SHARED_COLUMNS) {
    const found = (shared[name] ?? []).flatMap((source) => partsOf(columns, source));
    if (found.length === 0) continue;
    const isMissing = name === "transmitter" ? (text: string) => NO_TRANSMITTER.has(text.toLowerCase()) : isEmpty;
    made.set(name, firstOf(found, isMissing));
    const names = found.map(({ label }) => label).join(", else ");
    if (found.length > 1 || found[0]!.label !== name) notes.push(`${name} is ${names}`);
  }
  for (const [name, column] of made) {
    const own = columns.get(name);
    if (own && !areEqual(own, column)) columns.set(`file.${name}`, own);
    columns.set(name, column);
  }
}

const isEmpty = (text: string): boolean => text === "";

interface Part {
  readonly label: string;
  readonly column: NeuronColumn;
  /** [values], the text that counts. */
  readonly texts: readonly string[];
}

function partsOf(columns: ReadonlyMap<string, NeuronColumn>, source: ColumnSource): readonly Part[] {
  const wanted = typeof source === "string" ? source : source.column;
  const name = columns.has(wanted)
    ? wanted
    : [...columns.keys()].find((other) => plainName(other) === plainName(wanted));
  if (name === undefined) return [];
  const column = columns.get(name)!;
  if (typeof source === "string") return [{ label: name, column, texts: column.values }];
  const texts = column.values.map((text) => source.pattern.exec(text)?.[1] ?? "");
  return [{ label: `the ending of ${name}`, column, texts }];
}

/** For each neuron the first value that is none of the missing ones. */
function firstOf(parts: readonly Part[], isMissing: (text: string) => boolean): NeuronColumn {
  const known = new Map<string, number>([["", 0]]);
  const numbers = parts.map(({ texts }) =>
    Uint32Array.from(texts, (text) => {
      if (isMissing(text)) return 0;
      const number = known.get(text) ?? known.size;
      known.set(text, number);
      return number;
    }),
  );
  const valueIdx = new Uint32Array(parts[0]!.column.valueIdx.length);
  for (let i = 0; i < valueIdx.length; i++) {
    for (let p = 0; p < parts.length && valueIdx[i] === 0; p++)
      valueIdx[i] = numbers[p]![parts[p]!.column.valueIdx[i]!]!;
  }
  return { values: [...known.keys()], valueIdx };
}
